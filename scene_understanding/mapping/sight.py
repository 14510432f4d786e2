"""What one cloud tells a map: a bounded number of its points, and how far the sensor saw in every direction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry.point_cloud import PointCloud

Float = NDArray[np.float32]
LEVELS = 6
NEAREST = 0.05
"""Metres in front of the sensor where nothing is said of what it sees through."""

CLOSE = np.float32(1.4)
"""Metres within which nothing larger than 5 cm hides between two rings of a LiDAR, two degrees apart."""


class RangeImage(ABC):
    """How far a sensor saw, in every direction.

    What is seen through must be so with all that it covers of the image: a surface seen at a slant lies behind the
    middle of a voxel that it passes through. So there is a pyramid of images; in the one at level k each pixel has the
    least of those around it, up to 2^k pixels away.

    Attributes:
        levels: (LEVELS, H, W) float32, metres; 0 where nothing is known of the pixel itself; where there is something
            above and below, as between two rings of a LiDAR, at most `CLOSE`.
        pixels_per_radian: how large things are in the image; where it differs, the most.
    """

    def __init__(self, measured: Float, pixels_per_radian: float, between: NDArray[np.bool_] | None = None) -> None:
        """Args:
        measured: (H, W) float32, metres; inf or NaN where nothing is known.
        between: (H, W) where what is known beside holds as well, up to `CLOSE`.
        """
        known = np.isfinite(measured)
        least = np.where(known, measured, np.float32(np.inf))
        self.pixels_per_radian = pixels_per_radian
        self.levels = np.zeros((LEVELS, *measured.shape), np.float32)
        for k, image in enumerate(self.levels):
            reach = max(2 ** (k - 1), 1)  # of erosions one after the other, reaches add up
            least = cv2.erode(least, np.ones((2 * reach + 1,) * 2, np.uint8))
            np.copyto(image, least, where=known)
            if between is not None:
                np.copyto(image, np.minimum(least, CLOSE), where=between)

    @abstractmethod
    def pixels(self, x: Float, y: Float, z: Float) -> tuple[NDArray[np.int32], Float]:
        """Flat indices into a level and distances, as `levels` has them, of points of any shape; where they are out of
        sight the distance is inf."""

    def passed(self, x: Float, y: Float, z: Float, radius: float, margin: float, slope: float) -> NDArray[np.bool_]:
        """Whether the sensor saw past balls of a radius at (N, M) middles, metres, in the frame of the cloud, by at
        least `margin` metres and `slope` metres a metre of distance; those of a row are near each other."""
        index, distance = self.pixels(x, y, z)
        nearest = np.maximum(distance.min(-1, keepdims=True), np.float32(NEAREST))
        level = np.ceil(np.log2(np.maximum(radius * self.pixels_per_radian / nearest, 1))).astype(np.int32)
        large = level >= LEVELS
        index += np.minimum(level, LEVELS - 1) * np.int32(self.levels[0].size)
        return (distance * np.float32(1 + slope) + np.float32(margin) < self.levels.reshape(-1)[index]) & ~large


class DepthImage(RangeImage):
    """Depths along z of a pinhole camera; fx, fy, cx and cy are in its pixels."""

    def __init__(self, depth: Float, fx: float, fy: float, cx: float, cy: float) -> None:
        super().__init__(depth, max(fx, fy))
        self.fx, self.fy, self.cx, self.cy = (np.float32(value) for value in (fx, fy, cx, cy))

    def pixels(self, x: Float, y: Float, z: Float) -> tuple[NDArray[np.int32], Float]:
        _, height, width = self.levels.shape
        inverse = 1 / np.maximum(z, np.float32(NEAREST))
        column, row = x * inverse * self.fx + self.cx, y * inverse * self.fy + self.cy
        inside = (z > NEAREST) & (column > -0.5) & (column < width - 0.5) & (row > -0.5) & (row < height - 0.5)
        index = np.clip(row + np.float32(0.5), 0, height - 1).astype(np.int32)
        index *= np.int32(width)
        index += np.clip(column + np.float32(0.5), 0, width - 1).astype(np.int32)
        return index, np.where(inside, z, np.float32(np.inf))


class Panorama(RangeImage):
    """Distances by azimuth and elevation, for sensors that look around and for clouds of no camera.

    Rows go from straight down to straight up, columns from -pi to pi.
    """

    def __init__(self, distance: Float) -> None:
        known = np.isfinite(distance)
        between = np.zeros(known.shape, bool)
        between[1:-1] = known[:-2] & ~known[1:-1] & known[2:]
        super().__init__(distance, distance.shape[1] / (2 * np.pi), between)

    def pixels(self, x: Float, y: Float, z: Float) -> tuple[NDArray[np.int32], Float]:
        return _cells(x, y, z, self.levels.shape[1:]), np.sqrt(x * x + y * y + z * z)


@dataclass(frozen=True, eq=False)
class Sight:
    """N points of a cloud, in its frame, with what was said of them, and how far it saw.

    Attributes:
        xyz: (N, 3) float32, metres, finite.
        distance: (N,) float32, metres from the sensor.
        label: (N,) uint16 or None; confidence: (N,) float32 or None.
        image: how far the sensor saw.
    """

    xyz: Float
    distance: Float
    label: NDArray[np.uint16] | None
    confidence: Float | None
    image: RangeImage


def look(cloud: PointCloud, most: int, turn: int) -> Sight:
    """Chooses about `most` of the points, others at each turn.

    Of an organised cloud (H, W) one of every s points of a row, shifted by one from row to row: so every row and every
    column is looked at, and neither floors nor walls seen at a slant get gaps.
    """
    stride = max(ceil(cloud.xyz[..., 0].size / most), 1)
    columns = [_chosen(column, stride, turn) for column in (cloud.xyz, cloud.label, cloud.confidence)]
    assert columns[0] is not None
    square = np.einsum("nk,nk->n", columns[0], columns[0])
    known = np.flatnonzero(np.isfinite(square))
    xyz, label, confidence = (None if column is None else np.take(column, known, axis=0) for column in columns)
    assert xyz is not None
    distance = np.sqrt(square[known])
    return Sight(xyz, distance, label, confidence, _depth_image(cloud.xyz) or _panorama(xyz, distance))


def _chosen(column: NDArray | None, stride: int, turn: int) -> NDArray | None:
    if column is None:
        return None
    organised = column.ndim - (column.shape[-1:] == (3,) and column.dtype.kind == "f") == 2
    if not organised:
        return column[turn % stride :: stride]
    tail = column.shape[2:]
    rows = [column[i::stride, (i + turn) % stride :: stride].reshape(-1, *tail) for i in range(stride)]
    return np.concatenate(rows)


def _depth_image(xyz: Float) -> DepthImage | None:
    """Of an organised cloud (H, W, 3) whose pixels are those of a pinhole camera; None of every other one."""
    if xyz.ndim != 3 or min(xyz.shape[:2]) < 8:
        return None
    lens = _pinhole(xyz)
    if lens is None:
        return None
    step = max(xyz.shape[1] // 320, 1)
    fx, fy, cx, cy = lens
    depth = np.ascontiguousarray(xyz[::step, ::step, 2])
    return DepthImage(depth, fx / step, fy / step, cx / step, cy / step)


def _pinhole(xyz: Float) -> tuple[float, float, float, float] | None:
    """fx, fy, cx and cy in pixels such that (x, y, z) of each pixel lies on its ray; None where there are none such."""
    rows, columns = (np.unique(np.linspace(0, n - 1, 24).astype(int)) for n in xyz.shape[:2])
    sample = xyz[np.ix_(rows, columns)].astype(np.float64)
    seen = np.isfinite(sample).all(-1) & (sample[..., 2] > NEAREST)
    if seen.sum() < 16:
        return None
    row, column = np.broadcast_arrays(rows[:, None], columns[None])
    slope = sample[seen][:, :2] / sample[seen][:, 2:]
    lens = [_line(slope[:, k], pixel[seen]) for k, pixel in enumerate((column, row))]
    (fx, cx, x_error), (fy, cy, y_error) = lens
    fits = max(x_error, y_error) < 0.5 and min(fx, fy) > 1
    return (fx, fy, cx, cy) if fits else None


def _line(slope: NDArray[np.float64], pixel: NDArray[np.integer]) -> tuple[float, float, float]:
    """Focal length and principal point along one axis, and the largest error of a pixel."""
    spread = slope - slope.mean()
    square = float(spread @ spread)
    if square < 1e-9:
        return 0.0, 0.0, np.inf
    f = float(spread @ pixel) / square
    c = float(pixel.mean() - f * slope.mean())
    return f, c, float(np.abs(f * slope + c - pixel).max())


PANORAMA = 180, 360
"""Rows and columns: cells of a degree, in which most sensors have a point."""


def _panorama(xyz: Float, distance: Float) -> Panorama:
    image = np.full(PANORAMA, np.inf, np.float32)
    np.minimum.at(image.reshape(-1), _cells(xyz[:, 0], xyz[:, 1], xyz[:, 2], PANORAMA), distance)
    return Panorama(image)


def _cells(x: Float, y: Float, z: Float, shape: tuple[int, ...]) -> NDArray[np.int32]:
    height, width = shape
    azimuth = np.arctan2(y, x) * np.float32(width / (2 * np.pi)) + np.float32(width / 2)
    elevation = np.arctan2(z, np.hypot(x, y)) * np.float32(height / np.pi) + np.float32(height / 2)
    column, row = (np.minimum(v.astype(np.int32), n - 1) for v, n in ((azimuth, width), (elevation, height)))
    return row * np.int32(width) + column
