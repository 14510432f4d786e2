"""FuseNet: two encoders, one for colour and one for depth, fused by summation into one decoder.

Hazirbas, Ma, Domokos, Cremers: FuseNet, ACCV 2016 (Figure 2, "sparse fusion", SF5).

The network on VGG16; with `width` 1.0 it has 44.2 M parameters for 13 classes. Deviation: none
in the structure; the depth input may have more than one channel.

Takes color (N, 3, H, W) float32 and depth (N, D, H, W) float32, already normalised, of any size, and returns class
scores (N, K, H, W) float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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

    def score_maps(self, color: Tensor, depth: Tensor) -> tuple[Tensor, None]:
        """As `forward`, and no second head: what a training asks of every network of segmentation."""
        return self(color, depth), None
