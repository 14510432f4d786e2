"""A spinning LiDAR."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import SFC64, Generator
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from scene_understanding.geometry import Pose
from scene_understanding.simulation.render import Renderer, Times

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LidarScan:
    """Returns of one revolution, in the order of firing; N of them.

    Attributes:
        xyz: (N, 3) float32, metres, each in the sensor's frame at the moment that it was measured.
        ring: (N,) uint16, 0 is the lowest.
        offset: (N,) float32, seconds since the revolution began.
        intensity: (N,) float32, 0 to 1: reflectance times the cosine of incidence.
        label: (N,) uint8 NYU40 ids.
        instance: (N,) uint32.
    """

    xyz: Float32
    ring: NDArray[np.uint16]
    offset: Float32
    intensity: Float32
    label: NDArray[np.uint8]
    instance: NDArray[np.uint32]


@dataclass(frozen=True)
class Lidar:
    """A LiDAR whose frame is x forward, y left, z up; it turns anticlockwise and starts looking forward.

    Attributes:
        n_rings: lasers, evenly spread over the vertical field of view.
        n_azimuth: firings a revolution.
        lowest, highest: elevation of the first and last ring, radians.
        nearest, farthest: range limits, metres.
        noise: deviation of the range, metres.
        dropout: share of the returns that get lost; dark and grazed surfaces lose more.
        period: seconds a revolution takes.
    """

    n_rings: int = 16
    n_azimuth: int = 900
    lowest: float = -0.262
    highest: float = 0.262
    nearest: float = 0.3
    farthest: float = 30.0
    noise: float = 0.012
    dropout: float = 0.01
    period: float = 0.1

    def __post_init__(self) -> None:
        if self.n_rings < 1 or self.n_azimuth < 1:
            raise ValueError(f"a LiDAR of {self.n_rings} rings and {self.n_azimuth} firings; both must be at least 1")
        if not 0 <= self.nearest < self.farthest:
            raise ValueError(f"LiDAR range is {self.nearest} to {self.farthest} m; it must be 0 <= nearest < farthest")

    def directions(self) -> Float32:
        """(n_azimuth, n_rings, 3) unit vectors in the sensor's frame."""
        azimuth = np.arange(self.n_azimuth)[:, None] * (2 * np.pi / self.n_azimuth)
        elevation = np.linspace(self.lowest, self.highest, self.n_rings)
        planes = (
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation) + 0 * azimuth,
        )
        return np.stack(planes, -1).astype(np.float32)

    def scan(
        self,
        renderer: Renderer,
        map_from_lidar: Pose,
        time: Times = 0.0,
        end: Pose | None = None,
        seed: int = 0,
        index: int = 0,
    ) -> LidarScan:
        """One revolution that begins at `map_from_lidar` and finishes at `end` (default: it stood still).

        People stay as they are at `time` (one for all, or (P,)). Seed and index give the noise.
        """
        local = self.directions()
        rotations, origins = _motion(map_from_lidar, end or map_from_lidar, self.n_azimuth)
        turned = local @ rotations.transpose(0, 2, 1)
        rays = np.concatenate([np.broadcast_to(origins[:, None], turned.shape), turned], axis=-1).reshape(-1, 6)
        hits = renderer.cast(np.ascontiguousarray(rays), time)
        rng = Generator(SFC64([seed, index]))
        distance = hits.distance + np.float32(self.noise) * rng.standard_normal(len(rays), dtype=np.float32)
        intensity = renderer.reflectance(hits, rays[:, 3:])
        chance = rng.random(len(rays), dtype=np.float32)
        kept = (distance >= self.nearest) & (distance <= self.farthest)
        kept &= chance > self.dropout / np.maximum(intensity, np.float32(0.02)) * np.float32(0.3)
        kept &= np.isfinite(hits.distance)
        label, instance = renderer.labels(hits)
        firing, ring = np.divmod(np.flatnonzero(kept), self.n_rings)
        return LidarScan(
            local.reshape(-1, 3)[kept] * distance[kept, None], ring.astype(np.uint16),
            (firing * (self.period / self.n_azimuth)).astype(np.float32), intensity[kept], label[kept], instance[kept],
        )  # fmt: skip


def _motion(start: Pose, end: Pose, count: int) -> tuple[Float32, Float32]:
    """Rotations (count, 3, 3) and origins (count, 3) on the way from `start` to `end`."""
    share = np.arange(count) / count
    turns = Slerp([0.0, 1.0], Rotation.from_matrix([start.rotation, end.rotation]))(share).as_matrix()
    origins = start.translation + share[:, None] * (end.translation - start.translation)
    return turns.astype(np.float32), origins.astype(np.float32)
