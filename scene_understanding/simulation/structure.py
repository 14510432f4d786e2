"""The shell of a building: walls with their openings, floors, ceilings, doors, windows, light fittings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scene_understanding.simulation.classes import Nyu40 as C
from scene_understanding.simulation.floorplan import INWARD, Door, FloorPlan, Hole, Rect, RoomPlan
from scene_understanding.simulation.materials import Materials
from scene_understanding.simulation.mesh import Item, MeshBuilder, cushion, cylinder, quad, wavy_sheet

FLOORS = {"bedroom": ("planks", "carpet", "planks"), "living": ("planks", "carpet", "planks"),
          "office": ("carpet", "planks", "tiles"), "kitchen": ("tiles", "tiles", "planks"),
          "meeting": ("carpet", "planks"), "store": ("tiles", "planks"),
          "corridor": ("tiles", "marble", "planks", "carpet")}  # fmt: skip


@dataclass(frozen=True)
class Light:
    """A rectangle that gives light.

    Attributes:
        position: (3,) its centre; half_u, half_v: (3,) half edges; normal: (3,) where it shines; all metres.
        color: (3,) radiant intensity, linear.
        spread: share of the light that goes out evenly rather than by the cosine law.
        room: index of the room that it lights.
    """

    position: NDArray[np.float64]
    half_u: NDArray[np.float64]
    half_v: NDArray[np.float64]
    normal: NDArray[np.float64]
    color: NDArray[np.float64]
    spread: float
    room: int


@dataclass(frozen=True)
class Daylight:
    """The hour: strength of the light from outside, its tint (3,), and the chance that a room's lamps are on."""

    strength: float
    tint: NDArray[np.float64]
    lamps: float


def wall_point(room: Rect, side: int, along: float, inward: float, z: float) -> NDArray[np.float64]:
    """(3,) point `along` a side and `inward` of it."""
    start, direction, _ = room.side(side)
    xy = start + along * direction + inward * INWARD[side]
    return np.array([xy[0], xy[1], z])


def wall_yaw(side: int) -> float:
    """Heading of a side's inner normal."""
    return float(np.arctan2(INWARD[side, 1], INWARD[side, 0]))


def _wall(mesh: MeshBuilder, room: RoomPlan, side: int, height: float, paint: int, skirting: int) -> None:
    """One side of a room, around its holes, and the skirting board."""
    item = Item(C.WALL)
    start, direction, length = room.inner.side(side)
    holes = sorted((h for h in room.doors + room.windows if h.side == side), key=lambda h: h.start)

    def piece(s0: float, s1: float, z0: float, z1: float) -> None:
        if s1 - s0 > 1e-4 and z1 - z0 > 1e-4:
            origin = wall_point(room.inner, side, s0, 0, z0)
            shape = quad(origin, (*(direction * (s1 - s0)), 0), (0, 0, z1 - z0))
            shape.uv[:] += np.array([s0, z0], np.float32)
            item.add(shape, paint)
            if z0 == 0:
                front = wall_point(room.inner, side, s0, 0.012, 0)
                item.add(quad(front, (*(direction * (s1 - s0)), 0), (0, 0, 0.08)), skirting)

    s = 0.0
    for hole in holes:
        piece(s, hole.start, 0, height)
        piece(hole.start, hole.end, 0, hole.bottom)
        piece(hole.start, hole.end, hole.top, height)
        s = hole.end
    piece(s, length, 0, height)
    mesh.place(item, (0, 0, 0))


def build_shell(mesh: MeshBuilder, m: Materials, plan: FloorPlan, daylight: Daylight) -> list[Light]:
    """Walls, floors, ceilings, doors, windows and ceiling lights of all rooms; returns the lights."""
    lights: list[Light] = []
    common, skirting, trim = m.wall(), m.board(), m.lacquer()
    ceiling = m.add(np.full(3, m.rng.uniform(0.88, 0.98)), "paint")
    for index, room in enumerate(plan.rooms):
        paint = common if m.rng.random() < 0.4 else m.wall()
        accent = int(m.rng.integers(4)) if m.rng.random() < 0.35 else -1
        for side in range(4):
            wall = m.accent_wall() if side == accent else paint
            _wall(mesh, room, side, plan.height, wall, skirting)
        _floor_and_ceiling(mesh, m, room, plan.height, ceiling)
        view = m.add((1, 1, 1), "view", 1, 0, 0.4 + 1.3 * daylight.strength)
        for window in room.windows:
            lights.append(_window(mesh, m, room, window, view, trim, daylight, index))
        lights += _ceiling_lights(mesh, m, room, index, plan.height, daylight)
    for door in plan.doors:
        _door(mesh, m, plan, door, trim)
    return lights


