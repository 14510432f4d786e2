"""RGB-D augmentation that stays geometrically true."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Sample = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]
"""rgb (H, W, 3) uint8, depth (H, W) float32 metres with 0 where unknown, label (H, W) uint8 with 255 for void."""


def flip(sample: Sample) -> Sample:
    """Mirrors left and right."""
    rgb, depth, label = sample
    return rgb[:, ::-1], depth[:, ::-1], label[:, ::-1]


def zoom(sample: Sample, scale: float, offset: tuple[float, float]) -> Sample:
    """Scales about a place in the image and crops or pads to the same size.

    Zooming by s is moving a camera of the same focal length s times nearer, so depth is divided by s
    (Eigen et al., NIPS 2014, section 3.3).

    Args:
        scale: s; above 1 crops, below 1 pads with void.
        offset: in 0..1, where the window lies within the range that scale leaves, (x, y).
    """
    rgb, depth, label = sample
    height, width = label.shape
    matrix = np.array([[scale, 0, (1 - scale) * width * offset[0]], [0, scale, (1 - scale) * height * offset[1]]])
    warp: Any = lambda image, flags, border: cv2.warpAffine(  # noqa: E731
        image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=border
    )
    return (
        warp(np.ascontiguousarray(rgb), cv2.INTER_LINEAR, (0, 0, 0)),
        warp(np.ascontiguousarray(depth), cv2.INTER_NEAREST, 0) / np.float32(scale),
        warp(np.ascontiguousarray(label), cv2.INTER_NEAREST, 255),
    )


def jitter_color(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Gain per channel, brightness, contrast and gamma, by one lookup table per channel."""
    x = np.linspace(0, 1, 256)[:, None]
    gain = rng.uniform(0.8, 1.25) * rng.uniform(0.9, 1.1, 3)
    contrast, gamma = rng.uniform(0.75, 1.3), rng.uniform(0.75, 1.35)
    table = (np.clip((x - 0.5) * contrast + 0.5, 0, 1) ** gamma * gain * 255).clip(0, 255).astype(np.uint8)
    return cv2.LUT(np.ascontiguousarray(rgb), table[None])  # type: ignore[return-value]


def drop_depth(depth: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Punches up to eight rectangular holes, as shiny and dark things do to a structured-light camera."""
    depth = depth.copy()
    height, width = depth.shape
    for _ in range(rng.integers(0, 9)):
        h, w = rng.integers(4, height // 5), rng.integers(4, width // 5)
        y, x = rng.integers(0, height - h), rng.integers(0, width - w)
        depth[y : y + h, x : x + w] = 0
    return depth


def augment(sample: Sample, rng: np.random.Generator) -> Sample:
    """The augmentation of training: flip, zoom with depth corrected, colour, depth holes and a depth gain."""
    if rng.random() < 0.5:
        sample = flip(sample)
    scale = float(np.exp(rng.uniform(np.log(0.8), np.log(1.6))))
    rgb, depth, label = zoom(sample, scale, (rng.random(), rng.random()))
    return jitter_color(rgb, rng), drop_depth(depth, rng) * np.float32(rng.uniform(0.97, 1.03)), label
