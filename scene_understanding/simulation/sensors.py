"""What sensors make of an ideal frame: camera noise, and the depth of a structured-light camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scene_understanding.geometry import PinholeCamera

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class ColorNoise:
    """Faults of a small colour camera.

    Attributes:
        read: deviation of the noise of dark pixels, grey levels.
        shot: deviation added at full white, grey levels; grows with the root of the brightness.
        blur: deviation of the lens blur, pixels.
        vignette: share of light lost in the corners.
        balance: relative deviation of the red and blue gains, drawn once per seed.
        exposure: relative deviation of the exposure, drawn for every frame.
    """

    read: float = 1.8
    shot: float = 4.0
    blur: float = 0.55
    vignette: float = 0.18
    balance: float = 0.05
    exposure: float = 0.04


@dataclass(frozen=True)
class DepthNoise:
    """Faults of a structured-light or active stereo depth camera.

    Attributes:
        nearest, farthest: range limits, metres.
        baseline: between projector and camera, metres.
        disparity_step: smallest disparity that is told apart, pixels of a 640 px wide image.
        disparity_noise: deviation of the disparity, in the same pixels.
        lateral: deviation of where a pixel's depth is taken from, pixels.
        grazing: cosine to the surface normal below which pixels get lost.
        edge: depth step, relative to the depth, that counts as an edge; pixels at edges get lost.
        edge_loss: share of pixels lost at edges.
        speckle: share of pixels lost anywhere.
    """

    nearest: float = 0.4
    farthest: float = 8.0
    baseline: float = 0.075
    disparity_step: float = 0.125
    disparity_noise: float = 0.06
    lateral: float = 0.5
    grazing: float = 0.12
    edge: float = 0.06
    edge_loss: float = 0.6
    speckle: float = 0.001


@dataclass(frozen=True)
class RgbdNoise:
    """Both sensors of an RGB-D camera; the same seed and frame index give the same noise."""

    seed: int = 0
    color: ColorNoise = ColorNoise()
    depth: DepthNoise = DepthNoise()

    def apply(
        self, rgb: NDArray[np.uint8], depth: Float32, camera: PinholeCamera, index: int
    ) -> tuple[NDArray[np.uint8], Float32]:
        """Noisy colour (H, W, 3) uint8 and depth (H, W) float32, NaN where lost, of frame number `index`."""
        rng = np.random.Generator(np.random.SFC64([self.seed, index]))
        gains = np.exp(np.random.default_rng(self.seed).normal(0, self.color.balance, 2))
        noisy = noisy_color(rgb, self.color, (float(gains[0]), 1.0, float(gains[1])), rng)
        return noisy, noisy_depth(depth, camera, self.depth, rng)


def noisy_color(
    rgb: NDArray[np.uint8], noise: ColorNoise, gains: tuple[float, float, float], rng: Generator
) -> NDArray[np.uint8]:
    """`rgb` (H, W, 3) as a small sensor with channel `gains` sees it."""
    height, width = rgb.shape[:2]
    image = cv2.GaussianBlur(rgb, (0, 0), noise.blur).astype(np.float32) if noise.blur > 0 else rgb.astype(np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] ** 2
    x = np.linspace(-1, 1, width, dtype=np.float32) ** 2
    exposure = float(np.exp(rng.normal(0, noise.exposure)))
    image *= ((1 - np.float32(noise.vignette / 2) * (x + y)) * np.float32(exposure))[..., None]
    image *= np.array(gains, np.float32)
    deviation = np.sqrt(noise.read**2 + np.float32(noise.shot**2 / 255) * image)
    image += deviation * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def noisy_depth(depth: Float32, camera: PinholeCamera, noise: DepthNoise, rng: Generator) -> Float32:
    """`depth` (H, W), metres, as triangulation measures it: quantised in disparity, lost at edges."""
    shape = depth.shape
    shifted = _shifted(depth, noise.lateral, rng)
    scale = np.float32(noise.baseline * camera.fx * 640 / camera.width)
    smooth = cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (0, 0), 0.8) * np.float32(2.8)
    disparity = scale / shifted + np.float32(noise.disparity_noise) * smooth
    step = np.float32(noise.disparity_step)
    with np.errstate(divide="ignore", invalid="ignore"):
        measured = scale / (np.rint(disparity / step) * step)
    lost = _lost(depth, camera, noise, rng)
    lost |= ~((measured >= noise.nearest) & (measured <= noise.farthest))
    measured[lost] = np.nan
    return measured


def _shifted(depth: Float32, lateral: float, rng: Generator) -> Float32:
    """Each pixel takes the depth of a place `lateral` pixels (deviation) away."""
    height, width = depth.shape
    offsets = rng.standard_normal((2, height, width), dtype=np.float32) * np.float32(lateral)
    columns = np.arange(width, dtype=np.float32) + offsets[0]
    rows = np.arange(height, dtype=np.float32)[:, None] + offsets[1]
    return np.asarray(cv2.remap(depth, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _lost(depth: Float32, camera: PinholeCamera, noise: DepthNoise, rng: Generator) -> NDArray[np.bool_]:
    """(H, W) bool: pixels without a measurement."""
    chance = rng.random(depth.shape, dtype=np.float32)
    lost = np.isnan(depth) | (chance < noise.speckle)
    filled = np.nan_to_num(depth)
    near = cv2.erode(filled, np.ones((3, 3), np.uint8))
    edge = cv2.dilate(filled, np.ones((3, 3), np.uint8)) - near > np.float32(noise.edge) * near
    slope_x = cv2.Sobel(filled, cv2.CV_32F, 1, 0, scale=0.125) * np.float32(camera.fx)
    slope_y = cv2.Sobel(filled, cv2.CV_32F, 0, 1, scale=0.125) * np.float32(camera.fy)
    cosine = filled / np.sqrt(slope_x**2 + slope_y**2 + filled**2 + np.float32(1e-6))
    lost |= edge & (chance < noise.edge_loss)
    lost |= cosine < np.float32(noise.grazing) * (np.float32(0.5) + chance)
    return lost | _in_shadow(filled, camera, noise)


def _in_shadow(depth: Float32, camera: PinholeCamera, noise: DepthNoise) -> NDArray[np.bool_]:
    """Pixels that the projector, `baseline` to the right of the camera, does not reach."""
    with np.errstate(divide="ignore"):
        seen_at = np.arange(depth.shape[1], dtype=np.float32) - np.float32(noise.baseline * camera.fx) / np.maximum(
            depth, np.float32(0.05)
        )
    from_right = np.minimum.accumulate(seen_at[:, ::-1], axis=1)[:, ::-1]
    return seen_at > from_right + 1