def _floor_and_ceiling(mesh: MeshBuilder, m: Materials, room: RoomPlan, height: float, ceiling: int) -> None:
    r = room.inner
    floor, top = Item(C.FLOOR), Item(C.CEILING)
    kinds = FLOORS[room.kind]
    material = m.floor(kinds[int(m.rng.integers(len(kinds)))])
    if m.rng.random() < 0.5:
        floor.add(quad((r.x0, r.y0, 0), (r.width, 0, 0), (0, r.depth, 0)), material)
    else:
        floor.add(quad((r.x1, r.y0, 0), (0, r.depth, 0), (-r.width, 0, 0)), material)
    if room.kind in ("office", "meeting", "corridor", "store") and m.rng.random() < 0.6:
        ceiling = m.add((0.95, 0.95, 0.93), "panels", 1 / 0.6)
    top.add(quad((r.x0, r.y1, height), (r.width, 0, 0), (0, -r.depth, 0)), ceiling)
    mesh.place(floor, (0, 0, 0))
    mesh.place(top, (0, 0, 0))


def _door(mesh: MeshBuilder, m: Materials, plan: FloorPlan, door: Door, trim: int) -> None:
    """Frame and threshold; its +x looks through the doorway."""
    frame, threshold = Item(C.DOOR), Item(C.FLOOR)
    t, w, h = plan.wall, door.width, door.height
    threshold.box(m.board(), (t + 0.02, w, 0.02), (0, 0, -0.008))
    for y in (-w / 2 + 0.025, w / 2 - 0.025):
        frame.box(trim, (t + 0.05, 0.05, h), (0, y, h / 2))
    frame.box(trim, (t + 0.05, w, 0.05), (0, 0, h - 0.025))
    yaw = np.pi / 2 if door.along_x else 0.0
    mesh.place(frame, (*door.center, 0), yaw)
    mesh.place(threshold, (*door.center, 0), yaw)


def door_leaf(m: Materials, width: float, height: float, stuff: int) -> Item:
    """A leaf hinged at the origin, reaching along +y, handles on both faces."""
    leaf = Item(C.DOOR)
    leaf.box(stuff, (0.04, width, height - 0.03), (0, width / 2, height / 2))
    grip = m.metal()
    for x in (-0.05, 0.05):
        leaf.box(grip, (0.02, 0.13, 0.02), (x, width - 0.12, 1.02))
        leaf.box(grip, (0.05, 0.02, 0.02), (x / 2, width - 0.07, 1.02))
    if m.rng.random() < 0.6:
        panel = m.board()
        for x in (-0.021, 0.021):
            for z in (0.3, 0.72):
                leaf.box(panel, (0.01, width * 0.62, height * 0.3), (x, width / 2, height * z))
    return leaf


def closed_door(m: Materials) -> Item:
    """A shut door set on a wall: its frame and its leaf, looking to +x."""
    w, h = m.rng.uniform(0.8, 0.95), m.rng.uniform(1.98, 2.1)
    item = Item(C.DOOR)
    item.merge(door_leaf(m, w, h, m.board()), (0, -w / 2, 0))
    trim = m.lacquer()
    for y in (-w / 2 - 0.03, w / 2 + 0.03):
        item.box(trim, (0.06, 0.06, h + 0.06), (0, y, (h + 0.06) / 2))
    item.box(trim, (0.06, w, 0.06), (0, 0, h + 0.03))
    return item


def _window(
    mesh: MeshBuilder, m: Materials, room: RoomPlan, hole: Hole, view: int, trim: int, daylight: Daylight, index: int
) -> Light:
    """Pane, frame, sill, and curtains or blinds; returns its light."""
    rng, item = m.rng, Item(C.WINDOW)
    w, h = hole.end - hole.start, hole.top - hole.bottom
    item.add(quad((-0.1, -w / 2, 0), (0, w, 0), (0, 0, h), fitted=True), view)
    for y in (-w / 2 + 0.025, w / 2 - 0.025):
        item.box(trim, (0.12, 0.05, h), (-0.055, y, h / 2))
    for z in (0.025, h - 0.025):
        item.box(trim, (0.12, w, 0.05), (-0.055, 0, z))
    bars = 2 if w > 1.4 else int(rng.integers(0, 2))
    for k in range(bars):
        item.box(trim, (0.04, 0.05, h), (-0.08, (k + 1) / (bars + 1) * w - w / 2, h / 2))
    if rng.random() < 0.3:
        item.box(trim, (0.03, w, 0.04), (-0.08, 0, h * 0.62))
    if hole.bottom > 0.3:
        item.box(trim, (0.2, w + 0.1, 0.03), (0.05, 0, -0.01))
    shade = _shade(item, m, w, h, hole.bottom)
    middle = (hole.start + hole.end) / 2
    mesh.place(item, wall_point(room.inner, hole.side, middle, 0, hole.bottom), wall_yaw(hole.side))
    normal = np.array([*INWARD[hole.side], 0.0])
    _, along, _ = room.inner.side(hole.side)
    half_u, half_v = np.array([*(along * w * 0.4), 0]), np.array([0, 0, h * 0.4])
    center = wall_point(room.inner, hole.side, middle, 0.06, (hole.bottom + hole.top) / 2)
    color = daylight.tint * daylight.strength * w * h * 3.0 * shade
    return Light(center, half_u, half_v, normal, color, 0.0, index)


