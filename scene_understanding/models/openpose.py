"""OpenPose: heat maps of keypoints and part affinity fields of limbs.

`OpenPose` is Cao et al., CVPR 2017 (section 2.1, figure 3): the first ten convolutions of VGG19, then stages of two
branches, each of which sees what the stage before it found. `LightweightOpenPose` is Osokin 2018: MobileNetV1 instead
of VGG19, one trunk for both branches, 3x3 convolutions instead of 7x7. Its parameters are named as those of the public
checkpoints (github.com/Daniil-Osokin/lightweight-human-pose-estimation.pytorch), which load as they are.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from scene_understanding.models.depthwise import Depthwise
from scene_understanding.models.mobilenet_v1 import MobileNetV1

KEYPOINTS, FIELDS = 19, 38
"""Channels: 18 keypoints of COCO and the background; x and y of 19 limbs."""

Maps = tuple[Tensor, Tensor]
"""Heat maps (N, 19, h, w) and fields (N, 38, h, w)."""


class PoseNetwork(nn.Module):
    """Takes color (N, 3, H, W) float32, normalised, of any size; gives maps at stride 8."""

    @abstractmethod
    def stages(self, color: Tensor) -> list[Maps]:
        """What every stage finds; training supervises all of them."""

    def forward(self, color: Tensor) -> Maps:
        """Heat maps (N, 19, h, w) and fields (N, 38, h, w) of the last stage."""
        return self.stages(color)[-1]


class OpenPose(PoseNetwork):
    """52.3 M parameters with six stages.

    Args:
        stages: how many.
        width: share of the channels of the paper.
    """

    def __init__(self, stages: int = 6, width: float = 1.0) -> None:
        super().__init__()
        if stages < 1:
            raise ValueError(f"stages is {stages}; it must be at least 1")
        plan = [max(8, round(channels * width)) for channels in (64, 128, 256, 512, 128)]
        self.features = vgg19_head(*plan)
        self.first = nn.ModuleList(self._branch([plan[4]] * 3 + [plan[3]], plan[4], 3, out) for out in (19, 38))
        joined = plan[4] + KEYPOINTS + FIELDS
        self.later = nn.ModuleList(
            nn.ModuleList(self._branch([plan[4]] * 6, joined, 7, out) for out in (KEYPOINTS, FIELDS))
            for _ in range(stages - 1)
        )

    @staticmethod
    def _branch(widths: list[int], inputs: int, kernel: int, outputs: int) -> nn.Sequential:
        """Convolutions of `kernel` to all of `widths` but the last, of 1x1 to that, and to what comes out."""
        layers: list[nn.Module] = []
        for i, width in enumerate(widths):
            layers += relu_conv(inputs, width, kernel if i < len(widths) - 1 else 1)
            inputs = width
        return nn.Sequential(*layers, nn.Conv2d(inputs, outputs, 1))

    def stages(self, color: Tensor) -> list[Maps]:
        features = self.features(color)
        found = [(self.first[0](features), self.first[1](features))]
        for stage in self.later:
            heat, field = stage.children()
            joined = torch.cat([features, *found[-1]], dim=1)
            found.append((heat(joined), field(joined)))
        return found


def vgg19_head(*plan: int) -> nn.Sequential:
    """conv1_1 to conv4_2 of VGG19 (Simonyan and Zisserman, 2015) and two more to 256 and 128 channels; stride 8.

    Args:
        plan: channels of the four blocks and of the last layer.
    """
    first, second, third, fourth, last = plan
    layers: list[nn.Module] = []
    inputs = 3
    for width, repeats in ((first, 2), (second, 2), (third, 4)):
        for _ in range(repeats):
            layers += relu_conv(inputs, width, 3)
            inputs = width
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    for width in (fourth, fourth, third, last):
        layers += relu_conv(inputs, width, 3)
        inputs = width
    return nn.Sequential(*layers)


def relu_conv(inputs: int, outputs: int, kernel: int, dilation: int = 1, norm: bool = False) -> list[nn.Module]:
    """Convolution that keeps the size, normalised or not, and ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2 * dilation, dilation=dilation)
    return [convolution, *([nn.BatchNorm2d(outputs)] if norm else []), nn.ReLU(inplace=True)]


class LightweightOpenPose(PoseNetwork):
    """4.1 M parameters with one refinement stage.

    Args:
        refinements: stages after the initial one; channels: of their features.
    """

    def __init__(self, refinements: int = 1, channels: int = 128) -> None:
        super().__init__()
        self.model = MobileNetV1()
        self.cpm = _Adapter(512, channels)
        trunk = nn.Sequential(*(nn.Sequential(*relu_conv(channels, channels, 3)) for _ in range(3)))
        self.initial_stage = _Stage(trunk, channels, 512)
        self.refinement_stages = nn.ModuleList()
        for _ in range(refinements):
            inputs = [channels + KEYPOINTS + FIELDS, *[channels] * 4]
            blocks = nn.Sequential(*(_Refinement(width, channels) for width in inputs))
            self.refinement_stages.append(_Stage(blocks, channels, channels))

    def stages(self, color: Tensor) -> list[Maps]:
        features = self.cpm(self.model(color))
        found: list[Maps] = [self.initial_stage(features)]
        for stage in self.refinement_stages:
            found.append(stage(torch.cat([features, *found[-1]], dim=1)))
        return found

    def first_stages(self, stages: int) -> list[nn.Module]:
        """The modules of the encoder's first stages, for a training that leaves them as they are."""
        return self.model.first_stages(stages)

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """Starts the encoder from MobileNetV1's weights with folded normalisation; see `unfold_normalisation`."""
        self.model.load_imagenet(weights)


class _Adapter(nn.Module):
    """Fewer channels, and three separable convolutions beside an identity."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.align = nn.Sequential(*relu_conv(inputs, channels, 1))
        self.trunk = nn.Sequential(
            *(
                nn.Sequential(Depthwise(channels, 3), nn.ELU(), nn.Conv2d(channels, channels, 1, bias=False), nn.ELU())
                for _ in range(3)
            )
        )
        self.conv = nn.Sequential(*relu_conv(channels, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.align(x)
        out: Tensor = self.conv(x + self.trunk(x))
        return out


class _Stage(nn.Module):
    """A trunk and, on it, two heads of 1x1 convolutions."""

    def __init__(self, trunk: nn.Sequential, channels: int, hidden: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.heatmaps, self.pafs = (
            nn.Sequential(nn.Sequential(*relu_conv(channels, hidden, 1)), nn.Sequential(nn.Conv2d(hidden, outputs, 1)))
            for outputs in (KEYPOINTS, FIELDS)
        )

    def forward(self, x: Tensor) -> Maps:
        x = self.trunk(x)
        return self.heatmaps(x), self.pafs(x)


class _Refinement(nn.Module):
    """1x1 convolution, and beside it two of 3x3 that see as far as one of 7x7 would."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.initial = nn.Sequential(*relu_conv(inputs, channels, 1))
        self.trunk = nn.Sequential(
            nn.Sequential(*relu_conv(channels, channels, 3, norm=True)),
            nn.Sequential(*relu_conv(channels, channels, 3, dilation=2, norm=True)),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.initial(x)
        out: Tensor = x + self.trunk(x)
        return out
