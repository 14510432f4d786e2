"""What a training of SnapNet is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from scene_understanding.inference.card import InputSpec
from scene_understanding.models.snapnet import SnapNet
from scene_understanding.perception.snapnet import SnapNetParameters
from scene_understanding.perception.snapshots import CHANNELS
from scene_understanding.training.config import Config, TrainingError

Range = tuple[float, float]


@dataclass(frozen=True)
class CloudAugmentation:
    """What training clouds and their snapshots go through.

    Attributes:
        variants: of every cloud that are made once: as it is, then thinned, scaled, turned and voxelised anew.
        keep: range of the share of points that a variant keeps: how dense it is.
        scale: range of the factor of a variant's size.
        distance: range of the factor of a snapshot's distance.
        mirror: share of snapshots that are mirrored.

    Raises:
        ValueError: a range that is none, or a share or number that cannot be.
    """

    variants: int = 3
    keep: Range = (0.5, 1.0)
    scale: Range = (0.9, 1.1)
    distance: Range = (0.8, 1.25)
    mirror: float = 0.5

    def __post_init__(self) -> None:
        for name in ("keep", "scale", "distance"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} is [{low}, {high}]; expected [low, high] with 0 < low <= high")
        if self.keep[1] > 1:
            raise ValueError(f"keep is {list(self.keep)}; a share is at most 1")
        if self.variants < 1:
            raise ValueError(f"variants is {self.variants}; it must be at least 1")
        if not 0 <= self.mirror <= 1:
            raise ValueError(f"mirror is {self.mirror}; it is a share, 0 to 1")


@dataclass(frozen=True, kw_only=True)
class CloudConfig(Config):
    """The keys of a config for clouds: those of `Config` but `views`, `tour_views`, `crop_epochs`, `size`, and these.

    Attributes:
        label_set: of the clouds.
        snapnet: geometry of the snapshots, what is not as in `SnapNetParameters`; goes on the model's card.
        snapshots: that an epoch trains on; val_snapshots: of every cloud that is validated on.
        rare: share of training snapshots whose target is of a class drawn from all alike; the others look at any voxel.
        expert_weight: of the loss of each stream's own scores.
        lovasz, smoothing, class_weight_power, max_class_weight: as in `SegmentationConfig`.
    """

    task = "cloud_segmentation"
    networks = {"snapnet": SnapNet}
    score = "miou"
    curves = {"oa": "OA", "ma": "MA", "miou": "mIoU", "average_miou": "mIoU of the average"}
    outputs = ("scores",)
    positive = (*Config.positive, "max_class_weight", "snapshots", "val_snapshots")
    not_negative = (*Config.not_negative, "lovasz", "class_weight_power", "expert_weight")
    below_one = (*Config.below_one, "smoothing")

    label_set: str
    snapnet: dict[str, Any] = field(default_factory=dict)
    snapshots: int = 1600
    val_snapshots: int = 60
    rare: float = 0.5
    expert_weight: float = 1.0
    lovasz: float = 0.0
    smoothing: float = 0.0
    class_weight_power: float = 0.5
    max_class_weight: float = 4.0

    def __post_init__(self) -> None:
        try:
            size = (self.parameters.size,) * 2
        except (TypeError, ValueError) as error:
            raise TrainingError(f"snapnet: {error}") from error
        if tuple(self.size) not in ((), size):
            raise TrainingError(f"size is {list(self.size)}; snapshots have that of snapnet.size: leave it out")
        object.__setattr__(self, "size", size)
        super().__post_init__()
        for name in ("views", "tour_views", "crop_epochs"):
            if getattr(self, name):
                raise TrainingError(f"{name} means nothing for clouds; leave it out")
        if not 0 <= self.rare <= 1:
            raise TrainingError(f"rare is {self.rare}; it is a share, 0 to 1")
        if unknown := [name for name in self.streams if name not in CHANNELS]:
            raise TrainingError(f"streams has '{unknown[0]}'; pictures of a snapshot are {', '.join(CHANNELS)}")

    @property
    def subcommand(self) -> str:
        return "clouds"

    @property
    def parameters(self) -> SnapNetParameters:
        """The geometry of the snapshots; ValueError or TypeError where `snapnet` holds what it cannot."""
        return SnapNetParameters(**_with_tuples(self.snapnet))

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the pictures that the network takes."""
        return tuple(self.arguments.get("streams", ("shape", "composite")))

    @property
    def description(self) -> str:
        encoder = {"mobilenet_v2": "MobileNetV2", "resnet18": "ResNet-18"}[
            self.arguments.get("encoder", "mobilenet_v2")
        ]
        fusion = {"correction": "residual correction", "average": "mean of scores"}[
            self.arguments.get("fusion", "correction")
        ]
        streams = " and ".join(self.streams)
        return f"SnapNet: U-Nets on {encoder} for {streams}{f', {fusion}' if len(self.streams) > 1 else ''}"

    def augmentation_of_samples(self) -> Any:
        return CloudAugmentation(**_with_tuples(self.augmentation))

    def input_specs(self, size: Sequence[int]) -> dict[str, InputSpec]:
        shape = (1, 3, size[0], size[1])
        return {name: InputSpec(shape, self.color_mean, self.color_std, CHANNELS[name]) for name in self.streams}


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    """The values with tuples for the lists that YAML gives."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
