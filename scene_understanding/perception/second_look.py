"""A second look at small people: each is cut out, enlarged and shown to the network again.

The idea of AlphaPose (Fang et al., ICCV 2017) and of all top-down methods, on top of a bottom-up one: only whom the first
look has found too small to be exact is looked at again, so that the time grows with those few.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scene_understanding.perception.keypoint_similarity import area_of_keypoints, oks
from scene_understanding.perception.skeletons import Skeletons

MARGIN = 0.3
"""Of the box of the keypoints, added on every side: not all of the person may have been found."""
SAME = 0.3
"""OKS from which somebody found in the second look is the one that it was for."""
SMALLEST = 8
"""Pixels of an image that are worth a look."""


@dataclass(frozen=True)
class SecondLook:
    """Whom to look at again.

    Attributes:
        below: people whose box of keypoints is less high and wide than this share of the image.
        most: so many people an image at most, the surest first.
    """

    below: float = 0.35
    most: int = 4

    def __call__(
        self, color: NDArray[np.uint8], found: Skeletons, estimate: Callable[[NDArray[np.uint8]], Skeletons]
    ) -> Skeletons:
        """Everybody in an image (H, W, 3), small ones as the second look shows them where it is surer.

        Args:
            found: by the first look; estimate: gives the people in an image.
        """
        low, high = np.nanmin(found.pixels, 1, initial=np.inf), np.nanmax(found.pixels, 1, initial=-np.inf)
        size = np.array([color.shape[1], color.shape[0]])
        small = np.flatnonzero((high - low < self.below * size).all(1))[: self.most]
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
            alike = oks(moved, first, area_of_keypoints(first))[:, 0]
            if len(alike) and alike.max() >= SAME and again.score[alike.argmax()] > score[person]:
                best = int(alike.argmax())
                pixels[person], confidence[person], score[person] = moved[best], again.confidence[best], again.score[best]
        order = np.argsort(-score, kind="stable")
        return Skeletons(pixels[order], confidence[order], score[order])
