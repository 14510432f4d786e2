"""When each point of a `sensor_msgs/PointCloud2` was measured, as the drivers of LiDARs write it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.messages.header import stamp_to_ns
from scene_understanding.messages.point_cloud import point_cloud2_to_columns
from scene_understanding.messages.types import PointCloud2

FIELDS = ("t", "time", "timestamp", "time_stamp", "offset_time")
"""Ouster, Velodyne, Hesai and RoboSense, others, Livox."""
LONGEST_NS = 1_000_000_000
"""No scan takes longer; what is further from the header's stamp is no offset from it."""
MOST_SECONDS = 9e9
"""A time in seconds is below this, in the year 2255 too."""


def point_stamps_ns(msg: PointCloud2) -> NDArray[np.int64] | None:
    """(N,) or, organised, (H, W) int64: the stamp of each point, nanoseconds; None where the message does not say.

    Integers are nanoseconds, floats are seconds, or nanoseconds where they are too large; either from the header's
    stamp on or absolute.

    Raises:
        ValueError: times that are neither; a message as `point_cloud2_to_cloud` refuses it.
    """
    columns = point_cloud2_to_columns(msg)
    name = next((field for field in FIELDS if field in columns), None)
    if name is None:
        return None
    stamp_ns, ticks = stamp_to_ns(msg.header.stamp), _nanoseconds(columns[name])
    for base_ns in (stamp_ns, 0):
        if not ticks.size or np.abs(ticks + (base_ns - stamp_ns)).max() <= LONGEST_NS:
            return ticks + base_ns
    raise ValueError(
        f"point cloud field {name!r} has times from {columns[name].min()} to {columns[name].max()}; expected seconds "
        "(floats) or nanoseconds (integers), from the header's stamp on or absolute, within 1 s of it"
    )


def _nanoseconds(column: NDArray[Any]) -> NDArray[np.int64]:
    if column.dtype.kind in "ui":
        return column.astype(np.int64)
    values = np.nan_to_num(column.astype(np.float64))
    return np.rint(values if np.abs(values).max(initial=0) > MOST_SECONDS else values * 1e9).astype(np.int64)
