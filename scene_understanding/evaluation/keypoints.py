"""How well and how fast a pose network finds the people of a dataset; `docs/evaluation.md` says how."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.people import PeopleSample
from scene_understanding.evaluation.keypoint_metrics import MOST, REACH, Judgement, judged
from scene_understanding.evaluation.timing import KEPT, EvaluationError, TimedNetwork, timed
from scene_understanding.perception.lifting import lift_by_depth
from scene_understanding.perception.pose_estimator import PoseEstimator
from scene_understanding.perception.skeletons import Skeletons


@dataclass(frozen=True, eq=False)
class Judged:
    """One image and what the network made of it."""

    sample: PeopleSample
    found: Skeletons
    judgement: Judgement


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Attributes:
    judgements: of every image, by its name.
    network_ms, total_ms: (N,) milliseconds in the network, and with preparing and decoding.
    worst: the images with the smallest share of right joints, worst first.
    """

    judgements: dict[str, Judgement]
    network_ms: NDArray[np.float64]
    total_ms: NDArray[np.float64]
    worst: tuple[Judged, ...]


def evaluate(
    network: TimedNetwork,
    samples: Iterable[PeopleSample],
    single: bool = False,
    reach: float = REACH,
    most: int = MOST,
    second_look: int = 0,
) -> Evaluation:
    """Finds the people of every image; where it has depth, their joints in space too.

    Args:
        samples: reading one is not timed, nor is putting joints into space.
        single: as `judged` has it; the network's maps are then decoded to one person.
        reach, most: as in `judged`.
        second_look: as `PoseEstimator` has it; not with `single`.

    Raises:
        EvaluationError: no images, nobody in them to find, or, with `single`, an image without exactly one person.
    """
    estimator = PoseEstimator(network, second_look=second_look)
    look = partial(only_person, estimator) if single else estimator
    judgements: dict[str, Judgement] = {}
    times: list[tuple[float, float]] = []
    worst: list[Judged] = []
    for sample in samples:
        if single and len(sample.pixels) != 1:
            raise EvaluationError(f"image {sample.name} has {len(sample.pixels)} people; exactly one is expected")
        found, milliseconds = timed(network, partial(look, sample.rgb), not times)
        times.append(milliseconds)
        judgement = judgements[sample.name] = judge(sample, found, single, reach, most)
        if judgement.judged.any():
            worst = sorted([*worst, Judged(sample, found, judgement)], key=lambda j: j.judgement.summary["pck"])[:KEPT]
    if not times:
        raise EvaluationError("the dataset has no images")
    if not any(judgement.matching.people for judgement in judgements.values()):
        raise EvaluationError("no image shows anybody who counts: large enough, with a keypoint that is seen")
    network_ms, total_ms = np.array(times).T
    return Evaluation(judgements, network_ms, total_ms, tuple(worst))


def only_person(estimator: PoseEstimator, color: NDArray[np.uint8]) -> Skeletons:
    """The person in an image (H, W, 3) uint8 RGB that shows exactly one."""
    return estimator.decide_single(estimator.infer(estimator.prepare(color)), color.shape)


def judge(
    sample: PeopleSample, found: Skeletons, single: bool = False, reach: float = REACH, most: int = MOST
) -> Judgement:
    """What is right and wrong in an image; joints in space are put there by its depth.

    Args:
        single, reach, most: as in `judged`.
    """
    places = None
    if sample.points is not None and sample.depth is not None and sample.camera is not None:
        places = sample.points, lift_by_depth(found.pixels, sample.depth, sample.camera)
    return judged(sample, found, places, single, reach, most)
