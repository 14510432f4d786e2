"""Skeletons over the image that they were found in."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.labels.keypoints import COCO18_COLOURS, COCO18_LIMBS
from scene_understanding.perception.skeletons import Skeletons

WIDTH = 0.018
"""Of a limb, as a share of the person's size."""
NARROWEST, WIDEST = 1.5, 6.0
"""Pixels between which that is kept."""
EDGE = 1.0
"""Pixels of black around every limb and joint, so that they show on any ground."""
JOINT = 0.8
"""Radius of a joint as a share of its limbs' width."""
FRACTION = 4
"""Bits behind the point of the coordinates that OpenCV draws at."""


def draw_skeletons(rgb: NDArray[np.uint8], skeletons: Skeletons) -> NDArray[np.uint8]:
    """A copy of the image (H, W, 3) uint8 RGB with everybody's limbs and joints, the surest on top.

    A limb has the colour of its second keypoint, a joint its own; what is not seen is left out.
    """
    canvas = np.array(rgb, order="C")
    for pixels in skeletons.pixels[::-1]:
        _draw_person(canvas, pixels)
    return canvas


def line_width(pixels: NDArray[np.float32]) -> float:
    """Pixels that suit a person with keypoints (18, 2) float32, of which one at least is seen, by their size."""
    size = np.hypot(*np.ptp(pixels[np.isfinite(pixels[:, 0])], axis=0))
    return float(np.clip(WIDTH * size, NARROWEST, WIDEST))


def _draw_person(canvas: NDArray[np.uint8], pixels: NDArray[np.float32]) -> None:
    """Draws keypoints (18, 2) float32, NaN where not seen: black first, a little wider, then the colours."""
    seen = np.isfinite(pixels[:, 0])
    if not seen.any():
        return
    width = line_width(pixels)
    points = np.rint(np.nan_to_num(pixels) * 2**FRACTION).astype(int).tolist()
    limbs = [(a, b) for a, b in COCO18_LIMBS if seen[a] and seen[b]]
    for edge in (EDGE, 0.0):
        thickness = max(1, round(width + 2 * edge))
        radius = round((JOINT * width + edge) * 2**FRACTION)
        for a, b in limbs:
            colour = (0, 0, 0) if edge else COCO18_COLOURS[b].tolist()
            cv2.line(canvas, points[a], points[b], colour, thickness, cv2.LINE_AA, FRACTION)
        for k in np.flatnonzero(seen):
            colour = (0, 0, 0) if edge else COCO18_COLOURS[k].tolist()
            cv2.circle(canvas, points[k], radius, colour, cv2.FILLED, cv2.LINE_AA, FRACTION)
