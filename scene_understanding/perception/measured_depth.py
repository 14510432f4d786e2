"""Measured and predicted depth of one image: how their scales compare, and the one's holes filled with the other.

Depth is (H, W) float32, metres; a measured one is NaN or not above 0 where unknown.
"""

from __future__ import annotations

from math import exp

import cv2
import numpy as np
from numpy.typing import NDArray

LEAST_KNOWN = 0.01
"""Share of the pixels that must be measured for their ratio to be that of the image."""
WIDEST = 2.0
"""Local ratios further from the image's than this factor come from edges that the network draws elsewhere."""


def scale_ratio(
    measured: NDArray[np.float32], predicted: NDArray[np.float32], least_known: float = LEAST_KNOWN
) -> float:
    """Median of measured / predicted over the pixels where both are known; NaN where those are too few."""
    known = _known(measured) & _known(predicted)
    if np.count_nonzero(known) < max(1.0, least_known * known.size):
        return float("nan")
    return float(np.median(measured[known] / predicted[known]))


def filled(measured: NDArray[np.float32], predicted: NDArray[np.float32], ratio: float) -> NDArray[np.float32]:
    """Measured depth (H, W) float32 with its holes filled with predicted depth, drawn to the measured one around them.

    In a hole the prediction is multiplied by a ratio that continues those of the pixels around it smoothly, so that the
    hole joins its border without a step: interpolation of scattered data by push-pull (Gortler et al., "The Lumigraph",
    SIGGRAPH 1996), which is a normalised convolution whose width grows with the distance to what is known. Far from
    everything known the ratio is that of the image. Measured pixels stay as they are.

    Args:
        ratio: of the image, as by `scale_ratio`.
    """
    known = _known(measured)
    comparable = known & _known(predicted)
    ratios = np.full_like(predicted, ratio)
    np.divide(measured, predicted, out=ratios, where=comparable)
    ratios = ratios.clip(ratio / WIDEST, ratio * WIDEST)
    return np.where(known, measured, predicted * _spread(ratios, comparable.astype(np.float32), ratio))


def _known(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    return (depth > 0) & (depth < np.inf)


def _spread(values: NDArray[np.float32], weight: NDArray[np.float32], prior: float) -> NDArray[np.float32]:
    """Values (H, W), as far as their weights 0..1 reach, over what a coarser level says of the rest."""
    if min(values.shape) < 4:
        return weight * values + (1 - weight) * np.float32(prior)
    half_weight, half_sum = _halved(weight), _halved(values * weight)
    mean = np.full_like(half_sum, prior)
    np.divide(half_sum, half_weight, out=mean, where=half_weight > 1e-6)
    # A quarter of the pixels below a cell is enough for it to count in full.
    coarser = _spread(mean, np.minimum(4 * half_weight, 1), prior)
    return weight * values + (1 - weight) * _doubled(coarser, values.shape)


def _halved(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.pyrDown(image), np.float32)


def _doubled(image: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.asarray(cv2.pyrUp(image, dstsize=(shape[1], shape[0])), np.float32)


class ScaleDrift:
    """How far the newest scale ratio is from its long-run average.

    The average weighs a ratio of age t by exp(-t / time_constant), so that it is a plain mean in the beginning.

    Args:
        time_constant: seconds.
    """

    def __init__(self, time_constant: float) -> None:
        self.time_constant = time_constant
        self.average = float("nan")
        self.drift = float("nan")
        self._sum = self._weight = 0.0
        self._stamp_ns: int | None = None

    def update(self, ratio: float, stamp_ns: int) -> None:
        """Takes in the ratio of an image; a NaN changes nothing. Stamps must not go backwards."""
        if np.isnan(ratio):
            return
        passed = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) * 1e-9
        left = exp(-passed / self.time_constant)
        self._sum, self._weight = self._sum * left + ratio, self._weight * left + 1
        self._stamp_ns = stamp_ns
        self.average = self._sum / self._weight
        self.drift = ratio / self.average - 1
