"""How a map takes in clouds, and parts of space that it keeps clear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TENTH = 10
"""Occupancies are log odds in tenths."""


@dataclass(frozen=True)
class MapParameters:
    """How a map takes in clouds.

    Attributes:
        voxel: edge of a voxel, metres.
        max_range: points farther from the sensor, metres, do not enter.
        max_points: of a cloud that are looked at, spread over all of it.
        min_points: in a voxel for it to be hit.
        max_blocks: in memory; those farthest from the robot go to a file.
        hit, miss: log odds by which the occupancy of a voxel grows when a point is in it, and falls when it was seen
            through.
        hit_unlabelled: in the place of `hit` where neither points nor voxel have a class: whoever walks by a LiDAR
            leaves such. They raise a voxel no higher than this beyond `occupied`, so that it is free as soon as it is
            seen through.
        hit_in_free: share of a hit that counts while a voxel is free: what appears where the sensor saw through may be
            somebody who waits, and walks on.
        empty, full: log odds at which the occupancy stops to fall and to grow.
        occupied: log odds from which on a voxel counts as occupied.
        trust: share of a vote that counts: views of the same thing are no independent witnesses either.
        kept_out: names of classes whose points do not enter.
        max_evidence: log odds at which the evidence of a class stops to grow.
        unsaid: confidence of clouds that say none.
        carved_blocks: so many blocks a cloud, at most, and those near the sensor, are asked whether they were seen
            through; they take turns.
        margin, slope: what lies less than `margin` metres, and `slope` metres a metre of distance, in front of what was
            measured was not seen through.
    """

    voxel: float = 0.05
    max_range: float = 5.0
    max_points: int = 80_000
    min_points: int = 1
    max_blocks: int = 16_384
    hit: float = 0.9
    hit_unlabelled: float = 0.9
    hit_in_free: float = 0.34
    miss: float = 0.4
    empty: float = -2.0
    full: float = 3.5
    occupied: float = 1.5
    trust: float = 0.25
    kept_out: tuple[str, ...] = ("person", "people", "pedestrian", "rider")
    max_evidence: float = 8.0
    unsaid: float = 0.75
    carved_blocks: int = 512
    margin: float = 0.05
    slope: float = 0.01

    def __post_init__(self) -> None:
        if not 0.005 <= self.voxel <= 2:
            raise ValueError(f"voxels of {self.voxel} m; 0.005 to 2 are possible")
        if not self.max_range > self.voxel:
            raise ValueError(f"max_range is {self.max_range} m; it must be above a voxel's {self.voxel} m")
        if not -12 <= self.empty < self.occupied <= self.full <= 12:
            limits = f"empty {self.empty}, occupied {self.occupied}, full {self.full}"
            raise ValueError(f"log odds are {limits}; it must be -12 <= empty < occupied <= full <= 12")
        if round(TENTH * self.occupied) < 1:
            raise ValueError(f"occupied is {self.occupied}; below 0.1 what was never seen would be occupied")


@dataclass(frozen=True, eq=False)
class Volume:
    """A part of space, such as the bodies of people.

    Attributes:
        low, high: (M, 3) float64, metres in the map: corners of boxes that hold all of it.
        contains: (N,) bool, which of points (N, 3) float32 in the map lie in it.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    contains: Callable[[NDArray[np.float32]], NDArray[np.bool_]]
