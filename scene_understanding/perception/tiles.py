"""A cloud cut into horizontal tiles, so that one of any size is worked on in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Tile:
    """Some points of a cloud; each belongs to one tile, and lies in the margin of others.

    Attributes:
        own: (n,) int64, the points of the tile.
        around: (m,) int64, those of its margin.
    """

    own: NDArray[np.int64]
    around: NDArray[np.int64]


def tiles(xyz: NDArray[np.floating[Any]], side: float, margin: float) -> Iterator[Tile]:
    """Tiles of about `side` x `side` metres that are not empty, row by row.

    Args:
        xyz: (N, 3) metres, finite.
        side: of a tile, metres; the cloud is cut into so many equal parts that theirs comes nearest to it.
        margin: metres around a tile, at most about half its side.

    Raises:
        ValueError: not 0 <= margin <= side / 2.
    """
    if not (0 <= margin <= side / 2 and np.isfinite(side) and side > 0):
        raise ValueError(
            f"tiles of {side} m with a margin of {margin} m; expected 0 <= margin <= side / 2, side above 0"
        )
    if not len(xyz):
        return
    xy = xyz[:, :2]
    low, high = xy.min(axis=0).astype(np.float64), xy.max(axis=0).astype(np.float64)
    count = np.maximum(np.rint((high - low) / side), 1).astype(np.int64)
    step = np.maximum((high - low) / count, 1e-9)
    column, row = np.minimum((xy - low) / step, count - 1).astype(np.int64).T
    number = column * count[1] + row
    order = np.argsort(number, kind="stable")
    number = number[order]
    for tile in np.unique(number):
        column, row = divmod(int(tile), int(count[1]))
        start = low + step * (column, row)
        near = []
        for beside in range(max(column - 1, 0), min(column + 2, int(count[0]))):
            rows = beside * count[1] + np.array([max(row - 1, 0), min(row + 2, int(count[1]))])
            first, last = np.searchsorted(number, rows)
            near.append(order[first:last])
        points = np.concatenate(near)
        own = order[slice(*np.searchsorted(number, (tile, tile + 1)))]
        inside = ((xy[points] >= start - margin) & (xy[points] < start + step + margin)).all(axis=1)
        yield Tile(own, np.setdiff1d(points[inside], own, assume_unique=True))
