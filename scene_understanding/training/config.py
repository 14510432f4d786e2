"""What every training is made of; `segmentation_config` and the like add what a task has of its own."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from torch import nn

from scene_understanding.inference.card import InputSpec
from scene_understanding.training.augment import Augmentation

SCHEDULES = ("poly", "cosine")
EMBEDDED = "embedded"
DEFOCUS = {"embedded_defocus": "f2_8", "embedded_defocus_f8": "f8"}
"""Views of the embedded world through a lens, and the aperture."""

KINDS: dict[str, tuple[Any, str]] = {
    "str": (str, "text"),
    "int": (int, "a whole number"),
    "float": ((int, float), "a number (with a point: 1.0e-3)"),
    "dict": (dict, "a mapping"),
    "tuple": ((list, tuple), "a list"),
}


class TrainingError(ValueError):
    """A training or export that cannot be done as asked: one line for the user."""


@dataclass(frozen=True, kw_only=True)
class Config(ABC):
    """The keys of every training config.

    Attributes:
        network: key of `networks`; arguments: for its constructor, next to the number of classes.
        train, val: splits of the data as `open_dataset` takes them, or a share of all samples in their order ("0-80%");
            for the embedded world seeds of buildings, first and last ("1000-1179").
        name: of the config, for the card; the name of its file.
        data: dataset as `open_dataset` spells it, without its place where that is the user's: "nyuv2", "embedded"; or
            one of `DEFOCUS`.
        views: the embedded world only: random views of each building; tour_views: "embedded" only: views of a
            robot's tour of each.
        size: (height, width) that samples are resized to, as they are if empty.
        start: ImageNet weights (safetensors, torchvision layout) for all streams, or "" for none.
        init: weights of an earlier run (its best.pt); what has the same name and shape is taken over, or "".
        init_parts: which parts of them, as beginnings of names.
        validate_every: epochs.
        frozen_stages: how many stages of the encoders, the first ones, stay as they start (a third less time a sample).
        epochs; crop_epochs: how many of them, the first ones, take `augmentation.crop` (the others whole images).
        batch; accumulate: how many batches make a step.
        learning_rate: at the end of the warm-up; `encoder_factor` times that for streams that have a start.
        schedule: of the learning rate, "poly" (Chen et al., DeepLab) or "cosine".
        ema: decay of the moving average per step.
        augmentation: what is not as in `Augmentation`.
        attribution: whose work went in, one line each; goes on the card of the model.

    A task's own config sets what belongs to its class:
        task: as on the card; networks: by name; score: the column of log.csv whose largest value makes best.pt;
        curves: the columns that are drawn, with their labels; outputs: names of what the network gives; positive,
        not_negative, below_one: keys by the numbers that they can be.

    Raises:
        TrainingError: a value of another type, or one that cannot be.
    """

    task: ClassVar[str]
    networks: ClassVar[dict[str, type[nn.Module]]]
    score: ClassVar[str]
    curves: ClassVar[dict[str, str]]
    outputs: ClassVar[tuple[str, ...]]
    positive: ClassVar[tuple[str, ...]] = ("learning_rate",)
    not_negative: ClassVar[tuple[str, ...]] = (
        "views", "tour_views", "frozen_stages", "crop_epochs", "encoder_factor", "weight_decay", "warmup_steps", "seed",
    )  # fmt: skip
    below_one: ClassVar[tuple[str, ...]] = ("ema",)

    network: str
    train: str
    val: str
    epochs: int
    arguments: dict[str, Any]
    name: str = ""
    data: str = EMBEDDED
    views: int = 0
    tour_views: int = 0
    size: tuple[int, ...] = ()
    start: str = ""
    init: str = ""
    init_parts: tuple[str, ...] = ("",)
    frozen_stages: int = 0
    crop_epochs: int = 0
    validate_every: int = 1
    batch: int = 8
    accumulate: int = 1
    learning_rate: float = 2e-3
    encoder_factor: float = 0.3
    schedule: str = "poly"
    weight_decay: float = 1e-2
    warmup_steps: int = 200
    ema: float = 0.998
    augmentation: dict[str, Any] = field(default_factory=dict)
    color_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    color_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    seed: int = 0
    attribution: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key in fields(self):
            value = getattr(self, key.name)
            kind, what = KINDS[str(key.type).partition("[")[0]]
            if not isinstance(value, kind) or isinstance(value, bool):
                raise TrainingError(f"{key.name} is {value!r}; expected {what}")
            if isinstance(value, list):
                object.__setattr__(self, key.name, tuple(value))
        for name in ("epochs", "batch", "accumulate", "validate_every"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for names, fits, expected in (
            (self.positive, lambda value: 0 < value < math.inf, "above 0"),
            (self.not_negative, lambda value: 0 <= value < math.inf, "at least 0"),
            (self.below_one, lambda value: 0 <= value < 1, "at least 0 and below 1"),
        ):
            for name in names:
                if not fits(getattr(self, name)):
                    raise TrainingError(f"{name} is {getattr(self, name)}; it must be {expected}")
        for name, choices in (("network", self.networks), ("schedule", SCHEDULES)):
            if getattr(self, name) not in choices:
                raise TrainingError(f"{name} is '{getattr(self, name)}'; it can be {', '.join(choices)}")
        startable = [name for name, network in self.networks.items() if hasattr(network, "load_imagenet")]
        if self.network not in startable and (self.start or self.frozen_stages):
            which = f"are for {', '.join(startable)}" if startable else f"are not for {self.task}"
            raise TrainingError(f"start and frozen_stages {which}; {self.network} starts from nothing")
        for name, kind, counts, expected in (
            ("size", int, (0, 2), "[height, width]"),
            ("color_mean", (int, float), (3,), "three numbers"),
            ("color_std", (int, float), (3,), "three numbers"),
            ("init_parts", str, range(1, 1000), "beginnings of names"),
            ("attribution", str, range(1000), "lines of text"),
        ):
            values = getattr(self, name)
            if len(values) not in counts or not all(isinstance(value, kind) for value in values):
                raise TrainingError(f"{name} is {list(values)}; expected {expected}")
        for name in ("size", "color_std"):
            if not all(0 < value < math.inf for value in getattr(self, name)):
                raise TrainingError(f"{name} is {list(getattr(self, name))}; all must be above 0")
        try:
            self.augmentation_of_samples()
        except (TypeError, ValueError) as error:
            raise TrainingError(f"augmentation: {error}") from error

    @property
    def subcommand(self) -> str:
        """Of `train`; its module has the same name."""
        return self.task

    @property
    @abstractmethod
    def description(self) -> str:
        """Of the network, one line for the card."""

    def augmentation_of_samples(self) -> Augmentation:
        """What training samples go through; ValueError or TypeError where `augmentation` holds what it cannot."""
        return Augmentation(**self.augmentation)

    def input_specs(self, size: Sequence[int]) -> dict[str, InputSpec]:
        """What the network takes for images of `size` (H, W), as its card will say."""
        shape = (1, 3, size[0], size[1])
        return {"color": InputSpec(shape, self.color_mean, self.color_std, ("red", "green", "blue"))}
