"""How near found skeletons come to true ones (NumPy alone).

- OKS-AP: average precision over people, with the object keypoint similarity as overlap (COCO's keypoint challenge); the
  figures are those of pycocotools. Three things are not COCO's: the neck, which COCO does not label, counts where a
  dataset labels it; up to `MOST` people count in an image; and people of whom fewer than `FEWEST` keypoints are seen do
  not count, nor does somebody who finds them: one or two points are no skeleton.
- PCK: the share of joints that are right, nearer to the truth than a fifth of the torso (Yang and Ramanan, PAMI 2013);
  the torso is the distance from the left shoulder to the right hip, as evaluations on LSP have it.
- Errors in metres of joints in space.

D people are found and P are there. Keypoints are (D, 18, 2) pixels as found, (P, 18, 2) as true; NaN: there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scene_understanding.labels.keypoints import COCO18_NAMES
from scene_understanding.perception.keypoint_similarity import area_of_keypoints, oks
from scene_understanding.perception.skeletons import Skeletons

Bool = NDArray[np.bool_]
Index = NDArray[np.intp]
Float = NDArray[np.floating]

OKS_STEPS = np.linspace(0.5, 0.95, 10)
"""Similarities from which on somebody is found; AP is the mean over them."""
OKS_STEPS.flags.writeable = False

RECALLS = np.linspace(0.0, 1.0, 101)
"""Where a curve of precision over recall is read."""
RECALLS.flags.writeable = False

SMALLEST_AREA = 32.0**2
"""Pixels; smaller people do not count. COCO labels no keypoints of such."""

FEWEST = 3
"""Keypoints of a person who counts; COCO counts people of whom one is labelled."""

MOST = 100
"""So many people of an image count, the surest first; COCO's 20 are too few for a crowd of 20 and a false one."""

PAIRED = 0.1
"""Similarity from which on somebody found is taken for somebody true, to judge joint by joint: who is found in part
counts in part."""

RIGHT_WITHIN = 0.2
"""Of the torso."""

REACH = 4.0
"""Metres up to which joints in space are judged."""

KINDS = np.array([name.removeprefix("right_").removeprefix("left_") for name in COCO18_NAMES])
"""(18,) of the joints, left and right alike."""
KINDS.flags.writeable = False


class LabelledPeople(Protocol):
    """P people as they truly are in an image; `datasets.people.PeopleSample` is one such.

    Attributes:
        pixels: (P, 18, 2) float32, NaN where nothing is known.
        seen: (P, 18) bool; False where `pixels` is NaN.
        area: (P,) float32, pixels that show each one; NaN where not known.
    """

    @property
    def pixels(self) -> NDArray[np.float32]: ...

    @property
    def seen(self) -> Bool: ...

    @property
    def area(self) -> NDArray[np.float32]: ...


@dataclass(frozen=True, eq=False)
class Matching:
    """Whom the people found in one image are, for T similarities that are asked for.

    Attributes:
        score: (D,) float32 of those found, the surest first.
        hit: (T, D) bool: it is somebody who counts.
        ignored: (T, D) bool: it is somebody who does not count, so it is neither right nor wrong.
        people: so many of the true ones count.
    """

    score: NDArray[np.float32]
    hit: Bool
    ignored: Bool
    people: int


def uncounted(sample: LabelledPeople, fewest: int = FEWEST) -> Bool:
    """(P,) who does not count: too small, or too little is seen of them."""
    return (sample.seen.sum(1) < fewest) | (true_area(sample) < SMALLEST_AREA)


def true_area(sample: LabelledPeople) -> NDArray[np.float64]:
    """(P,) pixels of everybody, 1 at least; `area_of_keypoints` where the dataset does not say."""
    return np.where(np.isnan(sample.area), area_of_keypoints(sample.pixels), np.maximum(sample.area, 1.0))


