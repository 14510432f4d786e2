"""Many triangles at once for the rubble world: boxes, panels, prisms, and rasters over the ground."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from scene_understanding.simulation.mesh import box

Array = NDArray[np.float64]
Triangles = tuple[Array, NDArray[np.int64]]
"""Vertices (V, 3) in metres, and vertex indices (T, 3)."""

_CUBE = box((1, 1, 1))


class RubbleClass(IntEnum):
    """Ids of the label set rubble4."""

    BUILDING = 0
    RUBBLE = 1
    TERRAIN = 2
    VEGETATION = 3


@dataclass(frozen=True, eq=False)
class RubbleMesh:
    """Triangles with attributes.

    Attributes:
        vertices: (V, 3) float32, metres.
        triangles: (T, 3) uint32 vertex indices.
        label: (T,) uint8, `RubbleClass`.
        instance: (T,) uint32, number of the building from 1 that it is or was a part of, 0 of none.
        albedo: (T, 3) float32 linear.
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.uint32]
    label: NDArray[np.uint8]
    instance: NDArray[np.uint32]
    albedo: NDArray[np.float32]


@dataclass
class MeshParts:
    """Collects triangles of one world or of one building."""

    _parts: list[tuple[Triangles, NDArray[np.uint8], NDArray[np.uint32], NDArray[np.float32]]] = field(
        default_factory=list
    )

    def add(
        self, triangles: Triangles, label: RubbleClass, color: ArrayLike, instance: ArrayLike = 0, each: int = 1
    ) -> None:
        """Add triangles.

        Args:
            color: (3,) gamma-coded 0..1 for all, or (N, 3).
            instance: one for all, or (N,).
            each: triangles that a row of `color` or `instance` is for, T = N * each.
        """
        count = len(triangles[1])
        linear = np.clip(np.asarray(color, np.float64), 0, 1) ** 2.2
        albedo = np.broadcast_to(linear, (count, 3)) if linear.ndim == 1 else np.repeat(linear, each, axis=0)
        number = np.asarray(instance, np.uint32)
        numbers = np.broadcast_to(number, count) if number.ndim == 0 else np.repeat(number, each)
        self._parts.append((triangles, np.full(count, label, np.uint8), numbers, albedo.astype(np.float32)))

    def place(self, other: MeshParts, rotation: Array, translation: ArrayLike) -> None:
        """Add another's triangles, rotated by (3, 3), then shifted by (3,)."""
        for (vertices, triangles), label, instance, albedo in other._parts:
            moved = vertices @ rotation.T + np.asarray(translation)
            self._parts.append(((moved, triangles), label, instance, albedo))

    def mesh(self) -> RubbleMesh:
        """All of it as one mesh."""
        shapes, labels, instances, albedos = zip(*self._parts, strict=True)
        offsets = np.cumsum([0] + [len(vertices) for vertices, _ in shapes[:-1]])
        return RubbleMesh(
            np.concatenate([vertices for vertices, _ in shapes]).astype(np.float32),
            np.concatenate([t + o for (_, t), o in zip(shapes, offsets, strict=True)]).astype(np.uint32),
            np.concatenate(labels),
            np.concatenate(instances),
            np.concatenate(albedos),
        )


def boxes(
    center: ArrayLike, size: ArrayLike, rotation: Array | None = None, rng: Generator | None = None,
    irregularity: float = 0.0,
) -> Triangles:  # fmt: skip
    """N boxes of 12 triangles: `center` (N, 3), `size` (N, 3), `rotation` (N, 3, 3).

    With `rng` each corner is moved by about `irregularity` of the size, so that they look broken.
    """
    center, size = np.broadcast_arrays(np.atleast_2d(center), np.atleast_2d(size))
    corners = np.broadcast_to(np.asarray(_CUBE.vertices, np.float64), (len(center), 8, 3))
    if rng is not None:
        corners = corners + rng.normal(0, irregularity, corners.shape)
    corners = corners * size[:, None]
    if rotation is not None:
        corners = corners @ rotation.transpose(0, 2, 1)
    triangles = _CUBE.triangles.astype(np.int64) + 8 * np.arange(len(center))[:, None, None]
    return (corners + center[:, None]).reshape(-1, 3), triangles.reshape(-1, 3)


