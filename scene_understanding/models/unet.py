"""U-Net (Ronneberger, Fischer, Brox, MICCAI 2015, Figure 1) on a small encoder that has ImageNet weights.

SnapNet's is on VGG16, 40 million weights (Boulch et al., 3DOR 2017); here MobileNetV2 or ResNet-18 encode, and the
decoder upsamples bilinearly instead of by transposed convolutions. As in the paper each step concatenates the map of
the encoder and goes on with two 3x3 convolutions. It ends at stride 2: pixels of a snapshot are half a voxel there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scene_understanding.models.encoder import Encoder
from scene_understanding.models.mobile_fusenet import ENCODERS


class UNet(nn.Module):
    """Features of a picture: (N, C, H, W) float32, normalised, to `channels` maps of half its size.

    Args:
        in_channels: C.
        encoder: a key of `ENCODERS`.
        widths: channels of the decoder's maps, deep to shallow; an encoder of fewer stages takes the last ones.
    """

    def __init__(
        self, in_channels: int = 3, encoder: str = "mobilenet_v2", widths: Sequence[int] = (128, 96, 64, 64)
    ) -> None:
        super().__init__()
        if encoder not in ENCODERS:
            raise ValueError(f"encoder is '{encoder}'; it can be {', '.join(ENCODERS)}")
        self.encoder: Encoder = ENCODERS[encoder](in_channels)
        deepest, *laterals = self.encoder.channels[::-1]
        if len(widths) < len(laterals):
            raise ValueError(f"widths are {list(widths)}; {encoder} needs {len(laterals)} of them")
        outputs = list(widths[len(widths) - len(laterals) :])
        self.steps = nn.ModuleList(
            Up(below, lateral, out)
            for below, lateral, out in zip([deepest, *outputs[:-1]], laterals, outputs, strict=True)
        )
        self.channels = outputs[-1]

    def forward(self, picture: Tensor) -> Tensor:
        maps, x = [], picture
        for i in range(len(self.encoder.channels)):
            x = self.encoder.stage(i, x)
            maps.append(x)
        x = maps.pop()
        for step in self.steps:
            x = step(x, maps.pop())
        return x


class Up(nn.Module):
    """A step of the decoder: upsample, concatenate the encoder's map, two 3x3 convolutions."""

    def __init__(self, below: int, lateral: int, outputs: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*conv_bn_relu(below + lateral, outputs), *conv_bn_relu(outputs, outputs))

    def forward(self, x: Tensor, lateral: Tensor) -> Tensor:
        x = F.interpolate(x, size=lateral.shape[-2:], mode="bilinear", align_corners=False)
        return self.convolutions(torch.cat([x, lateral], dim=1))


def conv_bn_relu(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    """A 3x3 convolution, normalised."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
