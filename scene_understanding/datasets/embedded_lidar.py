"""Clouds of the embedded world as the LiDAR node gathers them: the last scans around a driving robot, with labels.

They are made when they are asked for, all of a building at once: going through them in order is cheapest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.labelled_clouds import LabelledCloud
from scene_understanding.datasets.rgbd import DatasetError, table_between
from scene_understanding.geometry import PointCloud, Pose, interpolate
from scene_understanding.labels import UNLABELLED, LabelSet, load_label_set
from scene_understanding.perception.rolling_cloud import RollingCloud, RollingCloudParameters
from scene_understanding.perception.sweep import at_rest

WINDOWS = 6
"""Clouds of each building, unless told otherwise."""
PAUSE = 0.1
"""Seconds between the end of a scan and the beginning of the next: every second one is left out, to save time."""
HEIGHT = 0.45
"""Of the LiDAR above the floor, metres, as in `EmbeddedSimulator`."""

Scan = tuple[int, NDArray[np.float32], NDArray[np.uint8], NDArray[np.float64]]
"""Stamp in nanoseconds, points (N, 3) in the map, their NYU40 ids (N,), and where the LiDAR was (3,)."""


class EmbeddedLidar:
    """Rolling clouds of a drive through each building, one every `rolling.seconds`, people unlabelled.

    The k-th cloud holds what the LiDAR measured in the k-th span of that length, thinned to voxels, in the map. Its
    labels are what most of the points in a voxel were. The robot looks around wherever it arrives.

    Args:
        seeds: buildings.
        windows: clouds of each.
        label_set: "nyu40", or another that `labels.mapping` can make from it.
        rolling: how scans are gathered; voxels and radius are those of the node unless told.
        folder: where the clouds of a building are kept once they are made, and read from; nowhere unless told.

    Raises:
        DatasetError: no such mapping, no buildings, or no clouds.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        windows: int = WINDOWS,
        label_set: str = "nyu13",
        rolling: RollingCloudParameters | None = None,
        folder: str | Path | None = None,
    ) -> None:
        if not seeds or windows < 1:
            raise DatasetError(f"embedded_lidar: {windows} clouds of {len(seeds)} buildings are none")
        self.seeds, self.windows = tuple(seeds), windows
        self.rolling = rolling or RollingCloudParameters()
        self.folder = None if folder is None else Path(folder)
        self._table = table_between("nyu40", label_set)
        self._table[load_label_set("nyu40").id_of("person")] = UNLABELLED
        self._labels = load_label_set(label_set)
        self._made: tuple[int, list[LabelledCloud]] | None = None

    @property
    def labels(self) -> LabelSet:
        return self._labels

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(_name(seed, window) for seed in self.seeds for window in range(self.windows))

    def __len__(self) -> int:
        return len(self.seeds) * self.windows

    def __getitem__(self, index: int) -> LabelledCloud:
        """A cloud by position (negative ones count from the end); makes all of its building.

        Raises:
            DatasetError: the folder holds clouds that were made with other arguments.
        """
        building, window = divmod(range(len(self))[index], self.windows)
        seed = self.seeds[building]
        if self._made is None or self._made[0] != seed:
            made = list(self._drive(seed)) if self.folder is None else self._kept(seed, self.folder)
            self._made = seed, made
        return self._made[1][window]

    def _kept(self, seed: int, folder: Path) -> list[LabelledCloud]:
        """The clouds of a building out of its file in the folder, which is written first where there is none."""
        path = folder / f"building_{seed}.npz"
        wanted = json.dumps({"windows": self.windows, "label_set": self._labels.name, **asdict(self.rolling)})
        names = [_name(seed, window) for window in range(self.windows)]
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            arrays: dict[str, Any] = {"arguments": wanted}
            for made in self._drive(seed):
                arrays |= {f"{made.name}_xyz": made.cloud.xyz, f"{made.name}_label": made.label}
            with NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as part:
                np.savez(part, **arrays)
            Path(part.name).replace(path)  # so that nobody reads half of it
        with np.load(path) as kept:
            if str(kept["arguments"]) != wanted:
                raise DatasetError(f"{path} was made with {kept['arguments']}, not {wanted}; choose another folder")
            return [LabelledCloud(name, PointCloud(kept[f"{name}_xyz"], label=kept[f"{name}_label"])) for name in names]

    def _drive(self, seed: int) -> Iterator[LabelledCloud]:
        """All clouds of a building."""
        ids = np.array(self._labels.ids)
        column = np.full(256, -1, np.intp)
        column[ids] = np.arange(len(ids))
        measured = scans(seed)
        for window in range(self.windows):
            cloud = RollingCloud(len(ids), self.rolling)
            for stamp_ns, xyz, label, center in measured:
                voxel = cloud.add(xyz, stamp_ns, center)
                classes = column[self._table[label]]
                known = np.flatnonzero((voxel >= 0) & (classes >= 0))
                cloud.vote(voxel[known], classes[known], np.ones(len(known)))
                if stamp_ns >= (window + 1) * self.rolling.seconds * 1e9:
                    break
            of_voxel = np.where(cloud.count > 0, ids[cloud.votes.argmax(1)], UNLABELLED).astype(np.uint16)
            yield LabelledCloud(_name(seed, window), PointCloud(cloud.xyz, label=of_voxel))


def scans(seed: int) -> Iterator[Scan]:
    """Of a drive through a building that does not end."""
    # Here, because they load Open3D, which takes seconds that opening a dataset should not take.
    from scene_understanding.simulation.building import generate_building
    from scene_understanding.simulation.crowd import Crowd
    from scene_understanding.simulation.lidar import Lidar
    from scene_understanding.simulation.render import Renderer
    from scene_understanding.simulation.robot import Robot, RobotLimits
    from scene_understanding.simulation.wander import Wander

    world, limits, lidar = generate_building(seed), RobotLimits(), Lidar()
    renderer, crowd, robot = Renderer(world), Crowd(world.people), Robot(world.contact, world.start, limits)
    wander = Wander(world, limits, seed)
    base_from_lidar = Pose.from_rotation_translation(np.eye(3), (0, 0, HEIGHT))

    def drive(seconds: float) -> Pose:
        """Where the LiDAR is after so many more of them."""
        command = wander.command(robot.map_from_base, crowd.places(), seconds)
        crowd.advance(seconds, robot.map_from_base.translation[:2])
        robot.step(command, seconds, crowd.places())
        return robot.map_from_base @ base_from_lidar

    for index in count():
        begin, end = drive(PAUSE), drive(lidar.period)
        scan = lidar.scan(renderer, begin, crowd.times, end, seed, index)
        offset_ns = (scan.offset * 1e9).astype(np.int64)
        xyz = at_rest(scan.xyz, offset_ns, partial(_on_the_way, begin, end, lidar.period * 1e9))
        stamp_ns = round((index + 1) * (PAUSE + lidar.period) * 1e9)
        yield stamp_ns, xyz, scan.label, end.translation


def _on_the_way(begin: Pose, end: Pose, period_ns: float, offset_ns: int) -> Pose:
    return interpolate(begin, end, offset_ns / period_ns)


def _name(seed: int, window: int) -> str:
    return f"building_{seed}_{window}"
