"""Floor plans: rectangles split into rooms, joined by doors so that every room can be reached."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Float = NDArray[np.float64]
INWARD = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
"""(4, 2): the inner normals of a room's sides, in the order x0, x1, y0, y1."""


@dataclass(frozen=True)
class Rect:
    """An axis-aligned rectangle, metres."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def depth(self) -> float:
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        return max(self.width, 0) * max(self.depth, 0)

    @property
    def center(self) -> Float:
        return np.array([(self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2])

    @property
    def corners(self) -> Float:
        """(4, 2) anticlockwise."""
        return np.array([[self.x0, self.y0], [self.x1, self.y0], [self.x1, self.y1], [self.x0, self.y1]])

    def grown(self, margin: float) -> Rect:
        return Rect(self.x0 - margin, self.y0 - margin, self.x1 + margin, self.y1 + margin)

    def overlaps(self, other: Rect) -> bool:
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1

    def contains(self, other: Rect) -> bool:
        return self.x0 <= other.x0 and self.y0 <= other.y0 and self.x1 >= other.x1 and self.y1 >= other.y1

    def side(self, k: int) -> tuple[Float, Float, float]:
        """Start (2,), direction (2,) and length of side k; the room lies to its left-hand inside."""
        starts = ((self.x0, self.y0), (self.x1, self.y1), (self.x1, self.y0), (self.x0, self.y1))
        n = INWARD[k]
        return np.array(starts[k]), np.array([-n[1], n[0]]), self.depth if k < 2 else self.width


@dataclass(frozen=True)
class Hole:
    """An opening in a room's side: from `start` to `end` along it, from `bottom` to `top` in height."""

    side: int
    start: float
    end: float
    bottom: float
    top: float


@dataclass(frozen=True)
class Door:
    """A doorway between rooms a and b; `center` (2,) on the wall's middle line, `along_x`: the wall runs along x."""

    a: int
    b: int
    center: Float
    width: float
    height: float
    along_x: bool


@dataclass
class RoomPlan:
    """A room before it is furnished: the rectangle inside its walls, what it is for, its openings."""

    inner: Rect
    kind: str
    doors: list[Hole] = field(default_factory=list)
    windows: list[Hole] = field(default_factory=list)


@dataclass(frozen=True)
class FloorPlan:
    rooms: list[RoomPlan]
    doors: list[Door]
    wall: float
    height: float


KINDS = ("bedroom", "living", "office", "kitchen", "meeting", "store")
CHANCES = {"home": (0.26, 0.34, 0.14, 0.16, 0.04, 0.06), "office": (0.04, 0.18, 0.4, 0.1, 0.2, 0.08),
           "mixed": (0.18, 0.3, 0.22, 0.14, 0.1, 0.06)}  # fmt: skip


def _split(rng: Generator, rect: Rect, target: float) -> list[Rect]:
    """Cut until a piece is below `target` square metres or would get narrower than 2.6 m."""
    longer = max(rect.width, rect.depth)
    if rect.area < target or longer < 5.4:
        return [rect]
    at = rng.uniform(max(0.36, 2.6 / longer), min(0.64, 1 - 2.6 / longer)) * longer
    if rect.width >= rect.depth:
        a, b = Rect(rect.x0, rect.y0, rect.x0 + at, rect.y1), Rect(rect.x0 + at, rect.y0, rect.x1, rect.y1)
    else:
        a, b = Rect(rect.x0, rect.y0, rect.x1, rect.y0 + at), Rect(rect.x0, rect.y0 + at, rect.x1, rect.y1)
    return _split(rng, a, target) + _split(rng, b, target)


def _rectangles(rng: Generator) -> tuple[Rect, list[Rect], bool]:
    """The outer rectangle, the rooms (the corridor first where there is one)."""
    outer = Rect(0, 0, rng.uniform(9.5, 15), rng.uniform(7.5, 12))
    corridor = rng.random() < 0.75
    target = rng.uniform(14, 24)
    if not corridor:
        return outer, _split(rng, outer, target), False
    width = rng.uniform(1.5, 2.3)
    y = rng.uniform(3.0, max(outer.y1 - width - 3.0, 3.1)) if rng.random() < 0.8 else 0.0
    parts = [Rect(0, y, outer.x1, y + width)]
    for band in (Rect(0, 0, outer.x1, y), Rect(0, y + width, outer.x1, outer.y1)):
        if band.depth > 1:
            parts += _split(rng, band, target)
    return outer, parts, True


def _shared(a: Rect, b: Rect) -> tuple[bool, float, float, float] | None:
    """The common wall: whether it runs along x, its line, and from where to where."""
    for along_x, line, other, lo, hi in (
        (False, a.x1, b.x0, max(a.y0, b.y0), min(a.y1, b.y1)),
        (False, a.x0, b.x1, max(a.y0, b.y0), min(a.y1, b.y1)),
        (True, a.y1, b.y0, max(a.x0, b.x0), min(a.x1, b.x1)),
        (True, a.y0, b.y1, max(a.x0, b.x0), min(a.x1, b.x1)),
    ):
        if abs(line - other) < 1e-6 and hi - lo > 1.6:
            return along_x, line, lo, hi
    return None


