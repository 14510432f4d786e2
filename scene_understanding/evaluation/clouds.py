"""How well and how fast SnapNet labels the points of clouds."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.labelled_clouds import LabelledCloud
from scene_understanding.evaluation.segmentation_metrics import confusion_of_ids
from scene_understanding.evaluation.timing import WARM_UP, EvaluationError, TimedNetwork
from scene_understanding.labels import LabelSet
from scene_understanding.perception.snapnet import SnapNet, SnapNetParameters


@dataclass(frozen=True, eq=False)
class JudgedCloud:
    """One cloud and what the network made of it.

    Attributes:
        label: (N,) uint16 class ids as predicted.
        confusion: (K, K + 1) int64 of its labelled points, see `segmentation_metrics`.
        seconds: for everything from the points to their labels; network_seconds: of them in the network.
    """

    sample: LabelledCloud
    label: NDArray[np.uint16]
    confusion: NDArray[np.int64]
    seconds: float
    network_seconds: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Attributes:
    classes: what is scored.
    clouds: each cloud, in order.
    """

    classes: LabelSet
    clouds: tuple[JudgedCloud, ...]

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(K, K + 1) int64 over the points of all clouds."""
        return np.sum([judged.confusion for judged in self.clouds], axis=0)

    @property
    def points(self) -> int:
        """Of all clouds, whether labelled or not."""
        return sum(len(judged.label) for judged in self.clouds)

    @property
    def points_per_s(self) -> float:
        """Points that get their labels in a second."""
        return self.points / sum(judged.seconds for judged in self.clouds)


def evaluate(
    network: TimedNetwork, samples: Iterable[LabelledCloud], parameters: SnapNetParameters | None = None
) -> Evaluation:
    """Labels every cloud and counts all of its labelled points; reading a cloud is not timed.

    Args:
        samples: with labels in the label set of the network.
        parameters: of SnapNet; None: those of the network's card.

    Raises:
        EvaluationError: no clouds, or one without labels.
    """
    snapnet = SnapNet(network, parameters)
    warm = {name: np.zeros(spec.shape, np.float32) for name, spec in network.card.inputs.items()}
    for _ in range(WARM_UP):
        network(warm)
    clouds = [_judged(snapnet, network, sample) for sample in samples]
    if not clouds:
        raise EvaluationError("the dataset has no clouds")
    return Evaluation(snapnet.labels, tuple(clouds))


def _judged(snapnet: SnapNet, network: TimedNetwork, sample: LabelledCloud) -> JudgedCloud:
    truth, labels = sample.cloud.label, snapnet.labels
    if truth is None:
        raise EvaluationError(f"cloud {sample.name} has no labels, so there is nothing to score against")
    network.seconds = 0.0
    started = time.perf_counter()
    label = snapnet(sample.cloud).label
    seconds = time.perf_counter() - started
    assert label is not None
    confusion = confusion_of_ids(truth, label, labels.ids)
    return JudgedCloud(sample, label, confusion, seconds, network.seconds)
