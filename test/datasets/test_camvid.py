"""CamVid: a small folder of each of the two forms, and the real one where it is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from scene_understanding.datasets.open import open_dataset
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.labels import load_label_set

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "camvid"


def write_camvid(folder: Path, colour: str = "train", label: str = "trainannot") -> Path:
    for part in (colour, label):
        (folder / part).mkdir(parents=True)
    for name in ("b", "a"):
        cv2.imwrite(str(folder / colour / f"{name}.png"), np.full((36, 48, 3), (3, 2, 1), np.uint8))
        ids = np.full((36, 48), 3, np.uint8)
        ids[:6], ids[-2:] = 0, 11
        cv2.imwrite(str(folder / label / f"{name}.png"), ids)
    return folder


@pytest.mark.parametrize(("colour", "label"), [("train", "trainannot"), ("train/rgb", "train/labels")])
def test_sample(tmp_path: Path, colour: str, label: str) -> None:
    dataset = open_dataset(f"camvid:{write_camvid(tmp_path, colour, label)}")
    assert (len(dataset), dataset.label_set) == (2, "camvid11")
    sample = dataset[0]
    assert (sample.name, tuple(sample.rgb[0, 0])) == ("a", (1, 2, 3))
    assert sample.depth.shape == (36, 48) and np.isnan(sample.depth).all()
    assert sample.label is not None and sample.label[[0, 20, 35], 0].tolist() == [0, 3, 255]
    assert sample.camera.shape == (36, 48)
    streets = open_dataset(f"camvid:{tmp_path}", label_set="cityscapes19")[0].label
    names = load_label_set("cityscapes19")
    assert streets is not None and [names.name_of(int(i)) for i in streets[[0, 20], 0]] == ["sky", "road"]


def test_what_is_wrong_is_one_clear_line(tmp_path: Path) -> None:
    folder = write_camvid(tmp_path)
    with pytest.raises(DatasetError, match="has no part 'val'; it has train"):
        open_dataset(f"camvid:{folder}", "val")
    cv2.imwrite(str(folder / "trainannot/a.png"), np.full((36, 48), 12, np.uint8))
    with pytest.raises(DatasetError, match=r"trainannot/a.png holds ids that are no class: 12 \(1728 pixels\)"):
        open_dataset(f"camvid:{folder}")[0]
    (folder / "trainannot/b.png").unlink()
    with pytest.raises(DatasetError, match="trainannot/b.png is missing"):
        open_dataset(f"camvid:{folder}")[1]


@pytest.mark.skipif(not DATA.is_dir(), reason="CamVid is not beside the repository (shared/data/camvid)")
def test_real_camvid() -> None:
    train, val = open_dataset(f"camvid:{DATA}"), open_dataset(f"camvid:{DATA}", "val")
    assert (len(train), len(val)) == (367, 101)
    names, shares = load_label_set("camvid11"), np.zeros(256)
    for k in range(0, 101, 10):
        sample = val[k]
        assert sample.rgb.shape == (360, 480, 3) and sample.label is not None
        shares += np.bincount(sample.label.ravel(), minlength=256) / sample.label.size / 11
    assert shares[names.id_of("road")] > 0.2 and shares[:11].sum() + shares[255] == pytest.approx(1)
