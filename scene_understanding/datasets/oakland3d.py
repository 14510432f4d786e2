"""Oakland 3-D: streets scanned by a laser on a car, points labelled by hand (Munoz, Bagnell, Vandapel, Hebert, CVPR 2009).

A folder of tiles NAME.npz with `xyz` (N, 3) float32 metres, z up, and `label` (N,) uint16, ids of the dataset's own 44
labels. There is no colour and no intensity. Who works with this data groups the 44 into five, `oakland5`:

| class | labels of the files | why |
|---|---|---|
| vegetation | foliage 1300, thick branch 1305, shrub 1306 | what scatters; a branch belongs to its crown |
| wire | wire bundle 1101, isolated wire 1102, support wire 1105 | all wires |
| pole/trunk | utility pole 1103, crossarm 1104, lamp support 1107, post 1110, pylon 1112, traffic lights support 1116, small and large trunk 1302, 1303 | what stands and carries: wires, lamps, lights, crowns; arms belong to their pole |
| ground | load bearing 1200, ground 1202, paved road 1203, curb 1205, walkway 1206, grass 1301 | what a robot can drive on; grass is flat (median height 7 cm over the ground, smallest covariance eigenvalue near 0), and only colour would tell it from the road |
| facade | facade 1400, wall 1401, stairs 1402, fence 1408, gate 1409, ceiling 1410, ledge 1411, column 1412 | built surfaces |

All else is unlabelled (255), as in the literature: what nobody named (undet 1001, linear and surface misc 1002 and 1003,
legacy 9999), people, vehicles, and small street furniture (transformer, hydrant, sign, bench, lamp, lights, garbage,
meter, mailbox).

The shipped lists are `fit` (ten tiles) and `val` (two): of the tiles that hold all five classes with hundreds of points
each, one of each of the two drives that the tiles are of, part2_ah and part3_am.
"""  # noqa: E501

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.labelled_clouds import LabelledCloud
from scene_understanding.datasets.lists import find_list, read_names
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.geometry import PointCloud
from scene_understanding.labels import UNLABELLED, LabelSet, load_label_set

GROUPS: Mapping[str, tuple[int, ...]] = {
    "vegetation": (1300, 1305, 1306),
    "wire": (1101, 1102, 1105),
    "pole/trunk": (1103, 1104, 1107, 1110, 1112, 1116, 1302, 1303),
    "ground": (1200, 1202, 1203, 1205, 1206, 1301),
    "facade": (1400, 1401, 1402, 1408, 1409, 1410, 1411, 1412),
}
"""Ids in the files by class of `oakland5`."""


class Oakland3d:
    """Tiles with labels in `oakland5`.

    Args:
        folder: with the tiles, *.npz.
        split: "all" tiles of the folder in the order of their names; or a list of names, as `find_list` finds it
            (`fit` and `val` are shipped).

    Raises:
        DatasetError: no such folder or split, or a tile of the split that is missing.
    """

    def __init__(self, folder: str | Path, split: str | Path = "all") -> None:
        self.folder = Path(folder).expanduser()
        self.labels: LabelSet = load_label_set("oakland5")
        tiles = sorted(path.stem for path in self.folder.glob("*.npz"))
        if not tiles:
            raise DatasetError(f"oakland3d: {self.folder} holds no tiles (*.npz)")
        if str(split) == "all":
            self.names = tuple(tiles)
        else:
            self.names = tuple(read_names(find_list(self.folder, split, "oakland3d"), "oakland3d"))
        if missing := [name for name in self.names if name not in tiles]:
            raise DatasetError(f"oakland3d: {self.folder} has no tile {missing[0]}.npz, which list '{split}' names")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> LabelledCloud:
        """Tile by position (negative ones count from the end).

        Raises:
            DatasetError: a file that is damaged, or not a tile.
        """
        name = self.names[index]
        path = self.folder / f"{name}.npz"
        try:
            with np.load(path) as content:
                xyz, label = content["xyz"], content["label"]
        except (OSError, ValueError, KeyError, BadZipFile, zlib.error) as error:
            raise DatasetError(f"{path} is not a tile with xyz and label: {error}") from error
        if xyz.ndim != 2 or xyz.shape[1] != 3 or label.shape != xyz.shape[:1]:
            raise DatasetError(f"{path} holds xyz {xyz.shape} and label {label.shape}; expected (N, 3) and (N,)")
        return LabelledCloud(name, PointCloud(xyz.astype(np.float32), label=self._grouped(label)))

    def _grouped(self, label: NDArray[np.integer]) -> NDArray[np.uint16]:
        """Classes of `oakland5` of ids in the files; 255 for all others."""
        table = np.full(1 + np.iinfo(np.uint16).max, UNLABELLED, np.uint16)
        for name, ids in GROUPS.items():
            table[list(ids)] = self.labels.id_of(name)
        return table[label]
