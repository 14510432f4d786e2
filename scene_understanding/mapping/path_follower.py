"""Following a way with a robot that drives forwards and turns: where to steer, how fast, and what to wait for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import Pose

Float = NDArray[np.float64]
AHEAD = 0.35
"""Metres along the way to the point that is driven at (pure pursuit, Coulter 1992)."""
PASSED = 0.12
"""A way point this near is behind the robot, metres."""
TURN_FIRST = 0.5
"""With the way this far off its heading, radians, the robot turns before it drives."""
BRAKING, SLOWEST = 0.4, 0.35
"""Metres before a bend at which the robot begins to slow down, and the share of its speed that it keeps."""
STEP = 0.05
"""Metres between the points of a way that are looked at."""
TURN_GAIN = 2.5
"""Turn per error of the heading, 1/s."""


class Velocity(NamedTuple):
    """Wanted speed: `linear` m/s forwards, `angular` rad/s anticlockwise."""

    linear: float = 0.0
    angular: float = 0.0


@dataclass
class PathFollower:
    """A way and how far along it the robot is.

    Attributes:
        way: (K, 2) float64 way points in the map, the first where the robot was; K may be 0.
    """

    way: Float = field(default_factory=lambda: np.zeros((0, 2)))
    _next: int = 1

    @property
    def finished(self) -> bool:
        """Whether the last way point has been reached."""
        return self._next >= len(self.way)

    def bearing(self, xy: Float) -> float:
        """Heading to the point `AHEAD` of the one next to xy (2,) on the way, corners not cut."""
        while self._next < len(self.way) and np.linalg.norm(self.way[self._next] - xy) < PASSED:
            self._next += 1
        start = self.way[max(self._next - 1, 0)]
        end = self.way[min(self._next, len(self.way) - 1)]
        length = float(np.linalg.norm(end - start))
        if length < 1e-6:
            target = end
        else:
            along = float((xy - start) @ (end - start)) / length + AHEAD
            target = start + (end - start) * min(along / length, 1.0)
        return float(np.arctan2(*(target - xy)[::-1]))

    def left(self, xy: Float) -> float:
        """Metres from xy (2,) to the end of the way as the crow flies."""
        return float(np.linalg.norm(self.way[-1] - xy))

    def next(self, xy: Float, distance: float) -> Float:
        """(J, 2) points every `STEP` of the next `distance` metres to be driven from xy (2,)."""
        way = self.ahead(xy)
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
        steps = np.arange(0.0, min(distance, float(along[-1])) + 1e-6, STEP)
        return np.stack([np.interp(steps, along, way[:, k]) for k in range(2)], -1)

    def straightness(self, xy: Float) -> float:
        """1 where the way before xy (2,) is straight, down to `SLOWEST` where it bends within braking distance."""
        points = self.next(xy, 2 * BRAKING)
        if len(points) < 4:
            return 1.0
        middle = len(points) // 2
        (ax, ay), (bx, by) = points[middle] - points[0], points[-1] - points[middle]
        return max(SLOWEST, float(np.cos(np.arctan2(ax * by - ay * bx, ax * bx + ay * by))))

    def ahead(self, xy: Float) -> Float:
        """(J, 2) what is still to be driven, from xy (2,) on."""
        return np.concatenate([xy[None], self.way[self._next :]])


def angle_between(a: float, b: float) -> float:
    """The turn from heading b to heading a, radians, -pi to pi."""
    return float(angles_between(np.asarray(a), np.asarray(b)))


def angles_between(a: Float, b: Float | float) -> Float:
    """Likewise, of arrays of headings."""
    return np.asarray(np.arctan2(np.sin(a - b), np.cos(a - b)))


def steer(
    error: float, left: float, room: float, speed: float, turn: float, turn_first: float = TURN_FIRST
) -> Velocity:
    """Slower where the way bends, ends or is narrow.

    Args:
        error: of the heading, radians. left: metres to the end of the way. room: metres beside the robot.
        speed, turn: highest of either, m/s and rad/s. turn_first: with a larger error it turns on the spot, radians.
    """
    angular = float(np.clip(TURN_GAIN * error, -turn, turn))
    if abs(error) > turn_first:
        return Velocity(0.0, angular)
    linear = speed * min(1.0, 0.5 + 1.5 * room) * np.cos(error) ** 4
    return Velocity(float(min(linear, 0.1 + left)), angular)


def in_the_way(map_from_base: Pose, points: Float, distance: float, half_width: float) -> bool:
    """Whether one of points (P, 2) in the map is up to `distance` metres ahead of the robot's middle, and no more than
    `half_width` to its side."""
    x, y, _ = map_from_base.inverse().apply(np.concatenate([points, np.zeros((len(points), 1))], axis=1)).T
    return bool(((x > 0) & (x < distance) & (np.abs(y) < half_width)).any())


def nears(map_from_base: Pose, people: Float, distance: float, clearance: Float | float) -> bool:
    """Whether driving `distance` metres straight ahead brings the robot's middle nearer than `clearance`, () or (P,),
    to one of people (P, 2) in the map, and nearer than it is."""
    x, y, _ = map_from_base.inverse().apply(np.concatenate([people, np.zeros((len(people), 1))], axis=1)).T
    gap = np.hypot(x - x.clip(0, distance), y)
    return bool(((x > 0) & (gap < clearance)).any())
