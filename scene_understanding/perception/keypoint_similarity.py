"""How alike people's keypoints are: COCO's object keypoint similarity (OKS), and a form of it for tracking.

Keypoints are COCO-18, (N, 18, 2) pixels, NaN where not known. A keypoint at distance d from another one counts
exp(-d^2 / (2 s^2 k^2)), with s^2 the person's area in the image and k twice the keypoint's sigma.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scene_understanding.labels.keypoints import COCO18_SIGMAS

Float = NDArray[np.floating]

AREA_OF_BOX = 0.7
"""A person's pixels as a share of the bounding box of the keypoints. In the embedded world the median is 0.72 of those
of whom at least 14 keypoints are seen, and half of them are within 0.64 and 0.81."""
NARROWEST = 0.3
"""The box's shorter side is taken as this share of the longer one at least: who is seen from the side is not a line."""


def oks(
    pixels_a: Float, pixels_b: Float, area: Float, sigmas: NDArray[np.float64] = COCO18_SIGMAS
) -> NDArray[np.float64]:
    """COCO's similarity (N, M), 0..1, of people as found, (N, 18, 2), and as labelled, (M, 18, 2).

    It is the mean over the keypoints that are labelled; of those, the ones not found count 0. COCO does not label the
    neck: for COCO's own figure, `pixels_b` must have NaN there.

    Args:
        area: (M,) pixels of each labelled person.
        sigmas: (18,) of the keypoints.

    Returns:
        NaN for a person without any labelled keypoint.
    """
    labelled = _known(pixels_b).sum(-1)
    closeness = _closeness(pixels_a, pixels_b, np.asarray(area)[:, None] * (2 * sigmas) ** 2)
    return np.nan_to_num(closeness).sum(-1) / np.where(labelled > 0, labelled, np.nan)


def similarity_in_common(
    pixels_a: Float,
    pixels_b: Float,
    area: Float,
    least: int = 3,
    slack: Float | float = 0.0,
    sigmas: NDArray[np.float64] = COCO18_SIGMAS,
) -> NDArray[np.float64]:
    """Mean (N, M), 0..1, over the keypoints known in both (N, 18, 2) and (M, 18, 2); 0 where those are too few.

    Args:
        area: (M,) pixels of each person of `pixels_b`.
        least: keypoints that must be known in both.
        slack: (M,) or one for all: how far a person may have moved, as a share of the root of the area; its square is
            added to that of k.
        sigmas: (18,) of the keypoints.
    """
    spread = (2 * sigmas) ** 2 + np.broadcast_to(slack, len(pixels_b))[:, None] ** 2
    closeness = _closeness(pixels_a, pixels_b, np.asarray(area)[:, None] * spread)
    common = np.isfinite(closeness).sum(-1)
    return np.where(common >= max(least, 1), np.nan_to_num(closeness).sum(-1) / np.maximum(common, 1), 0.0)


def area_of_keypoints(pixels: Float) -> NDArray[np.float64]:
    """(N,) about how many pixels people (N, 18, 2) cover, where nothing but their keypoints is known: `AREA_OF_BOX` of
    the keypoints' bounding box, whose shorter side is `NARROWEST` of the longer one at least, and 1 at least."""
    known = _known(pixels)[..., None]
    low, high = (np.where(known, np.asarray(pixels, np.float64), fill) for fill in (np.inf, -np.inf))
    size = np.where(known.any(1), high.max(1) - low.min(1), 0.0)
    return np.maximum(AREA_OF_BOX * size.max(-1) * np.maximum(size.min(-1), NARROWEST * size.max(-1)), 1.0)


def _known(pixels: Float) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(pixels).all(-1))


def _closeness(pixels_a: Float, pixels_b: Float, variance: Float) -> NDArray[np.float64]:
    """(N, M, 18) 0..1, NaN where a keypoint is not known in both; `variance` (M, 18) in square pixels."""
    offset = np.asarray(pixels_a, np.float64)[:, None] - pixels_b
    return np.exp(-(offset**2).sum(-1) / (2 * np.maximum(variance, np.finfo(np.float64).tiny)))
