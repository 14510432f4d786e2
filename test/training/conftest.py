"""A tiny training: pictures of 64x48, a network of 28 thousand weights, one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.geometry import PinholeCamera
from scene_understanding.training.run import Run
from scene_understanding.training.segmentation_config import SegmentationConfig

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
CHAIR, WALL = 3, 11
CONFIG = SegmentationConfig(
    network="fusenet", arguments={"depth_channels": 2, "width": 0.02, "dropout": 0.1}, label_set="nyu13", train="",
    val="", epochs=3, batch=4, warmup_steps=2, ema=0.9, learning_rate=4e-3,
    augmentation={"scale": [0.8, 1.5], "turn": 5.0},
)  # fmt: skip


LABELS = """\
name: shelf
classes:
  - {id: 2, name: shelf, colour: [255, 0, 0]}
  - {id: 7, name: bottle, colour: [0, 255, 0]}
"""
OWN_CONFIG = """\
network: fusenet
arguments: {depth_channels: 2, width: 0.02, dropout: 0.1}
learning_rate: 0.01
validate_every: 4
label_set: ""
data: folder
train: 0-80%
val: 80-100%
epochs: 2
batch: 4
warmup_steps: 2
"""


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


class CutOff(Exception):
    pass


@pytest.fixture
def cut_at() -> Callable[[Run, int], None]:
    """Trains a run until a step, as a kill would leave it."""

    def train(run: Run, step: int) -> None:
        work = run._train_batch

        def dying(*batch: torch.Tensor) -> None:
            if run.step == step:
                raise CutOff
            work(*batch)

        run._train_batch = dying  # type: ignore[method-assign]
        with pytest.raises(CutOff):
            run.fit()

    return train


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
def tiny_config() -> SegmentationConfig:
    return CONFIG


@pytest.fixture(scope="session")
def two_heads() -> SegmentationConfig:
    """Of the on-board network: 13 classes, and 40 on a second head."""
    arguments = {"depth_channels": 2, "channels": 16, "finest": 4}
    return replace(CONFIG, network="mobile_fusenet", arguments=arguments, auxiliary_label_set="nyu40")


@pytest.fixture
def own(tmp_path: Path, tiny_set: list[RgbdSample]) -> Path:
    """Pictures, depth and labels as PNG, a label set, and a config beside the folder."""
    for part in ("rgb", "depth", "label"):
        (tmp_path / "own" / part).mkdir(parents=True)
    for sample in tiny_set:
        name = f"{int(sample.name):02d}.png"
        cv2.imwrite(str(tmp_path / "own/rgb" / name), sample.rgb[..., ::-1])
        cv2.imwrite(str(tmp_path / "own/depth" / name), (sample.depth * 1000).astype(np.uint16))
        cv2.imwrite(str(tmp_path / "own/label" / name), np.where(sample.label == 3, 7, 2).astype(np.uint8))
    (tmp_path / "own/labels.yaml").write_text(LABELS)
    (tmp_path / "tiny.yaml").write_text(OWN_CONFIG)
    return tmp_path / "own"
