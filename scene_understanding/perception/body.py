"""What follows from a person's joints in metres: stature, heading, and a simple volume.

The volume is a set of capsules around head, neck, torso, arms, legs, hands and feet, sized by the person's stature. It
is what runs on board in the place of a body mesh such as SMPL (Loper et al., SIGGRAPH Asia 2015): good enough to take
people out of point clouds and maps, and for keeping clear of them.

Joints are (N, 18, 3), COCO-18, metres, NaN where unknown. Sizes are shares of the stature, rounded from the segment
lengths and breadths of standing adults (Winter, "Biomechanics and Motor Control of Human Movement", after Drillis and
Contini); the neck of COCO-18 is midway between the shoulders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scene_understanding.labels.keypoints import COCO18_LIMBS, COCO18_NAMES

Float = NDArray[np.floating]

LIMB_SHARES = np.array(
    [0.115, 0.115, 0.175, 0.146, 0.175, 0.146, 0.295, 0.245, 0.24, 0.295, 0.245, 0.24, 0.12, 0.03, 0.065, 0.03, 0.065]
)
"""(17,) length of each of `COCO18_LIMBS` as a share of the stature."""
LIMB_SHARES.flags.writeable = False
STATURE, SHORTEST, TALLEST = 1.7, 0.9, 2.1
"""Metres: of a person of whom nothing else is known, and the limits of all others."""
NARROWEST = 0.08
"""Metres; right and left that are nearer to each other, on average, say nothing of the heading."""
BEHIND = 0.05
"""Metres by which a nose must be behind the neck for right and left to have been taken for each other."""

_NOSE, _NECK, _R_SHOULDER, _R_ELBOW, _R_WRIST, _L_SHOULDER, _L_ELBOW, _L_WRIST = range(8)
_R_HIP, _R_KNEE, _R_ANKLE, _L_HIP, _L_KNEE, _L_ANKLE, _R_EYE, _L_EYE, _R_EAR, _L_EAR = range(8, 18)
_MEASURED = slice(2, 12)
"""The limbs of `COCO18_LIMBS` that are long enough to tell the stature: arms, torso, legs."""


def limb_lengths(points: Float) -> NDArray[np.float64]:
    """(N, 17) metres, of each of `COCO18_LIMBS`; NaN where an end is unknown."""
    ends = np.asarray(points, np.float64)[:, np.array(COCO18_LIMBS)]
    return np.linalg.norm(ends[:, :, 1] - ends[:, :, 0], axis=-1)


def stature(points: Float) -> NDArray[np.float64]:
    """(N,) metres from sole to crown when standing, by the median of what each limb says; `STATURE` where no limb is
    known, and within `SHORTEST` and `TALLEST`."""
    said = (limb_lengths(points) / LIMB_SHARES)[:, _MEASURED]
    said[np.isnan(said).all(1)] = STATURE
    return np.nanmedian(said, axis=1).clip(SHORTEST, TALLEST)


def heading(points: Float, up: Float | tuple[float, float, float] = (0.0, 0.0, 1.0)) -> NDArray[np.float64]:
    """Unit vectors (N, 3), square to `up`, along which people look with their chests; NaN where it cannot be told.

    From the way from right to left of shoulders and hips. Where the nose is behind the neck, the network took the back
    for the front, and the heading is turned round.

    Args:
        points: (N, 18, 3) in any frame.
        up: unit vector (3,), or one for each person (N, 3), in that frame; as it is, z is up, as in map and base.
    """
    j, up = np.asarray(points, np.float64), np.broadcast_to(np.asarray(up, np.float64), (len(points), 3))
    across = j[:, [_L_SHOULDER, _L_HIP]] - j[:, [_R_SHOULDER, _R_HIP]]
    known = np.isfinite(across).all(-1).sum(1)
    left = np.nan_to_num(across).sum(1)
    forward = np.cross(left, up)
    length = np.linalg.norm(forward, axis=-1, keepdims=True)
    told = length > NARROWEST * np.maximum(known, 1)[:, None]
    forward /= np.where(told, length, np.nan)
    behind = ((j[:, _NOSE] - _neck(j)) * forward).sum(-1) < -BEHIND
    return np.where(behind[:, None], -forward, forward)


def yaw(points: Float) -> NDArray[np.float64]:
    """(N,) heading about +z in radians, of points in a frame whose z is up; NaN where it cannot be told."""
    forward = heading(points)
    return np.arctan2(forward[:, 1], forward[:, 0])


@dataclass(frozen=True, eq=False)
class Capsules:
    """The bodies of N people, each of `len(PARTS)` capsules: all that is within `radius` of a line from start to end.

    Attributes:
        start, end: (N, C, 3) float64, metres, in the frame of the joints; NaN for a part that is not known.
        radius: (N, C) float64, metres.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    radius: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.radius)

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N, C) which parts are known."""
        return np.asarray(np.isfinite(self.start + self.end).all(-1))


_EXTRA = ("head", "crown", "pelvis", "r_chest", "l_chest", "r_loin", "l_loin", "r_hand", "l_hand", "r_heel", "l_heel",
          "r_toe", "l_toe")  # fmt: skip
_AT = {name: k for k, name in enumerate((*COCO18_NAMES, *_EXTRA))}
PARTS: tuple[tuple[str, str, float], ...] = (
    ("head", "crown", 0.06),
    ("neck", "head", 0.035),
    ("neck", "pelvis", 0.06),
    ("r_chest", "r_loin", 0.06),
    ("l_chest", "l_loin", 0.06),
    ("right_shoulder", "right_elbow", 0.03),
    ("left_shoulder", "left_elbow", 0.03),
    ("right_elbow", "right_wrist", 0.025),
    ("left_elbow", "left_wrist", 0.025),
    ("right_wrist", "r_hand", 0.02),
    ("left_wrist", "l_hand", 0.02),
    ("right_hip", "right_knee", 0.045),
    ("left_hip", "left_knee", 0.045),
    ("right_knee", "right_ankle", 0.03),
    ("left_knee", "left_ankle", 0.03),
    ("r_heel", "r_toe", 0.025),
    ("l_heel", "l_toe", 0.025),
)
"""Start, end and radius, as a share of the stature, of each capsule."""
_STARTS, _ENDS, _RADII = zip(*PARTS, strict=True)


def capsules(points: Float) -> Capsules:
    """Bodies around joints (N, 18, 3), in the same frame."""
    j, height = np.asarray(points, np.float64), stature(points)
    places = np.concatenate([j, _extra_places(j, height[:, None])], axis=1)
    places[:, _NECK] = _neck(j)
    start, end = (places[:, [_AT[name] for name in names]] for names in (_STARTS, _ENDS))
    return Capsules(start, end, height[:, None] * np.array(_RADII))


def volume(bodies: Capsules, step: float = 0.02) -> NDArray[np.float64]:
    """(N,) m3 of what is known of each person, overlaps counted once, by points on a grid `step` metres wide; NaN of
    whom nothing is known."""
    result = np.full(len(bodies), np.nan)
    for n in np.flatnonzero(bodies.known.any(1)).tolist():
        low, high = _bounds(bodies, n)
        axes = [np.arange(a + step / 2, b + step, step) for a, b in zip(low, high, strict=True)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        result[n] = (_clearance(bodies, n, grid.T.astype(np.float32), 0.0) <= 0).sum() * step**3
    return result


def inside(bodies: Capsules, points: Float, margin: float = 0.0) -> NDArray[np.intp]:
    """(M,) which person each of points (M, 3), in the frame of the bodies, belongs to, or -1: the person whose skin it
    is farthest under, or nearest to and within `margin` metres of."""
    owner = np.full(len(points), -1, np.intp)
    least = np.full(len(points), np.nextafter(np.float32(margin), np.float32(np.inf)), np.float32)
    xyz = np.ascontiguousarray(np.asarray(points, np.float32).T)
    for n in np.flatnonzero(bodies.known.any(1)).tolist():
        low, high = _bounds(bodies, n)
        near = _in_box(xyz, low - margin, high + margin)
        clearance = _clearance(bodies, n, xyz[:, near], margin)
        won = clearance < least[near]
        owner[near[won]], least[near[won]] = n, clearance[won]
    return owner


def _in_box(xyz: NDArray[np.float32], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which of points (3, M) lie between two corners (3,); each axis is asked only of what the one before has left."""
    left = np.arange(xyz.shape[1])
    for axis, a, b in zip(xyz, low, high, strict=True):
        values = axis[left]
        left = left[(values >= a) & (values <= b)]
    return left


