"""What networks for depth have of their own: the size of the paper, positive metres, and Monte Carlo dropout."""

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from scene_understanding.models.d3net import D3Net
from scene_understanding.models.depth_network import START_DEPTH, START_SCALE, DepthNetwork
from scene_understanding.models.mobile_d3net import MobileD3Net
from scene_understanding.models.patch_discriminator import PatchDiscriminator

COLOR = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=["d3net", "mobile_d3net"])
def network(request: pytest.FixtureRequest) -> DepthNetwork:
    torch.manual_seed(0)
    if request.param == "d3net":
        network: DepthNetwork = D3Net(growth=4, blocks=(2, 2, 2, 2), widths=(16, 8, 8, 8, 8), dropout=0.5)
    else:
        network = MobileD3Net(widths=(16, 8, 8, 8), dropout=0.5)
    network.train()
    for _ in range(20):  # statistics of the normalisation, without which an untrained network's signal dies on the way
        network(torch.randn(4, 3, 64, 96))
    return network.eval()


def test_d3net_has_the_size_of_the_paper() -> None:
    with torch.device("meta"):
        network = D3Net()
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(24.22, abs=0.01)


def test_torchvisions_densenet_starts_the_encoder() -> None:
    """Names of torchvision's densenet121, in small: every tensor finds its place, the convolution for pooling stays."""
    torch.manual_seed(0)
    network = D3Net(growth=4, blocks=(1, 2, 1, 1), widths=(16, 8, 8, 8, 8))
    before = {name: tensor.clone() for name, tensor in network.color.state_dict().items()}
    beginnings = {"conv0.0": "conv0", "conv0.1": "norm0", "ends.3.0": "norm5"}
    for i, layers in enumerate((1, 2, 1, 1)):
        beginnings |= {f"ends.{i}.{k}": f"transition{i + 1}.{part}" for k, part in ((0, "norm"), (2, "conv")) if i < 3}
        for j in range(layers):
            second = "norm.2" if i == 0 else "norm2"  # as old files spell it
            for k, part in ((0, "norm1"), (2, "conv1"), (3, second), (5, "conv2")):
                beginnings[f"dense.{i}.{j}.layers.{k}"] = f"denseblock{i + 1}.denselayer{j + 1}.{part}"
    weights = {}
    for name, tensor in before.items():
        beginning, _, end = name.rpartition(".")
        weights[f"features.{beginnings.get(beginning, beginning)}.{end}"] = tensor + 1
    weights["classifier.weight"] = torch.zeros(1000, 8)
    network.load_imagenet(weights)
    after = network.color.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if name.startswith("pool0.")}
    with pytest.raises(ValueError, match="starting weights lack conv0.0.weight"):
        network.load_imagenet({"conv1.weight": torch.zeros(1)})


@pytest.mark.parametrize(("stages", "parts"), [(0, 0), (1, 1), (2, 4), (3, 6), (5, 10)])
def test_the_first_stages_are_those_modules(stages: int, parts: int) -> None:
    network = D3Net(growth=4, blocks=(1, 1, 1, 1), widths=(16, 8, 8, 8, 8))
    assert len(network.first_stages(stages)) == parts


def test_the_one_on_board_is_small_enough() -> None:
    with torch.device("meta"):
        network = MobileD3Net()
    assert 4e-6 * sum(p.numel() for p in network.parameters()) < 16


def test_depth_is_positive_and_starts_at_that_of_a_room() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        depth, std = MobileD3Net().eval()(COLOR)
    assert (depth > 0).all() and depth.mean().item() == pytest.approx(START_DEPTH, abs=0.3) and not std.any()


def test_factors_of_one_are_no_dropout(network: DepthNetwork) -> None:
    with torch.no_grad():
        depth, std = network(COLOR, torch.ones(3, network.dropout_channels))
        torch.testing.assert_close(depth, network(COLOR)[0], rtol=1e-4, atol=1e-5)
    assert std.max() < 1e-5


