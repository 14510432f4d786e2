"""`nav_msgs/OccupancyGrid` and `nav_msgs/Path` to arrays and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scene_understanding.geometry.pose import Pose
from scene_understanding.messages.header import copy_header
from scene_understanding.messages.transforms import pose_from_message, pose_to_message, pose_to_pose_stamped
from scene_understanding.messages.types import Header, MapMetaData, OccupancyGrid, PathMessage


@dataclass(frozen=True, eq=False)
class GridArrays:
    """What a `nav_msgs/OccupancyGrid` tells.

    Attributes:
        values: (rows, columns) int8: -1 unknown, 0 to 100; rows along y, columns along x.
        origin: (2,) float64, x and y of the outer corner of cell (0, 0), metres, in the header's frame.
        resolution: edge of a cell, metres.
    """

    values: NDArray[np.int8]
    origin: NDArray[np.float64]
    resolution: float


def occupancy_grid_to_array(msg: OccupancyGrid) -> GridArrays:
    """The arrays of a message; `values` is a view of its data.

    Raises:
        ValueError: a size that is not that of the data, a resolution that is not above 0, or an origin that is turned.
    """
    info = msg.info
    if len(msg.data) != info.width * info.height:
        raise ValueError(f"occupancy grid of {info.width}x{info.height} cells has {len(msg.data)} values")
    if not 0 < info.resolution < np.inf:
        raise ValueError(f"occupancy grid has resolution {info.resolution} m; it must be above 0")
    origin = pose_from_message(info.origin)
    if not np.allclose(origin.rotation, np.eye(3), atol=1e-6):
        raise ValueError("occupancy grid is turned against its frame; only grids along x and y are taken")
    values = np.asarray(msg.data, np.int8).reshape(info.height, info.width)
    return GridArrays(values, origin.translation[:2].copy(), float(info.resolution))


def array_to_occupancy_grid(
    values: NDArray[np.int8], origin: ArrayLike, resolution: float, header: Header, z: float = 0.0
) -> OccupancyGrid:
    """The message of values (rows, columns) as `GridArrays` has them, at height `z` metres.

    Raises:
        ValueError: values of another shape or dtype, or outside of -1 to 100.
    """
    if values.ndim != 2 or values.dtype != np.int8:
        raise ValueError(f"occupancy is {values.dtype}{list(values.shape)}; expected int8 (rows, columns)")
    if values.size and not -1 <= values.min() <= values.max() <= 100:
        raise ValueError(f"occupancy has values from {values.min()} to {values.max()}; expected -1 to 100")
    x, y = np.asarray(origin, np.float64)
    pose = Pose.from_rotation_translation(np.eye(3), (x, y, z))
    rows, columns = values.shape
    info = MapMetaData(
        map_load_time=copy_header(header).stamp, resolution=float(resolution), width=columns, height=rows,
        origin=pose_to_message(pose),
    )  # fmt: skip
    return OccupancyGrid(header=header, info=info, data=np.ascontiguousarray(values).reshape(-1))


def path_to_array(msg: PathMessage) -> NDArray[np.float64]:
    """(N, 3) float64: the places of a path, metres, in the header's frame.

    Raises:
        ValueError: values that are not finite, or a quaternion of zero length.
    """
    return np.array([pose_from_message(pose.pose).translation for pose in msg.poses]).reshape(-1, 3)


def array_to_path(points: ArrayLike, header: Header) -> PathMessage:
    """The message of places (N, 2) or (N, 3), metres; each looks to the next, the last as the one before.

    Raises:
        ValueError: points of another shape.
    """
    places = np.asarray(points, np.float64)
    if places.ndim != 2 or places.shape[1] not in (2, 3):
        raise ValueError(f"path has shape {places.shape}; expected (N, 2) or (N, 3)")
    xyz = np.zeros((len(places), 3))
    xyz[:, : places.shape[1]] = places
    way = np.diff(xyz[:, :2], axis=0)
    yaw = np.arctan2(way[:, 1], way[:, 0])
    yaw = np.append(yaw, yaw[-1:] if len(yaw) else np.zeros(len(xyz)))
    poses = [Pose.from_yaw(x, y, heading, z) for (x, y, z), heading in zip(xyz.tolist(), yaw.tolist(), strict=True)]
    return PathMessage(header=header, poses=[pose_to_pose_stamped(pose, copy_header(header)) for pose in poses])
