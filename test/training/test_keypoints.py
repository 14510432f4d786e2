"""Training of keypoints on a tiny set: it learns, resumes, leaves alone what is not labelled, and is exported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from scene_understanding.datasets.lsp import COCO18_OF_LSP
from scene_understanding.datasets.people import PeopleSample
from scene_understanding.inference.card import read_card
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.labels.keypoints import COCO18_NAMES, PAF_CHANNELS, PAF_LIMBS
from scene_understanding.models.mobilenet_v1 import BLOCKS
from scene_understanding.perception.pose_estimator import PoseEstimator
from scene_understanding.training.export import export
from scene_understanding.training.keypoint_config import KeypointConfig
from scene_understanding.training.keypoint_targets import fields, heat_maps
from scene_understanding.training.keypoints import KeypointRun, learnt_channels
from scene_understanding.training.model_card import Export
from scene_understanding.training.records import read_rows
from scene_understanding.training.run import Run

CONFIG = KeypointConfig(
    network="openpose", arguments={"stages": 2, "width": 0.02}, data="lsp", train="fit", val="val", epochs=2, batch=4,
    repeats=2, size=(80, 120), warmup_steps=2, ema=0.9, learning_rate=4e-3, augmentation={"crop": [64, 64]},
)  # fmt: skip
FACE = (0, 14, 15, 16, 17)
OF_LSP = np.isin(np.arange(18), COCO18_OF_LSP)


@pytest.fixture
def people(tiny_people: Callable[..., PeopleSample]) -> list[PeopleSample]:
    return [tiny_people((5 + 3 * k, 3), name=str(k)) for k in range(6)]


def random_batch(labelled: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Two images of 64x64 with one person each, all of whose keypoints lie in them."""
    generator = torch.Generator().manual_seed(0)
    color = torch.randint(256, (2, 3, 64, 64), generator=generator, dtype=torch.uint8)
    keypoints = torch.full((2, 20, 18, 2), torch.nan)
    keypoints[:, 0] = 64 * torch.rand(2, 18, 2, generator=generator)
    return color, keypoints, torch.from_numpy(labelled).expand(2, 18)


def test_the_loss_goes_down(people: list[PeopleSample], tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=3, repeats=8, validate_every=3, learning_rate=1e-2)
    result = KeypointRun(config, [people], people[:2], tmp_path).fit()
    losses = [float(row["loss"]) for row in read_rows(tmp_path / "steps.csv")]
    assert len(losses) == 36 and np.mean(losses[-6:]) < 0.7 * np.mean(losses[:3])
    assert set(result) == {"pck", "oks_ap"} and 0 <= result["pck"] <= 1
    assert [row["epoch"] for row in read_rows(tmp_path / "log.csv")] == ["3"]


def test_a_run_that_was_cut_off_ends_with_the_same_weights(
    people: list[PeopleSample], cut_at: Callable[[Run, int], None], tmp_path: Path
) -> None:
    KeypointRun(CONFIG, [people], people[:1], tmp_path / "whole").fit()
    cut_at(KeypointRun(CONFIG, [people], people[:1], tmp_path / "cut", save_every=0), 4)
    resumed = KeypointRun(CONFIG, [people], people[:1], tmp_path / "cut", save_every=0)
    assert resumed.step == 4
    resumed.fit()
    ends = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "cut")]
    for part in ("network", "average"):
        assert all(torch.equal(ends[0][part][name], ends[1][part][name]) for name in ends[0][part])


