"""What fell: floors on top of each other, hanging slabs, heaps, and pieces whose sizes follow a power law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from scene_understanding.simulation.rubble_building import SIDES, SLAB, Faces, Palette, faces
from scene_understanding.simulation.rubble_layout import CELL, BuildingPlan, Layout
from scene_understanding.simulation.rubble_mesh import (
    Array,
    MeshParts,
    Raster,
    RubbleClass,
    boxes,
    smooth_noise,
    tumbled,
)

EXPONENT, SMALLEST, LARGEST = 1.7, 0.14, 2.6
"""Of the sizes of pieces: the share larger than s falls as s ** -EXPONENT between the two, metres."""

LEAST = 0.07
"""Height of a heap below which the ground shows, metres."""

WOOD = np.array([0.42, 0.32, 0.24])
DUST = np.array([0.6, 0.57, 0.53])


@dataclass(frozen=True, eq=False)
class Heaps:
    """Attributes:
    height: of the rubble over the terrain's nodes, metres, 0 where there is none.
    near: (R, R) how much falls there, in loose units; more than nothing about every heap.
    owner: (R, R) the number of the building that most of it is from.
    dust: of the ground, 0 to 1.
    """

    height: Raster
    near: Array
    owner: NDArray[np.int64]
    dust: Raster


def heaps(rng: Generator, layout: Layout) -> Heaps:
    """What of the fallen volume lies where: blurred over the ground, hardly into what still stands."""
    nodes, size = layout.terrain.nodes(), len(layout.terrain.values)
    piles, near, stands = [], [], np.zeros((size, size), bool)
    for plan in layout.buildings:
        fallen = np.where(plan.footprint, plan.storeys - plan.standing, 0) * plan.storey
        lost = fallen * np.where(plan.pancaked, 0.1, rng.uniform(0.22, 0.38))
        source = plan.on_bays(lost, nodes)
        piles.append(gaussian_filter(source, rng.uniform(1.3, 2.4) / CELL))
        near.append(gaussian_filter(source, rng.uniform(3.0, 4.5) / CELL))
        stands |= plan.on_bays(plan.standing, nodes) > 0
    pile = np.sum(piles, axis=0) * np.where(stands, 0.15, 1.0)
    pile *= np.maximum(1 + 0.3 * smooth_noise(rng, size, 2.2 / CELL) + 0.15 * smooth_noise(rng, size, 0.9 / CELL), 0.1)
    pile += 0.16 * np.minimum(pile, 1) * smooth_noise(rng, size, 0.45 / CELL)
    spread = np.sum(near, axis=0)
    dust = np.clip(gaussian_filter(spread, 2 / CELL) * 0.8, 0, 0.85)
    owner = 1 + np.argmax(np.array(near), axis=0)
    return Heaps(
        Raster(layout.terrain.half, np.where(pile > LEAST, pile, 0)), spread, owner, Raster(layout.terrain.half, dust)
    )


def fallen_colors(rng: Generator, palettes: list[Palette], owner: NDArray[np.int64], dusty: Array) -> Array:
    """(N, 3) colours of pieces: concrete mostly, some facade, roof, inner walls and wood, under dust (N,) 0..1."""
    kinds = rng.choice(5, len(owner), p=(0.55, 0.18, 0.1, 0.1, 0.07))
    each = np.array([[p.concrete, p.facade, p.roof, p.inside, WOOD] for p in palettes])
    color = each[owner - 1, kinds] + rng.normal(0, 0.05, (len(owner), 1)) + rng.normal(0, 0.012, (len(owner), 3))
    return color + dusty[:, None] * (DUST - color)


def add_heaps(rng: Generator, parts: MeshParts, layout: Layout, fallen: Heaps, palettes: list[Palette]) -> None:
    """The heaps' surfaces with the pieces that lie on and about them."""
    terrain, pile = layout.terrain, fallen.height.values
    high = np.maximum(np.maximum(pile[:-1, :-1], pile[1:, 1:]), np.maximum(pile[1:, :-1], pile[:-1, 1:])) > 0
    surface, middle = terrain.surface(terrain.values + np.where(pile > 0, pile, -0.05), high)
    owner = fallen.owner[:-1, :-1][high]
    color = fallen_colors(rng, palettes, owner, rng.uniform(0.3, 0.9, len(owner)))
    parts.add(surface, RubbleClass.RUBBLE, color, owner, each=2)

    weight = (np.sqrt(pile) + np.minimum(0.7 * fallen.near, 0.35)) * (fallen.near > 0.004)
    area = float(weight.sum()) * CELL**2
    count = int(min(4.5 * area, 14000))
    cell = rng.choice(weight.size, count, p=weight.ravel() / weight.sum())
    xy = terrain.nodes().reshape(-1, 2)[cell] + rng.uniform(-CELL / 2, CELL / 2, (count, 2))
    length = SMALLEST * (1 - rng.random(count)) ** (-1 / EXPONENT)
    length = np.minimum(length, np.clip(0.5 + fallen.height.at(xy) * 1.2, 0.5, LARGEST))
    shape = np.array([[1, 0.75, 0.8], [1, 0.8, 0.22], [1, 0.2, 0.2]])[rng.choice(3, count, p=(0.45, 0.35, 0.2))]
    sizes = length[:, None] * shape * rng.uniform(0.75, 1.2, (count, 3))
    tilt = np.where(shape[:, 2] < 0.5, rng.normal(0, 0.45, count), rng.uniform(0, np.pi, count))
    rotation = tumbled(rng, rng.uniform(0, 2 * np.pi, count), tilt)
    z = terrain.at(xy) + fallen.height.at(xy) + sizes[:, 2] * rng.uniform(0, 0.5, count)
    owner = fallen.owner.ravel()[cell]
    color = fallen_colors(rng, palettes, owner, rng.uniform(0, 0.8, count))
    parts.add(
        boxes(np.column_stack([xy, z]), sizes, rotation, rng, 0.09), RubbleClass.RUBBLE, color, owner, each=12
    )  # fmt: skip


