"""What the networks for depth from one image have in common: D3-Net's decoder, and how they tell their uncertainty.

Monte Carlo dropout (Gal and Ghahramani, ICML 2016; Kendall and Gal, NIPS 2017): with dropout on and normalisation as in
evaluation, passes differ, and their mean and standard deviation are the depth and its uncertainty. Which channels are
off is an input of the network, so that an exported one can do it: the encoder, which has no dropout, runs
once, and the decoder for all passes together.

Passes differ where the network is unsure of what it learnt. What the image leaves open, however much it learnt (a wall
without texture), it can learn to say itself, as a second map: the scale of its error in the logarithm of depth, which a
Laplace density teaches (Kendall and Gal; `training.depth_losses.laplace`). The two add up as variances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scene_understanding.models.encoder import Encoder

START_DEPTH = 2.5
"""Metres that an untrained network says, about the mean of a room."""

START_SCALE = 0.2
"""Error in the logarithm of depth that an untrained one says."""


class DepthNetwork(nn.Module):
    """Depth of a colour image.

    Takes color (N, 3, H, W) float32, normalised, of any size. Subclasses set `color`, the encoder, and `decoder`.

    Args:
        dropout: share of the channels of the decoder's first two blocks that are off in training.
        aleatoric: whether it says the scale of its error too, which takes a loss that teaches it.
    """

    color: Encoder
    decoder: DepthDecoder

    def __init__(self, dropout: float, aleatoric: bool = False) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must be at least 0 and below 1")
        self.dropout, self.aleatoric = dropout, aleatoric

    def encode(self, color: Tensor) -> list[Tensor]:
        """Maps at strides 2, 4, 8, 16 and 32."""
        maps, x = [], color
        for i in range(len(self.color.channels)):
            x = self.color.stage(i, x)
            maps.append(x)
        return maps

    def forward(self, color: Tensor, dropout: Tensor | None = None) -> tuple[Tensor, ...]:
        """Depth (N, 1, H, W) and the standard deviation of its passes, metres; third, if `aleatoric`, the deviation
        (N, 1, H, W) of the truth from it that the network expects, metres: sqrt(2) times the scale of its error.

        Args:
            dropout: (S, D) factors of the D = `dropout_channels` channels in S passes over one image (N = 1): depth is
                their mean. None: one pass without dropout, deviation 0; in training one with.
        """
        maps = F.interpolate(self.depth_map(color, dropout), size=color.shape[-2:], mode="bilinear")
        depth = maps[:, :1] if self.aleatoric else maps
        expected = (2 * (depth * maps[:, 1:].exp()).square(),) if self.aleatoric else ()
        if dropout is None:
            return depth, torch.zeros_like(depth), *(variance.sqrt() for variance in expected)
        mean = depth.mean(0, keepdim=True)
        variances = ((depth - mean).square(), *expected)
        return mean, *(variance.mean(0, keepdim=True).sqrt() for variance in variances)

    def depth_map(self, color: Tensor, dropout: Tensor | None = None) -> Tensor:
        """Depth (N or S, 1, h, w) of every pass at the stride of the last map, metres; with a second channel, if
        `aleatoric`: s, the logarithm of the scale of its error in log depth.
        """
        if dropout is None and self.training and self.dropout:
            dropout = self.draw(len(color), color)
        return self.decoder(self.encode(color), color.shape[-2:], dropout)

    def first_stages(self, stages: int) -> list[nn.Module]:
        """The modules of the encoder's first stages, for a training that leaves them as they are."""
        return self.color.first_stages(stages)

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """Starts the encoder from ImageNet weights in torchvision's layout."""
        self.color.load_imagenet(weights)

    @property
    def dropout_channels(self) -> int:
        """D, how many channels dropout can switch off."""
        return sum(self.decoder.dropped)

    def draw(self, passes: int, like: Tensor) -> Tensor:
        """(passes, D) factors: 0 for channels that are off, else what keeps the mean."""
        return F.dropout(torch.ones(passes, self.dropout_channels, dtype=like.dtype, device=like.device), self.dropout)


class UpBlock(nn.Module):
    """Transposed 4x4 convolution of stride 2, BN, ReLU, 3x3 convolution, BN, ReLU; dropout after each BN."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.smooth = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, size: Sequence[int], dropout: Tensor | None = None) -> Tensor:
        """(N, C, H, W) to (N or S, outputs, *size); dropout (S, 2 * outputs)."""
        x = self.norm1(self.up(x))
        if x.shape[-2:] != size:
            x = F.interpolate(x, size=size, mode="bilinear")
        first, second = (None, None) if dropout is None else dropout[..., None, None].chunk(2, dim=1)
        x = self.norm2(self.smooth(F.relu(x if first is None else x * first)))
        return F.relu(x if second is None else x * second)


class DepthDecoder(nn.Module):
    """Blocks d5 to d2, each joined by the encoder's map of its size, d1 or not, and the last convolution.

    Args:
        channels: of the encoder's maps at strides 2 to 32; widths: of the blocks, d5 first.
        finest: stride of the depth, 1 or 2; 2 leaves d1 out.
        aleatoric: whether there is a second map, the logarithm of a scale.
    """

    DROPPED = 2
    """Blocks with dropout, the deepest ones."""

    def __init__(self, channels: Sequence[int], widths: Sequence[int], finest: int, aleatoric: bool = False) -> None:
        super().__init__()
        if finest not in (1, 2):
            raise ValueError(f"finest is {finest}; it can be 1 or 2")
        skips = list(channels[-2::-1])
        wanted = len(skips) + (finest == 1)
        if len(widths) != wanted:
            raise ValueError(f"widths are {list(widths)}; {wanted} blocks need as many")
        joined = [channels[-1], *(width + skip for width, skip in zip(widths, skips, strict=False))]
        self.blocks = nn.ModuleList(UpBlock(inputs, width) for inputs, width in zip(joined, widths, strict=False))
        starts = [math.log(math.expm1(START_DEPTH)), *([math.log(START_SCALE)] if aleatoric else [])]
        self.last = nn.Conv2d(widths[-1] if finest == 1 else joined[-1], len(starts), 3, padding=1)
        nn.init.normal_(self.last.weight, std=0.02)
        with torch.no_grad():
            self.last.bias.copy_(torch.tensor(starts))  # type: ignore[union-attr]
        self.dropped = [2 * width for width in widths[: self.DROPPED]]

    def forward(self, maps: list[Tensor], size: Sequence[int], dropout: Tensor | None) -> Tensor:
        """As `DepthNetwork.depth_map`; maps (N, C, h, w) of the encoder, shallow to deep; size of the image."""
        factors = [] if dropout is None else list(dropout.split(self.dropped, dim=1))
        factors += [None] * (len(self.blocks) - len(factors))
        *skips, x = maps
        for block, factor in zip(self.blocks, factors, strict=True):
            skip = skips.pop() if skips else None
            x = block(x, size if skip is None else skip.shape[-2:], factor)
            if skip is not None:
                x = torch.cat([x, skip.expand(x.shape[0], -1, -1, -1)], dim=1)
        with torch.autocast(x.device.type, enabled=False):  # in BF16 depth would have steps of a centimetre
            x = self.last(x.float())
            if self.last.out_channels == 1:
                return F.softplus(x)
            return torch.cat([F.softplus(x[:, :1]), x[:, 1:]], dim=1)
