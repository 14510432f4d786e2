"""The training loop on a tiny set: it learns, accumulates, resumes, and writes down what it did."""

from __future__ import annotations

import csv
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.training import records
from scene_understanding.training.config import TrainingError
from scene_understanding.training.networks import build
from scene_understanding.training.records import Table, read_rows
from scene_understanding.training.run import Run
from scene_understanding.training.segmentation import SegmentationRun
from scene_understanding.training.segmentation_config import SegmentationConfig


def start(config: SegmentationConfig, samples: list[RgbdSample], folder: Path, save_every: float = 1e9) -> Run:
    return SegmentationRun(config, samples, samples[:4], folder, "nyu13", save_every)


def curve(folder: Path, name: str) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_rows(folder / name)]


@pytest.mark.parametrize(("save_every", "begins"), [(0, 6), (1e9, 4)])
def test_a_run_that_was_cut_off_ends_with_the_same_curve(
    tiny_config: SegmentationConfig,
    tiny_set: list[RgbdSample],
    cut_at: Callable[[Run, int], None],
    tmp_path: Path,
    save_every: float,
    begins: int,
) -> None:
    config = replace(tiny_config, validate_every=2, lovasz=0.5)
    start(config, tiny_set, tmp_path / "whole").fit()
    cut_at(start(config, tiny_set, tmp_path / "cut", save_every), 6)
    resumed = start(config, tiny_set, tmp_path / "cut")
    assert resumed.step == begins
    resumed.fit()
    for name in ("steps.csv", "log.csv"):
        assert curve(tmp_path / "cut", name) == curve(tmp_path / "whole", name)
    assert [row["step"] for row in curve(tmp_path / "cut", "steps.csv")] == [str(i) for i in range(1, 13)]
    assert [row["epoch"] for row in curve(tmp_path / "cut", "log.csv")] == ["2", "3"]
    cut, whole = (torch.load(tmp_path / name / "best.pt", weights_only=True) for name in ("cut", "whole"))
    assert all(torch.equal(cut[name], whole[name]) for name in whole)


def test_it_learns_and_says_so(tiny_config: SegmentationConfig, tiny_set: list[RgbdSample], tmp_path: Path) -> None:
    config = replace(tiny_config, epochs=12, validate_every=5, batch=2, ema=0.5, learning_rate=1e-2)
    result = start(config, tiny_set, tmp_path).fit()
    assert result["oa"] > 0.9
    assert result["iou"]["chair"] > 0.8 and result["iou"]["bed"] is None
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["5", "10", "12"]
    assert float(rows[-1]["miou"]) == pytest.approx(result["miou"], abs=1e-4) and rows[-1]["bed"] == ""
    report = json.loads((tmp_path / "log.json").read_text())
    assert report["last"] == result and report["best"] >= result["miou"] - 1e-9
    assert report["samples"] == {"train": 16, "val": 4} and report["steps"] == 96
    assert report["unseen"] == [[i for i in range(13) if i not in (3, 11)]]
    again = start(config, tiny_set, tmp_path)
    assert again.fit() == result and again.step == 96  # nothing left to do


