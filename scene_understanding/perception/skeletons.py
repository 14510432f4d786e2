"""People as a pose network sees them: COCO-18 keypoints in the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scene_understanding.labels.keypoints import COCO18_NAMES


@dataclass(frozen=True, eq=False)
class Skeletons:
    """N people found in one image, the surest first.

    Attributes:
        pixels: (N, 18, 2) float32; x right, y down, the centre of the top-left pixel is 0; NaN where not seen.
        confidence: (N, 18) float32, 0..1; 0 where not seen.
        score: (N,) float32, 0..1, of the person.
    """

    pixels: NDArray[np.float32]
    confidence: NDArray[np.float32]
    score: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, index: slice | NDArray[np.bool_] | NDArray[np.intp]) -> Skeletons:
        """Some of the people."""
        return Skeletons(self.pixels[index], self.confidence[index], self.score[index])


NOBODY = Skeletons(
    np.empty((0, len(COCO18_NAMES), 2), np.float32),
    np.empty((0, len(COCO18_NAMES)), np.float32),
    np.empty(0, np.float32),
)
