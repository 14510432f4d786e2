"""Stereo pairs of KITTI: read by name, with their calibration, in lists that do not overlap."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from scene_understanding.datasets.kitti_stereo import KittiStereo
from scene_understanding.datasets.open import open_dataset, open_stereo
from scene_understanding.datasets.rgbd import DatasetError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "kitti_stereo"
CALIBRATION = "P0: 70 0 30 0 0 70 10 0 0 0 1 0\nP1: 70 0 30 -35 0 70 10 0 0 0 1 0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for sequence, count in (("seq1", 16), ("seq2", 2)):
        for side, grey in (("left", 50), ("right", 150)):
            (tmp_path / sequence / side).mkdir(parents=True)
            for i in range(count):
                image = np.full((20, 60 + (sequence == "seq2")), grey + i, np.uint8)
                cv2.imwrite(str(tmp_path / sequence / side / f"{i:06d}.png"), image)
        (tmp_path / sequence / "calib.txt").write_text(CALIBRATION)
    return tmp_path


def test_pairs_with_their_calibration(folder: Path) -> None:
    pairs = open_stereo(f"kitti_stereo:{folder}")
    assert len(pairs) == 18 and pairs[-1].left.shape == (20, 61, 3)
    pair = pairs[3]
    assert (pair.name, pair.left[0, 0, 0], pair.right[0, 0, 0]) == ("seq1_000003", 53, 153)
    assert (pair.camera.fx, pair.camera.cx, pair.baseline) == (70, 30, pytest.approx(0.5))


def test_a_calibration_without_names_is_the_same(folder: Path) -> None:
    before = KittiStereo(folder)[0]
    (folder / "seq1/calib.txt").write_text(CALIBRATION.replace("P0: ", "").replace("P1: ", ""))
    after = KittiStereo(folder)[0]
    assert (after.camera, after.baseline) == (before.camera, before.baseline)


def test_lists_are_apart(folder: Path) -> None:
    fit, val = (KittiStereo(folder, split) for split in ("fit", "val"))
    assert [pair.name for pair in fit] == [f"seq1_{i:06d}" for i in range(4)]
    assert [pair.name for pair in val] == [f"seq1_{i:06d}" for i in range(6, 16)]


def test_what_is_wrong_is_one_line(folder: Path) -> None:
    with pytest.raises(DatasetError, match="no split 'test'; it has fit, val, all"):
        KittiStereo(folder, "test")
    with pytest.raises(DatasetError, match="are for networks of disparity"):
        open_dataset(f"kitti_stereo:{folder}")
    with pytest.raises(DatasetError, match="nyuv2 holds no stereo pairs; kitti_stereo does"):
        open_stereo(f"nyuv2:{folder}")
    with pytest.raises(DatasetError, match="kitti_stereo has no place: give --data kitti_stereo:PLACE"):
        open_stereo("kitti_stereo")
    (folder / "seq2/right/000001.png").unlink()
    with pytest.raises(DatasetError, match="has one image of 000001, not two"):
        KittiStereo(folder)
    calibration = folder / "seq1/calib.txt"
    for text, message in (
        ("P0: 1 2\n", "does not begin with P0 and P1"),
        (CALIBRATION.replace("-35", "35"), "baseline is"),
    ):
        calibration.write_text(text)
        with pytest.raises(DatasetError, match=message):
            KittiStereo(folder, "fit")
    with pytest.raises(DatasetError, match="holds no sequence such as seq1"):
        KittiStereo(folder / "seq1/left")


@pytest.mark.skipif(not DATA.is_dir(), reason="KITTI is not beside the repository (shared/data/kitti_stereo)")
def test_the_real_pairs() -> None:
    fit, val = (KittiStereo(DATA, split) for split in ("fit", "val"))
    assert (len(fit), len(val)) == (39, 10)
    pair = val[0]
    assert pair.left.shape == pair.right.shape == (*pair.camera.shape, 3) == (370, 1226, 3)
    assert pair.baseline == pytest.approx(0.537, abs=1e-3)
