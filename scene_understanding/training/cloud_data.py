"""What SnapNet's network learns from: snapshots of labelled clouds, taken anew in every epoch, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from scene_understanding.datasets.embedded_lidar import EmbeddedLidar
from scene_understanding.datasets.labelled_clouds import CloudDataset, LabelledCloud
from scene_understanding.datasets.open import CLOUD_KINDS, parse_seeds
from scene_understanding.datasets.open_clouds import open_clouds
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.datasets.rubble import Rubble
from scene_understanding.geometry import PointCloud, cone_viewpoints
from scene_understanding.labels import UNLABELLED, load_label_set
from scene_understanding.perception.snapnet import SnapNetScene
from scene_understanding.perception.snapshots import Snapshot
from scene_understanding.training.cloud_config import CloudAugmentation, CloudConfig
from scene_understanding.training.config import TrainingError

SEEDED = ("embedded_lidar", "rubble")
"""Data that is made from seeds, which `train` and `val` say."""


def check_cloud_data(config: CloudConfig) -> None:
    """Raises TrainingError or DatasetError where the config's data has no place, or is none; reads nothing."""
    kind, _, place = config.data.partition(":")
    if kind not in CLOUD_KINDS:
        raise TrainingError(f"data is {config.data!r}; point clouds are in {', '.join(CLOUD_KINDS)}")
    if not place and kind not in SEEDED:
        raise TrainingError(f"the config names {kind} but not where it is: give --data {kind}:PLACE")
    if place and kind in SEEDED:
        raise TrainingError(f"data is {config.data!r}; train and val say which seeds of {kind}, so leave :{place} out")


def load_data(config: CloudConfig, out: Path) -> tuple[CloudDataset, CloudDataset]:
    """Clouds to train on and to validate on; drives of the embedded world are made beside `out`.

    Raises:
        TrainingError, DatasetError: no place for the data, labels of another set, or data that is not as it should be.
    """
    check_cloud_data(config)
    train, val = (_part(config, part, out) for part in (config.train, config.val))
    labels = load_label_set(config.label_set)
    if not train.labels.same_classes(labels):
        raise TrainingError(f"label_set is {labels.name}; clouds of {config.data} are labelled in {train.labels.name}")
    return train, val


def _part(config: CloudConfig, part: str, out: Path) -> CloudDataset:
    if config.data == "embedded_lidar":
        return EmbeddedLidar(parse_seeds(part), folder=out.parent / config.data)
    if config.data == "rubble":
        return Rubble(parse_seeds(part))
    return open_clouds(config.data, part)


class Scene:
    """A cloud made ready for snapshots, with the classes of its voxels as indices.

    Attributes:
        scene: as inference has it.
        classes: (M,) uint8 index of the class of each voxel in the label set, 255 without one.
        of_class: voxels of each class that the scene has.
    """

    def __init__(self, cloud: PointCloud, config: CloudConfig) -> None:
        self.scene = SnapNetScene(cloud, config.parameters)
        assert self.scene.label is not None
        labels = load_label_set(config.label_set)
        table = np.full(1 + np.iinfo(np.uint16).max, UNLABELLED, np.uint8)
        table[list(labels.ids)] = np.arange(len(labels))
        self.classes = table[self.scene.label]
        found = (np.flatnonzero(self.classes == index) for index in range(len(labels)))
        self.of_class = [voxels for voxels in found if len(voxels)]

    def labels_of(self, snapshot: Snapshot) -> NDArray[np.uint8]:
        """(H, W) class index of what each pixel shows, 255 where nothing or no class."""
        return np.where(snapshot.point >= 0, self.classes[snapshot.point], np.uint8(UNLABELLED))

    def tensors(self, snapshot: Snapshot, streams: Sequence[str], mirrored: bool = False) -> tuple[Tensor, ...]:
        """Pictures (3, H, W) uint8 of the streams, and labels (H, W) uint8."""
        pictures = self.scene.pictures(snapshot)
        images = [*(pictures[name].transpose(2, 0, 1) for name in streams), self.labels_of(snapshot)]
        return tuple(torch.from_numpy(np.ascontiguousarray(x[..., ::-1] if mirrored else x)) for x in images)


