"""Light on surfaces: direct light with soft shadows, ambient light with occlusion, highlights, exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from scene_understanding.simulation.world import World

Float32 = NDArray[np.float32]
LIGHTS_PER_ROOM = 4
PATTERN = 4
"""Edge of the pixel pattern over which shadow and occlusion samples are interleaved and then averaged."""
OCCLUSION_REACH = 0.7
ROOM_CELL = 0.1


def occluded(scenes: list[o3d.t.geometry.RaycastingScene], origins: Float32, directions: Float32) -> NDArray[np.bool_]:
    """(N,) bool: whether anything lies between origins (N, 3) and origins + directions (N, 3)."""
    rays = o3d.core.Tensor.from_numpy(np.ascontiguousarray(np.concatenate([origins, directions], axis=1)))
    result = np.zeros(len(origins), bool)
    for scene in scenes:
        result |= scene.test_occlusions(rays, tnear=0.0, tfar=0.98).numpy()
    return result


@dataclass(frozen=True)
class SurfaceGrid:
    """Points seen by a grid of pixels: points, normals (H, W, 3) float32; depth (H, W); room (H, W) index."""

    points: Float32
    normals: Float32
    depth: Float32
    room: NDArray[np.int64]


class Lighting:
    """The lights of a world, packed by room: each surface is lit by the strongest lights of its own room."""

    def __init__(self, world: World) -> None:
        rooms = len(world.rooms)
        shape = (rooms, LIGHTS_PER_ROOM)
        self.position = np.zeros((*shape, 3), np.float32)
        self.half_u = np.zeros((*shape, 3), np.float32)
        self.half_v = np.zeros((*shape, 3), np.float32)
        self.normal = np.zeros((*shape, 3), np.float32)
        self.color = np.zeros((*shape, 3), np.float32)
        self.spread = np.zeros(shape, np.float32)
        self.ambient = np.zeros((rooms, 3), np.float32)
        everywhere = sum((light.color for light in world.lights), np.zeros(3))
        total_area = sum(_area(r.polygon) for r in world.rooms)
        for index, room in enumerate(world.rooms):
            own = sorted((x for x in world.lights if x.room == index), key=lambda x: -float(x.color.sum()))
            for k, light in enumerate(own[:LIGHTS_PER_ROOM]):
                self.position[index, k], self.normal[index, k] = light.position, light.normal
                self.half_u[index, k], self.half_v[index, k] = light.half_u, light.half_v
                self.color[index, k], self.spread[index, k] = light.color, light.spread
            flux = sum((light.color for light in own), np.zeros(3)) / _area(room.polygon)
            rest = sum((light.color for light in own[LIGHTS_PER_ROOM:]), np.zeros(3)) / _area(room.polygon)
            self.ambient[index] = 0.3 * flux + 0.5 * rest + 0.06 * everywhere / total_area
        self._index_rooms(world)
        pattern = np.random.default_rng(7)
        n = PATTERN * PATTERN
        self._area_samples = ((pattern.permutation(n)[:, None] + 0.5) / n * 2 - 1).astype(np.float32)
        self._area_samples = np.concatenate([self._area_samples, self._area_samples[pattern.permutation(n)]], axis=1)
        height = 1 - 2 * (np.arange(n) + 0.5) / n
        turn = np.arange(n) * 2.399963
        ring = np.sqrt(1 - height**2)
        sphere = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], -1)
        self._sphere_samples = pattern.permutation(sphere).astype(np.float32)

    def _index_rooms(self, world: World) -> None:
        corners = np.concatenate([r.polygon for r in world.rooms])
        self._origin = corners.min(0) - 0.5
        columns, rows = np.ceil((corners.max(0) + 0.5 - self._origin) / ROOM_CELL).astype(int)
        self._rooms = np.zeros((rows, columns), np.int64)
        for margin in (0.5, 0.12, 0.0):
            for index, room in enumerate(world.rooms):
                low = np.floor((room.polygon.min(0) - margin - self._origin) / ROOM_CELL).astype(int).clip(0)
                high = np.ceil((room.polygon.max(0) + margin - self._origin) / ROOM_CELL).astype(int)
                self._rooms[low[1] : high[1], low[0] : high[0]] = index

    def room_of(self, points: Float32) -> NDArray[np.int64]:
        """(...) room index of points (..., 3)."""
        column = ((points[..., 0] - np.float32(self._origin[0])) * np.float32(1 / ROOM_CELL)).astype(np.int32)
        row = ((points[..., 1] - np.float32(self._origin[1])) * np.float32(1 / ROOM_CELL)).astype(np.int32)
        rows, columns = self._rooms.shape
        return self._rooms[row.clip(0, rows - 1), column.clip(0, columns - 1)]

    def visibility(self, scenes: list[o3d.t.geometry.RaycastingScene], grid: SurfaceGrid) -> Float32:
        """(H, W, 1 + lights) float32 in 0..1: openness of the surroundings, then what is seen of each light.

        Each pixel takes one sample of sixteen; neighbours on the same surface share theirs.
        """
        height, width = grid.depth.shape
        slot = (np.arange(height)[:, None] % PATTERN * PATTERN + np.arange(width) % PATTERN).ravel()
        points, normals = grid.points.reshape(-1, 3), grid.normals.reshape(-1, 3)
        origins, room = points + normals * np.float32(0.012), grid.room.ravel()
        seen = np.zeros((height * width, 1 + LIGHTS_PER_ROOM), np.float32)
        hemisphere = (normals * np.float32(1.02) + self._sphere_samples[slot]) * np.float32(OCCLUSION_REACH)
        seen[:, 0] = ~occluded(scenes, origins, hemisphere)
        samples = self._area_samples[slot]
        for k in range(LIGHTS_PER_ROOM):
            lit = np.flatnonzero(self.color[room, k, 1] > 0)
            r = room[lit]
            target = self.position[r, k] + self.half_u[r, k] * samples[lit, :1] + self.half_v[r, k] * samples[lit, 1:]
            way = target - origins[lit]
            facing = np.einsum("ij,ij->i", way, normals[lit]) > 0
            lit, way = lit[facing], way[facing]
            if len(lit):
                seen[lit, 1 + k] = ~occluded(scenes, origins[lit], way)
        return _average_on_surface(seen.reshape(height, width, -1), grid)

    def shade(
        self, points: Float32, normals: Float32, view: Float32, room: NDArray[np.int64], seen: Float32, gloss: Float32
    ) -> tuple[Float32, Float32]:
        """Irradiance (N, 3) and highlight (N, 3) at points (N, 3) seen along unit `view` (N, 3)."""
        openness = (np.float32(0.3) + np.float32(0.7) * seen[:, :1]) * (np.float32(0.9) + np.float32(0.1) * normals[:, 2:])
        light = self.ambient[room] * openness
        highlight = light * (gloss * np.float32(0.08))[:, None]
        mirrored = view - 2 * np.einsum("ij,ij->i", view, normals)[:, None] * normals
        for k in range(LIGHTS_PER_ROOM):
            way = self.position[room, k] - points
            square = np.einsum("ij,ij->i", way, way) + np.float32(0.05)
            way /= np.sqrt(square)[:, None]
            spread = self.spread[room, k]
            cosine = np.maximum(-np.einsum("ij,ij->i", way, self.normal[room, k]), 0)
            falloff = (spread + (1 - spread) * cosine) / square * seen[:, 1 + k]
            incoming = self.color[room, k] * falloff[:, None]
            light += incoming * np.maximum(np.einsum("ij,ij->i", way, normals), 0)[:, None]
            peak = np.maximum(np.einsum("ij,ij->i", way, mirrored), 0)
            peak *= peak
            peak *= peak
            peak *= peak
            highlight += incoming * (peak * peak * peak * gloss)[:, None]
        return light, highlight


def _area(polygon: NDArray[np.float64]) -> float:
    x, y = polygon.T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)


def _average_on_surface(values: Float32, grid: SurfaceGrid) -> Float32:
    """Mean of values (H, W, C) over the sample pattern, over those pixels that lie on the same surface."""
    height, width, channels = values.shape
    pad = ((1, 2), (1, 2))
    deep = np.pad(grid.depth, pad, mode="edge")
    normal = np.pad(grid.normals, (*pad, (0, 0)), mode="edge")
    value = np.pad(values, (*pad, (0, 0)), mode="reflect")
    total, weights = np.zeros_like(values), np.zeros((height, width), np.float32)
    tolerance = np.float32(0.04) * grid.depth + np.float32(0.02)
    for dy in range(PATTERN):
        for dx in range(PATTERN):
            window = (slice(dy, dy + height), slice(dx, dx + width))
            same = np.abs(deep[window] - grid.depth) < tolerance
            same &= np.einsum("ijk,ijk->ij", normal[window], grid.normals) > np.float32(0.8)
            weight = same.astype(np.float32)
            weights += weight
            total += value[window] * weight[..., None]
    return total / np.maximum(weights, 1)[..., None]


def _tone_curve() -> NDArray[np.uint8]:
    """(4096,) uint8: exposed linear light 0..4 to a gamma-coded value, highlights rolled off."""
    x = np.linspace(0, 4, 4096)
    curve = np.where(x < 0.5, x, 0.5 + 0.5 * (1 - np.exp(-(x - 0.5) / 0.5)))
    return np.rint(255 * curve ** (1 / 2.2)).astype(np.uint8)


TONE_CURVE = _tone_curve()


def expose(radiance: Float32) -> NDArray[np.uint8]:
    """Picture (H, W, 3) uint8 of linear radiance (H, W, 3) as a camera with automatic exposure takes it."""
    sample = radiance[::4, ::4].mean(-1)
    middle = float(np.exp(np.log(sample + 1e-3).mean()))
    gain = np.clip(0.2 / middle, 0.15, 12)
    index = np.minimum(radiance * np.float32(gain * 4095 / 4), np.float32(4095))
    return TONE_CURVE[index.astype(np.uint16)]
