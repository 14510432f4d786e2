"""Where people are who were seen a moment ago."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scene_understanding.mapping.path_follower import angles_between

Float = NDArray[np.float64]
FASTEST = 2.0
"""What people walk at most, m/s."""
STANDING = 0.2
"""Who is slower than this, m/s, stands."""
SURE = 1.0
"""Seconds for which somebody must have been seen for that."""
GAIN, SPEED_GAIN = 0.5, 0.17
"""Of a measurement on the remembered place and speed (an alpha-beta filter, critically damped)."""
NEAR = 0.5
"""Metres from where somebody is expected, who is not seen, within which a new track is of them."""
BODY = 0.5
"""Metres from where somebody is thought to be within which what a sensor sees and the map does not have is of them."""
HIDDEN = 0.15
"""Radians beside the way to them at which something nearer may hide them."""
ENOUGH, GROUP, DEPTH = 4, 0.35, 0.1
"""Such points that place somebody; metres between those of one body, and from what is seen of it to its middle."""
PROVED = 10.0
"""Seconds for which who does not move is followed for each second in which a skeleton stood there."""
SETTLED = 5.0
"""Seconds after which who stands is known to stay while anything is there: others may have left a door's frame."""
NO_SKELETON = 1 << 32
"""Where the ids of people begin whom no skeleton has shown; those of skeletons are below."""
MOVED = 1.0
"""Metres that such a one must have moved, else it may be a chair, of which a robot that drives by sees other legs."""
DOUBLE = 0.25
"""Metres between two people within which they are one."""
JUMP = 1.0
"""Metres from where they are expected beyond which somebody is taken for somebody else."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """Somebody: where they were first; where, how fast and when they were last measured; since when they are known; for
    how long they have stood; when something of them was last seen, when the LiDAR last placed them, and when they were
    last known to be somebody, by a skeleton or since they walked; for how long a skeleton has stood there; whether they
    have moved from where they were first."""

    start: Float
    xy: Float
    velocity: Float
    time: float
    since: float
    stood: float
    there: float
    followed: float
    somebody: float
    shown: float
    has_moved: bool

    @classmethod
    def new(cls, xy: Float, time: float) -> _Seen:
        return cls(xy, xy, np.zeros(2), time, time, 0.0, time, -np.inf, time, 0.0, False)

    @property
    def stands(self) -> bool:
        return self.is_slow and self.time - self.since >= SURE

    @property
    def is_slow(self) -> bool:
        return bool(np.linalg.norm(self.velocity) < STANDING)

    def is_followed(self, xy: Float, time: float) -> bool:
        """Whether the LiDAR places them better than a skeleton at xy (2,) does."""
        return time - self.followed < SURE and bool(np.linalg.norm(xy - self.at(time)) < JUMP)

    def is_lost(self, time: float) -> bool:
        """Whether they may be anywhere by now."""
        return time - self.time > SURE and not self.stands

    def still_there(self, time: float) -> _Seen:
        """They, of whom something is seen at `time`."""
        there = max(time, self.there)  # a picture may come later than a scan that was taken after it
        return replace(self, there=there, stood=self.stood + (there - self.there if self.stands else 0.0))

    def at(self, time: float) -> Float:
        """(2,) where they are thought to be."""
        return self.xy if self.stands else self.xy + self.velocity * max(time - self.time, 0.0)


class PeopleMemory:
    """Keeps everybody for a while after they were last seen, with their speed; longer who stands, the longer
    they have stood."""

    def __init__(
        self, keep: float = 2.0, keep_standing: float = 20.0, longer: float = 4.0, trusted: float = 8.0
    ) -> None:  # fmt: skip
        """For how long people are kept, seconds.

        Args:
            keep: those who walk.
            keep_standing: those who stand, at most.
            longer: so many times as long as they have been seen standing, since most who stop walk on.
            trusted: what does not move and is followed without a skeleton, since it may be a thing beside which
                somebody stood.
        """
        self._keep, self._keep_standing, self._longer, self._trusted = keep, keep_standing, longer, trusted
        self._seen: dict[int, _Seen] = {}
        self._newest = NO_SKELETON
        """The last id that was given to somebody whom no skeleton has shown yet."""

    def update(
        self, ids: NDArray[np.integer], positions: Float, time: float, centred: NDArray[np.bool_] | None = None
    ) -> None:
        """Who was seen at `time`, seconds: ids (P,), and positions (P, 2) in the map, metres; NaN is left out.

        An id of 0 is somebody who is not tracked: kept, with no speed, until the next update.

        Args:
            centred: (P,) which positions are of the middles of bodies, all if not given. An arm that reaches into the
                picture says that somebody is there still, and not where: the others place only who is not known yet.
                So do all of who is near and followed by `look`.
        """
        self._seen = {i: s for i, s in self._seen.items() if i > 0 and self._is_kept(s, time)}
        placed = np.flatnonzero(np.isfinite(positions).all(axis=1)).tolist()
        for k in placed:
            i, xy = int(ids[k]), positions[k].astype(np.float64)
            before = self._seen.get(i) if i > 0 else None
            if i > 0 and before is None:
                before = self._lost(xy, time, {int(ids[j]) for j in placed})
            if before is None:
                seen = _Seen.new(xy, time)
            elif before.is_followed(xy, time) or not (centred is None or centred[k] or before.is_lost(time)):
                seen = before.still_there(time)
            else:
                seen = _tracked(before, xy, time)
            self._seen[i if i > 0 else -1 - k] = _shown(seen, time)
        self._drop_doubles(time)

    def _drop_doubles(self, time: float) -> None:
        """Forgets who is where somebody is who was seen later, or has been known for longer: one person, of whom there
        were two tracks."""
        kept: list[Float] = []
        for i, seen in sorted(
            self._seen.items(), key=lambda item: (-item[1].there, item[0] >= NO_SKELETON, item[1].since)
        ):
            place = seen.at(time)
            if i > 0 and _within(DOUBLE, np.reshape(kept, (-1, 2)), place).any():
                del self._seen[i]
            else:
                kept.append(place)

    def _lost(self, xy: Float, time: float, present: set[int]) -> _Seen | None:
        """Takes out who is expected near xy (2,) and not `present`: the same person, whose track was lost."""
        gap = {i: float(np.linalg.norm(s.at(time) - xy)) for i, s in self._seen.items() if i > 0 and i not in present}
        nearest = min(gap, key=lambda i: gap[i], default=None)
        return self._seen.pop(nearest) if nearest is not None and gap[nearest] < NEAR else None

    def look(
        self, points: Float, unmapped: Float, arrived: NDArray[np.bool_], xy: Float, reach: float, time: float
    ) -> None:  # fmt: skip
        """Follows people by what a sensor sees: a LiDAR sees who is too close to the camera or beside it.

        Over floor that the map has as free somebody must have come to where something is. There everybody is put to
        what is near them, and who has no skeleton is somebody as well, once they have moved. Who was not seen for a
        second is forgotten where the sensor sees that nobody is.

        Args:
            points: (M, 2) all that the sensor at about xy (2,) sees within `reach` metres, all around, in the map.
            unmapped: (K, 2) those of them that are nothing that the map has.
            arrived: (K,) which of these are over free floor.
        """
        self._seen = {i: s for i, s in self._seen.items() if self._is_kept(s, time)}
        distance, bearing = _polar(points - xy)
        moving = unmapped[arrived]
        places = {i: seen.at(time) for i, seen in self._seen.items()}
        whose = _nearest(moving, np.reshape(list(places.values()), (-1, 2)))
        for k, (i, place) in enumerate(places.items()):
            seen, body = self._seen[i], moving[whose == k]
            (far,), (towards,) = _polar(place[None] - xy)
            there = _within(BODY, unmapped, place).any()
            if there and seen.is_slow and time - seen.somebody > max(self._trusted, PROVED * seen.shown):
                del self._seen[i]
            elif len(body) >= ENOUGH:
                self._seen[i] = replace(_tracked(seen, _middle(body, xy), time), followed=time)
            elif there and seen.stands and seen.stood > SETTLED:
                self._seen[i] = seen.still_there(time)
            elif not there and time - seen.there > SURE and BODY < far < reach - BODY:
                hidden = (distance < far) & (np.abs(angles_between(bearing, towards)) < HIDDEN)
                if not hidden.any():
                    del self._seen[i]
        for body in _groups(moving[whose < 0]):
            self._newest += 1
            self._seen[self._newest] = _Seen.new(_middle(body, xy), time)
        self._drop_doubles(time)

    def places(self, time: float) -> Float:
        """(P, 2) float64, metres: where everybody of the last seconds is thought to be at `time`: who stands where they
        were, who walks as far on as their speed takes them."""
        return np.array([s.at(time) for s in self._kept(time)]).reshape(-1, 2)

    def stood(self, time: float) -> Float:
        """(P,) seconds for which each of `places` is thought to have stood; 0 for who walks."""
        return np.array([s.stood if s.stands else 0.0 for s in self._kept(time)])

    def _kept(self, time: float) -> list[_Seen]:
        return [s for i, s in self._seen.items() if (i < NO_SKELETON or s.has_moved) and self._is_kept(s, time)]

    def _is_kept(self, seen: _Seen, time: float) -> bool:
        standing = min(max(self._longer * seen.stood, self._keep), self._keep_standing)
        return time - seen.there <= (standing if seen.stands else self._keep)


def _within(distance: float, points: Float, place: Float) -> NDArray[np.bool_]:
    return np.asarray(np.linalg.norm(points - place, axis=1) < distance)


def _middle(body: Float, xy: Float) -> Float:
    """(2,) of whom a sensor at xy (2,) sees points (K, 2) of the near side."""
    middle = body.mean(0)
    return np.asarray(middle + DEPTH * (middle - xy) / max(float(np.linalg.norm(middle - xy)), 1e-6))


def _groups(points: Float) -> Iterator[Float]:
    """Those of points (M, 2) that lie together as a body's."""
    while len(points):
        near = _within(GROUP, points, points[0])
        if near.sum() >= ENOUGH:
            yield points[near]
        points = points[~near]