def test_a_second_head_is_trained_and_validated(
    tiny_set: list[RgbdSample], two_heads: SegmentationConfig, tmp_path: Path
) -> None:
    config = replace(two_heads, arguments={**two_heads.arguments, "output_stride": 2}, epochs=1)
    forty = [replace(sample, label=sample.label // 8 + 1) for sample in tiny_set]  # wall and floor of nyu40
    run = SegmentationRun(config, forty, forty[:4], tmp_path, "nyu40")
    before = run.network.auxiliary_score.weight.clone()
    result = run.fit()
    assert not torch.equal(before, run.network.auxiliary_score.weight)
    assert len(result["iou"]) == 13 and len(result["auxiliary"]["iou"]) == 40
    (row,) = read_rows(tmp_path / "log.csv")
    assert float(row["auxiliary_miou"]) == pytest.approx(result["auxiliary"]["miou"], abs=1e-4)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_two_batches_of_four_make_the_step_of_one_of_eight(
    tiny_config: SegmentationConfig, tiny_set: list[RgbdSample], tmp_path: Path, batch_norm: bool
) -> None:
    """Where samples do not see each other: without BatchNorm, or with it as in evaluation."""
    config = replace(
        tiny_config, arguments={**tiny_config.arguments, "dropout": 0.0}, lovasz=0.0, max_class_weight=1.0, epochs=1,
        augmentation={"scale": [1.0, 1.0]},
    )  # fmt: skip
    weights = []
    for name, batch, accumulate in (("one", 8, 1), ("two", 4, 2)):
        run = start(replace(config, batch=batch, accumulate=accumulate), tiny_set[:8], tmp_path / name)
        run.bf16 = False
        if batch_norm:
            run.frozen = [run.network]  # trained, but in evaluation mode
        else:
            without_batch_norm(run.network)
            without_batch_norm(run.average)
        run.fit()
        assert run.step == 1
        (row,) = read_rows(tmp_path / name / "steps.csv")
        weights.append((float(row["loss"]), torch.cat([p.flatten() for p in run.network.parameters()])))
    assert weights[0][0] == pytest.approx(weights[1][0], rel=1e-5)
    torch.testing.assert_close(weights[0][1], weights[1][1], atol=2e-5, rtol=1e-4)


def without_batch_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.Identity())
        else:
            without_batch_norm(child)


def test_batches_that_make_no_whole_step_are_left_out(
    tiny_config: SegmentationConfig, tiny_set: list[RgbdSample], tmp_path: Path
) -> None:
    config = replace(tiny_config, batch=3, accumulate=2, epochs=2)
    run = start(config, tiny_set, tmp_path)
    assert (run.batches, run.steps) == (4, 4)
    run.fit()
    assert len(read_rows(tmp_path / "steps.csv")) == 4
    with pytest.raises(TrainingError, match="5 training samples do not make one step of 2 batches of 3"):
        start(config, tiny_set[:5], tmp_path / "few")


def test_frozen_stages_stay_as_they_start(
    two_heads: SegmentationConfig, tiny_set: list[RgbdSample], tmp_path: Path
) -> None:
    config = replace(two_heads, auxiliary_label_set="", frozen_stages=2, epochs=1)
    run = start(config, tiny_set[:4], tmp_path)
    before = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
    run.fit()
    changed = {name for name, tensor in run.network.state_dict().items() if not torch.equal(tensor, before[name])}
    frozen = tuple(f"{stream}.features.{i}." for stream in ("color", "depth") for i in range(4))
    assert changed and not [name for name in changed if name.startswith(frozen)]


def test_another_run_in_the_folder_is_one_line(
    tiny_config: SegmentationConfig, tiny_set: list[RgbdSample], tmp_path: Path
) -> None:
    start(tiny_config, tiny_set, tmp_path)
    with pytest.raises(TrainingError, match="was started with another config: batch was 4, is 2"):
        start(replace(tiny_config, batch=2), tiny_set, tmp_path)


def test_a_warm_up_that_is_all_there_is_is_said(
    tiny_config: SegmentationConfig, tiny_set: list[RgbdSample], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start(replace(tiny_config, warmup_steps=11), tiny_set, tmp_path / "short")
    assert not caplog.records
    start(replace(tiny_config, warmup_steps=12), tiny_set, tmp_path / "long")
    assert caplog.messages == ["the run has 12 steps, warmup_steps is 12: the learning rate never falls"]


def test_what_changes_the_optimizer_is_named_on_the_way_on(
    two_heads: SegmentationConfig, tiny_set: list[RgbdSample], tmp_path: Path
) -> None:
    config = replace(two_heads, auxiliary_label_set="", epochs=1, init=str(tmp_path / "earlier.pt"))
    torch.save(build(replace(config, init=""), 13).state_dict(), config.init)
    start(config, tiny_set[:4], tmp_path / "run").fit()
    for change, message in (
        ({"frozen_stages": 2}, "frozen_stages was 0, is 2"),
        ({"encoder_factor": 1.0}, "encoder_factor was 0.3, is 1.0"),
        ({"init": ""}, "init was '.*earlier.pt', is '';"),
        ({"arguments": {**config.arguments, "channels": 24}}, "arguments was"),
    ):
        with pytest.raises(TrainingError, match=f"was started with another config: {message}"):
            start(replace(config, **change), tiny_set[:4], tmp_path / "run")


@pytest.mark.parametrize("content", [b"torn", {"network": {}}, {}, [1]])
def test_a_damaged_checkpoint_is_one_line(
    tiny_config: SegmentationConfig, tiny_set: list[RgbdSample], tmp_path: Path, content: bytes | object
) -> None:
    start(tiny_config, tiny_set, tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(TrainingError, match="checkpoint.pt (cannot be read as weights|does not fit the config)") as e:
        start(tiny_config, tiny_set, tmp_path)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(("broken", "what"), [("forward", "loss"), ("backward", "gradient")])
def test_a_loss_that_is_no_number_ends_the_run_as_it_was(
    tiny_config: SegmentationConfig,
    tiny_set: list[RgbdSample],
    cut_at: Callable[[Run, int], None],
    tmp_path: Path,
    broken: str,
    what: str,
) -> None:
    run = start(replace(tiny_config, epochs=1), tiny_set, tmp_path, save_every=0)
    cut_at(run, 2)
    saved = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    run = start(replace(tiny_config, epochs=1), tiny_set, tmp_path, save_every=0)
    weight = run.network.score.weight
    if broken == "forward":
        with torch.no_grad():
            weight[0, 0] = float("nan")
    else:
        weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(TrainingError, match=f"the {what} of step 3 is (nan|inf): lower learning_rate") as error:
        run.fit()
    assert "\n" not in str(error.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == saved


def test_validation_without_labels_is_one_line(
    tiny_config: SegmentationConfig, tiny_set: list[RgbdSample], tmp_path: Path
) -> None:
    void = [replace(sample, label=sample.label * 0 + 255) for sample in tiny_set[:4]]
    run = SegmentationRun(replace(tiny_config, epochs=1), tiny_set, void, tmp_path, "nyu13")
    with pytest.raises(TrainingError, match="no pixel of the validation samples is in a class of nyu13"):
        run.fit()


def test_a_table_is_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    table = Table(path, ("step", "loss"), 0)
    for step in range(1, 6):
        table.append((step, 0.1 * step))
    path.write_text(path.read_text() + "6,0.", "utf-8")  # a torn line
    assert [row["step"] for row in read_rows(path)] == ["1", "2", "3", "4", "5"]
    table = Table(path, ("step", "loss", "more"), 3)
    table.append((4, 0.5, None))
    assert path.read_text().splitlines() == ["step,loss,more", "1,0.1,", "2,0.2,", "3,0.30000000000000004,", "4,0.5,"]


def test_curves_are_drawn_or_their_lack_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "log.csv").write_text("epoch,loss,oa,ma,miou\n1,2.0,0.5,0.4,0.3\n2,1.0,0.6,0.5,0.4\n")
    records._say_once.cache_clear()
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "matplotlib.figure", None)
        with caplog.at_level(logging.WARNING):
            records.draw_curves(tmp_path, SegmentationConfig.curves)
            records.draw_curves(tmp_path, SegmentationConfig.curves)
    assert [r.message for r in caplog.records if "matplotlib" in r.message] == [
        "no curves.png: matplotlib is not installed (pip install 'scene_understanding[view]')"
    ]
    assert not (tmp_path / "curves.png").exists()
    pytest.importorskip("matplotlib")
    records.draw_curves(tmp_path, SegmentationConfig.curves)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
