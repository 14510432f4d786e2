"""DenseNet (Huang et al., CVPR 2017) as five stages, as D3-Net takes it: a strided convolution for the first pooling.

Weights of torchvision's densenet121 load as they are; that convolution starts fresh.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scene_understanding.models.encoder import Encoder, imagenet_state


class DenseNetStages(Encoder):
    """Stage i takes (N, C, H, W) at stride 2^i to `channels[i]` channels at stride 2^(i+1).

    The first one is conv0, the others a dense block each with what halves the size before it: the convolution in the
    place of the first pooling, then the pooling of the transition. So the maps that stages give are those before it.

    Args:
        growth: channels that each dense layer adds; blocks: dense layers of each of the four blocks.
    """

    def __init__(self, growth: int, blocks: Sequence[int]) -> None:
        super().__init__()
        channels = 2 * growth
        self.conv0 = nn.Sequential(
            nn.Conv2d(3, channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels), nn.LeakyReLU(0.2, inplace=True)
        )
        self.pool0 = nn.Sequential(
            nn.Conv2d(channels, channels, 4, 2, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.dense, self.ends = nn.ModuleList(), nn.ModuleList()
        found = [channels]
        for layers in blocks:
            self.dense.append(nn.Sequential(*(DenseLayer(channels + i * growth, growth) for i in range(layers))))
            channels += layers * growth
            if len(self.dense) < len(blocks):
                self.ends.append(transition(channels))
                channels //= 2
            else:
                self.ends.append(nn.Sequential(nn.BatchNorm2d(channels), nn.LeakyReLU(0.2, inplace=True)))
            found.append(channels)
        self.channels = tuple(found)

    def stage(self, index: int, x: Tensor) -> Tensor:
        if index == 0:
            out: Tensor = self.conv0(x)
            return out
        x = self.pool0(x) if index == 1 else F.avg_pool2d(x, 2)
        out = self.ends[index - 1](self.dense[index - 1](x))
        return out

    def first_stages(self, stages: int) -> list[nn.Module]:
        first: list[nn.Module] = [self.conv0, self.pool0]
        return first[:stages] + [part for i in range(stages - 1) for part in (self.dense[i], self.ends[i])]

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        own = self.state_dict()
        taken = {name: tensor for name, tensor in own.items() if not name.startswith("pool0.")}
        named = {_own_name(name): tensor for name, tensor in weights.items()}
        self.load_state_dict(own | imagenet_state(taken, named, "conv0.0.weight"))


LAYER = {"norm1": "0", "conv1": "2", "norm2": "3", "conv2": "5"}


def _own_name(name: str) -> str:
    """Of a tensor of torchvision's densenet121, here."""
    name = re.sub(r"\b(norm|conv)\.([12])\b", r"\1\2", name.removeprefix("features."))  # as old files spell it
    for pattern, own in (
        (r"conv0\.(.*)", r"conv0.0.\1"),
        (r"norm0\.(.*)", r"conv0.1.\1"),
        (r"norm5\.(.*)", r"ends.3.0.\1"),
    ):
        if found := re.fullmatch(pattern, name):
            return found.expand(own)
    if found := re.fullmatch(r"transition(\d)\.(norm|conv)\.(.*)", name):
        return f"ends.{int(found[1]) - 1}.{'0' if found[2] == 'norm' else '2'}.{found[3]}"
    if found := re.fullmatch(r"denseblock(\d)\.denselayer(\d+)\.(norm1|conv1|norm2|conv2)\.(.*)", name):
        return f"dense.{int(found[1]) - 1}.{int(found[2]) - 1}.layers.{LAYER[found[3]]}.{found[4]}"
    return name


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


def transition(channels: int) -> nn.Sequential:
    """BN, ReLU and a 1x1 convolution to half the channels; the pooling comes after the skip is taken."""
    return nn.Sequential(
        nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, channels // 2, 1, bias=False)
    )
