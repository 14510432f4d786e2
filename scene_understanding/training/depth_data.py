"""What a network for depth learns from the depth of a dataset."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scene_understanding.datasets.folder import check_camera
from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.perception.inputs import color_input
from scene_understanding.training.config import DEFOCUS, EMBEDDED, TrainingError
from scene_understanding.training.data import InMemory, check_data, defocus_views, embedded_views, part_of
from scene_understanding.training.depth_config import DepthConfig


def load_data(config: DepthConfig, out: Path) -> tuple[Any, Any]:
    """Training and validation samples; views of the embedded world are rendered beside the run's folder `out`.

    Raises:
        TrainingError, DatasetError: no place for the data, or data that is not what it should be.
    """
    check_data(config)
    train, val = (_part(config, out.parent / EMBEDDED, split) for split in (config.train, config.val))
    return train, val


def _part(config: DepthConfig, rendered: Path, split: str) -> Any:
    """The samples of a split; those of the embedded world lie in `rendered`."""
    if config.data == EMBEDDED:
        return embedded_views(config, rendered, split)
    if config.data in DEFOCUS:
        return defocus_views(config, rendered, split)
    part = part_of(config, split)
    check_camera(getattr(part, "dataset", part))  # of a share: the whole
    return InMemory(part, config.size, without_label)


def without_label(sample: RgbdSample) -> RgbdSample:
    """The sample, which must have depth, without its labels: augmentation need not move them."""
    if not np.isfinite(sample.depth).any():
        raise TrainingError(f"sample {sample.name} has no depth to learn from")
    return replace(sample, label=None)


def tensors(config: DepthConfig, sample: RgbdSample) -> tuple[Tensor, Tensor]:
    """color (3, H, W) float32, by the code that prepares it on the robot, and depth (1, H, W) float32, NaN unknown.

    Depth is what the camera of the config would measure: a network sees how many pixels a thing is large, which is its
    size times focal length over depth.
    """
    color = color_input(sample.rgb, config.input_specs(sample.depth.shape)["color"])[0]
    scale = config.focal_length / math.sqrt(sample.camera.fx * sample.camera.fy)
    return torch.from_numpy(color), torch.from_numpy(sample.depth[None] * np.float32(scale))
