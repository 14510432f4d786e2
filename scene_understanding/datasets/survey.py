"""Going through a dataset: what is in it, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.rgbd import DatasetError, RgbdDataset, millimetres
from scene_understanding.labels import UNLABELLED, load_label_set


def survey(dataset: RgbdDataset, positions: Iterable[int]) -> dict[str, Any]:
    """Reads the samples at `positions` and goes on where one cannot be read.

    Returns:
        frames: how many were asked for; good: how many of them could be read; errors: a line for each of the others.
        sizes: "WxH" to frames of that size.
        depth: share of pixels where it is `known`, and min, p1, median, p99, max of those in metres, to the millimetre;
            None where it is known nowhere.
        label_set: None where there are no labels; then `classes` is empty and `unlabelled` None.
        unlabelled: share of all pixels.
        classes: name to `share` of the labelled pixels and number of `images` with the class.
    """
    errors: list[str] = []
    sizes: Counter[str] = Counter()
    depths = np.zeros(65536, np.int64)
    pixels, images = np.zeros(256, np.int64), np.zeros(256, np.int64)
    frames = 0
    for position in positions:
        frames += 1
        try:
            sample = dataset[position]
        except DatasetError as error:
            errors.append(str(error))
            continue
        sizes[f"{sample.camera.width}x{sample.camera.height}"] += 1
        depths += np.bincount(millimetres(sample.depth).ravel(), minlength=65536)
        if sample.label is not None:
            counts = np.bincount(sample.label.ravel(), minlength=256)
            pixels += counts
            images += counts > 0
    return {
        "frames": frames, "good": frames - len(errors), "sizes": dict(sizes), "depth": _depth(depths),
        "label_set": dataset.label_set, **_classes(dataset.label_set, pixels, images), "errors": errors,
    }  # fmt: skip


def _depth(counts: NDArray[np.int64]) -> dict[str, float] | None:
    """`counts` (65536,) of millimetres, 0 for unknown."""
    known = np.cumsum(counts[1:])
    if not known[-1:].any():
        return None
    wanted = {"min": 0.0, "p1": 0.01, "median": 0.5, "p99": 0.99, "max": 1.0}
    found = {
        name: (1 + int(np.searchsorted(known, max(1, share * known[-1])))) / 1000 for name, share in wanted.items()
    }
    return {"known": float(known[-1] / counts.sum()), **found}


def _classes(label_set: str | None, pixels: NDArray[np.int64], images: NDArray[np.int64]) -> dict[str, Any]:
    if label_set is None:
        return {"unlabelled": None, "classes": {}}
    labels, all_pixels = load_label_set(label_set), max(int(pixels.sum()), 1)
    labelled = max(all_pixels - int(pixels[UNLABELLED]), 1)
    return {
        "unlabelled": float(pixels[UNLABELLED] / all_pixels),
        "classes": {
            name: {"share": float(pixels[class_id] / labelled), "images": int(images[class_id])}
            for class_id, name in zip(labels.ids, labels.names, strict=True)
        },
    }