def _shade(item: Item, m: Materials, w: float, h: float, sill: float) -> float:
    """Hang curtains or blinds on the window; returns the share of light they let through."""
    rng, draw = m.rng, m.rng.random()
    if draw < 0.4:
        cloth, rail = m.cloth(0.35), m.metal()
        drop = h + 0.15 + (sill - 0.03 if rng.random() < 0.6 else min(sill - 0.03, 0.15))
        item.box(rail, (0.03, w + 0.7, 0.03), (0.09, 0, h + 0.13), C.CURTAIN)
        share = rng.uniform(0.15, 0.42)
        for side in (-1, 1):
            sheet = wavy_sheet(share * w + 0.2, drop, 0.03, int(rng.integers(4, 9)))
            y = side * (w / 2 + 0.15 - share * w / 2)
            item.add(sheet.moved(np.eye(3), (0.09, y, h + 0.15 - drop)), cloth, C.CURTAIN)
        return float(1 - 1.4 * share)
    if draw < 0.62:
        drop = h * rng.uniform(0.15, 0.85)
        slats = m.add(rng.uniform((0.7, 0.65, 0.6), (0.95, 0.95, 0.92)), "slats", 1.2)
        item.add(quad((0.0, -w / 2 + 0.04, h - drop), (0, w - 0.08, 0), (0, 0, drop)), slats, C.BLINDS)
        item.box(slats, (0.05, w - 0.06, 0.05), (0.0, 0, h - 0.025), C.BLINDS)
        return float(1 - 0.7 * drop / h)
    return 1.0


def _ceiling_lights(
    mesh: MeshBuilder, m: Materials, room: RoomPlan, index: int, height: float, daylight: Daylight
) -> list[Light]:
    """One or more fittings in a row along the longer side of the room."""
    rng, r = m.rng, room.inner
    along_x = r.width >= r.depth
    count = max(1, round(max(r.width, r.depth) / rng.uniform(2.6, 4.5)))
    on = rng.random() < daylight.lamps or not room.windows
    tint = np.array([1, rng.uniform(0.8, 0.97), rng.uniform(0.62, 0.95)])
    glow = m.add(tint ** (1 / 2.2), "paint", 1, 0, 1.8 if on else 0.05)
    body, kind = m.metal(), "panel" if room.kind in ("office", "meeting", "corridor", "store") else "round"
    lights = []
    for k in range(count):
        at = (k + 0.5) / count
        xy = (r.x0 + at * r.width, r.center[1]) if along_x else (r.center[0], r.y0 + at * r.depth)
        item, drop = Item(C.LAMP), 0.08
        if kind == "panel":
            item.box(body, (0.34, 1.0, 0.05), (0, 0, -0.025))
            item.add(quad((-0.16, -0.48, -0.052), (0, 0.96, 0), (0.32, 0, 0)), glow)
        elif rng.random() < 0.5:
            item.add(cushion((0.4, 0.4, 0.16), (0, 0, -0.04), 1, 16), glow)
            drop = 0.14
        else:
            drop = min(rng.uniform(0.35, 0.6), height - 2.0)
            item.add(cylinder(0.008, drop, (0, 0, -drop / 2), segments=6), body)
            item.add(cylinder(0.2, 0.2, (0, 0, -drop), 0.08, 16), glow if rng.random() < 0.6 else body)
            drop += 0.12
        mesh.place(item, (*xy, height), 0.0 if along_x == (kind != "panel") else np.pi / 2)
        if on:
            reach = 0.15 if kind != "panel" else 0.3
            power = 1.1 * r.area / count * rng.uniform(0.4, 0.7)
            lights.append(
                Light(np.array([*xy, height - drop]), np.array([reach, 0, 0]), np.array([0, reach, 0]),
                      np.array([0, 0, -1.0]), tint * power, 0.45, index)
            )  # fmt: skip
    return lights
