"""A second look at small people: each is cut out, enlarged and shown to the network again.

The idea of top-down methods such as AlphaPose (Fang et al., ICCV 2017) after a bottom-up look: only whom the first look
finds too small to be exact is looked at again, so that the time grows with those few.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scene_understanding.perception.keypoint_similarity import area_of_keypoints, oks
from scene_understanding.perception.skeletons import Skeletons

SMALL = 0.35
"""Of the image: people whose box of keypoints is less high and less wide than this."""
MARGIN = 0.3
"""Of the longer side of that box, added all around: not all of the person may have been found."""
SAME = 0.3
"""OKS from which on somebody found in the second look is the one that it was for."""
ONE = 0.8
"""OKS from which on two people are one, of whom the first look saw two parts."""
SMALLEST = 8
"""Pixels of a side that are worth a look."""

Estimate = Callable[[NDArray[np.uint8]], Skeletons]
"""The people in an image (H, W, 3) uint8, in its pixels."""


def look_again(color: NDArray[np.uint8], found: Skeletons, estimate: Estimate, most: int) -> Skeletons:
    """Everybody in an image (H, W, 3), small ones as the second look shows them where it is surer.

    Args:
        found: by the first look; most: so many people are looked at, the surest of the small ones.
    """
    low, high = np.fmin.reduce(found.pixels, 1), np.fmax.reduce(found.pixels, 1)  # of those that are known
    size = np.array([color.shape[1], color.shape[0]])
    small = np.flatnonzero((high - low < SMALL * size).all(1))[:most]
    pixels, confidence, score = found.pixels.copy(), found.confidence.copy(), found.score.copy()
    for person in small:
        margin = MARGIN * (high[person] - low[person]).max() + 1
        x0, y0 = np.maximum(low[person] - margin, 0).astype(int)
        x1, y1 = np.minimum(high[person] + margin + 1, size).astype(int)
        if min(x1 - x0, y1 - y0) < SMALLEST:
            continue
        again = estimate(np.ascontiguousarray(color[y0:y1, x0:x1]))
        moved = again.pixels + np.array([x0, y0], np.float32)
        first = found.pixels[person : person + 1]
        alike = np.nan_to_num(oks(moved, first, area_of_keypoints(first))[:, 0])
        best = int(alike.argmax()) if len(alike) else -1
        if best >= 0 and alike[best] >= SAME and again.score[best] > score[person]:
            pixels[person], confidence[person] = moved[best], again.confidence[best]
            score[person] = again.score[best]
    order = np.argsort(-score, kind="stable")
    return _each_once(Skeletons(pixels[order], confidence[order], score[order]))


def _each_once(people: Skeletons) -> Skeletons:
    """Without those who are nearly a surer one, or a part of them."""
    alike = np.nan_to_num(oks(people.pixels, people.pixels, area_of_keypoints(people.pixels)))
    return people[np.flatnonzero(~np.triu(alike > ONE, 1).any(0))]
