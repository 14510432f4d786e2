"""The people of a world beside a robot: who walks up to it waits, and turns back if it stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scene_understanding.simulation.people import Person

Float = NDArray[np.float64]
WAIT_DISTANCE, WAIT_ANGLE = 0.85, 1.2
"""People stop for a robot this near, metres, and no more than this off their heading, radians."""
PATIENCE = 1.5
"""Seconds they wait before they turn back."""


class Crowd:
    """People, each with a clock of their own that stands still while they wait.

    Attributes:
        people: who they are.
        times: (P,) float64, seconds on each one's clock.
    """

    def __init__(self, people: tuple[Person, ...]) -> None:
        self.people = people
        self.times = np.zeros(len(people))
        self._waited = np.zeros(len(people))

    def advance(self, dt: float, robot: Float) -> None:
        """Let `dt` seconds go by, with a robot at `robot` (2,)."""
        for k, person in enumerate(self.people):
            xy, heading, _ = person.place(self.times[k])
            way = robot - xy
            off = np.angle(np.exp(1j * (np.arctan2(way[1], way[0]) - heading)))
            blocked = person.walks and np.hypot(*way) < WAIT_DISTANCE and abs(off) < WAIT_ANGLE
            if not blocked:
                self.times[k] += dt
                self._waited[k] = 0
            elif self._waited[k] < PATIENCE:
                self._waited[k] += dt
            else:
                self.times[k] = person.turned_back(self.times[k])
                self._waited[k] = 0

    def places(self) -> Float:
        """(P, 2) where they stand."""
        return np.array([p.place(t)[0] for p, t in zip(self.people, self.times, strict=True)]).reshape(-1, 2)

    def joints(self) -> Float:
        """(P, 18, 3) their joints in the map."""
        return np.array([p.joints(t) for p, t in zip(self.people, self.times, strict=True)]).reshape(-1, 18, 3)
