"""SnapNet's network (Boulch, Le Saux, Audebert, 3DOR 2017): a U-Net for each picture of a snapshot, and their fusion.

Fusion by residual correction (Audebert, Le Saux, Lefèvre, JURSE 2017): a small network looks at the last maps of the
two streams and corrects the mean of their scores,

    P = (P_1 + P_2) / 2 + C(Z_1, Z_2),

three 3x3 convolutions on the concatenated maps. The paper freezes the streams while C learns. Here all learn at once,
each stream from its own scores and C from the corrected ones, and nothing flows back from C into the streams unless
`joint`: which comes to the same, and takes one training. The authors' code for SnapNet takes the sum of the scores
instead of their mean and has a ReLU on all scores; a ReLU could not correct downwards, so there is none.

Takes pictures (N, 3, H, W) float32, normalised, one for each stream in their order, of any size, and returns class
scores (N, K, H, W) float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scene_understanding.models.encoder import Encoder
from scene_understanding.models.unet import UNet, conv_bn_relu

FUSIONS = ("correction", "average")


class SnapNet(nn.Module):
    """A U-Net for each stream, and one result.

    Args:
        classes: number of scores K.
        streams: names of the pictures; one is a network without fusion.
        encoder, widths: of each `UNet`.
        fusion: "correction", or "average" of the scores, the baseline.
        hidden: channels of the correction.
        joint: what the correction learns reaches the streams too.
        dropout: before the scores of the streams, in training.
        output_stride: 1 for scores of the size of the pictures, 2 for half of it.

    Raises:
        ValueError: a fusion or an encoder that there is not.
    """

    def __init__(
        self, classes: int, streams: Sequence[str] = ("shape", "composite"), encoder: str = "mobilenet_v2",
        widths: Sequence[int] = (128, 96, 64, 64), fusion: str = "correction", hidden: int = 64, joint: bool = False,
        dropout: float = 0.1, output_stride: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        if fusion not in FUSIONS:
            raise ValueError(f"fusion is '{fusion}'; it can be {', '.join(FUSIONS)}")
        self.joint, self.output_stride = joint, output_stride
        networks = {name: UNet(3, encoder, widths) for name in streams}
        width = networks[streams[0]].channels
        self.streams = nn.ModuleDict(networks)
        self.scores = nn.ModuleDict({name: nn.Conv2d(width, classes, 1) for name in streams})
        self.dropout = nn.Dropout2d(dropout)
        self.correction: nn.Module | None = None
        if fusion == "correction" and len(self.streams) > 1:
            self.correction = nn.Sequential(
                *conv_bn_relu(width * len(self.streams), hidden), *conv_bn_relu(hidden, hidden),
                nn.Conv2d(hidden, classes, 3, padding=1),
            )  # fmt: skip

    def forward(self, *pictures: Tensor) -> Tensor:
        size = [(side + self.output_stride - 1) // self.output_stride for side in pictures[0].shape[-2:]]
        return F.interpolate(self.score_maps(*pictures)[0], size=size, mode="bilinear")

    def score_maps(self, *pictures: Tensor) -> tuple[Tensor, ...]:
        """Scores (N, K, h, w) at half the size of the pictures: of all streams together, then of each."""
        maps = [self.dropout(stream(p)) for stream, p in zip(self.streams.values(), pictures, strict=True)]
        alone = [score(x) for score, x in zip(self.scores.values(), maps, strict=True)]
        if len(alone) == 1:
            return alone[0], alone[0]
        together = torch.stack(alone).mean(dim=0)
        if self.correction is not None:
            features = torch.cat(maps, dim=1)
            if not self.joint:
                together, features = together.detach(), features.detach()
            together = together + self.correction(features)
        return together, *alone

    def first_stages(self, stages: int) -> list[nn.Module]:
        """The modules of the first stages of every stream, for a training that leaves them as they are."""
        encoders = [module for module in self.modules() if isinstance(module, Encoder)]
        return [module for encoder in encoders for module in encoder.first_stages(stages)]

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """Starts every stream from ImageNet weights of its encoder in torchvision's layout."""
        for module in self.modules():
            if isinstance(module, Encoder):
                module.load_imagenet(weights)
