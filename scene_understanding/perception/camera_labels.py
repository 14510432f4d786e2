"""Labels of LiDAR points out of a camera's mask: the cheap path, no network but the camera's own.

A point is what its pixel shows only if nothing nearer is there: the camera and the LiDAR stand at different places, so
each sees things that are hidden from the other. The depth image tells where there is one; elsewhere the points
themselves hide each other, each being as large as the points are apart. A surface seen at a slant does not hide itself:
what hides a point must be nearer by more than a surface would be that is seen at `graze` (as Pintus, Gobbetti, Agus,
"Real-time rendering of massive unstructured raw point clouds using screen-space operators", VAST 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import PinholeCamera
from scene_understanding.labels import UNLABELLED

Pixels = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows and columns."""
BOX = 16
"""Pixels: the image is divided into boxes of this side to see how densely points cover it."""
WIDEST = 12
"""Pixels: no point hides more than this far around it."""


@dataclass(frozen=True)
class CameraLabelParameters:
    """How strict the test of occlusion is.

    Attributes:
        tolerance, relative: depths agree that differ by less than the larger of `tolerance`, metres, and `relative`
            times the depth.
        window: pixels around its own in which a point may find a pixel of its depth.
        graze: radians between ray and surface below which a nearer point is taken for something that hides.
        edge: factor of the confidence at borders between classes where the mask may be some pixels off.
    """

    tolerance: float = 0.1
    relative: float = 0.05
    window: int = 2
    graze: float = 0.12
    edge: float = 0.5

    def slack(self, depth: NDArray[np.floating]) -> NDArray[np.floating]:
        """By how much, metres, depths may differ from `depth` and still be of the same surface."""
        return np.maximum(self.tolerance, self.relative * depth)


