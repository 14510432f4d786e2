"""Scans of a LiDAR that moved while it measured: when each point was measured, and where all of them are at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import Pose

STEP_NS = 5_000_000
"""A pose holds for points measured within so many nanoseconds: at a turn of 1 rad/s half a step is 0.14 degrees."""


def spin_offsets_ns(xyz: NDArray[np.floating], period: float) -> NDArray[np.int64]:
    """When the points (N, 3) of one revolution were measured: nanoseconds (N,) before 0, the moment of the last one.

    For scans without times: the azimuth tells. Points are in the order of measuring; about z, either way round.
    """
    azimuth = np.arctan2(xyz[:, 1], xyz[:, 0])
    steps = np.diff(azimuth)
    steps = steps[np.abs(steps) < np.pi]
    sense = -1.0 if np.sum(np.sign(steps)) < 0 else 1.0
    last = azimuth[-1] if len(azimuth) else 0.0
    share = np.mod(sense * (last - azimuth), 2 * np.pi) / (2 * np.pi)
    return np.rint(-share * period * 1e9).astype(np.int64)


def at_rest(
    xyz: NDArray[np.floating], stamps_ns: NDArray[np.int64], pose_at: Callable[[int], Pose]
) -> NDArray[np.float32]:
    """The points (N, 3) of a moving sensor in a frame that does not move, float32.

    Args:
        stamps_ns: (N,) when each was measured.
        pose_at: `fixed_from_sensor` at a stamp; asked every 5 ms of the scan.

    Raises:
        TransformError: `pose_at` does.
    """
    fixed = np.empty(xyz.shape, np.float32)
    if not len(xyz):
        return fixed
    last_ns = int(stamps_ns.max())
    step = (last_ns - stamps_ns) // STEP_NS
    earliest_ns = int(stamps_ns.min())
    for k in np.unique(step):
        middle_ns = last_ns - int(k) * STEP_NS - STEP_NS // 2
        own = step == k
        fixed[own] = pose_at(max(middle_ns, earliest_ns)).apply(xyz[own])
    return fixed
