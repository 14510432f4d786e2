"""OpenPose and the lightweight one: sizes as published, stages, and MobileNetV1 from folded ImageNet weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scene_understanding.models.mobilenet_v1 import BLOCKS, MobileNetV1
from scene_understanding.models.openpose import LightweightOpenPose, OpenPose


@pytest.mark.parametrize(
    ("network", "millions"),
    [
        (OpenPose, 52.31),
        (lambda: LightweightOpenPose(refinements=1), 4.09),
        (lambda: LightweightOpenPose(refinements=3), 7.31),
    ],
)
def test_they_have_the_published_size(network: Callable[[], nn.Module], millions: float) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in network().parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize(
    ("network", "stages"),
    [(OpenPose(stages=4, width=0.02), 4), (OpenPose(stages=1, width=0.02), 1), (LightweightOpenPose(2, 8), 3)],
)
def test_training_sees_what_every_stage_finds_and_the_last_one_counts(network: nn.Module, stages: int) -> None:
    color = torch.randn(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, last = network.eval().stages(color), network(color)
    assert len(found) == stages
    assert all(heat.shape == (1, 19, 6, 8) and field.shape == (1, 38, 6, 8) for heat, field in found)
    assert all(torch.equal(a, b) for a, b in zip(found[-1], last, strict=True))


def test_without_a_stage_there_is_no_openpose() -> None:
    with pytest.raises(ValueError, match="stages is 0; it must be at least 1"):
        OpenPose(stages=0)


def test_first_stages_end_where_the_size_halves() -> None:
    network = MobileNetV1().eval()
    x = torch.randn(1, 3, 48, 64)
    assert len(network.first_stages(3)) == len(network) and network.first_stages(0) == []
    with torch.no_grad():
        for stage, (channels, stride) in enumerate(zip(MobileNetV1.channels, (2, 4, 8), strict=True)):
            x = network.stage(stage, x)
            assert x.shape == (1, channels, 48 // stride, 64 // stride)


def folded_weights() -> dict[str, Tensor]:
    """Convolutions of ImageNet's layout with bias, whose normalisation is folded away; the signal keeps its size."""
    generator = torch.Generator().manual_seed(1)
    shapes, inputs = {"conv1": (32, 3, 3, 3)}, 32
    for i, (outputs, _, _) in enumerate(BLOCKS, 1):
        shapes |= {f"conv_dw_{i}": (inputs, 1, 3, 3), f"conv_pw_{i}": (outputs, inputs, 1, 1)}
        inputs = outputs
    weights = {}
    for name, shape in shapes.items():
        spread = (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
        weights[f"{name}.weight"] = spread * torch.randn(shape, generator=generator)
        weights[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    return weights


def folded_network(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """What the folded weights compute: convolution, bias and ReLU, nothing else."""
    x = F.relu(F.conv2d(x, weights["conv1.weight"], weights["conv1.bias"], 2, 1))
    for i, (_, stride, dilation) in enumerate(BLOCKS, 1):
        depthwise, pointwise = weights[f"conv_dw_{i}.weight"], weights[f"conv_pw_{i}.weight"]
        bias, groups = weights[f"conv_dw_{i}.bias"], len(depthwise)
        x = F.relu(F.conv2d(x, depthwise, bias, stride, dilation, dilation, groups))
        x = F.relu(F.conv2d(x, pointwise, weights[f"conv_pw_{i}.bias"]))
    return x


@pytest.mark.parametrize("training", [True, False])
def test_unfolded_normalisation_changes_nothing(training: bool) -> None:
    weights, network = folded_weights(), MobileNetV1().train(training)
    network.load_imagenet(weights)
    images, others = (torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(k)) for k in (2, 3))
    network.unfold_normalisation(images)
    assert network.training == training and not any(module._forward_pre_hooks for module in network.modules())
    with torch.no_grad():
        expected, of_others = folded_network(weights, images), folded_network(weights, others)
        scale = float(expected.std())
        torch.testing.assert_close(network.eval()(images), expected, rtol=0, atol=1e-3 * scale)
        torch.testing.assert_close(network(others), of_others, rtol=0, atol=1e-3 * scale)
        torch.testing.assert_close(network.train()(images), expected, rtol=0, atol=1e-3 * scale)


def test_weights_of_another_network_do_not_start_it() -> None:
    weights = folded_weights()
    with pytest.raises(KeyError, match="conv_pw_11.weight"):
        LightweightOpenPose(0, 8).load_imagenet({name: w for name, w in weights.items() if name != "conv_pw_11.weight"})
