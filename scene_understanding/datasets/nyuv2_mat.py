"""NYU Depth v2 (Silberman et al., ECCV 2012) as it is published, 640x480.

    nyu_depth_v2_labeled.mat   images, in-painted depths, labels of 894 classes (2.8 GB; MATLAB 7.3, read by h5py)
    classMapping40.mat         beside it: mapClass, 894 classes to 40 (Gupta et al., CVPR 2013)
    splits.mat                 beside it: trainNdxs and testNdxs; not needed for lists of one's own or of ours

Tried on small files of this layout that the tests write, not on the published ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.lists import find_list, read_numbers
from scene_understanding.datasets.matlab import open_hdf5, read_mat
from scene_understanding.datasets.rgbd import DatasetError, RgbdSample, table_between
from scene_understanding.geometry import PinholeCamera
from scene_understanding.labels import UNLABELLED
from scene_understanding.messages.image import depth_from_metres

CAMERA = PinholeCamera(640, 480, 518.85790, 519.46961, 325.58245, 253.73617)
"""The colour camera's intrinsics of the dataset's toolbox."""

FILE, MAPPING, SPLITS = "nyu_depth_v2_labeled.mat", "classMapping40.mat", "splits.mat"
OFFICIAL = {"train": "trainNdxs", "test": "testNdxs"}
WHAT = "nyuv2_mat"


class NYUv2Mat:
    """Samples in the order of the list.

    Args:
        file: nyu_depth_v2_labeled.mat, or the folder that it lies in.
        split: `train` or `test` of splits.mat, else as in `NYUv2Folder`.
        label_set: "nyu13", "nyu40", or another that `labels.mapping` can make from nyu40.

    Raises:
        DatasetError: a file that is missing, damaged or of another layout, a list that names images beyond the end.
    """

    def __init__(self, file: str | Path, split: str | Path = "train", label_set: str = "nyu13") -> None:
        path = Path(file).expanduser()
        self.path = path / FILE if path.is_dir() else path
        self.label_set: str | None = label_set
        self.camera = CAMERA
        with open_hdf5(self.path, "images", "depths", "labels") as mat:
            count = len(mat["images"])
            shapes = [mat[name].shape for name in ("images", "depths", "labels")]
        plane = (count, CAMERA.width, CAMERA.height)
        if shapes != [(count, 3, *plane[1:]), plane, plane]:
            raise DatasetError(
                f"{self.path} holds images, depths and labels of {shapes}; expected 640x480, as published"
            )
        self.numbers = _numbers(self.path.parent, split)
        beyond = [number for number in self.numbers if not 1 <= number <= count]
        if beyond:
            raise DatasetError(f"{WHAT}: list '{split}' names image {beyond[0]}; {self.path.name} has 1 to {count}")
        self._table = _table_894(self.path.parent / MAPPING, label_set)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> RgbdSample:
        """Sample by position (negative ones count from the end).

        Raises:
            IndexError: beyond the end.
            DatasetError: a label that classMapping40.mat does not know.
        """
        number = self.numbers[index]
        with open_hdf5(self.path) as mat:  # opened anew each time, so that worker processes do not share a file
            image, depth, label = (mat[name][number - 1] for name in ("images", "depths", "labels"))
        if label.max() >= len(self._table):
            raise DatasetError(f"{self.path}: image {number} has label {label.max()}, beyond those of {MAPPING}")
        return RgbdSample(
            f"{number:04d}", np.ascontiguousarray(image.transpose(2, 1, 0)),
            depth_from_metres(np.ascontiguousarray(depth.T)), self.camera, self._table[np.ascontiguousarray(label.T)],
        )  # fmt: skip


def _numbers(folder: Path, split: str | Path) -> list[int]:
    if str(split) in OFFICIAL and (folder / SPLITS).is_file():
        return np.atleast_1d(*read_mat(folder / SPLITS, OFFICIAL[str(split)])).astype(int).tolist()
    try:
        return read_numbers(find_list(folder, split, "nyuv2"), WHAT)
    except DatasetError as error:
        missing = not (folder / SPLITS).is_file()
        raise DatasetError(f"{error}" + (f"; {SPLITS} would give train and test" if missing else "")) from error


def _table_894(path: Path, label_set: str) -> NDArray[np.uint8]:
    """(895,) uint8: class of `label_set` of each of the dataset's labels, of which 0 is unlabelled."""
    (map_class,) = read_mat(path, "mapClass")
    nyu40 = np.atleast_1d(map_class)
    if nyu40.ndim != 1 or nyu40.min() < 1 or nyu40.max() > 40:
        raise DatasetError(
            f"{path}: mapClass {nyu40.shape} has values {nyu40.min()} to {nyu40.max()}; expected 1 to 40"
        )
    return np.concatenate([[UNLABELLED], table_between("nyu40", label_set)[nyu40.astype(np.uint8)]]).astype(np.uint8)
