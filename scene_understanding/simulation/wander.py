"""A driver that visits one room after the other, looks around in each, and waits for people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import Pose
from scene_understanding.mapping.path_follower import PathFollower, angle_between, in_the_way, steer
from scene_understanding.simulation.robot import PERSON_RADIUS, Command, RobotLimits
from scene_understanding.simulation.world import World

Float = NDArray[np.float64]
MARGIN = 0.09
"""What the planned way keeps from obstacles beyond the robot's radius, metres."""
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
        self._follower = PathFollower()
        self._waited = 0.0
        self._visits = np.zeros(len(world.rooms), int)
        self._to_turn, self._yaw = 0.0, 0.0
        self._arrived = False

    def command(self, map_from_base: Pose, people: Float, dt: float) -> Command:
        """What to do for the next `dt` seconds; `people` (P, 2) stand on the map."""
        xy, yaw = map_from_base.translation[:2], map_from_base.yaw
        if self._looks_around(yaw):
            return Command(0.0, LOOK_SPEED)
        if self._follower.finished or self._waited > PATIENCE:
            self._plan(xy, people)
        error = angle_between(self._follower.bearing(xy), yaw)
        room = float(self._world.grid.clearance_at(xy)) - self._limits.radius
        wanted = steer(error, self._follower.left(xy), room, self._limits.speed, self._limits.turn)
        beside = self._limits.radius + PERSON_RADIUS + 0.06
        if in_the_way(map_from_base, people, YIELD_DISTANCE, beside):
            self._waited += dt
            return Command(0.0, wanted.angular)
        self._waited = 0.0
        return Command(*wanted)

    def _looks_around(self, yaw: float) -> bool:
        """Whether it is still turning; it does once at the end of every way."""
        if self._follower.finished and not self._arrived:
            self._arrived, self._to_turn = True, 2 * np.pi
        else:
            self._to_turn -= abs(float(np.angle(np.exp(1j * (yaw - self._yaw)))))
        self._yaw = yaw
        return self._to_turn > 0

    def _plan(self, xy: Float, people: Float) -> None:
        """Choose the next room, a place in it, and a way there around those who stand near."""
        self._waited, self._arrived = 0.0, False
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
                self._follower = PathFollower(way)
                return
        self._follower = PathFollower(np.stack([xy, xy]))

    def _place_in(self, room: int) -> Float:
        """(2,) a point of the room with much space around it."""
        points = np.stack([self._world.sample_point(self._rng, room) for _ in range(8)])
        return points[int(np.argmax(self._world.grid.clearance_at(points)))]
