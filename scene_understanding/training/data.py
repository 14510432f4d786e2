"""From a dataset to batches: samples in memory, augmented, normalised; what the heads learn from their labels."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset
from tqdm import tqdm

from scene_understanding.datasets.embedded import CAMERA, EmbeddedViews
from scene_understanding.datasets.open import KINDS, open_dataset, parse_seeds, split_spec
from scene_understanding.datasets.rgbd import RgbdSample, millimetres, resized
from scene_understanding.labels import load_label_set, mapping
from scene_understanding.perception.segmenter import color_input, depth_input
from scene_understanding.training.augment import Augmentation
from scene_understanding.training.config import EMBEDDED, Config, TrainingError, input_specs
from scene_understanding.training.losses import VOID

THING = 254
"""Label of what `mark_things` takes for a thing; no class of a label set of ours."""


def check_data(config: Config) -> None:
    """Raises TrainingError or DatasetError where the config's data has no place, or is none; reads nothing."""
    if config.data == EMBEDDED:
        if config.size not in ((), CAMERA.shape):
            views = list(CAMERA.shape)
            raise TrainingError(f"size is {list(config.size)}; views of the embedded world are {views}: leave it out")
        if config.void_things:
            raise TrainingError("void_things is for labels that leave things out; the embedded world has none")
    elif config.data in KINDS:
        raise TrainingError(f"the config names {config.data} but not where it is: give --data {config.data}:PLACE")
    else:
        split_spec(config.data)


def load_data(config: Config, out: Path) -> tuple[Any, Any, str]:
    """Training and validation samples, and the label set of their labels.

    Views of the embedded world are rendered beside the run's folder `out`, so that other runs have them too.

    Raises:
        TrainingError, DatasetError: no place for the data, or data that is not what it should be.
    """
    check_data(config)
    if config.data == EMBEDDED:
        train, val = (_embedded_views(config, out.parent / EMBEDDED, seeds) for seeds in (config.train, config.val))
        return train, val, "nyu13"
    train, label_set = _part(config, config.train)
    val, _ = _part(config, config.val)
    return InMemory(train, config.size, bool(config.void_things)), InMemory(val, config.size), label_set


def _part(config: Config, split: str) -> tuple[Any, str]:
    """The samples of a split, and their label set."""
    wanted = config.auxiliary_label_set or config.label_set or None
    share = re.fullmatch(r"([0-9]+)-([0-9]+)%", split)
    dataset = open_dataset(config.data, None if share else split, wanted)
    if dataset.label_set is None:
        raise TrainingError(f"{config.data} has no labels to learn from")
    if share is None:
        return dataset, dataset.label_set
    shares = [int(percent) for percent in share.groups()]
    if not shares[0] < shares[1] <= 100:
        raise TrainingError(f"'{split}' is no share of the samples; expected one as 0-80%")
    first, last = (round(percent * len(dataset) / 100) for percent in shares)
    return Subset(dataset, range(first, last)), dataset.label_set  # type: ignore[arg-type]


def _embedded_views(config: Config, folder: Path, seeds: str) -> Dataset[Any]:
    """Random and tour views of the buildings, rendered to folders in FOLDER where they are not there yet."""
    buildings = parse_seeds(seeds)
    kinds = (("random", config.views), ("tour", config.tour_views))
    views: list[Any] = [EmbeddedViews(folder / f"{kind}_{seeds}_{n}", buildings, n, kind) for kind, n in kinds if n]
    if not views:
        raise TrainingError("views and tour_views are both 0; the embedded world has nothing to show then")
    return ConcatDataset(views)


class InMemory:
    """The samples of a dataset, read once and held in 6 bytes a pixel: colour, depth in millimetres, 8-bit labels.

    Args:
        samples: of RgbdSample.
        size: (height, width) to which they are resized, as they are if empty.
        things: whether `mark_things` goes over their labels.

    Raises:
        TrainingError: no samples, one without labels, or different sizes.
    """

    def __init__(self, samples: Any, size: tuple[int, ...] = (), things: bool = False) -> None:
        self._samples: list[tuple[NDArray[np.uint16], RgbdSample]] = []
        for i in tqdm(range(len(samples)), "reading", mininterval=10):
            sample = samples[i]
            self._samples.append(_packed(resized(sample, size[1], size[0]) if size else sample, things))
            shapes = [packed[0].shape for packed in (self._samples[0], self._samples[-1])]
            if shapes[0] != shapes[1]:
                first, other = (f"{width}x{height}" for height, width in shapes)
                raise TrainingError(
                    f"sample {sample.name} is {other}, those before {first}; `size: [height, width]` in the config "
                    "makes them equal"
                )
        if not self._samples:
            raise TrainingError("a split of the data has no samples")

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> RgbdSample:
        millimetres, sample = self._samples[index]
        depth = np.where(millimetres > 0, millimetres * np.float32(0.001), np.float32(np.nan))
        return replace(sample, depth=depth)


