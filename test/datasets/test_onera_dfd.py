"""ONERA's images for depth from defocus: small folders written here, and the real one where it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from scene_understanding.datasets.onera_dfd import CAMERA, LENSES, OneraDfd
from scene_understanding.datasets.open import open_dataset
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.simulation.defocus import defocused

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "onera_dfd"
real = pytest.mark.skipif(
    not DATA.is_dir(), reason="ONERA's images are not beside the repository (shared/data/onera_dfd)"
)
LEVELS = {"f2_8": 50, "f8": 200}


def write_scene(part: Path, name: str, millimetres: int) -> None:
    part.mkdir(parents=True, exist_ok=True)
    for aperture, level in LEVELS.items():
        cv2.imwrite(str(part / f"{name}.{aperture}.jpg"), np.full((*CAMERA.shape, 3), (0, 0, level), np.uint8))
    cv2.imwrite(str(part / f"{name}.depth.png"), np.full(CAMERA.shape, millimetres, np.uint16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, millimetres in (("004", 1400), ("000", 1000), ("012", 2200)):
        write_scene(tmp_path / "train", name, millimetres)
    write_scene(tmp_path / "test", "001", 3000)
    return tmp_path


@pytest.mark.parametrize("aperture", LEVELS)
def test_samples_of_an_aperture(folder: Path, aperture: str) -> None:
    dataset = OneraDfd(folder, "train", aperture)
    assert dataset.names == ["000", "004", "012"] and len(dataset) == 3 and dataset.label_set is None
    sample = dataset[1]
    assert (sample.name, dataset[-1].name, sample.label) == ("004", "012", None)
    np.testing.assert_allclose(sample.rgb[0, 0], (LEVELS[aperture], 0, 0), atol=2)
    np.testing.assert_allclose(sample.depth, 1.4)
    assert sample.camera.shape == sample.depth.shape == (432, 645)
    assert [s.name for s in OneraDfd(folder, "test", aperture)] == ["001"]
    with pytest.raises(IndexError):
        dataset[3]


def test_kinds_are_the_apertures(folder: Path) -> None:
    for kind, aperture in (("onera_dfd", "f2_8"), ("onera_dfd_f8", "f8")):
        dataset = open_dataset(f"{kind}:{folder}", "test")
        assert isinstance(dataset, OneraDfd) and (dataset.aperture, dataset.names) == (aperture, ["001"])


def test_lists(folder: Path, tmp_path: Path) -> None:
    (folder / "mine.txt").write_text("012\n000\n")
    dataset = OneraDfd(folder, "mine")
    assert [dataset[i].name for i in range(2)] == ["012", "000"]
    assert OneraDfd(folder, folder / "mine.txt").names == dataset.names
    with pytest.raises(DatasetError, match="onera_dfd: no list 'nothing' .*; known: fit, mine, val"):
        OneraDfd(folder, "nothing")


def test_neighbours_do_not_take_the_place_of_a_missing_file(folder: Path) -> None:
    (folder / "train" / "004.f2_8.jpg").unlink()
    with pytest.raises(DatasetError, match=r"train holds 004.depth.png without its 004.f2_8.jpg") as caught:
        OneraDfd(folder)
    assert "\n" not in str(caught.value)
    assert OneraDfd(folder, aperture="f8").names == ["000", "004", "012"]
    (folder / "train" / "004.depth.png").unlink()
    assert [(s.name, float(s.depth[0, 0])) for s in OneraDfd(folder)] == [("000", 1.0), ("012", np.float32(2.2))]
    with pytest.raises(DatasetError, match=r"train holds 004.f8.jpg without its 004.depth.png"):
        OneraDfd(folder, aperture="f8")


def test_refuses(folder: Path) -> None:
    with pytest.raises(DatasetError, match="aperture is 'f4'; apertures are f2_8, f8"):
        OneraDfd(folder, aperture="f4")
    with pytest.raises(DatasetError, match="folder .*nowhere does not exist"):
        OneraDfd(folder / "nowhere")
    shutil.rmtree(folder / "test")
    with pytest.raises(DatasetError, match="folder .*test does not exist"):
        OneraDfd(folder, "test")
    (folder / "test").mkdir()
    with pytest.raises(DatasetError, match=r"holds no \*.f2_8.jpg and no \*.depth.png"):
        OneraDfd(folder, "test")
    cv2.imwrite(str(folder / "train" / "004.depth.png"), np.full((4, 5), 1000, np.uint16))
    with pytest.raises(DatasetError, match="004.depth.png is 5x4; expected 645x432"):
        OneraDfd(folder)[1]


@real
def test_our_lists_divide_the_training_scenes() -> None:
    train, fit, val = (OneraDfd(DATA, split).names for split in ("train", "fit", "val"))
    assert sorted(fit + val) == train and len(train) == 41 and len(val) == 9
    assert 2.0 < np.median(OneraDfd(DATA, "val")[0].depth) < 3.5


@real
def test_the_lenses_explain_the_difference_between_the_apertures() -> None:
    """Scenes between whose exposures the camera did not turn: f/8 blurred by the lens comes nearer to f/2.8."""
    wide, narrow = OneraDfd(DATA), OneraDfd(DATA, aperture="f8")
    for name in ("066", "068", "080"):
        k = wide.names.index(name)
        sharp, real_blur = narrow[k], cv2.cvtColor(wide[k].rgb, cv2.COLOR_RGB2GRAY)
        blurred = cv2.cvtColor(defocused(sharp.rgb, sharp.depth, LENSES["f2_8"], "disk"), cv2.COLOR_RGB2GRAY)
        before = cv2.cvtColor(sharp.rgb, cv2.COLOR_RGB2GRAY)
        assert correlation(real_blur, blurred) > correlation(real_blur, before)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(cv2.Laplacian(one, cv2.CV_32F).ravel(), cv2.Laplacian(other, cv2.CV_32F).ravel())[0, 1])
