"""The cloud that a small aircraft takes of the rubble world: laser ranges on several lines, with colours.

Lines run over the block in turned directions; some look straight down, the others aside, so that facades are seen and
what lies behind them is not. Rays meet the ground on a jittered grid, as scan lines do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import open3d as o3d
from numpy.random import SFC64, Generator
from numpy.typing import NDArray

from scene_understanding.geometry import PointCloud
from scene_understanding.simulation.rubble import RubbleWorld
from scene_understanding.simulation.rubble_debris import DUST
from scene_understanding.simulation.rubble_mesh import RubbleMesh

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Survey:
    """A flight.

    Attributes:
        lines: flown; every third looks straight down.
        density: rays a square metre of ground, all lines together.
        altitude: metres above ground.
        aside: angle from the vertical of the lines that look aside, radians.
        noise: deviation of a range, metres.
        dropout: share of the returns that get lost; grazed surfaces lose more.
        limit: most points of a cloud.
    """

    lines: int = 9
    density: float = 26.0
    altitude: float = 55.0
    aside: float = 0.7
    noise: float = 0.03
    dropout: float = 0.04
    limit: int = 300_000

    def __post_init__(self) -> None:
        if self.lines < 1 or self.limit < 1:
            raise ValueError(f"a survey of {self.lines} lines and {self.limit} points; both must be at least 1")
        if not (self.density > 0 and self.altitude > 25 and 0 <= self.aside < 1.3):
            raise ValueError(
                f"density {self.density} per m2, altitude {self.altitude} m, {self.aside} rad aside; they must be "
                "above 0, above 25 (over the roofs) and 0 to 1.3"
            )
        if not (self.noise >= 0 and 0 <= self.dropout < 1):
            raise ValueError(f"noise is {self.noise} m, dropout {self.dropout}; must be >= 0, and 0 to below 1")

    @classmethod
    def drawn(cls, rng: Generator) -> Survey:
        """A flight as it may be: density, altitude, angle and noise vary."""
        return cls(
            int(rng.integers(7, 12)), rng.uniform(18, 30), rng.uniform(45, 75), rng.uniform(0.5, 0.85),
            rng.uniform(0.015, 0.045), rng.uniform(0.02, 0.08),
        )  # fmt: skip


def survey_rays(rng: Generator, survey: Survey, half: float) -> Float32:
    """(N, 6) origins and unit directions of all rays over a block of half side `half`, in the order of flight."""
    spacing = np.sqrt(survey.lines / survey.density)
    first, rays = rng.uniform(0, np.pi), []
    for line in range(survey.lines):
        along = first + np.pi * line / survey.lines * 2
        forward = np.array([np.cos(along), np.sin(along)])
        right = np.array([forward[1], -forward[0]])
        axis = np.arange(-1.45 * half, 1.45 * half, spacing)
        ground = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
        ground += rng.uniform(-0.35, 0.35, ground.shape) * spacing
        xy = ground[:, :1] * forward + ground[:, 1:] * right
        inside = (np.abs(xy) < half).all(1)
        ground, xy = ground[inside], xy[inside]
        lean = 0.0 if line % 3 == 0 else np.tan(survey.aside)
        origin = np.empty((len(xy), 3))
        origin[:, :2] = ground[:, :1] * forward - survey.altitude * lean * right
        origin[:, 2] = survey.altitude
        way = np.column_stack([xy, np.zeros(len(xy))]) - origin
        rays.append(np.concatenate([origin, way / np.linalg.norm(way, axis=1, keepdims=True)], 1))
    return np.concatenate(rays).astype(np.float32)


def ray_scene(mesh: RubbleMesh) -> o3d.t.geometry.RaycastingScene:
    """The mesh for rays; triangles keep their numbers."""
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(o3d.core.Tensor.from_numpy(mesh.vertices), o3d.core.Tensor.from_numpy(mesh.triangles))
    return scene


def scan_world(world: RubbleWorld, survey: Survey, seed: int = 0) -> PointCloud:
    """The cloud (N,) with rgb, label (rubble4) and instance (the building's number); seed gives noise and light."""
    rng = Generator(SFC64([seed, 7]))
    mesh = world.mesh
    scene = ray_scene(mesh)
    rays = survey_rays(rng, survey, world.half)
    hits = scene.cast_rays(o3d.core.Tensor.from_numpy(rays))
    distance, normals = hits["t_hit"].numpy(), hits["primitive_normals"].numpy()
    incidence = np.abs((normals * rays[:, 3:]).sum(1))
    exact = rays[:, :3] + rays[:, 3:] * np.where(np.isfinite(distance), distance, 0)[:, None]
    kept = np.isfinite(distance) & (np.abs(exact[:, :2]) < world.half).all(1)
    kept &= rng.random(len(rays), dtype=np.float32) > survey.dropout * np.minimum(0.5 / np.maximum(incidence, 0.02), 8)
    index = np.flatnonzero(kept)
    if len(index) > survey.limit:
        index = np.sort(rng.choice(index, survey.limit, replace=False))
    triangle = hits["primitive_ids"].numpy()[index].astype(np.int64)
    normal = normals[index]
    normal *= -np.sign((normal * rays[index, 3:]).sum(1, keepdims=True))
    rgb = surface_colors(rng, world, scene, mesh.albedo[triangle], exact[index], normal)
    noise = np.float32(survey.noise) * rng.standard_normal((len(index), 1), dtype=np.float32)
    xyz = (exact[index] + rays[index, 3:] * noise).astype(np.float32)
    return PointCloud(xyz, rgb, mesh.label[triangle].astype(np.uint16), instance=mesh.instance[triangle])


def surface_colors(
    rng: Generator, world: RubbleWorld, scene: o3d.t.geometry.RaycastingScene, albedo: Float32, xyz: Float32,
    normal: Float32,
) -> NDArray[np.uint8]:  # fmt: skip
    """(N, 3) uint8 of points (N, 3): dust on what lies open, blotches, sun with shadows, sky, noise, white balance.

    Args:
        scene: the world's mesh, which casts the shadows.
        albedo: (N, 3) float32 linear.
        normal: (N, 3) unit, towards the viewer.
    """
    dust = world.dust.at(xyz[:, :2]) * np.clip(normal[:, 2], 0, 1) * rng.uniform(0.5, 1)
    color = albedo + dust[:, None] * (DUST**2.2 - albedo)
    waves = rng.normal(0, 1.0, (6, 3)) * np.array([0.3, 0.6, 1, 1.6, 2.5, 4])[:, None]
    blotch = np.sin(xyz @ waves.T + rng.uniform(0, 2 * np.pi, 6)).sum(1)
    color *= np.exp(0.05 * blotch + rng.normal(0, 0.09, len(xyz)))[:, None]
    azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.2)
    sun = np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)], np.float32)
    rays = np.concatenate([xyz + 0.05 * normal, np.broadcast_to(sun, xyz.shape)], 1).astype(np.float32)
    lit = ~scene.test_occlusions(o3d.core.Tensor.from_numpy(rays)).numpy()
    direct = rng.uniform(0.2, 1.0)  # from an overcast to a clear sky
    light = direct * lit * np.maximum(normal @ sun, 0) + (1.15 - 0.8 * direct) * (0.6 + 0.4 * normal[:, 2])
    shown = np.clip(color * light[:, None] * rng.uniform(0.85, 1.25) * rng.normal(1, 0.025, 3), 0, 1) ** (1 / 2.2)
    return np.clip(np.rint(255 * (shown + rng.normal(0, 0.015, shown.shape))), 0, 255).astype(np.uint8)
