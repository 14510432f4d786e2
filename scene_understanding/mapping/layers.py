"""From the map to the plane: floor and obstacle heights, traversability and uncertainty of every column of voxels.

Only columns of blocks that have changed are worked out again; what is kept of each takes about a thirtieth of the
memory of its voxels, and stays when these go to the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from scene_understanding.labels import UNLABELLED, LabelSet
from scene_understanding.mapping.blocks import CENTRE, SIDE, Blocks
from scene_understanding.mapping.class_evidence import Evidence, confidence

Float = NDArray[np.float32]
UNKNOWN, OCCUPIED = -1, 100
ROUGH_COST = 30
"""Of a floor of a rough class, on the scale from 0 to `OCCUPIED`."""
UNSURE = 50
"""Where the floor was seen, but not all of the space above it: the board of a table may be there."""
FLAT = 0.03
"""Metres over the floor from which on what has a class that cannot be driven on is in the way: a book, not a carpet."""
BUMP = 0.8
"""Edge of the square, metres, over whose mean floor what is higher by more than `FLAT` is none: a book that was taken
for the floor."""
_CHUNK = 256
"""Columns of blocks worked out at once: bounds the memory that it takes."""


@dataclass(frozen=True)
class GridParameters:
    """What of the map is in a robot's way.

    Attributes:
        low, high: metres above the floor; what lies between is in the way. So is what is lower where it is of a class
            that one cannot drive on, and higher than the noise of the floor.
        step: largest height of the floor above or below the robot's own, metres.
        traversable: names of the classes that one can drive on; rough: likewise, at a cost.
        unseen: a floor of whose space above, from `low` to `high`, as many metres or more were never seen is not sure.
        fill: unknown cells, and those that are not sure, are free with so many free ones among their eight neighbours;
            9: never.
    """

    low: float = 0.07
    high: float = 1.3
    step: float = 0.12
    traversable: tuple[str, ...] = ("floor", "floor mat", "road", "sidewalk", "ground")
    rough: tuple[str, ...] = ("terrain",)
    unseen: float = 0.08
    fill: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high:
            raise ValueError(f"obstacles from {self.low} to {self.high} m above the floor; it must be 0 <= low < high")


@dataclass(frozen=True, eq=False)
class GridLayers:
    """The map from above; rows along y, columns along x.

    Attributes:
        origin: (2,) float64, map x and y of the outer corner of cell (0, 0).
        resolution: edge of a cell, metres.
        occupancy: (R, C) int8: -1 unknown, 0 free, `ROUGH_COST` free but rough, `UNSURE`, 100 occupied.
        uncertainty: (R, C) int8: 100 (1 - mean confidence) of the classes of what is in the way, or else of the floor;
            -1 where nothing was seen.
        floor: (R, C) float32, metres: height of the floor; NaN where it was not seen.
        obstacle: (R, C) float32, metres: height of the highest thing in the way; NaN where there is none.
        label: (R, C) uint16: class of that thing, or else of the floor; 255 unlabelled.
    """

    origin: NDArray[np.float64]
    resolution: float
    occupancy: NDArray[np.int8]
    uncertainty: NDArray[np.int8]
    floor: Float
    obstacle: Float
    label: NDArray[np.uint16]


_TILE = (SIDE, SIDE)
TILES: dict[str, tuple[tuple[int, ...], type, float]] = {
    "coordinates": ((2,), np.int32, 0),
    "ground": ((), np.float32, 0),
    "visited": (_TILE, bool, False),
    "floor": (_TILE, np.float32, np.nan),
    "base": (_TILE, np.float32, np.nan),
    "floor_cost": (_TILE, np.int8, UNKNOWN),
    "top": (_TILE, np.float32, np.nan),
    "bulk": (_TILE, np.uint8, 0),
    "unseen": (_TILE, np.uint8, 0),
    "number": (_TILE, np.uint8, 0),
    "uncertainty": (_TILE, np.int8, UNKNOWN),
}
"""Shape, dtype and empty value of what is kept of each column of blocks; cells are x first."""


class Columns:
    """The layers of each column of blocks, in tiles of `SIDE` x `SIDE` cells; rows of the arrays are tiles.

    Attributes:
        coordinates: (T, 2) int32, of the column, in blocks; ground: (T,) metres, near which its floor is looked for.
        visited: where the robot has stood.
        floor, top: metres, heights of the floor and of the highest thing in the way; NaN where there is none.
        base: metres, height of the lowest floor, which the noise of far looks does not raise.
        floor_cost: of driving on it; -1 where it was not seen.
        bulk: how many voxels are in the way; unseen: how many may be, since they were never seen.
        number: class number of the highest thing in the way, or else of the floor.
        uncertainty: 0 to 100, -1 unknown.
    """

    coordinates: NDArray[np.int32]
    ground: Float
    visited: NDArray[np.bool_]
    floor: Float
    base: Float
    floor_cost: NDArray[np.int8]
    top: Float
    bulk: NDArray[np.uint8]
    unseen: NDArray[np.uint8]
    number: NDArray[np.uint8]
    uncertainty: NDArray[np.int8]

    def __init__(self, labels: LabelSet, voxel: float, occupied: int, parameters: GridParameters) -> None:
        """`occupied`: the occupancy from which on a voxel counts as such."""
        self.parameters = parameters
        self._labels, self._voxel, self._occupied = labels, voxel, occupied
        self._cost: NDArray[np.int16] = np.full(256, UNKNOWN, np.int16)
        for names, cost in ((parameters.rough, ROUGH_COST), (parameters.traversable, 0)):
            self._cost[[i + 1 for i, name in enumerate(labels.names) if name in names]] = cost
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self._index: dict[tuple[int, int], int] = {}
        for name, (shape, kind, empty) in TILES.items():
            setattr(self, name, np.full((0, *shape), empty, kind))

    def kept(self) -> dict[str, NDArray]:
        """Everything that is known, by the names of `TILES`, for a file."""
        return {name: getattr(self, name)[: len(self)] for name in TILES}

    def restore(self, kept: Mapping[str, NDArray]) -> None:
        """What `kept` gave, in the place of everything that is known."""
        self.clear()
        tiles = self.claim(kept["coordinates"])
        for name in TILES:
            getattr(self, name)[tiles] = kept[name]

    def __len__(self) -> int:
        return len(self._index)

    @property
    def bytes(self) -> int:
        return sum(getattr(self, name).nbytes for name in TILES)

    def drivable(self, number: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(...) whether class numbers (...) are of floors."""
        return self._cost[number] >= 0

    def claim(self, columns: NDArray[np.integer]) -> NDArray[np.int64]:
        """(N,) positions of the tiles of columns of blocks (N, 2), made where there were none."""
        for column in columns.tolist():
            self._index.setdefault(tuple(column), len(self._index))
        self._grow(len(self._index))
        at = np.fromiter((self._index[tuple(column)] for column in columns.tolist()), np.int64, len(columns))
        self.coordinates[at] = columns
        return at

    def _grow(self, count: int) -> None:
        size = len(self.ground)
        if count <= size:
            return
        more = max(count, 2 * size, 64) - size
        for name, (shape, kind, empty) in TILES.items():
            setattr(self, name, np.concatenate([getattr(self, name), np.full((more, *shape), empty, kind)]))

    def settle(self, columns: NDArray[np.integer], ground: float) -> None:
        """The floor of columns of blocks (N, 2) is to be looked for near the height `ground`, metres."""
        tiles = self.claim(columns)
        self.ground[tiles] = ground

    def stand(self, xy: ArrayLike, radius: float, ground: float) -> None:
        """The robot stands at xy (2,), metres in the map: the floor within `radius` bears it."""
        x, y = np.asarray(xy, np.float64)
        low, high = (np.floor((np.array([x, y]) + s * radius) / self._voxel).astype(int) for s in (-1, 1))
        cells = np.stack(np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True))), -1).reshape(-1, 2)
        cells = cells[np.linalg.norm((cells + 0.5) * self._voxel - (x, y), axis=1) <= radius]
        blocks, inverse = np.unique(cells // SIDE, axis=0, return_inverse=True)
        known = len(self)
        tiles = self.claim(blocks)
        self.ground[tiles[tiles >= known]] = ground
        self.visited[tiles[inverse.reshape(-1)], cells[:, 0] % SIDE, cells[:, 1] % SIDE] = True

    def update(self, blocks: Blocks, columns: NDArray[np.integer]) -> None:
        """Works out columns of blocks (N, 2) that have changed."""
        for i in range(0, len(columns), _CHUNK):
            self._update(blocks, columns[i : i + _CHUNK])

    def _update(self, blocks: Blocks, columns: NDArray[np.integer]) -> None:
        p, tiles = self.parameters, self.claim(columns)
        ground = self.ground[tiles]
        edge = SIDE * self._voxel
        low, high = int((ground.min() - p.step) // edge), int((ground.max() + p.step + p.high) // edge) + 1
        stack = _stacked(blocks, columns, low, high)
        height = ((np.arange(low * SIDE, high * SIDE) + CENTRE[2]) * self._voxel).astype(np.float32)
        occupancy = stack("occupancy")
        seen = occupancy >= self._occupied
        number = stack("first")
        drivable = seen & (self._cost[number] >= 0) & (np.abs(height - ground[:, None, None, None]) <= p.step)
        floor = _highest(drivable)
        has_floor = floor >= 0
        self.floor[tiles] = np.where(has_floor, height[floor], np.nan)
        self.base[tiles] = np.where(has_floor, height[drivable.argmax(-1)], np.nan)
        own = np.where(has_floor, height[floor], ground[:, None, None])
        above = height - own[..., None]
        band = (above > p.low) & (above < p.high)
        flat = (above > FLAT) & (above <= p.low) & (number > 0) & (self._cost[number] < 0)
        in_the_way = seen & (band | flat)
        top = _highest(in_the_way)
        self.top[tiles] = np.where(top >= 0, height[top], np.nan)
        self.bulk[tiles] = np.minimum(in_the_way.sum(-1), 254)
        self.unseen[tiles] = np.minimum((band & (occupancy == 0)).sum(-1), 255)
        shown = np.where(top >= 0, top, floor)
        at = np.take_along_axis(number, np.maximum(shown, 0)[..., None], -1)[..., 0]
        self.number[tiles] = np.where(shown >= 0, at, 0)
        under = np.take_along_axis(number, np.maximum(floor, 0)[..., None], -1)[..., 0]
        self.floor_cost[tiles] = np.where(has_floor, self._cost[under], UNKNOWN)
        on_floor = np.arange(len(height)) == floor[..., None]  # nowhere where there is no floor
        bare = ~in_the_way.any(-1, keepdims=True)
        self.uncertainty[tiles] = self._unsure(stack, in_the_way | (on_floor & bare))

    def _unsure(self, stack: _stacked, counted: NDArray[np.bool_]) -> NDArray[np.int8]:
        """(N, SIDE, SIDE) int8: 100 (1 - mean confidence) of the voxels counted (N, SIDE, SIDE, Z)."""
        where = np.nonzero(counted)
        names = ("first", "second", "first_evidence", "second_evidence")
        sure = confidence(Evidence(*(stack(name)[where] for name in names)), len(self._labels))
        shape = counted.shape[:3]
        cell = np.ravel_multi_index(where[:3], shape)
        size = counted[..., 0].size
        count, total = np.bincount(cell, minlength=size), np.bincount(cell, sure, size)
        mean = np.round(100 * (1 - total / np.maximum(count, 1)))
        return np.where(count > 0, mean, UNKNOWN).astype(np.int8).reshape(shape)

    def layers(self, around: ArrayLike | None = None, extent: float | None = None) -> GridLayers:
        """All that is known, or of it a square with edges of `extent` metres around `around` (2,)."""
        count = len(self)
        chosen = np.arange(count)
        if around is not None and extent is not None:
            middle = np.asarray(around, np.float64) / (SIDE * self._voxel)
            reach = extent / 2 / (SIDE * self._voxel)
            chosen = np.flatnonzero((np.abs(self.coordinates[:count] + 0.5 - middle) <= reach).all(1))
        if not len(chosen):
            return self._drawn(chosen, np.zeros(2, np.int32), (1, 1))
        at = self.coordinates[chosen]
        low = at.min(0)
        return self._drawn(chosen, low, tuple((at.max(0) - low + 1).tolist()))

    def _drawn(self, chosen: NDArray[np.int64], low: NDArray[np.int32], size: tuple[int, ...]) -> GridLayers:
        across, along = (self.coordinates[chosen] - low).T

        def raster(tiles: NDArray, empty: float) -> NDArray:
            picture = np.full((size[1], SIDE, size[0], SIDE), empty, tiles.dtype)
            picture[along, :, across] = tiles[chosen].transpose(0, 2, 1)
            return picture.reshape(size[1] * SIDE, size[0] * SIDE)

        floor_cost = raster(self.floor_cost, UNKNOWN)
        visited = raster(self.visited, False)
        base = raster(self.base, np.nan)
        bump = self._stands_out(base)
        bulk = raster(self.bulk, 0) + bump
        blocked = _without_specks(bulk)
        unsure = raster(self.unseen, 0) * self._voxel >= self.parameters.unseen
        free = np.where(unsure & (floor_cost >= 0), UNSURE, floor_cost)
        free = np.where(visited & ((free < 0) | unsure), 0, free)
        free = _filled(free, blocked | (bulk > 0), self.parameters.fill)
        number = raster(self.number, 0)
        ids = np.array([UNLABELLED, *self._labels.ids], np.uint16)
        return GridLayers(
            origin=low.astype(np.float64) * SIDE * self._voxel,
            resolution=self._voxel,
            occupancy=np.where(blocked, OCCUPIED, free).astype(np.int8),
            uncertainty=raster(self.uncertainty, UNKNOWN),
            floor=raster(self.floor, np.nan),
            obstacle=np.where(blocked, np.fmax(raster(self.top, np.nan), np.where(bump, base, np.nan)), np.nan),
            label=ids[number],
        )

    def _stands_out(self, base: Float) -> NDArray[np.bool_]:
        """(R, C) where floor at `base` (R, C), NaN unknown, stands out of that around it."""
        known = np.isfinite(base)
        size = (round(BUMP / self._voxel) | 1,) * 2
        total, count = (cv2.boxFilter(v.astype(np.float32), -1, size) for v in (np.where(known, base, 0), known))
        return base - total / np.maximum(count, np.float32(1e-6)) > FLAT


class _stacked:
    """Columns of blocks (N, 2) between two heights in blocks as one array (N, SIDE, SIDE, Z) of any field."""

    def __init__(self, blocks: Blocks, columns: NDArray[np.integer], low: int, high: int) -> None:
        n, levels = len(columns), high - low
        coordinates = np.empty((n, levels, 3), np.int32)
        coordinates[..., :2], coordinates[..., 2] = columns[:, None], np.arange(low, high)
        self._slots = blocks.find(coordinates.reshape(-1, 3))
        self._blocks, self._shape = blocks, (n, levels)

    def __call__(self, name: str) -> NDArray:
        field = getattr(self._blocks, name)
        values = field[self._slots]  # what is not there takes the last slot
        values[self._slots < 0] = 0
        n, levels = self._shape
        return values.reshape(n, levels, SIDE, SIDE, SIDE).transpose(0, 2, 3, 1, 4).reshape(n, SIDE, SIDE, -1)


def _highest(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(...) the last index along the last axis where mask (..., Z) is set; -1 where it is nowhere."""
    last = mask.shape[-1] - 1 - np.argmax(mask[..., ::-1], axis=-1)
    return np.where(mask.any(-1), last, -1)


def _without_specks(bulk: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where something is in the way, by the number of voxels of each cell: one that is alone, above, below and beside,
    is noise."""
    anything = (bulk > 0).astype(np.uint8)
    around = cv2.filter2D(anything, cv2.CV_16S, np.ones((3, 3), np.float32), borderType=cv2.BORDER_CONSTANT)
    return (bulk > 1) | ((bulk == 1) & (around > 1))


def _filled(cost: NDArray[np.int16], blocked: NDArray[np.bool_], enough: int) -> NDArray[np.int16]:
    """Costs (R, C), -1 unknown, where unknown and unsure cells among free ones are free."""
    free = ((cost >= 0) & (cost < UNSURE) & ~blocked).astype(np.uint8)
    around = cv2.filter2D(free, cv2.CV_16S, np.ones((3, 3), np.float32), borderType=cv2.BORDER_CONSTANT)
    return np.where((free == 0) & ~blocked & (around >= enough), 0, cost)
