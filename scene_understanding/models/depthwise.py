"""Depthwise convolution that also learns fast in BF16 on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Depthwise(nn.Conv2d):
    """`nn.Conv2d` with one group a channel and padding that keeps the size, its backward pass by quicker ways.

    oneDNN (as of PyTorch 2.13) has no fast backward pass in BF16 for a stride or a dilation: those of MobileNetV2 took
    half of a training step. With a stride the convolution is done in float32, five to twenty times as fast. With
    dilation d each of the d x d phases of the pixels is a picture of its own for a dense one: the same sums, ten times
    as fast. Parameters are named and shaped as those of `nn.Conv2d`; what does not learn, and what is exported, is one.
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        padding = kernel // 2 * dilation
        super().__init__(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.requires_grad and torch.is_grad_enabled() and torch.is_autocast_enabled("cpu"):
            if self.stride[0] > 1:
                with torch.autocast("cpu", enabled=False):
                    return super().forward(x.float()).to(x.dtype)
            if self.dilation[0] > 1:
                return self._by_phases(x)
        return super().forward(x)

    def _by_phases(self, x: Tensor) -> Tensor:
        """The dilated convolution as a dense one of d * d * N pictures of (H / d, W / d)."""
        n, c, height, width = x.shape
        d = self.dilation[0]
        x = F.pad(x, (0, -width % d, 0, -height % d)).permute(0, 2, 3, 1)  # (N, H, W, C), as it lies in memory
        h, w = x.shape[1] // d, x.shape[2] // d
        phases = x.reshape(n, h, d, w, d, c).permute(2, 4, 0, 1, 3, 5).reshape(d * d * n, h, w, c)
        dense = F.conv2d(phases.permute(0, 3, 1, 2), self.weight, padding=self.kernel_size[0] // 2, groups=c)
        parts = dense.permute(0, 2, 3, 1).reshape(d, d, n, h, w, c).permute(2, 3, 0, 4, 1, 5)
        return parts.reshape(n, h * d, w * d, c).permute(0, 3, 1, 2)[..., :height, :width]