def test_passes_together_are_the_mean_and_deviation_of_passes_alone(network: DepthNetwork) -> None:
    torch.manual_seed(1)
    factors = network.draw(5, COLOR)
    with torch.no_grad():
        depth, std = network(COLOR, factors)
        alone = torch.cat([network(COLOR, row[None])[0] for row in factors])
    torch.testing.assert_close(depth, alone.mean(0, keepdim=True), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(std, alone.std(0, correction=0, keepdim=True), rtol=1e-3, atol=1e-4)
    assert std.mean() > 1e-4


def test_draws_switch_channels_off_and_keep_the_mean(network: DepthNetwork) -> None:
    torch.manual_seed(2)
    factors = network.draw(2000, COLOR)
    assert set(factors.unique().tolist()) == {0.0, 2.0}
    assert factors.mean().item() == pytest.approx(1, abs=0.02)


def test_training_drops_and_evaluation_does_not(network: DepthNetwork) -> None:
    with torch.no_grad():
        assert torch.equal(network(COLOR)[0], network(COLOR)[0])
        network.decoder.train(False)
        network.training = True  # dropout on, normalisation as in evaluation
        assert not torch.equal(network(COLOR)[0], network(COLOR)[0])


def test_the_deviation_that_is_expected_is_that_of_a_laplace_density() -> None:
    torch.manual_seed(0)
    network = MobileD3Net(widths=(16, 8, 8, 8), dropout=0.5, aleatoric=True)
    for _ in range(20):
        network(torch.randn(4, 3, 64, 96))
    network.eval()
    factors = network.draw(5, COLOR)
    with torch.no_grad():
        depth, std, expected = network(COLOR)
        scale = F.interpolate(network.depth_map(COLOR)[:, 1:], size=COLOR.shape[-2:], mode="bilinear").exp()
        torch.testing.assert_close(expected, 2**0.5 * scale * depth)
        assert scale.mean().item() == pytest.approx(START_SCALE, rel=0.3) and not std.any()
        alone = torch.cat([network(COLOR, row[None])[2] for row in factors])
        together = network(COLOR, factors)
    torch.testing.assert_close(together[2], alone.square().mean(0, keepdim=True).sqrt(), rtol=1e-4, atol=1e-5)
    assert [tuple(output.shape) for output in together] == [(1, 1, 64, 96)] * 3


def test_an_exported_network_takes_any_number_of_passes(network: DepthNetwork, tmp_path) -> None:
    path = tmp_path / "network.onnx"
    torch.onnx.export(
        network, (COLOR, network.draw(2, COLOR)), str(path), input_names=["color", "dropout"],
        output_names=["depth", "std"], dynamic_axes={"dropout": {0: "passes"}}, dynamo=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(path)
    for passes in (1, 2, 7):
        factors = network.draw(passes, COLOR)
        found = session.run(["depth", "std"], {"color": COLOR.numpy(), "dropout": factors.numpy()})
        with torch.no_grad():
            for values, truth in zip(found, network(COLOR, factors), strict=True):
                np.testing.assert_allclose(values, truth.numpy(), atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and below 1"),
        ({"finest": 4}, "finest is 4; it can be 1 or 2"),
        ({"finest": 1}, r"widths are \[128, 96, 64, 32\]; 5 blocks need as many"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MobileD3Net(**arguments)


def test_the_discriminator_scores_the_patches_of_the_paper() -> None:
    discriminator = PatchDiscriminator(8).eval()
    with torch.no_grad():
        assert discriminator(torch.zeros(1, 3, 320, 256), torch.zeros(1, 1, 320, 256)).shape == (1, 1, 78, 62)
    color, depth = torch.zeros(1, 3, 96, 96), torch.rand(1, 1, 96, 96, requires_grad=True)
    scores = discriminator(color, depth)
    scores[0, 0, 11, 11].backward()
    assert depth.grad is not None
    rows = depth.grad[0, 0].any(1).nonzero()
    assert (rows.max() - rows.min() + 1).item() == 34  # pixels that a score sees
