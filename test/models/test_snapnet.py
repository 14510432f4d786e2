"""SnapNet's fusion: what the correction may change, and what may change the streams."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scene_understanding.models.encoder import Encoder
from scene_understanding.models.snapnet import SnapNet
from scene_understanding.models.unet import UNet

WIDTHS = (16, 12, 8, 8)


def network(**changes: object) -> SnapNet:
    torch.manual_seed(0)
    return SnapNet(5, widths=WIDTHS, hidden=8, **changes)  # type: ignore[arg-type]


def pictures() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    first, second = (torch.randn(2, 3, 64, 96, generator=generator) for _ in range(2))
    return first, second


@pytest.mark.parametrize("fusion", ["correction", "average"])
def test_both_streams_matter(fusion: str) -> None:
    made = network(fusion=fusion, dropout=0.0).train()
    first, second = pictures()
    with torch.no_grad():
        scores = made(first, second)
        assert not torch.equal(made(first, second.flip(-1)), scores)
        assert not torch.equal(made(first.flip(-1), second), scores)


def test_a_correction_of_nothing_is_the_average() -> None:
    made = network().eval()
    torch.nn.init.zeros_(made.correction[-1].weight)
    torch.nn.init.zeros_(made.correction[-1].bias)
    with torch.no_grad():
        together, first, second = made.score_maps(*pictures())
    torch.testing.assert_close(together, (first + second) / 2)


@pytest.mark.parametrize("joint", [False, True])
def test_streams_learn_from_the_correction_only_if_joint(joint: bool) -> None:
    made = network(joint=joint).train()
    made.score_maps(*pictures())[0].square().mean().backward()
    assert all(p.grad is not None for p in made.correction.parameters())
    assert all((p.grad is not None) == joint for p in [*made.streams.parameters(), *made.scores.parameters()])


def test_each_stream_learns_from_its_own_scores_alone() -> None:
    made = network().train()
    made.score_maps(*pictures())[1].square().mean().backward()
    reached = {name for name, p in made.named_parameters() if p.grad is not None}
    assert reached == {
        name for name, _ in made.named_parameters() if name.startswith(("streams.shape", "scores.shape"))
    }


def test_one_stream_is_a_network_without_fusion() -> None:
    made = network(streams=("shape",)).eval()
    assert made.correction is None
    with torch.no_grad():
        together, alone = made.score_maps(pictures()[0])
        assert torch.equal(together, alone) and made(pictures()[0]).shape == (2, 5, 64, 96)


def test_scores_at_half_the_size_are_not_upsampled() -> None:
    made = network(output_stride=2).eval()
    with torch.no_grad():
        torch.testing.assert_close(made(*pictures()), made.score_maps(*pictures())[0])
        assert made(*pictures()).shape == (2, 5, 32, 48)


def test_every_stream_starts_from_the_same_weights() -> None:
    made, donor = network(), network()
    encoders = [module for module in made.modules() if isinstance(module, Encoder)]
    weights = next(module for module in donor.modules() if isinstance(module, Encoder)).state_dict()
    made.load_imagenet({name: tensor + 1 for name, tensor in weights.items()})
    assert len(encoders) == 2
    for encoder in encoders:
        assert all(torch.equal(tensor, weights[name] + 1) for name, tensor in encoder.state_dict().items())
    assert len(made.first_stages(1)) == 2 * len(encoders[0].first_stages(1))


def test_a_fusion_an_encoder_or_widths_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="fusion is 'sum'; it can be correction, average"):
        network(fusion="sum")
    with pytest.raises(ValueError, match="encoder is 'vgg'; it can be"):
        network(encoder="vgg")
    with pytest.raises(ValueError, match=r"widths are \[8\]; mobilenet_v2 needs 4"):
        UNet(widths=(8,))