def _doors(rng: Generator, rects: list[Rect], corridor: bool, height: float) -> list[Door]:
    """A spanning tree of doors, through the corridor first, and a few more."""
    walls = {}
    for i in range(len(rects)):
        for j in range(i + 1, len(rects)):
            if (wall := _shared(rects[i], rects[j])) is not None:
                walls[i, j] = wall
    cost = {pair: rng.random() + (0 if corridor and 0 in pair else 1) for pair in walls}
    reached, chosen = {0}, []
    while True:
        rim = [p for p in walls if (p[0] in reached) != (p[1] in reached)]
        if not rim:
            break
        best = min(rim, key=cost.__getitem__)
        chosen.append(best)
        reached |= set(best)
    chosen += [p for p in walls if p not in chosen and rng.random() < 0.2]
    doors = []
    for i, j in chosen:
        along_x, line, lo, hi = walls[i, j]
        width = min(rng.uniform(0.95, 1.2) if rng.random() < 0.85 else rng.uniform(1.4, 2.2), hi - lo - 0.5)
        at = rng.uniform(lo + width / 2 + 0.2, hi - width / 2 - 0.2)
        center = np.array([at, line] if along_x else [line, at])
        doors.append(Door(i, j, center, width, min(rng.uniform(2.0, 2.12), height - 0.15), along_x))
    return doors


def _door_hole(room: Rect, door: Door) -> Hole:
    """The door as a hole in the side of `room` that it lies on."""
    for k in range(4):
        start, along, _ = room.side(k)
        if abs(along[0]) > 0.5 and not door.along_x or abs(along[1]) > 0.5 and door.along_x:
            continue
        if abs((door.center - start) @ INWARD[k]) < 0.3:
            s = float((door.center - start) @ along)
            return Hole(k, s - door.width / 2, s + door.width / 2, 0.0, door.height)
    raise ValueError(f"door at {door.center.tolist()} is on no side of the room {room}")


def _windows(rng: Generator, rect: Rect, inner: Rect, outer: Rect, height: float) -> list[Hole]:
    """Windows in the outer walls of a room."""
    on_outside = (rect.x0 == outer.x0, rect.x1 == outer.x1, rect.y0 == outer.y0, rect.y1 == outer.y1)
    sill = rng.uniform(0.5, 1.0) if rng.random() < 0.8 else 0.12
    top, holes = min(rng.uniform(1.95, 2.3), height - 0.12), []
    for k in np.flatnonzero(on_outside):
        _, _, length = inner.side(int(k))
        if rng.random() > 0.8:
            continue
        count = max(1, int(length / rng.uniform(2.0, 3.5)))
        pitch = length / count
        width = min(rng.uniform(0.8, 1.9), pitch - 0.5)
        holes += [
            Hole(int(k), (c + 0.5) * pitch - width / 2, (c + 0.5) * pitch + width / 2, sill, top) for c in range(count)
        ]
    return holes


def generate_plan(rng: Generator) -> FloorPlan:
    """A floor of 4 to 9 rooms, all of them reachable through doors."""
    while True:
        outer, rects, corridor = _rectangles(rng)
        height = rng.uniform(2.4, 3.1)
        doors = _doors(rng, rects, corridor, height)
        joined = {0} | {r for d in doors for r in (d.a, d.b)}
        if 4 <= len(rects) <= 9 and len(joined) == len(rects):
            break
    wall = rng.uniform(0.1, 0.2)
    style = str(rng.choice(list(CHANCES)))
    rooms = []
    for i, rect in enumerate(rects):
        inner = rect.grown(-wall / 2)
        kind = "corridor" if corridor and i == 0 else str(rng.choice(KINDS, p=CHANCES[style]))
        if kind == "store" and rect.area > 16:
            kind = "office"
        holes = [_door_hole(inner, d) for d in doors if i in (d.a, d.b)]
        rooms.append(RoomPlan(inner, kind, holes, _windows(rng, rect, inner, outer, height)))
    _ensure_bed_and_sofa(rng, rooms)
    return FloorPlan(rooms, doors, wall, height)


def _ensure_bed_and_sofa(rng: Generator, rooms: list[RoomPlan]) -> None:
    """Every floor has a bedroom and a living room; the other kinds are left to chance."""
    free = [r for r in rooms if r.kind != "corridor"]
    for kind in ("bedroom", "living"):
        if not any(r.kind == kind for r in free):
            others = [r for r in free if r.kind not in ("bedroom", "living") or sum(q.kind == r.kind for q in free) > 1]
            others[int(rng.integers(len(others)))].kind = kind
