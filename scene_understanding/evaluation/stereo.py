"""Disparity of one image against a classical matcher of the pair (Hirschmüller: Stereo Processing by Semi-Global
Matching and Mutual Information, PAMI 2008, as OpenCV has it)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.kitti_stereo import StereoSample
from scene_understanding.evaluation.timing import EvaluationError, TimedNetwork, timed
from scene_understanding.perception.inputs import color_input

DISPARITIES, BLOCK = 128, 5
AGREEMENT = 1.0
"""Pixels by which the matches from the left and from the right may differ."""

Predictor = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""A left image (H, W, 3) uint8 to its disparity (H, W) float32 in pixels."""


def matched(sample: StereoSample) -> NDArray[np.float32]:
    """Disparity (H, W) float32 of the left image in pixels, NaN where the matches of left and right disagree."""
    left, right = (np.asarray(cv2.cvtColor(i, cv2.COLOR_RGB2GRAY), np.uint8) for i in (sample.left, sample.right))
    one = _semi_global(left, right)
    other = _semi_global(right[:, ::-1], left[:, ::-1])[:, ::-1]
    x = np.arange(left.shape[1], dtype=np.float32) - one
    rows = np.arange(left.shape[0])[:, None]
    there = np.clip(np.rint(np.nan_to_num(x)), 0, left.shape[1] - 1).astype(int)
    agrees = np.abs(one - other[rows, there]) <= AGREEMENT
    return np.where(agrees, one, np.float32(np.nan))


def _semi_global(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.float32]:
    matcher = cv2.StereoSGBM.create(
        0, DISPARITIES, BLOCK, P1=8 * BLOCK**2, P2=32 * BLOCK**2, uniquenessRatio=10, speckleWindowSize=100,
        speckleRange=2, mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )  # fmt: skip
    found = matcher.compute(np.ascontiguousarray(left), np.ascontiguousarray(right)).astype(np.float32) / 16
    return np.where(found > 0, found, np.float32(np.nan))


def disparity_errors(predicted: NDArray[np.float32], reference: NDArray[np.float32]) -> dict[str, float]:
    """`epe` mean |p - r| in pixels; `bad` share of pixels off by 3 pixels and 5 % (KITTI's D1); `good` the rest.

    Args:
        predicted, reference: (H, W) float32 pixels; NaN in the reference where it is unknown.
    """
    known = np.isfinite(reference)
    if not known.any():
        return dict.fromkeys(("epe", "bad", "good"), float("nan"))
    error = np.abs(predicted[known] - reference[known])
    bad = float(((error >= 3) & (error >= 0.05 * reference[known])).mean())
    return {"epe": float(error.mean()), "bad": bad, "good": 1 - bad}


def in_pixels(disparity: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Disparity (h, w), a share of the width, as pixels of an image of `shape` (H, W)."""
    pixels = disparity * np.float32(shape[1])
    return np.asarray(cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def evaluate(
    network: TimedNetwork, samples: Iterable[StereoSample], flip: bool = False
) -> tuple[dict[str, float], NDArray[np.float64], NDArray[np.float64]]:
    """`disparity_errors` against the matcher, averaged over pairs, and milliseconds of each in the network and in all.

    `known` is the share of pixels that the matcher knows; pairs in which it knows none do not count.

    Args:
        flip: post-processed as in the paper.

    Raises:
        EvaluationError: no pairs, or none in which the matcher finds anything.
    """
    spec = network.card.inputs["color"]

    def own(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return in_pixels(network({"color": color_input(image, spec)})["disparity"][0, 0], image.shape[:2])

    predictor = post_processed(own) if flip else own
    rows: list[dict[str, float]] = []
    times: list[tuple[float, float]] = []
    for sample in samples:
        disparity, milliseconds = timed(network, partial(predictor, sample.left), not times)
        times.append(milliseconds)
        reference = matched(sample)
        rows.append({**disparity_errors(disparity, reference), "known": float(np.isfinite(reference).mean())})
    if not times:
        raise EvaluationError("the dataset has no pairs")
    counted = [row for row in rows if row["known"]]
    if not counted:
        raise EvaluationError("the matcher finds nothing in any pair; are left and right exchanged?")
    network_ms, total_ms = np.array(times).T
    return {key: float(np.mean([row[key] for row in counted])) for key in counted[0]}, network_ms, total_ms


def post_processed(predictor: Predictor) -> Predictor:
    """Averages with the mirrored image's disparity, but takes each alone at the side that it sees.

    Godard et al., CVPR 2017, section 4.2: ramps over a twentieth of the width at either side.
    """

    def both(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        own = predictor(image)
        mirrored = predictor(np.ascontiguousarray(image[:, ::-1]))[:, ::-1]
        share = np.linspace(0, 1, image.shape[1], dtype=np.float32)
        left = 1 - np.clip(20 * (share - np.float32(0.05)), 0, 1)
        right = left[::-1]
        return left * mirrored + right * own + (1 - left - right) * (own + mirrored) / 2

    return both
