"""The quick ways of learning give what the plain convolution gives."""

import pytest
import torch
from torch import nn

from scene_understanding.models.depthwise import Depthwise

CASES = [((12, 16), 1, 2), ((15, 20), 1, 2), ((7, 9), 1, 3), ((5, 5), 1, 6), ((13, 8), 2, 1), ((6, 7), 1, 1)]


@pytest.mark.parametrize(("size", "stride", "dilation"), CASES)
def test_outputs_and_gradients_are_those_of_the_plain_convolution(
    size: tuple[int, int], stride: int, dilation: int
) -> None:
    dtype = torch.float32 if stride > 1 else torch.float64  # of which autocast makes no BF16
    torch.manual_seed(0)
    quick = Depthwise(5, 3, stride, dilation).to(dtype)
    plain = nn.Conv2d(5, 5, 3, stride, dilation, dilation, groups=5, bias=False).to(dtype)
    plain.load_state_dict(quick.state_dict())
    x = torch.randn(2, 5, *size, dtype=dtype).contiguous(memory_format=torch.channels_last)
    results = []
    for convolution in (quick, plain):
        given = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=convolution is quick):
            found = convolution(given)
        (found * torch.linspace(-1, 1, found.numel(), dtype=dtype).reshape(found.shape)).sum().backward()
        results.append((found.detach(), given.grad, convolution.weight.grad))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)
