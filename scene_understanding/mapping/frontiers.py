"""What a robot knows of the floor, and where that ends: frontiers (Yamauchi, "A Frontier-Based Approach for Autonomous
Exploration", CIRA 1997)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from scene_understanding.mapping.grid import OccupancyGrid, disc
from scene_understanding.mapping.layers import UNSURE

Float = NDArray[np.float64]
NO_CLASS = 100
"""Uncertainty of what is in the way and has no class."""
SAME = 1
"""Cells beside what the map knows within which a sensor sees the same thing."""


@dataclass(frozen=True, eq=False)
class KnownGrid:
    """The floor as a map knows it so far.

    Attributes:
        origin: (2,) float64, map x and y of the outer corner of cell (0, 0).
        resolution: edge of a cell, metres.
        occupancy: (rows, columns) int8, rows along y: -1 unknown, 0 free to 100 occupied; at `layers.UNSURE` the floor
            was seen but not all that may stand on it, above that a cell is in the way.
        uncertainty: (rows, columns) int8: -1 unknown, 0 sure of the class to 100 not at all.

    Raises:
        ValueError: occupancy and uncertainty of different shapes.
    """

    origin: Float
    resolution: float
    occupancy: NDArray[np.int8]
    uncertainty: NDArray[np.int8]

    def __post_init__(self) -> None:
        if self.occupancy.shape != self.uncertainty.shape:
            raise ValueError(f"occupancy is {self.occupancy.shape}, uncertainty {self.uncertainty.shape}")

    @classmethod
    def of_occupancy(cls, origin: ArrayLike, resolution: float, occupancy: NDArray[np.int8]) -> KnownGrid:
        """Of a map that is sure of all its classes."""
        known = np.minimum(occupancy, 0).astype(np.int8)
        return cls(np.asarray(origin, np.float64), resolution, occupancy, known)

    @cached_property
    def free(self) -> NDArray[np.bool_]:
        """(rows, columns) bool."""
        return (self.occupancy >= 0) & (self.occupancy < UNSURE)

    @cached_property
    def unknown(self) -> NDArray[np.bool_]:
        """(rows, columns) bool: not seen, or not all of it."""
        return (self.occupancy < 0) | (self.occupancy == UNSURE)

    @cached_property
    def obstacles(self) -> OccupancyGrid:
        """The occupied cells."""
        return OccupancyGrid(self.origin, self.resolution, self.occupancy > UNSURE)

    @cached_property
    def classed(self) -> NDArray[np.bool_]:
        """(rows, columns) bool: something of a class is in the way there, or `SAME` cells beside."""
        classed = self.obstacles.occupied & (self.uncertainty < NO_CLASS)
        return cv2.dilate(classed.astype(np.uint8), disc(SAME)) > 0

    def is_unmapped(self, points: Float) -> NDArray[np.bool_]:
        """(M,) at which of points (M, 2), where a sensor sees something, the map has nothing of any class."""
        row, column = self.obstacles.cells(points).T
        return np.asarray(~self.classed[row, column])

    def is_free(self, points: Float) -> NDArray[np.bool_]:
        """(M,) which of points (M, 2) are over free floor."""
        row, column = self.obstacles.cells(points).T
        return np.asarray(self.free[row, column])

    def padded(self, margin: float) -> KnownGrid:
        """With at least `margin` metres more on each side, all of it unknown."""
        cells = int(np.ceil(margin / self.resolution))
        occupancy, uncertainty = (
            np.pad(layer, cells, constant_values=np.int8(-1)) for layer in (self.occupancy, self.uncertainty)
        )
        return KnownGrid(self.origin - cells * self.resolution, self.resolution, occupancy, uncertainty)


@dataclass(frozen=True, eq=False)
class Frontier:
    """Free cells that lie together beside the unknown.

    Attributes:
        points: (K, 2) float64, their centres in the map, metres.
        middle: (2,) float64, the one of them that is nearest to their mean.
    """

    points: Float
    middle: Float


def find_frontiers(known: KnownGrid, within: NDArray[np.bool_], min_cells: int = 5) -> list[Frontier]:
    """The frontiers of at least `min_cells` cells, longest first.

    Args:
        within: (rows, columns) bool, where to look: what the robot can get to.
    """
    beside = cv2.dilate(known.unknown.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    edge = (known.free & beside & within).astype(np.uint8)
    count, numbers, stats, means = cv2.connectedComponentsWithStats(edge, connectivity=8)
    areas = stats[1:count, cv2.CC_STAT_AREA]
    found = []
    for number in 1 + np.argsort(-areas, kind="stable"):
        if areas[number - 1] < min_cells:
            break
        left, top, width, height = stats[number, :4]
        cells = np.argwhere(numbers[top : top + height, left : left + width] == number) + (top, left)
        middle = cells[np.argmin(np.linalg.norm(cells - means[number, ::-1], axis=1))]
        found.append(Frontier(known.obstacles.centers(cells), known.obstacles.centers(middle)))
    return found
