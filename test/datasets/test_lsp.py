"""Leeds Sports Pose: a small folder written here, and the published images where they are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from scene_understanding.datasets.lsp import COCO18_OF_LSP, Lsp
from scene_understanding.datasets.open_people import open_people
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.labels.keypoints import COCO18_NAMES

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "lsp"
JOINTS = ("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
          "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck")  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten images of 30x20; joint k of image i is at (k + 0.5, i), the right knee is hidden."""
    (tmp_path / "images").mkdir()
    joints = np.zeros((3, 14, 10))
    joints[0] = np.arange(14)[:, None] + 0.5
    joints[1] = np.arange(10)
    joints[2, 1] = 1
    for i in range(10):
        cv2.imwrite(str(tmp_path / f"images/im{i + 1:04d}.jpg"), np.full((20, 30, 3), (0, 0, 20 * i), np.uint8))
    savemat(tmp_path / "joints.mat", {"joints": joints})
    return tmp_path


def test_a_sample_is_one_person(folder: Path) -> None:
    sample = Lsp(folder)[3]
    assert sample.name == "im0004" and sample.rgb.shape == (20, 30, 3) and sample.rgb.dtype == np.uint8
    np.testing.assert_allclose(sample.rgb[0, 0], (60, 0, 0), atol=3)
    assert sample.pixels.shape == (1, 18, 2) and sample.pixels.dtype == np.float32
    for joint, name in enumerate(JOINTS):
        np.testing.assert_array_equal(sample.pixels[0, COCO18_NAMES.index(name)], (joint + 0.5, 3))
    assert np.isnan(sample.area).all() and sample.depth is sample.camera is sample.points is None


def test_hidden_joints_are_labelled_and_not_seen(folder: Path) -> None:
    sample = Lsp(folder)[0]
    labelled = {COCO18_NAMES[k] for k in np.flatnonzero(sample.labelled)}
    assert labelled == set(JOINTS) and len(COCO18_OF_LSP) == len(JOINTS)
    np.testing.assert_array_equal(np.isfinite(sample.pixels[0, :, 0]), sample.labelled)
    assert {COCO18_NAMES[k] for k in np.flatnonzero(sample.seen[0])} == labelled - {"right_knee"}


def test_splits_are_the_first_and_the_last(folder: Path) -> None:
    fit, val, all_ = (Lsp(folder, split) for split in ("fit", "val", "all"))
    assert (len(fit), len(val), len(all_)) == (8, 2, 10)
    assert [fit[k].name for k in (0, -1)] == ["im0001", "im0008"]
    assert [val[k].name for k in (0, -1)] == ["im0009", "im0010"]
    np.testing.assert_array_equal(val[1].pixels, all_[9].pixels)
    with pytest.raises(IndexError):
        val[2]


def test_it_opens_by_its_spelling(folder: Path) -> None:
    assert len(open_people(f"lsp:{folder}")) == 10 and len(open_people(f"lsp:{folder}", "val")) == 2
    with pytest.raises(DatasetError, match="lsp shows one person an image"):
        open_people(f"lsp:{folder}", people=2)
    with pytest.raises(DatasetError, match="'nyuv2' is no dataset with people; those are lsp, embedded"):
        open_people("nyuv2:x")
    with pytest.raises(DatasetError, match="embedded has no lists of images, so no split 'val'"):
        open_people("embedded:5", "val")


def test_refuses(folder: Path) -> None:
    with pytest.raises(DatasetError, match="lsp has no split 'train'; it has fit, val, all"):
        Lsp(folder, "train")
    with pytest.raises(DatasetError, match="joints.mat is missing"):
        Lsp(folder / "nowhere")
    (folder / "images/im0010.jpg").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="im0010.jpg is damaged or not an image"):
        Lsp(folder)[9]
    (folder / "images/im0010.jpg").unlink()
    with pytest.raises(DatasetError, match="has 9 images and joints of 10"):
        Lsp(folder)
    savemat(folder / "joints.mat", {"joints": np.zeros((3, 12, 9))})
    with pytest.raises(DatasetError, match=r"holds \(3, 12, 9\); expected 3 x 14 x images"):
        Lsp(folder)


@pytest.mark.skipif(not DATA.is_dir(), reason="LSP is not beside the repository (shared/data/lsp)")
def test_the_published_images() -> None:
    fit, val = Lsp(DATA, "fit"), Lsp(DATA, "val")
    assert (len(fit), len(val)) == (800, 200)
    for sample in (fit[0], fit[-1], val[0], val[-1]):
        height, width = sample.rgb.shape[:2]
        points = sample.pixels[0, sample.labelled]
        assert (points > -1).all() and (points < (width, height)).all()
    upright = [s.pixels[0, 1, 1] < s.pixels[0, [10, 13], 1].min() for s in (fit[k] for k in range(0, 800, 40))]
    assert np.mean(upright) > 0.8  # the neck is above the ankles