def _packed(sample: RgbdSample, things: bool) -> tuple[NDArray[np.uint16], RgbdSample]:
    if sample.label is None:
        raise TrainingError(f"sample {sample.name} has no labels to learn from")
    label = mark_things(sample.label) if things else sample.label
    return millimetres(sample.depth), replace(sample, depth=np.empty(0, np.float32), label=label)


def mark_things(label: NDArray[np.uint8], radius: int = 4, largest: float = 0.1, border: int = 8) -> NDArray[np.uint8]:
    """Labels (H, W) uint8, 255 void, in which thick regions of void are `THING`.

    Labels of NYUv2 leave things out that are in no class of their own: what is void there are thin seams between
    segments, the border of the image, and things.

    Args:
        radius: pixels of a disk that fits into a thick region.
        largest: share of the image above which a region is a place that nobody labelled rather than a thing.
        border: pixels at the image's border that stay void.
    """
    void = np.zeros(label.shape, np.uint8)
    inside = (slice(border, -border),) * 2
    void[inside] = label[inside] == VOID
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    _, region, stats, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(void, cv2.MORPH_OPEN, disk))
    thing = stats[:, cv2.CC_STAT_AREA] <= largest * label.size
    thing[0] = False
    return np.where(thing[region], np.uint8(THING), label)


class TrainingSet(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Normalised samples; augmented with a generator seeded by (seed, epoch, index), so that order does not matter."""

    def __init__(self, samples: Any, config: Config, augmentation: Augmentation | None) -> None:
        self.samples, self.config, self.augmentation, self.epoch = samples, config, augmentation, 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        sample = self.samples[index]
        if self.augmentation:
            augmentation = self.augmentation
            if self.epoch >= self.config.crop_epochs:
                augmentation = replace(augmentation, crop=None)
            sample = augmentation(sample, np.random.default_rng([self.config.seed, self.epoch, index]))
        return tensors(self.config, sample)


def tensors(config: Config, sample: RgbdSample) -> tuple[Tensor, Tensor, Tensor]:
    """color (3, H, W) and depth (D, H, W) float32, by the code that prepares them on the robot; label (H, W) int64."""
    specs = input_specs(config, sample.depth.shape)
    color, depth = color_input(sample.rgb, specs["color"]), depth_input(sample.depth, specs["depth"])
    assert sample.label is not None
    return torch.from_numpy(color[0]), torch.from_numpy(depth[0]), torch.from_numpy(sample.label.astype(np.int64))


@dataclass(frozen=True)
class Target:
    """What one head learns.

    Attributes:
        names: of its classes.
        of: (256,) int64, its class for every id in the labels of the dataset, 255 for void.
        weights: (K,) float32 of its classes.
        unseen: ids of its classes that the training samples do not have.
    """

    names: tuple[str, ...]
    of: Tensor
    weights: Tensor
    unseen: tuple[int, ...]

    def to(self, device: torch.device) -> Target:
        """The same with its tensors there."""
        return replace(self, of=self.of.to(device), weights=self.weights.to(device))


def target(samples: Any, config: Config, label_set: str, data_label_set: str, things: str = "") -> Target:
    """Classes of `label_set` as indices, from labels in `data_label_set`; `things` is the class of `THING`.

    Weights: median class frequency over each class's own (Eigen and Fergus, ICCV 2015) to a power, limited; from at
    most 1000 samples.

    Raises:
        TrainingError: no mapping between the two, no class of that name, or nothing labelled.
    """
    labels, table = load_label_set(label_set), np.full(256, VOID, np.int64)
    index = {class_id: i for i, class_id in enumerate(labels.ids)}
    try:
        of = mapping(data_label_set, label_set) if data_label_set != label_set else np.arange(256)
        if things and THING in load_label_set(data_label_set).ids:
            raise ValueError(f"void_things needs the id {THING}, which is a class of {data_label_set}")
        if things:
            of[THING] = labels.id_of(things)
    except (ValueError, KeyError) as error:
        raise TrainingError(str(error.args[0])) from error
    for i, class_id in enumerate(of):
        table[i] = index.get(int(class_id), VOID)
    counts, seen = np.zeros(len(index), np.int64), np.zeros(len(index), np.bool_)
    for i in range(len(samples)):
        pixels = np.bincount(table[samples[i].label.ravel()], minlength=256)[: len(index)]
        seen |= pixels > 0
        if i % max(1, len(samples) // 1000) == 0:
            counts += pixels
    if not seen.any():
        raise TrainingError(f"no pixel of the training samples is in a class of {labels.name}")
    frequency = np.maximum(counts, 1) / max(counts.sum(), 1)
    rarity, limit = np.median(frequency[counts > 0]) / frequency, config.max_class_weight
    weights = np.clip(rarity**config.class_weight_power, 1 / limit, limit)
    unseen = tuple(class_id for class_id, there in zip(labels.ids, seen, strict=True) if not there)
    return Target(labels.names, torch.from_numpy(table), torch.tensor(weights, dtype=torch.float32), unseen)
