"""The space that people take up: a pillar around where each of them stands.

Bodies (`perception/body.py`) are what skeletons show, and no more: of somebody near, half of whom is out of the image,
or who has just been lost, there would be left what no joint stands for. The pillar holds that too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scene_understanding.mapping.map_parameters import Volume

Float = NDArray[np.float64]
TALLEST = 2.1
"""Metres over the floor up to which a pillar goes."""
FLOOR = 0.03
"""Metres over the floor at which it begins: below is the floor, which has to be seen."""


def pillars(places: Float, radius: float, ground: float) -> Volume:
    """All that is over a floor at height `ground` within `radius` of places (P, 2), metres in the map."""
    low, high = ground + FLOOR, ground + TALLEST

    def contains(points: NDArray[np.float32]) -> NDArray[np.bool_]:
        found = np.zeros(len(points), bool)
        x, y, z = points.T
        upright = (z > low) & (z < high)
        for px, py in places.tolist():
            found |= upright & ((x - px) ** 2 + (y - py) ** 2 < radius**2)
        return found

    corner = np.full((len(places), 1), 1.0)
    return Volume(
        np.concatenate([places - radius, low * corner], 1),
        np.concatenate([places + radius, high * corner], 1),
        contains,
    )


def either(a: Volume, b: Volume) -> Volume:
    """What is in one of two volumes."""
    return Volume(
        np.concatenate([a.low, b.low]), np.concatenate([a.high, b.high]),
        lambda points: a.contains(points) | b.contains(points),
    )  # fmt: skip
