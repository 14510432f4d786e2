"""Triangle shapes with texture coordinates and normals, and the items that are put together from them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.floating]
Float32 = NDArray[np.float32]
UNIT_SQUARE_UV = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)


@dataclass(frozen=True)
class Shape:
    """A triangle mesh with attributes per triangle corner.

    Attributes:
        vertices: (V, 3) float32, metres.
        triangles: (T, 3) int32 vertex indices.
        uv: (T, 3, 2) float32 texture coordinates: metres on the surface, or 0..1 over a picture.
        normals: (T, 3, 3) float32 unit normals.
    """

    vertices: Float32
    triangles: NDArray[np.int32]
    uv: Float32
    normals: Float32

    def moved(self, rotation: ArrayLike, translation: ArrayLike) -> Shape:
        """The shape rotated by (3, 3), then shifted by (3,) metres."""
        r = np.asarray(rotation, np.float32)
        return Shape(
            self.vertices @ r.T + np.asarray(translation, np.float32), self.triangles, self.uv, self.normals @ r.T
        )


def rotation_about(axis: str, angle: float) -> NDArray[np.float64]:
    """(3, 3) rotation about "x", "y" or "z" by `angle` radians."""
    c, s = np.cos(angle), np.sin(angle)
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    rotation = np.eye(3)
    rotation[j, j], rotation[j, k], rotation[k, j], rotation[k, k] = c, -s, s, c
    return rotation


_CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)], np.float32)
_FACES = np.array(
    [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]], np.int32
)  # -x, +x, -y, +y, -z, +z, seen from outside anticlockwise
_FACE_TRIANGLES = _FACES[:, [0, 1, 2, 0, 2, 3]].reshape(12, 3)
_FACE_NORMALS = np.repeat(
    np.array([[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]], np.float32), 2, axis=0
)


def box(size: ArrayLike, center: ArrayLike = (0, 0, 0)) -> Shape:
    """Box of `size` (3,); texture u runs along the longer edge of each face, so wood grain does."""
    extent = np.asarray(size, np.float32)
    vertices = _CORNERS * extent + np.asarray(center, np.float32)
    corners = vertices[_FACE_TRIANGLES]
    uv = np.empty((12, 3, 2), np.float32)
    for face, (a, b) in enumerate(((1, 2), (1, 2), (0, 2), (0, 2), (0, 1), (0, 1))):
        if extent[b] > extent[a]:
            a, b = b, a
        uv[2 * face : 2 * face + 2] = corners[2 * face : 2 * face + 2][..., [a, b]]
    normals = np.repeat(_FACE_NORMALS[:, None], 3, axis=1)
    return Shape(vertices, _FACE_TRIANGLES, uv, normals)


def quad(origin: ArrayLike, along_u: ArrayLike, along_v: ArrayLike, fitted: bool = False) -> Shape:
    """Parallelogram facing `along_u` x `along_v`; uv in metres, or 0..1 with v downwards where `fitted`."""
    o, du, dv = (np.asarray(a, np.float64) for a in (origin, along_u, along_v))
    vertices = np.array([o, o + du, o + du + dv, o + dv], np.float32)
    lengths = np.array([np.linalg.norm(du), np.linalg.norm(dv)], np.float32)
    uv = UNIT_SQUARE_UV if fitted else UNIT_SQUARE_UV[[3, 2, 1, 0]] * lengths
    normal = np.cross(du, dv)
    normal /= np.linalg.norm(normal)
    triangles = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    return Shape(vertices, triangles, uv[triangles], np.broadcast_to(normal.astype(np.float32), (2, 3, 3)).copy())


def surface(points: Float, normals: Float, uv: Float) -> Shape:
    """Smooth surface over a grid: points (R, C, 3), normals (R, C, 3), uv (R, C, 2)."""
    rows, columns = points.shape[:2]
    a = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    triangles = np.stack([a, a + 1, a + columns + 1, a, a + columns + 1, a + columns], -1).reshape(-1, 3)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    unit = (normals / np.maximum(length, 1e-9)).reshape(-1, 3).astype(np.float32)
    return Shape(
        points.reshape(-1, 3).astype(np.float32),
        triangles.astype(np.int32),
        uv.reshape(-1, 2).astype(np.float32)[triangles],
        unit[triangles],
    )


def joined(shapes: list[Shape]) -> Shape:
    """One shape from several."""
    offsets = np.cumsum([0] + [len(s.vertices) for s in shapes[:-1]])
    return Shape(
        np.concatenate([s.vertices for s in shapes]),
        np.concatenate([s.triangles + o for s, o in zip(shapes, offsets, strict=True)]).astype(np.int32),
        np.concatenate([s.uv for s in shapes]),
        np.concatenate([s.normals for s in shapes]),
    )


def cylinder(
    radius: float, height: float, center: ArrayLike = (0, 0, 0), top_radius: float | None = None, segments: int = 12
) -> Shape:
    """Upright cylinder or truncated cone with caps; `center` is the middle of its axis."""
    top = radius if top_radius is None else top_radius
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], -1)
    up = np.array([0, 0, height / 2])
    points = np.stack([ring * radius - up, ring * top + up])
    slope = np.array([0, 0, (radius - top) / max(height, 1e-6)])
    uv = np.stack(np.broadcast_arrays(angle * max(radius, top), np.array([[0], [height]])), -1)
    side = surface(points, np.stack([ring + slope] * 2), uv)
    caps = []
    for sign, r in ((-1, radius), (1, top)):
        if r > 1e-6:
            rim = ring[::sign]
            disc = np.stack([rim * r, np.zeros_like(rim)]) + sign * up
            caps.append(surface(disc, np.zeros_like(disc) + [0, 0, sign], disc[..., :2]))
    return joined([side, *caps]).moved(np.eye(3), center)


def cushion(size: ArrayLike, center: ArrayLike = (0, 0, 0), roundness: float = 1.0, segments: int = 14) -> Shape:
    """Superellipsoid of full `size`: roundness 1 is an ellipsoid, towards 0 a box with rounded edges."""
    half = np.asarray(size, np.float64) / 2
    rings = max(segments // 2, 4)
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)[:, None]
    longitude = np.linspace(-np.pi, np.pi, segments + 1)[None]

    def power(x: NDArray[np.float64], p: float) -> NDArray[np.float64]:
        return np.sign(x) * np.abs(x) ** p

    cos_lat, sin_lat = np.cos(latitude), np.sin(latitude) + 0 * longitude
    cx, cy = np.cos(longitude), np.sin(longitude)
    e = roundness
    points = np.stack([power(cos_lat, e) * power(cx, e), power(cos_lat, e) * power(cy, e), power(sin_lat, e)], -1)
    k = 2 - e
    normals = np.stack([power(cos_lat, k) * power(cx, k), power(cos_lat, k) * power(cy, k), power(sin_lat, k)], -1)
    uv = np.stack(np.broadcast_arrays(longitude * half[:2].mean() * 0.8, latitude * half[2]), -1)
    return surface(points * half + np.asarray(center), normals / half, uv)


def wavy_sheet(width: float, height: float, depth: float, waves: float) -> Shape:
    """A hanging cloth facing +x: centred in y, from z = 0 to `height`, folds of amplitude `depth`."""
    s = np.linspace(0, 1, max(int(waves * 6), 8) + 1)[None]
    z = np.array([[0.0], [height]])
    phase = 2 * np.pi * waves * s
    y = (s - 0.5) * width
    points = np.stack(np.broadcast_arrays(depth * np.sin(phase), y, z), -1)
    slope = depth * 2 * np.pi * waves * np.cos(phase) / width
    normals = np.stack(np.broadcast_arrays(np.ones_like(s), -slope, 0 * z), -1)
    uv = np.stack(np.broadcast_arrays(s * width * 1.6, z), -1)
    return surface(points, normals, uv)


@dataclass(frozen=True)
class Part:
    """A shape of an item: its material, NYU40 class, and the number of the thing it belongs to."""

    shape: Shape
    material: int
    label: int
    thing: int


@dataclass
class Item:
    """A piece of furniture in its own frame: +x to its front, +y to its left, z up from its foot.

    Thing 0 is the item itself; things that stand on it (a book on a desk) count from 1 and become
    instances of their own.
    """

    label: int
    parts: list[Part] = field(default_factory=list)
    things: int = 1

    def add(self, shape: Shape, material: int, label: int | None = None) -> None:
        self.parts.append(Part(shape, material, self.label if label is None else label, 0))

    def box(self, material: int, size: ArrayLike, center: ArrayLike, label: int | None = None) -> None:
        self.add(box(size, center), material, label)

    def attach(self, other: Item, position: ArrayLike, yaw: float = 0.0) -> None:
        """Put another item on or in this one."""
        rotation = rotation_about("z", yaw)
        for p in other.parts:
            self.parts.append(Part(p.shape.moved(rotation, position), p.material, p.label, self.things + p.thing))
        self.things += other.things

    def merge(self, other: Item, position: ArrayLike) -> None:
        """Make another item a part of this one, shifted to `position`."""
        self.parts += [replace(p, shape=p.shape.moved(np.eye(3), position), thing=0) for p in other.parts]

    def bounds(self) -> tuple[Float32, Float32]:
        """Lowest and highest corner, (3,) each, of the item and all that stands on it."""
        low = np.min([p.shape.vertices.min(0) for p in self.parts], axis=0)
        high = np.max([p.shape.vertices.max(0) for p in self.parts], axis=0)
        return low, high


@dataclass
class MeshBuilder:
    """Collects items into one mesh."""

    parts: list[tuple[Shape, int, int, int]] = field(default_factory=list)
    instances: int = 0

    def place(self, item: Item, position: ArrayLike, yaw: float = 0.0) -> None:
        """Add an item at `position` (3,), its front turned by `yaw`."""
        rotation = rotation_about("z", yaw)
        for p in item.parts:
            self.parts.append((p.shape.moved(rotation, position), p.material, p.label, self.instances + 1 + p.thing))
        self.instances += item.things

    def arrays(self) -> tuple[Shape, NDArray[np.int32], NDArray[np.uint8], NDArray[np.uint32]]:
        """The joined shape, and per triangle (T,) material, label and instance."""
        shapes, materials, labels, instances = zip(*self.parts, strict=True)
        counts = [len(s.triangles) for s in shapes]
        return (
            joined(list(shapes)),
            np.repeat(np.array(materials, np.int32), counts),
            np.repeat(np.array(labels, np.uint8), counts),
            np.repeat(np.array(instances, np.uint32), counts),
        )
