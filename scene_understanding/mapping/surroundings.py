"""Who and what is around a robot, and whether it may drive on."""

from __future__ import annotations

from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import Pose
from scene_understanding.mapping.exploration_plan import APART, THINGS_NEAR
from scene_understanding.mapping.frontiers import KnownGrid
from scene_understanding.mapping.lingering import Lingering
from scene_understanding.mapping.path_follower import STEP, PathFollower, in_the_way, nears

Float = NDArray[np.float64]
NOBODY = np.zeros((0, 2))
SLACK, ROOM = 0.03, 0.1
"""Metres that who stands may be nearer to the way than was planned before the robot waits, and that who walks must be
farther away."""
STAYS = 4.0
"""Seconds after which who stands does not wait for the robot."""
BRAKING, REACTION, LEAST = 1.0, 0.3, 0.1
"""Of the stop that is kept free of people: m/s2, seconds until it begins, and metres at least."""
TOUCH, FEELER, AHEAD = 0.03, 0.05, 0.3
"""Metres around the robot's rim in which nothing may be while it drives, or backs off; before it, nothing that is not
mapped."""


class Surroundings:
    """People and obstacles as they were last told, sorted by what the robot does about them.

    Attributes:
        people: (P, 2) metres, everybody; stay, come: those of them who stand, and who walk or wait for the robot.
        obstacles: (M, 2) what a sensor sees in the way.
        things: (K, 2) what of that is near and nobody, less what the map has no class for and may walk away; None
            without a sensor.
    """

    def __init__(self, radius: float, person_radius: float) -> None:
        """Of the robot, and what is kept clear around people, metres."""
        self._radius, self._person_radius = radius, person_radius
        self.people = self.stay = self.come = self.obstacles = NOBODY
        self.things: Float | None = None
        self._clear = np.zeros(0)
        """(P,) metres that are kept clear of everybody before the robot waits."""
        self._unmapped = NOBODY
        """What is near and nobody, and the map has no class for."""
        self._sees = False
        self._lingering = Lingering()

    def update_obstacles(self, points: Float | None) -> None:
        """(M, 2) what a sensor sees in the way now, in the place of what it saw before; None when it sees no more."""
        self.obstacles, self._sees = NOBODY if points is None else points, points is not None

    def sort(self, now: float, xy: Float, known: KnownGrid, people: Float, stood: Float) -> None:
        """For a robot at xy (2,), of people (P, 2) who have each `stood` (P,) for so many seconds."""
        self.people, self.stay, self.come = people, people[stood > 0], people[stood < STAYS]
        self._clear = self._person_radius + np.where(stood > 0, -SLACK, ROOM)
        near = self.obstacles[np.linalg.norm(self.obstacles - xy, axis=1) < THINGS_NEAR]
        near = near[_apart(people, near) > self._person_radius]
        unmapped = known.is_unmapped(near)
        self._unmapped = near[unmapped]
        stays = self._lingering.update(self._unmapped, now)
        self.things = np.concatenate([near[~unmapped], self._unmapped[stays]]) if self._sees else None

    def blocked_by(
        self, map_from_base: Pose, follower: PathFollower, speed: float, distance: float
    ) -> Literal["", "somebody", "something"]:
        """Who, or may be who, is on the next `distance` metres of the way or before the stop of a robot that drives at
        `speed`, m/s; or what is, that the map may not know."""
        radius, stop = self._radius, LEAST + REACTION * speed + speed**2 / (2 * BRAKING)
        way = follower.next(map_from_base.translation[:2], max(distance, stop))
        before_stop = way[: 1 + ceil(stop / STEP)]
        if (
            (_apart(way, self.people) < self._clear).any()
            or nears(map_from_base, self.people, stop, self._clear)
            or (_apart(before_stop, self._unmapped) < radius + APART).any()
            or in_the_way(map_from_base, self._unmapped, radius + AHEAD, radius + APART)
        ):
            return "somebody"
        return "something" if in_the_way(map_from_base, self.obstacles, radius + FEELER, radius + TOUCH) else ""

    def is_taken(self, place: Float) -> bool:
        """Whether somebody stands at `place` (2,)."""
        return bool((_apart(self.stay, place[None]) < self._person_radius).any())

    def is_open(self, place: Float) -> bool:
        """Whether the robot could stand at `place` (2,), for all that is seen."""
        near = np.concatenate([self.people, self.obstacles])
        return bool((_apart(near, place[None]) > self._radius + FEELER).all())


def _apart(places: Float, points: Float) -> Float:
    """(P,) how near points (P, 2) are to the nearest of places (K, 2), metres; infinite without any."""
    return np.asarray(np.linalg.norm(places[:, None] - points, axis=-1).min(axis=0, initial=np.inf))
