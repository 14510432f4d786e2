"""MobileNetV1 (Howard et al., 2017) up to its conv5_5 at stride 8, as the lightweight OpenPose takes it.

Osokin 2018, section 3.1: the fourth stride is left out, and the next depthwise convolution is dilated instead, so that
each of its pixels sees what it saw.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from scene_understanding.models.depthwise import Depthwise
from scene_understanding.models.encoder import Encoder

# output channels, stride and dilation of each depthwise separable block: Table 1 of the paper, strides as said above
BLOCKS = (
    (64, 1, 1), (128, 2, 1), (128, 1, 1), (256, 2, 1), (256, 1, 1), (512, 1, 1), (512, 1, 2), (512, 1, 1), (512, 1, 1),
    (512, 1, 1), (512, 1, 1),
)  # fmt: skip
STAGES = ((0, 2), (2, 4), (4, 12))
"""Ranges of modules that end at strides 2, 4 and 8."""
FOLDED = (".1.weight", ".1.running_mean", ".1.running_var", ".4.weight", ".4.running_mean", ".4.running_var")


class MobileNetV1(nn.Sequential, Encoder):
    """(N, 3, H, W) to (N, 512, H / 8, W / 8)."""

    channels = (64, 128, 512)

    def __init__(self) -> None:
        layers: list[nn.Module] = [nn.Sequential(*_normalised(nn.Conv2d(3, 32, 3, 2, 1, bias=False)))]
        inputs = 32
        for outputs, stride, dilation in BLOCKS:
            depthwise, pointwise = Depthwise(inputs, 3, stride, dilation), nn.Conv2d(inputs, outputs, 1, bias=False)
            layers.append(nn.Sequential(*_normalised(depthwise), *_normalised(pointwise)))
            inputs = outputs
        super().__init__(*layers)

    def stage(self, index: int, x: Tensor) -> Tensor:
        for layer in list(self)[slice(*STAGES[index])]:
            x = layer(x)
        return x

    def first_stages(self, stages: int) -> list[nn.Module]:
        return list(self)[: STAGES[stages - 1][1]] if stages else []

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """Takes convolutions whose normalisation is folded into weight and bias: conv1, conv_dw_1, conv_pw_1 and so on.

        What they compute then stays the same only after `unfold_normalisation`.
        """
        names = {"0.0": ("0.1", "conv1")}
        for i in range(1, len(BLOCKS) + 1):
            names |= {f"{i}.0": (f"{i}.1", f"conv_dw_{i}"), f"{i}.3": (f"{i}.4", f"conv_pw_{i}")}
        with torch.no_grad():
            for convolution, (normalisation, name) in names.items():
                self.get_submodule(convolution).weight.copy_(weights[f"{name}.weight"])  # type: ignore[operator]
                self.get_submodule(normalisation).bias.copy_(weights[f"{name}.bias"])  # type: ignore[operator]

    def unfold_normalisation(self, images: Tensor) -> None:
        """Gives folded weights their normalisation back: mean and variance become those of `images` (N, 3, H, W).

        Factor and offset are such that the layers compute what they did without, also while they learn.
        """
        handles = [
            module.register_forward_pre_hook(partial(_as_identity, offset=module.bias.detach().clone()))
            for module in self.modules()
            if isinstance(module, nn.BatchNorm2d)
        ]
        training = self.training
        self.eval()
        with torch.no_grad():
            self(images)
        self.train(training)
        for handle in handles:
            handle.remove()


def _as_identity(module: nn.Module, inputs: tuple[Tensor], offset: Tensor) -> None:
    """Sets a normalisation, before it runs, so that it adds `offset` (C,) and does nothing else."""
    assert isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None
    mean, variance = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3), unbiased=False)
    module.running_mean.copy_(mean)
    module.running_var.copy_(variance)
    module.weight.copy_((variance + module.eps).sqrt())
    module.bias.copy_(mean + offset)


def _normalised(convolution: nn.Conv2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)]
