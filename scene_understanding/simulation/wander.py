"""A driver that visits one room after the other, looks around in each, and waits for people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import Pose
from scene_understanding.simulation.robot import PERSON_RADIUS, Command, RobotLimits
from scene_understanding.simulation.world import World

Float = NDArray[np.float64]
MARGIN = 0.09
"""What the planned way keeps from obstacles beyond the robot's radius, metres."""
AHEAD = 0.35
"""Metres along the way to the point that is driven at."""
YIELD_DISTANCE, PATIENCE = 1.0, 3.0
"""Stop for a person this near ahead, metres; look for another way after so many seconds."""

LOOK_SPEED = 0.9
"""Of the turn on the spot with which it looks around, rad/s."""


class Wander:
    """Drives through a world for ever: always to the nearest of the rooms that it has been to least.

    The same seed and the same poses give the same commands.
    """

    def __init__(self, world: World, limits: RobotLimits, seed: int) -> None:
        self._world, self._limits = world, limits
        self._rng = np.random.default_rng([seed, 0x3A])
        self._clearance = limits.radius + MARGIN
        self._way, self._next = np.zeros((0, 2)), 0
        self._waited = 0.0
        self._visits = np.zeros(len(world.rooms), int)
        self._to_turn, self._yaw = 0.0, 0.0
        self._arrived = False

    def command(self, map_from_base: Pose, people: Float, dt: float) -> Command:
        """What to do for the next `dt` seconds; `people` (P, 2) stand on the map."""
        xy, yaw = map_from_base.translation[:2], map_from_base.yaw
        if self._looks_around(yaw):
            return Command(0.0, LOOK_SPEED)
        if self._next >= len(self._way) or self._waited > PATIENCE:
            self._plan(xy, people)
        bearing = self._bearing(xy)
        error = float(np.arctan2(np.sin(bearing - yaw), np.cos(bearing - yaw)))
        turn = float(np.clip(2.5 * error, -self._limits.turn, self._limits.turn))
        if self._somebody_ahead(map_from_base, people):
            self._waited += dt
            return Command(0.0, turn)
        self._waited = 0.0
        if abs(error) > 0.5:
            return Command(0.0, turn)
        left = float(np.linalg.norm(self._way[-1] - xy))
        room = float(self._world.grid.clearance_at(xy)) - self._limits.radius
        speed = self._limits.speed * min(1.0, 0.35 + 1.5 * room) * np.cos(error) ** 4
        return Command(float(min(speed, 0.1 + left)), turn)

    def _looks_around(self, yaw: float) -> bool:
        """Whether it is still turning; it does once at the end of every way."""
        if self._next >= len(self._way) and not self._arrived:
            self._arrived, self._to_turn = True, 2 * np.pi
        else:
            self._to_turn -= abs(float(np.angle(np.exp(1j * (yaw - self._yaw)))))
        self._yaw = yaw
        return self._to_turn > 0

    def _plan(self, xy: Float, people: Float) -> None:
        """Choose the next room, a place in it, and a way there around those who stand near."""
        self._waited, self._next, self._arrived = 0.0, 1, False
        near = people[np.linalg.norm(people - xy, axis=1) < 3.0]
        grid = self._world.grid.with_discs(near, PERSON_RADIUS + 0.03)
        clearance = min(self._clearance, float(grid.clearance_at(xy)) - 0.01)
        distances = [np.linalg.norm(room.polygon.mean(0) - xy) for room in self._world.rooms]
        for index in np.lexsort((distances, self._visits)):
            self._visits[index] += 1
            goal = self._place_in(int(index))
            if np.linalg.norm(goal - xy) < 0.5 or grid.clearance_at(goal) <= self._clearance:
                continue
            way = grid.shortest_path(xy, goal, clearance)
            if way is not None:
                self._way = way
                return
        self._way = np.stack([xy, xy])

    def _place_in(self, room: int) -> Float:
        """(2,) a point of the room with much space around it."""
        points = np.stack([self._world.sample_point(self._rng, room) for _ in range(8)])
        return points[int(np.argmax(self._world.grid.clearance_at(points)))]

    def _bearing(self, xy: Float) -> float:
        """Heading to the point `AHEAD` of the nearest one on the way, corners not cut."""
        while self._next < len(self._way) and np.linalg.norm(self._way[self._next] - xy) < 0.12:
            self._next += 1
        start = self._way[max(self._next - 1, 0)]
        end = self._way[min(self._next, len(self._way) - 1)]
        length = float(np.linalg.norm(end - start))
        if length < 1e-6:
            target = end
        else:
            along = float((xy - start) @ (end - start)) / length + AHEAD
            target = start + (end - start) * min(along / length, 1.0)
        return float(np.arctan2(*(target - xy)[::-1]))

    def _somebody_ahead(self, map_from_base: Pose, people: Float) -> bool:
        """Whether somebody stands where the robot would soon be if it drove straight on."""
        points = np.concatenate([people, np.zeros((len(people), 1))], axis=1)
        x, y, _ = map_from_base.inverse().apply(points).T
        beside = self._limits.radius + PERSON_RADIUS + 0.06
        return bool(((x > 0) & (x < YIELD_DISTANCE) & (np.abs(y) < beside)).any())
