"""What a training of disparity from stereo pairs is made of."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields

from scene_understanding.models.monodepth import Monodepth
from scene_understanding.training.config import Config, TrainingError

UNUSED = ("views", "tour_views", "crop_epochs", "augmentation", "color_mean", "color_std")
"""Keys of `Config` that a training of stereo pairs does not have: images are taken as they are, in 0..1."""


@dataclass(frozen=True, kw_only=True)
class StereoConfig(Config):
    """The keys of a stereo config are those of `Config` but `UNUSED`; the augmentation is that of the paper."""

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
        for key in fields(self):
            if key.name in UNUSED and getattr(self, key.name) != (key.default if key.default is not MISSING else {}):
                raise TrainingError(f"{key.name} means nothing for stereo pairs; leave it out")

    @property
    def description(self) -> str:
        width = self.arguments.get("width", 1.0)
        return f"Left-right consistency: VGG-style, {width:g} of its width, disparity of one image"
