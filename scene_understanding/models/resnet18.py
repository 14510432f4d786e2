"""ResNet-18 up to its third block as four stages (He et al., CVPR 2016, Table 1).

Parameter names follow torchvision's (`conv1`, `bn1`, `layer1` ... `layer3`), so that ImageNet weights in that layout
load as they are. The fourth block holds three quarters of the weights and is left out: at stride 16 a context module
follows anyway.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from scene_understanding.models.encoder import Encoder, imagenet_state


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the identity, or a 1x1 projection where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(residual + self.downsample(x))


class ResNet18Stages(Encoder):
    """The four stages; stage i takes (N, C, H, W) at stride 2^i to `channels[i]` channels at stride 2^(i+1)."""

    channels = (64, 64, 128, 256)

    def __init__(self, in_channels: int, dilated: bool = False) -> None:
        super().__init__()
        if dilated:
            raise ValueError("encoder resnet18 ends at stride 16: dilated is for mobilenet_v2")
        self.conv1 = nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))

    def stage(self, index: int, x: Tensor) -> Tensor:
        if index == 0:
            return F.relu(self.bn1(self.conv1(x)))
        if index == 1:
            return self.layer1(F.max_pool2d(x, 3, 2, 1))
        return self.layer2(x) if index == 2 else self.layer3(x)

    def first_stages(self, stages: int) -> list[nn.Module]:
        return [self.conv1, self.bn1, self.layer1, self.layer2, self.layer3][: stages + 1 if stages else 0]

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        self.load_state_dict(imagenet_state(self.state_dict(), weights, "conv1.weight"))
