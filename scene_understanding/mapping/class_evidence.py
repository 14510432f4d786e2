"""The class of a voxel by Bayesian fusion of what many views say of it, in six bytes whatever the number of classes.

A view that says class l with confidence c multiplies the probability of l by c and that of each of the other K - 1
by (1 - c) / (K - 1): on a log scale, where a common term means nothing, only the evidence of l grows, by
`log_likelihood_ratio`. Kept are the two classes with most evidence. What a third one says is taken from all three
alike until the weakest has nothing left and is forgotten (Misra and Gries, "Finding repeated elements", 1982): their
ratios stay, a class with more than a third of all that was said of a voxel is never lost, and as long as there are two
classes it is exactly the full Bayesian fusion.

Classes are numbered from 1 here; 0 is "none".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Number = NDArray[np.uint8]
Float = NDArray[np.float32]


class Evidence(NamedTuple):
    """Of N voxels: (N,) the class with most evidence, the one with second most, and the log evidences of both."""

    first: Number
    second: Number
    first_evidence: Float
    second_evidence: Float

    @classmethod
    def of(cls, values: Callable[[str], NDArray[Any]]) -> Evidence:
        """From what a function gives for the name of each field."""
        return cls(*map(values, cls._fields))


def log_likelihood_ratio(confidence: NDArray[np.floating], classes: int) -> Float:
    """(...) how much more likely a class is than each other one when it is said with this confidence; 0 for what is
    not better than chance."""
    others = max(classes - 1, 1)
    c = np.clip(confidence, 1 / (others + 1), 0.99)
    return np.log(c * others / (1 - c)).astype(np.float32)


def fused(old: Evidence, said: Number, weight: Float, limit: float) -> Evidence:
    """The evidence after a view says a class (N,) of each voxel with a weight (N,), 0 or more.

    Args:
        limit: the largest evidence kept: of both classes as much is taken away as the first has above it, so that a
            voxel that changes is believed within a few views.
    """
    first, second, a, b = old
    is_first, is_second = said == first, said == second
    is_third = ~(is_first | is_second)
    common = np.where(is_third, np.minimum(weight, b), 0)
    a = a + np.where(is_first, weight, 0) - common
    b = b + np.where(is_second, weight, 0) - common
    left = np.where(is_third, weight, 0) - common
    second, b = np.where(left > 0, said, second), np.where(left > 0, left, b)
    stronger = b > a
    first, second = np.where(stronger, second, first), np.where(stronger, first, second)
    a, b = np.maximum(a, b), np.minimum(a, b)
    excess = np.maximum(a - limit, 0)
    return Evidence(first, second, a - excess, np.maximum(b - excess, 0))


def confidence(evidence: Evidence, classes: int) -> Float:
    """(N,) posterior probability of the first class; 0 where there is none."""
    _, _, a, b = (np.asarray(part, np.float32) for part in evidence)
    others = np.exp(b - a) + max(classes - 2, 0) * np.exp(-a)
    return np.where(evidence.first > 0, 1 / (1 + others), 0).astype(np.float32)
