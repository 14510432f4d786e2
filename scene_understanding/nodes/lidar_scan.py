"""What nodes that listen to a LiDAR share: its scans put straight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import Pose
from scene_understanding.messages.header import stamp_to_ns
from scene_understanding.messages.point_times import point_stamps_ns
from scene_understanding.perception.sweep import at_rest, spin_offsets_ns


def points_at_rest(
    message: Any, xyz: NDArray[np.float32], chosen: NDArray[np.bool_], sweep: float,
    fixed_from_lidar: Callable[[int], Pose],
) -> NDArray[np.float32]:  # fmt: skip
    """The chosen points (N, 3) in a frame that does not move, each from where the LiDAR was when it measured it.

    Args:
        message: the PointCloud2 of `xyz` (..., 3); its points' own times count where it has them.
        chosen: (...) bool.
        sweep: seconds that the revolution took that ends at the stamp, for clouds without times; 0: all at the stamp.
        fixed_from_lidar: where the LiDAR is at a stamp, nanoseconds.

    Raises:
        TransformError: `fixed_from_lidar` does.
        ValueError: times that are none; see `point_stamps_ns`.
    """
    points, stamps, stamp_ns = xyz[chosen], point_stamps_ns(message), stamp_to_ns(message.header.stamp)
    of_points = stamp_ns + spin_offsets_ns(points, sweep) if stamps is None else stamps[chosen]
    return at_rest(points, of_points, fixed_from_lidar)
