"""A tiny training: pictures of 64x48, a network of 28 thousand weights, one thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.geometry import PinholeCamera
from scene_understanding.training.config import Config

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
CHAIR, WALL = 3, 11
CONFIG = Config(
    network="fusenet", arguments={"depth_channels": 2, "width": 0.02, "dropout": 0.1}, label_set="nyu13", train="",
    val="", epochs=3, batch=4, warmup_steps=2, lovasz=0.5, ema=0.9, learning_rate=4e-3,
    augmentation={"scale": [0.8, 1.5], "turn": 5.0},
)  # fmt: skip


def make_tiny_set() -> list[RgbdSample]:
    """Left half near and dark (chair), right half far and bright (wall); the border moves."""
    rng, samples = np.random.default_rng(0), []
    for i, border in enumerate(rng.integers(16, 48, 16)):
        left = np.broadcast_to(np.arange(64) < border, (48, 64))
        rgb = np.repeat(np.where(left, 40, 200)[..., None], 3, -1) + rng.integers(-20, 20, (48, 64, 3))
        depth = np.where(left, 1.0, 4.0).astype(np.float32)
        label = np.where(left, CHAIR, WALL).astype(np.uint8)
        samples.append(RgbdSample(str(i), rgb.astype(np.uint8), depth, CAMERA, label))
    return samples


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The pictures are too small to share, and threads that wait for each other are slow on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_set() -> list[RgbdSample]:
    return make_tiny_set()


@pytest.fixture
def tiny_config() -> Config:
    return CONFIG


@pytest.fixture(scope="session")
def two_heads() -> Config:
    """Of the on-board network: 13 classes, and 40 on a second head."""
    arguments = {"depth_channels": 2, "channels": 16, "finest": 4}
    return replace(CONFIG, network="mobile_fusenet", arguments=arguments, auxiliary_label_set="nyu40")
