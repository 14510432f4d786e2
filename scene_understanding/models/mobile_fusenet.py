"""FuseNet on board: the two streams of FuseNet (fusenet.py) with stages of MobileNetV2 and a light decoder.

A stage of MobileNetV2 (Sandler et al., CVPR 2018) ends in a strided convolution and leaves no pooling indices, so the
decoder upsamples bilinearly and adds the fused maps by 1x1 convolutions instead of unpooling with indices.

Takes color (N, 3, H, W) float32 and depth (N, D, H, W) float32, already normalised, of any size, and returns class
scores (N, K, H, W) float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scene_understanding.models.light import Context, Gate, Pyramid, Refine
from scene_understanding.models.mobilenet_v2 import CHANNELS, STAGES, MobileNetV2Stages

FUSIONS = ("sum", "gated", "color", "depth", "stack", "late")


class MobileFuseNet(nn.Module):
    """Two-stream MobileNetV2 fused after each stage, and a light decoder.

    Args:
        classes: number of scores K.
        depth_channels: D.
        channels: width of the decoder.
        dropout: before the scores, in training.
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
        self.fusion, self.output_stride = fusion, output_stride
        if fusion == "late":
            each = {
                "depth_channels": depth_channels, "channels": channels, "dropout": dropout, "dilated": dilated,
                "pyramid": pyramid, "finest": finest, "output_stride": output_stride,
                "auxiliary_classes": auxiliary_classes,
            }  # fmt: skip
            self.color_network = MobileFuseNet(classes, **each, fusion="color")  # type: ignore[arg-type]
            self.depth_network = MobileFuseNet(classes, **each, fusion="depth")  # type: ignore[arg-type]
            return
        inputs = 3 + (depth_channels if fusion == "stack" else 0)
        self.color = None if fusion == "depth" else MobileNetV2Stages(inputs, dilated)
        self.depth = None if fusion in ("color", "stack") else MobileNetV2Stages(depth_channels, dilated)
        if fusion == "gated":
            self.color_gates = nn.ModuleList(Gate(c) for c in CHANNELS)
            self.depth_gates = nn.ModuleList(Gate(c) for c in CHANNELS)
        self.top = Pyramid(CHANNELS[-1], channels) if pyramid else Context(CHANNELS[-1], channels)
        steps = 4 if finest == 2 else 3
        widths = (channels, channels, channels, channels // 2)
        self.refine = nn.ModuleList(Refine(CHANNELS[3 - i], channels, widths[i]) for i in range(steps))
        self.dropout = nn.Dropout2d(dropout)
        self.score = nn.Conv2d(widths[steps - 1], classes, 1)
        if auxiliary_classes:
            self.auxiliary_score = nn.Conv2d(widths[steps - 1], auxiliary_classes, 1)

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
        """The fused maps of the five stages, shallow to deep."""
        if self.fusion == "stack":
            color = torch.cat([color, depth], dim=1)
        fused: list[Tensor] = []
        for i in range(5):
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
            if isinstance(module, MobileNetV2Stages):
                found += module.features[: STAGES[stages - 1][1]] if stages else []
            elif isinstance(module, MobileFuseNet) and module.fusion == "gated":
                found += [*module.color_gates[:stages], *module.depth_gates[:stages]]
        return found

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """Starts every stream from ImageNet weights of MobileNetV2 in torchvision's layout."""
        for module in self.modules():
            if isinstance(module, MobileNetV2Stages):
                module.load_imagenet(weights)