def variant(cloud: PointCloud, augmentation: CloudAugmentation, rng: np.random.Generator) -> PointCloud:
    """The cloud thinned, scaled, and turned about the vertical through its middle, which also moves its voxels."""
    kept = rng.random(len(cloud.xyz)) < rng.uniform(*augmentation.keep)
    turn, scale = rng.uniform(0, 2 * np.pi), rng.uniform(*augmentation.scale)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    centred = cloud.xyz[kept] - cloud.xyz.mean(axis=0, dtype=np.float64)
    arrays = {name: getattr(cloud, name) for name in ("rgb", "label")}
    return PointCloud(
        (scale * centred @ rotation.T).astype(np.float32),
        **{name: None if values is None else values[kept] for name, values in arrays.items()},
    )


def scenes_of(clouds: Sequence[LabelledCloud], config: CloudConfig, variants: int) -> list[Scene]:
    """So many scenes of every cloud, the first of it as it is; many at a time, since features take their time."""
    augmentation = config.augmentation_of_samples()

    def scene(number: int) -> Scene:
        index, which = divmod(number, variants)
        cloud = clouds[index].cloud
        rng = np.random.default_rng([config.seed, number])
        return Scene(variant(cloud, augmentation, rng) if which else cloud, config)

    with ThreadPoolExecutor(cpu_count()) as pool:
        count = len(clouds) * variants
        return list(tqdm(pool.map(scene, range(count)), "preparing clouds", count, mininterval=10))


class TrainingSnapshots(Dataset[tuple[Tensor, ...]]):
    """Snapshots of scenes, each with a generator seeded by (seed, epoch, index), so that order does not matter.

    As `Scene.tensors` gives them. The target is a voxel of a class drawn from all alike (`config.rare` of them), or any
    voxel; azimuth, elevation and distance are drawn as SnapNet draws them.
    """

    def __init__(self, scenes: Sequence[Scene], config: CloudConfig) -> None:
        self.scenes, self.config, self.epoch = scenes, config, 0
        self.augmentation: CloudAugmentation = config.augmentation_of_samples()

    def __len__(self) -> int:
        return self.config.snapshots

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        rng = np.random.default_rng([self.config.seed, self.epoch, index])
        scene = self.scenes[int(rng.integers(len(self.scenes)))]
        snapshot = scene.scene.look(self._viewpoint(scene, rng))
        return scene.tensors(snapshot, self.config.streams, rng.random() < self.augmentation.mirror)

    def _viewpoint(self, scene: Scene, rng: np.random.Generator) -> Any:
        parameters = self.config.parameters
        groups = scene.of_class
        if rng.random() < self.config.rare:
            target = rng.choice(groups[int(rng.integers(len(groups)))])
        else:
            target = rng.integers(len(scene.classes))
        distance = rng.choice(parameters.distances) * rng.uniform(*self.augmentation.distance)
        return cone_viewpoints(rng, scene.scene.xyz[target], (distance,), parameters.elevation)[0]


class ValidationSnapshots(Dataset[tuple[Tensor, ...]]):
    """Snapshots of scenes from where inference takes them, always the same ones."""

    def __init__(self, scenes: Sequence[Scene], config: CloudConfig) -> None:
        self.samples = []
        for number, scene in enumerate(scenes):
            rng = np.random.default_rng([config.seed, number])
            for viewpoint in islice(scene.scene.viewpoints(rng), config.val_snapshots):
                self.samples.append(scene.tensors(scene.scene.look(viewpoint), config.streams))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return self.samples[index]


def read(dataset: CloudDataset) -> list[LabelledCloud]:
    """All clouds of a dataset, which must be labelled.

    Raises:
        DatasetError: one without labels.
    """
    clouds = [dataset[i] for i in range(len(dataset))]
    for sample in clouds:
        if sample.cloud.label is None:
            raise DatasetError(f"cloud '{sample.name}' has no labels to learn from")
    return clouds