def similarity(sample: LabelledPeople, pixels: Float) -> NDArray[np.float64]:
    """OKS (D, P), 0..1, by the true keypoints that are seen.

    Of whom nothing is seen there is, as in COCO, a region instead: the box of their keypoints with as much again on
    every side. Distances are to it, so 0 inside.
    """
    area = true_area(sample)
    alike = oks(pixels, np.where(sample.seen[..., None], sample.pixels, np.nan), area)
    known = np.isfinite(sample.pixels).any((1, 2))
    for person in np.flatnonzero(known & ~sample.seen.any(1)):
        low, high = np.nanmin(sample.pixels[person], 0), np.nanmax(sample.pixels[person], 0)
        nearest = np.clip(pixels, 2 * low - high, 2 * high - low)
        alike[:, person] = oks(pixels, nearest, np.full(len(pixels), area[person])).diagonal()
    return np.nan_to_num(alike)


def match(alike: Float, score: Float, uncounted: Bool, least: Float = OKS_STEPS) -> Index:
    """(T, D) position of the true person that each one found is, -1 for nobody; matched as pycocotools does.

    The surest one first takes whom it is most like, of those who count and are not taken, else of those who do not.

    Args:
        alike: (D, P), as of `similarity`; score: (D,); uncounted: (P,).
        least: (T,) similarities that are needed.
    """
    matched = np.full((len(least), len(score)), -1)
    taken = np.zeros((len(least), len(uncounted)), bool)
    if not len(uncounted):
        return matched
    for one in np.argsort(-score, kind="stable"):
        for group in (~uncounted, uncounted):
            free = np.where(group & ~taken, alike[one], -1.0)
            best = len(group) - 1 - free[:, ::-1].argmax(1)  # of equal ones the last
            (steps,) = np.nonzero((matched[:, one] < 0) & (free.max(1) >= least))
            matched[steps, one] = best[steps]
            taken[steps, best[steps]] = True
    return matched


def matching(sample: LabelledPeople, found: Skeletons, most: int = MOST, fewest: int = FEWEST) -> Matching:
    """Whom the `most` surest people found in an image are; `fewest` as in `uncounted`."""
    found = found[np.argsort(-found.score, kind="stable")[:most]]
    out = uncounted(sample, fewest)
    matched = match(similarity(sample, found.pixels), found.score, out)
    ignored = (matched >= 0) & np.append(out, False)[matched]  # -1 is the one appended
    return Matching(found.score, (matched >= 0) & ~ignored, ignored, int((~out).sum()))


def average_precision(images: Sequence[Matching]) -> NDArray[np.float64]:
    """(T,) precision, averaged over 101 recalls from 0 to 1, of everybody found in all images; NaN if nobody counts."""
    people = sum(image.people for image in images)
    if not people:
        return np.full(len(OKS_STEPS), np.nan)
    order = np.argsort(-np.concatenate([image.score for image in images]), kind="stable")
    hit, ignored = (np.concatenate([getattr(i, of) for i in images], 1)[:, order] for of in ("hit", "ignored"))
    right, judged = np.cumsum(hit, 1), np.cumsum(~ignored, 1)
    precision = right / np.maximum(judged, 1)
    best = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]  # at this recall or a higher one
    at_end = np.pad(best, ((0, 0), (0, 1)))  # 0 where the recall is not reached
    return np.array([at_end[t, np.searchsorted(right[t] / people, RECALLS)].mean() for t in range(len(OKS_STEPS))])


def partners(sample: LabelledPeople, found: Skeletons) -> Index:
    """(P,) position of the one found who is taken for each true person, -1 where nobody is; see `PAIRED`."""
    (whom,) = match(similarity(sample, found.pixels), found.score, uncounted(sample), np.array([PAIRED]))
    pairs = np.full(len(sample.pixels), -1)
    pairs[whom[whom >= 0]] = np.flatnonzero(whom >= 0)
    return pairs


def of_partners(values: Float, pairs: Index) -> Float:
    """(P, 18, C) of `values` (D, 18, C): those of everybody's partner, NaN without one."""
    return np.concatenate([values, np.full((1, *values.shape[1:]), np.nan, values.dtype)])[pairs]


def torso(pixels: Float) -> Float:
    """(P,) pixels from the left shoulder to the right hip; where these are not known, from the right to the left."""
    one, other = (
        np.linalg.norm(pixels[:, COCO18_NAMES.index(shoulder)] - pixels[:, COCO18_NAMES.index(hip)], axis=-1)
        for shoulder, hip in (("left_shoulder", "right_hip"), ("right_shoulder", "left_hip"))
    )
    return np.where(np.isfinite(one), one, other)


