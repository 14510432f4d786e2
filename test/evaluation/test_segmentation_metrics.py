import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from scene_understanding.evaluation.segmentation_metrics import (
    class_accuracy,
    class_iou,
    confusion_matrix,
    confusion_of_ids,
    overall_accuracy,
    summary,
)

LABELS = arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1, 2, 255]))


def test_a_small_example_by_hand() -> None:
    truth = np.array([0, 0, 0, 1, 1, 255], np.uint8)
    label = np.array([0, 0, 1, 1, 255, 0], np.uint8)
    confusion = confusion_matrix(truth, label, 3)
    assert confusion.tolist() == [[2, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]]
    assert overall_accuracy(confusion) == pytest.approx(3 / 5)
    np.testing.assert_allclose(class_accuracy(confusion), [2 / 3, 1 / 2, np.nan])
    np.testing.assert_allclose(class_iou(confusion), [2 / 3, 1 / 3, np.nan])
    assert summary(confusion, ("a", "b", "c")) == {
        "oa": pytest.approx(0.6), "ma": pytest.approx(7 / 12), "miou": pytest.approx(0.5),
        "iou": {"a": pytest.approx(2 / 3), "b": pytest.approx(1 / 3), "c": None},
    }  # fmt: skip


@given(truth=LABELS, label=LABELS)
def test_iou_as_sets(truth: np.ndarray, label: np.ndarray) -> None:
    iou = class_iou(confusion_matrix(truth, label, 3))
    for k in range(3):
        a, b = truth == k, (label == k) & (truth != 255)
        union = (a | b).sum()
        assert math.isnan(iou[k]) if union == 0 else iou[k] == pytest.approx((a & b).sum() / union)


def test_no_scored_pixel_gives_nan() -> None:
    nothing = np.full(4, 255, np.uint8)
    assert math.isnan(overall_accuracy(confusion_matrix(nothing, nothing, 2)))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_ids_of_a_label_set_become_rows_and_columns(kind):
    truth, label = np.array([3, 3, 7, 255, 0], kind), np.array([3, 7, 255, 3, 3], kind)
    assert confusion_of_ids(truth, label, (3, 7)).tolist() == [[1, 1, 0], [0, 0, 1]]
