from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.evaluation.pictures import write_confusion, write_judged, wrong_pixels
from scene_understanding.evaluation.segmentation import Evaluation, Judged, scored_classes
from scene_understanding.geometry import PinholeCamera
from scene_understanding.labels import load_label_set


def judged(depth: float) -> Judged:
    rgb = np.full((12, 16, 3), 90, np.uint8)
    truth = np.full((12, 16), 5, np.uint8)
    truth[0] = 255
    label = truth.copy()
    label[6:] = 11
    camera = PinholeCamera.from_fov(16, 12, 1.0)
    return Judged(RgbdSample("a", rgb, np.full((12, 16), depth, np.float32), camera, truth), label, 0.5)


def test_wrong_pixels_are_reddish_right_ones_grey_the_rest_black() -> None:
    image = judged(2.0)
    assert image.sample.label is not None
    picture = wrong_pixels(image.sample, image.label, image.sample.label != 255)
    assert picture.dtype == np.uint8
    assert (picture[0] == 0).all() and (picture[1:6] == 90).all()
    assert (picture[6:, :, 0] > 180).all() and (picture[6:, :, 1:] < 50).all()


@pytest.mark.parametrize("depth", [2.0, np.nan])
@pytest.mark.parametrize("name", ["nyu13", "nyu40"])
def test_failures_are_drawn(tmp_path: Path, name: str, depth: float) -> None:
    pytest.importorskip("matplotlib")
    labels = load_label_set(name)
    write_judged(judged(depth), scored_classes(labels, labels.ids[-1:]), labels, tmp_path / "a.png")
    drawn = cv2.imread(str(tmp_path / "a.png"))
    assert drawn is not None and drawn.shape[1] > 1000 and drawn.shape[0] > 600
    truth = labels.palette[5][::-1]
    assert (drawn == truth).all(axis=2).sum() > 20000


@pytest.mark.parametrize("name", ["nyu13", "nyu40"])
def test_confusion_matrix_is_drawn(tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    labels = load_label_set(name)
    counts = np.random.default_rng(0).integers(0, 9, (len(labels), len(labels) + 1))
    counts[3] = 0
    evaluation = Evaluation(labels, counts, np.ones(1), np.ones(1), ())
    write_confusion(evaluation, "a title", tmp_path / "confusion.png")
    drawn = cv2.imread(str(tmp_path / "confusion.png"))
    assert drawn is not None and min(drawn.shape[:2]) > 700
