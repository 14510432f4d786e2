"""Vegetation of the rubble world: trees, hedges, shrubs and high grass, of many small leaves."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scene_understanding.simulation.rubble_layout import BuildingPlan, Layout
from scene_understanding.simulation.rubble_mesh import Array, MeshParts, RubbleClass, prisms, quads

GREENS = ((0.25, 0.38, 0.16), (0.33, 0.45, 0.2), (0.2, 0.32, 0.18), (0.42, 0.46, 0.24), (0.5, 0.44, 0.3))
BARK = (0.4, 0.34, 0.28)


def _leaves(rng: Generator, center: Array, size: Array) -> Array:
    """(N, 4, 3) squares of edge `size` (N,) at `center` (N, 3), turned in every direction."""
    u = rng.standard_normal((len(center), 3))
    v = np.cross(u, rng.standard_normal((len(center), 3)))
    half = size[:, None] / 2
    u, v = (half * w / np.linalg.norm(w, axis=1, keepdims=True) for w in (u, v))
    return center[:, None] + np.stack([-u - v, u - v, u + v, v - u], 1)


def _add_leaves(rng: Generator, parts: MeshParts, center: Array, size: Array) -> None:
    green = np.array(GREENS[int(rng.integers(len(GREENS)))])
    color = green * rng.uniform(0.7, 1.3, (len(center), 1)) + rng.normal(0, 0.02, (len(center), 3))
    parts.add(quads(_leaves(rng, center, size)), RubbleClass.VEGETATION, color, each=2)


def free_places(rng: Generator, layout: Layout, count: int, clearance: float) -> Array:
    """(N, 2) at most `count` places off the streets and `clearance` metres from all footprints."""
    xy = rng.uniform(-layout.half, layout.half, (12 * count, 2))
    free = _off_street(layout, xy)
    for plan in layout.buildings:
        free &= (np.abs(plan.local(xy)) > plan.size / 2 + clearance).any(-1)
    return xy[free][:count]


def _off_street(layout: Layout, xy: Array) -> NDArray[np.bool_]:
    index = np.rint((xy + layout.terrain.half) * ((len(layout.street) - 1) / (2 * layout.terrain.half))).astype(int)
    return layout.street[index[:, 1], index[:, 0]] < 0.5


def add_tree(rng: Generator, parts: MeshParts, foot: Array) -> None:
    """A trunk with some branches, and a crown of blobs; sometimes slender, sometimes fallen over."""
    height, slender = rng.uniform(4, 12), rng.random() < 0.25
    radius = height * (rng.uniform(0.12, 0.18) if slender else rng.uniform(0.2, 0.34))
    axis = np.array([0.0, 0.0, 1.0]) + rng.normal(0, 0.06, 3)
    if rng.random() < 0.07:
        axis = np.array([*rng.normal(0, 1, 2), 0.25])
    axis /= np.linalg.norm(axis)
    clear = rng.uniform(0.12, 0.35)
    blobs = int(rng.integers(5, 11))
    along = rng.uniform(clear + 0.15, 0.95, blobs)
    spread = radius * (1.1 - along)[:, None] if slender else radius * 0.6
    centers = foot + height * along[:, None] * axis + spread * rng.normal(0, 0.6, (blobs, 3))
    ends = np.concatenate([[foot + 0.8 * height * axis], centers])
    starts = foot + height * np.append(-0.05, np.minimum(along - 0.1, 0.7))[:, None] * axis
    thick = height * np.append(0.022, np.full(blobs, 0.009))
    parts.add(prisms(starts, ends, thick), RubbleClass.VEGETATION, BARK)
    blob_radius = radius * rng.uniform(0.45, 0.75, blobs)
    count = int(np.clip(90 * radius**2 * blobs / 4, 300, 4000))
    which = rng.integers(blobs, size=count)
    way = rng.standard_normal((count, 3))
    way *= (rng.uniform(0.45, 1.05, count) / np.linalg.norm(way, axis=1))[:, None]
    _add_leaves(rng, parts, centers[which] + way * blob_radius[which, None], rng.uniform(0.12, 0.4, count))


def add_shrub(rng: Generator, parts: MeshParts, foot: Array) -> None:
    """A round shrub."""
    radius = rng.uniform(0.4, 1.4)
    count = int(160 * radius**2) + 40
    way = rng.standard_normal((count, 3))
    way *= (rng.uniform(0.5, 1.05, count) / np.linalg.norm(way, axis=1))[:, None]
    center = foot + (0.6 * radius * np.array([0, 0, 1])) + way * radius * [1, 1, 0.9]
    _add_leaves(rng, parts, center, rng.uniform(0.08, 0.28, count))


def add_hedge(rng: Generator, parts: MeshParts, layout: Layout, plan: BuildingPlan) -> None:
    """A hedge along one side of a footprint, two metres and more away from it."""
    size = np.array([plan.size[0] + 2, rng.uniform(0.7, 1.3), rng.uniform(0.9, 1.9)])
    side = rng.choice([-1, 1]) * (plan.size[1] / 2 + rng.uniform(2.0, 3.0))
    count = int(130 * size[0] * size[2])
    place = rng.uniform(-0.5, 0.5, (count, 3)) * size + [0, side, size[2] / 2]
    c, s = np.cos(plan.yaw), np.sin(plan.yaw)
    xy = place[:, :2] @ np.array([[c, s], [-s, c]]) + plan.center
    kept = _off_street(layout, np.clip(xy, -layout.half, layout.half))
    for other in layout.buildings:
        kept &= (np.abs(other.local(xy)) > other.size / 2 + 0.8).any(-1)
    center = np.column_stack([xy, place[:, 2] + layout.terrain.at(xy)])[kept]
    _add_leaves(rng, parts, center, rng.uniform(0.1, 0.28, len(center)))


def add_grass(rng: Generator, parts: MeshParts, layout: Layout, middle: Array) -> None:
    """A patch of grass as high as a knee."""
    radius = rng.uniform(1.2, 3.5)
    xy = middle + rng.normal(0, radius / 2, (int(70 * radius**2), 2))
    xy = xy[_off_street(layout, np.clip(xy, -layout.half, layout.half))]
    z = layout.terrain.at(xy) + rng.uniform(0.05, 0.5, len(xy))
    _add_leaves(rng, parts, np.column_stack([xy, z]), rng.uniform(0.08, 0.3, len(xy)))


def add_plants(rng: Generator, parts: MeshParts, layout: Layout) -> None:
    """All vegetation of a block."""
    for xy in free_places(rng, layout, int(rng.integers(16, 36)), 2.2):
        add_tree(rng, parts, np.append(xy, layout.terrain.at(xy)))
    for xy in free_places(rng, layout, int(rng.integers(20, 60)), 1.0):
        add_shrub(rng, parts, np.append(xy, layout.terrain.at(xy)))
    for xy in free_places(rng, layout, int(rng.integers(6, 20)), 1.5):
        add_grass(rng, parts, layout, xy)
    for plan in layout.buildings:
        if rng.random() < 0.4:
            add_hedge(rng, parts, layout, plan)
