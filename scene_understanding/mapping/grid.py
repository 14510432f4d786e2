"""Where one can walk or drive: an occupancy grid with clearances and shortest paths."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OccupancyGrid:
    """Cells of a horizontal plane.

    Attributes:
        origin: (2,) float64, map x and y of the outer corner of cell (0, 0).
        resolution: edge of a cell, metres.
        occupied: (rows, columns) bool; rows along y, columns along x.
        to_discs: (rows, columns) float64, metres from each cell to the rim of the nearest disc that is in the way as
            well, negative within one; infinite where there is none.
    """

    origin: Float
    resolution: float
    occupied: NDArray[np.bool_]
    to_discs: Float | float = np.inf

    @cached_property
    def clearance(self) -> NDArray[np.float32]:
        """(rows, columns) float32: metres from each free cell to the nearest occupied one, or to a disc's rim."""
        cells = cv2.distanceTransform((~self.occupied).astype(np.uint8), cv2.DIST_L2, 5) * np.float32(self.resolution)
        return np.minimum(cells, np.maximum(self.to_discs, 0)).astype(np.float32)

    def cells(self, points: ArrayLike) -> NDArray[np.int64]:
        """(..., 2) row and column of points (..., 2) in the map, clipped to the grid."""
        xy = np.asarray(points, np.float64)
        index = np.floor((xy - self.origin) / self.resolution).astype(np.int64)[..., ::-1]
        return np.clip(index, 0, np.array(self.occupied.shape) - 1)

    def centers(self, cells: NDArray[np.integer]) -> Float:
        """(..., 2) map points of cell centres (..., 2) row and column."""
        return self.origin + (cells[..., ::-1] + 0.5) * self.resolution

    def clearance_at(self, points: ArrayLike) -> NDArray[np.float32]:
        """(...) metres to the nearest obstacle from points (..., 2)."""
        cells = self.cells(points)
        return self.clearance[cells[..., 0], cells[..., 1]]

    def reachable(self, point: ArrayLike, clearance: float) -> NDArray[np.bool_]:
        """(rows, columns) bool: what a disc of radius `clearance` can reach from `point` (2,)."""
        _, regions = cv2.connectedComponents((self.clearance > clearance).astype(np.uint8), connectivity=4)
        row, column = self.cells(point)
        if regions[row, column] == 0:
            return np.zeros_like(self.occupied)
        return regions == regions[row, column]

    def ray_distance(self, start: ArrayLike, angles: ArrayLike, limit: float = 10.0) -> NDArray[np.float64]:
        """(A,) metres from `start` (2,) to the first occupied cell along each heading (A,), at most `limit`."""
        headings = np.asarray(angles, np.float64)
        steps = np.arange(0, limit, self.resolution)
        directions = np.stack([np.cos(headings), np.sin(headings)], -1)
        points = np.asarray(start) + steps[None, :, None] * directions[:, None]
        cells = self.cells(points)
        hit = self.occupied[cells[..., 0], cells[..., 1]]
        return np.where(hit.any(1), steps[hit.argmax(1)], limit)

    def with_discs(self, points: ArrayLike, radius: float) -> OccupancyGrid:
        """The grid with discs of `radius` around points (P, 2) in the way as well: clearances are those from their
        rims, not from cells, so that one gets by people without keeping a cell more away from them."""
        xy = np.reshape(np.asarray(points, np.float64), (-1, 2))
        if not len(xy):
            return self
        along, across = (
            self.origin[k] + (np.arange(self.occupied.shape[1 - k]) + 0.5) * self.resolution for k in (0, 1)
        )
        square = (across - xy[:, 1:])[:, :, None] ** 2 + (along - xy[:, :1])[:, None] ** 2
        to_discs = np.sqrt(square.min(0)) - radius
        return replace(self, occupied=self.occupied | (to_discs < 0), to_discs=np.minimum(self.to_discs, to_discs))

    def with_points(self, points: ArrayLike, radius: float = 0.0) -> OccupancyGrid:
        """The grid with the cells of points (M, 2) occupied as well, and those up to `radius` metres around them;
        points beyond its edges left out."""
        xy = np.reshape(np.asarray(points, np.float64), (-1, 2))
        end = self.origin + np.array(self.occupied.shape[::-1]) * self.resolution
        row, column = self.cells(xy[((xy >= self.origin) & (xy < end)).all(1)]).T
        more = np.zeros(self.occupied.shape, np.uint8)
        more[row, column] = 1
        grown = cv2.dilate(more, disc(ceil(radius / self.resolution)))
        return replace(self, occupied=self.occupied | (grown > 0))

    def line_is_clear(self, a: ArrayLike, b: ArrayLike, clearance: float) -> bool:
        """Whether the straight way from a (2,) to b (2,) keeps `clearance` metres."""
        start, end = np.asarray(a, np.float64), np.asarray(b, np.float64)
        count = max(int(np.linalg.norm(end - start) / self.resolution), 1) + 1
        return bool((self.clearance_at(np.linspace(start, end, count)) > clearance).all())

    def shortest_path(self, start: ArrayLike, goal: ArrayLike, clearance: float) -> Float | None:
        """(K, 2) way points from start (2,) to goal (2,) for a disc of radius `clearance`, or None.

        Ways close to obstacles cost more, so that paths run through the middle of doors.
        """
        return self.shortest_paths(start, clearance).to(goal)

    def shortest_paths(self, start: ArrayLike, clearance: float, preferred: float | None = None) -> ShortestPaths:
        """All shortest paths from start (2,), costs as in `shortest_path`.

        Where there is room they keep `preferred` metres; not given, it is `clearance`.
        """
        preferred = clearance if preferred is None else preferred
        xy = np.asarray(start, np.float64)
        free = self.clearance > clearance
        numbers = np.full(free.shape, -1, np.int64)
        numbers[free] = np.arange(int(free.sum()))
        cost, previous = np.full(int(free.sum()), np.inf), np.full(int(free.sum()), -1)
        if (source := int(numbers[tuple(self.cells(xy))])) >= 0:
            graph = self._graph(numbers, preferred)
            cost, previous = dijkstra(graph, directed=False, indices=source, return_predecessors=True)
        return ShortestPaths(self, xy, preferred, numbers, cost, previous)

    def _graph(self, numbers: NDArray[np.int64], preferred: float) -> csr_matrix:
        cost = 1 + 2 * np.clip(1.5 - self.clearance / max(preferred, 0.05), 0, 1)
        rows, columns, weights = [], [], []
        height, width = numbers.shape
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            a = (slice(0, height - dy), slice(max(-dx, 0), width - max(dx, 0)))
            b = (slice(dy, height), slice(max(dx, 0), width - max(-dx, 0)))
            both = (numbers[a] >= 0) & (numbers[b] >= 0)
            rows.append(numbers[a][both])
            columns.append(numbers[b][both])
            weights.append(np.hypot(dx, dy) * (cost[a] + cost[b])[both])
        n = int(numbers.max()) + 1
        return csr_matrix((np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=(n, n))

    def straightened(self, points: Float, preferred: float) -> Float:
        """(J, 2) of (K, 2) way points those that no straight line makes needless that keeps `preferred` metres, or
        nearly what the way itself keeps there."""
        kept, i, clearance = [points[0]], 0, self.clearance_at(points)
        while i < len(points) - 1:
            j = min(i + 60, len(points) - 1)
            while j > i + 1:
                least = min(preferred * 1.02, float(clearance[i : j + 1].min()) * 0.98)
                if self.line_is_clear(points[i], points[j], least):
                    break
                j = i + (j - i) // 2
            kept.append(points[j])
            i = j
        return np.array(kept)


@dataclass(frozen=True, eq=False)
class ShortestPaths:
    """The shortest paths of a disc from one point to everywhere (Dijkstra 1959).

    Attributes:
        grid: what is in the way.
        start: (2,) float64, metres.
        preferred: metres that they keep from obstacles where there is room.
        number: (rows, columns) int64 of the cells where the disc fits, -1 elsewhere.
        cost: (n,) float64 by number, cells; infinite where it cannot get to.
        previous: (n,) the number of the cell before; negative where there is none.
    """

    grid: OccupancyGrid
    start: Float
    preferred: float
    number: NDArray[np.int64]
    cost: Float
    previous: NDArray[np.integer]

    @cached_property
    def length(self) -> Float:
        """(rows, columns) float64, metres: of the path to every cell, longer where it is narrow; infinite without one.

        An edge adds the cost of both its ends, so that a cell of open ground counts two.
        """
        length = np.full(self.number.shape, np.inf)
        length[self.number >= 0] = self.cost * (self.grid.resolution / 2)
        return length

    def to(self, goal: ArrayLike) -> Float | None:
        """(K, 2) way points from the start to goal (2,), both included, or None."""
        target = int(self.number[tuple(self.grid.cells(goal))])
        if target < 0 or not np.isfinite(self.cost[target]):
            return None
        chain = [target]
        while self.previous[chain[-1]] >= 0:
            chain.append(int(self.previous[chain[-1]]))
        cells = np.argwhere(self.number >= 0)[chain[::-1]]
        points = np.concatenate([[self.start], self.grid.centers(cells)[1:-1], [np.asarray(goal, np.float64)]])
        return self.grid.straightened(points, self.preferred)


def disc(radius: int) -> NDArray[np.uint8]:
    """(2 radius + 1, 2 radius + 1) uint8: 1 within `radius` cells of the middle, for morphology."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))  # type: ignore[return-value]
