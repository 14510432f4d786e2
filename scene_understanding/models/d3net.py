"""D3-Net: a metric depth for every pixel of a colour image (Carvalho et al.: On Regression Losses for Deep Depth
Estimation, ICIP 2018, figure 1; Deep Depth from Defocus, ECCV workshops 2018).

    color /1 - conv0 /2 - conv 4x4 /4 - dense 1 - dense 2 /8 - dense 3 /16 - dense 4 /32
                 |                        |          |            |            |
    depth /1 <- d1 <-------- d2 <-------- d3 <------ d4 <-------- d5 <---------+

DenseNet-121 (Huang et al., CVPR 2017) whose first pooling is a strided convolution, skips taken before the poolings of
the transitions, and blocks of a transposed and a plain convolution back up. What is other than published: depth is
the softplus of the last map, so that it is positive and losses of its logarithm exist; dropout switches whole
channels off; sizes that do not halve evenly are met by resizing a block's output to its skip.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scene_understanding.models.depth_network import DepthDecoder, DepthNetwork


class D3Net(DepthNetwork):
    """As published: 24.2 M parameters with the defaults.

    Args:
        growth: channels that each dense layer adds; blocks: dense layers of each block.
        widths: channels of the decoder's blocks, d5 first.
        dropout: share of channels that are off in training, in d5 and d4.
        finest: 1 as published, or 2: without d1, depth of half the input's size, upsampled bilinearly.
    """

    def __init__(
        self,
        growth: int = 32,
        blocks: tuple[int, ...] = (6, 12, 24, 16),
        widths: tuple[int, ...] = (512, 256, 128, 64, 64),
        dropout: float = 0.0,
        finest: int = 1,
    ) -> None:
        channels = 2 * growth
        super().__init__(dropout)
        self.conv0 = nn.Sequential(
            nn.Conv2d(3, channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels), nn.LeakyReLU(0.2, inplace=True)
        )
        self.pool0 = nn.Sequential(
            nn.Conv2d(channels, channels, 4, 2, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.dense, self.transitions = nn.ModuleList(), nn.ModuleList()
        skips = [channels]
        for i, layers in enumerate(blocks):
            self.dense.append(dense_block(channels, growth, layers))
            channels += layers * growth
            if i < len(blocks) - 1:
                self.transitions.append(
                    nn.Sequential(
                        nn.BatchNorm2d(channels),
                        nn.ReLU(inplace=True),
                        nn.Conv2d(channels, channels // 2, 1, bias=False),
                    )
                )
                channels //= 2
                skips.append(channels)
        self.norm5 = nn.Sequential(nn.BatchNorm2d(channels), nn.LeakyReLU(0.2, inplace=True))
        self.decoder = DepthDecoder([*skips, channels], widths, finest)

    def encode(self, color: Tensor) -> list[Tensor]:
        conv0 = self.conv0(color)
        maps, x = [conv0], self.pool0(conv0)
        for i, block in enumerate(self.dense):
            x = block(x)
            if i < len(self.transitions):
                x = self.transitions[i](x)
                maps.append(x)
                x = F.avg_pool2d(x, 2)
        return [*maps, self.norm5(x)]


def transition(channels: int) -> nn.Sequential:
    """BN, ReLU and a 1x1 convolution to half the channels; the pooling comes after the skip is taken."""
    return nn.Sequential(
        nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, channels // 2, 1, bias=False)
    )


class DenseLayer(nn.Module):
    """BN, ReLU, 1x1 to 4 k channels, BN, ReLU, 3x3 to the k channels that are added to the input's."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth), nn.ReLU(inplace=True), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], dim=1)


def dense_block(inputs: int, growth: int, layers: int) -> nn.Sequential:
    """`layers` dense layers: (N, C, H, W) to (N, C + layers * growth, H, W)."""
    return nn.Sequential(*(DenseLayer(inputs + i * growth, growth) for i in range(layers)))
