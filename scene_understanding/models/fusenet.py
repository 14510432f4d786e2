"""FuseNet: two encoders, one for colour and one for depth, fused by summation into one decoder.

Hazirbas, Ma, Domokos, Cremers: FuseNet, ACCV 2016 (Figure 2, "sparse fusion", SF5).

`FuseNet` is the paper's network on VGG16; with `width` 1.0 it has 44.2 M parameters for 13 classes. Deviation: none
in the structure; the depth input may have more than one channel.

`MobileFuseNet` is the on-board form: the same two streams, with the sum after each of the five stages, but the stages
are MobileNetV2's (Sandler et al., CVPR 2018) and the decoder is light. A stage of MobileNetV2 ends in a strided
convolution and leaves no pooling indices, so the decoder upsamples bilinearly and adds the fused maps by 1x1
convolutions instead of unpooling with indices; the deepest map also gets its global mean as context (ParseNet, 2015).

Both take color (N, 3, H, W) float32 and depth (N, D, H, W) float32, already normalised, of any size, and return class
scores (N, K, H, W) float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scene_understanding.models.mobilenet_v2 import CHANNELS, MobileNetV2Stages

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
DECODER = ((512, 512, 512), (512, 512, 256), (256, 256, 128), (128, 64), (64,))
"""Widths of the convolutions after each unpooling, deepest first."""


def conv_bn_relu(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def block(inputs: int, widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        layers += conv_bn_relu(inputs, width)
        inputs = width
    return nn.Sequential(*layers)


def unpool(x: Tensor, indices: Tensor, like: Tensor) -> Tensor:
    """Puts each value back where the pooling found it, zeros elsewhere.

    A scatter rather than `F.max_unpool2d`, because ONNX and TensorRT have the one and not the other.

    Args:
        x: (N, C, h, w); indices: (N, C, h, w) int64 into the flattened (H, W) of `like` (N, C, H, W).
    """
    flat = torch.zeros_like(like).flatten(2)
    return flat.scatter(2, indices.flatten(2), x.flatten(2)).view_as(like)


class FuseNet(nn.Module):
    """FuseNet SFn on VGG16.

    Args:
        classes: number of scores K.
        width: factor on every number of channels; 1.0 is the paper's.
        fusions: n, how many of the five blocks (shallow to deep) have a depth stream that is summed in.
        depth_channels: D.
        dropout: after blocks 3 to 5 of the encoder and 5 to 3 of the decoder.
    """

    def __init__(
        self, classes: int, width: float = 1.0, fusions: int = 5, depth_channels: int = 1, dropout: float = 0.5
    ) -> None:
        super().__init__()
        scaled = lambda widths: tuple(max(8, round(w * width)) for w in widths)  # noqa: E731
        encoder = [scaled(widths) for widths in VGG16]
        decoder = [scaled(widths) for widths in DECODER]
        inputs = [3] + [widths[-1] for widths in encoder[:-1]]
        depth_inputs = [depth_channels, *inputs[1:]]
        self.color_blocks = nn.ModuleList(block(i, w) for i, w in zip(inputs, encoder, strict=True))
        self.depth_blocks = nn.ModuleList(
            block(i, w) for i, w in list(zip(depth_inputs, encoder, strict=True))[:fusions]
        )
        decoder_inputs = [encoder[-1][-1]] + [widths[-1] for widths in decoder[:-1]]
        self.decoder_blocks = nn.ModuleList(block(i, w) for i, w in zip(decoder_inputs, decoder, strict=True))
        self.score = nn.Conv2d(decoder[-1][-1], classes, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                module.bias.data.zero_()  # type: ignore[union-attr]

    def forward(self, color: Tensor, depth: Tensor) -> Tensor:
        x, pooled = color, []
        for i, color_block in enumerate(self.color_blocks):
            x = color_block(x)
            if i < len(self.depth_blocks):
                depth = self.depth_blocks[i](depth)
                x = x + depth
                depth = F.max_pool2d(depth, 2, ceil_mode=True)
            fused = x
            x, indices = F.max_pool2d(fused, 2, ceil_mode=True, return_indices=True)
            pooled.append((indices, fused))
            if i >= 2:
                x, depth = self.dropout(x), self.dropout(depth)
        for i, decoder_block in enumerate(self.decoder_blocks):
            indices, fused = pooled.pop()
            x = decoder_block(unpool(x, indices, fused))
            if i <= 2:
                x = self.dropout(x)
        return self.score(x)


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


class MobileFuseNet(nn.Module):
    """Two-stream MobileNetV2 with a sum after each stage and a light decoder.

    Args:
        classes: number of scores K.
        depth_channels: D.
        channels: width of the decoder.
        dropout: before the scores, in training.
    """

    def __init__(self, classes: int, depth_channels: int = 1, channels: int = 64, dropout: float = 0.1) -> None:
        super().__init__()
        self.color = MobileNetV2Stages(3)
        self.depth = MobileNetV2Stages(depth_channels)
        self.top = nn.Sequential(nn.Conv2d(CHANNELS[-1], channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.context = nn.Conv2d(CHANNELS[-1], channels, 1)
        widths = (channels, channels, channels, channels // 2)
        self.refine = nn.ModuleList(Refine(CHANNELS[3 - i], channels, widths[i]) for i in range(4))
        self.dropout = nn.Dropout2d(dropout)
        self.score = nn.Conv2d(widths[-1], classes, 1)

    def forward(self, color: Tensor, depth: Tensor) -> Tensor:
        size = color.shape[-2:]
        fused: list[Tensor] = []
        for i in range(5):
            color, depth = self.color.stage(i, color), self.depth.stage(i, depth)
            color = color + depth
            fused.append(color)
        deepest = fused.pop()
        x = F.relu(self.top(deepest) + self.context(deepest.mean(dim=(2, 3), keepdim=True)))
        for refine in self.refine:
            x = refine(x, fused.pop())
        x = self.score(self.dropout(x))
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
