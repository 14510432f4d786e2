"""Renders a world on the CPU: colour, depth, class and instance of every pixel.

Primary rays at full resolution, shadows and ambient occlusion at half resolution, all with Embree
through Open3D. The static scene is built once; people are a small second scene, rebuilt when the time
changes, and merged by depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from scene_understanding.geometry import PinholeCamera, Pose
from scene_understanding.simulation.classes import Nyu40
from scene_understanding.simulation.lighting import Lighting, SurfaceGrid, expose
from scene_understanding.simulation.materials import MaterialTable
from scene_understanding.simulation.mesh import Shape, joined
from scene_understanding.simulation.world import World

Float32 = NDArray[np.float32]
LEVELS = 6


@dataclass(frozen=True)
class Frame:
    """What an ideal camera sees.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth: (H, W) float32, metres along the optical axis, NaN where nothing is hit.
        label: (H, W) uint8 NYU40 ids, 0 where nothing is hit.
        instance: (H, W) uint32 ids, 0 where nothing is hit.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    label: NDArray[np.uint8]
    instance: NDArray[np.uint32]


class TextureAtlas:
    """All textures of a world with their smaller levels, for look-ups by index arrays."""

    def __init__(self, table: MaterialTable) -> None:
        level, flat, self._offsets = table.images, [], np.zeros(LEVELS, np.int32)
        self._size = table.images.shape[1]
        total = 0
        for k in range(LEVELS):
            self._offsets[k] = total
            flat.append(level.reshape(-1, 3))
            total += len(flat[-1])
            count, size = level.shape[:2]
            level = level.reshape(count, size // 2, 2, size // 2, 2, 3).mean((2, 4)).astype(np.uint8)
        self._texels = np.concatenate(flat)
        self._linear = (np.arange(256, dtype=np.float32) / 255) ** np.float32(2.2)

    def look_up(self, texture: NDArray[np.int32], uv: Float32, footprint: Float32) -> Float32:
        """Linear colours (N, 3) of textures (N,) at uv (N, 2); `footprint` (N,): texels a pixel covers."""
        level = np.clip(np.log2(np.maximum(footprint, 1e-3)) + np.float32(0.3), 0, LEVELS - 1).astype(np.int32)
        size = self._size >> level
        cell = np.floor((uv - np.floor(uv)) * size[:, None]).astype(np.int32)
        cell = np.minimum(cell, size[:, None] - 1)
        index = self._offsets[level] + (texture * size + cell[:, 1]) * size + cell[:, 0]
        return self._linear[self._texels[index]]


def _scene(shape: Shape) -> o3d.t.geometry.RaycastingScene:
    scene = o3d.t.geometry.RaycastingScene()
    triangles = shape.triangles.astype(np.uint32)
    scene.add_triangles(o3d.core.Tensor.from_numpy(shape.vertices), o3d.core.Tensor.from_numpy(triangles))
    return scene


def _attributes(shape: Shape) -> Float32:
    """(T, 15) float32: per corner u, v and the normal."""
    return np.concatenate([shape.uv, shape.normals], axis=2).reshape(-1, 15)


@dataclass(frozen=True)
class _Hits:
    """Per pixel (N,): distance in ray lengths (inf: none), triangle number, barycentric (N, 2)."""

    distance: Float32
    triangle: NDArray[np.int64]
    barycentric: Float32


class Renderer:
    """Renders one world; the same world, camera, pose and time give the same pixels."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._static = _scene(world.shape)
        self._lighting, self._atlas = Lighting(world), TextureAtlas(world.materials)
        bodies = [p.mesh(0.0) for p in world.people]
        counts = [len(shape.triangles) for shape, _ in bodies]
        people = np.full(sum(counts), Nyu40.PERSON, np.uint8)
        self._label = np.concatenate([world.label, people])
        ids = np.repeat(np.array([p.instance for p in world.people], np.uint32), counts)
        self._instance = np.concatenate([world.instance, ids])
        self._material = np.concatenate([world.material, *(material for _, material in bodies)])
        blank = np.zeros((len(people), 15), np.float32)
        self._corners = np.concatenate([_attributes(world.shape), blank])
        self._people: o3d.t.geometry.RaycastingScene | None = None
        self._time = np.nan

    def _move_people(self, time: float) -> None:
        """Bring the people's scene to `time`."""
        if time == self._time or not self._world.people:
            return
        body = joined([p.mesh(time)[0] for p in self._world.people])
        self._people, self._time = _scene(body), time
        self._corners[len(self._world.label) :] = _attributes(body)

    def _scenes(self) -> list[o3d.t.geometry.RaycastingScene]:
        return [self._static] if self._people is None else [self._static, self._people]

    def cast(self, origins: Float32, directions: Float32, time: float) -> _Hits:
        """First hits of rays (N, 3), (N, 3) on the world as it is at `time`."""
        self._move_people(time)
        rays = o3d.core.Tensor.from_numpy(np.concatenate([origins, directions], axis=1))
        answer = self._static.cast_rays(rays)
        distance, triangle = answer["t_hit"].numpy(), answer["primitive_ids"].numpy().astype(np.int64)
        barycentric = answer["primitive_uvs"].numpy()
        if self._people is not None:
            answer = self._people.cast_rays(rays)
            person = answer["t_hit"].numpy()
            nearer = np.flatnonzero(person < distance)
            distance[nearer] = person[nearer]
            triangle[nearer] = answer["primitive_ids"].numpy()[nearer].astype(np.int64) + len(self._world.label)
            barycentric[nearer] = answer["primitive_uvs"].numpy()[nearer]
        triangle[~np.isfinite(distance)] = 0
        return _Hits(distance, triangle, barycentric)

    def labels(self, hits: _Hits) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
        """NYU40 class (N,) and instance (N,) of hits, 0 where there is none."""
        found = np.isfinite(hits.distance)
        return self._label[hits.triangle] * found, self._instance[hits.triangle] * found

    def render(self, camera: PinholeCamera, map_from_camera: Pose, time: float = 0.0) -> Frame:
        """The view of `camera` at `map_from_camera`, `time` seconds after the world's beginning."""
        shape = (camera.height, camera.width)
        directions = camera.rays.reshape(-1, 3) @ map_from_camera.rotation.T.astype(np.float32)
        origins = np.broadcast_to(map_from_camera.translation.astype(np.float32), directions.shape)
        hits = self.cast(origins, directions, time)
        found = np.isfinite(hits.distance)
        depth = np.where(found, hits.distance, np.float32(np.nan)).reshape(shape)
        label, instance = self.labels(hits)
        rgb = self._colors(camera, hits, origins, directions)
        return Frame(rgb, depth, label.reshape(shape), instance.reshape(shape))

    def _colors(self, camera: PinholeCamera, hits: _Hits, origins: Float32, directions: Float32) -> NDArray[np.uint8]:
        """(H, W, 3) uint8."""
        shape, table = (camera.height, camera.width), self._world.materials
        found = np.isfinite(hits.distance)
        reach = np.where(found, hits.distance, np.float32(50))
        uv, normals = self._interpolate(hits, directions)
        points = origins + directions * reach[:, None]
        room = self._lighting.room_of(points + normals * np.float32(0.08))
        material = self._material[hits.triangle]
        scale = table.scale[material]
        footprint = reach * scale * np.float32(256 / camera.fx)
        albedo = self._atlas.look_up(table.texture[material], uv * scale[:, None], footprint) * table.color[material]
        seen = self._seen(shape, points, normals, reach, room)
        view = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        gloss = table.gloss[material]
        light, highlight = self._lighting.shade(points, normals, view, room, seen, gloss)
        radiance = albedo * (light + table.emission[material][:, None]) + highlight
        radiance[~found] = 0
        return expose(radiance.reshape(*shape, 3))

    def _interpolate(self, hits: _Hits, directions: Float32) -> tuple[Float32, Float32]:
        """Texture coordinates (N, 2) and unit normals (N, 3), turned to the viewer."""
        corners, (u, v) = self._corners[hits.triangle], hits.barycentric.T
        blended = corners[:, :5] * (1 - u - v)[:, None]
        blended += corners[:, 5:10] * u[:, None]
        blended += corners[:, 10:] * v[:, None]
        normals = blended[:, 2:]
        length = np.sqrt(np.einsum("ij,ij->i", normals, normals))
        away = np.einsum("ij,ij->i", normals, directions) > 0
        return blended[:, :2], normals / np.where(away, -length, length)[:, None]

    def _seen(
        self, shape: tuple[int, int], points: Float32, normals: Float32, reach: Float32, room: NDArray[np.int64]
    ) -> Float32:
        """(N, 1 + lights) visibility, computed for every second pixel of every second row."""
        half = (slice(None, None, 2), slice(None, None, 2))
        grid = SurfaceGrid(
            points.reshape(*shape, 3)[half], normals.reshape(*shape, 3)[half], reach.reshape(shape)[half],
            room.reshape(shape)[half],
        )  # fmt: skip
        seen = self._lighting.visibility(self._scenes(), grid)
        return cv2.resize(seen, shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(-1, seen.shape[-1])
