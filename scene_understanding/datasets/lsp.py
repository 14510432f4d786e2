"""Leeds Sports Pose (Johnson and Everingham, BMVC 2010): images of one person each, 14 joints.

A folder with images/im0001.jpg and so on, and joints.mat: x, y and whether hidden, of right ankle, knee and hip, left
hip, knee and ankle, right wrist, elbow and shoulder, left shoulder, elbow and wrist, neck and top of the head. Joints
are taken as they are: some are below 1, so that they need not count from 1 as MATLAB does; a pixel is 2 % of a torso.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from scene_understanding.datasets.matlab import read_mat
from scene_understanding.datasets.people import PeopleSample
from scene_understanding.datasets.rgbd import DatasetError

COCO18_OF_LSP = (10, 9, 8, 11, 12, 13, 4, 3, 2, 5, 6, 7, 1)
"""Which keypoint each of the first 13 joints is; the top of the head is none of COCO-18."""
VALIDATION = 0.2
"""Share of the images, the last ones, that `val` holds; `fit` holds the others."""
SPLITS = ("fit", "val", "all")


class Lsp:
    """Samples as they are published, one person each; all joints count as labelled, hidden ones too.

    Args:
        folder: with images/ and joints.mat.
        split: one of `SPLITS`.

    Raises:
        DatasetError: no such folder or split, or joints and images that do not belong together.
    """

    def __init__(self, folder: str | Path, split: str = "all") -> None:
        if split not in SPLITS:
            raise DatasetError(f"lsp has no split '{split}'; it has {', '.join(SPLITS)}")
        folder = Path(folder).expanduser()
        (joints,) = read_mat(folder / "joints.mat", "joints")
        self._files = sorted((folder / "images").glob("im*.jpg"))
        if joints.ndim != 3 or joints.shape[1] != 14:
            raise DatasetError(f"{folder / 'joints.mat'} holds {joints.shape}; expected 3 x 14 x images")
        if len(self._files) != joints.shape[2]:
            raise DatasetError(f"{folder} has {len(self._files)} images and joints of {joints.shape[2]}")
        first = round(len(self._files) * (1 - VALIDATION))
        part = {"fit": slice(first), "val": slice(first, None), "all": slice(None)}[split]
        self._files, joints = self._files[part], joints[:, :, part]
        self._pixels = np.full((len(self._files), 1, 18, 2), np.nan, np.float32)
        self._seen = np.zeros((len(self._files), 1, 18), bool)
        self._pixels[:, 0, COCO18_OF_LSP] = joints[:2, :13].transpose(2, 1, 0)
        self._seen[:, 0, COCO18_OF_LSP] = joints[2, :13].T == 0

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> PeopleSample:
        """Sample by position (negative ones count from the end)."""
        path = self._files[index]
        image = cv2.imread(str(path))
        if image is None:
            raise DatasetError(f"{path} is damaged or not an image")
        labelled = np.zeros(18, bool)
        labelled[list(COCO18_OF_LSP)] = True
        rgb = np.ascontiguousarray(image[..., ::-1], np.uint8)
        area = np.full(1, np.nan, np.float32)
        return PeopleSample(path.stem, rgb, self._pixels[index], self._seen[index], area, labelled=labelled)
