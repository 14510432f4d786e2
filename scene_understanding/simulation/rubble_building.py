"""What still stands of a building: facades with windows, floors that lie open where bays fell, roofs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scene_understanding.simulation.rubble_layout import BuildingPlan
from scene_understanding.simulation.rubble_mesh import Array, MeshParts, RubbleClass, boxes, quads

Height = NDArray[np.floating]

SLAB, FOOT, RECESS = 0.22, 1.5, 0.13
"""Thickness of a floor, depth of the walls below ground, and how far panes lie behind the facade, metres."""

SIDES = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])
"""The four neighbours of a bay."""

FACADES = ((0.75, 0.72, 0.66), (0.62, 0.6, 0.57), (0.8, 0.74, 0.6), (0.7, 0.45, 0.36), (0.55, 0.55, 0.56),
           (0.68, 0.6, 0.5), (0.83, 0.81, 0.78), (0.58, 0.64, 0.68))  # fmt: skip
ROOFS = ((0.5, 0.3, 0.24), (0.42, 0.41, 0.4), (0.56, 0.53, 0.49), (0.62, 0.38, 0.28), (0.35, 0.34, 0.36))
SCARS = {"intact": 0.01, "scarred": 0.16, "leaning": 0.12, "partial": 0.14, "pancake": 0.12, "heap": 0.3}
"""Share of the facade's panels that are out."""


@dataclass(frozen=True)
class Palette:
    """Colours of a building, gamma-coded."""

    facade: Array
    inside: Array
    concrete: Array
    roof: Array

    @classmethod
    def drawn(cls, rng: Generator) -> Palette:
        grey = rng.uniform(0.45, 0.68) + rng.normal(0, 0.012, 3)
        facade, roof = FACADES[int(rng.integers(len(FACADES)))], ROOFS[int(rng.integers(len(ROOFS)))]
        inside = rng.uniform(0.62, 0.85) + rng.normal(0, 0.04, 3)
        return cls(
            np.array(facade) + rng.normal(0, 0.04) + rng.normal(0, 0.015, 3),
            inside,
            grey,
            np.array(roof) + rng.normal(0, 0.015, 3),
        )


@dataclass(frozen=True, eq=False)
class Faces:
    """Upright faces between a bay that stands and one that does not, F of them, in the building's frame.

    Attributes:
        bay: (F, 3) its column, row and storey.
        side: (F,) index into `SIDES`.
        outer: (F,) bool, whether it is a part of the facade.
        middle: (F, 2) of its foot.
        along: (F, 2) unit vector to the right of who looks at it from outside.
        out: (F, 2) unit vector outwards.
        width: (F,) metres.
    """

    bay: NDArray[np.int64]
    side: NDArray[np.int64]
    outer: NDArray[np.bool_]
    middle: Array
    along: Array
    out: Array
    width: Array


def faces(plan: BuildingPlan) -> Faces:
    """All faces of what stands that have nothing standing before them."""
    level = np.arange(plan.storeys)
    padded = np.pad(plan.standing, 1)[..., None] > level
    footprint = np.pad(plan.footprint, 1)
    x, y = plan.footprint.shape
    found, sides, outer = [], [], []
    for number, (dx, dy) in enumerate(SIDES):
        neighbour = (slice(1 + dx, 1 + dx + x), slice(1 + dy, 1 + dy + y))
        cells = np.argwhere(padded[1:-1, 1:-1] & ~padded[neighbour])
        found.append(cells)
        sides.append(np.full(len(cells), number))
        outer.append(~footprint[neighbour][cells[:, 0], cells[:, 1]])
    bay, side = np.concatenate(found), np.concatenate(sides)
    out = SIDES[side].astype(np.float64)
    along = np.stack([-out[:, 1], out[:, 0]], -1)
    middle = (bay[:, :2] + 0.5 + out / 2) * plan.bay - plan.size / 2
    return Faces(bay, side, np.concatenate(outer), middle, along, out, np.abs(along) @ plan.bay)


def panels(f: Faces, z: Height, low: Height, high: Height, left: Height, right: Height, behind: float = 0.0) -> Array:
    """(F, 4, 3) corners of rectangles on faces: from `left` to `right` (F,) metres of the middle, `low` to `high`."""
    foot = f.middle - behind * f.out
    a, b = foot + left[:, None] * f.along, foot + right[:, None] * f.along
    rows = [(a, z + low), (b, z + low), (b, z + high), (a, z + high)]
    return np.stack([np.concatenate([xy, height[:, None]], 1) for xy, height in rows], 1)


