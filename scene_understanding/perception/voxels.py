"""A cloud thinned to one point a voxel, and the way back to all of its points (SnapNet, Boulch et al., 3DOR 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_VOXELS = 2**52
"""Voxels that a cloud's box may hold, occupied or not: their numbers, of whole columns, must fit in 63 bits."""


COLUMN = 32
"""Voxels are ordered by columns of so many of them a side, then within each."""


@dataclass(frozen=True, eq=False)
class VoxelGrid:
    """The occupied voxels of a cloud of N points, M of them, ordered by their place.

    The order, so all that is computed from it, does not depend on that of the points; neighbours in it are near each
    other in space.

    Attributes:
        size: side of a voxel, metres; sides lie at whole multiples of it, so parts of a cloud share their voxels.
        kept: (M,) int64, in each voxel the point that is nearest to its centre.
        voxel_of_point: (N,) int32, the voxel in which each point lies: `kept[voxel_of_point]` stands for the points.
    """

    size: float
    kept: NDArray[np.int64]
    voxel_of_point: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.kept)


def voxel_grid(xyz: NDArray[np.floating[Any]], size: float) -> VoxelGrid:
    """Keeps one point a voxel.

    Args:
        xyz: (N, 3) metres, finite.
        size: side of a voxel, metres.

    Raises:
        ValueError: a size that is not above 0, points that are not finite, or too many voxels from end to end.
    """
    if not (np.isfinite(size) and size > 0):
        raise ValueError(f"voxel size is {size} m; it must be above 0")
    if xyz.ndim != 2 or xyz.shape[1] != 3:
        raise ValueError(f"xyz has shape {xyz.shape}; expected (N, 3)")
    if not len(xyz):
        return VoxelGrid(size, np.zeros(0, np.int64), np.zeros(0, np.int32))
    place = np.asarray(xyz, np.float64) / size
    if not np.isfinite(place).all():
        raise ValueError("xyz holds values that are not finite; leave such points out")
    cell = np.floor(place)
    off_centre = np.square(place - cell - 0.5).sum(axis=1)
    lowest, highest = cell.min(axis=0), cell.max(axis=0)
    if not np.prod(highest - lowest + 1) < MOST_VOXELS:
        extent = " x ".join(f"{metres:g}" for metres in (highest - lowest + 1) * size)
        raise ValueError(f"a cloud of {extent} m has too many voxels of {size} m; leave out points that are far away")
    i, j, k = (cell - lowest).astype(np.int64).T
    _, rows, layers = (highest - lowest + 1).astype(np.int64)
    columns = -(-rows // COLUMN)
    column, inside = (i // COLUMN) * columns + j // COLUMN, (i % COLUMN) * COLUMN + j % COLUMN
    number = (column * COLUMN**2 + inside) * layers + k

    order = np.argsort(number, kind="stable")
    number = number[order]
    new = np.empty(len(number), bool)
    new[0], new[1:] = True, number[1:] != number[:-1]
    start = np.flatnonzero(new)
    voxel = (np.cumsum(new) - 1).astype(np.int32)
    voxel_of_point = np.empty_like(voxel)
    voxel_of_point[order] = voxel

    distance = off_centre[order]
    nearest = np.flatnonzero(distance == np.minimum.reduceat(distance, start)[voxel])
    kept = np.empty(len(start), np.int64)
    kept[voxel[nearest[::-1]]] = order[nearest[::-1]]  # of equally near ones the first is written last
    return VoxelGrid(size, kept, voxel_of_point)
