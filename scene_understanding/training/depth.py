"""Trains a network for depth from one image: `scene-understanding train depth --config CONFIG`.

Losses as in `depth_losses`, pixels of unknown depth ignored; with "lsgan" a conditional patch discriminator learns
beside the network (Carvalho et al., ICIP 2018, section 3), with "laplace" or "beta_laplace" the network how wrong it is
(Kendall and Gal, NIPS 2017). The loop is that of `run`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scene_understanding.evaluation.depth_metrics import counted_part, depth_errors, mean_errors
from scene_understanding.models.patch_discriminator import PatchDiscriminator
from scene_understanding.training import processes
from scene_understanding.training.config import Config, TrainingError
from scene_understanding.training.data import TrainingSet
from scene_understanding.training.depth_config import DepthConfig
from scene_understanding.training.depth_data import load_data, tensors
from scene_understanding.training.depth_losses import (
    ADVERSARIAL,
    LIKELIHOODS,
    LOSSES,
    lsgan_discriminator,
    lsgan_generator,
)
from scene_understanding.training.networks import build, check_starts
from scene_understanding.training.run import CHECKPOINT, SAVE_EVERY, Run

COLUMNS = ("rel", "log10", "rms", "rmslog", "d1", "d2", "d3")


class DepthRun(Run):
    """A depth training in a folder.

    Args:
        train, val: sequences of RgbdSample, all of one size.
        save_every: seconds of training that a kill may cost.

    Raises:
        TrainingError: the config does not fit the data, or the folder holds a run of another config.
    """

    config: DepthConfig
    method = "depth_map"

    def __init__(self, config: DepthConfig, train: Any, val: Any, folder: Path, save_every: float = SAVE_EVERY) -> None:
        torch.manual_seed(config.seed)
        config = replace(config, size=config.size or train[0].rgb.shape[:2])
        if ADVERSARIAL in config.losses and processes.count() > 1:
            raise TrainingError(f"{ADVERSARIAL} trains in one process only")
        sets = (
            TrainingSet(train, config, tensors, config.augmentation_of_samples()),
            TrainingSet(val, config, tensors),
        )
        super().__init__(config, *sets, folder, save_every)

    def build_network(self, started: Config) -> nn.Module:
        if ADVERSARIAL in self.config.losses:
            self.discriminator = PatchDiscriminator().to(processes.device())
            rate = self.config.discriminator_rate
            self.discriminator_optimizer = torch.optim.Adam(self.discriminator.parameters(), rate, (0.5, 0.999))
        return build(started)

    def parts(self) -> dict[str, Any]:
        adversaries = ("discriminator", "discriminator_optimizer") if ADVERSARIAL in self.config.losses else ()
        return {**super().parts(), **{name: getattr(self, name) for name in adversaries}}

    def loss(self, forward: Any, *batch: Tensor) -> Tensor:
        color, truth = batch
        with self.autocast():
            maps = forward(color).float()
        predicted, scale = maps[:, :1], maps[:, 1:]
        truth = F.interpolate(truth, size=predicted.shape[-2:], mode="nearest-exact")
        known = (truth > self.config.smallest) & (truth < self.config.largest)
        total = predicted.new_zeros(())
        for name, weight in self.config.losses.items():
            if name in LIKELIHOODS:
                total = total + weight * LIKELIHOODS[name](predicted, scale, truth, known)
            elif name in LOSSES:
                total = total + weight * LOSSES[name](predicted, truth, known)
        if ADVERSARIAL in self.config.losses:
            total = total + self.config.losses[ADVERSARIAL] * self._adversarial(color, predicted, truth, known)
        return total

    def _adversarial(self, color: Tensor, predicted: Tensor, truth: Tensor, known: Tensor) -> Tensor:
        """Trains the discriminator by a step, then lets it judge what was predicted."""
        color = F.interpolate(color, size=predicted.shape[-2:], mode="area")
        whole = torch.where(known, truth, predicted.detach())  # what is unknown must not tell the two apart
        self.discriminator_optimizer.zero_grad()
        real, generated = self.discriminator(color, whole), self.discriminator(color, predicted.detach())
        lsgan_discriminator(real, generated).backward()
        self.discriminator_optimizer.step()
        self.discriminator.requires_grad_(False)
        judged = lsgan_generator(self.discriminator(color, predicted))
        self.discriminator.requires_grad_(True)
        return judged

    @torch.no_grad()
    def judge(self) -> dict[str, Any]:
        """The means over images of their errors."""
        self.average.eval()
        errors = []
        for color, truth in self.validation:
            predicted = self.average(color.to(self.device))[0]
            for image, depth in zip(predicted.cpu().numpy()[:, 0], truth.numpy()[:, 0], strict=True):
                part = counted_part(depth.shape, self.config.crop)
                errors.append(depth_errors(image[part], depth[part], self.config.smallest, self.config.largest))
        means = mean_errors(errors)
        if not math.isfinite(means[self.config.score]):
            limits = f"{self.config.smallest:g} to {self.config.largest:g} m"
            raise TrainingError(f"no pixel of the validation samples has a depth of {limits} (smallest, largest)")
        return means

    def columns(self) -> list[str]:
        return list(COLUMNS)

    def line(self, result: dict[str, Any]) -> str:
        return ", ".join(f"{name} {result[name]:.3f}" for name in COLUMNS)


def train(config: DepthConfig, out: Path, save_every: float = SAVE_EVERY) -> dict[str, Any]:
    """Trains the network of a config in the folder `out` and returns the errors of the last validation.

    Raises:
        TrainingError, DatasetError: it cannot be done as asked.
    """
    if not (out / CHECKPOINT).exists():
        check_starts(config)  # before the data is read, which takes its time
    with processes.first_goes_first():
        samples, validation = load_data(config, out)
    return DepthRun(config, samples, validation, out, save_every).fit()
