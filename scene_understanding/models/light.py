"""Parts of the light decoder and of the fusion of on-board networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scene_understanding.models.depthwise import Depthwise


class Refine(nn.Module):
    """One step of the light decoder: upsample, add the fused map of the encoder, smooth by a separable 3x3."""

    def __init__(self, encoder_channels: int, channels: int, outputs: int) -> None:
        super().__init__()
        self.lateral = nn.Conv2d(encoder_channels, channels, 1, bias=False)
        self.smooth = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor, fused: Tensor) -> Tensor:
        x = F.interpolate(x, size=fused.shape[-2:], mode="bilinear", align_corners=False)
        return self.smooth(x + self.lateral(fused))


class Context(nn.Module):
    """1x1 reduction of the deepest map plus its global mean (Liu et al.: ParseNet, 2015)."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv2d(inputs, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.context = nn.Conv2d(inputs, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.reduce(x) + self.context(x.mean(dim=(2, 3), keepdim=True)))


class Gate(nn.Module):
    """Squeeze-and-excitation weights of one stream before the sum (Hu et al., CVPR 2018; ESANet, ICRA 2021).

    Starts as a factor of about one on every channel, so that a trained network goes on from plain summation.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(8, channels // reduction)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)
        nn.init.zeros_(self.excite.weight)
        nn.init.zeros_(self.excite.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        weight = self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3), keepdim=True))))
        return x * (2 * torch.sigmoid(weight))


class Pyramid(nn.Module):
    """Context at several scales of the deepest map: separable 3x3 convolutions of growing dilation and the global mean.

    Chen et al.: DeepLabv3, 2017, section 3.3, with separable convolutions; summed instead of concatenated.
    """

    def __init__(self, inputs: int, channels: int, dilations: tuple[int, ...] = (1, 3, 6)) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv2d(inputs, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU())
        self.branches = nn.ModuleList(Depthwise(channels, 3, dilation=d) for d in dilations)
        self.mix = nn.Sequential(
            nn.BatchNorm2d(channels * len(dilations)),
            nn.ReLU(),
            nn.Conv2d(channels * len(dilations), channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.context = nn.Conv2d(inputs, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        mixed = self.mix(torch.cat([branch(reduced) for branch in self.branches], dim=1))
        return F.relu(reduced + mixed + self.context(x.mean(dim=(2, 3), keepdim=True)))
