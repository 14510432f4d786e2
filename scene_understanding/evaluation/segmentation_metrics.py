"""Segmentation metrics as functions of a confusion matrix (Long et al., CVPR 2015, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def confusion_matrix(truth: NDArray[np.integer], label: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """(K, K + 1) counts: a row per true class, a column per predicted class and a last one for "none of them".

    Pixels whose truth is not below K (255: void) do not count; unlabelled predictions count as wrong.
    """
    scored = truth < classes
    predicted = np.minimum(label[scored], classes).astype(np.int64)
    index = truth[scored].astype(np.int64) * (classes + 1) + predicted
    return np.bincount(index, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def confusion_of_ids(
    truth: NDArray[np.unsignedinteger], label: NDArray[np.unsignedinteger], ids: Sequence[int]
) -> NDArray[np.int64]:
    """`confusion_matrix` of class ids, uint8 or uint16, of a label set; other true ids do not count."""
    column = np.full(1 << 16, len(ids), np.int64)
    column[list(ids)] = np.arange(len(ids))
    return confusion_matrix(column[truth], column[label], len(ids))


def overall_accuracy(confusion: NDArray[np.int64]) -> float:
    """Share of scored pixels that are right; NaN if there are none."""
    return _ratio(np.trace(confusion), confusion.sum())


def class_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """(K,) TP / (TP + FN); NaN for classes that the truth does not have."""
    return _ratios(np.diagonal(confusion), confusion.sum(axis=1))


def class_iou(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """(K,) TP / (TP + FP + FN); NaN for classes that neither truth nor prediction has."""
    hits = np.diagonal(confusion)
    classes = len(confusion)
    return _ratios(hits, confusion.sum(axis=1) + confusion[:, :classes].sum(axis=0) - hits)


def summary(confusion: NDArray[np.int64], names: tuple[str, ...]) -> dict[str, Any]:
    """`{"oa", "ma", "miou", "iou": {name: share or None}}`; means over classes that the truth has."""
    iou, present = class_iou(confusion), confusion.sum(axis=1) > 0
    mean = lambda values: float(values[present].mean()) if present.any() else float("nan")  # noqa: E731
    return {
        "oa": overall_accuracy(confusion),
        "ma": mean(class_accuracy(confusion)),
        "miou": mean(iou),
        "iou": {name: float(v) if p else None for name, v, p in zip(names, iou, present, strict=True)},
    }


def by_class(confusion: NDArray[np.int64], names: tuple[str, ...]) -> dict[str, dict[str, float | None]]:
    """`accuracy` and `share` of the scored pixels by name of the class, None if the truth has none."""
    pixels = confusion.sum(axis=1)
    values = {"accuracy": class_accuracy(confusion), "share": pixels / max(pixels.sum(), 1)}
    return {
        key: {name: float(v) if n else None for name, v, n in zip(names, of_class, pixels, strict=True)}
        for key, of_class in values.items()
    }


def _ratio(a: float, b: float) -> float:
    return float(a / b) if b else float("nan")


def _ratios(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(a, b, out=np.full(len(a), np.nan), where=b > 0)
