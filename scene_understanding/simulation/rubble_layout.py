"""Where things are in the rubble world: terrain, streets, the buildings' footprints and how each of them fell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scene_understanding.simulation.rubble_mesh import Array, Raster, smooth_noise

CELL = 0.4
"""Of the rasters of terrain and heaps, metres."""

MARGIN = 8.0
"""Of terrain about the block, metres."""

FALLS = {"intact": 0.22, "scarred": 0.1, "leaning": 0.08, "partial": 0.24, "pancake": 0.12, "heap": 0.24}
"""Kinds of damage and how often: nothing; holes in the facades; sunk by a storey and tilted; some bays fallen; floors
on top of each other; all fallen."""


@dataclass(frozen=True, eq=False)
class BuildingPlan:
    """A building in its own frame: x along its bays, origin in the middle of its foot.

    Attributes:
        center: (2,) metres in the world.
        yaw: radians.
        footprint: (X, Y) bool, bays that belong to it.
        bay: (2,) metres of a bay.
        storeys, storey: their number before it was hit, and the height of one in metres.
        standing: (X, Y) storeys that still stand in a bay.
        pancaked: (X, Y) bool, bays whose floors lie on top of each other.
        fall: one of `FALLS`.
        tilt: radians of a leaning building.
        gabled: whether it had a gabled roof.
    """

    center: Array
    yaw: float
    footprint: NDArray[np.bool_]
    bay: Array
    storeys: int
    storey: float
    standing: NDArray[np.int64]
    pancaked: NDArray[np.bool_]
    fall: str
    tilt: float
    gabled: bool

    @property
    def size(self) -> Array:
        """(2,) metres of the whole footprint."""
        return np.array(self.footprint.shape) * self.bay

    @property
    def extent(self) -> Array:
        """(2,) metres of the footprint along x and y of the world, as if it were turned by quarters alone."""
        return self.size[::-1] if abs(np.sin(self.yaw)) > 0.7 else self.size

    @property
    def damage(self) -> float:
        """Share of its volume that no longer stands, 0 intact to 1 debris."""
        return 1 - float(self.standing.sum()) / (self.storeys * int(self.footprint.sum()))

    def local(self, xy: Array) -> Array:
        """(..., 2) world to the building's frame."""
        c, s = float(np.cos(self.yaw)), float(np.sin(self.yaw))
        return (xy - self.center) @ np.array([[c, -s], [s, c]])

    def on_bays(self, values: NDArray[np.generic], xy: Array) -> Array:
        """(...) the value (X, Y) of the bay that each (..., 2) of the world lies in, 0 outside."""
        index = np.floor((self.local(xy) + self.size / 2) / self.bay).astype(np.int64)
        inside: NDArray[np.bool_] = np.all((index >= 0) & (index < self.footprint.shape), axis=-1)
        i, j = np.moveaxis(index * inside[..., None], -1, 0)
        return np.where(inside, np.asarray(values, np.float64)[i, j], 0.0)


@dataclass(frozen=True, eq=False)
class Layout:
    """Attributes:
    half: half the side of the block, metres.
    terrain: heights; its border lies `MARGIN` beyond the block.
    street: of each node of the terrain, 0 off to 1 on a street.
    buildings: in order of their numbers, the first is 1.
    """

    half: float
    terrain: Raster
    street: Array
    buildings: tuple[BuildingPlan, ...]


def block_layout(rng: Generator) -> Layout:
    """A random block of 60 to 80 metres with one or two streets."""
    half = rng.uniform(30, 40)
    reach = half + MARGIN
    size = round(2 * reach / CELL) + 1
    flat = Raster(reach, np.zeros((size, size)))
    nodes = flat.nodes()
    axes, middles = [0, 1][: 1 + int(rng.random() < 0.75)], rng.uniform(-0.45, 0.45, 2) * half
    width = rng.uniform(3.0, 4.5, 2)  # half of it
    away = np.min([np.abs(nodes[..., a] - middles[a]) - width[a] for a in axes], axis=0)
    street = np.clip(0.5 - away / 0.4, 0, 1)
    hills = rng.uniform(0.4, 1.6) * smooth_noise(rng, size, 14 / CELL)
    mounds = 0.12 * np.maximum(smooth_noise(rng, size, 1.2 / CELL), 0) ** 2
    rough = 0.025 * smooth_noise(rng, size, 0.5 / CELL)
    kerb = 0.14 * (1 - street)
    soil = np.clip((away - 2.0) / 2, 0, 1)  # a pavement of two metres is smooth
    height = hills + kerb + soil * (rng.uniform(0.3, 1.2) * mounds + rough)
    return Layout(half, Raster(reach, height), street, _buildings(rng, half, axes, middles, width))


