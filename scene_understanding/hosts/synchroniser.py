"""Sets of messages that belong together in time, by their header stamps.

Like `message_filters` ApproximateTime and ExactTime, but bounded and newest-only: a set is made at the moment when its
last message arrives, from the messages nearest to that one; whatever is older than a set that was made is dropped and
counted. Choose a slop below half the period of the fastest input, else a neighbour may be taken for a match.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

ALIVE_NS = 1_500_000_000  # an optional input that is silent for longer is not waited for; recordings of 1 Hz exist


class Synchroniser(Generic[T]):
    """Collects items of several named inputs into sets whose stamps lie within `slop_ns` of each other.

    An optional input is waited for while it is alive: while its newest stamp is less than 1.5 s older than the
    item that would complete the set. Else the set is made without it.

    Not thread-safe: the runner holds its lock around every call.

    Attributes:
        unmatched: by input, how many items were dropped without having been part of a set.
        last_stamps: by input, the newest stamp seen (nanoseconds); only inputs that have been heard.
        jumps: how often a stamp went backwards; everything that waited was dropped then.
        matches, last_match: sets made, and the monotonic time of the last.
    """

    def __init__(
        self, names: Sequence[str], slop_ns: int = 0, *, optional: Sequence[str] = (), capacity: int = 30
    ) -> None:
        """`capacity`: how many items of one input wait for their partners at most."""
        self.unmatched = dict.fromkeys(names, 0)
        self.last_stamps: dict[str, int] = {}
        self.jumps = 0
        self.matches = 0
        self.last_match = 0.0
        self._slop_ns = slop_ns
        self._optional = frozenset(optional)
        self._capacity = capacity
        self._waiting: dict[str, list[tuple[int, T]]] = {name: [] for name in names}

    def add(self, name: str, stamp_ns: int, item: T) -> dict[str, T] | None:
        """The set that this item completes, by input name, or None."""
        if stamp_ns < self.last_stamps.get(name, stamp_ns):
            self.jumps += 1
            self.clear()
        self.last_stamps[name] = stamp_ns
        queue = self._waiting[name]
        queue.append((stamp_ns, item))
        if len(queue) > self._capacity:
            del queue[0]
            self.unmatched[name] += 1
        return self._matched(stamp_ns)

    def _matched(self, stamp_ns: int) -> dict[str, T] | None:
        wanted = [name for name in self._waiting if self.waits_for(name, stamp_ns)]
        if not all(self._waiting[name] for name in wanted):
            return None
        nearest = {name: _nearest([stamp for stamp, _ in self._waiting[name]], stamp_ns) for name in wanted}
        stamps = [self._waiting[name][i][0] for name, i in nearest.items()]
        if max(stamps) - min(stamps) > self._slop_ns:
            return None
        self.matches += 1
        self.last_match = time.monotonic()
        found = {name: self._waiting[name][i][1] for name, i in nearest.items()}
        for name, i in nearest.items():
            self.unmatched[name] += i
            del self._waiting[name][: i + 1]
        return found

    def waits_for(self, name: str, stamp_ns: int) -> bool:
        """Whether an item of that stamp needs one of this input: a required one, or an optional one that is alive."""
        alive = self.last_stamps.get(name, -ALIVE_NS) > stamp_ns - ALIVE_NS
        return alive or name not in self._optional

    def clear(self) -> None:
        """Forgets what waits (counted as unmatched) and the last stamps: time has jumped."""
        for name, queue in self._waiting.items():
            self.unmatched[name] += len(queue)
            queue.clear()
        self.last_stamps.clear()


def _nearest(stamps: Sequence[int], stamp_ns: int) -> int:
    """Index of the stamp nearest to `stamp_ns`; of equal ones the newest."""
    return min(range(len(stamps)), key=lambda i: (abs(stamps[i] - stamp_ns), -i))
