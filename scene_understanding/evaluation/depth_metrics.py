"""Errors of a depth image against measured or true depth (Eigen et al., NIPS 2014, section 4; NumPy alone).

Errors are of one image and then averaged over images; where all pixels of all images are pooled, images with many known
pixels count more and the figures are other ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ERRORS = ("rel", "sq_rel", "log10", "rms", "rmslog", "d1", "d2", "d3")
EIGEN_CROP = (20, 459, 24, 615)
"""Rows and columns, first and behind the last, of the part of NYUv2's 480x640 images that papers compare."""


def eigen_crop(shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The part of an image of `shape` (H, W) that `EIGEN_CROP` is of 480x640."""
    top, bottom, left, right = EIGEN_CROP
    rows, columns = shape[0] / 480, shape[1] / 640
    return slice(round(top * rows), round(bottom * rows)), slice(round(left * columns), round(right * columns))


def counted_part(shape: tuple[int, ...], crop: str) -> tuple[slice, slice]:
    """The part of an image of `shape` (H, W) that counts: `eigen_crop` with "eigen", all of it with ""."""
    return eigen_crop(shape) if crop == "eigen" else (slice(None), slice(None))


def depth_errors(
    predicted: NDArray[np.float32], truth: NDArray[np.float32], smallest: float = 1e-3, largest: float = 10.0
) -> dict[str, float]:
    """Errors over the pixels of one image whose truth lies between `smallest` and `largest` metres.

    With p predicted, clipped to that range, and t true: `rel` mean |p - t| / t; `sq_rel` mean (p - t)^2 / t; `rms` root
    of mean (p - t)^2; `rmslog` the same of natural logarithms; `log10` mean |log10 p - log10 t|; `d1`, `d2`, `d3`
    shares with max(p / t, t / p) below 1.25, 1.25^2, 1.25^3. All are NaN where no pixel counts; a pixel that counts and
    whose prediction is NaN is in none of those shares and makes the other errors NaN.

    Args:
        predicted, truth: (H, W) float32, metres; truth is anything else than positive and finite where unknown.
    """
    known = (truth > smallest) & (truth < largest)
    if not known.any():
        return dict.fromkeys(ERRORS, float("nan"))
    t, p = truth[known].astype(np.float64), predicted[known].astype(np.float64).clip(smallest, largest)
    e, log = p - t, np.log(p) - np.log(t)
    ratio = np.exp(np.abs(log))
    return {
        "rel": float((np.abs(e) / t).mean()),
        "sq_rel": float((e**2 / t).mean()),
        "log10": float(np.abs(log).mean() / np.log(10)),
        "rms": float(np.sqrt((e**2).mean())),
        "rmslog": float(np.sqrt((log**2).mean())),
        **{f"d{k}": float((ratio < 1.25**k).mean()) for k in (1, 2, 3)},
    }


def mean_errors(images: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean over images of each of their errors; images of which no pixel counts are left out, NaN if all are."""
    counted = [errors for errors in images if np.isfinite(errors["d1"])]
    if not counted:
        return dict.fromkeys(ERRORS, float("nan"))
    return {name: float(np.mean([errors[name] for errors in counted])) for name in ERRORS}
