"""Furnishing: puts furniture into a room by what the room is for, and keeps the ways between its doors open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scene_understanding.simulation import clutter, furniture
from scene_understanding.simulation.floorplan import INWARD, Hole, Rect, RoomPlan
from scene_understanding.simulation.materials import Materials
from scene_understanding.simulation.mesh import Item, MeshBuilder, rotation_about
from scene_understanding.simulation.structure import closed_door, door_leaf, wall_point, wall_yaw

CELL = 0.1
PASSAGE = 0.34
"""Half the width, metres, that stays free between the doors of a room."""
Make = Callable[[Materials], Item]


def footprint(item: Item, position: NDArray[np.float64], yaw: float) -> Rect:
    """Bounding rectangle of an item in the map."""
    low, high = item.bounds()
    corners = np.array([[x, y, 0] for x in (low[0], high[0]) for y in (low[1], high[1])])
    points = corners @ rotation_about("z", yaw).T + position
    return Rect(*points.min(0)[:2], *points.max(0)[:2])


@dataclass
class Furnisher:
    """State of a room while it fills: what stands where, on the floor and on the walls."""

    mesh: MeshBuilder
    materials: Materials
    room: RoomPlan
    height: float
    rng: Generator
    floor: list[Rect] = field(default_factory=list)
    walls: list[Hole] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.walls += self.room.doors + self.room.windows
        self.doorways = [self._doorway(h) for h in self.room.doors]

    def _doorway(self, hole: Hole) -> Rect:
        """The floor in front of a door, kept free."""
        a = wall_point(self.room.inner, hole.side, hole.start, 0, 0)
        b = wall_point(self.room.inner, hole.side, hole.end, 0.75, 0)
        return Rect(*np.minimum(a, b)[:2], *np.maximum(a, b)[:2])

    def _fits(self, rect: Rect, margin: float) -> bool:
        if not self.room.inner.contains(rect):
            return False
        if any(rect.overlaps(o.grown(margin)) for o in self.floor) or any(rect.overlaps(d) for d in self.doorways):
            return False
        return self._passable([*self.floor, rect])

    def _passable(self, rects: list[Rect]) -> bool:
        """Whether all doors of the room stay joined by free floor, and enough of it is left."""
        r = self.room.inner
        shape = (int(np.ceil(r.depth / CELL)) + 2, int(np.ceil(r.width / CELL)) + 2)
        free = np.zeros(shape, np.uint8)
        free[1:-1, 1:-1] = 1
        for o in rects:
            x0, y0 = int((o.x0 - r.x0) / CELL) + 1, int((o.y0 - r.y0) / CELL) + 1
            x1, y1 = int(np.ceil((o.x1 - r.x0) / CELL)) + 1, int(np.ceil((o.y1 - r.y0) / CELL)) + 1
            free[y0:y1, x0:x1] = 0
        clear = cv2.distanceTransform(free, cv2.DIST_L2, 3) * CELL > PASSAGE
        _, regions = cv2.connectedComponents(clear.astype(np.uint8), connectivity=4)
        seen = set()
        for hole in self.room.doors:
            x, y, _ = wall_point(r, hole.side, (hole.start + hole.end) / 2, PASSAGE + 0.12, 0)
            seen.add(int(regions[int((y - r.y0) / CELL) + 1, int((x - r.x0) / CELL) + 1]))
        if len(seen) != 1 or 0 in seen:
            return False
        return bool((regions == seen.pop()).mean() > 0.1)

    def against_wall(self, item: Item, tall: bool = False, gap: float = 0.03, tries: int = 14) -> bool:
        """Stand an item with its back to a wall; a `tall` one not before a window."""
        low, high = item.bounds()
        width, z_top = float(high[1] - low[1]), float(high[2])
        for _ in range(tries):
            side = int(self.rng.integers(4))
            _, _, length = self.room.inner.side(side)
            if length < width + 0.05:
                continue
            corner = self.rng.random() < 0.35
            along = self.rng.choice([0.02, length - width - 0.02]) if corner else self.rng.uniform(0, length - width)
            if tall and self.wall_taken(side, along, along + width, 0.05, z_top):
                continue
            by_window = self.wall_taken(side, along - 0.4, along + width + 0.4, 0.9, 1.9)
            position = wall_point(self.room.inner, side, along - low[1], (0.15 if by_window else gap) - low[0], 0)
            if self._put(item, position, wall_yaw(side), 0.02):
                self.walls.append(Hole(side, along, along + width, 0, z_top))
                return True
        return False

    def free_standing(self, item: Item, center: bool = False, margin: float = 0.05, tries: int = 10) -> Rect | None:
        """Stand an item in the room, near its centre or anywhere; returns its footprint."""
        for _ in range(tries):
            r = self.room.inner
            spread = 0.12 if center else 0.42
            xy = r.center + self.rng.uniform(-spread, spread, 2) * (r.width, r.depth)
            yaw = self.rng.integers(4) * np.pi / 2 + self.rng.normal(0, 0.05)
            position = np.array([*xy, 0.0])
            if self._put(item, position, float(yaw), margin):
                return self.floor[-1]
        return None

    def _put(self, item: Item, position: NDArray[np.float64], yaw: float, margin: float) -> bool:
        rect = footprint(item, position, yaw)
        if not self._fits(rect, margin):
            return False
        self.mesh.place(item, position, yaw)
        self.floor.append(rect)
        return True

    def wall_taken(self, side: int, start: float, end: float, bottom: float, top: float) -> bool:
        """Whether anything is on this stretch of wall: a door, a window, a picture, a tall piece."""
        return any(
            w.side == side and w.start < end and start < w.end and w.bottom < top and bottom < w.top for w in self.walls
        )

    def hang(self, item: Item, bottom: float, tries: int = 12) -> bool:
        """Hang an item on a free stretch of wall, its z = 0 at height `bottom`."""
        low, high = item.bounds()
        width = float(high[1] - low[1])
        for _ in range(tries):
            side = int(self.rng.integers(4))
            _, _, length = self.room.inner.side(side)
            if length < width + 0.2:
                continue
            along = self.rng.uniform(0.1, length - width - 0.1)
            if self.wall_taken(side, along - 0.1, along + width + 0.1, bottom + low[2], bottom + high[2]):
                continue
            position = wall_point(self.room.inner, side, along - low[1], 0.005 - low[0], bottom)
            self.mesh.place(item, position, wall_yaw(side))
            self.walls.append(Hole(side, along, along + width, bottom + float(low[2]), bottom + float(high[2])))
            return True
        return False

    def chairs_at(self, rect: Rect, make: Make, count: int, sides: tuple[int, ...] = (0, 1, 2, 3)) -> None:
        """Put chairs around a table, looking at it, some pulled out or turned."""
        for k in range(count):
            side = sides[k % len(sides)]
            n = INWARD[side]
            along = self.rng.uniform(-0.32, 0.32) * (rect.depth if side < 2 else rect.width)
            edge = rect.center - n * ((rect.width if side < 2 else rect.depth) / 2)
            xy = edge - n * self.rng.uniform(0.22, 0.5) + along * np.array([-n[1], n[0]])
            yaw = np.arctan2(n[1], n[0]) + self.rng.normal(0, 0.25)
            item, position = make(self.materials), np.array([*xy, 0.0])
            own = footprint(item, position, yaw)
            others = [o for o in self.floor if o is not rect]
            blocked = any(own.overlaps(o) for o in (*others, *self.doorways)) or not self.room.inner.contains(own)
            if not blocked and self._passable([*self.floor, own]):
                self.mesh.place(item, position, yaw)
                self.floor.append(own)

    def door_leaves(self, chance: float) -> None:
        """Some doors have a leaf, which stands open into the room along its wall."""
        stuff = self.materials.board()
        for hole in self.room.doors:
            width = hole.end - hole.start
            if width > 1.3 or self.rng.random() > chance:
                continue
            leaf = door_leaf(self.materials, width - 0.1, hole.top, stuff)
            angle = self.rng.uniform(1.45, 2.6)
            at_end = self.rng.random() < 0.5
            along = hole.end - 0.05 if at_end else hole.start + 0.05
            position = wall_point(self.room.inner, hole.side, along, 0.05, 0)
            turned = wall_yaw(hole.side) + (-(np.pi - angle) if at_end else (np.pi - angle) + np.pi)
            rect = footprint(leaf, position, turned)
            blocked = any(rect.overlaps(o) for o in self.floor) or not self.room.inner.grown(0.01).contains(rect)
            if not blocked and self._passable([*self.floor, rect]):
                self.mesh.place(leaf, position, turned)
                self.floor.append(rect)
                self.walls.append(Hole(hole.side, *self._leaf_span(hole, width, at_end), 0, hole.top))

    @staticmethod
    def _leaf_span(hole: Hole, width: float, at_end: bool) -> tuple[float, float]:
        return (hole.end, hole.end + width) if at_end else (hole.start - width, hole.start)


def furnish(f: Furnisher) -> None:
    """Fill a room according to its kind, then hang pictures and strew the floor."""
    f.door_leaves(0.45)
    {"bedroom": _bedroom, "living": _living, "office": _office, "kitchen": _kitchen,
     "meeting": _meeting, "store": _store, "corridor": _corridor}[f.room.kind](f)  # fmt: skip
    _crowd(f)
    _walls_and_floor(f)


def _some(f: Furnisher, make: Make, chance: float = 1.0, tall: bool = False) -> bool:
    return bool(f.rng.random() < chance) and f.against_wall(make(f.materials), tall)


def _bedroom(f: Furnisher) -> None:
    rng, m = f.rng, f.materials
    f.against_wall(furniture.bed(m), tries=30)
    for make, chance, tall in (
        (furniture.night_stand, 0.9, False), (furniture.night_stand, 0.5, False), (furniture.wardrobe, 0.8, True),
        (furniture.desk, 0.4, False), (furniture.dresser, 0.6, False), (furniture.bookcase, 0.65, True),
        (furniture.media_console, 0.35, False), (furniture.chair, 0.6, False), (furniture.armchair, 0.15, False),
    ):  # fmt: skip
        _some(f, make, chance, tall)
    if rng.random() < 0.4:
        f.hang(furniture.mirror(m), 0.7)
    if rng.random() < 0.45:
        f.hang(clutter.television(m, rng.uniform(0.7, 1.1), False), rng.uniform(1.1, 1.5))
    if rng.random() < 0.6:
        f.free_standing(clutter.clothes_heap(m))


def _living(f: Furnisher) -> None:
    rng, m = f.rng, f.materials
    f.against_wall(furniture.sofa(m), tries=30, gap=rng.uniform(0.03, 0.3))
    if not _some(f, furniture.media_console, 0.75):
        f.hang(clutter.television(m, rng.uniform(0.9, 1.4), False), rng.uniform(0.9, 1.3))
    f.free_standing(furniture.coffee_table(m), center=True)
    for make, chance, tall in (
        (furniture.bookcase, 0.9, True), (furniture.sofa, 0.45, False), (furniture.armchair, 0.6, False),
        (furniture.bookcase, 0.7, True), (furniture.sideboard, 0.6, False), (clutter.floor_lamp, 0.7, False),
        (clutter.plant, 0.6, False),
    ):  # fmt: skip
        _some(f, make, chance, tall)
    if f.room.inner.area > 15 and rng.random() < 0.7:
        _table_with_chairs(f, furniture.dining_table(m), furniture.chair, int(rng.integers(2, 7)))


def _table_with_chairs(f: Furnisher, item: Item, make: Make, count: int) -> None:
    rect = f.free_standing(item, margin=0.35, tries=16)
    if rect is not None:
        f.chairs_at(rect, make, count)


def _office(f: Furnisher) -> None:
    rng, m = f.rng, f.materials
    for _ in range(max(1, int(f.room.inner.area / rng.uniform(5, 9)))):
        desk, seat = furniture.desk(m), furniture.office_chair if rng.random() < 0.8 else furniture.chair
        if f.against_wall(desk, tries=20):
            f.chairs_at(f.floor[-1], seat, 1, (_open_side(f, f.floor[-1]),))
    for make, chance, tall in (
        (furniture.bookcase, 0.85, True), (furniture.file_cabinet, 0.8, False), (furniture.bookcase, 0.5, True),
        (furniture.file_cabinet, 0.4, False), (furniture.sofa, 0.4, False), (clutter.plant, 0.6, False),
        (clutter.bin_, 0.8, False), (furniture.wardrobe, 0.3, True), (clutter.carton_pile, 0.4, False),
    ):  # fmt: skip
        _some(f, make, chance, tall)
    if rng.random() < 0.5:
        f.hang(furniture.whiteboard(m), 0.9)


def _open_side(f: Furnisher, rect: Rect) -> int:
    """The side of a piece at the wall on which there is most room: where one sits."""
    r = f.room.inner
    room = (rect.x0 - r.x0, r.x1 - rect.x1, rect.y0 - r.y0, r.y1 - rect.y1)
    narrow = (0, 1) if rect.width < rect.depth else (2, 3)
    return max(narrow, key=lambda k: room[k])


def _kitchen(f: Furnisher) -> None:
    rng, m = f.rng, f.materials
    for _ in range(2):
        width = rng.uniform(1.2, 2.8)
        if f.against_wall(furniture.kitchen_counter(m, width), tries=25, gap=0.0) and rng.random() < 0.75:
            _cupboard_above(f, width)
    for make, chance, tall in (
        (furniture.fridge, 0.9, True), (furniture.wardrobe, 0.35, True), (furniture.sideboard, 0.35, False),
        (clutter.bin_, 0.6, False), (furniture.bookcase, 0.25, True),
    ):  # fmt: skip
        _some(f, make, chance, tall)
    seat = furniture.chair if rng.random() < 0.75 else furniture.stool
    _table_with_chairs(f, furniture.dining_table(m), seat, int(rng.integers(2, 7)))
    if rng.random() < 0.6:
        f.hang(clutter.towel(m), 0.7)


def _cupboard_above(f: Furnisher, width: float) -> None:
    last = f.walls[-1]
    if not f.wall_taken(last.side, last.start, last.end, 1.45, 2.15):
        item = furniture.wall_cupboard(f.materials, width)
        at = (last.start + last.end) / 2
        f.mesh.place(item, wall_point(f.room.inner, last.side, at, 0.17, 1.45), wall_yaw(last.side))
        f.walls.append(Hole(last.side, last.start, last.end, 1.45, 2.15))


def _meeting(f: Furnisher) -> None:
    rng, m = f.rng, f.materials
    longer = max(f.room.inner.width, f.room.inner.depth)
    size = (rng.uniform(0.9, 1.3), min(rng.uniform(1.6, 3.2), longer - 2.2), rng.uniform(0.71, 0.77))
    rect = f.free_standing(furniture.table(m, size, "desk", int(rng.integers(2, 9))), center=True, tries=25)
    if rect is not None:
        make = furniture.office_chair if rng.random() < 0.5 else furniture.chair
        f.chairs_at(rect, make, int(rng.integers(4, 11)))
    if rng.random() < 0.5 or not f.against_wall(furniture.tv_trolley(m), True):
        f.hang(clutter.television(m, rng.uniform(1.0, 1.6), False), rng.uniform(1.0, 1.3))
    f.hang(furniture.whiteboard(m), 0.9)
    others = (furniture.sideboard, 0.6), (clutter.plant, 0.6), (clutter.bin_, 0.5), (furniture.bookcase, 0.4)
    for make, chance in others:
        _some(f, make, chance, make is furniture.bookcase)


def _store(f: Furnisher) -> None:
    rng, m = f.rng, f.materials
    for _ in range(int(rng.integers(2, 4))):
        f.against_wall(furniture.store_rack(m), True, tries=20)
    for _ in range(int(rng.integers(2, 6))):
        f.against_wall(clutter.carton_pile(m))
    _some(f, furniture.wardrobe, 0.6, True)
    _some(f, furniture.bookcase, 0.6, True)
    if rng.random() < 0.5:
        f.against_wall(furniture.table(m, (0.7, rng.uniform(1, 1.6), 0.76), "desk", 4))


def _corridor(f: Furnisher) -> None:
    rng, m = f.rng, f.materials
    for make, chance, tall in (
        (furniture.sideboard, 0.5, False), (clutter.plant, 0.6, False), (furniture.chair, 0.5, False),
        (furniture.chair, 0.4, False), (furniture.bookcase, 0.35, True), (clutter.bin_, 0.5, False),
        (clutter.carton_pile, 0.3, False), (furniture.sofa, 0.2, False), (furniture.wardrobe, 0.3, True),
    ):  # fmt: skip
        _some(f, make, chance, tall)
    for _ in range(int(rng.integers(0, 3))):
        f.hang(closed_door(m), 0.0)


EXTRAS: dict[str, tuple[Make, ...]] = {
    "bedroom": (furniture.chair, furniture.bookcase, furniture.desk, furniture.armchair, furniture.dresser,
                furniture.media_console, furniture.sofa, furniture.chair, clutter.book_stack),
    "living": (furniture.chair, furniture.bookcase, furniture.armchair, furniture.coffee_table, furniture.sofa,
               furniture.chair, furniture.desk, furniture.media_console),
    "office": (furniture.bookcase, furniture.chair, furniture.desk, furniture.office_chair, furniture.side_table,
               furniture.sofa, furniture.bookcase),
    "kitchen": (furniture.chair, furniture.stool, furniture.side_table, furniture.sideboard, furniture.bookcase,
                furniture.media_console),
    "meeting": (furniture.chair, furniture.bookcase, furniture.sofa, furniture.side_table, furniture.media_console),
    "store": (furniture.bookcase, furniture.chair, furniture.side_table, clutter.carton_pile, furniture.stool),
    "corridor": (furniture.chair, furniture.side_table, furniture.bookcase, furniture.sofa, furniture.stool),
}  # fmt: skip
"""What else may stand in a room of each kind."""
TALL = (furniture.bookcase, furniture.media_console)


def _crowd(f: Furnisher) -> None:
    """More furniture, until a random share of the floor is taken."""
    extras, goal = EXTRAS[f.room.kind], f.rng.uniform(0.3, 0.6) * f.room.inner.area
    for _ in range(16):
        if sum(r.area for r in f.floor) > goal:
            return
        make = extras[int(f.rng.integers(len(extras)))]
        if f.rng.random() < 0.75 or make in TALL:
            f.against_wall(make(f.materials), make in TALL)
        else:
            f.free_standing(make(f.materials), margin=0.3)


def _walls_and_floor(f: Furnisher) -> None:
    """Pictures everywhere, and the things that lie or stand about in any room."""
    rng, m = f.rng, f.materials
    for _ in range(int(rng.integers(1, 5)) + int(f.room.inner.area / 10)):
        width, height = rng.uniform(0.25, 1.3), rng.uniform(0.3, 1.0)
        f.hang(furniture.picture(m, width, height), rng.uniform(1.55, 1.75) - height / 2)
    for make, chance in (
        (clutter.bag, 0.45), (clutter.carton_pile, 0.2), (clutter.plant, 0.2), (clutter.floor_lamp, 0.2),
        (clutter.book_stack, 0.5), (clutter.bin_, 0.15),
    ):  # fmt: skip
        if rng.random() < chance:
            f.against_wall(make(m), gap=0.05)
    if rng.random() < 0.45:
        f.hang(clutter.television(m, rng.uniform(0.7, 1.3), False), rng.uniform(1.0, 1.5))
    if rng.random() < 0.5 and f.room.kind != "store":
        _lay_rug(f)


def _lay_rug(f: Furnisher) -> None:
    """A rug lies under whatever stands on it: it takes no room away."""
    r, item = f.room.inner, furniture.rug(f.materials)
    low, high = item.bounds()
    half = (high - low)[:2] / 2
    yaw = f.rng.integers(2) * np.pi / 2
    if yaw > 1:
        half = half[::-1]
    if (half * 2 + 0.3 < (r.width, r.depth)).all():
        xy = f.rng.uniform((r.x0 + half[0], r.y0 + half[1]), (r.x1 - half[0], r.y1 - half[1]))
        f.mesh.place(item, (*xy, 0), yaw)
