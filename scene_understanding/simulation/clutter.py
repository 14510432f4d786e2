"""Small things: books, lamps, bottles, screens, bags and what else lies about."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from scene_understanding.simulation.classes import Nyu40 as C
from scene_understanding.simulation.materials import Materials
from scene_understanding.simulation.mesh import Item, box, cushion, cylinder, quad, rotation_about, wavy_sheet


def book_row(m: Materials, width: float, depth: float, height: float) -> Item:
    """Books upright side by side, backs to +x, over `width` along y, at most `height` tall."""
    rng, item = m.rng, Item(C.BOOKS)
    covers = [m.book_cover() for _ in range(int(rng.integers(3, 9)))]
    y = -width / 2
    while True:
        thick = rng.uniform(0.015, 0.05)
        if y + thick > width / 2:
            return item if item.parts else book_stack(m)
        tall = height * rng.uniform(0.7, 0.98)
        deep = min(depth * 0.9, tall * 0.75)
        center = (depth / 2 - deep / 2 - rng.uniform(0, 0.03), y + thick / 2, tall / 2)
        item.box(covers[int(rng.integers(len(covers)))], (deep, thick * 0.94, tall), center)
        y += thick + (rng.uniform(0.0, 0.12) if rng.random() < 0.06 else 0)


def book_stack(m: Materials, count: int | None = None) -> Item:
    """Books lying on each other, a page block showing between the covers."""
    rng, item = m.rng, Item(C.BOOKS)
    pages = m.add((0.93, 0.9, 0.82), "paper", 6)
    z = 0.0
    for _ in range(count or int(rng.integers(1, 7))):
        thick, size = rng.uniform(0.015, 0.05), rng.uniform((0.13, 0.18), (0.22, 0.3))
        turn = rotation_about("z", rng.normal(0, 0.2))
        cover = m.book_cover()
        layers = (size, 0.18, cover), (size * 0.96, 0.64, pages), (size, 0.18, cover)
        for s, share, material in layers:
            h = thick * share
            item.add(box((*s, h)).moved(turn, (0, 0, z + h / 2)), material)
            z += h
    return item


def open_book(m: Materials) -> Item:
    item = Item(C.BOOKS)
    pages, cover = m.add((0.95, 0.94, 0.9), "paper", 1), m.book_cover()
    item.box(cover, (0.23, 0.33, 0.01), (0, 0, 0.005))
    for side in (-1, 1):
        item.box(pages, (0.21, 0.15, 0.015), (0, side * 0.076, 0.017))
        item.add(quad((0.105, side * 0.076 - 0.075, 0.0255), (0, 0.15, 0), (-0.21, 0, 0), fitted=True), pages)
    return item


def monitor(m: Materials, width: float = 0.55) -> Item:
    """A screen on a foot, for a desk; it faces +x."""
    item, rng = Item(C.TELEVISION), m.rng
    body = m.add(np.full(3, rng.choice([0.07, 0.1, 0.75])), "paint", 1, 0.3)
    height = width * rng.uniform(0.56, 0.66)
    item.add(cylinder(0.11, 0.015, (0, 0, 0.008)), body)
    item.box(body, (0.025, 0.05, 0.16), (-0.02, 0, 0.09))
    _panel(item, m, body, width, height, 0.12)
    return item


def _panel(item: Item, m: Materials, body: int, width: float, height: float, bottom: float) -> None:
    item.box(body, (0.035, width, height), (0, 0, bottom + height / 2))
    rim = 0.015
    origin = (0.0185, -width / 2 + rim, bottom + rim)
    item.add(quad(origin, (0, width - 2 * rim, 0), (0, 0, height - 2 * rim), fitted=True), m.screen())


def television(m: Materials, width: float, on_feet: bool) -> Item:
    """A large flat screen facing +x; without feet it hangs, its lower edge at z = 0."""
    item = Item(C.TELEVISION)
    body = m.add(np.full(3, m.rng.uniform(0.04, 0.1)), "paint", 1, 0.4)
    bottom = 0.07 if on_feet else 0.0
    if on_feet:
        for y in (-0.35 * width, 0.35 * width):
            item.box(body, (0.22, 0.03, 0.02), (0, y, 0.01))
            item.box(body, (0.03, 0.03, 0.07), (0, y, 0.04))
    _panel(item, m, body, width, width * 0.57, bottom)
    return item


def laptop(m: Materials) -> Item:
    item, rng = Item(C.OTHER_PROP), m.rng
    body = m.metal()
    item.box(body, (0.24, 0.34, 0.018), (0.02, 0, 0.009))
    keys = m.add((0.2, 0.2, 0.22), "keyboard", 1)
    item.add(quad((0.12, -0.15, 0.019), (0, 0.3, 0), (-0.16, 0, 0), fitted=True), keys)
    tilt = rotation_about("y", -rng.uniform(0.1, 0.4))
    item.add(box((0.01, 0.34, 0.22), (0, 0, 0.11)).moved(tilt, (-0.1, 0, 0.015)), body)
    screen = quad((0.006, -0.16, 0.01), (0, 0.32, 0), (0, 0, 0.2), fitted=True)
    item.add(screen.moved(tilt, (-0.1, 0, 0.015)), m.screen(), C.TELEVISION)
    return item


def keyboard(m: Materials) -> Item:
    item = Item(C.OTHER_PROP)
    tone = np.full(3, m.rng.choice([0.15, 0.85]))
    item.box(m.add(tone), (0.14, 0.42, 0.02), (0, 0, 0.01))
    item.add(quad((0.065, -0.2, 0.021), (0, 0.4, 0), (-0.13, 0, 0), fitted=True), m.add(tone, "keyboard"))
    item.add(cushion((0.1, 0.06, 0.035), (0.0, -0.29, 0.015), 0.8, 8), m.add(tone))
    return item


def table_lamp(m: Materials) -> Item:
    item, rng = Item(C.LAMP), m.rng
    height, foot = rng.uniform(0.3, 0.5), m.metal() if rng.random() < 0.5 else m.wood()
    item.add(cylinder(0.07, 0.02, (0, 0, 0.01)), foot)
    item.add(cylinder(rng.uniform(0.01, 0.05), height * 0.6, (0, 0, height * 0.3), 0.012, 8), foot)
    _shade(item, m, rng.uniform(0.09, 0.16), height * 0.45, height * 0.8)
    return item


def floor_lamp(m: Materials) -> Item:
    item, rng = Item(C.LAMP), m.rng
    height, foot = rng.uniform(1.3, 1.75), m.metal()
    item.add(cylinder(0.15, 0.025, (0, 0, 0.013)), foot)
    item.add(cylinder(0.014, height, (0, 0, height / 2), segments=7), foot)
    _shade(item, m, rng.uniform(0.14, 0.24), rng.uniform(0.2, 0.35), height)
    return item


def _shade(item: Item, m: Materials, radius: float, height: float, z: float) -> None:
    glow = m.rng.uniform(0.4, 1.1) if m.rng.random() < 0.4 else 0.0
    cloth = m.add(m.rng.uniform((0.8, 0.7, 0.5), (1, 0.95, 0.85)), "fabric", 2, 0, glow)
    item.add(cylinder(radius, height, (0, 0, z), radius * m.rng.uniform(0.5, 1)), cloth)


def bottle(m: Materials) -> Item:
    item, rng = Item(C.OTHER_PROP), m.rng
    r, h, stuff = rng.uniform(0.025, 0.045), rng.uniform(0.12, 0.2), m.plastic()
    item.add(cylinder(r, h, (0, 0, h / 2)), stuff)
    item.add(cylinder(r, 0.04, (0, 0, h + 0.02), 0.013), stuff)
    item.add(cylinder(0.014, 0.05, (0, 0, h + 0.06), segments=8), m.plastic())
    return item


def cup(m: Materials) -> Item:
    item, r = Item(C.OTHER_PROP), m.rng.uniform(0.03, 0.045)
    item.add(cylinder(r * 0.8, 0.09, (0, 0, 0.045), r), m.plastic())
    item.box(m.plastic(), (0.012, 0.03, 0.05), (0, r + 0.012, 0.05))
    return item


def bowl(m: Materials) -> Item:
    """A bowl with fruit."""
    item, rng = Item(C.OTHER_PROP), m.rng
    item.add(cylinder(0.06, 0.07, (0, 0, 0.035), 0.14), m.plastic())
    for _ in range(int(rng.integers(2, 6))):
        x, y = rng.uniform(-0.07, 0.07, 2)
        color = ((0.85, 0.2, 0.12), (0.95, 0.6, 0.1), (0.5, 0.7, 0.15), (0.9, 0.8, 0.2))[int(rng.integers(4))]
        item.add(cushion((0.075, 0.075, 0.07), (x, y, 0.09), 1, 8), m.add(color, gloss=0.2))
    return item


def vase(m: Materials) -> Item:
    item, rng = Item(C.OTHER_PROP), m.rng
    h = rng.uniform(0.14, 0.28)
    item.add(cylinder(h * 0.2, h * 0.6, (0, 0, h * 0.3), h * 0.35), m.plastic())
    item.add(cylinder(h * 0.35, h * 0.4, (0, 0, h * 0.8), h * 0.15), m.plastic())
    _foliage(item, m, h, h * 0.9, int(rng.integers(4, 9)))
    return item


def plant(m: Materials) -> Item:
    """A pot plant for the floor."""
    item, rng = Item(C.OTHER_PROP), m.rng
    h = rng.uniform(0.2, 0.4)
    item.add(cylinder(h * 0.35, h, (0, 0, h / 2), h * 0.48), m.plastic())
    _foliage(item, m, h, rng.uniform(0.3, 1.0), int(rng.integers(14, 30)))
    return item


def _foliage(item: Item, m: Materials, z: float, size: float, count: int) -> None:
    rng = m.rng
    green = m.add(rng.uniform((0.1, 0.35, 0.08), (0.35, 0.65, 0.25)), "leaves", 4)
    for _ in range(count):
        tilt = rotation_about("z", rng.uniform(0, 6.3)) @ rotation_about("y", rng.uniform(0.1, 1.2))
        length = size * rng.uniform(0.5, 1)
        leaf = cushion((length * 0.28, length * 0.1, length), (0, 0, length * 0.5), 1, 6)
        item.add(leaf.moved(tilt, (0, 0, z)), green)


def bin_(m: Materials) -> Item:
    item, rng = Item(C.OTHER_PROP), m.rng
    h = rng.uniform(0.25, 0.6)
    item.add(cylinder(h * 0.36, h, (0, 0, h / 2), h * 0.44), m.plastic())
    item.add(cylinder(h * 0.4, 0.01, (0, 0, h + 0.002)), m.add((0.05, 0.05, 0.05)))
    return item


def carton(m: Materials, largest: float = 0.55) -> Item:
    """A cardboard box or a plastic crate."""
    item, rng = Item(C.BOX), m.rng
    size = rng.uniform(0.4, 1, 3) * largest
    size[2] *= 0.8
    stuff = m.add(rng.uniform((0.6, 0.45, 0.28), (0.78, 0.6, 0.4)), "cardboard", rng.uniform(1.5, 3))
    item.box(stuff if rng.random() < 0.75 else m.plastic(), size, (0, 0, size[2] / 2))
    if rng.random() < 0.35:
        for side in (-1, 1):
            flap = rotation_about("x", side * rng.uniform(0.3, 1.1))
            flat = box((size[0], size[1] * 0.45, 0.006), (0, side * size[1] * 0.22, 0))
            item.add(flat.moved(flap, (0, side * size[1] / 2 * 0.98, size[2])), stuff)
    return item


def carton_pile(m: Materials) -> Item:
    item, rng, z = carton(m), m.rng, 0.0
    for _ in range(int(rng.integers(0, 3))):
        z = float(item.bounds()[1][2])
        item.attach(carton(m, 0.42), (rng.normal(0, 0.03), rng.normal(0, 0.03), z), rng.normal(0, 0.25))
    return item


def bag(m: Materials) -> Item:
    """A rucksack or a handbag, standing."""
    item, rng = Item(C.BAG), m.rng
    w, h, stuff = rng.uniform(0.25, 0.45), rng.uniform(0.28, 0.5), m.cloth(0.15)
    item.add(cushion((w * 0.5, w, h), (0, 0, h / 2), 0.5), stuff)
    item.add(cushion((w * 0.3, w * 0.7, h * 0.5), (w * 0.22, 0, h * 0.32), 0.5), m.cloth(0))
    for y in (-0.2 * w, 0.2 * w):
        item.box(stuff, (0.02, 0.03, 0.12), (0, y, h + 0.03))
    item.box(stuff, (0.02, 0.43 * w, 0.02), (0, 0, h + 0.09))
    return item


def papers(m: Materials) -> Item:
    item, rng, sheet = Item(C.PAPER), m.rng, m.add((0.97, 0.97, 0.95), "paper")
    for k in range(int(rng.integers(1, 4))):
        turn = rotation_about("z", rng.normal(0, 0.5))
        page = quad((-0.105, -0.148, 0.002 + 0.002 * k), (0.21, 0, 0), (0, 0.297, 0), fitted=True)
        item.add(page.moved(turn, (*rng.normal(0, 0.06, 2), 0)), sheet)
    return item


def towel(m: Materials) -> Item:
    """A towel on a rail, facing +x, the rail at z = 0.75."""
    item = Item(C.TOWEL)
    item.add(wavy_sheet(m.rng.uniform(0.3, 0.55), 0.7, 0.012, 2.5).moved(np.eye(3), (0.06, 0, 0.05)), m.cloth(0.4))
    item.box(m.metal(), (0.02, 0.65, 0.02), (0.05, 0, 0.75))
    return item


def clothes_heap(m: Materials) -> Item:
    item, rng = Item(C.CLOTHES), m.rng
    for k in range(int(rng.integers(2, 4))):
        lump = cushion((*rng.uniform(0.2, 0.4, 2), rng.uniform(0.06, 0.14)), (0, 0, 0.05 + 0.04 * k), 0.7, 10)
        item.add(lump.moved(rotation_about("z", rng.uniform(0, 3)), (*rng.normal(0, 0.06, 2), 0)), m.cloth(0.5))
    return item


def pillow(m: Materials, width: float = 0.55) -> Item:
    item = Item(C.PILLOW)
    item.add(cushion((0.4, width, 0.15), (0, 0, 0.075), 0.45), m.cloth(0.4))
    return item


def scatter(m: Materials, rng: Generator, kind: str) -> Item:
    """A random small thing as it is found on a surface of `kind`: "desk", "table", "kitchen" or "night"."""
    choices = {
        "desk": (papers, cup, book_stack, open_book, bottle, laptop, book_stack, table_lamp, carton_small),
        "table": (cup, bottle, book_stack, bowl, vase, papers, open_book, book_stack, laptop),
        "kitchen": (bottle, bottle, cup, bowl, carton_small, vase, cup, book_stack),
        "night": (table_lamp, book_stack, cup, open_book, table_lamp),
    }[kind]
    return choices[int(rng.integers(len(choices)))](m)


def carton_small(m: Materials) -> Item:
    return carton(m, 0.22)
