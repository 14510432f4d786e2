"""A block after an earthquake or an explosion, from a seed: intact, damaged and fallen buildings, trees, streets.

Every triangle has a class of rubble4 and the number of the building that it is or was a part of. What has fallen is
rubble: heaps, scattered pieces, floors on top of each other, hanging slabs. What stands, leaning or cut open, is
building.
Own design: the classes, data and methods of the INACHUS pilots that the idea is from are not public.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import SFC64, Generator
from numpy.typing import NDArray

from scene_understanding.simulation.mesh import rotation_about
from scene_understanding.simulation.rubble_building import FOOT, Palette, standing_parts
from scene_understanding.simulation.rubble_debris import Heaps, add_heaps, add_slabs, hanging_slabs, heaps, pancake
from scene_understanding.simulation.rubble_layout import BuildingPlan, Layout, block_layout
from scene_understanding.simulation.rubble_mesh import Array, MeshParts, Raster, RubbleClass, RubbleMesh, boxes
from scene_understanding.simulation.rubble_plants import add_plants, free_places

GRASS, SOIL, ASPHALT, PAVING = (0.4, 0.42, 0.26), (0.5, 0.43, 0.34), (0.33, 0.33, 0.34), (0.56, 0.54, 0.52)


@dataclass(frozen=True, eq=False)
class RubbleWorld:
    """A static scene. Frame: x, y over the ground, z up, metres, the origin in the middle of the block.

    Attributes:
        mesh: all triangles.
        layout: terrain, streets and plans of the buildings; instance i of the mesh is `layout.buildings[i - 1]`.
        dust: of what lies open upwards, 0 to 1 over the ground.
    """

    mesh: RubbleMesh
    layout: Layout
    dust: Raster

    @property
    def half(self) -> float:
        """Half the side of the block, metres."""
        return self.layout.half

    @property
    def damage(self) -> NDArray[np.float64]:
        """(B,) share of each building's volume that no longer stands, 0 intact to 1 debris."""
        return np.array([plan.damage for plan in self.layout.buildings])


def rubble_world(seed: int) -> RubbleWorld:
    """The block of a seed; the same one every time."""
    rng = Generator(SFC64([seed, 6]))
    layout = block_layout(rng)
    palettes = [Palette.drawn(rng) for _ in layout.buildings]
    fallen = heaps(rng, layout)
    parts = MeshParts()
    _add_terrain(rng, parts, layout)
    for number, (plan, palette) in enumerate(zip(layout.buildings, palettes, strict=True), 1):
        _add_building(rng, parts, layout, fallen, plan, palette, number)
    add_heaps(rng, parts, layout, fallen, palettes)
    _add_garden_walls(rng, parts, layout)
    add_plants(rng, parts, layout)
    return RubbleWorld(parts.mesh(), layout, fallen.dust)


def _add_terrain(rng: Generator, parts: MeshParts, layout: Layout) -> None:
    everywhere = np.ones((len(layout.terrain.values) - 1,) * 2, bool)
    ground, _ = layout.terrain.surface(layout.terrain.values, everywhere)
    street = layout.street[:-1, :-1].ravel()
    relief = layout.terrain.values[1:, 1:] - layout.terrain.values[:-1, :-1]
    lawn = rng.random() < 0.6
    natural = np.where((np.abs(relief).ravel() < 0.09)[:, None] & lawn, GRASS, SOIL)
    paved = rng.random() < 0.35
    off = np.array(PAVING) if paved else natural
    color = off + street[:, None] * (np.array(ASPHALT) + rng.normal(0, 0.04) - off)
    parts.add(ground, RubbleClass.TERRAIN, color + rng.normal(0, 0.02, (len(street), 1)), each=2)


def _add_building(
    rng: Generator, parts: MeshParts, layout: Layout, fallen: Heaps, plan: BuildingPlan, palette: Palette, number: int
) -> None:
    rotation, ground = rotation_about("z", plan.yaw), float(layout.terrain.at(plan.center)) + 0.2
    turned, foot = rotation, np.array([*plan.center, ground])
    if plan.tilt:  # sunk into its ground floor
        turned = rotation @ rotation_about("xy"[int(rng.integers(2))], plan.tilt * rng.choice([-1, 1]))
        foot = foot - [0, 0, rng.uniform(0, 0.8)]
    parts.place(standing_parts(rng, plan, palette, number), turned, foot)
    if plan.pancaked.any():
        parts.place(pancake(rng, plan, palette, number), rotation, foot)
    parts.place(hanging_slabs(rng, plan, palette, number), rotation, foot)
    add_slabs(rng, parts, layout, plan, fallen.height, palette, number)


def _add_garden_walls(rng: Generator, parts: MeshParts, layout: Layout) -> None:
    """Low walls that stand in the open: what is low and made by people is not always rubble."""
    for xy in free_places(rng, layout, int(rng.integers(2, 7)), 5.0):
        size = np.array([rng.uniform(3, 8), 0.3, rng.uniform(0.8, 1.8)])
        center = np.array([*xy, float(layout.terrain.at(xy)) + (size[2] - FOOT) / 2])
        turned: Array = rotation_about("z", rng.choice([0.0, np.pi / 2]))[None]
        wall = boxes(center, size + [0, 0, FOOT], turned)
        parts.add(wall, RubbleClass.BUILDING, rng.uniform(0.45, 0.7) + rng.normal(0, 0.02, 3))