def label_from_camera(
    xyz: NDArray[np.floating],
    camera: PinholeCamera,
    mask: NDArray[np.uint8],
    confidence: NDArray[np.uint8] | None = None,
    depth: NDArray[np.float32] | None = None,
    parameters: CameraLabelParameters = CameraLabelParameters(),
) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Class ids (N,) uint16 and confidences (N,) float32 of points (N, 3) in the camera's frame.

    What is outside of the image, behind the camera, hidden, or not finite is 255 with confidence 0.

    Args:
        xyz: (N, 3) metres, optical frame; of one moment with the mask.
        camera: of the mask, without a lens.
        mask: (H, W) class ids, 255 unlabelled.
        confidence: (H, W) 0..255; None: fully certain.
        depth: (H, W) metres, NaN where unknown; None: nowhere known.

    Raises:
        ValueError: an image of another size than the camera's.
    """
    for name, image in (("mask", mask), ("confidence", confidence), ("depth", depth)):
        if image is not None and image.shape != camera.shape:
            size = f"{image.shape[1]}x{image.shape[0]}"
            raise ValueError(f"{name} is {size}, the camera {camera.width}x{camera.height}")
    label, certainty = np.full(len(xyz), UNLABELLED, np.uint16), np.zeros(len(xyz), np.float32)
    inside, pixels, z = _seen(xyz, camera)
    known, agrees, jump, shown = _compared(pixels, z, depth, parameters)
    visible = np.where(known, agrees, ~_hidden(pixels, z, camera, parameters))
    found = mask[shown]
    visible &= found != UNLABELLED
    unsure = _borders(mask, parameters.window)[pixels] & (jump | ~known)
    share = np.ones(len(z), np.float32) if confidence is None else confidence[shown] * np.float32(1 / 255)
    index = inside[visible]
    label[index] = found[visible]
    certainty[index] = np.where(unsure, np.float32(parameters.edge), np.float32(1))[visible] * share[visible]
    return label, certainty


def _seen(xyz: NDArray[np.floating], camera: PinholeCamera) -> tuple[NDArray[np.intp], Pixels, NDArray[np.float64]]:
    """Which points are in the image: their indices (M,), pixels, and depths (M,)."""
    ahead = np.flatnonzero(xyz[:, 2] > 0)  # NaN is not
    uv, z = camera.project(xyz[ahead])
    low, high = (-0.5, -0.5), (camera.width - 0.5, camera.height - 0.5)
    inside = ((uv >= low) & (uv < high)).all(1)
    column, row = np.rint(uv[inside]).astype(np.intp).T
    return ahead[inside], (np.minimum(row, camera.height - 1), np.minimum(column, camera.width - 1)), z[inside]


def _compared(
    pixels: Pixels, z: NDArray[np.float64], depth: NDArray[np.float32] | None, parameters: CameraLabelParameters
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_], Pixels]:
    """What the depth image says of points of depths (M,) at their pixels.

    Returns:
        Whether it says anything; whether it shows something at the point's depth; whether there is a jump in it, all
        (M,); and which pixels show it: the nearest ones that agree, else the point's own.
    """
    if depth is None:
        nothing = np.zeros(len(z), bool)
        return nothing, nothing, nothing, pixels
    row, column = _window(pixels, depth.shape, parameters.window)
    around = depth[row, column]
    slack = parameters.slack(z)[:, None]
    agreeing = np.abs(around - z[:, None]) <= slack
    nearest = agreeing.argmax(1)  # the first is the point's own pixel, the last the farthest from it
    finite = np.isfinite(around)
    extent = np.where(finite, around, -np.inf).max(1) - np.where(finite, around, np.inf).min(1)
    known, agrees, jump = (np.asarray(x) for x in (finite.any(1), agreeing.any(1), extent > slack[:, 0]))
    points = np.arange(len(z))
    return known, agrees, jump, (row[points, nearest], column[points, nearest])


def _window(pixels: Pixels, shape: tuple[int, ...], radius: int) -> Pixels:
    """Rows and columns (M, K) of the K pixels up to `radius` around each, nearest first, pushed into the image."""
    steps = np.arange(-radius, radius + 1)
    dy, dx = (d.ravel() for d in np.meshgrid(steps, steps, indexing="ij"))
    order = np.argsort(dy**2 + dx**2, kind="stable")
    row, column = (p[:, None] + d[order] for p, d in zip(pixels, (dy, dx), strict=True))
    return np.clip(row, 0, shape[0] - 1), np.clip(column, 0, shape[1] - 1)


def _hidden(
    pixels: Pixels, z: NDArray[np.float64], camera: PinholeCamera, parameters: CameraLabelParameters
) -> NDArray[np.bool_]:
    """(M,) whether another of the points is in front of each, as far around it as points are apart."""
    hidden = np.zeros(len(z), bool)
    nearest: NDArray[Any] = np.full(camera.shape, np.inf, np.float32)
    far_first = np.argsort(-z)
    nearest[pixels[0][far_first], pixels[1][far_first]] = z[far_first]
    pixel = 1 / min(camera.fx, camera.fy)
    for radius in range(1, _spacing(pixels, camera) + 1):
        nearest = cv2.erode(nearest, np.ones((3, 3), np.uint8))
        surface = z * radius * pixel / np.tan(parameters.graze)
        hidden |= z - nearest[pixels] > parameters.slack(z) + surface
    return hidden


def _spacing(pixels: Pixels, camera: PinholeCamera) -> int:
    """Pixels between points where there are any, rounded up; rings are further apart, and points on them less."""
    boxes = np.unique(pixels[0] // BOX * (camera.width // BOX + 1) + pixels[1] // BOX)
    apart = np.sqrt(len(boxes) * BOX**2 / max(len(pixels[0]), 1))
    return min(int(np.ceil(apart)), WIDEST)


def _borders(mask: NDArray[np.uint8], radius: int) -> NDArray[np.bool_]:
    """(H, W) whether there is more than one class up to `radius` pixels around."""
    square = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return np.asarray(cv2.dilate(mask, square) != cv2.erode(mask, square))
