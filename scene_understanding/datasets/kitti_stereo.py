"""Rectified stereo pairs of KITTI's odometry benchmark (Geiger et al., CVPR 2012), grey, without depth.

    FOLDER/seqN/calib.txt        P0 and P1, lines of the 12 numbers of a 3x4 matrix, with "P0:" before them or without
                left/FRAME.jpg   and right/FRAME.jpg of the same name and size

The lists `fit` and `val` are parts of sequence 1: `val` the last ten frames, `fit` all but those and the two before
them. Both are of one drive, so `val` tells whether the network has learnt disparity, not how it does elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.rgbd import DatasetError, existing_folder, image_files, read_rgb
from scene_understanding.geometry import PinholeCamera

WHAT = "kitti_stereo"
VAL, GAP = 10, 2
"""Frames of `val`, and of neither list."""


@dataclass(frozen=True, eq=False)
class StereoSample:
    """One rectified pair.

    Attributes:
        name: sequence and frame.
        left, right: (H, W, 3) uint8.
        camera: intrinsics of both; baseline: metres from the left to the right one.
    """

    name: str
    left: NDArray[np.uint8]
    right: NDArray[np.uint8]
    camera: PinholeCamera
    baseline: float


class KittiStereo:
    """Pairs of a folder of sequences, in the order of their names.

    Args:
        split: `fit` or `val` of sequence 1, or None or `all` for all pairs of all sequences.

    Raises:
        DatasetError: a missing folder or calibration, an image without its partner, or an unknown split.
    """

    def __init__(self, folder: str | Path, split: str | None = None) -> None:
        self.folder = existing_folder(folder, WHAT)
        sequences = sorted(path for path in self.folder.glob("seq*") if path.is_dir())
        if split in ("fit", "val"):
            sequences = [existing_folder(self.folder / "seq1", WHAT)]
        elif split not in (None, "all"):
            raise DatasetError(f"{WHAT} has no split '{split}'; it has fit, val, all")
        if not sequences:
            raise DatasetError(f"{WHAT}: {self.folder} holds no sequence such as seq1")
        self._pairs: list[tuple[Path, Path]] = []
        self._calibrations = {path: _calibration(path / "calib.txt") for path in sequences}
        for sequence in sequences:
            left, right = (image_files(sequence / side, WHAT) for side in ("left", "right"))
            if alone := left.keys() ^ right.keys():
                raise DatasetError(f"{WHAT}: {sequence} has one image of {min(alone)}, not two")
            self._pairs += [(left[name], right[name]) for name in left]
        if split == "fit":
            self._pairs = self._pairs[: -(VAL + GAP)]
        elif split == "val":
            self._pairs = self._pairs[-VAL:]

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> StereoSample:
        """Sample by position (negative ones count from the end).

        Raises:
            IndexError: beyond the end.
            DatasetError: a damaged file, or images of two sizes.
        """
        left_file, right_file = self._pairs[index]
        left = read_rgb(left_file)
        height, width = left.shape[:2]
        right = read_rgb(right_file, (height, width))
        sequence = left_file.parent.parent
        fx, fy, cx, cy, baseline = self._calibrations[sequence]
        camera = PinholeCamera(width, height, fx, fy, cx, cy)
        return StereoSample(f"{sequence.name}_{left_file.stem}", left, right, camera, baseline)


def _calibration(path: Path) -> tuple[float, float, float, float, float]:
    """fx, fy, cx, cy in pixels and the baseline in metres, -P1[0, 3] / fx."""
    try:
        lines = [line.rpartition(":")[2].split() for line in path.read_text("utf-8").splitlines() if line.strip()]
        first, second = np.array(lines[:2], np.float64).reshape(2, 3, 4)
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise DatasetError(f"{path} does not begin with P0 and P1, lines of 12 numbers each ({error})") from error
    baseline = -second[0, 3] / second[0, 0]
    if not baseline > 0:
        raise DatasetError(f"{path}: the baseline is {baseline:g} m; the right camera must be to the right")
    return float(first[0, 0]), float(first[1, 1]), float(first[0, 2]), float(first[1, 2]), float(baseline)
