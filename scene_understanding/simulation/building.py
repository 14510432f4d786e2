"""Builds one floor of a building from a seed."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scene_understanding.geometry import Pose
from scene_understanding.mapping.grid import OccupancyGrid
from scene_understanding.simulation.floorplan import FloorPlan, generate_plan
from scene_understanding.simulation.materials import Materials
from scene_understanding.simulation.mesh import MeshBuilder, Shape
from scene_understanding.simulation.people import Person, random_person
from scene_understanding.simulation.rooms import Furnisher, furnish
from scene_understanding.simulation.structure import Daylight, build_shell
from scene_understanding.simulation.world import Room, World

CELL, FINE_CELL = 0.05, 0.01
"""Of the grid that ways are planned on, and of that by which a robot touches things, metres."""
ROBOT_LOW, ROBOT_HIGH = 0.04, 1.3
"""What lies between these heights, metres, is in a robot's way."""


def generate_building(seed: int, guests: int = 0) -> World:
    """A furnished floor with people; the same seed gives the same world.

    With `guests` there are so many people instead, all of them at the start: `posed` places them.

    Every room can be reached from the start: the rare floor whose furniture shuts one off is drawn anew.
    """
    world = _draw(np.random.default_rng(seed), guests)
    redraws = 0
    while not world.every_room_reachable():
        redraws += 1
        world = _draw(np.random.default_rng([seed, redraws]), guests)
    return world


def _draw(rng: Generator, guests: int) -> World:
    plan = generate_plan(rng)
    materials, mesh = Materials(rng), MeshBuilder()
    warmth = rng.uniform(-0.08, 0.08)
    daylight = Daylight(rng.uniform(0.15, 1.0), np.array([1 + warmth, 1, 1 - warmth]), rng.uniform(0.55, 1.0))
    lights = build_shell(mesh, materials, plan, daylight)
    for room in plan.rooms:
        furnish(Furnisher(mesh, materials, room, plan.height, rng))
    shape, material, label, instance = mesh.arrays()
    grid, contact = _grid(plan, shape, CELL), _grid(plan, shape, FINE_CELL)
    start = _start(plan, grid)
    if guests:
        place = start.translation[None, :2]
        people = [random_person(materials, place, mesh.instances + 1 + k) for k in range(guests)]
    else:
        people = _people(rng, materials, grid, start, mesh.instances)
    rooms = tuple(Room(r.kind, r.inner.corners, plan.height) for r in plan.rooms)
    return World(
        shape, material, label, instance, materials.table(), tuple(lights), rooms, grid, contact, tuple(people), start
    )


def _grid(plan: FloorPlan, shape: Shape, cell: float) -> OccupancyGrid:
    """Free are the rooms and doorways, less what the mesh puts between the robot's foot and its top."""
    corners = np.concatenate([r.inner.corners for r in plan.rooms])
    origin = corners.min(0) - 0.5
    columns, rows = np.ceil((corners.max(0) + 0.5 - origin) / cell).astype(int)
    free = np.zeros((rows, columns), np.uint8)

    def pixels(points: NDArray[np.floating]) -> NDArray[np.int32]:
        return np.floor((points - origin) / cell).astype(np.int32)

    def fill(low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
        (x0, y0), (x1, y1) = np.ceil((low - origin) / cell - 0.5).astype(int), pixels(high - 0.5 * cell) + 1
        free[y0:y1, x0:x1] = 1

    for room in plan.rooms:
        fill(room.inner.corners[0], room.inner.corners[2])
    for door in plan.doors:
        half = np.array([door.width / 2 - 0.05, plan.wall / 2 + cell])
        half = half if door.along_x else half[::-1]
        fill(door.center - half, door.center + half)
    triangles = shape.vertices[shape.triangles]
    z = triangles[..., 2]
    solid = (z.max(1) > ROBOT_LOW) & (z.min(1) < ROBOT_HIGH)
    upright = (np.ptp(triangles[..., 0], axis=1) < 1e-4) | (np.ptp(triangles[..., 1], axis=1) < 1e-4)
    outlines = pixels(triangles[solid & ~_on_walls(plan, triangles, upright)][..., :2])
    for outline in np.unique(outlines.reshape(len(outlines), 6), axis=0).reshape(-1, 3, 2):
        cv2.fillConvexPoly(free, outline, 0)
    return OccupancyGrid(origin, cell, free == 0)


def _on_walls(plan: FloorPlan, triangles: NDArray[np.float32], upright: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(T,) bool: triangles flat on a room's wall, which would widen the walls by a cell."""
    on = np.zeros(len(triangles), bool)
    for room in plan.rooms:
        r = room.inner
        for axis, line in ((0, r.x0), (0, r.x1), (1, r.y0), (1, r.y1)):
            on |= upright & (np.abs(triangles[..., axis] - line) < 0.03).all(1)
    return on


def _start(plan: FloorPlan, grid: OccupancyGrid) -> Pose:
    """The most open place of the first room, looking along its longer side."""
    r = plan.rooms[0].inner
    low, high = grid.cells((r.x0, r.y0)), grid.cells((r.x1, r.y1))
    window = grid.clearance[low[0] : high[0], low[1] : high[1]]
    cell = np.array(np.unravel_index(int(window.argmax()), window.shape)) + low
    x, y = grid.centers(cell)
    away = (r.center - (x, y))[0 if r.width >= r.depth else 1] < 0
    yaw = (0.0 if r.width >= r.depth else np.pi / 2) + (np.pi if away else 0)
    return Pose.from_yaw(float(x), float(y), yaw)


def _people(rng: Generator, m: Materials, grid: OccupancyGrid, start: Pose, used: int) -> list[Person]:
    """Two to six people; about half of them walk between two reachable places."""
    roomy = grid.reachable(start.translation[:2], 0.3)
    points = grid.centers(np.argwhere(roomy & (grid.clearance > 0.32)))
    people: list[Person] = []
    for k in range(int(rng.integers(2, 7))):
        a, b = points[rng.integers(len(points), size=2)]
        path = grid.shortest_path(a, b, 0.3) if rng.random() < 0.55 else None
        if path is None or np.linalg.norm(b - a) < 1.5:
            path = _standing_place(rng, grid, points, start)[None]
        people.append(random_person(m, path, used + 1 + k))
    return people


def _standing_place(
    rng: Generator, grid: OccupancyGrid, points: NDArray[np.float64], start: Pose
) -> NDArray[np.float64]:
    """One (2,) of `points` (K, 2) where a person neither shuts a narrow way nor stands before the robot's start."""
    far = np.linalg.norm(points - start.translation[:2], axis=1) > 1.2
    pool = points[far & (grid.clearance_at(points) > 0.6)]
    return pool[rng.integers(len(pool))] if len(pool) else points[rng.integers(len(points))]
