"""The clocks that a node can live by: the system's, a simulator's on /clock, or the time of a recording."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from typing import Protocol


class Clock(Protocol):
    """Time of a node, and how long ago a stamp was in real seconds."""

    @property
    def now_ns(self) -> int: ...

    def age(self, stamp_ns: int) -> float | None:
        """Real seconds that have passed since this clock showed `stamp_ns`; None where it does not remember."""


class SystemClock:
    """Wall time."""

    @property
    def now_ns(self) -> int:
        return time.time_ns()

    def age(self, stamp_ns: int) -> float | None:
        """None for a stamp that is not of this clock: more than an hour old, or from the future."""
        age = (time.time_ns() - stamp_ns) * 1e-9
        return age if -1.0 < age < 3600.0 else None


class SimulatedClock:
    """Time that somebody else tells: a simulator on /clock, or a bag by the times of its records.

    Zero until it is told for the first time, as in ROS 2.
    """

    def __init__(self) -> None:
        self._now_ns = 0
        self._told: deque[tuple[int, float]] = deque(maxlen=1000)

    @property
    def now_ns(self) -> int:
        return self._now_ns

    def set(self, now_ns: int) -> bool:
        """Returns whether time went backwards."""
        backwards = now_ns < self._now_ns
        if backwards:
            self._told.clear()
        if now_ns != self._now_ns:
            self._told.append((now_ns, time.monotonic()))
        self._now_ns = now_ns
        return backwards

    def age(self, stamp_ns: int) -> float | None:
        """Real seconds since the clock was first told a time not before the stamp; 0 for a stamp in the future."""
        told = list(self._told)
        i = bisect_left(told, (stamp_ns, 0.0))
        if i == len(told):
            return 0.0
        return time.monotonic() - told[i][1] if i > 0 or told[i][0] == stamp_ns else None