def _clearance(bodies: Capsules, n: int, xyz: NDArray[np.float32], reach: float) -> NDArray[np.float32]:
    """(M,) metres from points (3, M) to the skin of person `n`, negative below it; inf where it is above `reach`."""
    result = np.full(xyz.shape[1], np.inf, np.float32)
    known = bodies.known[n]
    for start, end, radius in zip(bodies.start[n, known], bodies.end[n, known], bodies.radius[n, known], strict=True):
        around = radius + reach
        near = _in_box(xyz, np.minimum(start, end) - around, np.maximum(start, end) + around)
        along = (end - start).astype(np.float32)
        offset = xyz[:, near] - start.astype(np.float32)[:, None]
        share = along @ offset / np.float32(max(float(along @ along), 1e-12))
        offset -= share.clip(0, 1) * along[:, None]
        distance = np.sqrt(np.einsum("km,km->m", offset, offset)) - np.float32(radius)
        result[near] = np.minimum(result[near], distance)
    return result


def _bounds(bodies: Capsules, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest corner (3,) of the box around person `n`."""
    known = bodies.known[n]
    ends, radius = np.stack([bodies.start[n, known], bodies.end[n, known]]), bodies.radius[n, known, None]
    return (ends - radius).min((0, 1)), (ends + radius).max((0, 1))


def _extra_places(j: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, len(_EXTRA), 3) of joints (N, 18, 3) of people of `height` (N, 1), metres."""
    neck, pelvis = _neck(j), _mean_of_known(j[:, [_R_HIP, _L_HIP]])
    up = _unit(neck - pelvis)
    ears, face = j[:, [_R_EAR, _L_EAR]].mean(1), _mean_of_known(j[:, [_NOSE, _R_EYE, _L_EYE, _R_EAR, _L_EAR]])
    head = np.where(np.isfinite(ears), ears, face)
    crown = head + 0.03 * height * _unit(head - neck)
    chest = [j[:, k] + 0.5 * (neck - j[:, k]) for k in (_R_SHOULDER, _L_SHOULDER)]
    loin = [j[:, k] + 0.1 * (pelvis - j[:, k]) for k in (_R_HIP, _L_HIP)]
    hands = [j[:, b] + 0.4 * (j[:, b] - j[:, a]) for a, b in ((_R_ELBOW, _R_WRIST), (_L_ELBOW, _L_WRIST))]
    forward = np.nan_to_num(heading(j, up)) * height
    heels = [j[:, b] + 0.02 * height * _unit(j[:, b] - j[:, a]) for a, b in ((_R_KNEE, _R_ANKLE), (_L_KNEE, _L_ANKLE))]
    toes = [heel + 0.1 * forward for heel in heels]
    return np.stack([head, crown, pelvis, *chest, *loin, *hands, *heels, *toes], axis=1)


def _neck(j: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) the neck, or where it is not known what is midway between the shoulders."""
    return np.where(np.isfinite(j[:, _NECK]), j[:, _NECK], j[:, [_R_SHOULDER, _L_SHOULDER]].mean(1))


def _mean_of_known(j: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) mean of those of joints (N, J, 3) that are known; NaN where none is."""
    known = np.isfinite(j).all(-1).sum(-1)[:, None]
    return np.nan_to_num(j).sum(1) / np.where(known > 0, known, np.nan)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, np.nan)
