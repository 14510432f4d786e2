"""NYU Depth v2 (Silberman et al., ECCV 2012), labelled images as a folder.

    FOLDER/train.txt            numbers, one a line (or another list; `datasets/splits` has val, fit, fit100...)
           rgb/NNNN.jpg         320x240
           depth/NNNN.png       16 bit, millimetres
           labels40/NNNN.png    8 bit: 1..40 NYU40, 0 unlabelled, 255 ignore (optional: samples without labels)
           camera_rotations_NYU.txt   1449 rotations of 3x3 (optional: samples without pose)

The rotations level the optical frame (checked on labelled floors: their normals are then upright to 6 degrees in the
median, 16 without). Each image is a place of its own, so its map lies below the camera, at the floor.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.lists import find_list, read_numbers
from scene_understanding.datasets.rgbd import (
    DatasetError,
    RgbdSample,
    check_ids,
    existing_folder,
    known_ids,
    read_depth,
    read_label,
    read_rgb,
    table_between,
)
from scene_understanding.geometry import OPTICAL_FROM_BODY, PinholeCamera, Pose

CAMERA = PinholeCamera(320, 240, 259.43, 259.74, 162.79, 126.87)
"""The colour camera's intrinsics of the dataset's toolbox, at half size."""

CAMERA_HEIGHT = 1.33
"""Metres above the floor: median over planes fitted to the training images' floors."""

ROTATIONS = "camera_rotations_NYU.txt"
WHAT = "NYUv2"
KNOWN_IDS = known_ids([*range(41), 255])


class NYUv2Folder:
    """Samples of an NYUv2 folder, in the order of the list.

    Args:
        folder: as in the module's docstring.
        split: name of a list in the folder (`train` for train.txt), else of ours (`val`, `fit`, `fit100`, `fit200`,
            `fit400`: parts of the official training images), else path of a file with numbers.
        label_set: "nyu13", "nyu40", or another that `labels.mapping` can make from nyu40.

    Raises:
        DatasetError: a missing folder or list, or a list that holds something else than numbers.
    """

    def __init__(self, folder: str | Path, split: str | Path = "train", label_set: str = "nyu13") -> None:
        self.folder = existing_folder(folder, WHAT)
        self.camera = CAMERA
        self.numbers = read_numbers(find_list(self.folder, split, "nyuv2"), WHAT)
        self._table = table_between("nyu40", label_set)
        for part in ("rgb", "depth"):
            existing_folder(self.folder / part, WHAT)
        self._labelled = (self.folder / "labels40").is_dir()
        self.label_set: str | None = label_set if self._labelled else None
        self._rotations = _rotations(self.folder / ROTATIONS) if (self.folder / ROTATIONS).is_file() else None

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> RgbdSample:
        """Sample by position (negative ones count from the end).

        Raises:
            IndexError: beyond the end.
            DatasetError: a file missing, damaged or of another size.
        """
        number = self.numbers[index]
        rgb = read_rgb(self.folder / "rgb" / f"{number:04d}.jpg", self.camera.shape)
        depth = read_depth(self.folder / "depth" / f"{number:04d}.png", self.camera.shape)
        label = self._label(number) if self._labelled else None
        return RgbdSample(f"{number:04d}", rgb, depth, self.camera, label, self._pose(number))

    def _pose(self, number: int) -> Pose | None:
        if self._rotations is None:
            return None
        if not 1 <= number <= len(self._rotations):
            raise DatasetError(f"{WHAT}: {ROTATIONS} has {len(self._rotations)} rotations, none for image {number}")
        level_from_camera = self._rotations[number - 1]
        return Pose.from_rotation_translation(OPTICAL_FROM_BODY.T @ level_from_camera, (0, 0, CAMERA_HEIGHT))

    def _label(self, number: int) -> NDArray[np.uint8]:
        path = self.folder / "labels40" / f"{number:04d}.png"
        label = read_label(path, self.camera.shape)
        check_ids(label, KNOWN_IDS, path)
        return self._table[label]


def _rotations(path: Path) -> NDArray[np.float64]:
    """(N, 3, 3)."""
    try:
        return np.loadtxt(path, ndmin=2).reshape(-1, 3, 3)
    except ValueError as error:
        raise DatasetError(f"{path} does not hold rotations of 3x3 numbers: {error}") from error
