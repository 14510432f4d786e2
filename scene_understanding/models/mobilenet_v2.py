"""MobileNetV2 features as five stages (Sandler et al., CVPR 2018, Table 2).

Parameter names follow torchvision's (`features.N...`), so that ImageNet weights in that layout load as they are.
The last 1x1 convolution (1280 channels) and the classifier belong to image classification and are left out.
"""

from __future__ import annotations

from torch import Tensor, nn

from scene_understanding.models.depthwise import Depthwise
from scene_understanding.models.encoder import Encoder, imagenet_state

# expansion t, output channels c, repeats n, stride s: Table 2 of the paper
BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STAGES = ((0, 2), (2, 4), (4, 7), (7, 14), (14, 18))
"""Ranges of `features` that end at strides 2, 4, 8, 16 and 32."""
CHANNELS = (16, 24, 32, 96, 320)


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, linear 1x1 projection; identity where the shape allows."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, dilation: int = 1) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers = [conv_bn_relu6(inputs, hidden, 1)] if expansion != 1 else []
        layers += [_bn_relu6(Depthwise(hidden, 3, stride, dilation))]
        self.conv = nn.Sequential(*layers, nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.identity = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.identity else self.conv(x)


def conv_bn_relu6(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return _bn_relu6(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False))


def _bn_relu6(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU6(inplace=True))


class MobileNetV2Stages(Encoder):
    """The five stages; stage i takes (N, C, H, W) at stride 2^i to `CHANNELS[i]` channels at stride 2^(i+1).

    With `dilated` the last one stays at stride 16 and its 3x3 convolutions are two pixels wide apart instead
    (Chen et al.: DeepLab, 2016), which leaves the weights what they were.
    """

    channels = CHANNELS

    def __init__(self, in_channels: int, dilated: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn_relu6(in_channels, 32, 3, 2)]
        inputs = 32
        for expansion, outputs, repeats, stride in BLOCKS:
            for i in range(repeats):
                last = dilated and len(layers) >= STAGES[4][0]
                step = stride if i == 0 and not last else 1
                dilation = 2 if last and len(layers) > STAGES[4][0] else 1
                layers.append(InvertedResidual(inputs, outputs, step, expansion, dilation))
                inputs = outputs
        self.features = nn.Sequential(*layers)

    def stage(self, index: int, x: Tensor) -> Tensor:
        for layer in list(self.features)[slice(*STAGES[index])]:
            x = layer(x)
        return x

    def first_stages(self, stages: int) -> list[nn.Module]:
        return list(self.features)[: STAGES[stages - 1][1]] if stages else []

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        self.load_state_dict(imagenet_state(self.state_dict(), weights, "features.0.0.weight"))
