"""Furniture: each function builds one piece, its back to -x and its front to +x, standing on z = 0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from scene_understanding.simulation import clutter
from scene_understanding.simulation.classes import Nyu40 as C
from scene_understanding.simulation.materials import Materials
from scene_understanding.simulation.mesh import Item, box, cushion, cylinder, quad, rotation_about


def _legs(item: Item, stuff: int, depth: float, width: float, height: float, thick: float, round_: bool) -> None:
    for x in (-1, 1):
        for y in (-1, 1):
            center = (x * (depth / 2 - thick), y * (width / 2 - thick), height / 2)
            if round_:
                item.add(cylinder(thick * 0.4, height, center, thick * 0.6, 8), stuff)
            else:
                item.box(stuff, (thick, thick, height), center)


def _strew(item: Item, m: Materials, kind: str, area: tuple[float, float, float, float], z: float, count: int) -> None:
    """Put `count` small things on the surface (x0, y0, x1, y1) at height z, apart from each other."""
    taken: list[tuple[float, float, float]] = []
    for _ in range(count):
        thing = clutter.scatter(m, m.rng, kind)
        low, high = thing.bounds()
        r = float(np.linalg.norm((high - low)[:2])) / 2
        x0, y0, x1, y1 = area
        if x1 - x0 < 1.4 * r or y1 - y0 < 1.4 * r:
            continue
        x = m.rng.uniform(x0 + 0.7 * r, x1 - 0.7 * r)
        y = m.rng.uniform(y0 + 0.7 * r, y1 - 0.7 * r)
        if all(np.hypot(x - u, y - v) > 0.8 * (r + s) for u, v, s in taken):
            item.attach(thing, (x, y, z), m.rng.normal(0, 0.4))
            taken.append((x, y, r))


def bed(m: Materials) -> Item:
    """The head is at the back."""
    item, rng = Item(C.BED), m.rng
    length, width, top = rng.uniform(1.95, 2.1), rng.choice([0.9, 1.4, 1.6]), rng.uniform(0.42, 0.6)
    frame, sheet, cover = m.board(), m.add(np.full(3, rng.uniform(0.75, 0.98)), "fabric", 2), m.cloth(0.45)
    item.box(frame, (length, width, 0.18), (0, 0, 0.2))
    _legs(item, frame, length, width, 0.12, 0.08, False)
    item.add(cushion((length, width, top - 0.26), (0, 0, (top + 0.26) / 2), 0.12, 20), sheet)
    share = rng.uniform(0.55, 0.78)
    item.add(cushion((length * share, width + 0.06, 0.16), (length * (1 - share) / 2, 0, top - 0.02), 0.15, 20), cover)
    item.box(frame, (0.06, width + 0.04, rng.uniform(0.75, 1.2)), (-length / 2 - 0.03, 0, 0.45))
    for y in [0.0] if width < 1 else [-width / 4, width / 4]:
        item.attach(clutter.pillow(m, min(0.7, width * 0.42)), (-length / 2 + 0.28, y, top - 0.02), rng.normal(0, 0.1))
    if rng.random() < 0.25:
        item.attach(clutter.clothes_heap(m), (length * 0.2, rng.uniform(-0.2, 0.2), top + 0.04))
    return item


def night_stand(m: Materials) -> Item:
    item = drawers(m, 0.42, 0.45, m.rng.uniform(0.4, 0.6), 2, C.NIGHT_STAND)
    _strew(item, m, "night", (-0.18, -0.2, 0.18, 0.2), float(item.bounds()[1][2]), int(m.rng.integers(1, 3)))
    return item


def drawers(m: Materials, depth: float, width: float, height: float, rows: int, label: int) -> Item:
    """A chest whose drawer fronts stand a little proud of it, with knobs."""
    item, body, front, knob = Item(label), m.board(), m.board(), m.metal()
    if m.rng.random() < 0.6:
        front = body
    item.box(body, (depth, width, height - 0.06), (0, 0, 0.06 + (height - 0.06) / 2))
    item.box(body, (depth - 0.06, width - 0.06, 0.06), (0, 0, 0.03))
    pitch = (height - 0.1) / rows
    for row in range(rows):
        z = 0.08 + pitch * (row + 0.5)
        item.box(front, (0.02, width - 0.03, pitch - 0.02), (depth / 2 + 0.01, 0, z))
        item.box(knob, (0.03, min(0.14, width * 0.3), 0.015), (depth / 2 + 0.03, 0, z + pitch * 0.2))
    return item


def dresser(m: Materials) -> Item:
    rng = m.rng
    item = drawers(m, 0.48, rng.uniform(0.8, 1.4), rng.uniform(0.7, 1.1), int(rng.integers(3, 5)), C.DRESSER)
    low, high = item.bounds()
    _strew(item, m, "table", (-0.2, low[1] + 0.05, 0.2, high[1] - 0.05), float(high[2]), int(rng.integers(0, 4)))
    return item


def wardrobe(m: Materials) -> Item:
    item, rng = Item(C.CABINET), m.rng
    depth, doors, height = rng.uniform(0.45, 0.62), int(rng.integers(2, 4)), rng.uniform(1.7, 2.2)
    width = doors * rng.uniform(0.4, 0.55)
    body, front, knob = m.board(), m.board(), m.metal()
    item.box(body, (depth, width, height), (0, 0, height / 2))
    for k in range(doors):
        y = (k + 0.5) / doors * width - width / 2
        item.box(front, (0.02, width / doors - 0.012, height - 0.1), (depth / 2 + 0.01, y, height / 2 + 0.03))
        item.box(knob, (0.03, 0.02, 0.16), (depth / 2 + 0.03, y + 0.15 * (1 if k % 2 else -1), height * 0.5))
    if rng.random() < 0.3:
        item.attach(clutter.carton(m, 0.45), (0, rng.uniform(-0.2, 0.2), height))
    return item


def bookcase(m: Materials) -> Item:
    """Open shelves with books, boxes and other things."""
    rng = m.rng
    item = Item(C.BOOKSHELF if rng.random() < 0.7 else C.SHELVES)
    depth, width = rng.uniform(0.26, 0.36), rng.uniform(0.7, 1.5)
    rows, pitch, stuff = int(rng.integers(2, 7)), rng.uniform(0.3, 0.38), m.board()
    height = 0.06 + rows * pitch + 0.02
    for y in (-width / 2, width / 2):
        item.box(stuff, (depth, 0.025, height), (0, y, height / 2))
    item.box(stuff, (0.012, width, height), (-depth / 2 + 0.006, 0, height / 2))
    for row in range(rows + 1):
        item.box(stuff, (depth, width, 0.025), (0, 0, 0.06 + row * pitch))
    fill = rng.uniform(0.55, 0.95)
    for row in range(rows):
        _fill_shelf(item, m, 0.073 + row * pitch, depth, width - 0.06, pitch - 0.03, fill)
    if rng.random() < 0.4:
        _strew(item, m, "table", (-depth / 2, -width / 2, depth / 2, width / 2), height + 0.005, 2)
    return item


def _fill_shelf(item: Item, m: Materials, z: float, depth: float, width: float, room: float, fill: float) -> None:
    rng, y = m.rng, -width / 2
    while y < width / 2 - 0.12:
        span = min(rng.uniform(0.2, 0.7), width / 2 - y)
        draw = rng.random()
        if draw < fill * 0.85:
            item.attach(clutter.book_row(m, span, depth, room), (0, y + span / 2, z))
        elif draw < fill:
            item.attach(clutter.book_stack(m, int(rng.integers(2, 5))), (0.0, y + span / 2, z), np.pi / 2)
        elif draw < fill + 0.1:
            span = min(span, 0.3)
            size = (depth * 0.85, span * 0.9, room * rng.uniform(0.5, 0.85))
            crate = Item(C.BOX)
            crate.box(m.plastic(), size, (0, 0, size[2] / 2))
            item.attach(crate, (0, y + span / 2, z))
        else:
            span = min(span, 0.25)
            thing = clutter.cup(m) if rng.random() < 0.5 else clutter.bottle(m)
            item.attach(thing, (0, y + span / 2, z))
        y += span


def store_rack(m: Materials) -> Item:
    """A metal rack with cartons."""
    item, rng, frame = Item(C.SHELVES), m.rng, m.metal()
    depth, width, rows, pitch = 0.45, rng.uniform(0.9, 1.6), int(rng.integers(3, 5)), rng.uniform(0.42, 0.5)
    _legs(item, frame, depth, width, rows * pitch + 0.1, 0.04, False)
    board = m.board() if rng.random() < 0.5 else frame
    for row in range(rows + 1):
        z = 0.1 + row * pitch
        item.box(board, (depth, width, 0.03), (0, 0, z - 0.015))
        y = -width / 2 + 0.2
        while y < width / 2 - 0.15:
            thing = clutter.carton(m, 0.4) if rng.random() < 0.75 else clutter.book_stack(m)
            if rng.random() < 0.8:
                item.attach(thing, (0, y, z), rng.normal(0, 0.08))
            y += 0.42
    return item


def chair(m: Materials) -> Item:
    """Four-legged chair with slats, a board or upholstery for a back; it looks to +x."""
    item, rng = Item(C.CHAIR), m.rng
    w, d, seat, top = rng.uniform(0.4, 0.48), rng.uniform(0.4, 0.46), rng.uniform(0.43, 0.48), rng.uniform(0.8, 1.0)
    frame = m.wood() if rng.random() < 0.6 else m.metal()
    soft = rng.random() < 0.55
    plain = rng.random() < 0.6
    stuff = (m.cloth() if plain else m.leather()) if soft else (frame if plain else m.plastic())
    _legs(item, frame, d, w, seat, 0.04, bool(rng.random() < 0.4))
    seat_shape = cushion((d, w, 0.08), (0, 0, seat), 0.25) if soft else box((d, w, 0.03), (0, 0, seat))
    item.add(seat_shape, stuff)
    lean = rotation_about("y", -rng.uniform(0.05, 0.2))
    height = top - seat

    def back(size: tuple[float, float, float], y: float, z: float, material: int) -> None:
        item.add(box(size, (0, y, z)).moved(lean, (-d / 2 + 0.02, 0, seat)), material)

    for y in (-w / 2 + 0.02, w / 2 - 0.02):
        back((0.03, 0.03, height), y, height / 2, frame)
    kind = rng.integers(3)
    if kind == 0:
        for k in range(int(rng.integers(2, 5))):
            back((0.02, w - 0.04, 0.05), 0, height * (0.95 - 0.2 * k), frame)
    elif kind == 1:
        back((0.03, w, height * 0.6), 0, height * 0.65, stuff)
    else:
        pad = cushion((0.07, w, height * 0.75), (0, 0, height * 0.6), 0.35)
        item.add(pad.moved(lean, (-d / 2 + 0.02, 0, seat)), stuff)
    return item


def office_chair(m: Materials) -> Item:
    item, rng = Item(C.CHAIR), m.rng
    frame = m.add(np.full(3, rng.choice([0.08, 0.1, 0.6])), gloss=0.4)
    stuff = m.cloth(0.1) if rng.random() < 0.6 else m.leather()
    for k in range(5):
        arm = box((0.3, 0.045, 0.035), (0.15, 0, 0.07)).moved(rotation_about("z", 2 * np.pi * k / 5), (0, 0, 0))
        item.add(arm, frame)
        angle = 2 * np.pi * k / 5
        item.add(cushion((0.06, 0.06, 0.06), (0.29 * np.cos(angle), 0.29 * np.sin(angle), 0.03), 1, 6), frame)
    item.add(cylinder(0.028, 0.38, (0, 0, 0.26), segments=8), frame)
    seat = rng.uniform(0.44, 0.52)
    item.add(cushion((0.48, 0.5, 0.1), (0, 0, seat), 0.4), stuff)
    tall = rng.uniform(0.4, 0.7)
    lean = rotation_about("y", -0.12)
    item.add(cushion((0.08, 0.45, tall), (0, 0, tall / 2 + 0.08), 0.4).moved(lean, (-0.22, 0, seat)), stuff)
    item.box(frame, (0.03, 0.06, 0.3), (-0.25, 0, seat + 0.05))
    if rng.random() < 0.6:
        for y in (-0.27, 0.27):
            item.box(frame, (0.26, 0.05, 0.03), (-0.02, y, seat + 0.2))
            item.box(frame, (0.04, 0.03, 0.22), (-0.05, y, seat + 0.1))
    return item


def stool(m: Materials) -> Item:
    item, rng, stuff = Item(C.CHAIR), m.rng, m.wood()
    h = rng.uniform(0.45, 0.7)
    item.add(cylinder(0.17, 0.04, (0, 0, h)), stuff if rng.random() < 0.5 else m.leather())
    _legs(item, stuff, 0.28, 0.28, h, 0.035, True)
    return item


def sofa(m: Materials, seats: int | None = None) -> Item:
    item, rng = Item(C.SOFA), m.rng
    n = seats or int(rng.integers(2, 4))
    width, depth, seat, top = n * rng.uniform(0.6, 0.72) + 0.36, rng.uniform(0.8, 0.95), 0.43, rng.uniform(0.72, 0.92)
    stuff = m.cloth(0.2) if rng.random() < 0.7 else m.leather()
    item.add(cushion((depth, width, 0.24), (0, 0, 0.2), 0.12, 16), stuff)
    item.add(cushion((0.24, width, top - 0.1), (-depth / 2 + 0.12, 0, top / 2 + 0.05), 0.2, 16), stuff)
    for y in (0.09 - width / 2, width / 2 - 0.09):
        arm_height = rng.uniform(0.55, 0.62)
        item.add(cushion((depth, 0.18, arm_height), (0, y, arm_height / 2 + 0.03), 0.2, 16), stuff)
    w = (width - 0.36) / n
    for k in range(n):
        y = -width / 2 + 0.18 + (k + 0.5) * w
        item.add(cushion((depth - 0.22, w - 0.01, 0.18), (0.1, y, seat - 0.06), 0.25), stuff)
        item.add(cushion((0.2, w - 0.02, top - seat), (-depth / 2 + 0.28, y, (top + seat) / 2), 0.4), stuff)
    _legs(item, m.wood(), depth, width, 0.09, 0.06, False)
    for _ in range(int(rng.integers(0, 3))):
        tilted = clutter.pillow(m, 0.42)
        item.attach(tilted, (0.0, rng.uniform(-0.5, 0.5) * (width - 0.8), seat + 0.04), rng.normal(0, 0.5))
    return item


def armchair(m: Materials) -> Item:
    return sofa(m, 1)


def table(m: Materials, size: ArrayLike, kind: str, clutter_count: int) -> Item:
    """A table of `size`: depth, width, height; `kind` says what lies on it."""
    depth, width, height = np.asarray(size).tolist()
    item, rng, stuff = Item(C.TABLE), m.rng, m.board()
    if rng.random() < 0.2 and abs(depth - width) < 0.4:
        radius = min(depth, width) / 2
        item.add(cylinder(radius, 0.035, (0, 0, height - 0.018), segments=24), stuff)
        item.add(cylinder(0.06, height, (0, 0, height / 2)), stuff)
        item.add(cylinder(radius * 0.6, 0.03, (0, 0, 0.015), segments=16), stuff)
        area = (-radius * 0.6, -radius * 0.6, radius * 0.6, radius * 0.6)
    else:
        item.box(stuff, (depth, width, 0.04), (0, 0, height - 0.02))
        legs = stuff if rng.random() < 0.6 else m.metal()
        _legs(item, legs, depth, width, height - 0.04, 0.06, bool(rng.random() < 0.3))
        area = (-depth / 2, -width / 2, depth / 2, width / 2)
    _strew(item, m, kind, area, height, clutter_count)
    return item


def coffee_table(m: Materials) -> Item:
    rng = m.rng
    size = rng.uniform((0.5, 0.8, 0.35), (0.7, 1.2, 0.48))
    return table(m, size, "table", int(rng.integers(1, 5)))


def side_table(m: Materials) -> Item:
    """A table at a wall, with books, cups or a screen on it."""
    rng = m.rng
    size = rng.uniform((0.5, 0.8, 0.68), (0.75, 1.6, 0.8))
    return table(m, size, "desk" if rng.random() < 0.5 else "table", int(rng.integers(1, 6)))


def dining_table(m: Materials) -> Item:
    rng = m.rng
    size = rng.uniform((0.8, 1.1, 0.71), (1.0, 2.0, 0.77))
    return table(m, size, "table", int(rng.integers(1, 6)))


def desk(m: Materials) -> Item:
    """A desk used from +x: screen at the back, keyboard, papers, books, sometimes drawers below."""
    item, rng = Item(C.DESK), m.rng
    depth, width, height, stuff = rng.uniform(0.6, 0.8), rng.uniform(1.1, 1.8), rng.uniform(0.7, 0.77), m.board()
    item.box(stuff, (depth, width, 0.035), (0, 0, height - 0.018))
    _legs(item, stuff if rng.random() < 0.5 else m.metal(), depth, width, height - 0.035, 0.05, False)
    if rng.random() < 0.5:
        chest = drawers(m, depth - 0.1, 0.4, height - 0.06, 3, C.DESK)
        item.merge(chest, (0, width / 2 - 0.25, 0))
    if rng.random() < 0.8:
        count = int(rng.integers(1, 3))
        for k in range(count):
            y = (k - (count - 1) / 2) * 0.6
            item.attach(clutter.monitor(m, rng.uniform(0.45, 0.6)), (-depth / 2 + 0.18, y, height), rng.normal(0, 0.12))
        item.attach(clutter.keyboard(m), (depth / 2 - 0.2, 0.05, height))
        side = width / 2 - 0.35
        _strew(item, m, "desk", (-depth / 2, -width / 2, depth / 2, -width / 2 + side), height, 2)
        _strew(item, m, "desk", (-depth / 2, width / 2 - side, depth / 2, width / 2), height, 2)
    else:
        area = (-depth / 2, -width / 2, depth / 2, width / 2)
        _strew(item, m, "desk", area, height, int(rng.integers(2, 7)))
    return item


def kitchen_counter(m: Materials, width: float) -> Item:
    """A run of base units with a worktop, a sink, things on it."""
    item, rng = Item(C.COUNTER), m.rng
    front = m.lacquer() if rng.random() < 0.5 else m.wood()
    top, knob = m.add((0.7, 0.68, 0.66), "marble", 1, 0.3), m.metal()
    units = max(int(width / 0.6), 1)
    item.box(front, (0.56, width, 0.78), (-0.02, 0, 0.1 + 0.39), C.CABINET)
    item.box(m.plastic(), (0.5, width, 0.1), (-0.04, 0, 0.05), C.CABINET)
    for k in range(units):
        y = (k + 0.5) * width / units - width / 2
        item.box(front, (0.02, width / units - 0.012, 0.74), (0.27, y, 0.5), C.CABINET)
        item.box(knob, (0.025, 0.16, 0.015), (0.29, y, 0.82), C.CABINET)
    item.box(top, (0.62, width, 0.04), (0, 0, 0.9))
    if width > 1.2:
        y = rng.uniform(-0.3, 0.3) * width
        item.box(m.add((0.55, 0.56, 0.57), gloss=0.8), (0.4, 0.5, 0.012), (0, y, 0.925), C.SINK)
        item.box(m.add((0.2, 0.2, 0.21), gloss=0.4), (0.33, 0.4, 0.006), (0.01, y, 0.931), C.SINK)
        item.add(cylinder(0.015, 0.25, (-0.22, y, 1.05), segments=8), knob, C.SINK)
        item.box(knob, (0.18, 0.02, 0.02), (-0.14, y, 1.17), C.SINK)
    _strew(item, m, "kitchen", (-0.28, -width / 2, 0.25, width / 2), 0.92, int(rng.integers(2, 7)))
    return item


def wall_cupboard(m: Materials, width: float) -> Item:
    """Hangs: z = 0 is its lower edge."""
    item, front = Item(C.CABINET), m.board()
    units = max(int(width / 0.5), 1)
    item.box(front, (0.33, width, 0.7), (0, 0, 0.35))
    for k in range(units):
        y = (k + 0.5) * width / units - width / 2
        item.box(front, (0.018, width / units - 0.012, 0.68), (0.173, y, 0.35))
    return item


def fridge(m: Materials) -> Item:
    item, rng = Item(C.REFRIDGERATOR), m.rng
    height, tone = rng.uniform(1.4, 1.95), rng.choice([0.92, 0.9, 0.62, 0.25])
    stuff, grip = m.add(np.full(3, tone), gloss=0.5), m.metal()
    item.box(stuff, (0.6, 0.6, height), (0, 0, height / 2))
    for z0, z1 in ((0.05, height * 0.62), (height * 0.64, height - 0.01)):
        item.box(stuff, (0.05, 0.59, z1 - z0), (0.32, 0, (z0 + z1) / 2))
        item.box(grip, (0.03, 0.02, 0.3), (0.36, 0.24, z1 - 0.22 if z0 < 0.1 else z0 + 0.2))
    return item


def media_console(m: Materials) -> Item:
    """A low board with a television on it."""
    rng = m.rng
    width = rng.uniform(1.1, 1.8)
    item = drawers(m, 0.42, width, rng.uniform(0.4, 0.6), 1, C.CABINET)
    top = float(item.bounds()[1][2])
    item.attach(clutter.television(m, rng.uniform(0.75, min(1.3, width)), True), (0, 0, top))
    return item


def sideboard(m: Materials) -> Item:
    rng = m.rng
    item = drawers(m, 0.42, rng.uniform(1.0, 1.7), rng.uniform(0.6, 0.95), 2, C.CABINET)
    low, high = item.bounds()
    _strew(item, m, "table", (-0.2, low[1], 0.2, high[1]), float(high[2]), int(rng.integers(1, 6)))
    return item


def file_cabinet(m: Materials) -> Item:
    rows = int(m.rng.integers(2, 5))
    item = drawers(m, 0.5, 0.45, 0.3 * rows + 0.1, rows, C.CABINET)
    top = float(item.bounds()[1][2])
    item.attach(clutter.book_stack(m) if m.rng.random() < 0.6 else clutter.plant(m), (0, 0, top))
    return item


def tv_trolley(m: Materials) -> Item:
    item, frame = Item(C.TELEVISION), m.metal()
    item.box(frame, (0.5, 0.8, 0.06), (0, 0, 0.05))
    item.box(frame, (0.06, 0.08, 1.3), (-0.03, 0, 0.7))
    item.attach(clutter.television(m, m.rng.uniform(1.0, 1.5), False), (0.03, 0, 0.95))
    return item


def picture(m: Materials, width: float, height: float) -> Item:
    """A framed picture that faces +x, its lower edge at z = 0."""
    item, frame = Item(C.PICTURE), m.board()
    item.box(frame, (0.025, width, height), (0, 0, height / 2))
    rim = min(m.rng.uniform(0.01, 0.05), width / 5)
    item.add(quad((0.014, -width / 2 + rim, rim), (0, width - 2 * rim, 0), (0, 0, height - 2 * rim), True), m.picture())
    return item


def whiteboard(m: Materials) -> Item:
    item, rng = Item(C.WHITEBOARD), m.rng
    width, height = rng.uniform(1.2, 2.2), rng.uniform(0.9, 1.2)
    item.box(m.metal(), (0.03, width, height), (0, 0, height / 2))
    origin = (0.017, -width / 2 + 0.02, 0.02)
    item.add(quad(origin, (0, width - 0.04, 0), (0, 0, height - 0.04), True), m.add((1, 1, 1), "whiteboard", 1, 0.3))
    return item


def mirror(m: Materials) -> Item:
    """A tall mirror; it shows a dim sheen, no reflection."""
    frame, glass = picture(m, 0.5, 1.1).parts
    tone = m.add((0.55, 0.58, 0.6), "dark_screen", 1, 1.0, 0.0)
    return Item(C.MIRROR, [replace(frame, label=C.MIRROR), replace(glass, label=C.MIRROR, material=tone)])


def rug(m: Materials) -> Item:
    item, rng = Item(C.FLOOR_MAT), m.rng
    w, d = rng.uniform(0.8, 2.2), rng.uniform(0.6, 1.6)
    item.box(m.cloth(0), (d, w, 0.012), (0, 0, 0.006))
    item.add(quad((d / 2, -w / 2, 0.0125), (0, w, 0), (-d, 0, 0), True), m.add((1, 1, 1), "rug"))
    return item
