"""What a training of disparity from stereo pairs is made of."""

from __future__ import annotations

from dataclasses import dataclass

from scene_understanding.models.monodepth import Monodepth
from scene_understanding.training.config import Config, TrainingError


@dataclass(frozen=True, kw_only=True)
class StereoConfig(Config):
    """The keys of a stereo config are those of `Config`; `augmentation` has none, since it is that of the paper."""

    task = "stereo"
    networks = {"monodepth": Monodepth}
    score = "good"
    curves = {"good": "good", "bad": "bad (D1)"}
    outputs = ("disparity",)

    color_mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    color_std: tuple[float, float, float] = (255.0, 255.0, 255.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.size) != 2:
            raise TrainingError("size is missing; pairs are brought to [height, width]")
        if self.augmentation:
            raise TrainingError("augmentation: that of stereo pairs has no keys")

    @property
    def description(self) -> str:
        width = self.arguments.get("width", 1.0)
        return f"Left-right consistency: VGG-style, {width:g} of its width, disparity of one image"
