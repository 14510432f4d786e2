"""How well and how fast a pose network finds the people of a dataset; `docs/evaluation.md` says how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.people import PeopleSample
from scene_understanding.evaluation.keypoint_metrics import (
    MOST,
    Bool,
    Float,
    Matching,
    average_precision,
    joint_errors,
    joints_right,
    matching,
    of_partners,
    partners,
    pck,
    uncounted,
)
from scene_understanding.evaluation.timing import KEPT, EvaluationError, TimedNetwork, timed
from scene_understanding.perception.lifting import lift_by_depth
from scene_understanding.perception.pose_estimator import PoseEstimator
from scene_understanding.perception.skeletons import Skeletons

REACH = 4.0
"""Metres up to which joints in space are judged."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What is right and wrong in one image with P people.

    Attributes:
        matching: of the people found.
        right, judged: (P, 18) bool, of the joints in the image, see `joints_right`.
        metres: (P, 18) how far joints in space are off; NaN where one is not known, or the truth is out of reach.
        near: (P, 18) bool: within reach and seen, of somebody who is found, so that it could have a place.
    """

    matching: Matching
    right: Bool
    judged: Bool
    metres: Float
    near: Bool

    @property
    def summary(self) -> dict[str, float]:
        """`people` who count, those `found` and those found `false` at the lowest similarity, `pck` of all joints."""
        hit, ignored = self.matching.hit[0], self.matching.ignored[0]
        return {
            "people": self.matching.people,
            "found": int(hit.sum()),
            "false": int((~hit & ~ignored).sum()),
            "pck": float(self.right.sum() / self.judged.sum()) if self.judged.any() else float("nan"),
        }


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
) -> Evaluation:
    """Finds the people of every image; where it has depth, their joints in space too.

    Args:
        samples: reading one is not timed, nor is putting joints into space.
        single: as `judge` has it; the network's maps are then decoded to one person.
        reach, most: as in `judge`.

    Raises:
        EvaluationError: no images, nobody in them to find, or, with `single`, an image without exactly one person.
    """
    estimator = PoseEstimator(network)
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
    """What is right and wrong in an image.

    Args:
        single: one person is there and at most one is found, who is the same, and all labelled joints are judged,
            hidden ones too, as evaluations on LSP do. Else it is the joints that are seen, of people who count.
        reach: metres from the camera up to which joints in space are judged.
        most: so many people found count for the average precision, the surest ones.
    """
    pairs = np.full(1, len(found) - 1) if single else partners(sample, found)
    counted = np.ones_like(sample.seen) if single else sample.seen & ~uncounted(sample)[:, None]
    right, judged = joints_right(sample.pixels, of_partners(found.pixels, pairs), counted)
    metres, near = np.full(sample.seen.shape, np.nan), np.zeros_like(sample.seen)
    if sample.points is not None and sample.depth is not None and sample.camera is not None:
        points = of_partners(lift_by_depth(found.pixels, sample.depth, sample.camera), pairs)
        metres = joint_errors(sample.points, points, reach)
        near = counted & (pairs >= 0)[:, None] & (np.linalg.norm(sample.points, axis=-1) <= reach)
    return Judgement(matching(sample, found, most), right, judged, metres, near)


def figures(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """`oks_ap`, `ap50`, `ap75`, `pck`, `pck_by_joint`, `people`, and where there is anything to judge in space:
    `joint_error_m` (the median), `joint_error_p90_m`, and `joints_placed`, the share of joints that got a place."""
    matchings = [judgement.matching for judgement in judgements]
    precision = average_precision(matchings)
    right, judged = (sum(getattr(j, of).sum(0) for j in judgements) for of in ("right", "judged"))
    mean, by_joint = pck(right, judged)
    return {
        "oks_ap": float(precision.mean()),
        "ap50": float(precision[0]),
        "ap75": float(precision[5]),
        "pck": mean,
        "pck_by_joint": by_joint,
        "people": sum(m.people for m in matchings),
        **_in_space(judgements),
    }


def _in_space(judgements: Sequence[Judgement]) -> dict[str, float]:
    near, metres = (np.concatenate([getattr(j, of).ravel() for j in judgements]) for of in ("near", "metres"))
    if not near.any():
        return {}
    known = np.isfinite(metres)
    median, most = np.percentile(metres[known], (50, 90)) if known.any() else (np.nan, np.nan)
    return {
        "joint_error_m": float(median),
        "joint_error_p90_m": float(most),
        "joints_placed": float(known[near].mean()),
    }
