"""What a segmentation network learns from the labels of a dataset."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.labels import load_label_set, mapping
from scene_understanding.perception.inputs import color_input, depth_input
from scene_understanding.training.config import EMBEDDED, TrainingError
from scene_understanding.training.data import InMemory, check_data, embedded_views, part_of
from scene_understanding.training.losses import VOID
from scene_understanding.training.segmentation_config import SegmentationConfig

THING = 254
"""Label of what `mark_things` takes for a thing; no class of a label set of ours."""


def check_segmentation_data(config: SegmentationConfig) -> None:
    """As `check_data`, and TrainingError where `void_things` makes no sense."""
    check_data(config)
    if config.data == EMBEDDED and config.void_things:
        raise TrainingError("void_things is for labels that leave things out; the embedded world has none")


def load_data(config: SegmentationConfig, out: Path) -> tuple[Any, Any, str]:
    """Training and validation samples, and the label set of their labels.

    Views of the embedded world are rendered beside the run's folder `out`, so that other runs have them too.

    Raises:
        TrainingError, DatasetError: no place for the data, or data that is not what it should be.
    """
    check_segmentation_data(config)
    if config.data == EMBEDDED:
        train, val = (embedded_views(config, out.parent / EMBEDDED, seeds) for seeds in (config.train, config.val))
        return train, val, "nyu13"
    wanted = config.auxiliary_label_set or config.label_set or None
    train, val = (part_of(config, split, wanted) for split in (config.train, config.val))
    label_set = getattr(train, "dataset", train).label_set  # of a share: the whole's
    if label_set is None:
        raise TrainingError(f"{config.data} has no labels to learn from")
    prepare = with_things if config.void_things else labelled
    return InMemory(train, config.size, prepare), InMemory(val, config.size, labelled), label_set


def labelled(sample: RgbdSample) -> RgbdSample:
    """The sample, which must have labels."""
    if sample.label is None:
        raise TrainingError(f"sample {sample.name} has no labels to learn from")
    return sample


def with_things(sample: RgbdSample) -> RgbdSample:
    """The sample with its labels after `mark_things`."""
    label = labelled(sample).label
    assert label is not None
    return replace(sample, label=mark_things(label))


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


def tensors(config: SegmentationConfig, sample: RgbdSample) -> tuple[Tensor, Tensor, Tensor]:
    """color (3, H, W) and depth (D, H, W) float32, by the code that prepares them on the robot; label (H, W) int64."""
    specs = config.input_specs(sample.depth.shape)
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


def target(samples: Any, config: SegmentationConfig, label_set: str, data_label_set: str, things: str = "") -> Target:
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
