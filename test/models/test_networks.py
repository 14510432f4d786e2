"""The contract that every network passes; a new network is a new line in NETWORKS, DEPTH_, POSE_ or CLOUD_NETWORKS."""

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from scene_understanding.models.d3net import D3Net
from scene_understanding.models.encoder import stem
from scene_understanding.models.fusenet import FuseNet, unpool
from scene_understanding.models.mobile_d3net import MobileD3Net
from scene_understanding.models.mobile_fusenet import FUSIONS, MobileFuseNet
from scene_understanding.models.monodepth import Monodepth
from scene_understanding.models.openpose import LightweightOpenPose, OpenPose, PoseNetwork
from scene_understanding.models.snapnet import SnapNet

NETWORKS = {
    "fusenet": lambda: FuseNet(5, width=0.125),
    "fusenet_sf2": lambda: FuseNet(5, width=0.125, fusions=2),
    "mobile_fusenet": lambda: MobileFuseNet(5, depth_channels=1, channels=16),
    **{
        f"mobile_fusenet_{fusion}": lambda fusion=fusion: MobileFuseNet(
            5, 1, 16, fusion=fusion, dilated=True, pyramid=True, finest=4
        )
        for fusion in FUSIONS
    },
    "resnet18_fusenet": lambda: MobileFuseNet(5, 1, 16, encoder="resnet18", fusion="gated", pyramid=True, finest=4),
}
DEPTH_NETWORKS = {
    "d3net": lambda: D3Net(growth=4, blocks=(2, 2, 2, 2), widths=(16, 8, 8, 8, 8), dropout=0.5),
    "d3net_half": lambda: D3Net(growth=4, blocks=(2, 2, 2, 2), widths=(16, 8, 8, 8), finest=2),
    "mobile_d3net": lambda: MobileD3Net(widths=(16, 8, 8, 8), dropout=0.2),
    "mobile_d3net_aleatoric": lambda: MobileD3Net(widths=(16, 8, 8, 8), dropout=0.2, aleatoric=True),
    "mobile_d3net_whole": lambda: MobileD3Net(widths=(16, 8, 8, 8, 4), finest=1),
    "monodepth": lambda: Monodepth(0.125),
}
"""Of colour alone; what they give first is a map of one channel."""
POSE_NETWORKS = {
    "openpose": lambda: OpenPose(stages=3, width=0.125),
    "lightweight_openpose": lambda: LightweightOpenPose(refinements=1, channels=16),
}
"""Of colour alone; they give heat maps and fields, a cell for every 8x8 pixels that the image has or begins."""

WIDTHS = (16, 12, 8, 8)
CLOUD_NETWORKS = {
    "snapnet": lambda: SnapNet(5, widths=WIDTHS, hidden=8, joint=True),
    "snapnet_resnet18": lambda: SnapNet(5, encoder="resnet18", widths=WIDTHS, hidden=8, joint=True),
    "snapnet_average": lambda: SnapNet(5, widths=WIDTHS, fusion="average"),
}
"""Of two pictures of three channels."""


@pytest.fixture(params=[*NETWORKS, *DEPTH_NETWORKS, *POSE_NETWORKS, *CLOUD_NETWORKS], scope="module")
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return {**NETWORKS, **DEPTH_NETWORKS, **POSE_NETWORKS, **CLOUD_NETWORKS}[request.param]()


def of_color_alone(network: nn.Module) -> bool:
    return isinstance(network, (D3Net, MobileD3Net, Monodepth, PoseNetwork))