def _buildings(rng: Generator, half: float, axes: list[int], middles: Array, width: Array) -> tuple[BuildingPlan, ...]:
    """Footprints that neither overlap nor stand on a street, at least one intact and one fallen."""
    plans: list[BuildingPlan] = []
    wanted, skew = int(rng.integers(8, 15)), rng.normal(0, 0.03)
    forced = ["heap", "intact", "partial"]
    for _ in range(400):
        fall = forced[len(plans)] if len(plans) < len(forced) else str(rng.choice(list(FALLS), p=list(FALLS.values())))
        plan = _plan(rng, half, fall, skew)
        extent = plan.extent
        on_street = any(abs(plan.center[a] - middles[a]) < width[a] + extent[a] / 2 + 2.2 for a in axes)
        clash = any((np.abs(plan.center - o.center) < (extent + o.extent) / 2 + 1.5).all() for o in plans)
        outside = (np.abs(plan.center) + extent / 2 > half - 1).any()
        if not (on_street or clash or outside):
            plans.append(plan)
        if len(plans) == wanted:
            break
    return tuple(plans)


def _plan(rng: Generator, half: float, fall: str, skew: float) -> BuildingPlan:
    shape = (int(rng.integers(3, 8)), int(rng.integers(2, 5)))
    bay, storey = rng.uniform(2.8, 4.2, 2), rng.uniform(2.7, 3.4)
    storeys = int(rng.integers(2, 7))
    footprint = np.ones(shape, bool)
    if min(shape) >= 3 and rng.random() < 0.4:  # an L
        footprint[shape[0] // 2 :, : shape[1] // 2] = False
    standing = np.where(footprint, storeys, 0)
    pancaked = np.zeros(shape, bool)
    tilt = 0.0
    if fall == "partial":
        standing = np.where(footprint, _cut(rng, shape, storeys), 0)
    elif fall == "heap":
        standing = np.where(footprint & (rng.random(shape) < 0.08), rng.integers(1, 3, shape), 0)
    elif fall == "pancake":
        along = np.arange(shape[0])[:, None] + 0 * footprint
        pancaked = footprint & (along < shape[0] * rng.choice([0.5, 1.0, 1.0]))
        standing = np.where(pancaked, 0, standing)
    elif fall == "leaning":
        standing = np.where(footprint, storeys - 1, 0)
        tilt = float(rng.uniform(0.04, 0.14))
    return BuildingPlan(
        rng.uniform(-half, half, 2), skew + rng.normal(0, 0.02) + np.pi / 2 * int(rng.integers(4)), footprint, bay,
        storeys, storey, standing, pancaked, fall, tilt, bool(footprint.all() and storeys < 5 and rng.random() < 0.6),
    )  # fmt: skip


def _cut(rng: Generator, shape: tuple[int, int], storeys: int) -> NDArray[np.int64]:
    """(X, Y) storeys left: few near a corner or side of the footprint, all of them far from it."""
    i, j = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    corner = rng.choice([-0.5, 0.5], 2) * (np.array(shape) - 1) + (np.array(shape) - 1) / 2
    squeeze = rng.choice([1.0, 1.0, 0.2])  # with 0.2 a whole side
    away = np.hypot(i - corner[0], squeeze * (j - corner[1]))
    share = (away - rng.uniform(0.3, 0.5) * away.max()) / rng.uniform(0.3, 1.5) + rng.normal(0, 0.25, shape)
    return np.clip(np.rint(share * storeys), 0, storeys).astype(np.int64)
