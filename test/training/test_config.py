"""Training configs: what is shipped loads, what is wrong is one line, a run keeps the one that it was started with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from scene_understanding.labels import load_label_set
from scene_understanding.training.config import (
    Config,
    TrainingError,
    build,
    find_config,
    load_config,
    presets,
    read_run_config,
    write_config,
)

GOOD = "network: fusenet\nlabel_set: nyu13\ntrain: a\nval: b\nepochs: 3\narguments: {}\n"


@pytest.mark.parametrize("path", sorted(presets().glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_load_by_name(path: Path) -> None:
    config = find_config(path.stem)
    assert config.name == path.stem and config == load_config(path)
    if config.label_set:
        build(replace(config, start="", init=""), len(load_label_set(config.label_set)))


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


def test_an_unknown_config_names_those_that_are_shipped() -> None:
    with pytest.raises(TrainingError, match="no training config 'fusenet'; shipped are .*fusenet_nyu13"):
        find_config("fusenet")


def test_a_run_keeps_its_config(tmp_path: Path, tiny_config: Config) -> None:
    write_config(tiny_config, tmp_path)
    assert read_run_config(tmp_path) == replace(tiny_config, name="")
    write_config(replace(tiny_config, data="nyuv2:elsewhere", name="mine"), tmp_path)
    with pytest.raises(TrainingError, match="another config: epochs was 3, is 4; choose another --out"):
        write_config(replace(tiny_config, epochs=4), tmp_path)


def test_starting_weights_may_move_but_not_go(tmp_path: Path, tiny_config: Config) -> None:
    config = replace(tiny_config, network="mobile_fusenet", start="here/a.safetensors")
    write_config(config, tmp_path)
    write_config(replace(config, start="there/a.safetensors"), tmp_path)
    with pytest.raises(TrainingError, match="another config: start was 'here/a.safetensors', is ''; choose"):
        write_config(replace(config, start=""), tmp_path)
    with pytest.raises(TrainingError, match="another config: init was '', is 'best.pt'; choose"):
        write_config(replace(config, init="best.pt"), tmp_path)


def test_a_run_keeps_a_label_set_of_the_users(tmp_path: Path, tiny_config: Config) -> None:
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


def test_init_takes_what_fits(tmp_path: Path, tiny_config: Config) -> None:
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


def test_starting_weights_that_do_not_fit_are_one_line(tmp_path: Path, tiny_config: Config) -> None:
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
