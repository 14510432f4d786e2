"""What a network for keypoints learns from: images with people, augmented, as tensors.

The paper leaves regions of people without labels out of the loss. Here keypoints that a dataset does not label at all
are left out, but no regions: whom nobody labelled (bystanders in images of LSP) counts as background.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from scene_understanding.datasets.embedded_people import EmbeddedPeopleViews
from scene_understanding.datasets.lsp import Lsp
from scene_understanding.datasets.open import parse_seeds
from scene_understanding.datasets.people import PeopleDataset
from scene_understanding.training.config import EMBEDDED, TrainingError
from scene_understanding.training.keypoint_config import KeypointConfig

MOST = 20
"""People whose keypoints a training sample holds; those of more are left out, the smallest first."""


def load_data(config: KeypointConfig, out: Path) -> tuple[list[PeopleDataset], PeopleDataset]:
    """What to train on, each as often as the others, and what to validate on; views are rendered beside `out`.

    Raises:
        TrainingError, DatasetError: no place for the data, or data that is not what it should be.
    """
    rendered = out.parent / EMBEDDED
    kind, _, place = config.data.partition(":")
    beside: list[PeopleDataset] = [views(config, rendered, config.beside)] if config.beside else []
    if kind == EMBEDDED:
        return [views(config, rendered, config.train), *beside], views(config, rendered, config.val)
    if kind != "lsp" or not place:
        raise TrainingError(f"data is {config.data!r}; people are in {EMBEDDED}, and in lsp: give --data lsp:PLACE")
    return [Lsp(place, config.train), *beside], Lsp(place, config.val)


def views(config: KeypointConfig, folder: Path, seeds: str) -> EmbeddedPeopleViews:
    """Views with people of the buildings, rendered to a folder in FOLDER where they are not there yet."""
    return EmbeddedPeopleViews(folder / f"people_{seeds}_{config.views}", parse_seeds(seeds), config.views)


class PeopleTensors(Dataset[tuple[Tensor, ...]]):
    """Training samples; augmented with a generator seeded by (seed, epoch, index), so that order does not matter.

    color (3, h, w) uint8, keypoints (20, 18, 2) float32 in its pixels, NaN where there are none, and labelled (18,)
    bool: of which keypoints the dataset speaks.

    Args:
        parts: datasets; of all as many samples are taken as the first one has.
    """

    def __init__(self, parts: list[PeopleDataset], config: KeypointConfig) -> None:
        self.config, self.augmentation, self.epoch = config, config.augmentation_of_samples(), 0
        self.parts = parts
        if not len(parts[0]):
            raise TrainingError("a split of the data has no samples")

    def __len__(self) -> int:
        return len(self.parts) * len(self.parts[0]) * self.config.repeats

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        rng = np.random.default_rng([self.config.seed, self.epoch, index])
        position, part = divmod(index, len(self.parts))
        dataset = self.parts[part]
        sample = dataset[position % len(dataset) if part == 0 else int(rng.integers(len(dataset)))]
        rgb, found = self.augmentation(sample, rng)
        keypoints = np.full((MOST, *found.shape[1:]), np.nan, np.float32)
        largest = np.argsort(-np.nan_to_num(sample.area), kind="stable")[:MOST]
        keypoints[: len(largest)] = found[largest]
        color = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))
        return color, torch.from_numpy(keypoints), torch.from_numpy(sample.labelled)


class Pictures(Dataset[Any]):
    """The samples of a dataset, read once: for validation, which takes them whole."""

    def __init__(self, dataset: PeopleDataset) -> None:
        self.samples = [dataset[i] for i in range(len(dataset))]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        return self.samples[index]
