"""Training of disparity on a tiny set of pairs, judged by a classical matcher, and its export and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from scene_understanding.cli import main
from scene_understanding.datasets.kitti_stereo import StereoSample
from scene_understanding.evaluation.stereo import disparity_errors, evaluate, in_pixels, matched, post_processed
from scene_understanding.evaluation.timing import EvaluationError, TimedNetwork
from scene_understanding.geometry import PinholeCamera
from scene_understanding.inference.card import read_card
from scene_understanding.training.config import TrainingError
from scene_understanding.training.export import export
from scene_understanding.training.model_card import Export
from scene_understanding.training.run import Run
from scene_understanding.training.stereo import StereoRun, augmented
from scene_understanding.training.stereo_config import StereoConfig

CONFIG = StereoConfig(
    network="monodepth", arguments={"width": 0.0625}, train="fit", val="val", size=(32, 128), epochs=2, batch=2,
    warmup_steps=2, ema=0.9, learning_rate=1e-3,
)  # fmt: skip
SHIFT = 24


@pytest.fixture(scope="module")
def pairs() -> list[StereoSample]:
    """A wall of grey noise, `SHIFT` pixels further left in the right image."""
    rng, pairs = np.random.default_rng(0), []
    for i in range(4):
        wide = cv2.resize(rng.integers(0, 256, (6, 36), np.uint8), (576, 96), interpolation=cv2.INTER_CUBIC)
        images = (np.repeat(part[..., None], 3, -1) for part in (wide[:, :512], wide[:, SHIFT : 512 + SHIFT]))
        left, right = images
        pairs.append(StereoSample(str(i), left, right, PinholeCamera(512, 96, 400, 400, 255.5, 47.5), 0.5))
    return pairs


def test_the_matcher_finds_the_shift(pairs: list[StereoSample]) -> None:
    found = matched(pairs[0])
    known = np.isfinite(found)
    assert known.mean() > 0.3 and np.abs(found[known] - SHIFT).max() < 1


def test_errors_against_a_reference() -> None:
    reference = np.array([[10, 100, np.nan, 50]], np.float32)
    errors = disparity_errors(np.array([[13.5, 104, 7, 50]], np.float32), reference)
    assert errors == {"epe": pytest.approx(2.5), "bad": pytest.approx(1 / 3), "good": pytest.approx(2 / 3)}
    assert np.isnan(disparity_errors(reference, np.full((1, 4), np.nan, np.float32))["epe"])


def test_post_processing_trusts_each_side_to_who_sees_it() -> None:
    ramp = lambda image: np.broadcast_to(np.arange(100, dtype=np.float32), (2, 100))  # noqa: E731
    found = post_processed(ramp)(np.zeros((2, 100, 3), np.uint8))
    assert found[0, 0] == 99 and found[0, -1] == 99 and found[0, 50] == pytest.approx(49.5)


def test_mirrored_pairs_change_sides() -> None:
    left, right = np.full((2, 4, 3), 0.25, np.float32), np.full((2, 4, 3), 0.75, np.float32)
    left[:, 0] = 0
    seen = [augmented(left, right, np.random.default_rng(seed)) for seed in range(40)]
    same = [a for a, b in seen if np.array_equal(a, left) and np.array_equal(b, right)]
    swapped = [a for a, b in seen if np.array_equal(a, right) and np.array_equal(b, left[:, ::-1])]
    assert same and swapped and len(same) + len(swapped) < 40
    assert all((x >= 0).all() and (x <= 1).all() for pair in seen for x in pair)


def test_it_learns_the_shift_without_being_told(pairs: list[StereoSample], tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=15, validate_every=15, learning_rate=3e-3)
    run = StereoRun(config, pairs, pairs[:2], tmp_path)
    before = run.judge()
    after = run.fit()
    assert after["epe"] < 0.25 * before["epe"]


def test_a_run_becomes_a_model_that_can_be_evaluated(
    pairs: list[StereoSample], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    StereoRun(replace(CONFIG, epochs=1), pairs, pairs[:2], tmp_path / "run").fit()
    export(Export(tmp_path / "run", "tiny", tmp_path / "tiny"))
    card = read_card(tmp_path / "tiny")
    assert (card.task, card.outputs) == ("stereo", {"disparity": (1, 1, 32, 128)})
    for side in ("left", "right"):
        (tmp_path / "data/seq1" / side).mkdir(parents=True)
        for pair in pairs:
            cv2.imwrite(str(tmp_path / "data/seq1" / side / f"{pair.name}.png"), getattr(pair, side))
    (tmp_path / "data/seq1/calib.txt").write_text("P0: 9 0 0 0 0 9 0 0 0 0 1 0\nP1: 9 0 0 -4 0 9 0 0 0 0 1 0\n")
    with pytest.raises(SystemExit) as done:
        main(["evaluate", str(tmp_path / "tiny"), "--data", f"kitti_stereo:{tmp_path / 'data'}", "--split", "all"])
    out = capfd.readouterr().out
    assert done.value.code == 0 and "4 pairs" in out and "px from semi-global matching" in out
    with pytest.raises(SystemExit) as done:
        main(["evaluate", str(tmp_path / "tiny"), "--data", f"kitti_stereo:{tmp_path / 'data'}", "--split", "fit"])
    assert done.value.code == 2 and "error: the dataset has no pairs" in capfd.readouterr().err
    network = TimedNetwork(card, threads=1)
    errors, network_ms, total_ms = evaluate(network, pairs, flip=True)
    assert errors["known"] > 0.3 and (0 < network_ms).all() and (network_ms < total_ms).all()
    blank = [replace(pair, right=np.zeros_like(pair.right)) for pair in pairs]
    with pytest.raises(EvaluationError, match="the matcher finds nothing in any pair"):
        evaluate(network, blank)


def test_disparity_in_pixels_is_a_share_of_the_width() -> None:
    np.testing.assert_allclose(in_pixels(np.full((3, 4), 0.1, np.float32), (6, 50)), np.full((6, 50), 5), rtol=1e-6)


def test_configs_that_cannot_be_are_one_line(pairs: list[StereoSample], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="size is missing"):
        replace(CONFIG, size=())
    for change in ({"augmentation": {"flip": True}}, {"color_mean": (1.0, 1.0, 1.0)}, {"views": 3}):
        with pytest.raises(TrainingError, match=f"{next(iter(change))} means nothing for stereo pairs; leave it out"):
            replace(CONFIG, **change)
    with pytest.raises(
        TrainingError, match="start and frozen_stages are not for stereo; monodepth starts from nothing"
    ):
        replace(CONFIG, start="a.safetensors")
    with pytest.raises(TrainingError, match="no pairs to validate on"):
        StereoRun(CONFIG, pairs, [], tmp_path)


def test_a_run_that_was_cut_off_ends_with_the_same_weights(
    pairs: list[StereoSample], cut_at: Callable[[Run, int], None], tmp_path: Path
) -> None:
    StereoRun(CONFIG, pairs, pairs[:2], tmp_path / "whole").fit()
    cut = StereoRun(CONFIG, pairs, pairs[:2], tmp_path / "cut", save_every=0)
    cut_at(cut, 3)
    StereoRun(CONFIG, pairs, pairs[:2], tmp_path / "cut", save_every=0).fit()
    ends = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["average"] for name in ("whole", "cut")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_pairs_are_tensors_of_the_size_of_the_config(pairs: list[StereoSample], tmp_path: Path) -> None:
    run = StereoRun(CONFIG, pairs, pairs[:2], tmp_path)
    left, right = run.training_set[0]
    assert left.shape == right.shape == (3, 32, 128) and 0 <= left.min() <= left.max() <= 1
