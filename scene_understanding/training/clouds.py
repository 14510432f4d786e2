"""Trains SnapNet's network on snapshots of labelled clouds: `scene-understanding train clouds --config CONFIG`.

Cross-entropy with class weights and Lovász-Softmax, of the corrected scores and of each stream's own (see
`models.snapnet`); the loop is that of `run`. Validation counts pixels of fixed snapshots; `evaluate` counts points.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from scene_understanding.evaluation.segmentation_metrics import confusion_matrix, summary
from scene_understanding.labels import load_label_set
from scene_understanding.training import processes
from scene_understanding.training.cloud_config import CloudConfig
from scene_understanding.training.cloud_data import (
    Scene,
    TrainingSnapshots,
    ValidationSnapshots,
    check_cloud_data,
    load_data,
    read,
    scenes_of,
)
from scene_understanding.training.config import Config, TrainingError
from scene_understanding.training.losses import VOID, cross_entropy, lovasz_softmax
from scene_understanding.training.networks import build, check_starts
from scene_understanding.training.run import CHECKPOINT, SAVE_EVERY, Run

COUNTED = 64
"""Training snapshots whose pixels say how frequent classes are."""


class CloudRun(Run):
    """A training on clouds in a folder.

    Args:
        train, val: scenes.
        save_every: seconds of training that a kill may cost.

    Raises:
        TrainingError: the config does not fit the data, or the folder holds a run of another config.
    """

    config: CloudConfig
    method = "score_maps"

    def __init__(
        self, config: CloudConfig, train: list[Scene], val: list[Scene], folder: Path, save_every: float = SAVE_EVERY
    ) -> None:
        torch.manual_seed(config.seed)
        self.names = load_label_set(config.label_set).names
        snapshots = TrainingSnapshots(train, config)
        self.weights = class_weights(snapshots, config, len(self.names)).to(processes.device())
        super().__init__(config, snapshots, ValidationSnapshots(val, config), folder, save_every)

    def build_network(self, started: Config) -> nn.Module:
        return build(started, len(self.names))

    def _normalised(self, pictures: tuple[Tensor, ...]) -> list[Tensor]:
        """Pictures (N, 3, h, w) uint8 as the network takes them: what `color_input` does on a robot."""
        mean, std = (
            torch.tensor(values, device=self.device)[:, None, None]
            for values in (self.config.color_mean, self.config.color_std)
        )
        return [((x.float() - mean) / std).contiguous(memory_format=torch.channels_last) for x in pictures]

    def loss(self, forward: Any, *batch: Tensor) -> Tensor:
        *pictures, label = batch
        with self.autocast():
            together, *alone = (scores.float() for scores in forward(*self._normalised(tuple(pictures))))
        truth = resized(label, together.shape[-2:])
        loss = self._of(together, truth)
        for scores in alone:
            loss = loss + self.config.expert_weight * self._of(scores, truth)
        return loss

    def _of(self, scores: Tensor, truth: Tensor) -> Tensor:
        config = self.config
        loss = cross_entropy(scores, truth, self.weights, config.smoothing)
        return loss + config.lovasz * lovasz_softmax(scores, truth) if config.lovasz else loss

    @torch.no_grad()
    def confusions(self) -> dict[str, NDArray[np.int64]]:
        """Of the averaged network on the validation snapshots, (K, K + 1).

        Of all streams `together`, of the `average` of their scores, and of each stream alone.

        Raises:
            TrainingError: no pixel of them is labelled.
        """
        self.average.eval()
        classes, ways = len(self.names), ("together", "average", *self.config.streams)
        found = {way: np.zeros((classes, classes + 1), np.int64) for way in ways}
        for batch in self.validation:
            *pictures, label = (tensor.to(self.device) for tensor in batch)
            together, *alone = self.average.score_maps(*self._normalised(tuple(pictures)))
            maps = (together, torch.stack(alone).mean(dim=0), *alone)
            for confusion, scores in zip(found.values(), maps, strict=True):
                decided = F.interpolate(scores, size=label.shape[-2:], mode="bilinear").argmax(1)
                confusion += confusion_matrix(label.cpu().numpy(), decided.cpu().numpy(), classes)
        if not found["together"].any():
            raise TrainingError(f"no pixel of the validation snapshots is in a class of {self.config.label_set}")
        return found

    def judge(self) -> dict[str, Any]:
        """`summary` of the pixels; `average_miou` and the like of the parts."""
        found = self.confusions()
        parts = {f"{part}_miou": summary(confusion, self.names)["miou"] for part, confusion in found.items()}
        return {**summary(found["together"], self.names), **{name: parts[name] for name in self._parts()}}

    def _parts(self) -> list[str]:
        return [f"{part}_miou" for part in ("average", *self.config.streams)]

    def columns(self) -> list[str]:
        return ["oa", "ma", "miou", *self._parts(), *self.names]

    def row(self, result: dict[str, Any]) -> list[float | None]:
        means = [result[key] for key in ("oa", "ma", "miou", *self._parts())]
        return [*means, *result["iou"].values()]

    def line(self, result: dict[str, Any]) -> str:
        return ", ".join(f"{label} {100 * result[key]:.1f}" for key, label in self.config.curves.items())


def class_weights(snapshots: TrainingSnapshots, config: CloudConfig, classes: int) -> Tensor:
    """(K,) float32: median class frequency over each class's own (Eigen and Fergus, ICCV 2015) to a power, limited.

    Raises:
        TrainingError: nothing labelled.
    """
    counts = np.zeros(classes, np.int64)
    for index in range(min(COUNTED, len(snapshots))):
        label = snapshots[index][-1].numpy()
        counts += np.bincount(label[label != VOID], minlength=classes)
    if not counts.any():
        raise TrainingError(f"no pixel of the training snapshots is in a class of {config.label_set}")
    rarity, limit = np.median(counts[counts > 0]) / np.maximum(counts, 1), config.max_class_weight
    return torch.tensor(np.clip(rarity**config.class_weight_power, 1 / limit, limit), dtype=torch.float32)


def resized(label: Tensor, size: Any) -> Tensor:
    """(N, h, w) int64 of labels (N, H, W) uint8, nearest."""
    if label.shape[-2:] != size:
        label = F.interpolate(label[:, None], size=size, mode="nearest-exact")[:, 0]
    return label.long()


def train(config: CloudConfig, out: Path, save_every: float = SAVE_EVERY) -> dict[str, Any]:
    """Trains the network of a config in the folder `out` and returns the validation summary.

    Raises:
        TrainingError, DatasetError: it cannot be done as asked.
    """
    check_cloud_data(config)
    if not (out / CHECKPOINT).exists():
        check_starts(config)  # before the data is read, which takes its time
    clouds, validation = (read(part) for part in load_data(config, out))
    scenes = scenes_of(clouds, config, config.augmentation_of_samples().variants)
    return CloudRun(config, scenes, scenes_of(validation, config, 1), out, save_every).fit()
