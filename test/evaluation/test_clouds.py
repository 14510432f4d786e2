"""Scores of points: all points of the clouds count, unlabelled ones do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scene_understanding.datasets.labelled_clouds import LabelledCloud
from scene_understanding.evaluation.cloud_pictures import write_cloud
from scene_understanding.evaluation.clouds import evaluate
from scene_understanding.evaluation.timing import EvaluationError, TimedNetwork
from scene_understanding.geometry import PointCloud
from scene_understanding.inference.card import read_card
from scene_understanding.perception.snapnet import SnapNetParameters

PARAMETERS = SnapNetParameters(size=48, distances=(6.0,), voxel=0.2, views=2000)
IDS = np.array([1, 2, 4], np.uint16)


@pytest.fixture
def network(tiny_model: Callable[..., Path]) -> TimedNetwork:
    """Each pixel, and so each point, gets the class of its strongest colour: 1, 2 and 4."""
    folder = tiny_model((48, 48), task="cloud_segmentation", snapnet=PARAMETERS.as_card())
    return TimedNetwork(read_card(folder), "cpu", 1)


def street(name: str = "street") -> LabelledCloud:
    """A floor of 9 x 6 m in three stripes of pure colour, two points a voxel, labelled as the network sees them."""
    x, y = np.meshgrid(np.arange(0.05, 9, 0.1), np.arange(0.05, 6, 0.2), indexing="ij")
    xyz = np.stack([x, y, np.zeros_like(x)], -1).reshape(-1, 3).astype(np.float32)
    stripe = np.minimum(xyz[:, 0] // 3, 2).astype(int)
    rgb = 255 * np.eye(3, dtype=np.uint8)[stripe]
    return LabelledCloud(name, PointCloud(xyz, rgb, IDS[stripe]))


def test_what_is_labelled_as_seen_is_right(network: TimedNetwork) -> None:
    done = evaluate(network, [street(), street("again")])
    assert done.points == 2 * len(street().label) and done.points_per_s > 0
    assert done.confusion[:, :3].sum() == done.confusion.sum() == done.points
    share = np.trace(done.confusion) / done.confusion.sum()
    assert share > 0.97  # but for points at the border between stripes whose voxel's point is of the other one
    first, again = done.clouds
    assert np.array_equal(first.label, again.label) and 0 < first.network_seconds < first.seconds


def test_unlabelled_points_do_not_count_and_wrong_ones_do(network: TimedNetwork) -> None:
    sample, clean = street(), evaluate(network, [street()])
    truth = sample.label.copy()
    middle = np.flatnonzero(np.abs(sample.cloud.xyz[:, 0] - 4.5) < 1)
    truth[middle[::2]], truth[middle[1::2]] = 255, 4
    done = evaluate(network, [LabelledCloud("other", PointCloud(sample.cloud.xyz, sample.cloud.rgb, truth))])
    assert done.confusion.sum() == clean.confusion.sum() - len(middle[::2])
    assert done.confusion[2, 1] - clean.confusion[2, 1] == len(middle[1::2])
    assert done.points == clean.points


def test_parameters_may_be_others_than_those_of_the_card(network: TimedNetwork) -> None:
    few = evaluate(network, [street()], SnapNetParameters(**{**PARAMETERS.as_card(), "views": 1}))
    assert few.clouds[0].network_seconds < evaluate(network, [street()]).clouds[0].network_seconds


def test_what_cannot_be_scored_is_said(network: TimedNetwork) -> None:
    with pytest.raises(EvaluationError, match="no clouds"):
        evaluate(network, [])
    with pytest.raises(EvaluationError, match="cloud bare has no labels"):
        evaluate(network, [LabelledCloud("bare", PointCloud(street().cloud.xyz, street().cloud.rgb))])


def test_the_picture_shows_wrong_points_in_red(network: TimedNetwork, tmp_path: Path) -> None:
    cv2, image = pytest.importorskip("cv2"), tmp_path / "street.png"
    pytest.importorskip("matplotlib")
    sample, reds = street(), []
    for wrong in (0, 600):
        truth = sample.label.copy()
        truth[:wrong] = 2
        done = evaluate(network, [LabelledCloud("street", PointCloud(sample.cloud.xyz, sample.cloud.rgb, truth))])
        write_cloud(done.clouds[0], done.classes, image)
        picture = cv2.imread(str(image))[:, :, ::-1]
        third = picture[:, 2 * picture.shape[1] // 3 :]
        reds.append(int((np.abs(third.astype(int) - (235, 20, 20)).sum(-1) < 30).sum()))
    assert reds[1] > reds[0] + 500
