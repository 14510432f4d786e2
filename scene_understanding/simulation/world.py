"""A world: geometry, materials, lights, people, and where a robot can be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scene_understanding.geometry import OPTICAL_FROM_BODY, Pose
from scene_understanding.mapping.grid import OccupancyGrid
from scene_understanding.simulation.classes import Nyu40
from scene_understanding.simulation.materials import MaterialTable
from scene_understanding.simulation.mesh import Shape, rotation_about
from scene_understanding.simulation.people import Person
from scene_understanding.simulation.structure import Light

AIMS = (
    (Nyu40.BED,), (Nyu40.BED,), (Nyu40.BOOKS,), (Nyu40.CHAIR,), (Nyu40.CHAIR,),
    (Nyu40.SOFA,), (Nyu40.SOFA,), (Nyu40.TABLE, Nyu40.DESK), (Nyu40.TABLE, Nyu40.DESK),
    (Nyu40.TELEVISION,), (Nyu40.TELEVISION,), (Nyu40.TELEVISION,), (Nyu40.PICTURE,), (Nyu40.WINDOW,),
    (Nyu40.CABINET, Nyu40.BOOKSHELF, Nyu40.COUNTER, Nyu40.DRESSER, Nyu40.REFRIDGERATOR, Nyu40.NIGHT_STAND),
    (Nyu40.BOX, Nyu40.BAG, Nyu40.LAMP, Nyu40.OTHER_PROP, Nyu40.WHITEBOARD, Nyu40.SHELVES),
)  # fmt: skip
"""Groups of classes that views are aimed at, each as often; rare ones twice."""


@dataclass(frozen=True, eq=False)
class Room:
    """A room: what it is for and its inner corners (K, 2), metres in the map, anticlockwise."""

    kind: str
    polygon: NDArray[np.float64]
    height: float

    def contains(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(...) whether points (..., 2) lie in its bounding rectangle, walls' middle included."""
        low, high = self.polygon.min(0) - 0.1, self.polygon.max(0) + 0.1
        return ((points >= low) & (points <= high)).all(-1)


@dataclass(frozen=True, eq=False)
class World:
    """A static scene with people in it. Map frame: x forward, y left, z up, metres.

    Attributes:
        shape: the static mesh.
        material: (T,) int32 per triangle, index into `materials`.
        label: (T,) uint8 NYU40 class per triangle.
        instance: (T,) uint32 instance id per triangle, from 1.
        materials: the material table.
        lights: what lights the rooms.
        rooms: the rooms.
        grid: what stands in the way of a robot; contact: the same to the centimetre, for what it touches.
        people: who is there.
        start: map_from_base of a robot at the beginning.
    """

    shape: Shape
    material: NDArray[np.int32]
    label: NDArray[np.uint8]
    instance: NDArray[np.uint32]
    materials: MaterialTable
    lights: tuple[Light, ...]
    rooms: tuple[Room, ...]
    grid: OccupancyGrid
    contact: OccupancyGrid
    people: tuple[Person, ...]
    start: Pose

    @cached_property
    def _standpoints(self) -> NDArray[np.float64]:
        """(K, 2) all free points that a robot can reach from the start."""
        return self.grid.centers(np.argwhere(self.grid.reachable(self.start.translation[:2], 0.28)))

    def every_room_reachable(self) -> bool:
        """Whether a robot can get into every room, onto a third of a square metre at least."""
        cell = self.grid.resolution**2
        return all(room.contains(self._standpoints).sum() * cell > 0.3 for room in self.rooms)

    def sample_point(self, rng: Generator, room: int | None = None) -> NDArray[np.float64]:
        """(2,) random free point that a robot can reach from the start: in `room`, else every room is as likely."""
        index = int(rng.integers(len(self.rooms))) if room is None else room
        inside = self._standpoints[self.rooms[index].contains(self._standpoints)]
        pool = inside if len(inside) else self._standpoints
        return pool[int(rng.integers(len(pool)))]

    def _sample_aim(self, rng: Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """A standpoint (2,) and, in its sight, the middle (3,) of a thing; every class is as likely."""
        kind = self._targets[int(rng.integers(len(self._targets)))]
        target = kind[int(rng.integers(len(kind)))]
        distance = np.linalg.norm(self._standpoints - target[:2], axis=1)
        reach = rng.uniform(1.2, 3.8)
        near = self._standpoints[(distance > 0.8) & (distance < reach)]
        if not len(near):
            return None
        xy = near[int(rng.integers(len(near)))]
        way = target[:2] - xy
        length = float(np.hypot(*way))
        if self.grid.ray_distance(xy, [np.arctan2(way[1], way[0])], length)[0] < length - 1.0:
            return None
        return xy, target

    @cached_property
    def _targets(self) -> list[NDArray[np.float64]]:
        """For each of `AIMS` that the world has: (K, 3) the middles of its instances."""
        keys, inverse = np.unique(self.label.astype(np.int64) << 32 | self.instance, return_inverse=True)
        middles = self.shape.vertices[self.shape.triangles].mean(1)
        sums = np.stack([np.bincount(inverse, middles[:, k], len(keys)) for k in range(3)], -1)
        centers, labels = sums / np.bincount(inverse)[:, None], keys >> 32
        groups = [centers[np.isin(labels, group)] for group in AIMS]
        return [group for group in groups if len(group)]

    def sample_view(self, rng: Generator, time: float = 0.0) -> Pose:
        """A random `map_from_camera`: mostly a robot's (0.4 to 1.2 m high), sometimes a hand-held one's.

        Most of them look at some thing, every class as likely, the others anywhere. Views that
        look at something, or someone at `time`, nearer than about a metre are mostly drawn again.
        """
        hand_held, aimed = rng.random() < 0.25, rng.random() < 0.8
        height = rng.uniform(1.2, 1.7) if hand_held else rng.uniform(0.4, 1.2)
        pitch, roll = (rng.normal(0.15, 0.2), rng.normal(0, 0.06)) if hand_held else rng.normal(0, (0.12, 0.02))
        people = np.array([p.place(time)[0] for p in self.people]).reshape(-1, 2)
        for _ in range(30):
            aim = self._sample_aim(rng) if aimed else None
            if aim is None:
                xy, headings = self.sample_point(rng), rng.uniform(-np.pi, np.pi, 4)
                yaw = float(headings[np.argmax(self.grid.ray_distance(xy, headings, 4.0))])
                if aimed:
                    continue
            else:
                xy, way = aim[0], aim[1] - (*aim[0], height)
                yaw = float(np.arctan2(way[1], way[0])) + rng.normal(0, 0.2)
                pitch = 0.6 * float(np.arctan2(-way[2], np.hypot(way[0], way[1]))) + rng.normal(0, 0.08)
            distances = self.grid.ray_distance(xy, yaw + np.linspace(-0.5, 0.5, 7), 4.0)
            if len(people) and np.linalg.norm(people - xy, axis=1).min() < 0.9:
                continue
            if np.median(distances) >= (1.1 if aimed else 1.8) and distances.min() > 0.35 or rng.random() < 0.04:
                break
        return camera_pose(np.array([*xy, height]), yaw, float(np.clip(pitch, -0.6, 0.8)), roll)


def camera_pose(position: NDArray[np.float64], yaw: float, pitch: float = 0.0, roll: float = 0.0) -> Pose:
    """`map_from_camera` of a camera at `position` (3,) that looks along `yaw`; positive `pitch` looks down."""
    body = rotation_about("z", yaw) @ rotation_about("y", pitch) @ rotation_about("x", roll)
    return Pose.from_rotation_translation(body @ OPTICAL_FROM_BODY.T, position)
