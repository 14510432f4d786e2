"""Renders a world on the CPU: colour, depth, class and instance of every pixel.

Primary rays at full resolution, shadows and ambient occlusion at half resolution, all with Embree
through Open3D. The static scene is built once; people are a small second scene, rebuilt when the time
changes, and merged by depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from scene_understanding.geometry import PinholeCamera, Pose
from scene_understanding.simulation.classes import Nyu40
from scene_understanding.simulation.lighting import Lighting, Surface, dot, expose
from scene_understanding.simulation.materials import MaterialTable
from scene_understanding.simulation.mesh import Shape, joined
from scene_understanding.simulation.world import World

Float32 = NDArray[np.float32]
Times = float | Sequence[float] | NDArray[np.float64]
LEVELS = 6
SHADOW_REACH = 5.0
"""People farther than this from the camera, metres, and out of its sight cast no shadow."""


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

    def look_up(self, texture: NDArray[np.int32], u: Float32, v: Float32, footprint: Float32) -> Float32:
        """Linear colours (3, N) of textures (N,) at u, v (N,); `footprint` (N,): texels a pixel covers."""
        level = np.clip(np.log2(np.maximum(footprint, 1e-3)) + np.float32(0.3), 0, LEVELS - 1).astype(np.int32)
        size = self._size >> level
        last = size - 1
        column = np.minimum(((u - np.floor(u)) * size).astype(np.int32), last)
        row = np.minimum(((v - np.floor(v)) * size).astype(np.int32), last)
        index = self._offsets[level] + (texture * size + row) * size + column
        return np.ascontiguousarray(self._linear[self._texels[index]].T)


def _scene(shape: Shape) -> o3d.t.geometry.RaycastingScene:
    scene = o3d.t.geometry.RaycastingScene()
    triangles = shape.triangles.astype(np.uint32)
    scene.add_triangles(o3d.core.Tensor.from_numpy(shape.vertices), o3d.core.Tensor.from_numpy(triangles))
    return scene


def _attributes(shape: Shape) -> Float32:
    """(15, T) float32: per corner u, v and the normal."""
    return np.ascontiguousarray(np.concatenate([shape.uv, shape.normals], axis=2).reshape(-1, 15).T)


@dataclass(frozen=True)
class Hits:
    """Per ray (N,): distance in ray lengths (inf: none), triangle number, barycentric (N, 2)."""

    distance: Float32
    triangle: NDArray[np.intp]
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
        blank = np.zeros((15, len(people)), np.float32)
        self._corners = np.concatenate([_attributes(world.shape), blank], axis=1)
        self._moving = o3d.t.geometry.RaycastingScene()
        self._times: tuple[float, ...] = ()
        self._albedo = np.ascontiguousarray(world.materials.color.T)

    def _move_people(self, times: tuple[float, ...]) -> None:
        """Bring each person to their time."""
        if times == self._times:
            return
        body = joined([p.mesh(t)[0] for p, t in zip(self._world.people, times, strict=True)])
        self._moving, self._times = _scene(body), times
        self._corners[:, len(self._world.label) :] = _attributes(body)

    def _each_time(self, time: Times) -> tuple[float, ...]:
        """One time for each person."""
        return tuple(np.broadcast_to(np.asarray(time, np.float64), len(self._world.people)).tolist())

    def _may_see_people(self, map_from_camera: Pose, half_angle: float, times: tuple[float, ...]) -> tuple[bool, bool]:
        """Whether somebody may be within `half_angle` of the optical axis, or near enough for a shadow."""
        places = [p.place(t)[0] for p, t in zip(self._world.people, times, strict=True)]
        middles = np.array([(x, y, 0.9) for x, y in places]).reshape(-1, 3)
        seen = map_from_camera.inverse().apply(middles)
        distance = np.maximum(np.linalg.norm(seen, axis=1), 1e-6)
        away = np.arccos(np.clip(seen[:, 2] / distance, -1, 1))
        in_view = away < half_angle + np.arcsin(np.minimum(1.1 / distance, 1))
        return bool(in_view.any()), bool((in_view | (distance < SHADOW_REACH)).any())

    def cast(self, rays: Float32, time: Times, people: bool = True) -> Hits:
        """First hits of rays (N, 6), origin and direction in the map, on the world as it is at `time`."""
        tensor = o3d.core.Tensor.from_numpy(rays)
        answer = self._static.cast_rays(tensor)
        distance, triangle = answer["t_hit"].numpy(), answer["primitive_ids"].numpy().astype(np.intp)
        barycentric = answer["primitive_uvs"].numpy()
        if people and self._world.people:
            self._move_people(self._each_time(time))
            answer = self._moving.cast_rays(tensor)
            person = answer["t_hit"].numpy()
            nearer = np.flatnonzero(person < distance)
            distance[nearer] = person[nearer]
            triangle[nearer] = answer["primitive_ids"].numpy()[nearer].astype(np.intp) + len(self._world.label)
            barycentric[nearer] = answer["primitive_uvs"].numpy()[nearer]
        triangle[~np.isfinite(distance)] = 0
        return Hits(distance, triangle, barycentric)

    def labels(self, hits: Hits) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
        """NYU40 class (N,) and instance (N,) of hits, 0 where there is none."""
        found = np.isfinite(hits.distance)
        return self._label[hits.triangle] * found, self._instance[hits.triangle] * found

    def reflectance(self, hits: Hits, directions: Float32) -> Float32:
        """(N,) in 0..1: how much of a ray along unit `directions` (N, 3) comes back: albedo by the cosine."""
        _, _, normals = self._interpolate(hits, directions.T)
        return self._albedo[:, self._material[hits.triangle]].mean(0) * np.abs(dot(normals, directions.T))

    def render(self, camera: PinholeCamera, map_from_camera: Pose, time: Times = 0.0) -> Frame:
        """The view of `camera` at `map_from_camera`, `time` seconds after the world's beginning.

        `time` may be (P,): one for each person.
        """
        times = self._each_time(time)
        shape = (camera.height, camera.width)
        planes, lengths = _ray_planes(camera)
        directions = np.stack([dot(row[:, None], planes) for row in map_from_camera.rotation.astype(np.float32)])
        origin = map_from_camera.translation.astype(np.float32)
        rays = np.empty((directions.shape[1], 6), np.float32)
        rays[:, :3], rays[:, 3:] = origin, directions.T
        visible, shadows = self._may_see_people(map_from_camera, float(np.arccos(1 / lengths.max())), times)
        hits = self.cast(rays, times, visible)
        depth = np.where(np.isfinite(hits.distance), hits.distance, np.float32(np.nan)).reshape(shape)
        label, instance = self.labels(hits)
        if shadows:
            self._move_people(times)
        scenes = [self._static, self._moving] if shadows else [self._static]
        rgb = self._colors(camera, hits, origin, directions, scenes)
        return Frame(rgb, depth, label.reshape(shape), instance.reshape(shape))

    def _colors(
        self, camera: PinholeCamera, hits: Hits, origin: Float32, directions: Float32,
        scenes: list[o3d.t.geometry.RaycastingScene],
    ) -> NDArray[np.uint8]:  # fmt: skip
        """(H, W, 3) uint8 for rays from `origin` (3,) along `directions` (3, N); `scenes` cast shadows."""
        shape, table = (camera.height, camera.width), self._world.materials
        found = np.isfinite(hits.distance)
        reach = np.where(found, hits.distance, np.float32(50))
        u, v, normals = self._interpolate(hits, directions)
        points = directions * reach
        points += origin[:, None]
        room = self._lighting.room_of(points + normals * np.float32(0.08))
        surface = Surface(shape, points, normals, reach, room)
        material = self._material[hits.triangle]
        scale = table.scale[material]
        texels_per_pixel = reach * scale * np.float32(256 / camera.fx)
        albedo = self._atlas.look_up(table.texture[material], u * scale, v * scale, texels_per_pixel)
        albedo *= self._albedo[:, material]
        half = self._lighting.visibility(scenes, surface.halved())
        seen = np.stack([cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_LINEAR).ravel() for plane in half])
        view = directions / _ray_planes(camera)[1]
        light, highlight = self._lighting.shade(surface, view, seen, table.gloss[material])
        light += table.emission[material]
        light *= albedo
        light += highlight
        light *= found
        return np.ascontiguousarray(np.moveaxis(expose(light.reshape(3, *shape)), 0, 2))

    def _interpolate(self, hits: Hits, directions: Float32) -> tuple[Float32, Float32, Float32]:
        """Texture u (N,), v (N,) and unit normals (3, N), turned to the viewer."""
        weights = hits.barycentric.T
        blended = np.empty((5, len(hits.distance)), np.float32)
        second, third = np.ascontiguousarray(weights)
        first = 1 - second - third
        for k in range(5):
            blended[k] = self._corners[k][hits.triangle] * first
            blended[k] += self._corners[5 + k][hits.triangle] * second
            blended[k] += self._corners[10 + k][hits.triangle] * third
        normals = blended[2:]
        length = np.sqrt(dot(normals, normals))
        normals /= np.where(dot(normals, directions) > 0, -length, length)
        return blended[0], blended[1], normals


@lru_cache(maxsize=8)
def _ray_planes(camera: PinholeCamera) -> tuple[Float32, Float32]:
    """Rays of a camera as planes (3, N), and their lengths (N,)."""
    planes = np.ascontiguousarray(camera.rays.reshape(-1, 3).T)
    return planes, np.sqrt(dot(planes, planes))
