"""What a lens with a shallow depth of field makes of an image whose depth is known.

Layered thin-lens model of Hasinoff and Kutulakos (A layer-based restoration framework for variable-aperture
photography, ICCV 2007). The scene is cut into layers by its blur. From far to near, each is blurred as a whole and laid
over those behind it; it continues behind those in front of it, since a blurred near edge lets through what it hides.

Choices of ours:
- Layers overlap: a pixel between two of them belongs to both by shares, so the blur of a slanted surface has no steps.
- Levels are dense where the blur is small, where a step of it shows most.
- Light is blurred, not grey levels, which are its power 1/2.2: of real blur this explains more (docs/datasets.md).
- What a near thing hides is not in the image; behind it a layer continues with its nearest known colours.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

LAYERS = 20
"""Most that an image is cut into, about."""

GAMMA = 2.2

REACH = 3.0
"""Deviations beyond which a layer's edge is as good as sharp."""

KERNELS = ("gaussian", "disk")


@dataclass(frozen=True)
class ThinLens:
    """A thin lens and the sensor behind it.

    Attributes:
        focal_length: metres.
        f_number: focal length over the diameter of the aperture.
        focus: distance of the plane that is sharp, metres.
        pixel_pitch: side of a pixel of the image, metres (of an image made smaller, so much larger than the sensor's).
        rho: deviation of the blur over the diameter of its circle.

    Raises:
        ValueError: a value that is not above 0, or a focus within the focal length.
    """

    focal_length: float
    f_number: float
    focus: float
    pixel_pitch: float
    rho: float = 0.3

    def __post_init__(self) -> None:
        for name in ("focal_length", "f_number", "focus", "pixel_pitch", "rho"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"lens {name} is {value}; it must be above 0")
        if self.focus <= self.focal_length:
            raise ValueError(f"lens focus is {self.focus} m; it must be beyond the focal length, {self.focal_length} m")

    def blur_sigma(self, depth: Float32) -> Float32:
        """Deviation of the blur, pixels, float32 like `depth`, metres along the optical axis.

        sigma = rho (f / N) v |1/f - 1/depth - 1/v| / pitch, with v = 1 / (1/f - 1/focus) the distance of the sensor;
        `rho` times the diameter of the circle of confusion.
        """
        return np.abs(self.signed_sigma(depth))

    def signed_sigma(self, depth: Float32) -> Float32:
        """`blur_sigma`, negative in front of the plane that is sharp; grows with the depth."""
        sensor = 1 / (1 / self.focal_length - 1 / self.focus)
        scale = self.rho * self.focal_length / self.f_number * sensor / self.pixel_pitch
        return np.asarray(np.float32(scale) * (np.float32(1 / self.focus) - 1 / depth), np.float32)


def defocused(rgb: NDArray[np.uint8], depth: Float32, lens: ThinLens, kernel: str = "gaussian") -> NDArray[np.uint8]:
    """The sharp image `rgb` (H, W, 3) uint8 as `lens` sees it.

    Args:
        depth: (H, W) float32, metres along the optical axis; where it is NaN the nearest known one is taken.
        kernel: of the blur, "gaussian" or "disk"; a disk of the same deviation has twice its radius.

    Raises:
        ValueError: an unknown kernel, images of two sizes, a depth that is not above 0, or none known.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel is '{kernel}'; kernels are {', '.join(KERNELS)}")
    if depth.shape != rgb.shape[:2]:
        raise ValueError(f"depth is {depth.shape[1]}x{depth.shape[0]}, the image {rgb.shape[1]}x{rgb.shape[0]}")
    light = np.asarray((rgb / np.float32(255)) ** np.float32(GAMMA), np.float32)
    sigma = lens.signed_sigma(_filled(depth))
    place, sigmas = _layers(sigma)
    out = light
    for k in range(len(sigmas) - 1, -1, -1):
        part = np.abs(place - k) < 1
        if not part.any():
            continue
        distance, nearest = _nearest(part)
        # Behind what is nearer a layer goes on as far as that one's blur may show it; farther away others lie there.
        reach = np.ceil(REACH * np.abs(sigmas[: k + 1]).max()) + 1
        cover = np.asarray(np.clip(k + 1 - place, 0, 1) * (distance <= reach), np.float32)
        alpha = blurred_by(cover, abs(sigmas[k]), kernel)[..., None]
        colour = blurred_by(light.reshape(-1, 3)[nearest], abs(sigmas[k]), kernel)
        out = out + alpha * (colour - out)
    grey = np.clip(out, 0, 1) ** np.float32(1 / GAMMA) * np.float32(255)
    return np.rint(grey).astype(np.uint8)


def _filled(depth: Float32) -> Float32:
    """Depth (H, W) with the nearest known one where it is NaN."""
    known = np.isfinite(depth)
    if not known.any():
        raise ValueError("no pixel of the depth is known")
    if not (depth[known] > 0).all():
        raise ValueError(f"depth is {depth[known].min()} m somewhere; it must be above 0")
    return depth if known.all() else depth.ravel()[_nearest(known)[1]]


def _layers(sigma: Float32) -> tuple[Float32, list[float]]:
    """Place of each pixel (H, W) among the layers, 0 nearest, with fractions; signed blur of each layer, pixels.

    Levels are even steps of asinh(2 sigma); one of them is 0, so that what is sharp stays so.
    """
    level = np.arcsinh(2 * sigma)
    low, high = min(float(level.min()), 0.0), max(float(level.max()), 0.0)
    step = max((high - low) / LAYERS, 0.05)
    first, last = int(np.floor(low / step)), int(np.ceil(high / step))
    place = np.asarray(level / step - first, np.float32)
    return place, [float(np.sinh(k * step) / 2) for k in range(first, last + 1)]


def _nearest(part: NDArray[np.bool_]) -> tuple[Float32, NDArray[np.intp]]:
    """For each pixel the distance to the nearest one of `part` (H, W), and that one's number in the flat image."""
    distance, label = cv2.distanceTransformWithLabels(
        (~part).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    number = np.zeros(int(label.max()) + 1, np.intp)
    number[label[part]] = np.flatnonzero(part)
    return np.asarray(distance, np.float32), number[label]


def blurred_by(image: Float32, sigma: float, kernel: str) -> Float32:
    """`image` (H, W) or (H, W, 3) float32, which goes on beyond its border as it is there."""
    if sigma < 0.05:
        return image
    border = cv2.BORDER_REPLICATE
    if kernel == "gaussian":
        size = 2 * int(np.ceil(4 * sigma)) + 1
        return np.asarray(cv2.GaussianBlur(image, (size, size), sigma, borderType=border), np.float32)
    return np.asarray(cv2.filter2D(image, -1, _disk(2 * sigma), borderType=border), np.float32)


def _disk(radius: float) -> Float32:
    """(n, n) float32 of sum 1: the share of each pixel within `radius`, pixels, of the middle one's centre."""
    half, parts = int(np.ceil(radius + 0.5)), 8
    axis = np.arange((2 * half + 1) * parts, dtype=np.float32) + np.float32(0.5)
    axis = axis / np.float32(parts) - np.float32(half + 0.5)
    inside = axis[:, None] ** 2 + axis**2 <= np.float32(radius) ** 2
    disk = inside.reshape(2 * half + 1, parts, 2 * half + 1, parts).mean((1, 3), dtype=np.float32)
    return np.asarray(disk / disk.sum(), np.float32)
