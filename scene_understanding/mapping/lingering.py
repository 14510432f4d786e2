"""What stays where it is, of what a sensor sees: walkers do not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry.cell_keys import cell_keys

Float = NDArray[np.float64]
CELL = 0.1
"""Metres within which what is seen is the same."""
LINGER = 1.5
"""Seconds after which it stays."""
GAP = 0.5
"""Seconds for which it need not be seen meanwhile; the time between two looks if that is longer."""


class Lingering:
    """Since when something has been seen in each cell of the plane."""

    def __init__(self) -> None:
        self._keys = np.zeros(0, np.int64)
        self._since = self._last = np.zeros(0)
        self._looked = -np.inf

    def update(self, points: Float, now: float) -> NDArray[np.bool_]:
        """(M,) which of points (M, 2), metres, seen at `now`, seconds, are where something has been for a while."""
        seen = cell_keys(np.pad(np.floor(points / CELL).astype(np.int64), ((0, 0), (0, 1))))
        kept = self._last >= min(now - GAP, self._looked)
        before, times = int(kept.sum()), np.full(len(seen), now)
        keys, cell = np.unique(np.concatenate([self._keys[kept], seen]), return_inverse=True)
        since, last = np.full(len(keys), now), np.full(len(keys), -np.inf)
        np.minimum.at(since, cell, np.concatenate([self._since[kept], times]))
        np.maximum.at(last, cell, np.concatenate([self._last[kept], times]))
        self._keys, self._since, self._last, self._looked = keys, since, last, now
        return np.asarray(now - since[cell[before:]] >= LINGER)
