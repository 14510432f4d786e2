"""Training configs: what is shipped loads, what is wrong is one line, a run keeps the one that it was started with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from scene_understanding.labels import load_label_set
from scene_understanding.training.cloud_config import CloudConfig
from scene_understanding.training.config import TrainingError
from scene_understanding.training.networks import build
from scene_understanding.training.presets import (
    find_config,
    load_config,
    presets,
    read_run_config,
    with_epochs,
    write_config,
)
from scene_understanding.training.segmentation_config import SegmentationConfig

GOOD = "network: fusenet\nlabel_set: nyu13\ntrain: a\nval: b\nepochs: 3\narguments: {}\n"


@pytest.mark.parametrize("path", sorted(presets().glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_load_by_name(path: Path) -> None:
    config = find_config(path.stem)
    assert config.name == path.stem and config == load_config(path)
    started = replace(config, start="", init="")
    if not isinstance(config, (SegmentationConfig, CloudConfig)):
        build(started)
    elif config.label_set:
        build(started, len(load_label_set(config.label_set)))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("epoch: 3", "unexpected keyword argument 'epoch'"),
        ("learning_rate: 1e-3", "learning_rate is '1e-3'; expected a number"),
        ("batch: 0", "batch is 0; it must be at least 1"),
        ("batch: true", "batch is True; expected a whole number"),
        ("network: unet", "network is 'unet'; it can be fusenet, mobile_fusenet"),
        ("schedule: step", "schedule is 'step'; it can be poly, cosine"),
        ("size: 240", "size is 240; expected a list"),
        ("size: [240]", "size is .240.; expected .height, width."),
        ("augmentation: {flips: true}", "augmentation: .*unexpected keyword argument 'flips'"),
        ("size: [48, a]", "size is .48, 'a'.; expected .height, width."),
        ("size: [48, 0]", "size is .48, 0.; all must be above 0"),
        ("color_mean: [1]", "color_mean is .1.; expected three numbers"),
        ("color_std: [1, 0, 1]", "color_std is .1, 0, 1.; all must be above 0"),
        ("init_parts: [1]", "init_parts is .1.; expected beginnings of names"),
        ("depth_std: 0.0", "depth_std is 0.0; it must be above 0"),
        ("depth_std: .nan", "depth_std is nan; it must be above 0"),
        ("learning_rate: -1.0", "learning_rate is -1.0; it must be above 0"),
        ("frozen_stages: -1", "frozen_stages is -1; it must be at least 0"),
        ("ema: 1.0", "ema is 1.0; it must be at least 0 and below 1"),
        ("augmentation: {flip: 1}", "augmentation: flip is 1; expected true or false"),
        ("augmentation: {scale: 1.5}", "augmentation: scale is 1.5; expected .from, to."),
        ("augmentation: {scale: [0, 1.5]}", "augmentation: scale is .0, 1.5.; expected .from, to."),
        ("augmentation: {scale: [2.0, 1.5]}", "augmentation: scale is .2.0, 1.5.; expected .from, to."),
        ("augmentation: {turn: big}", "augmentation: turn is 'big'; expected degrees in 0..45"),
        ("augmentation: {views: 2}", "augmentation: views is 2; expected a share"),
        ("augmentation: {crop: [192]}", "augmentation: crop is .192.; expected .height, width., each at least 8"),
        ("augmentation: {crop: [4, 192]}", "augmentation: crop is .4, 192.; expected"),
        ("augmentation: {crop: 192}", "augmentation: crop is 192; expected"),
        ("augmentation: {holes: 1.5}", "augmentation: holes is 1.5; expected a whole number"),
        ("augmentation: {depth_gain: true}", "augmentation: depth_gain is True; expected a share"),
        ("augmentation: {depth_noise: .nan}", "augmentation: depth_noise is nan; expected metres"),
        ("start: weights.safetensors", "fusenet starts from nothing"),
        ("a: [", "while parsing"),
    ],
)
def test_a_wrong_config_is_one_line(tmp_path: Path, more: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD + more)
    with pytest.raises(TrainingError, match=f"training config .*mine.yaml: .*{message}") as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


def test_a_crop_needs_its_epochs(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    for more, message in (
        ("augmentation: {crop: [24, 32]}", "mine: crop is never taken; crop_epochs says in how many epochs"),
        ("crop_epochs: 4", "mine: crop_epochs is 4, of 3 epochs"),
    ):
        path.write_text(GOOD + more)
        with pytest.raises(TrainingError, match=message):
            find_config(str(path))


@pytest.mark.parametrize(("epochs", "crop_epochs"), [(80, 68), (8, 6), (160, 136), (1, 0)])
def test_fewer_epochs_have_as_large_a_part_of_crops(epochs: int, crop_epochs: int) -> None:
    config = with_epochs(find_config("fusenet_nyu13"), epochs)
    assert (config.epochs, config.crop_epochs) == (epochs, crop_epochs)


def test_no_more_stages_are_frozen_than_there_are(two_heads: SegmentationConfig) -> None:
    build(replace(two_heads, frozen_stages=5), 13)
    for change, stages in (({}, 5), ({"encoder": "resnet18"}, 4), ({"fusion": "late"}, 5)):
        config = replace(two_heads, frozen_stages=6, arguments={**two_heads.arguments, **change})
        with pytest.raises(TrainingError, match=f"frozen_stages is 6; the encoder has {stages} stages"):
            build(config, 13)


def test_an_unknown_config_names_those_that_are_shipped() -> None:
    with pytest.raises(TrainingError, match="no training config 'fusenet'; shipped are .*fusenet_nyu13"):
        find_config("fusenet")


def test_a_run_keeps_its_config(tmp_path: Path, tiny_config: SegmentationConfig) -> None:
    config = replace(tiny_config, data="nyuv2:here")
    write_config(config, tmp_path)
    assert read_run_config(tmp_path) == replace(config, name="")
    write_config(replace(config, data="nyuv2:elsewhere", name="mine"), tmp_path)
    for change, message in (({"epochs": 4}, "epochs was 3, is 4"), ({"data": "camvid:here"}, "data was 'nyuv2', is")):
        with pytest.raises(TrainingError, match=f"another config: {message}.*; choose another --out"):
            write_config(replace(config, **change), tmp_path)


def test_starting_weights_may_move_but_not_go(tmp_path: Path, tiny_config: SegmentationConfig) -> None:
    config = replace(tiny_config, network="mobile_fusenet", start="here/a.safetensors")
    write_config(config, tmp_path)
    write_config(replace(config, start="there/a.safetensors"), tmp_path)
    with pytest.raises(TrainingError, match="another config: start was 'here/a.safetensors', is ''; choose"):
        write_config(replace(config, start=""), tmp_path)
    with pytest.raises(TrainingError, match="another config: init was '', is 'best.pt'; choose"):
        write_config(replace(config, init="best.pt"), tmp_path)


def test_a_run_keeps_a_label_set_of_the_users(tmp_path: Path, tiny_config: SegmentationConfig) -> None:
    (tmp_path / "run").mkdir()
    own = tmp_path / "own.yaml"
    own.write_text("{name: own, classes: [{id: 3, name: cup, colour: [1, 2, 3]}]}")
    write_config(replace(tiny_config, label_set=str(own)), tmp_path / "run")
    own.unlink()
    config = read_run_config(tmp_path / "run")
    assert load_label_set(config.label_set).names == ("cup",)
    other = tmp_path / "other.yaml"
    other.write_text("{name: own, classes: [{id: 3, name: mug, colour: [1, 2, 3]}]}")
    with pytest.raises(TrainingError, match="label_set has other classes"):
        write_config(replace(tiny_config, label_set=str(other)), tmp_path / "run")


def test_init_takes_what_fits(tmp_path: Path, tiny_config: SegmentationConfig) -> None:
    earlier = build(tiny_config, 7).state_dict()
    torch.save(earlier, tmp_path / "best.pt")
    config = replace(tiny_config, init=str(tmp_path / "best.pt"))
    torch.manual_seed(5)
    fresh = build(tiny_config, 13).state_dict()
    torch.manual_seed(5)
    taken = build(config, 13).state_dict()  # other scores, so those stay fresh
    assert {n for n in taken if not torch.equal(taken[n], fresh[n])} <= {n for n in taken if not n.startswith("score.")}
    assert all(torch.equal(taken[n], earlier[n]) for n in taken if not n.startswith("score."))
    torch.manual_seed(5)
    part = build(replace(config, init_parts=("depth_blocks.",)), 13).state_dict()
    for name, tensor in part.items():
        assert torch.equal(tensor, (earlier if name.startswith("depth_blocks.") else fresh)[name])


def test_starting_weights_that_do_not_fit_are_one_line(tmp_path: Path, tiny_config: SegmentationConfig) -> None:
    mobile = replace(tiny_config, network="mobile_fusenet", arguments={"channels": 16})
    damaged, other = tmp_path / "damaged.safetensors", tmp_path / "other.safetensors"
    damaged.write_bytes(b"something else")
    save_file({"a": torch.zeros(1)}, other)
    for change, message in (
        (
            {"start": "nowhere.safetensors"},
            "start: the starting weights nowhere.safetensors are missing; .*--start FILE",
        ),
        ({"start": str(damaged)}, "start: .*damaged.safetensors cannot be read as weights"),
        ({"start": str(other)}, "start: .*other.safetensors does not fit mobile_fusenet"),
        ({"init": "nowhere.pt"}, "init: the starting weights nowhere.pt are missing; .*--init FILE"),
        ({"init": str(damaged)}, "init: .*damaged.safetensors cannot be read as weights"),
        ({"init": str(other)}, "init: .*other.safetensors has no weights of mobile_fusenet"),
        ({"arguments": {"width": 1.0}}, "arguments of mobile_fusenet: .*unexpected keyword argument 'width'"),
    ):
        with pytest.raises(TrainingError, match=message) as caught:
            build(replace(mobile, **change), 13)
        assert "\n" not in str(caught.value)
