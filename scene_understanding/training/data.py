"""From a dataset to batches, for every task: samples in memory, augmented, as tensors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset
from tqdm import tqdm

from scene_understanding.datasets.embedded import CAMERA, EmbeddedViews
from scene_understanding.datasets.embedded_defocus import EmbeddedDefocusViews
from scene_understanding.datasets.onera_dfd import CAMERA as LENS_CAMERA
from scene_understanding.datasets.open import KINDS, open_dataset, parse_seeds, split_spec
from scene_understanding.datasets.rgbd import RgbdSample, millimetres, resized
from scene_understanding.training.augment import Augmentation
from scene_understanding.training.config import DEFOCUS, EMBEDDED, Config, TrainingError


def check_data(config: Config) -> None:
    """Raises TrainingError or DatasetError where the config's data has no place, or is none; reads nothing."""
    if config.data in DEFOCUS:
        if config.size not in ((), LENS_CAMERA.shape):
            views = list(LENS_CAMERA.shape)
            raise TrainingError(f"size is {list(config.size)}; views of {config.data} are {views}: leave it out")
    elif config.data == EMBEDDED:
        if config.size not in ((), CAMERA.shape):
            views = list(CAMERA.shape)
            raise TrainingError(f"size is {list(config.size)}; views of the embedded world are {views}: leave it out")
    elif config.data in KINDS:
        raise TrainingError(f"the config names {config.data} but not where it is: give --data {config.data}:PLACE")
    else:
        split_spec(config.data)


def part_of(config: Config, split: str, label_set: str | None = None) -> Any:
    """The samples of a split or of a share of the data, labelled in `label_set` where it has labels."""
    share = re.fullmatch(r"([0-9]+)-([0-9]+)%", split)
    dataset = open_dataset(config.data, None if share else split, label_set)
    if share is None:
        return dataset
    shares = [int(percent) for percent in share.groups()]
    if not shares[0] < shares[1] <= 100:
        raise TrainingError(f"'{split}' is no share of the samples; expected one as 0-80%")
    first, last = (round(percent * len(dataset) / 100) for percent in shares)
    return Subset(dataset, range(first, last))  # type: ignore[arg-type]


def embedded_views(config: Config, folder: Path, seeds: str) -> Dataset[Any]:
    """Random and tour views of the buildings, rendered to folders in FOLDER where they are not there yet."""
    buildings = parse_seeds(seeds)
    kinds = (("random", config.views), ("tour", config.tour_views))
    views: list[Any] = [EmbeddedViews(folder / f"{kind}_{seeds}_{n}", buildings, n, kind) for kind, n in kinds if n]
    if not views:
        raise TrainingError("views and tour_views are both 0; the embedded world has nothing to show then")
    return ConcatDataset(views)


def defocus_views(config: Config, folder: Path, seeds: str) -> Dataset[Any]:
    """Random views of the buildings through a lens, rendered to a folder in FOLDER where they are not there yet."""
    if not config.views:
        raise TrainingError(f"views is 0; {config.data} has nothing to show then")
    place = folder / f"defocus_{seeds}_{config.views}"
    return EmbeddedDefocusViews(place, parse_seeds(seeds), config.views, DEFOCUS[config.data])  # type: ignore[return-value]


class InMemory:
    """The samples of a dataset, read once and held in 6 bytes a pixel: colour, depth in millimetres, 8-bit labels.

    Args:
        samples: of RgbdSample.
        size: (height, width) to which they are resized, as they are if empty.
        prepare: what goes over each of them first.

    Raises:
        TrainingError: no samples, different sizes, or what `prepare` raises.
    """

    def __init__(
        self, samples: Any, size: tuple[int, ...] = (), prepare: Callable[[RgbdSample], RgbdSample] = lambda s: s
    ) -> None:
        self._samples: list[tuple[NDArray[np.uint16], RgbdSample]] = []
        for i in tqdm(range(len(samples)), "reading", mininterval=10):
            sample = samples[i]
            sample = prepare(resized(sample, size[1], size[0]) if size else sample)
            self._samples.append((millimetres(sample.depth), replace(sample, depth=np.empty(0, np.float32))))
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


class TrainingSet(Dataset[tuple[Tensor, ...]]):
    """Samples as tensors; augmented with a generator seeded by (seed, epoch, index), so that order does not matter.

    Args:
        samples: of RgbdSample.
        tensors: makes what training takes of (config, sample).
        augmentation: None leaves samples as they are.
    """

    def __init__(
        self,
        samples: Any,
        config: Any,
        tensors: Callable[[Any, RgbdSample], tuple[Tensor, ...]],
        augmentation: Augmentation | None = None,
    ) -> None:
        self.samples, self.config, self.tensors, self.augmentation = samples, config, tensors, augmentation
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        sample = self.samples[index]
        if self.augmentation:
            augmentation = self.augmentation
            if self.epoch >= self.config.crop_epochs:
                augmentation = replace(augmentation, crop=None)
            sample = augmentation(sample, np.random.default_rng([self.config.seed, self.epoch, index]))
        return self.tensors(self.config, sample)
