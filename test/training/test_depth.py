"""Training of depth on a tiny set: it learns metres, resumes, is exported, and scales with the focal length."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scene_understanding.datasets.rgbd import DatasetError, RgbdSample
from scene_understanding.geometry import PinholeCamera
from scene_understanding.inference.card import read_card
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.perception.depth_estimator import DepthEstimator
from scene_understanding.training.config import TrainingError
from scene_understanding.training.depth import DepthRun
from scene_understanding.training.depth_config import DepthConfig
from scene_understanding.training.depth_data import load_data, tensors, without_label
from scene_understanding.training.export import export
from scene_understanding.training.model_card import Export, command_of
from scene_understanding.training.networks import build
from scene_understanding.training.presets import find_config, write_config
from scene_understanding.training.records import read_rows
from scene_understanding.training.run import Run

CONFIG = DepthConfig(
    network="d3net",
    arguments={"growth": 4, "blocks": [1, 1, 1, 1], "widths": [16, 8, 8, 8], "finest": 2, "dropout": 0.1},
    train="", val="", epochs=3, batch=4, warmup_steps=2, ema=0.9, learning_rate=4e-3, focal_length=60.0,
)  # fmt: skip


def test_it_learns_metres_and_says_so(tiny_set: list[RgbdSample], tmp_path: Path) -> None:
    """The left half is dark and at 1 m, the right one bright and at 4 m."""
    config = replace(CONFIG, epochs=24, validate_every=12, batch=2, ema=0.5, learning_rate=1e-2)
    result = DepthRun(config, tiny_set, tiny_set[:4], tmp_path).fit()
    assert result["rel"] < 0.25 and result["d1"] > 0.65
    rows = read_rows(tmp_path / "log.csv")
    assert [row["epoch"] for row in rows] == ["12", "24"]
    assert float(rows[-1]["rel"]) == pytest.approx(result["rel"], abs=1e-4)
    assert json.loads((tmp_path / "log.json").read_text())["best"] >= result["d1"]


@pytest.mark.parametrize("losses", [{"eigen_gradient": 1.0}, {"l1": 1.0, "lsgan": 0.01}])
def test_a_run_that_was_cut_off_ends_with_the_same_weights(
    tiny_set: list[RgbdSample], cut_at: Callable[[Run, int], None], tmp_path: Path, losses: dict[str, float]
) -> None:
    config = replace(CONFIG, losses=losses)
    DepthRun(config, tiny_set, tiny_set[:4], tmp_path / "whole").fit()
    cut = DepthRun(config, tiny_set, tiny_set[:4], tmp_path / "cut", save_every=0)
    cut_at(cut, 6)
    resumed = DepthRun(config, tiny_set, tiny_set[:4], tmp_path / "cut", save_every=0)
    assert resumed.step == 6
    resumed.fit()
    ends = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "cut")]
    for part in resumed.parts().keys() - {"optimizer", "discriminator_optimizer"}:
        assert all(torch.equal(ends[0][part][name], ends[1][part][name]) for name in ends[0][part])


def test_the_discriminator_learns_beside_the_network(tiny_set: list[RgbdSample], tmp_path: Path) -> None:
    run = DepthRun(replace(CONFIG, epochs=1, losses={"l1": 1.0, "lsgan": 0.01}), tiny_set, tiny_set[:4], tmp_path)
    before = [p.clone() for p in run.discriminator.parameters()]
    run.fit()
    assert all(not torch.equal(a, b) for a, b in zip(before, run.discriminator.parameters(), strict=True))
    assert "discriminator" not in DepthRun(CONFIG, tiny_set, tiny_set[:4], tmp_path / "other").parts()


def test_depth_is_that_of_the_camera_of_the_config(tiny_set: list[RgbdSample]) -> None:
    sample = tiny_set[0]
    double = replace(sample, camera=replace(sample.camera, fx=120.0, fy=120.0))
    (_, one), (_, other) = tensors(CONFIG, sample), tensors(CONFIG, double)
    np.testing.assert_allclose(one[0], sample.depth)
    np.testing.assert_allclose(other[0], sample.depth / 2)


def test_a_run_becomes_a_model_that_knows_its_camera(tiny_set: list[RgbdSample], tmp_path: Path) -> None:
    DepthRun(replace(CONFIG, epochs=1), tiny_set, tiny_set[:4], tmp_path / "run").fit()
    export(Export(tmp_path / "run", "tiny", tmp_path / "tiny", twins={"f8": "other"}))
    card = read_card(tmp_path / "tiny")
    assert (card.task, card.focal_length, card.twins) == ("depth", 60.0, {"f8": "other"})
    assert card.outputs == {"depth": (1, 1, 48, 64), "std": (1, 1, 48, 64)}
    assert card.dropout is not None and card.dropout.rate == 0.1
    assert card.metrics["val"]["epoch"] == 1 and 0 <= card.metrics["val"]["d1"] <= 1
    network = OnnxRuntimeNetwork(card, threads=1)
    own, other = (
        DepthEstimator(network, passes=4)(tiny_set[0].rgb, PinholeCamera(64, 48, f, f, 31.5, 23.5)) for f in (60, 120)
    )
    assert own.depth.shape == (48, 64) and own.std is not None and own.std.mean() > 0
    np.testing.assert_allclose(other.depth, 2 * own.depth, rtol=1e-5)


def test_a_network_that_learns_its_error_becomes_a_model_that_tells_it(
    tiny_set: list[RgbdSample], tmp_path: Path
) -> None:
    """Depth of every other sample is doubled, whatever it shows: nobody can know it better than to a factor of 1.41."""
    config = replace(
        CONFIG, epochs=16, validate_every=8, ema=0.5, learning_rate=1e-2,
        arguments={**CONFIG.arguments, "aleatoric": True}, losses={"beta_laplace": 1.0},
    )  # fmt: skip
    unsure = [replace(sample, depth=sample.depth * np.float32(1 + i % 2)) for i, sample in enumerate(tiny_set)]
    DepthRun(config, unsure, unsure[:4], tmp_path / "run").fit()
    export(Export(tmp_path / "run", "tiny", tmp_path / "tiny", int16=True))
    card = read_card(tmp_path / "tiny")
    assert card.outputs == dict.fromkeys(("depth", "std", "deviation"), (1, 1, 48, 64))
    estimate = DepthEstimator(OnnxRuntimeNetwork(card, threads=1))(tiny_set[0].rgb, tiny_set[0].camera)
    assert estimate.std is not None
    assert np.median(estimate.std / estimate.depth) == pytest.approx(2**0.5 * np.log(2**0.5), rel=0.3)


def test_a_model_without_dropout_has_no_such_input(tiny_set: list[RgbdSample], tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=1, arguments={**CONFIG.arguments, "dropout": 0.0})
    DepthRun(config, tiny_set, tiny_set[:4], tmp_path / "run").fit()
    export(Export(tmp_path / "run", "tiny", tmp_path / "tiny", int16=True))
    card = read_card(tmp_path / "tiny")
    assert card.dropout is None
    single = DepthEstimator(OnnxRuntimeNetwork(card, threads=1))(tiny_set[0].rgb, tiny_set[0].camera)
    assert np.isfinite(single.depth).all()
    with pytest.raises(TrainingError, match="the run has no head 'auxiliary'; it has main"):
        export(Export(tmp_path / "run", "tiny", tmp_path / "tiny", head="auxiliary"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"losses": {"l3": 1.0}}, "losses has 'l3'; it can have l1, l2, berhu"),
        ({"losses": {"l1": 0}}, "losses: the weight of l1 is 0; it must be a number above 0"),
        ({"losses": {"lsgan": 1.0}}, "losses has none that compares depth with its truth"),
        ({"crop": "garg"}, "crop is 'garg'; it can be eigen, or '' for all pixels"),
        ({"augmentation": {"holes": 3}}, "augmentation: holes would change the depth that is learnt"),
        ({"focal_length": 0.0}, "focal_length is 0.0; it must be above 0"),
        ({"network": "fusenet"}, "network is 'fusenet'; it can be d3net, mobile_d3net"),
        (
            {"losses": {"laplace": 1.0}},
            "losses with laplace or beta_laplace and arguments with aleatoric: true need each",
        ),
        ({"arguments": {"aleatoric": True}}, "aleatoric: true need each other"),
        ({"smallest": 12.0}, "smallest is 12.0, largest 10.0; nothing lies between"),
    ],
)
def test_configs_that_cannot_be_are_one_line(change: dict, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        replace(CONFIG, **change)


def test_data_without_depth_or_place_is_one_line(tiny_set: list[RgbdSample], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="sample 0 has no depth to learn from"):
        without_label(replace(tiny_set[0], depth=np.full((48, 64), np.nan, np.float32)))
    with pytest.raises(TrainingError, match="names nyuv2 but not where it is"):
        load_data(replace(CONFIG, data="nyuv2"), tmp_path)
    with pytest.raises(DatasetError, match="/nowhere does not exist"):
        load_data(replace(CONFIG, data="nyuv2:/nowhere"), tmp_path)
    with pytest.raises(TrainingError, match=r"size is \[48, 64\]; views of embedded_defocus are \[432, 645\]"):
        load_data(replace(CONFIG, data="embedded_defocus", size=(48, 64)), tmp_path)
    with pytest.raises(TrainingError, match="views is 0; embedded_defocus has nothing to show"):
        load_data(replace(CONFIG, data="embedded_defocus"), tmp_path)


def test_imagenet_weights_start_the_encoder(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    mobile = replace(CONFIG, network="mobile_d3net", arguments={"widths": [8, 8, 8, 8]})
    weights = {name: tensor + 1 for name, tensor in build(mobile).color.state_dict().items()}  # type: ignore[union-attr]
    save_file(weights, tmp_path / "a.safetensors")
    started = build(replace(mobile, start=str(tmp_path / "a.safetensors"))).color.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(started[name], tensor) for name, tensor in weights.items())


def test_the_command_of_a_twin_names_its_data_and_its_start() -> None:
    config = replace(find_config("d3net_dfd_embedded"), data="embedded_defocus_f8")
    assert command_of(config) == (
        "scene-understanding train depth --config d3net_dfd_embedded --data embedded_defocus_f8"
    )
    first = "d3net_dfd_f8_embedded/best.pt"
    config = replace(find_config("d3net_dfd"), data="onera_dfd_f8:/home/me/dfd", init=f"/home/me/runs/{first}")
    assert command_of(config) == (
        f"scene-understanding train depth --config d3net_dfd --data onera_dfd_f8:DIR --init {first}"
    )


def test_a_twin_does_not_go_on_in_the_run_of_the_other(tmp_path: Path) -> None:
    config = replace(find_config("d3net_dfd"), data="onera_dfd:/here")
    write_config(config, tmp_path)
    write_config(replace(config, data="onera_dfd:/there"), tmp_path)
    with pytest.raises(TrainingError, match="data was 'onera_dfd', is 'onera_dfd_f8'; choose another --out"):
        write_config(replace(config, data="onera_dfd_f8:/here"), tmp_path)


def test_nothing_in_range_to_validate_on_is_one_line(tiny_set: list[RgbdSample], tmp_path: Path) -> None:
    run = DepthRun(replace(CONFIG, epochs=1, largest=3.0), tiny_set, tiny_set[:4], tmp_path / "near")
    assert 0 <= run.fit()["d1"] <= 1  # the near half counts
    run = DepthRun(replace(CONFIG, epochs=1, smallest=5.0), tiny_set, tiny_set[:4], tmp_path / "none")
    with pytest.raises(TrainingError, match="no pixel of the validation samples has a depth of 5 to 10 m"):
        run.fit()


def test_validation_looks_at_the_crop_alone(tiny_set: list[RgbdSample], tmp_path: Path) -> None:
    far = []
    for sample in tiny_set[:4]:
        depth = np.full_like(sample.depth, 9.0)
        depth[2:46, 2:62] = 2.5  # what an untrained network says
        far.append(replace(sample, depth=depth))
    errors = {
        crop: DepthRun(replace(CONFIG, crop=crop), far, far, tmp_path / (crop or "all")).judge()
        for crop in ("", "eigen")
    }
    assert errors["eigen"]["rel"] < 0.5 * errors[""]["rel"]