def last_layers(network: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Gradients of the last convolutions' biases of every stage: of heat maps (19,) and of fields (38,)."""
    return [tuple(branch[-1].bias.grad for branch in stage) for stage in (network.first, *network.later)]


def test_what_a_dataset_does_not_label_teaches_nothing(people: list[PeopleSample], tmp_path: Path) -> None:
    run = KeypointRun(CONFIG, [people], people[:1], tmp_path)
    run.loss(run._forward, *random_batch(OF_LSP)).backward()
    limbs = [k for k, limb in enumerate(PAF_LIMBS) if not OF_LSP[list(limb)].all()]
    assert {COCO18_NAMES[end] for k in limbs for end in PAF_LIMBS[k]} > {COCO18_NAMES[k] for k in FACE}
    heat, field = last_layers(run.network)[-1]  # those of earlier stages learn by way of it
    assert not heat[[*FACE, 18]].any() and heat[list(COCO18_OF_LSP)].all()
    unlabelled = np.isin(np.arange(38), PAF_CHANNELS[limbs])
    assert not field[unlabelled].any() and field[~unlabelled].all()


def test_where_all_is_labelled_all_is_learnt(people: list[PeopleSample], tmp_path: Path) -> None:
    run = KeypointRun(CONFIG, [people], people[:1], tmp_path)
    run.loss(run._forward, *random_batch(np.ones(18, bool))).backward()
    assert all(gradient.all() for stage in last_layers(run.network) for gradient in stage)


def test_the_loss_is_half_the_square_of_all_stages(people: list[PeopleSample], tmp_path: Path) -> None:
    run = KeypointRun(CONFIG, [people], people[:1], tmp_path)
    color, keypoints, labelled = random_batch(np.ones(18, bool))
    heat, field = heat_maps(keypoints, (8, 8)), fields(keypoints, (8, 8))
    ones = lambda _: [(heat + 1, field + 2), (heat, field - 1)]  # noqa: E731
    assert float(run.loss(ones, color, keypoints, labelled)) == pytest.approx(0.5 * (19 + 4 * 38 + 38), rel=1e-4)
    half = torch.from_numpy(OF_LSP).expand(2, 18)
    limbs = sum(OF_LSP[list(limb)].all() for limb in PAF_LIMBS)
    assert float(run.loss(ones, color, keypoints, half)) == pytest.approx(0.5 * (13 + 10 * limbs), rel=1e-4)


def test_learnt_channels_are_those_of_labelled_keypoints() -> None:
    labelled = torch.zeros(2, 18, dtype=torch.bool)
    labelled[0] = True
    labelled[1, [2, 3]] = True
    heat, field = learnt_channels(labelled)
    assert heat[0].all() and field[0].all()
    assert heat[1].nonzero().ravel().tolist() == [2, 3]  # not the background
    assert field[1].nonzero().ravel().tolist() == sorted(PAF_CHANNELS[PAF_LIMBS.index((2, 3))].tolist())


class Oracle(nn.Module):
    """Gives the true maps of samples, one after the other, at (80, 120): images of (160, 240) at half their size."""

    def __init__(self, samples: list[PeopleSample]) -> None:
        super().__init__()
        self.samples = list(samples)

    def forward(self, color: Tensor) -> tuple[Tensor, Tensor]:
        assert color.shape == (1, 3, 80, 120)
        keypoints = torch.from_numpy((self.samples.pop(0).pixels + 0.5) / 2 - 0.5)[None]
        return heat_maps(keypoints, (10, 15)), fields(keypoints, (10, 15))


@pytest.mark.parametrize("data", ["lsp:here", "embedded"])
def test_true_maps_are_judged_as_right(tiny_people: Callable[..., PeopleSample], tmp_path: Path, data: str) -> None:
    single = data != "embedded"
    samples = [tiny_people((8, 3)), tiny_people((20, 4)) if single else tiny_people((7, 3), (21, 4))]
    run = KeypointRun(replace(CONFIG, data=data, views=1), [samples * 2], samples, tmp_path)
    run.average = Oracle(samples)
    result = run.judge()
    assert result["pck"] == 1 and result["oks_ap"] > 0.8
    run.average = Oracle(samples[::-1])
    assert run.judge()["pck"] < 0.7


def test_colours_are_normalised_as_on_a_robot(people: list[PeopleSample], tmp_path: Path) -> None:
    config = replace(CONFIG, color_mean=(10.0, 20.0, 30.0), color_std=(2.0, 4.0, 5.0))
    run = KeypointRun(config, [people], people[:1], tmp_path)
    found = run._normalised(torch.full((1, 3, 2, 2), 50, dtype=torch.uint8))
    np.testing.assert_allclose(found[0, :, 0, 0], (20.0, 7.5, 4.0))


def test_folded_weights_start_with_the_statistics_of_the_samples(people: list[PeopleSample], tmp_path: Path) -> None:
    weights, inputs = {"conv1.weight": torch.randn(32, 3, 3, 3), "conv1.bias": torch.ones(32)}, 32
    for i, (outputs, _, _) in enumerate(BLOCKS, 1):
        weights |= {f"conv_dw_{i}.weight": torch.randn(inputs, 1, 3, 3), f"conv_dw_{i}.bias": torch.ones(inputs)}
        weights[f"conv_pw_{i}.weight"] = torch.randn(outputs, inputs, 1, 1) / inputs**0.5
        weights[f"conv_pw_{i}.bias"] = torch.ones(outputs)
        inputs = outputs
    save_file(weights, tmp_path / "folded.safetensors")
    config = replace(
        CONFIG, network="lightweight_openpose", arguments={"refinements": 0, "channels": 8},
        start=str(tmp_path / "folded.safetensors"), augmentation={"crop": [32, 32]},
    )  # fmt: skip
    run = KeypointRun(config, [people], people[:1], tmp_path / "run")
    norms = [module for module in run.network.model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 2 * len(BLOCKS) + 1
    for norm in norms:  # adds the bias of 1 to what it gets, as it is
        torch.testing.assert_close(norm.weight, (norm.running_var + norm.eps).sqrt())
        torch.testing.assert_close(norm.bias, norm.running_mean + 1)
        assert norm.running_mean.any()


def test_a_run_becomes_a_model(people: list[PeopleSample], tmp_path: Path) -> None:
    KeypointRun(replace(CONFIG, epochs=1), [people], people[:1], tmp_path / "run").fit()
    export(Export(tmp_path / "run", "tiny", tmp_path / "tiny"))
    card = read_card(tmp_path / "tiny")
    assert (card.task, card.label_set) == ("keypoints", "")
    assert card.outputs == {"heat_maps": (1, 19, 10, 15), "fields": (1, 38, 10, 15)}
    assert card.training["command"].startswith("scene-understanding train keypoints --config ")
    assert 0 <= card.metrics["val"]["pck"] <= 1
    found = PoseEstimator(OnnxRuntimeNetwork(card, threads=1))(people[0].rgb)
    assert found.pixels.shape == (len(found), 18, 2)
