"""Views of the embedded world as the camera of ONERA's images for depth from defocus sees them, at both its apertures.

Lens, focus and size are those of `datasets.onera_dfd`, which says what they rest on. Views are rendered without noise,
and at twice the size, since steps at the edges would tell a network what is in focus; then they are compressed as those
images are, which takes fine detail too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.embedded import random_frames, rendered_once
from scene_understanding.datasets.onera_dfd import CAMERA, LENSES
from scene_understanding.datasets.rgbd import DatasetError, RgbdSample, millimetres, resized
from scene_understanding.messages.image import depth_from_millimetres
from scene_understanding.simulation.defocus import defocused

KERNEL = "disk"
"""Explains the blur of ONERA's images a little better than a Gaussian: docs/datasets.md."""

QUALITY = 75
"""Of ONERA's JPEG files, whose tables for quantisation are the standard's at this quality; colour of half the size."""


class EmbeddedDefocusViews:
    """`views` random views of each building, 645x432, without labels, rendered once into memory-mapped arrays.

    Args:
        folder: where the arrays of both apertures lie or are rendered to, in the way of `EmbeddedViews`.
        seeds: buildings.
        aperture: of the samples' colour images, `f2_8` or `f8`.

    Raises:
        DatasetError: an unknown aperture, or a folder made for other arguments.
    """

    label_set: str | None = None

    def __init__(self, folder: str | Path, seeds: Sequence[int], views: int, aperture: str = "f2_8") -> None:
        if aperture not in LENSES:
            raise DatasetError(f"embedded_defocus: aperture is '{aperture}'; apertures are {', '.join(LENSES)}")
        self.folder, self.aperture = Path(folder), aperture
        self._seeds, self._views = seeds, views
        *colours, self.depth_mm = rendered_once(
            self.folder, (*LENSES, "depth_mm"), partial(render_building, views=views), seeds,
            {
                "views": views, "kernel": KERNEL, "quality": QUALITY,
                "lenses": {name: asdict(lens) for name, lens in LENSES.items()},
            },
        )  # fmt: skip
        self.rgb = dict(zip(LENSES, colours, strict=True))[aperture]

    def __len__(self) -> int:
        return len(self.depth_mm)

    def __getitem__(self, index: int) -> RgbdSample:
        """Sample by position (negative ones count from the end)."""
        building, view = divmod(range(len(self))[index], self._views)
        name = f"defocus{self._seeds[building]:05d}_{view:03d}"
        return RgbdSample(name, np.asarray(self.rgb[index]), depth_from_millimetres(self.depth_mm[index]), CAMERA)


def render_building(seed: int, views: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint16]]:
    """rgb (views, 432, 645, 3) of each aperture in the order of `LENSES`, depth (views, 432, 645) in millimetres."""
    twice = CAMERA.resized(2 * CAMERA.width, 2 * CAMERA.height)
    frames = (RgbdSample("", frame.rgb, frame.depth, twice) for frame in random_frames(seed, views, twice))
    sharp = [resized(frame, CAMERA.width, CAMERA.height) for frame in frames]
    wide, narrow = (
        np.stack([compressed(defocused(s.rgb, s.depth, lens, KERNEL)) for s in sharp]) for lens in LENSES.values()
    )
    return wide, narrow, millimetres(np.stack([s.depth for s in sharp]))


def compressed(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image (H, W, 3) uint8 as it comes back from a JPEG file of `QUALITY`."""
    _, file = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)  # type: ignore[arg-type, return-value]
