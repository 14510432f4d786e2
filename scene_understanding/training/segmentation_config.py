"""What a segmentation training is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scene_understanding.inference.card import InputSpec
from scene_understanding.models.fusenet import FuseNet
from scene_understanding.models.mobile_fusenet import MobileFuseNet
from scene_understanding.training.config import Config


@dataclass(frozen=True, kw_only=True)
class SegmentationConfig(Config):
    """The keys of a segmentation config next to those of `Config`.

    Attributes:
        label_set: name in `scene_understanding.labels` of what is predicted, or "" for the one of the data.
        auxiliary_label_set: a finer label set that a second head learns, "" for none; auxiliary_weight: of its loss.
        void_things: class that thick regions without label are taken for in training, or ""
            (`segmentation_data.mark_things`).
        lovasz: weight of the Lovász-Softmax loss next to cross-entropy; smoothing: of the labels.
        class_weight_power: class weights are median class frequency over each class's own to this power: 1 is the
            paper's, 0 weighs all classes alike; max_class_weight: they lie between it and its inverse.
        depth_mean, depth_std: of the depth input, metres.
    """

    task = "segmentation"
    networks = {"fusenet": FuseNet, "mobile_fusenet": MobileFuseNet}
    score = "miou"
    curves = {"oa": "OA", "ma": "MA", "miou": "mIoU"}
    outputs = ("scores",)
    positive = (*Config.positive, "depth_std", "max_class_weight")
    not_negative = (*Config.not_negative, "auxiliary_weight", "lovasz", "class_weight_power")
    below_one = (*Config.below_one, "smoothing")

    label_set: str
    auxiliary_label_set: str = ""
    auxiliary_weight: float = 0.4
    void_things: str = ""
    lovasz: float = 0.0
    smoothing: float = 0.0
    class_weight_power: float = 0.5
    max_class_weight: float = 4.0
    depth_mean: float = 2.5
    depth_std: float = 1.5

    @property
    def description(self) -> str:
        if self.network == "fusenet":
            return f"FuseNet on VGG16, {self.arguments.get('width', 1.0):g} of its width"
        encoder = {"mobilenet_v2": "MobileNetV2", "resnet18": "ResNet-18"}[
            self.arguments.get("encoder", "mobilenet_v2")
        ]
        fusion = self.arguments.get("fusion", "sum")
        context = ", pyramid context" if self.arguments.get("pyramid") else ""
        return f"FuseNet on board: {encoder} streams, {fusion} fusion{context}, light decoder"

    def input_specs(self, size: Sequence[int]) -> dict[str, InputSpec]:
        more = int(self.arguments.get("depth_channels", 1)) - 1
        depth = InputSpec(
            (1, 1 + more, size[0], size[1]), (self.depth_mean, *[0.0] * more), (self.depth_std, *[1.0] * more),
            ("depth", "valid")[: 1 + more],
        )  # fmt: skip
        return {**super().input_specs(size), "depth": depth}
