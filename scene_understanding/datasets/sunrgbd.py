"""SUN RGB-D (Song et al., CVPR 2015): SUNRGBD.zip and SUNRGBDtoolbox.zip, both unpacked in one folder.

    FOLDER/SUNRGBD/FRAME/image/*.jpg       FRAME as in kv1/NYUdata/NYU0001; sizes differ from sensor to sensor
                         depth_bfx/*.png   16 bit, millimetres rotated by three bits, in-painted
                         intrinsics.txt    3x3
           SUNRGBDtoolbox/Metadata/SUNRGBDMeta.mat       paths of the 10335 frames
                                   SUNRGBD2Dseg.mat      their labels, in the same order (MATLAB 7.3, read by h5py)
                          traintestSUNRGBD/allsplit.mat  frames of train and test

Tried on small files of this layout that the tests write, not on the published ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.lists import find_list, read_names
from scene_understanding.datasets.matlab import open_hdf5, read_mat
from scene_understanding.datasets.rgbd import (
    DatasetError,
    RgbdSample,
    check_ids,
    existing_folder,
    known_ids,
    read_matrix,
    read_rgb,
    read_uint16,
    table_between,
)
from scene_understanding.geometry import PinholeCamera
from scene_understanding.messages.image import depth_from_millimetres

TOOLBOX = "SUNRGBDtoolbox"
META, LABELS, SPLITS = "Metadata/SUNRGBDMeta.mat", "Metadata/SUNRGBD2Dseg.mat", "traintestSUNRGBD/allsplit.mat"
OFFICIAL = {"train": "alltrain", "test": "alltest"}
FARTHEST = 8.0
"""Metres: the toolbox sets what is farther to this."""

KNOWN_IDS = known_ids(range(38))
WHAT = "SUN RGB-D"


class SunRgbd:
    """Samples in the order of the toolbox (official splits) or of the list. Opening reads the metadata: half a minute.

    Args:
        folder: as in the module's docstring.
        split: `train` or `test` as published; else name of a list of frames (kv1/NYUdata/NYU0001, one a line) in the
            folder, or path of one.
        label_set: "sunrgbd37", or another that `labels.mapping` can make from it.

    Raises:
        DatasetError: a folder or file that is missing or damaged, a list with a frame that does not exist.
    """

    def __init__(self, folder: str | Path, split: str | Path = "train", label_set: str = "sunrgbd37") -> None:
        self.folder = existing_folder(folder, WHAT)
        self.label_set: str | None = label_set
        self._table = table_between("sunrgbd37", label_set)
        existing_folder(self.folder / "SUNRGBD", WHAT)
        (meta,) = read_mat(self._tool(META), "SUNRGBDMeta")
        try:
            meta = np.atleast_1d(meta)
            paths = [
                (_inside(rgb), _inside(depth)) for rgb, depth in zip(meta["rgbpath"], meta["depthpath"], strict=True)
            ]
        except (ValueError, IndexError, TypeError) as error:
            raise DatasetError(f"{self._tool(META)}: SUNRGBDMeta has not the published fields: {error}") from error
        frames = {_frame(rgb): (position, rgb, depth) for position, (rgb, depth) in enumerate(paths)}
        self.frames = self._listed(split, frames)
        self._files = [frames[frame] for frame in self.frames]
        with open_hdf5(self._tool(LABELS), "SUNRGBD2Dseg/seglabel") as mat:
            count = len(mat["SUNRGBD2Dseg/seglabel"])
        if count != len(paths):
            raise DatasetError(f"{WHAT}: {LABELS} has labels of {count} frames, {META} has {len(paths)}")

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> RgbdSample:
        """Sample by position (negative ones count from the end).

        Raises:
            IndexError: beyond the end.
            DatasetError: a file missing, damaged or of another size.
        """
        frame, (position, rgb_path, depth_path) = self.frames[index], self._files[index]
        rgb = read_rgb(self.folder / "SUNRGBD" / rgb_path)
        height, width = shape = rgb.shape[:2]
        path = self.folder / "SUNRGBD" / frame / "depth_bfx" / Path(depth_path).name
        depth = decode_depth(read_uint16(path, shape))
        path = self.folder / "SUNRGBD" / frame / "intrinsics.txt"
        k = read_matrix(path, 3)
        try:
            camera = PinholeCamera(width, height, *map(float, (k[0, 0], k[1, 1], k[0, 2], k[1, 2])))
        except ValueError as error:
            raise DatasetError(f"{path}: {error}") from error
        return RgbdSample(frame.replace("/", "_"), rgb, depth, camera, self._label(position, frame, shape))

    def _label(self, position: int, frame: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
        with open_hdf5(self._tool(LABELS)) as mat:  # opened anew each time: worker processes do not share a file
            label = np.ascontiguousarray(mat[mat["SUNRGBD2Dseg/seglabel"][position, 0]][()].T).astype(np.uint8)
        if label.shape != shape:
            raise DatasetError(f"{WHAT}: the label of {frame} is {label.shape[::-1]}, its image {shape[::-1]}")
        check_ids(label, KNOWN_IDS, f"{WHAT}: the label of {frame}")
        return self._table[label]

    def _tool(self, path: str) -> Path:
        return self.folder / TOOLBOX / path

    def _listed(self, split: str | Path, frames: dict[str, tuple[int, str, str]]) -> list[str]:
        if str(split) in OFFICIAL:
            listed = set(map(_inside, np.atleast_1d(*read_mat(self._tool(SPLITS), OFFICIAL[str(split)]))))
            return [frame for frame in frames if frame in listed]
        path = find_list(self.folder, split, "sunrgbd")
        names = [name.strip("/") for name in read_names(path, WHAT)]
        absent = [name for name in names if name not in frames]
        if absent:
            raise DatasetError(f"{WHAT}: list {path} names {absent[0]}, no frame such as {next(iter(frames))}")
        return names


def _inside(path: str) -> str:
    """A path of the metadata, which begins with the authors' disk, relative to the folder SUNRGBD."""
    return "/".join(part for part in str(path).partition("/SUNRGBD/")[2].split("/") if part)


def _frame(rgb_path: str) -> str:
    return rgb_path.rsplit("/", 2)[0]


def decode_depth(raw: NDArray[np.uint16]) -> NDArray[np.float32]:
    """(H, W) float32 metres of depth files: rotated right by three bits, millimetres, at most `FARTHEST`."""
    depth = depth_from_millimetres((raw >> np.uint16(3)) | (raw << np.uint16(13)))
    return np.minimum(depth, np.float32(FARTHEST))
