"""What a training of depth from one image is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from scene_understanding.models.d3net import D3Net
from scene_understanding.models.mobile_d3net import MobileD3Net
from scene_understanding.training.augment import Augmentation
from scene_understanding.training.config import Config, TrainingError
from scene_understanding.training.depth_losses import ADVERSARIAL, LIKELIHOODS, LOSSES

UNTOUCHED = {"holes": 0, "depth_gain": 0.0, "depth_noise": 0.0}
"""Of the augmentation: depth is what is learnt here, not what is seen."""


@dataclass(frozen=True, kw_only=True)
class DepthConfig(Config):
    """The keys of a depth config next to those of `Config`.

    Attributes:
        losses: weights by name of `depth_losses.LOSSES` and `LIKELIHOODS`; the latter go with the argument `aleatoric`
            of the network; "lsgan" brings the discriminator.
        focal_length: pixels at the size of the samples: depth of other cameras is scaled to that of this one.
        smallest, largest: metres between which depth counts, in training and validation.
        crop: "eigen" to validate on the part of NYUv2's images that all papers do, "" for all pixels.
        discriminator_rate: learning rate of the discriminator (Adam, betas 0.5 and 0.999).
    """

    task = "depth"
    networks = {"d3net": D3Net, "mobile_d3net": MobileD3Net}
    score = "d1"
    curves = {"rel": "rel", "d1": "delta 1", "d2": "delta 2"}
    outputs = ("depth", "std")
    positive = (*Config.positive, "focal_length", "smallest", "largest", "discriminator_rate")

    losses: dict[str, float] = field(default_factory=lambda: {"l1": 1.0})
    focal_length: float
    smallest: float = 1e-3
    largest: float = 10.0
    crop: str = ""
    discriminator_rate: float = 2e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, weight in self.losses.items():
            if name not in (known := (*LOSSES, *LIKELIHOODS, ADVERSARIAL)):
                raise TrainingError(f"losses has '{name}'; it can have {', '.join(known)}")
            if not isinstance(weight, (int, float)) or isinstance(weight, bool) or not weight > 0:
                raise TrainingError(f"losses: the weight of {name} is {weight!r}; it must be a number above 0")
        if not set(self.losses) & {*LOSSES, *LIKELIHOODS}:
            raise TrainingError("losses has none that compares depth with its truth")
        if bool(self.arguments.get("aleatoric")) != bool(set(self.losses) & set(LIKELIHOODS)):
            names = " or ".join(LIKELIHOODS)
            raise TrainingError(f"losses with {names} and arguments with aleatoric: true need each other")
        if self.smallest >= self.largest:
            raise TrainingError(f"smallest is {self.smallest}, largest {self.largest}; nothing lies between")
        if self.crop not in ("", "eigen"):
            raise TrainingError(f"crop is '{self.crop}'; it can be eigen, or '' for all pixels")

    @property
    def description(self) -> str:
        name = {"d3net": "D3-Net on DenseNet", "mobile_d3net": "D3-Net on board: MobileNetV2"}[self.network]
        lens = ", from the defocus of one lens, which no other replaces" if "dfd" in self.data else ""
        return f"{name}, transposed-convolution decoder, metric depth of one image{lens}"

    def augmentation_of_samples(self) -> Augmentation:
        if touched := set(self.augmentation) & set(UNTOUCHED):
            raise ValueError(f"{', '.join(sorted(touched))} would change the depth that is learnt")
        return Augmentation(**{**self.augmentation, **UNTOUCHED})
