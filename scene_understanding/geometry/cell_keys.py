"""One number for each cell of a grid without bounds, to be sorted, searched and hashed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BITS = 21
"""Of each axis within a key."""
KEY_REACH = 1 << (BITS - 1)
"""Cells to either side of the origin that have keys: a million."""


def cell_keys(cells: NDArray[np.integer]) -> NDArray[np.int64]:
    """(N,) int64 of cells (N, 3), ascending in x, then y, then z.

    Raises:
        OverflowError: a cell beyond `KEY_REACH`; the bits of one axis would run into those of the next.
    """
    shifted = cells.astype(np.int64) + KEY_REACH
    if shifted.size and (shifted.min() < 0 or shifted.max() >= 2 * KEY_REACH):
        raise OverflowError(f"a cell lies more than {KEY_REACH} cells from the origin")
    return (shifted[:, 0] << 2 * BITS) | (shifted[:, 1] << BITS) | shifted[:, 2]
