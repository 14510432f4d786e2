"""The part of the map that one cloud can reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry.pose import Pose
from scene_understanding.mapping.blocks import CENTRE, SIDE

Float = NDArray[np.float32]
BELOW = 0.5 - CENTRE
"""Voxels from the coordinates of a voxel to its lowest corner, downwards."""


@dataclass(frozen=True, eq=False)
class Window:
    """The blocks around a sensor that a cloud can reach: few enough for tables instead of sorting.

    Attributes:
        low: (3,) int64, coordinates of its first block.
    """

    low: NDArray[np.int64]

    @classmethod
    def around(cls, middle: NDArray[np.float64], voxel: float, reach: float) -> Window:
        return cls(np.floor(middle / (voxel * SIDE)).astype(np.int64) - ceil(reach / (voxel * SIDE)) - 1)

    def from_map(self, map_from_cloud: Pose, voxel: float) -> Callable[[Float], Float]:
        """A function from points (N, 3) in the cloud's frame to voxels (3, N) of the window, float32, not rounded."""
        rotation = (map_from_cloud.rotation / voxel).astype(np.float32)
        # In float64 up to here: what is far from the map's origin keeps its precision.
        shift = (map_from_cloud.translation / voxel - self.low * SIDE + BELOW).astype(np.float32)
        affine = np.concatenate([rotation, shift[:, None]], axis=1)

        def place(xyz: Float) -> Float:
            moved = cv2.transform(xyz[None], affine)  # None of no points
            return np.zeros((3, 0), np.float32) if moved is None else np.ascontiguousarray(moved[0].T)

        return place

    def to_map(self, inside: Float, voxel: float) -> Float:
        """(N, 3) points in the map of voxels (3, N) of the window."""
        return ((inside + (self.low * SIDE - BELOW)[:, None]) * voxel).T.astype(np.float32)

    def sorted_in(self, inside: Float) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """Of voxels (3, N) of the window: (N,) which of the blocks they are in, (N,) where in it, and (B, 3) the blocks
        that any is in, ascending."""
        voxel = inside.astype(np.int32)
        inner = ((voxel[0] & 7) << 6) | ((voxel[1] & 7) << 3) | (voxel[2] & 7)
        voxel >>= 3
        if not voxel.size:
            return inner, inner, np.zeros((0, 3), np.int32)
        first, last = voxel.min(1), voxel.max(1)
        size = last - first + 1
        x, y, z = voxel
        block = ((x - first[0]) * size[1] + (y - first[1])) * size[2] + (z - first[2])
        mark = np.zeros(int(np.prod(size.astype(np.int64))), bool)
        mark[block] = True
        used = np.flatnonzero(mark)
        rank = np.empty(len(mark), np.int32)
        rank[used] = np.arange(len(used))
        blocks = np.stack(np.unravel_index(used, tuple(size.tolist())), -1) + first + self.low
        return rank[block], inner, blocks.astype(np.int32)