def quads(corners: ArrayLike) -> Triangles:
    """N quadrilaterals of 2 triangles from corners (N, 4, 3) in turn."""
    points = np.asarray(corners, np.float64).reshape(-1, 4, 3)
    triangles = np.array([[0, 1, 2], [0, 2, 3]]) + 4 * np.arange(len(points))[:, None, None]
    return points.reshape(-1, 3), triangles.reshape(-1, 3)


def prisms(bottom: Array, top: Array, radius: ArrayLike, sides: int = 6) -> Triangles:
    """N open tubes of 2 * `sides` triangles from `bottom` to `top` (N, 3), narrowing to half their `radius` (N,)."""
    angle = np.arange(sides) * (2 * np.pi / sides)
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1) * np.asarray(radius, np.float64)[:, None, None]
    ends = np.stack([bottom[:, None] + ring, top[:, None] + 0.5 * ring], 1)  # (N, 2, sides, 3)
    following = np.roll(np.arange(sides), -1)
    return quads(np.stack([ends[:, 0], ends[:, 0, following], ends[:, 1, following], ends[:, 1]], 2))


def tumbled(rng: Generator, yaw: Array, tilt: Array) -> Array:
    """(N, 3, 3) rotations: turned by `yaw` (N,), then tilted by `tilt` (N,) about a random horizontal axis."""
    heading = rng.uniform(0, 2 * np.pi, len(tilt))
    zero, one = np.zeros(len(tilt)), np.ones(len(tilt))

    def about_z(angle: Array) -> Array:
        c, s = np.cos(angle), np.sin(angle)
        return np.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).reshape(-1, 3, 3)

    c, s = np.cos(tilt), np.sin(tilt)
    about_x = np.stack([one, zero, zero, zero, c, -s, zero, s, c], -1).reshape(-1, 3, 3)
    return about_z(heading) @ about_x @ about_z(yaw - heading)


@dataclass(frozen=True, eq=False)
class Raster:
    """A square raster over the ground about the origin.

    Attributes:
        half: metres from the origin to the outermost nodes.
        values: (R, R) float64 at the nodes, rows along y.
    """

    half: float
    values: Array

    def at(self, xy: ArrayLike) -> Array:
        """(...) values at (..., 2) metres, bilinear; those of the border beyond it."""
        points = np.asarray(xy, np.float64)
        rows_columns = (points.reshape(-1, 2)[:, ::-1].T + self.half) * ((len(self.values) - 1) / (2 * self.half))
        return map_coordinates(self.values, rows_columns, order=1, mode="nearest").reshape(points.shape[:-1])

    def nodes(self) -> Array:
        """(R, R, 2) metres."""
        axis = np.linspace(-self.half, self.half, len(self.values))
        return np.stack(np.meshgrid(axis, axis), -1)

    def surface(self, height: Array, kept: NDArray[np.bool_]) -> tuple[Triangles, Array]:
        """Triangles of the `kept` (R - 1, R - 1) cells at node heights (R, R), and their cells' middles (N, 2)."""
        nodes = self.nodes()
        points = np.concatenate([nodes, height[..., None]], -1)
        corners = np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]], 2)[kept]
        return quads(corners), corners.mean(1)[:, :2]


def smooth_noise(rng: Generator, size: int, sigma: float) -> Array:
    """(size, size) noise of deviation 1 that varies over about `sigma` nodes."""
    noise = gaussian_filter(rng.standard_normal((size, size)), sigma, mode="wrap")
    return (noise - noise.mean()) / noise.std()