def joints_right(truth: Float, found: Float, counted: Bool) -> tuple[Bool, Bool]:
    """Which joints are right, and which are judged, both (P, 18): those counted of people whose torso is known.

    Args:
        truth, found: (P, 18, 2) pixels; a joint not found is wrong.
        counted: (P, 18) of the true ones.
    """
    size = torso(truth)[:, None]
    judged = counted & np.isfinite(size) & np.isfinite(truth).all(-1)
    return judged & (np.linalg.norm(found - truth, axis=-1) < RIGHT_WITHIN * size), judged


def pck(right: NDArray[np.integer], judged: NDArray[np.integer]) -> tuple[float, dict[str, float]]:
    """The share of joints that are right, as the mean over the joints, and of every kind as that over left and right.

    Args:
        right, judged: (18,) how many of each joint; joints that are never judged are left out, kinds of such too.
    """
    if not judged.any():
        return float("nan"), {}
    share = np.divide(right, judged, out=np.full(len(judged), np.nan), where=judged > 0)
    known = np.isfinite(share)
    kinds = dict.fromkeys(KINDS[known].tolist())  # each once, in order
    by_kind = {kind: float(share[known & (KINDS == kind)].mean()) for kind in kinds}
    return float(share[known].mean()), by_kind


def joint_errors(truth: Float, found: Float, reach: float) -> Float:
    """(P, 18) metres from true to found joints (P, 18, 3); NaN where one is not known, or the truth is too far.

    Args:
        reach: metres from the camera, along the ray, up to which joints count.
    """
    near = np.linalg.norm(truth, axis=-1) <= reach
    return np.where(near, np.linalg.norm(found - truth, axis=-1), np.nan)


@dataclass(frozen=True, eq=False)
class Judgement:
    """What is right and wrong in one image with P people.

    Attributes:
        matching: of the people found.
        right, judged: (P, 18) bool, of the joints in the image, see `joints_right`.
        metres: (P, 18) how far joints in space are off; NaN where one has no place, and outside of `near`.
        near: (P, 18) bool: within reach and judged, of somebody who is found, so that it could have a place.
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


def judged(
    sample: LabelledPeople,
    found: Skeletons,
    places: tuple[Float, Float] | None = None,
    single: bool = False,
    reach: float = REACH,
    most: int = MOST,
) -> Judgement:
    """What is right and wrong in an image.

    Args:
        places: joints in metres, (P, 18, 3) as true and (D, 18, 3) as found; None: none are judged.
        single: one person is there and at most one is found, who is the same, and all labelled joints are judged,
            hidden ones too, as evaluations on LSP do. Else it is the joints that are seen, of people who count.
        reach: metres from the camera up to which joints in space are judged.
        most: so many people found count for the average precision, the surest ones.
    """
    pairs = np.full(1, len(found) - 1) if single else partners(sample, found)
    counted = np.ones_like(sample.seen) if single else sample.seen & ~uncounted(sample)[:, None]
    right, right_or_wrong = joints_right(sample.pixels, of_partners(found.pixels, pairs), counted)
    metres, near = np.full(sample.seen.shape, np.nan), np.zeros_like(sample.seen)
    if places is not None:
        truth, points = places
        near = counted & (pairs >= 0)[:, None] & (np.linalg.norm(truth, axis=-1) <= reach)
        metres = np.where(near, joint_errors(truth, of_partners(points, pairs), reach), np.nan)
    return Judgement(matching(sample, found, most), right, right_or_wrong, metres, near)


def figures(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """`oks_ap`, `ap50`, `ap75`, `pck`, `pck_by_joint`, `people`, and where there is anything to judge in space:
    `joint_error_m` (the median), `joint_error_p90_m`, and `joints_placed`, the share of joints that got a place."""
    matchings = [judgement.matching for judgement in judgements]
    precision = average_precision(matchings)
    right, right_or_wrong = (sum(getattr(j, of).sum(0) for j in judgements) for of in ("right", "judged"))
    mean, by_joint = pck(right, right_or_wrong)
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
