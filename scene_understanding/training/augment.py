"""RGB-D augmentation that stays geometrically true: a sample after it is one that a camera could have taken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.geometry import PinholeCamera
from scene_understanding.geometry.views import IMAGE_UP, median_depth, random_viewpoint
from scene_understanding.perception.rgbd_surface import render_view
from scene_understanding.training.losses import VOID

SMALLEST_CROP = 8
"""Pixels of a side; smaller ones have no room for the holes in the depth."""


@dataclass(frozen=True)
class Augmentation:
    """What a training sample may go through; the defaults suit one still image of a room.

    Attributes:
        flip: whether half of the samples are mirrored.
        scale: the range of the zoom; above 1 crops, below 1 pads with void.
        shift: how far off the middle the window of zoom and crop may lie, as a share of what they leave; 0 keeps the
            optical centre in the middle of the image, from which a network may learn how steep a camera looks.
        turn: the camera turns on the spot by up to so many degrees about each of its axes.
        views: share of samples that are seen from a random viewpoint nearby (SnapNet-R's 3D-consistent augmentation in
            its stronger form); needs depth.
        crop: (height, width) of the result, or None for the size of the sample.
        holes: up to how many rectangles of the depth are lost, as a structured-light camera loses what shines.
        depth_gain: the depth is off by up to this share, all of it alike.
        depth_noise: standard deviation of each pixel's depth at one metre; grows with the square of the distance.
        color_noise: up to so many grey levels of noise, its standard deviation, in the colour image.

    Raises:
        ValueError: a value of another type, or one that cannot be.
    """

    flip: bool = True
    scale: tuple[float, float] = (0.8, 1.6)
    shift: float = 1.0
    turn: float = 0.0
    views: float = 0.0
    crop: tuple[int, int] | None = None
    holes: int = 8
    depth_gain: float = 0.03
    depth_noise: float = 0.0
    color_noise: float = 0.0

    def __post_init__(self) -> None:
        for name, fits, expected in (
            ("flip", isinstance(self.flip, bool), "true or false"),
            ("scale", are_numbers(self.scale, 2) and 0 < self.scale[0] <= self.scale[1] <= 10, "[from, to] in 0..10"),
            ("shift", are_numbers([self.shift]) and 0 <= self.shift <= 1, "a share in 0..1"),
            ("turn", are_numbers([self.turn]) and 0 <= self.turn <= 45, "degrees in 0..45"),
            ("views", are_numbers([self.views]) and 0 <= self.views <= 1, "a share in 0..1"),
            (
                "crop",
                self.crop is None or (are_numbers(self.crop, 2, int) and min(self.crop) >= SMALLEST_CROP),
                f"[height, width], each at least {SMALLEST_CROP}",
            ),
            ("holes", are_numbers([self.holes], 1, int) and self.holes >= 0, "a whole number, 0 or more"),
            ("depth_gain", are_numbers([self.depth_gain]) and 0 <= self.depth_gain < 1, "a share in 0..1"),
            ("depth_noise", are_numbers([self.depth_noise]) and 0 <= self.depth_noise <= 1, "metres in 0..1"),
            ("color_noise", are_numbers([self.color_noise]) and 0 <= self.color_noise <= 50, "grey levels in 0..50"),
        ):
            if not fits:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected {expected}")

    def __call__(self, sample: RgbdSample, rng: np.random.Generator) -> RgbdSample:
        if rng.random() < self.views and np.isfinite(sample.depth).any():
            sample = from_viewpoint(sample, rng)
        if self.flip and rng.random() < 0.5:
            sample = mirrored(sample)
        scale = float(np.exp(rng.uniform(*np.log(self.scale))))
        rotation = np.asarray(cv2.Rodrigues(np.radians(rng.uniform(-self.turn, self.turn, 3)))[0], np.float64)
        x, y = (0.5 + self.shift * (rng.random() - 0.5) for _ in range(2))
        sample = turned_and_zoomed(sample, rotation, scale, (x, y), self.crop)
        depth = sample.depth * np.float32(1 + rng.uniform(-self.depth_gain, self.depth_gain))
        if self.depth_noise:
            depth += np.float32(self.depth_noise) * depth**2 * rng.standard_normal(depth.shape, np.float32)
        rgb = jitter_color(sample.rgb, rng)
        if self.color_noise:
            noise = rng.standard_normal(rgb.shape, np.float32) * np.float32(rng.uniform(0, self.color_noise))
            rgb = np.rint(rgb + noise).clip(0, 255).astype(np.uint8)
        return replace(sample, rgb=rgb, depth=drop_depth(depth, rng, self.holes))


def are_numbers(values: Any, count: int = 1, kind: type | tuple[type, ...] = (int, float)) -> bool:
    """Whether this is a list of so many numbers."""
    return (
        isinstance(values, (list, tuple))
        and len(values) == count
        and all(isinstance(value, kind) and not isinstance(value, bool) for value in values)
    )


def mirrored(sample: RgbdSample) -> RgbdSample:
    """Left and right exchanged, in the camera too; a mirrored place has no pose."""
    return replace(
        sample, rgb=sample.rgb[:, ::-1], depth=sample.depth[:, ::-1],
        label=None if sample.label is None else sample.label[:, ::-1],
        camera=sample.camera.mirrored, map_from_camera=None,
    )  # fmt: skip


def turned_and_zoomed(
    sample: RgbdSample,
    rotation: NDArray[np.float64],
    scale: float,
    offset: tuple[float, float],
    size: tuple[int, int] | None = None,
) -> RgbdSample:
    """Turns the camera on the spot and goes nearer, in one resampling.

    Turning is the homography K R K^-1 and the depth along the new axis. Zooming by s is moving a camera of the same
    focal length s times nearer, so depth is divided by s (Eigen et al., NIPS 2014, section 3.3).

    Args:
        rotation: (3, 3) new_from_old, about the optical centre.
        scale: s; above 1 crops, below 1 pads with void.
        offset: in 0..1, where the window lies within the range that scale and size leave, (x, y).
        size: (H, W) of the window, as the sample if None.
    """
    camera = sample.camera
    height, width = size or (camera.height, camera.width)
    # Whole pixels: what is neither turned nor zoomed stays as sharp, or as blurred, as it is.
    shift = np.rint(np.array(offset) * (scale * camera.width - width, scale * camera.height - height))
    window = np.array([[scale, 0, -shift[0]], [0, scale, -shift[1]], [0, 0, 1]])
    matrix = camera.matrix
    homography = window @ matrix @ rotation @ np.linalg.inv(matrix)
    warp: Any = lambda image, flags, border: cv2.warpPerspective(  # noqa: E731
        np.ascontiguousarray(image), homography, (width, height), flags=flags, borderMode=cv2.BORDER_CONSTANT,
        borderValue=border,
    )  # fmt: skip
    along_x, along_y, along_z = rotation[2] @ np.linalg.inv(matrix) / scale
    u, v = np.arange(camera.width, dtype=np.float32), np.arange(camera.height, dtype=np.float32)
    depth = sample.depth * (u * np.float32(along_x) + v[:, None] * np.float32(along_y) + np.float32(along_z))
    return replace(
        sample,
        rgb=warp(sample.rgb, cv2.INTER_LINEAR, (0, 0, 0)),
        depth=warp(depth, cv2.INTER_NEAREST, float("nan")),
        label=None if sample.label is None else warp(sample.label, cv2.INTER_NEAREST, VOID),
        camera=PinholeCamera(
            width, height, camera.fx, camera.fy, scale * camera.cx - shift[0], scale * camera.cy - shift[1]
        ),
        map_from_camera=None,
    )


def from_viewpoint(sample: RgbdSample, rng: np.random.Generator) -> RgbdSample:
    """The sample's surface as a camera nearby sees it; what it cannot know is void."""
    up = IMAGE_UP if sample.map_from_camera is None else sample.map_from_camera.rotation[2]
    view_from_source = random_viewpoint(rng, median_depth(sample.depth), up)
    view = render_view(sample.rgb, sample.depth, sample.camera, view_from_source, sample.label)
    return replace(sample, rgb=view.rgb, depth=view.depth, label=view.label, map_from_camera=None)


def jitter_color(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Gain per channel, brightness, contrast and gamma, by one lookup table per channel."""
    x = np.linspace(0, 1, 256)[:, None]
    gain = rng.uniform(0.8, 1.25) * rng.uniform(0.9, 1.1, 3)
    contrast, gamma = rng.uniform(0.75, 1.3), rng.uniform(0.75, 1.35)
    table = (np.clip((x - 0.5) * contrast + 0.5, 0, 1) ** gamma * gain * 255).clip(0, 255).astype(np.uint8)
    return cv2.LUT(np.ascontiguousarray(rgb), table[None])  # type: ignore[return-value]


def drop_depth(depth: NDArray[np.float32], rng: np.random.Generator, most: int = 8) -> NDArray[np.float32]:
    """Punches up to `most` rectangular holes."""
    depth = depth.copy()
    height, width = depth.shape
    for _ in range(rng.integers(0, most + 1)):
        h, w = (rng.integers(4, max(5, side // 5)) for side in (height, width))
        y, x = rng.integers(0, height - h), rng.integers(0, width - w)
        depth[y : y + h, x : x + w] = np.nan
    return depth
