"""Trains disparity from stereo pairs without depth: `scene-understanding train stereo --config CONFIG`.

Left-right consistency (`stereo_losses`), the augmentation of the paper; the loop is that of `run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from scene_understanding.datasets.kitti_stereo import StereoSample
from scene_understanding.datasets.open import open_stereo
from scene_understanding.evaluation.stereo import disparity_errors, in_pixels, matched
from scene_understanding.training.config import Config, TrainingError
from scene_understanding.training.networks import build
from scene_understanding.training.run import SAVE_EVERY, Run
from scene_understanding.training.stereo_config import StereoConfig
from scene_understanding.training.stereo_losses import left_right_loss

COLUMNS = ("epe", "bad", "good")


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Left and right images (3, h, w) float32 in 0..1; augmented with a generator seeded by (seed, epoch, index)."""

    def __init__(self, samples: Sequence[StereoSample], config: StereoConfig, augmented: bool) -> None:
        self.config, self.augmented, self.epoch = config, augmented, 0
        self._pairs = [tuple(resized(image, config.size) for image in (s.left, s.right)) for s in samples]

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        left, right = (image.astype(np.float32) / np.float32(255) for image in self._pairs[index])
        if self.augmented:
            rng = np.random.default_rng([self.config.seed, self.epoch, index])
            left, right = augmented(left, right, rng)
        return tuple(torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1))) for x in (left, right))  # type: ignore


def resized(image: NDArray[np.uint8], size: Sequence[int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.uint8)


def augmented(
    left: NDArray[np.float32], right: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Half of the pairs mirrored, left and right exchanged; half with gamma, brightness and colour changed alike."""
    if rng.random() < 0.5:
        left, right = right[:, ::-1], left[:, ::-1]
    if rng.random() < 0.5:
        gamma, brightness, colour = rng.uniform(0.8, 1.2), rng.uniform(0.5, 2.0), rng.uniform(0.8, 1.2, 3)
        gain = (brightness * colour).astype(np.float32)
        left, right = (np.clip(image ** np.float32(gamma) * gain, 0, 1) for image in (left, right))
    return left, right


class StereoRun(Run):
    """A stereo training in a folder; it is validated against a classical matcher (`evaluation.stereo`).

    Args:
        train, val: sequences of StereoSample.
        save_every: seconds of training that a kill may cost.

    Raises:
        TrainingError: the config does not fit the data, or the folder holds a run of another config.
    """

    config: StereoConfig
    method = "disparities"

    def __init__(
        self, config: StereoConfig, train: Any, val: Any, folder: Path, save_every: float = SAVE_EVERY
    ) -> None:
        torch.manual_seed(config.seed)
        train, val = ([samples[i] for i in range(len(samples))] for samples in (train, val))
        if not val:
            raise TrainingError("there are no pairs to validate on")
        self.references = [matched(sample) for sample in val]
        super().__init__(config, Pairs(train, config, True), Pairs(val, config, False), folder, save_every)

    def build_network(self, started: Config) -> nn.Module:
        return build(started)

    def loss(self, forward: Any, *batch: Tensor) -> Tensor:
        left, right = batch
        with self.autocast():
            disparities = forward(left)
        return left_right_loss([pair.float() for pair in disparities], left, right)

    @torch.no_grad()
    def judge(self) -> dict[str, Any]:
        """Errors against the matcher at the resolution of the images, averaged over pairs."""
        self.average.eval()
        found = [self.average(left.to(self.device)).cpu().numpy() for left, _ in self.validation]
        errors = [
            disparity_errors(in_pixels(disparity[0], reference.shape), reference)
            for disparity, reference in zip(np.concatenate(found), self.references, strict=True)
        ]
        counted = [e for e in errors if np.isfinite(e["epe"])]
        if not counted:
            raise TrainingError("the matcher finds nothing in the validation pairs; are left and right exchanged?")
        return {name: float(np.mean([e[name] for e in counted])) for name in COLUMNS}

    def columns(self) -> list[str]:
        return list(COLUMNS)

    def line(self, result: dict[str, Any]) -> str:
        return f"{result['epe']:.2f} px from the matcher, {100 * result['bad']:.1f} % bad"


def train(config: StereoConfig, out: Path, save_every: float = SAVE_EVERY) -> dict[str, Any]:
    """Trains the network of a config in the folder `out` and returns the errors of the last validation.

    Raises:
        TrainingError, DatasetError: it cannot be done as asked.
    """
    train, val = (open_stereo(config.data, split) for split in (config.train, config.val))
    return StereoRun(config, train, val, out, save_every).fit()
