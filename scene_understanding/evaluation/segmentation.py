"""How well and how fast a segmentation network labels a dataset; `docs/evaluation.md` says what is measured how."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.evaluation.segmentation_metrics import confusion_matrix, overall_accuracy
from scene_understanding.evaluation.timing import KEPT, EvaluationError, TimedNetwork, timed
from scene_understanding.geometry.views import IMAGE_UP
from scene_understanding.labels import LabelSet
from scene_understanding.perception.segmenter import Segmenter
from scene_understanding.perception.snapnet_r import SnapNetR


@dataclass(frozen=True, eq=False)
class Judged:
    """One image and what the network made of it.

    Attributes:
        label: (H, W) uint8 class ids as predicted.
        accuracy: share of its scored pixels that are right.
    """

    sample: RgbdSample
    label: NDArray[np.uint8]
    accuracy: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Attributes:
    classes: what is scored.
    confusion: (K, K + 1) int64 over all images, see `segmentation_metrics`.
    network_ms: (N,) milliseconds in the network for each image, all its views together.
    total_ms: (N,) the same with preparing inputs, rendering views, and deciding labels.
    worst: the images with the lowest accuracy, worst first.
    """

    classes: LabelSet
    confusion: NDArray[np.int64]
    network_ms: NDArray[np.float64]
    total_ms: NDArray[np.float64]
    worst: tuple[Judged, ...]


def scored_classes(labels: LabelSet, unscored: Collection[int]) -> LabelSet:
    """The label set without the ids that are not scored.

    Raises:
        EvaluationError: an id that is no class, or none is left.
    """
    if strangers := set(unscored) - set(labels.ids):
        raise EvaluationError(f"unscored ids {sorted(strangers)} are no classes of {labels.name}")
    kept = [i for i, class_id in enumerate(labels.ids) if class_id not in unscored]
    if not kept:
        raise EvaluationError(f"no class of {labels.name} is left to be scored")
    ids, names = tuple(labels.ids[i] for i in kept), tuple(labels.names[i] for i in kept)
    return LabelSet(labels.name, ids, names, labels.colours[kept])


def evaluate(
    network: TimedNetwork,
    samples: Iterable[RgbdSample],
    views: int = 1,
    flip: bool = False,
    unscored: Collection[int] = (),
) -> Evaluation:
    """Labels every image and counts its pixels, at the resolution of its labels.

    Args:
        samples: with labels in the label set of the network; reading one is not timed.
        views, flip: as in `SnapNetR`; upwards is that of the sample's pose where it has one.
        unscored: class ids whose pixels do not count, as void does not; where they are predicted that is wrong.

    Raises:
        EvaluationError: no images, an image without labels or needed depth, or wrong unscored ids.
    """
    segmenter = Segmenter(network)
    classes = scored_classes(segmenter.labels, unscored)
    column = np.full(256, len(classes), np.uint8)
    column[list(classes.ids)] = np.arange(len(classes))
    look = SnapNetR(segmenter, views, flip)
    confusion = np.zeros((len(classes), len(classes) + 1), np.int64)
    times: list[tuple[float, float]] = []
    worst: list[Judged] = []
    for sample in samples:
        truth = _checked_label(sample, segmenter, views)
        up = IMAGE_UP if sample.map_from_camera is None else sample.map_from_camera.rotation[2]
        found, milliseconds = timed(network, partial(look, sample.rgb, sample.depth, sample.camera, up), not times)
        label = found.label
        times.append(milliseconds)
        counts = confusion_matrix(column[truth], column[label], len(classes))
        confusion += counts
        if counts.any():
            worst = sorted([*worst, Judged(sample, label, overall_accuracy(counts))], key=lambda j: j.accuracy)[:KEPT]
    if not times:
        raise EvaluationError("the dataset has no images")
    network_ms, total_ms = np.array(times).T
    return Evaluation(classes, confusion, network_ms, total_ms, tuple(worst))


def _checked_label(sample: RgbdSample, segmenter: Segmenter, views: int) -> NDArray[np.uint8]:
    if sample.label is None:
        raise EvaluationError(f"image {sample.name} has no labels, so there is nothing to score against")
    if not np.isfinite(sample.depth).any():
        if segmenter.needs_depth:
            name = segmenter.network.card.name
            raise EvaluationError(f"image {sample.name} has no depth, which model '{name}' needs")
        if views > 1:
            raise EvaluationError(f"image {sample.name} has no depth, which {views} views need; one view does not")
    return sample.label
