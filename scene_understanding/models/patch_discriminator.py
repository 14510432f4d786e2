"""Conditional patch discriminator: is each patch of a depth map true to its image? (Isola et al.: pix2pix, CVPR 2017;
with D3-Net: Carvalho et al., ICIP 2018, section 3.)"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """Four 4x4 convolutions, two of them strided: a score for every patch of 34x34 pixels, 78x62 of them for 320x256.

    Args:
        channels: of the first convolution.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(4, channels, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for inputs, stride in ((channels, 2), (2 * channels, 1)):
            layers += [
                nn.Conv2d(inputs, 2 * inputs, 4, stride, 1, bias=False), nn.BatchNorm2d(2 * inputs),
                nn.LeakyReLU(0.2, inplace=True),
            ]  # fmt: skip
        self.layers = nn.Sequential(*layers, nn.Conv2d(4 * channels, 1, 4, 1, 1))

    def forward(self, color: Tensor, depth: Tensor) -> Tensor:
        """Scores (N, 1, h, w), near 1 for true depth; color (N, 3, H, W) normalised, depth (N, 1, H, W)."""
        scores: Tensor = self.layers(torch.cat([color, depth], dim=1))
        return scores