def standing_parts(rng: Generator, plan: BuildingPlan, palette: Palette, number: int) -> MeshParts:
    """What stands of a building, in its own frame."""
    parts = MeshParts()
    if plan.standing.any():
        f = faces(plan)
        _facade(rng, parts, plan, palette, f, number)
        _inner_walls(rng, parts, plan, palette, f, number)
        _floors(rng, parts, plan, palette, number)
        (_gabled_roof if plan.gabled else _flat_roof)(rng, parts, plan, palette, f, number)
    _remnants(rng, parts, plan, palette, number)
    return parts


def _take(f: Faces, kept: NDArray[np.bool_]) -> Faces:
    return Faces(f.bay[kept], f.side[kept], f.outer[kept], f.middle[kept], f.along[kept], f.out[kept], f.width[kept])


def _facade(rng: Generator, parts: MeshParts, plan: BuildingPlan, palette: Palette, faces_: Faces, number: int) -> None:
    """Walls round windows; ground floors reach below the ground; beside bays that fell, panels are missing."""
    f = _take(faces_, faces_.outer & (rng.random(len(faces_.side)) > SCARS[plan.fall]))
    z, half = f.bay[:, 2] * plan.storey, f.width / 2
    low = np.where(f.bay[:, 2] == 0, -FOOT, 0.0)
    kind = rng.integers(3)  # windows are alike over a building
    width = f.width * (0.28, 0.4, 0.7)[kind] / 2
    sill, lintel = np.full(len(z), (0.9, 0.8, 1.0)[kind]), np.full(len(z), plan.storey - 0.55)
    door = (f.bay[:, 2] == 0) & (rng.random(len(z)) < 0.12)
    sill = np.where(door, 0.0, sill)
    blind = rng.random(len(z)) < 0.1
    width = np.where(blind, 0.02, width)
    high = np.full(len(z), plan.storey)
    wall = [
        panels(f, z, low, sill, -half, half), panels(f, z, lintel, high, -half, half),
        panels(f, z, sill, lintel, -half, -width), panels(f, z, sill, lintel, width, half),
    ]  # fmt: skip
    parts.add(quads(np.concatenate(wall)), RubbleClass.BUILDING, palette.facade, number)
    pane = rng.random(len(z)) > (0.15 if plan.fall == "intact" else 0.6)
    glass = panels(f, z, sill, lintel, -width, width, RECESS)[pane]
    parts.add(quads(glass), RubbleClass.BUILDING, (0.25, 0.28, 0.31), number)


def _inner_walls(
    rng: Generator, parts: MeshParts, plan: BuildingPlan, palette: Palette, faces_: Faces, number: int
) -> None:
    """Where a bay fell some walls between rooms stand, with broken edges; the others lie open."""
    f = _take(faces_, ~faces_.outer & (rng.random(len(faces_.side)) < 0.4))
    z, half = f.bay[:, 2] * plan.storey, f.width / 2
    corners = panels(f, z, 0 * z, np.full(len(z), plan.storey), -half, half * rng.uniform(-0.2, 1, len(z)))
    corners[:, 2] += rng.normal(0, 0.25, (len(z), 1)) * np.array([0, 0, 1]) - np.array([0, 0, 0.3])
    parts.add(quads(corners), RubbleClass.BUILDING, palette.inside, number)


def _floors(rng: Generator, parts: MeshParts, plan: BuildingPlan, palette: Palette, number: int) -> None:
    """A slab below every storey that stands and over the last one; those over the last one are sometimes gone."""
    i, j, k = np.argwhere(plan.standing[..., None] >= np.arange(plan.storeys + 1)).T
    whole = plan.standing[i, j] == plan.storeys
    last = k == plan.standing[i, j]
    scar = SCARS[plan.fall] / 2
    kept = (plan.standing[i, j] > 0) & ~(last & (rng.random(len(k)) < np.where(whole, scar, 0.25)))
    i, j, k = i[kept], j[kept], k[kept]
    middle = (np.stack([i, j], -1) + 0.5) * plan.bay - plan.size / 2
    center = np.concatenate([middle, (k * plan.storey - SLAB / 2)[:, None]], 1)
    roof = (k == plan.storeys)[:, None] & (not plan.gabled)
    flat = palette.roof * 0.5 + palette.concrete * 0.5  # gravel and felt on a flat roof
    color = np.where(roof, flat, palette.concrete) + rng.normal(0, 0.02, (len(k), 1))
    parts.add(boxes(center, np.append(plan.bay, SLAB)), RubbleClass.BUILDING, color, number, each=12)


