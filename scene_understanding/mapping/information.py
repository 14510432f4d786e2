"""How much a robot can expect to see from a place: rays on a grid until they meet something.

González-Baños and Latombe, "Navigation Strategies for Exploring Indoor Environments", IJRR 2002, section 4: a place is
worth A exp(-lambda L), A the area that it may show of what is unknown and L the length of the way there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scene_understanding.mapping.grid import OccupancyGrid

Float = NDArray[np.float64]
ANGLES = 60
"""Rays around a place."""


@dataclass(frozen=True)
class Sight:
    """What the robot's sensors see of the floor.

    Attributes:
        field_of_view: horizontal, radians; 2 pi all around.
        nearest, farthest: distances within which they see the floor, metres.
    """

    field_of_view: float = 1.05
    nearest: float = 0.0
    farthest: float = 4.0

    @property
    def rays(self) -> int:
        """How many of `ANGLES` are in the field of view."""
        return max(1, min(ANGLES, round(self.field_of_view / (2 * np.pi) * ANGLES)))

    @property
    def all_around(self) -> bool:
        return self.rays == ANGLES


@dataclass(frozen=True, eq=False)
class Rays:
    """Rays from V places in A directions, in S steps of a cell.

    Attributes:
        cells: (V, A, S) int32, indices into the flat grid.
        open: (V, A, S) bool: before the first occupied cell, and on the grid.
        distance: (S,) float64, metres.
    """

    cells: NDArray[np.int32]
    open: NDArray[np.bool_]
    distance: Float


def cast_rays(grid: OccupancyGrid, places: Float, angles: NDArray[np.floating], farthest: float) -> Rays:
    """Rays from places (V, 2) along headings (A,) or (V, A), radians, up to `farthest` metres."""
    steps = np.arange(0.5, farthest / grid.resolution, dtype=np.float32)
    headings = np.broadcast_to(np.asarray(angles, np.float32), (len(places), np.shape(angles)[-1]))
    start = ((places - grid.origin) / grid.resolution).astype(np.float32)
    column, row = (
        np.floor(start[:, k, None, None] + steps * along[..., None]).astype(np.int32)
        for k, along in enumerate((np.cos(headings), np.sin(headings)))
    )
    rows, columns = grid.occupied.shape
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    cells = np.where(inside, row * np.int32(columns) + column, 0)
    blocked = ~inside | grid.occupied.ravel()[cells]
    return Rays(cells, ~np.logical_or.accumulate(blocked, axis=-1), steps * np.float64(grid.resolution))


def expected_information(
    grid: OccupancyGrid, worth: NDArray[np.float32], unknown: NDArray[np.bool_], places: Float, sight: Sight,
    depth: float = 1.5,
) -> tuple[Float, Float]:  # fmt: skip
    """What may be seen from places (V, 2) in the best direction.

    Args:
        worth: (rows, columns) float32 of seeing each cell, per square metre.
        unknown: (rows, columns) bool.
        depth: metres of unknown that a ray may be expected to go through before it meets something.

    Returns:
        information (V,) float64 in square metres of worth 1, and the heading (V,) float64, radians, that shows it.
    """
    angles = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    rays = cast_rays(grid, places, angles, sight.farthest)
    through = np.cumsum(unknown.ravel()[rays.cells] & rays.open, axis=-1) * grid.resolution
    seen = rays.open & (through <= depth) & (rays.distance >= sight.nearest)
    area = (rays.distance * grid.resolution * (2 * np.pi / ANGLES)).astype(np.float32)
    by_ray = (np.where(seen, worth.ravel()[rays.cells], np.float32(0)) @ area).astype(np.float64)
    wrapped = np.concatenate([by_ray, by_ray[:, : sight.rays - 1]], axis=1)
    sums = np.cumsum(np.pad(wrapped, ((0, 0), (1, 0))), axis=1)
    windows = sums[:, sight.rays :] - sums[:, : -sight.rays]  # of the rays k to k + sight.rays - 1
    best = windows.argmax(1)
    heading = angles[best] + (sight.rays - 1) * np.pi / ANGLES
    return windows[np.arange(len(places)), best], heading


def visible_cells(grid: OccupancyGrid, place: Float, heading: float, sight: Sight) -> NDArray[np.bool_]:
    """(rows, columns) bool: what the robot sees of the floor from `place` (2,)."""
    count = int(np.ceil(sight.field_of_view * sight.farthest / grid.resolution)) + 1
    angles = np.linspace(heading - sight.field_of_view / 2, heading + sight.field_of_view / 2, count)
    rays = cast_rays(grid, place[None], angles, sight.farthest)
    seen = np.zeros(grid.occupied.size, bool)
    seen[rays.cells[rays.open & (rays.distance >= sight.nearest)]] = True
    return seen.reshape(grid.occupied.shape)
