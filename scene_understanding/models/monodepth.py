"""Disparity of one image, learnt from stereo pairs without depth (Godard, Mac Aodha, Brostow: Unsupervised Monocular
Depth Estimation with Left-Right Consistency, CVPR 2017, figure 3 and table 5 of its supplement).

Takes color (N, 3, H, W) float32, the left image in 0..1, of any size: where sizes do not halve evenly, maps on the way
up are resized to their skip.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = (32, 64, 128, 256, 512, 512, 512)
KERNELS = (7, 5, 3, 3, 3, 3, 3)
LARGEST = 0.3
"""Disparity as a share of the width, where the sigmoid ends."""

START = 0.03
"""Disparity that an untrained network says. The paper's starts in the middle of the sigmoid, 0.15; trained from there
on the pairs of one drive, all pixels ended at 0 (learning rate 5e-4) or at `LARGEST` (1e-3)."""

SCALES = 4


class Monodepth(nn.Module):
    """VGG-style encoder of seven pairs of convolutions, and a decoder with disparities at four scales.

    Args:
        width: factor of all channels; with 1.0 it has the paper's 31 M parameters.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        encoded = [max(4, round(width * c)) for c in CHANNELS]
        self.encoder = nn.ModuleList(
            nn.Sequential(conv(inputs, outputs, kernel), conv(outputs, outputs, kernel, 2))
            for inputs, outputs, kernel in zip((3, *encoded), encoded, KERNELS, strict=False)
        )
        decoded = [encoded[5], encoded[5], *encoded[4::-1][1:], max(4, encoded[0] // 2)]
        self.up, self.join, self.heads = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        inputs = encoded[6]
        for level, outputs in zip(range(6, -1, -1), decoded, strict=True):  # at stride 2^level after it
            skip = encoded[level - 1] if level else 0
            disparity = 2 if level < SCALES - 1 else 0
            self.up.append(conv(inputs, outputs, 3))
            self.join.append(conv(outputs + skip + disparity, outputs, 3))
            if level < SCALES:
                head = nn.Conv2d(outputs, 2, 3, padding=1)
                nn.init.constant_(head.bias, -math.log(LARGEST / START - 1))  # type: ignore[arg-type]
                self.heads.append(head)
            inputs = outputs

    def forward(self, color: Tensor) -> Tensor:
        """Disparity (N, 1, H, W) of the left image, a share of its width."""
        return self.disparities(color)[0][:, :1]

    def disparities(self, color: Tensor) -> list[Tensor]:
        """(N, 2, h, w) of the left and the right image, shares of the width, at strides 1, 2, 4 and 8."""
        sizes, skips, x = [color.shape[-2:]], [], color
        for pair in self.encoder:
            x = pair(x)
            skips.append(x)
            sizes.append(x.shape[-2:])
        found: list[Tensor] = []
        for i, (up, join) in enumerate(zip(self.up, self.join, strict=True)):
            level = 6 - i
            x = up(F.interpolate(x, size=sizes[level], mode="nearest"))
            parts = [x, *(skips[level - 1 : level] if level else [])]
            if level < SCALES - 1:
                parts.append(F.interpolate(found[-1], size=sizes[level], mode="bilinear"))
            x = join(torch.cat(parts, dim=1))
            if level < SCALES:
                with torch.autocast(x.device.type, enabled=False):  # in BF16 disparity would have steps of a pixel
                    found.append(LARGEST * torch.sigmoid(self.heads[len(found)](x.float())))
        return found[::-1]


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution and ELU; there is no normalisation."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.ELU(inplace=True))
