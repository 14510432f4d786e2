"""Killed at any moment, a training goes on and ends with the same curve and the same weights, to the bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from scene_understanding.training.records import read_rows

PROGRAM = Path(__file__).with_name("killed_training.py")
KILLS = 5


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROGRAM.parents[2])}
    with open(tmp_path / "stderr.txt", "w") as stderr, subprocess.Popen(
        [sys.executable, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True,
        env=environment,
    ) as process:  # fmt: skip
        yield process
        assert process.stdin is not None
        process.stdin.close()


def train(program: subprocess.Popen[str], folder: Path, kill_after: float | None = None) -> int:
    """Trains in the folder and returns the exit status; a kill takes the loader's process with it."""
    assert program.stdin is not None and program.stdout is not None
    program.stdin.write(f"{folder}\n")
    program.stdin.flush()
    process = int(program.stdout.readline())
    if kill_after is not None:
        time.sleep(kill_after)
        with suppress(ProcessLookupError):  # it had ended
            os.killpg(process, signal.SIGKILL)
    return int(program.stdout.readline())


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    state = torch.load(folder / name, weights_only=True)
    if "network" not in state:
        return state
    return {f"{part}.{key}": tensor for part in ("network", "average") for key, tensor in state[part].items()}


def test_killed_at_random_moments_it_ends_with_the_same_curve(program: subprocess.Popen[str], tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(program, tmp_path / "warm up")
    begin = time.monotonic()
    assert train(program, whole) == 0
    length = time.monotonic() - begin
    for _ in range(KILLS):
        moment = random.uniform(0, 2.5 * length / KILLS)
        status = train(program, killed, moment)
        print(f"{moment:.2f} s of {length:.2f} s: status {status}, {len(read_rows(killed / 'steps.csv'))} steps")
    assert train(program, killed) == 0

    assert (killed / "steps.csv").read_text() == (whole / "steps.csv").read_text()
    assert [row["step"] for row in read_rows(whole / "steps.csv")] == [str(i) for i in range(1, 13)]
    logs = [[{**row, "seconds": ""} for row in read_rows(folder / "log.csv")] for folder in (whole, killed)]
    assert logs[0] == logs[1] and len(logs[0]) == 3
    for name in ("checkpoint.pt", "best.pt"):
        expected, found = weights(whole, name), weights(killed, name)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)
