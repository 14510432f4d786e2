"""FuseNet on board: the two streams of FuseNet (fusenet.py) with a small encoder and a light decoder.

A stage of MobileNetV2 (Sandler et al., CVPR 2018) ends in a strided convolution and leaves no pooling indices, so the
decoder upsamples bilinearly and adds the fused maps by 1x1 convolutions instead of unpooling with indices.

Takes color (N, 3, H, W) float32 and depth (N, D, H, W) float32, already normalised, of any size, and returns class
scores (N, K, H, W) float32.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scene_understanding.models.encoder import Encoder
from scene_understanding.models.light import Context, Gate, Pyramid, Refine
from scene_understanding.models.mobilenet_v2 import MobileNetV2Stages
from scene_understanding.models.resnet18 import ResNet18Stages

ENCODERS: dict[str, Any] = {"mobilenet_v2": MobileNetV2Stages, "resnet18": ResNet18Stages}
FUSIONS = ("sum", "gated", "color", "depth", "stack", "late")


class MobileFuseNet(nn.Module):
    """Two streams of a small encoder, fused after each stage, and a light decoder.

    Args:
        classes: number of scores K.
        depth_channels: D.
        channels: width of the decoder.
        dropout: before the scores, in training.
        encoder: of each stream, a key of `ENCODERS`.
        fusion: "sum" of the two streams after each stage (FuseNet SF5); "gated": the sum of both after
            squeeze-and-excitation; the baselines of its Table 2: "color" or "depth" alone, "stack" of both as the input
            of one stream, "late" mean of the scores of two separate networks.
        dilated: the last stage at stride 16 instead of 32, its 3x3 convolutions dilated (DeepLab).
        pyramid: context at several scales (`Pyramid`) instead of the global mean alone.
        finest: stride of the last decoder map, 2 or 4; scores are upsampled from there.
        output_stride: 1 for scores of the size of the input, 2 for half of it, which many classes make quicker.
        auxiliary_classes: number of scores of a second head for training on a finer label set, 0 for none.
    """

    def __init__(
        self,
        classes: int,
        depth_channels: int = 1,
        channels: int = 64,
        dropout: float = 0.1,
        encoder: str = "mobilenet_v2",
        fusion: str = "sum",
        dilated: bool = False,
        pyramid: bool = False,
        finest: int = 2,
        output_stride: int = 1,
        auxiliary_classes: int = 0,
    ) -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise ValueError(f"fusion is '{fusion}'; it can be {', '.join(FUSIONS)}")
        if encoder not in ENCODERS:
            raise ValueError(f"encoder is '{encoder}'; it can be {', '.join(ENCODERS)}")
        self.fusion, self.output_stride = fusion, output_stride
        if fusion == "late":
            each = {
                "depth_channels": depth_channels, "channels": channels, "dropout": dropout, "encoder": encoder,
                "dilated": dilated, "pyramid": pyramid, "finest": finest, "output_stride": output_stride,
                "auxiliary_classes": auxiliary_classes,
            }  # fmt: skip
            self.color_network = MobileFuseNet(classes, **each, fusion="color")  # type: ignore[arg-type]
            self.depth_network = MobileFuseNet(classes, **each, fusion="depth")  # type: ignore[arg-type]
            return
        stages, encoded = ENCODERS[encoder], ENCODERS[encoder].channels
        inputs = 3 + (depth_channels if fusion == "stack" else 0)
        self.color: Encoder | None = None if fusion == "depth" else stages(inputs, dilated)
        self.depth: Encoder | None = None if fusion in ("color", "stack") else stages(depth_channels, dilated)
        if fusion == "gated":
            self.color_gates = nn.ModuleList(Gate(c) for c in encoded)
            self.depth_gates = nn.ModuleList(Gate(c) for c in encoded)
        self.top = Pyramid(encoded[-1], channels) if pyramid else Context(encoded[-1], channels)
        self.stages = len(encoded)
        laterals = encoded[-2::-1] if finest == 2 else encoded[-2:0:-1]
        widths = [channels // 2 if finest == 2 and c == len(laterals) - 1 else channels for c in range(len(laterals))]
        self.refine = nn.ModuleList(Refine(c, channels, width) for c, width in zip(laterals, widths, strict=True))
        self.dropout = nn.Dropout2d(dropout)
        self.score = nn.Conv2d(widths[-1], classes, 1)
        if auxiliary_classes:
            self.auxiliary_score = nn.Conv2d(widths[-1], auxiliary_classes, 1)

    def forward(self, color: Tensor, depth: Tensor) -> Tensor:
        if self.fusion == "late":
            return (self.color_network(color, depth) + self.depth_network(color, depth)) / 2
        size = [(side + self.output_stride - 1) // self.output_stride for side in color.shape[-2:]]
        return F.interpolate(self.score(self.features(color, depth)), size=size, mode="bilinear")

    def score_maps(self, color: Tensor, depth: Tensor) -> tuple[Tensor, Tensor | None]:
        """Scores (N, K, h, w) at the stride of the last decoder map, and those of the auxiliary head: for training."""
        if self.fusion == "late":
            (a, aux_a), (b, aux_b) = (net.score_maps(color, depth) for net in (self.color_network, self.depth_network))
            return (a + b) / 2, None if aux_a is None or aux_b is None else (aux_a + aux_b) / 2
        features = self.features(color, depth)
        return self.score(features), self.auxiliary_score(features) if hasattr(self, "auxiliary_score") else None

    def features(self, color: Tensor, depth: Tensor) -> Tensor:
        """The last map of the decoder, (N, C, h, w)."""
        fused = self.encode(color, depth)
        x = self.top(fused.pop())
        for refine in self.refine:
            x = refine(x, fused.pop())
        return self.dropout(x)

    def encode(self, color: Tensor, depth: Tensor) -> list[Tensor]:
        """The fused maps of the stages, shallow to deep."""
        if self.fusion == "stack":
            color = torch.cat([color, depth], dim=1)
        fused: list[Tensor] = []
        for i in range(self.stages):
            if self.color is not None:
                color = self.color.stage(i, color)
            if self.depth is not None:
                depth = self.depth.stage(i, depth)
            if self.fusion == "gated":
                color = self.color_gates[i](color) + self.depth_gates[i](depth)
            elif self.fusion == "sum":
                color = color + depth
            fused.append(depth if self.fusion == "depth" else color)
        return fused

    def first_stages(self, stages: int) -> list[nn.Module]:
        """The modules of the first stages of every stream, for a training that leaves them as they are."""
        found: list[nn.Module] = []
        for module in self.modules():
            if isinstance(module, Encoder):
                found += module.first_stages(stages)
            elif isinstance(module, MobileFuseNet) and module.fusion == "gated":
                found += [*module.color_gates[:stages], *module.depth_gates[:stages]]
        return found

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """Starts every stream from ImageNet weights of its encoder in torchvision's layout."""
        for module in self.modules():
            if isinstance(module, Encoder):
                module.load_imagenet(weights)
