"""What an on-board network asks of the encoder of a stream."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """Stages that halve the size of what they get; `channels` of each, shallow to deep."""

    channels: tuple[int, ...]

    @abstractmethod
    def stage(self, index: int, x: Tensor) -> Tensor:
        """Stage `index` of (N, C, H, W)."""

    @abstractmethod
    def first_stages(self, stages: int) -> list[nn.Module]:
        """The modules of the first `stages` stages."""

    @abstractmethod
    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """Loads ImageNet weights in torchvision's layout; a first convolution of other than 3 inputs as in `stem`."""


def imagenet_state(own: dict[str, Tensor], weights: dict[str, Tensor], first: str) -> dict[str, Tensor]:
    """What of `weights` an encoder with the state `own` takes, its first convolution made for its inputs.

    Raises:
        ValueError: weights of another network.
    """
    missing = [name for name in own if name not in weights]
    if missing:
        raise ValueError(f"starting weights lack {missing[0]} and {len(missing) - 1} more: they are of another network")
    chosen = {name: weights[name].to(tensor.dtype) for name, tensor in own.items()}
    if own[first].shape[1] != 3:
        chosen[first] = stem(chosen[first], own[first].shape[1])
    return chosen


def stem(weight: Tensor, inputs: int) -> Tensor:
    """First convolution for `inputs` channels: one or two are a depth stream's, more are colour with depth stacked.

    Depth gets the mean over red, green and blue (FuseNet, section 4); a validity channel starts from zero.
    """
    mean, zero = weight.mean(dim=1, keepdim=True), torch.zeros_like(weight[:, :1])
    depth = [mean, zero]
    return torch.cat(depth[:inputs] if inputs < 3 else [weight, *depth[: inputs - 3]], dim=1)
