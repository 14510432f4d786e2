"""What datasets of people give: an image, everybody's COCO-18 keypoints, and where known the depth behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import PinholeCamera
from scene_understanding.labels.keypoints import COCO18_NAMES


@dataclass(frozen=True, eq=False)
class PeopleSample:
    """An image with P people.

    Attributes:
        name: unique in the dataset.
        rgb: (H, W, 3) uint8.
        pixels: (P, 18, 2) float32 COCO-18 keypoints; x right, y down, the centre of the top-left pixel is 0; NaN where
            the dataset says nothing of it, or it lies where nobody could tell.
        seen: (P, 18) bool: not hidden by anything; False where `pixels` is NaN.
        area: (P,) float32, pixels that show each one; NaN where not known.
        depth: (H, W) float32, metres as measured, NaN where unknown; None without.
        camera: intrinsics; None without.
        points: (P, 18, 3) float32, metres in the optical frame, the joints inside the body; None without.
        labelled: (18,) bool: keypoints of which the dataset speaks at all.
    """

    name: str
    rgb: NDArray[np.uint8]
    pixels: NDArray[np.float32]
    seen: NDArray[np.bool_]
    area: NDArray[np.float32]
    depth: NDArray[np.float32] | None = None
    camera: PinholeCamera | None = None
    points: NDArray[np.float32] | None = None
    labelled: NDArray[np.bool_] = field(default_factory=lambda: np.ones(len(COCO18_NAMES), bool))


class PeopleDataset(Protocol):
    """Images with people by position."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> PeopleSample: ...