def add_slabs(
    rng: Generator, parts: MeshParts, layout: Layout, plan: BuildingPlan, pile: Raster, palette: Palette, number: int
) -> None:
    """Floors of fallen bays: on top of each other where they pancaked, else some large pieces tilted on the heap."""
    fallen = plan.footprint & ~plan.pancaked & (plan.standing < plan.storeys) & (plan.fall != "leaning")
    bays = np.argwhere(fallen)
    bays = bays.repeat(rng.poisson(0.28 * (plan.storeys - plan.standing)[fallen]), axis=0)
    bays = bays[plan.standing[bays[:, 0], bays[:, 1]] == 0]
    offset = (bays + rng.uniform(-0.2, 1.2, bays.shape)) * plan.bay - plan.size / 2
    c, s = np.cos(plan.yaw), np.sin(plan.yaw)
    xy = plan.center + offset @ np.array([[c, s], [-s, c]])
    sizes = np.column_stack([plan.bay * rng.uniform(0.4, 1.0, (len(bays), 2)), np.full(len(bays), SLAB)])
    rotation = tumbled(rng, plan.yaw + rng.normal(0, 0.4, len(bays)), np.abs(rng.normal(0, 0.35, len(bays))))
    z = layout.terrain.at(xy) + pile.at(xy) + rng.uniform(0.0, 0.5, len(bays))
    shade = palette.concrete + rng.normal(0, 0.03, (len(bays), 1))
    slabs = boxes(np.column_stack([xy, z]), sizes, rotation, rng, 0.03)
    parts.add(slabs, RubbleClass.RUBBLE, shade, number, each=12)


def pancake(rng: Generator, plan: BuildingPlan, palette: Palette, number: int) -> MeshParts:
    """The floors of pancaked bays, in the building's frame: each level tilted as a whole, each bay a little more."""
    parts = MeshParts()
    i, j, k = np.argwhere(plan.pancaked[..., None] & np.ones(plan.storeys + 1, bool)).T
    middle = (np.stack([i, j], -1) + 0.5) * plan.bay - plan.size / 2
    gap = np.cumsum(rng.uniform(0.35, 0.95, plan.storeys + 1))
    lean = rng.normal(0, 0.035, (plan.storeys + 1, 2)) + rng.normal(0, 0.05, 2)
    shift = np.cumsum(rng.normal(0, 0.35, (plan.storeys + 1, 2)), axis=0)
    z = gap[k] + (lean[k] * middle).sum(1) + rng.normal(0, 0.08, len(k))
    center = np.column_stack([middle + shift[k] + rng.normal(0, 0.1, (len(k), 2)), np.maximum(z, 0.1)])
    tilt = np.abs(rng.normal(0, 0.09, len(k))) + 0.3 * (rng.random(len(k)) < 0.08)
    rotation = tumbled(rng, rng.normal(0, 0.04, len(k)), tilt)
    kept = rng.random(len(k)) > 0.08
    sizes = np.column_stack([plan.bay * rng.uniform(0.85, 1.0, (len(k), 2)), np.full(len(k), SLAB)])
    color = np.where((k == plan.storeys)[:, None], palette.roof * 0.5 + palette.concrete * 0.5, palette.concrete)
    slabs = boxes(center[kept], sizes[kept], rotation[kept], rng, 0.02)
    parts.add(slabs, RubbleClass.RUBBLE, color[kept] + rng.normal(0, 0.02, (kept.sum(), 1)), number, each=12)
    return parts


def hanging_slabs(rng: Generator, plan: BuildingPlan, palette: Palette, number: int) -> MeshParts:
    """Floors of fallen bays that hang from the edge of what stands, in the building's frame."""
    parts, f = MeshParts(), faces(plan)
    kept = ~f.outer & (f.bay[:, 2] > 0) & (rng.random(len(f.side)) < 0.3)
    f = Faces(*(getattr(f, name)[kept] for name in Faces.__dataclass_fields__))
    count = len(f.side)
    if not count:
        return parts
    length = (np.abs(f.out) @ plan.bay) * rng.uniform(0.35, 1.0, count)
    angle = rng.uniform(0.25, 1.3, count)
    length = np.minimum(length, 0.9 * f.bay[:, 2] * plan.storey / np.sin(angle))
    out = np.insert(SIDES[f.side].astype(np.float64), 2, 0, axis=1)
    down = np.cos(angle)[:, None] * out - np.sin(angle)[:, None] * [0, 0, 1]
    along = np.insert(f.along, 2, 0, axis=1)
    rotation = np.stack([down, along, np.cross(down, along)], -1)
    hinge = np.column_stack([f.middle, f.bay[:, 2] * plan.storey - SLAB / 2])
    sizes = np.column_stack([length, f.width * rng.uniform(0.5, 1.0, count), np.full(count, SLAB)])
    slabs = boxes(hinge + length[:, None] / 2 * down, sizes, rotation, rng, 0.03)
    parts.add(slabs, RubbleClass.RUBBLE, palette.concrete, number)
    return parts
