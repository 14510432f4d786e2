"""Light on surfaces: direct light with soft shadows, ambient light with occlusion, highlights, exposure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Surface:
    """What pixels see, plane by plane: N = rows * columns of `shape`.

    Attributes:
        shape: (rows, columns).
        points: (3, N) float32, metres, map frame.
        normals: (3, N) float32, unit, towards the viewer.
        depth: (N,) float32, metres.
        room: (N,) index of the room.
    """

    shape: tuple[int, int]
    points: Float32
    normals: Float32
    depth: Float32
    room: NDArray[np.intp]

    def halved(self) -> Surface:
        """Every second pixel of every second row."""

        def thin(plane: NDArray[Any]) -> NDArray[Any]:
            image = plane.reshape(*plane.shape[:-1], *self.shape)[..., ::2, ::2]
            return np.ascontiguousarray(image).reshape(*plane.shape[:-1], -1)

        shape = ((self.shape[0] + 1) // 2, (self.shape[1] + 1) // 2)
        return Surface(shape, thin(self.points), thin(self.normals), thin(self.depth), thin(self.room))


def dot(a: Float32, b: Float32) -> Float32:
    """(N,) scalar products of vectors (3, N)."""
    total = a[0] * b[0]
    total += a[1] * b[1]
    total += a[2] * b[2]
    return total


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
        self.count = np.zeros(rooms, int)
        self.ambient = np.zeros((rooms, 3), np.float32)
        everywhere = sum((light.color for light in world.lights), np.zeros(3))
        total_area = sum(_area(r.polygon) for r in world.rooms)
        for index, room in enumerate(world.rooms):
            own = sorted((x for x in world.lights if x.room == index), key=lambda x: -float(x.color.sum()))
            self.count[index] = min(len(own), LIGHTS_PER_ROOM)
            for k, light in enumerate(own[:LIGHTS_PER_ROOM]):
                self.position[index, k], self.normal[index, k] = light.position, light.normal
                self.half_u[index, k], self.half_v[index, k] = light.half_u, light.half_v
                self.color[index, k], self.spread[index, k] = light.color, light.spread
            flux = sum((light.color for light in own), np.zeros(3)) / _area(room.polygon)
            rest = sum((light.color for light in own[LIGHTS_PER_ROOM:]), np.zeros(3)) / _area(room.polygon)
            self.ambient[index] = 0.3 * flux + 0.5 * rest + 0.06 * everywhere / total_area
        self._index_rooms(world)
        self._area_samples, self._sphere_samples = _sample_pattern()

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

    def room_of(self, points: Float32) -> NDArray[np.intp]:
        """(N,) room index of points (3, N)."""
        rows, columns = self._rooms.shape
        column = ((points[0] - np.float32(self._origin[0])) * np.float32(1 / ROOM_CELL)).astype(np.intp)
        row = ((points[1] - np.float32(self._origin[1])) * np.float32(1 / ROOM_CELL)).astype(np.intp)
        np.clip(column, 0, columns - 1, out=column)
        np.clip(row, 0, rows - 1, out=row)
        row *= columns
        row += column
        return self._rooms.ravel()[row]

    def visibility(self, scenes: list[o3d.t.geometry.RaycastingScene], surface: Surface) -> Float32:
        """(1 + lights, rows, columns) in 0..1: openness of the surroundings, then what is seen of each light.

        Each pixel takes one sample of sixteen; neighbours on the same surface share theirs.
        """
        rows, columns = surface.shape
        slot = (np.arange(rows)[:, None] % PATTERN * PATTERN + np.arange(columns) % PATTERN).ravel()
        origins = surface.points + surface.normals * np.float32(0.012)
        hemisphere = surface.normals * np.float32(1.02)
        hemisphere += self._sphere_samples[:, slot]
        hemisphere *= np.float32(OCCLUSION_REACH)
        everywhere = np.arange(len(slot))
        batches = [(0, everywhere, hemisphere)]
        along_u, along_v = self._area_samples[:, slot]
        for room in np.flatnonzero(np.bincount(surface.room, minlength=len(self.count))):
            own = np.flatnonzero(surface.room == room)
            for k in range(self.count[room]):
                way = self.position[room, k][:, None] + self.half_u[room, k][:, None] * along_u[own]
                way += self.half_v[room, k][:, None] * along_v[own]
                way -= origins[:, own]
                facing = np.flatnonzero(dot(way, surface.normals[:, own]) > 0)
                batches.append((1 + k, own[facing], way[:, facing]))
        seen = np.zeros((1 + LIGHTS_PER_ROOM, len(slot)), np.float32)
        channel = np.repeat([b[0] for b in batches], [len(b[1]) for b in batches])
        pixel = np.concatenate([b[1] for b in batches])
        seen[channel, pixel] = ~_occluded(scenes, origins[:, pixel], np.concatenate([b[2] for b in batches], axis=1))
        return _average_on_surface(seen.reshape(-1, rows, columns), surface)

    def shade(self, surface: Surface, view: Float32, seen: Float32, gloss: Float32) -> tuple[Float32, Float32]:
        """Irradiance (3, N) and highlight (3, N) of a surface seen along unit `view` (3, N).

        `seen` (1 + lights, N) is its visibility, `gloss` (N,) that of its materials.
        """
        present = np.flatnonzero(np.bincount(surface.room, minlength=len(self.count)))
        if len(present) == 1:
            return self._shade_room(int(present[0]), surface.points, surface.normals, view, seen, gloss)
        light, highlight = np.empty_like(view), np.empty_like(view)
        for room in present:
            own = np.flatnonzero(surface.room == room)
            planes = (surface.points[:, own], surface.normals[:, own], view[:, own], seen[:, own], gloss[own])
            light[:, own], highlight[:, own] = self._shade_room(int(room), *planes)
        return light, highlight

    def _shade_room(
        self, room: int, points: Float32, normals: Float32, view: Float32, seen: Float32, gloss: Float32
    ) -> tuple[Float32, Float32]:
        """`shade` where all pixels lie in one room."""
        openness = (np.float32(0.3) + np.float32(0.7) * seen[0]) * (np.float32(0.9) + np.float32(0.1) * normals[2])
        light = self.ambient[room][:, None] * openness
        highlight = light * (gloss * np.float32(0.08))
        mirrored = view - (2 * dot(view, normals)) * normals
        for k in range(self.count[room]):
            way = self.position[room, k][:, None] - points
            square = dot(way, way)
            square += np.float32(0.05)
            way /= np.sqrt(square)
            spread, color = self.spread[room, k], self.color[room, k][:, None]
            cosine = np.maximum(-dot(way, self.normal[room, k][:, None]), 0)
            incoming = (spread + (1 - spread) * cosine) / square
            incoming *= seen[1 + k]
            light += color * (incoming * np.maximum(dot(way, normals), 0))
            peak = np.maximum(dot(way, mirrored), 0)
            for _ in range(3):
                peak *= peak
            highlight += color * (peak * peak * peak * gloss * incoming)
        return light, highlight


def _occluded(scenes: list[o3d.t.geometry.RaycastingScene], origins: Float32, directions: Float32) -> NDArray[np.bool_]:
    """(N,) bool: whether anything lies between origins (3, N) and origins + directions (3, N)."""
    rays = np.empty((origins.shape[1], 6), np.float32)
    rays[:, :3], rays[:, 3:] = origins.T, directions.T
    tensor = o3d.core.Tensor.from_numpy(rays)
    result = np.zeros(len(rays), bool)
    for scene in scenes:
        result |= scene.test_occlusions(tensor, tnear=0.0, tfar=0.98).numpy()
    return result


def _sample_pattern() -> tuple[Float32, Float32]:
    """For each place of the pattern: where on a light it looks (2, 16) in -1..1, and a point of the sphere (3, 16)."""
    rng, n = np.random.default_rng(7), PATTERN * PATTERN
    stratified = ((rng.permutation(n) + 0.5) / n * 2 - 1).astype(np.float32)
    area = np.stack([stratified, stratified[rng.permutation(n)]])
    height, turn = 1 - 2 * (np.arange(n) + 0.5) / n, np.arange(n) * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - height**2)
    sphere = rng.permutation(np.stack([ring * np.cos(turn), ring * np.sin(turn), height], -1))
    return area, sphere.T.astype(np.float32)


def _area(polygon: NDArray[np.float64]) -> float:
    x, y = polygon.T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)


def _average_on_surface(values: Float32, surface: Surface) -> Float32:
    """Mean of values (C, H, W) over the sample pattern, over those pixels that lie on the same surface."""
    _, height, width = values.shape
    pad = ((1, 2), (1, 2))
    depth = surface.depth.reshape(height, width)
    deep = np.pad(depth, pad, mode="edge")
    normals = surface.normals.reshape(3, height, width)
    normal = np.pad(normals, ((0, 0), *pad), mode="edge")
    value = np.pad(values, ((0, 0), *pad), mode="reflect")
    total, weights = np.zeros_like(values), np.zeros((height, width), np.float32)
    tolerance = np.float32(0.04) * depth + np.float32(0.02)
    for dy in range(PATTERN):
        for dx in range(PATTERN):
            rows, columns = slice(dy, dy + height), slice(dx, dx + width)
            same = np.abs(deep[rows, columns] - depth) < tolerance
            same &= dot(normal[:, rows, columns], normals) > np.float32(0.8)
            weights += same
            total += value[:, rows, columns] * same
    total /= np.maximum(weights, 1)
    return total


def _tone_curve() -> NDArray[np.uint8]:
    """(4096,) uint8: exposed linear light 0..4 to a gamma-coded value, highlights rolled off."""
    x = np.linspace(0, 4, 4096)
    curve = np.where(x < 0.5, x, 0.5 + 0.5 * (1 - np.exp(-(x - 0.5) / 0.5)))
    return np.rint(255 * curve ** (1 / 2.2)).astype(np.uint8)


TONE_CURVE = _tone_curve()


def expose(radiance: Float32) -> NDArray[np.uint8]:
    """Colours (3, H, W) uint8 of linear radiance (3, H, W) as a camera with automatic exposure takes them."""
    sample = radiance[:, ::4, ::4].mean(0)
    middle = float(np.exp(np.log(sample + np.float32(1e-3)).mean()))
    gain = np.clip(0.2 / middle, 0.15, 12)
    index = np.minimum(radiance * np.float32(gain * 4095 / 4), np.float32(4095))
    return TONE_CURVE[index.astype(np.uint16)]
