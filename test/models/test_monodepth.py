"""What the left-right network has of its own: the size of the paper, its scales, and the range of disparity."""

import pytest
import torch

from scene_understanding.models.monodepth import LARGEST, START, Monodepth


def test_it_has_the_size_of_the_paper() -> None:
    with torch.device("meta"):
        network = Monodepth()
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(31.6, abs=0.1)


@pytest.mark.parametrize(("height", "width"), [(64, 128), (75, 203)])
def test_disparities_of_both_images_at_four_scales(height: int, width: int) -> None:
    torch.manual_seed(0)
    network = Monodepth(0.125)
    with torch.no_grad():
        found = network.disparities(torch.rand(2, 3, height, width))
        whole = network(torch.rand(1, 3, height, width))
    halved = [(-(-height // 2**i), -(-width // 2**i)) for i in range(4)]
    assert [tuple(pair.shape) for pair in found] == [(2, 2, *size) for size in halved]
    assert whole.shape == (1, 1, height, width)
    assert all(0 < pair.min() and pair.max() < LARGEST for pair in found)


def test_disparity_starts_small() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        found = Monodepth(0.125).disparities(torch.rand(1, 3, 64, 128))
    assert all(pair.mean().item() == pytest.approx(START, abs=0.01) for pair in found)


def test_disparity_is_not_rounded_where_the_network_computes_in_bf16() -> None:
    torch.manual_seed(0)
    network = Monodepth(0.125)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = network.disparities(torch.rand(1, 3, 64, 128))
    assert all(pair.dtype == torch.float32 for pair in found) and len(found[0].unique()) > 1000


def test_every_scale_feeds_the_finer_one() -> None:
    torch.manual_seed(0)
    network = Monodepth(0.125)
    color = torch.rand(1, 3, 64, 128)
    with torch.no_grad():
        before = network(color)
        network.heads[0].bias.add_(3)  # the coarsest
        assert not torch.equal(before, network(color))
