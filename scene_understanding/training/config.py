"""What a training is made of, read from YAML, and the network that it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from scene_understanding.inference.card import InputSpec
from scene_understanding.models.fusenet import FuseNet
from scene_understanding.models.mobile_fusenet import MobileFuseNet
from scene_understanding.training.augment import Augmentation

NETWORKS = {"fusenet": FuseNet, "mobile_fusenet": MobileFuseNet}


@dataclass(frozen=True)
class Config:
    """The keys of a training config.

    Attributes:
        network: key of `NETWORKS`; arguments: for its constructor, next to the number of classes.
        label_set: name in `scene_understanding.labels` of what is predicted.
        data: dataset as `datasets.open` spells it, without its place where that is the user's: "nyuv2", "embedded".
        train, val: splits of it; for "embedded" seeds of buildings, first and last ("1000-1179").
        views: "embedded" only: random views of each building; tour_views: views of a robot's tour of each.
        auxiliary_label_set: a finer label set that a second head learns, "" for none; auxiliary_weight: of its loss.
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
        lovasz: weight of the Lovász-Softmax loss next to cross-entropy; smoothing: of the labels.
        max_class_weight: class weights lie between it and its inverse; 1 weighs all classes alike.
        ema: decay of the moving average per step.
        augmentation: what is not as in `Augmentation`.
        attribution: whose work went in, one line each; goes on the card of the model.
    """

    network: str
    label_set: str
    train: str
    val: str
    epochs: int
    arguments: dict[str, Any]
    data: str = "embedded"
    views: int = 0
    tour_views: int = 0
    size: tuple[int, ...] = ()
    auxiliary_label_set: str = ""
    auxiliary_weight: float = 0.4
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
    lovasz: float = 0.0
    smoothing: float = 0.0
    ema: float = 0.998
    max_class_weight: float = 4.0
    augmentation: dict[str, Any] = field(default_factory=dict)
    color_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    color_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    depth_mean: float = 2.5
    depth_std: float = 1.5
    seed: int = 0
    attribution: tuple[str, ...] = ()


def load_config(path: Path) -> Config:
    """Raises ValueError with one line where the file is not a training config."""
    try:
        config = Config(**yaml.safe_load(path.read_text()))
        Augmentation(**config.augmentation)
        object.__setattr__(config, "init_parts", tuple(config.init_parts))
    except (OSError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"training config {path}: {' '.join(str(error).split())}") from error
    return config


def input_specs(config: Config, size: tuple[int, ...]) -> dict[str, InputSpec]:
    """What the network takes for images of `size` (H, W), as its card will say."""
    more = int(config.arguments.get("depth_channels", 1)) - 1
    return {
        "color": InputSpec((1, 3, size[0], size[1]), config.color_mean, config.color_std, ("red", "green", "blue")),
        "depth": InputSpec(
            (1, 1 + more, size[0], size[1]), (config.depth_mean, *[0.0] * more), (config.depth_std, *[1.0] * more),
            ("depth", "valid")[: 1 + more],
        ),
    }  # fmt: skip


def build(config: Config, classes: int, auxiliary_classes: int = 0) -> nn.Module:
    """The network with its starting weights.

    Raises:
        ValueError: weights of an earlier run that have nothing in common with this network.
    """
    more = {"auxiliary_classes": auxiliary_classes} if auxiliary_classes else {}
    network: nn.Module = NETWORKS[config.network](classes, **config.arguments, **more)
    if config.start:
        from safetensors.torch import load_file

        network.load_imagenet(load_file(config.start))  # type: ignore[operator]
    if config.init:
        own, earlier = network.state_dict(), torch.load(config.init, weights_only=True)
        taken = {
            name: tensor for name, tensor in earlier.items()
            if name in own and tensor.shape == own[name].shape and name.startswith(config.init_parts)
        }  # fmt: skip
        if not taken:
            raise ValueError(f"init: {config.init} has no weights of {config.network} with {config.arguments}")
        network.load_state_dict(taken, strict=False)
    return network
