"""A differential-drive robot: what its wheels can do, and what it runs into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import Pose
from scene_understanding.mapping.grid import OccupancyGrid

Float = NDArray[np.float64]
PERSON_RADIUS = 0.22
"""What a standing person takes up, metres."""
CONTACT_GAP = 0.5
"""Touches within so many seconds of each other are one collision."""


class Command(NamedTuple):
    """Wanted speed: `linear` m/s forwards, `angular` rad/s anticlockwise."""

    linear: float = 0.0
    angular: float = 0.0


@dataclass(frozen=True)
class RobotLimits:
    """Size and limits of a robot.

    Attributes:
        radius: metres.
        speed, turn: highest speeds, m/s and rad/s.
        acceleration, turn_acceleration: m/s2 and rad/s2.
    """

    radius: float = 0.2
    speed: float = 0.8
    turn: float = 1.6
    acceleration: float = 1.0
    turn_acceleration: float = 4.0

    def __post_init__(self) -> None:
        for name in ("radius", "speed", "turn", "acceleration", "turn_acceleration"):
            if not getattr(self, name) > 0:
                raise ValueError(f"robot {name} is {getattr(self, name)}; it must be above 0")


class Robot:
    """A robot on a grid. It slides along what it touches at a slant and stops at what it meets head-on.

    Attributes:
        limits: its size and limits.
        collisions: how often it has run into something; a lasting contact counts once.
    """

    def __init__(self, grid: OccupancyGrid, start: Pose, limits: RobotLimits) -> None:
        self.limits, self.collisions = limits, 0
        self._grid = grid
        self._xy, self._yaw = start.translation[:2].copy(), start.yaw
        self._v, self._w = 0.0, 0.0
        self._since_contact = np.inf

    @property
    def map_from_base(self) -> Pose:
        """Where it is; the base frame lies on the floor, x forward."""
        return Pose.from_yaw(float(self._xy[0]), float(self._xy[1]), self._yaw)

    @property
    def speed(self) -> Command:
        """The speed that it has."""
        return Command(self._v, self._w)

    def step(self, command: Command, dt: float, people: Float | None = None) -> None:
        """Drive for `dt` seconds; `people` (P, 2) are in the way, standing on the map."""
        limits = self.limits
        wanted = np.clip(command.linear, -limits.speed, limits.speed)
        turn = np.clip(command.angular, -limits.turn, limits.turn)
        self._v += float(np.clip(wanted - self._v, -limits.acceleration * dt, limits.acceleration * dt))
        self._w += float(np.clip(turn - self._w, -limits.turn_acceleration * dt, limits.turn_acceleration * dt))
        count = max(1, int(np.ceil(abs(self._v) * dt / (self._grid.resolution / 2))))
        obstacles = np.zeros((0, 2)) if people is None else people
        touched = False
        for _ in range(count):
            self._yaw += self._w * dt / count
            touched |= self._advance(self._v * dt / count, obstacles)
        if touched:
            self.collisions += self._since_contact > CONTACT_GAP
            self._since_contact, self._v = 0.0, 0.8 * self._v
        self._since_contact += dt
        self._yaw = float(np.arctan2(np.sin(self._yaw), np.cos(self._yaw)))

    def _advance(self, distance: float, people: Float) -> bool:
        """Move `distance` metres ahead as far as that goes; whether something was in the way."""
        way = distance * np.array([np.cos(self._yaw), np.sin(self._yaw)])
        if distance == 0 or self._free(self._xy + way, people):
            self._xy = self._xy + way
            return False
        for part in sorted((way * (1, 0), way * (0, 1)), key=lambda p: -abs(p).sum()):
            if abs(part).sum() > 0.3 * abs(distance) and self._free(self._xy + part, people):
                self._xy = self._xy + part
                return True
        self._v = 0.0
        return True

    def _free(self, xy: Float, people: Float) -> bool:
        """Whether the robot may move to `xy`: off the walls, and no nearer to somebody whom it touches."""
        if self._grid.clearance_at(xy) < self.limits.radius + self._grid.resolution / 2:
            return False
        gap = np.linalg.norm(people - xy, axis=1)
        nearer = gap < np.linalg.norm(people - self._xy, axis=1)
        return not bool((nearer & (gap < self.limits.radius + PERSON_RADIUS)).any())
