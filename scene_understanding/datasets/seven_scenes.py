"""7-Scenes (Shotton et al., CVPR 2013): RGB-D frames with poses, no labels.

FOLDER/frame-NNNNNN.color.png (or .jpg)
       frame-NNNNNN.depth.png          16 bit, millimetres, 0 or 65535 unknown
       frame-NNNNNN.pose.txt           4x4 map_from_camera (optical frame), metres
       camera-intrinsics.txt           3x3, optional: without it the dataset's published values hold

The dataset's page says that the colour and depth cameras are not calibrated, neither alone nor to each other: the
frames are the raw images. They are published as if they were registered nevertheless, with one camera for both, so
colour and depth are some pixels apart at edges.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scene_understanding.datasets.rgbd import (
    DatasetError,
    RgbdSample,
    existing_folder,
    read_depth,
    read_matrix,
    read_rgb,
)
from scene_understanding.geometry import PinholeCamera, Pose

CAMERA = PinholeCamera(640, 480, 585.0, 585.0, 320.0, 240.0)
"""As the dataset's page gives it for the depth camera."""

WHAT = "7-Scenes"


class SevenScenesFolder:
    """Frames of a folder in the order of their numbers.

    Raises:
        DatasetError: a missing folder, no frames in it, or intrinsics that cannot be read.
    """

    label_set: str | None = None

    def __init__(self, folder: str | Path) -> None:
        self.folder = existing_folder(folder, WHAT)
        self.camera = _camera(self.folder / "camera-intrinsics.txt")
        self._color = {_number(path): path for path in sorted(self.folder.glob("frame-*.color.*"))}
        if not self._color:
            raise DatasetError(f"{WHAT}: no frame-NNNNNN.color.png in {self.folder} (is it a sequence, seq-01?)")
        self.numbers = sorted(self._color)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> RgbdSample:
        """Frame by position (negative ones count from the end).

        Raises:
            IndexError: beyond the end.
            DatasetError: a file missing, damaged or of another size, or a pose that is none.
        """
        number = self.numbers[index]
        stem = f"frame-{number:06d}"
        rgb = read_rgb(self._color[number], self.camera.shape)
        depth = read_depth(self.folder / f"{stem}.depth.png", self.camera.shape)
        pose = read_pose(self.folder / f"{stem}.pose.txt")
        return RgbdSample(stem, rgb, depth, self.camera, map_from_camera=pose)


def _number(path: Path) -> int:
    digits = path.name.removeprefix("frame-").split(".")[0]
    if not digits.isdecimal():
        raise DatasetError(f"{WHAT}: {path} has no frame number")
    return int(digits)


def _camera(path: Path) -> PinholeCamera:
    if not path.is_file():
        return CAMERA
    k = read_matrix(path, 3)
    try:
        return PinholeCamera(CAMERA.width, CAMERA.height, *map(float, (k[0, 0], k[1, 1], k[0, 2], k[1, 2])))
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from error


def read_pose(path: Path) -> Pose:
    """The rigid transform in a 4x4 text file, its rotation made orthonormal (the files round it).

    Raises:
        DatasetError: no such file, not a 4x4 matrix, or no rotation within 1 %.
    """
    matrix = read_matrix(path, 4)
    u, _, vt = np.linalg.svd(matrix[:3, :3])
    rotation = u @ vt
    if np.linalg.det(rotation) < 0 or not np.allclose(rotation, matrix[:3, :3], atol=1e-2):
        raise DatasetError(f"{path}: the upper left 3x3 is no rotation")
    return Pose.from_rotation_translation(rotation, matrix[:3, 3])