def contract(network: nn.Module, height: int, width: int) -> list[tuple[int, ...]]:
    """Shapes of what an image gives."""
    if isinstance(network, PoseNetwork):
        return [(1, channels, -(-height // 8), -(-width // 8)) for channels in (19, 38)]
    count = 3 if getattr(network, "aleatoric", False) else 1
    return [(1, 1 if of_color_alone(network) else 5, height, width)] * count


def inputs(height: int, width: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(batch, 3, height, width, generator=generator),
        torch.randn(batch, 1, height, width, generator=generator),
    )


def given(network: nn.Module, height: int, width: int, batch: int = 1) -> dict[str, torch.Tensor]:
    """What the network takes of the inputs; a second picture is depth three times."""
    color, depth = inputs(height, width, batch)
    if of_color_alone(network):
        return {"color": color}
    return {"color": color, "depth": depth.expand_as(color) if isinstance(network, SnapNet) else depth}


def outputs(network: nn.Module, height: int, width: int, batch: int = 1) -> list[torch.Tensor]:
    """The scores, the depth, or heat maps and fields: what `contract` speaks of."""
    found = network(*given(network, height, width, batch).values())
    return [found] if isinstance(found, torch.Tensor) else list(found[: len(contract(network, height, width))])


@pytest.mark.parametrize("size", [(64, 96), (75, 101), (33, 47)])
def test_what_comes_out_has_the_shape_of_the_contract(network: nn.Module, size: tuple[int, int]) -> None:
    with torch.no_grad():
        assert [tuple(found.shape) for found in outputs(network.eval(), *size)] == contract(network, *size)


def test_gradient_reaches_every_parameter(network: nn.Module) -> None:
    network.train().zero_grad()
    if isinstance(network, Monodepth):  # training asks it for all scales and both images
        sum(pair.square().mean() for pair in network.disparities(inputs(64, 96, 2)[0])).backward()
    else:
        sum(found.square().mean() for found in outputs(network, 64, 96, batch=2)).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert without == []


@pytest.mark.parametrize("name", NETWORKS)
def test_every_stream_that_it_has_matters(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]()
    network.train()  # normalised by the batch itself, else an untrained network's signal dies on the way
    only = getattr(network, "fusion", "sum")
    color, depth = inputs(64, 96, batch=2)

    def scores(color: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)  # the same dropout
        return network(color, depth)

    with torch.no_grad():
        assert torch.equal(scores(color, depth), scores(color, depth.flip(-1))) == (only == "color")
        assert torch.equal(scores(color, depth), scores(color.flip(-1), depth)) == (only == "depth")


def test_saved_and_loaded_gives_the_same(network: nn.Module, tmp_path) -> None:
    network.eval()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    with torch.no_grad():
        before = outputs(network, 64, 96)
        for parameter in network.parameters():
            parameter.add_(0.1)
        network.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
        torch.testing.assert_close(outputs(network, 64, 96), before)


@pytest.mark.parametrize("size", [(64, 96), (75, 101)])
def test_onnx_runtime_agrees(network: nn.Module, size: tuple[int, int], tmp_path) -> None:
    network.eval()
    named = given(network, *size)
    path = tmp_path / "network.onnx"
    torch.onnx.export(network, tuple(named.values()), str(path), input_names=list(named), dynamo=False)
    session = onnxruntime.InferenceSession(path)
    found = session.run(None, {i.name: named[i.name].numpy() for i in session.get_inputs()})
    with torch.no_grad():
        expected = outputs(network, *size)
    for values, truth in zip(found, expected, strict=False):
        np.testing.assert_allclose(values, truth.numpy(), atol=1e-3)


@pytest.mark.parametrize(("fusions", "millions"), [(1, 29.50), (3, 31.19), (5, 44.17)])
def test_fusenet_has_the_size_of_the_paper(fusions: int, millions: float) -> None:
    with torch.device("meta"):
        network = FuseNet(13, fusions=fusions)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.02)


def test_unpool_puts_values_back_where_pooling_found_them() -> None:
    x = torch.randn(2, 3, 7, 9)
    pooled, indices = F.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
    back = unpool(pooled, indices, x)
    assert torch.equal(back[back != 0], x[back != 0])
    assert (back != 0).sum() == pooled.numel()


def test_fusion_is_a_sum_of_the_two_streams() -> None:
    """With equal weights in both streams and equal images, every fused map is twice the stream's own."""
    network = FuseNet(5, width=0.125, fusions=1, depth_channels=3).eval()
    network.depth_blocks.load_state_dict(nn.ModuleList(list(network.color_blocks)[:1]).state_dict())
    color = inputs(64, 96)[0]
    seen = []
    network.color_blocks[1].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        network(color, color)
        alone = F.max_pool2d(network.color_blocks[0](color), 2)
    torch.testing.assert_close(seen[0], 2 * alone)


def test_a_dilated_last_stage_stays_at_stride_16_with_the_same_weights() -> None:
    plain, dilated = MobileFuseNet(5), MobileFuseNet(5, dilated=True)
    assert plain.state_dict().keys() == dilated.state_dict().keys()
    with torch.no_grad():
        assert plain.encode(*inputs(64, 96))[-1].shape[-2:] == (2, 3)
        assert dilated.encode(*inputs(64, 96))[-1].shape[-2:] == (4, 6)


def test_training_scores_are_those_of_the_network_before_upsampling() -> None:
    network = MobileFuseNet(5, channels=16, finest=4, output_stride=2, auxiliary_classes=7).eval()
    with torch.no_grad():
        scores, auxiliary = network.score_maps(*inputs(64, 96))
        assert scores.shape == (1, 5, 16, 24) and auxiliary is not None and auxiliary.shape == (1, 7, 16, 24)
        torch.testing.assert_close(network(*inputs(64, 96)), F.interpolate(scores, size=(32, 48), mode="bilinear"))


def test_stems_take_depth_as_the_mean_of_the_colours() -> None:
    weight = torch.randn(8, 3, 3, 3)
    mean = weight.mean(dim=1)
    depth, stacked = stem(weight, 2), stem(weight, 5)
    assert torch.equal(depth[:, 0], mean) and not depth[:, 1].any()
    assert torch.equal(stacked[:, :3], weight) and torch.equal(stacked[:, 3], mean) and not stacked[:, 4].any()
