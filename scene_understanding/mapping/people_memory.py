"""Where people are who were seen a moment ago."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
FASTEST = 2.0
"""What people walk at most, m/s."""
STANDING = 0.2
"""Who is slower than this, m/s, stands."""
SURE = 1.0
"""Seconds for which somebody must have been seen for that."""
SMOOTHING = 0.5
"""Share of a new measurement of the speed in the remembered one."""


@dataclass(frozen=True, eq=False)
class _Seen:
    xy: Float
    velocity: Float
    time: float
    since: float

    @property
    def stands(self) -> bool:
        return bool(np.linalg.norm(self.velocity) < STANDING) and self.time - self.since >= SURE


class PeopleMemory:
    """Keeps everybody for a while after they were last seen, with their speed; longer who stands: they tend to stay."""

    def __init__(self, keep: float = 2.0, keep_standing: float = 20.0) -> None:
        """Seconds for which those who walk and those who stand are kept."""
        self._keep, self._keep_standing = keep, keep_standing
        self._seen: dict[int, _Seen] = {}

    def update(self, ids: NDArray[np.integer], positions: Float, time: float) -> None:
        """Who was seen at `time`, seconds: ids (P,), and positions (P, 2) in the map, metres; NaN is left out.

        An id of 0 is somebody who is not tracked: kept, with no speed, until the next update.
        """
        self._seen = {i: s for i, s in self._seen.items() if i > 0 and self._is_kept(s, time)}
        for k in np.flatnonzero(np.isfinite(positions).all(axis=1)).tolist():
            i, xy = int(ids[k]), positions[k].astype(np.float64)
            if i == 0:
                self._seen[-1 - k] = _Seen(xy, np.zeros(2), time, time)
            else:
                since = self._seen[i].since if i in self._seen else time
                self._seen[i] = _Seen(xy, self._velocity(i, xy, time), time, since)

    def places(self, time: float) -> Float:
        """(P, 2) float64, metres: where everybody of the last seconds is thought to be at `time`: who stands where they
        were, who walks as far on as their speed takes them."""
        seen = [s for s in self._seen.values() if self._is_kept(s, time)]
        ahead = [0.0 if s.stands else max(time - s.time, 0.0) for s in seen]
        return np.array([s.xy + s.velocity * t for s, t in zip(seen, ahead, strict=True)]).reshape(-1, 2)

    def _is_kept(self, seen: _Seen, time: float) -> bool:
        return time - seen.time <= (self._keep_standing if seen.stands else self._keep)

    def _velocity(self, i: int, xy: Float, time: float) -> Float:
        before = self._seen.get(i)
        if before is None or time - before.time < 1e-3:
            return np.zeros(2) if before is None else before.velocity
        measured = (xy - before.xy) / (time - before.time)
        measured *= min(1.0, FASTEST / max(float(np.linalg.norm(measured)), 1e-9))
        return (1 - SMOOTHING) * before.velocity + SMOOTHING * measured
