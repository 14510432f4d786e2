"""Does a network know where it is wrong? Sparsification and calibration of a predicted standard deviation.

Sparsification (Ilg et al.: Uncertainty Estimates and Multi-Hypotheses Networks for Optical Flow, ECCV 2018, section 5):
the pixels of the largest deviation are taken away, share by share; the mean error of the rest falls, at best as if
those of the largest error were taken. The area between the two curves, errors relative to that of all pixels, is the
AUSE, 0 for a perfect order. NumPy alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEPS, BINS = 50, 10


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Attributes:
    removed: (STEPS,) shares of pixels that are taken away, from 0.
    by_deviation, by_error: (STEPS,) mean error of the rest, relative to that of all pixels.
    ause: area between the two; ause_random: the same for an order that knows nothing, for comparison.
    deviation, error: (BINS,) mean predicted deviation and root mean square error of pixels in bins of equal number.
    correlation: Spearman's, of predicted deviation and absolute error.
    """

    removed: NDArray[np.float64]
    by_deviation: NDArray[np.float64]
    by_error: NDArray[np.float64]
    ause: float
    ause_random: float
    deviation: NDArray[np.float64]
    error: NDArray[np.float64]
    correlation: float


def judge_uncertainty(error: NDArray[np.floating], deviation: NDArray[np.floating]) -> Uncertainty:
    """Of pixels (N,) with their absolute error and their predicted standard deviation, both metres.

    Raises:
        ValueError: no pixels.
    """
    if not len(error):
        raise ValueError("there are no pixels to judge an uncertainty by")
    removed = np.arange(STEPS) / STEPS
    by_deviation, by_error = (_sparsified(error, order, removed) for order in (deviation, error))
    bins = np.array_split(np.argsort(deviation, kind="stable"), BINS)
    return Uncertainty(
        removed,
        by_deviation,
        by_error,
        float((by_deviation - by_error).mean()),
        float((1 - by_error).mean()),
        np.array([deviation[part].mean() for part in bins if len(part)]),
        np.array([np.sqrt((error[part].astype(np.float64) ** 2).mean()) for part in bins if len(part)]),
        _rank_correlation(error, deviation),
    )


def _sparsified(
    error: NDArray[np.floating], order: NDArray[np.floating], removed: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean error of what is left after the largest of `order` are taken away, relative to that of all."""
    total = np.cumsum(error[np.argsort(order, kind="stable")], dtype=np.float64)
    left = np.maximum(1, np.round((1 - removed) * len(error)).astype(int))
    mean = total[-1] / len(error)
    relative: NDArray[np.float64] = total[left - 1] / left / mean if mean else np.ones(len(left))
    return relative


def _rank_correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    if len(a) < 2:
        return float("nan")
    x, y = (np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (a, b))
    return float(np.corrcoef(x, y)[0, 1])
