"""What a training of keypoints is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from scene_understanding.models.openpose import LightweightOpenPose, OpenPose
from scene_understanding.training.config import Config, TrainingError
from scene_understanding.training.keypoint_augment import KeypointAugmentation

DESCRIPTIONS = {
    "openpose": "OpenPose: VGG19 head, part affinity fields",
    "lightweight_openpose": "Lightweight OpenPose: MobileNetV1, dilated, part affinity fields",
}


@dataclass(frozen=True, kw_only=True)
class KeypointConfig(Config):
    """The keys of a keypoint config are those of `Config` but `tour_views` and `crop_epochs`, and these.

    Attributes:
        repeats: how often an epoch goes through the samples, each time augmented anew.
        beside: views of the embedded world, as "1000-1199", that are mixed with samples of other data, as many of them;
            or "". How many of each building says `views`.
        size: (height, width) of the exported network's input, and of validation; images keep their aspect.
    """

    task = "keypoints"
    networks = {"lightweight_openpose": LightweightOpenPose, "openpose": OpenPose}
    score = "pck"
    curves = {"pck": "PCK@0.2", "oks_ap": "OKS-AP"}
    outputs = ("heat_maps", "fields")
    positive: ClassVar[tuple[str, ...]] = (*Config.positive, "repeats")

    repeats: int = 1
    beside: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.size) != 2 or any(side % 8 for side in self.size):
            raise TrainingError(f"size is {list(self.size)}; expected [height, width], multiples of 8")
        for name in ("tour_views", "crop_epochs"):
            if getattr(self, name):
                raise TrainingError(f"{name} means nothing for keypoints; leave it out")
        if not self.views and (self.beside or self.data == "embedded"):
            raise TrainingError(
                "views is 0; the embedded world has nothing to show then (openpose_embedded is its config)"
            )

    @property
    def description(self) -> str:
        return DESCRIPTIONS[self.network]

    def augmentation_of_samples(self) -> Any:
        return KeypointAugmentation(**self.augmentation)