def _nearest(points: Float, places: Float) -> NDArray[np.intp]:
    """(M,) which of places (P, 2) is nearest to each of points (M, 2); -1 where none is within `BODY`."""
    if not len(places):
        return np.full(len(points), -1)
    gap = np.linalg.norm(points[:, None] - places, axis=-1)
    return np.where(gap.min(axis=1) < BODY, gap.argmin(axis=1), -1)


def _polar(offset: Float) -> tuple[Float, Float]:
    """Lengths and directions (M,), metres and radians, of offsets (M, 2)."""
    return np.hypot(*offset.T), np.arctan2(*offset.T[::-1])


def _shown(seen: _Seen, time: float) -> _Seen:
    """They, of whom there is a skeleton at `time`."""
    since = min(max(time - seen.somebody, 0.0), SURE)
    shown = seen.shown + since if seen.stands else 0.0
    return replace(seen, somebody=max(time, seen.somebody), shown=shown)


def _tracked(before: _Seen, xy: Float, time: float) -> _Seen:
    """Somebody who is seen again, at xy (2,)."""
    dt = time - before.time
    if dt < 1e-3:
        return before
    expected = before.xy + before.velocity * (min(dt, SURE) if before.stands else dt)
    error = xy - expected
    if np.linalg.norm(error) > JUMP:
        return _Seen.new(xy, time)
    velocity = before.velocity + SPEED_GAIN / dt * error
    velocity *= min(1.0, FASTEST / max(float(np.linalg.norm(velocity)), 1e-9))
    xy = expected + GAIN * error
    moved = before.has_moved or bool(np.linalg.norm(xy - before.start) > MOVED)
    seen = replace(before, xy=xy, velocity=velocity, time=time, there=time, has_moved=moved)
    since = time - before.there
    if seen.is_slow:
        return replace(seen, stood=before.stood + since)
    return replace(seen, stood=max(before.stood - since, 0.0), somebody=time)