def _flat_roof(
    rng: Generator, parts: MeshParts, plan: BuildingPlan, palette: Palette, faces_: Faces, number: int
) -> None:
    """A parapet, and a hut of the lift or boxes of machines."""
    top = plan.storeys * plan.storey
    edge = _take(faces_, faces_.outer & (faces_.bay[:, 2] == plan.storeys - 1))
    size = np.abs(edge.along) * edge.width[:, None] + 0.2
    center = np.concatenate([edge.middle - 0.1 * edge.out, np.full((len(edge.side), 1), top + 0.25)], 1)
    parts.add(boxes(center, np.insert(size, 2, 0.6, axis=1)), RubbleClass.BUILDING, palette.facade, number)
    bays = np.argwhere(plan.standing == plan.storeys)
    bays = bays[rng.random(len(bays)) < 0.15]
    size = rng.uniform((0.8, 0.8, 0.5), (2.2, 2.2, 2.2), (len(bays), 3))
    middle = (bays + 0.5) * plan.bay - plan.size / 2
    center = np.concatenate([middle, top + size[:, 2:] / 2], 1)
    parts.add(boxes(center, size), RubbleClass.BUILDING, palette.concrete, number)


def _gabled_roof(
    rng: Generator, parts: MeshParts, plan: BuildingPlan, palette: Palette, faces_: Faces, number: int
) -> None:
    """Two slopes with the ridge along x over the bays of full height, and the gables."""
    top, depth = plan.storeys * plan.storey, plan.size[1]
    slope, eaves = rng.uniform(0.4, 0.9), 0.4

    def rise(y: Array) -> Array:
        return slope * (depth / 2 - np.abs(y))

    edges = np.unique(np.append(np.arange(plan.footprint.shape[1] + 1) * plan.bay[1] - depth / 2, 0.0))
    row = np.minimum(((edges[:-1] + edges[1:]) / 2 + depth / 2) // plan.bay[1], plan.footprint.shape[1] - 1).astype(int)
    full = (plan.standing == plan.storeys)[:, row]
    i, s = np.argwhere(full & (rng.random(full.shape) > SCARS[plan.fall])).T
    x0, y0, y1 = i * plan.bay[0] - plan.size[0] / 2, edges[s], edges[s + 1]
    y0, y1 = np.where(s == 0, y0 - eaves, y0), np.where(s == len(edges) - 2, y1 + eaves, y1)
    x1 = x0 + plan.bay[0]
    patch = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    corners = np.stack([np.stack([x, y, top + rise(y)], -1) for x, y in patch], 1)
    parts.add(quads(corners), RubbleClass.BUILDING, palette.roof, number)
    beyond = np.pad(full, ((1, 1), (0, 0)))
    for step in (0, 1):  # gables on the side of low, then of high x
        i, s = np.argwhere(full & ~beyond[2 * step : 2 * step + len(full)]).T
        x, y0, y1 = (i + step) * plan.bay[0] - plan.size[0] / 2, edges[s], edges[s + 1]
        rows = [(y0, 0 * y0), (y1, 0 * y1), (y1, rise(y1)), (y0, rise(y0))]
        corners = np.stack([np.stack([x, y, top + z], -1) for y, z in rows], 1)
        parts.add(quads(corners), RubbleClass.BUILDING, palette.facade, number)
    if rng.random() < 0.6 and full[0, len(edges) // 2 - 1]:
        size = np.array([0.7, 0.5, 1.6])
        center = np.array([0.4 * plan.bay[0] - plan.size[0] / 2, -0.3, top + slope * (depth / 2 - 0.3) + 0.4])
        parts.add(boxes(center, size), RubbleClass.BUILDING, palette.facade * 0.8, number)


def _remnants(rng: Generator, parts: MeshParts, plan: BuildingPlan, palette: Palette, number: int) -> None:
    """Pieces of the ground floor's facade that stand alone before bays that fell, with ragged tops."""
    fallen = (plan.standing == 0) & plan.footprint & ~plan.pancaked
    if not fallen.any():
        return
    alone = replace(plan, standing=fallen.astype(np.int64), storeys=1)
    f = faces(alone)
    f = _take(f, f.outer & (rng.random(len(f.side)) < 0.3))
    strips = 4
    rows = np.repeat(np.arange(len(f.side)), strips)
    edge = np.linspace(-0.5, 0.5, strips + 1)
    top = plan.storey * np.clip(
        rng.uniform(0.2, 1.3, (len(f.side), 1)) + rng.normal(0, 0.2, (len(f.side), 5)), 0.1, 1.6
    )
    every = Faces(*(getattr(f, name)[rows] for name in Faces.__dataclass_fields__))
    left, right = (np.tile(e, len(f.side)) * every.width for e in (edge[:-1], edge[1:]))
    corners = panels(every, 0 * left, 0 * left - FOOT, top[:, 1:].ravel(), left, right)
    corners[:, 3, 2] = top[:, :-1].ravel()
    thick = corners - 0.25 * np.insert(every.out, 2, 0, axis=1)[:, None]
    cap = np.stack([corners[:, 3], corners[:, 2], thick[:, 2], thick[:, 3]], 1)
    parts.add(quads(np.concatenate([corners, thick, cap])), RubbleClass.BUILDING, palette.facade, number)
