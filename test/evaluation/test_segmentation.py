"""A network whose every answer is known (the class of the strongest colour), against truth by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.evaluation.segmentation import evaluate, scored_classes
from scene_understanding.evaluation.segmentation_metrics import summary
from scene_understanding.evaluation.timing import KEPT, EvaluationError, TimedNetwork
from scene_understanding.geometry import PinholeCamera
from scene_understanding.inference.card import read_card
from scene_understanding.labels import load_label_set

RED, GREEN, BLUE, VOID = 1, 2, 4, 255


def network(folder: Path) -> TimedNetwork:
    return TimedNetwork(read_card(folder), "cpu", 1)


def sample(found: list[list[int]], truth: list[list[int]] | None, name: str = "a", depth: float = 2.0) -> RgbdSample:
    """An image in which the network finds `found`; depth in metres everywhere."""
    return image(np.array(found, np.uint8), None if truth is None else np.array(truth, np.uint8), name, depth)


def image(found: NDArray[np.uint8], truth: NDArray[np.uint8] | None, name: str, depth: float) -> RgbdSample:
    rgb = np.stack([(found == k) * np.uint8(200) for k in (RED, GREEN, BLUE)], axis=-1)
    height, width = found.shape
    camera = PinholeCamera.from_fov(width, height, 1.0)
    return RgbdSample(name, rgb, np.full(found.shape, depth, np.float32), camera, truth)


def test_counts_are_those_by_hand_over_all_images(tiny_model: Callable[..., Path]) -> None:
    images = [
        sample([[RED, RED, GREEN, BLUE]], [[RED, GREEN, GREEN, VOID]], "a"),
        sample([[RED, RED, RED, RED]], [[RED, RED, RED, BLUE]], "b"),
    ]
    done = evaluate(network(tiny_model((1, 4))), images)
    assert done.confusion.tolist() == [[4, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
    assert summary(done.confusion, done.classes.names) == {
        "oa": pytest.approx(5 / 7), "ma": pytest.approx((1 + 1 / 2 + 0) / 3),
        "miou": pytest.approx((4 / 6 + 1 / 2 + 0) / 3),
        "iou": {"red": pytest.approx(4 / 6), "green": pytest.approx(1 / 2), "blue": 0.0},
    }  # fmt: skip
    assert [(judged.sample.name, judged.accuracy) for judged in done.worst] == [
        ("a", pytest.approx(2 / 3)),
        ("b", 0.75),
    ]
    assert done.worst[0].label.tolist() == [[RED, RED, GREEN, BLUE]]


def test_a_class_without_training_pixels_is_left_out_and_wrong_where_found(tiny_model: Callable[..., Path]) -> None:
    images = [sample([[RED, BLUE, GREEN, GREEN]], [[RED, RED, BLUE, GREEN]])]
    done = evaluate(network(tiny_model((1, 4))), images, unscored=(BLUE,))
    assert (done.classes.names, done.classes.ids) == (("red", "green"), (RED, GREEN))
    assert done.confusion.tolist() == [[1, 0, 1], [0, 1, 0]]


def test_an_image_without_scored_pixels_is_timed_only(tiny_model: Callable[..., Path]) -> None:
    done = evaluate(network(tiny_model((1, 2))), [sample([[RED, RED]], [[VOID, VOID]])])
    assert (done.confusion.sum(), done.worst, done.network_ms.shape) == (0, (), (1,))


def test_the_worst_are_kept(tiny_model: Callable[..., Path]) -> None:
    images = [sample([[RED] * 20], [[RED] * k + [BLUE] * (20 - k)], str(k)) for k in range(5, 20)]
    worst = evaluate(network(tiny_model((1, 20))), reversed(images)).worst
    assert [judged.sample.name for judged in worst] == [str(k) for k in range(5, 5 + KEPT)]


def test_every_pixel_of_a_larger_image_counts(tiny_model: Callable[..., Path]) -> None:
    found = np.repeat([[RED, GREEN]], 8, axis=0).repeat(6, axis=1).astype(np.uint8)
    truth = found.copy()
    truth[0, 0] = BLUE
    done = evaluate(network(tiny_model((4, 6))), [image(found, truth, "large", 2.0)])
    assert done.confusion.tolist() == [[47, 0, 0, 0], [0, 48, 0, 0], [1, 0, 0, 0]]


class Counting(TimedNetwork):
    calls = 0

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.calls += 1
        return super().__call__(inputs)


def test_views_and_mirrors_are_all_in_the_network_time(tiny_model: Callable[..., Path]) -> None:
    found = np.full((24, 32), RED, np.uint8)
    found[:, 16:] = GREEN
    counting = Counting(read_card(tiny_model((24, 32), depth=True)), "cpu", 1)
    done = evaluate(counting, [image(found, found, "a", 2.0)], views=5, flip=True)
    assert counting.calls == 4 * 10  # three times to warm up
    assert 0 < done.network_ms[0] < done.total_ms[0]
    assert np.trace(done.confusion) / done.confusion.sum() > 0.95


@pytest.mark.parametrize(
    ("images", "views", "message"),
    [
        ([], 1, "no images"),
        ([sample([[RED, RED]], None)], 1, "image a has no labels, so there is nothing to score against"),
        ([sample([[RED, RED]], [[RED, RED]], depth=np.nan)], 1, "image a has no depth, which model 'tiny' needs"),
    ],
)
def test_what_cannot_be_scored(
    tiny_model: Callable[..., Path], images: list[RgbdSample], views: int, message: str
) -> None:
    with pytest.raises(EvaluationError, match=message):
        evaluate(network(tiny_model((1, 2), depth=True)), images, views)


def test_views_need_depth_even_if_the_network_does_not(tiny_model: Callable[..., Path]) -> None:
    colour_only = [sample([[RED, RED]], [[RED, RED]], depth=np.nan)]
    assert evaluate(network(tiny_model((1, 2))), colour_only).confusion.sum() == 2
    with pytest.raises(EvaluationError, match="image a has no depth, which 5 views need; one view does not"):
        evaluate(network(tiny_model((1, 2))), colour_only, views=5)


def test_unscored_ids_must_be_classes(tiny_labels: Path) -> None:
    labels = load_label_set(tiny_labels)
    with pytest.raises(EvaluationError, match=r"unscored ids \[3, 9\] are no classes of tiny"):
        scored_classes(labels, (1, 9, 3))
    with pytest.raises(EvaluationError, match="no class of tiny is left"):
        scored_classes(labels, (1, 2, 4))
