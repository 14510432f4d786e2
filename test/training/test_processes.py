"""Several processes that share every batch, as torchrun starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scene_understanding.training import processes
from scene_understanding.training.config import TrainingError
from scene_understanding.training.presets import load_config
from scene_understanding.training.records import read_rows
from scene_understanding.training.segmentation import SegmentationRun, train
from scene_understanding.training.segmentation_config import SegmentationConfig

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def losses(run: Path) -> list[float]:
    return [float(row["loss"]) for row in read_rows(run / "steps.csv")]


def test_two_processes_end_near_one(own: Path, tmp_path: Path) -> None:
    config, data = own.parent / "tiny.yaml", f"folder:{own}"
    train(SegmentationConfig(**{**load_config(config).__dict__, "data": data, "epochs": 4}), tmp_path / "alone")
    command = ["-m", "scene_understanding.cli", "train", "segmentation", "--config", config, "--data", data]
    options = ["--out", tmp_path / "shared", "--epochs", "4", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*TORCHRUN, *command, *options], capture_output=True, text=True, env=environment, timeout=300,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1  # the first process alone speaks
    assert len(read_rows(tmp_path / "shared/log.csv")) == 1

    alone, shared = losses(tmp_path / "alone"), losses(tmp_path / "shared")
    assert len(alone) == len(shared) == 12
    assert shared[0] == pytest.approx(alone[0], rel=0.1)  # BatchNorm sees half of the batch
    assert np.mean(shared[-3:]) == pytest.approx(np.mean(alone[-3:]), rel=0.15)
    assert np.mean(shared[-3:]) < 0.95 * shared[0]


def test_a_batch_must_be_shared_evenly(monkeypatch: pytest.MonkeyPatch, tiny_config, tiny_set, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "count", lambda: 3)
    with pytest.raises(TrainingError, match="batch is 4, which 3 processes cannot share evenly"):
        SegmentationRun(tiny_config, tiny_set, tiny_set[:4], tmp_path, "nyu13")


def test_alone_nothing_is_shared() -> None:
    with processes.process_group(), processes.first_goes_first():
        assert (processes.rank(), processes.count()) == (0, 1)
    assert processes.mean_over_processes(torch.tensor(3.0)) == 3
