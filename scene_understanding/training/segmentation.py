"""Trains an RGB-D segmentation network: `scene-understanding train segmentation --config CONFIG`.

Cross-entropy with median-frequency class weights (Eigen and Fergus, ICCV 2015) and Lovász-Softmax, void pixels
ignored, a finer label set on a second head; the loop is that of `run`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from scene_understanding.evaluation.segmentation_metrics import confusion_matrix, summary
from scene_understanding.training import processes
from scene_understanding.training.config import Config, TrainingError
from scene_understanding.training.data import TrainingSet
from scene_understanding.training.losses import cross_entropy, lovasz_softmax
from scene_understanding.training.networks import build, check_starts
from scene_understanding.training.run import CHECKPOINT, SAVE_EVERY, Run
from scene_understanding.training.segmentation_config import SegmentationConfig
from scene_understanding.training.segmentation_data import check_segmentation_data, load_data, target, tensors


class SegmentationRun(Run):
    """A segmentation training in a folder.

    Args:
        train, val: sequences of RgbdSample with labels in `data_label_set`, all of one size.
        save_every: seconds of training that a kill may cost.

    Raises:
        TrainingError: the config does not fit the data, or the folder holds a run of another config.
    """

    config: SegmentationConfig
    method = "score_maps"

    def __init__(
        self, config: SegmentationConfig, train: Any, val: Any, folder: Path, data_label_set: str,
        save_every: float = SAVE_EVERY,
    ) -> None:  # fmt: skip
        torch.manual_seed(config.seed)
        config = replace(
            config, size=config.size or train[0].rgb.shape[:2], label_set=config.label_set or data_label_set
        )
        device = processes.device()
        self.target = target(train, config, config.label_set, data_label_set, config.void_things).to(device)
        self.heads = [self.target]
        if config.auxiliary_label_set:
            self.heads.append(target(train, config, config.auxiliary_label_set, data_label_set).to(device))
        sets = (
            TrainingSet(train, config, tensors, config.augmentation_of_samples()),
            TrainingSet(val, config, tensors),
        )
        super().__init__(config, *sets, folder, save_every)

    def build_network(self, started: Config) -> nn.Module:
        return build(started, *(len(head.names) for head in self.heads))

    def loss(self, forward: Any, *batch: Tensor) -> Tensor:
        color, depth, label = batch
        with self.autocast():
            maps = forward(color, depth)
        return self._loss([scores.float() for scores in maps if scores is not None], label)

    def _loss(self, maps: list[Tensor], label: Tensor) -> Tensor:
        """Cross-entropy at half the resolution of the labels, the other losses at that of the scores."""
        config, size = self.config, (label.shape[-2] // 2, label.shape[-1] // 2)
        scores, head = maps[0], self.target
        fine = F.interpolate(scores, size=size, mode="bilinear") if scores.shape[-1] < size[1] else scores
        truth = resized_label(label, fine.shape[-2:])
        loss = cross_entropy(fine, head.of[truth], head.weights, config.smoothing)
        truth = resized_label(label, scores.shape[-2:])
        if config.lovasz:
            loss = loss + config.lovasz * lovasz_softmax(scores, head.of[truth])
        for finer, head in zip(maps[1:], self.heads[1:], strict=True):
            loss = loss + config.auxiliary_weight * cross_entropy(finer, head.of[truth], head.weights, config.smoothing)
        return loss

    @torch.no_grad()
    def confusions(self) -> list[NDArray[np.int64]]:
        """Of the averaged network on the validation samples: a matrix (K, K + 1) for each head.

        Raises:
            TrainingError: the samples are not labelled.
        """
        self.average.eval()
        confusions = [np.zeros((len(head.names), len(head.names) + 1), np.int64) for head in self.heads]
        for batch in self.validation:
            color, depth, label = (tensor.to(self.device) for tensor in batch)
            maps = self.average.score_maps(color, depth)
            for head, confusion, scores in zip(self.heads, confusions, maps, strict=False):
                found = F.interpolate(scores, size=label.shape[-2:], mode="bilinear").argmax(1)
                confusion += confusion_matrix(head.of[label].cpu().numpy(), found.cpu().numpy(), len(confusion))
        if not confusions[0].any():
            raise TrainingError(f"no pixel of the validation samples is in a class of {self.config.label_set}")
        return confusions

    def judge(self) -> dict[str, Any]:
        """`summary` of what is predicted; of the second head as its "auxiliary"."""
        result, *more = (summary(c, head.names) for c, head in zip(self.confusions(), self.heads, strict=True))
        return {**result, "auxiliary": more[0]} if more else result

    def columns(self) -> list[str]:
        more = [f"auxiliary_{key}" for key in ("oa", "ma", "miou") for _ in self.heads[1:]]
        return ["oa", "ma", "miou", *self.target.names, *more]

    def row(self, result: dict[str, Any]) -> list[float | None]:
        means = [part[key] for part in (result, result.get("auxiliary", {})) for key in ("oa", "ma", "miou") if part]
        return [*means[:3], *result["iou"].values(), *means[3:]]

    def line(self, result: dict[str, Any]) -> str:
        return ", ".join(f"{label} {100 * result[key]:.1f}" for key, label in self.config.curves.items())

    def facts(self) -> dict[str, Any]:
        return {"unseen": [list(head.unseen) for head in self.heads]}


def resized_label(label: Tensor, size: Any) -> Tensor:
    """(N, h, w) int64 of labels (N, H, W), nearest."""
    if label.shape[-2:] == size:
        return label
    return F.interpolate(label[:, None].to(torch.uint8), size=size, mode="nearest-exact")[:, 0].long()


def train(config: SegmentationConfig, out: Path, save_every: float = SAVE_EVERY) -> dict[str, Any]:
    """Trains the network of a config in the folder `out` and returns the validation summary.

    Raises:
        TrainingError, DatasetError: it cannot be done as asked.
    """
    check_segmentation_data(config)
    if not (out / CHECKPOINT).exists():
        check_starts(config)  # before the data is read, which takes its time
    with processes.first_goes_first():
        samples, validation, data_label_set = load_data(config, out)
    return SegmentationRun(config, samples, validation, out, data_label_set, save_every).fit()
