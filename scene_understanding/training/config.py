"""What a training is made of, read from YAML, and the network that it says."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from scene_understanding.datasets.folder import write_label_set
from scene_understanding.inference.card import InputSpec
from scene_understanding.labels import load_label_set
from scene_understanding.models.encoder import Encoder
from scene_understanding.models.fusenet import FuseNet
from scene_understanding.models.mobile_fusenet import MobileFuseNet
from scene_understanding.training.augment import Augmentation
from scene_understanding.training.records import replace_file

NETWORKS = {"fusenet": FuseNet, "mobile_fusenet": MobileFuseNet}
SCHEDULES = ("poly", "cosine")
EMBEDDED = "embedded"
CONFIG, LABELS = "config.yaml", "labels.yaml"
"""What a run's folder keeps of how it was started."""

KINDS: dict[str, tuple[Any, str]] = {
    "str": (str, "text"),
    "int": (int, "a whole number"),
    "float": ((int, float), "a number (with a point: 1.0e-3)"),
    "dict": (dict, "a mapping"),
    "tuple": ((list, tuple), "a list"),
}
FREE = ("name", "data", "label_set", "attribution")
"""Keys that may differ when a run goes on: where things lie, and what only the card says."""

STARTS = ("start", "init")
"""Keys whose files may lie elsewhere when a run goes on; whether there is one may not change."""

POSITIVE = ("learning_rate", "depth_std", "max_class_weight")
NOT_NEGATIVE = (
    "views", "tour_views", "auxiliary_weight", "frozen_stages", "crop_epochs", "encoder_factor", "weight_decay",
    "warmup_steps", "lovasz", "class_weight_power", "seed",
)  # fmt: skip
BELOW_ONE = ("smoothing", "ema")
"""Keys by the numbers that they can be."""


class TrainingError(ValueError):
    """A training or export that cannot be done as asked: one line for the user."""


@dataclass(frozen=True)
class Config:
    """The keys of a training config.

    Attributes:
        network: key of `NETWORKS`; arguments: for its constructor, next to the number of classes.
        label_set: name in `scene_understanding.labels` of what is predicted, or "" for the one of the data.
        train, val: splits of the data as `open_dataset` takes them, or a share of all samples in their order ("0-80%");
            for "embedded" seeds of buildings, first and last ("1000-1179").
        name: of the config, for the card; the name of its file.
        data: dataset as `open_dataset` spells it, without its place where that is the user's: "nyuv2", "embedded".
        views: "embedded" only: random views of each building; tour_views: views of a robot's tour of each.
        auxiliary_label_set: a finer label set that a second head learns, "" for none; auxiliary_weight: of its loss.
        void_things: class that thick regions without label are taken for in training (`data.mark_things`), or "".
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
        class_weight_power: class weights are median class frequency over each class's own to this power: 1 is the
            paper's, 0 weighs all classes alike; max_class_weight: they lie between it and its inverse.
        ema: decay of the moving average per step.
        augmentation: what is not as in `Augmentation`.
        attribution: whose work went in, one line each; goes on the card of the model.

    Raises:
        TrainingError: a value of another type, or one that cannot be.
    """

    network: str
    label_set: str
    train: str
    val: str
    epochs: int
    arguments: dict[str, Any]
    name: str = ""
    data: str = EMBEDDED
    views: int = 0
    tour_views: int = 0
    size: tuple[int, ...] = ()
    auxiliary_label_set: str = ""
    auxiliary_weight: float = 0.4
    void_things: str = ""
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
    class_weight_power: float = 0.5
    max_class_weight: float = 4.0
    augmentation: dict[str, Any] = field(default_factory=dict)
    color_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    color_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    depth_mean: float = 2.5
    depth_std: float = 1.5
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
            (POSITIVE, lambda value: 0 < value < math.inf, "above 0"),
            (NOT_NEGATIVE, lambda value: 0 <= value < math.inf, "at least 0"),
            (BELOW_ONE, lambda value: 0 <= value < 1, "at least 0 and below 1"),
        ):
            for name in names:
                if not fits(getattr(self, name)):
                    raise TrainingError(f"{name} is {getattr(self, name)}; it must be {expected}")
        for name, choices in (("network", NETWORKS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in choices:
                raise TrainingError(f"{name} is '{getattr(self, name)}'; it can be {', '.join(choices)}")
        if self.network == "fusenet" and (self.start or self.frozen_stages):
            raise TrainingError("start and frozen_stages are for mobile_fusenet; fusenet starts from nothing")
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
            Augmentation(**self.augmentation)
        except (TypeError, ValueError) as error:
            raise TrainingError(f"augmentation: {error}") from error


def load_config(path: Path) -> Config:
    """A training config; its name is the file's unless it says one.

    Raises:
        TrainingError: the file cannot be read or is not a training config.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        return Config(**{"name": path.stem, **content})
    except (OSError, TypeError, TrainingError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"training config {path}: {' '.join(str(error).split())}") from error


def presets() -> Path:
    """Folder of the configs that are shipped: package data (pip), the repository root, or an ament prefix (colcon)."""
    package = Path(__file__).resolve().parents[1]
    folders = [package / "config/training", package.parent / "config/training"]
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        folders.append(Path(prefix) / "share/scene_understanding/config/training")
    for folder in folders:
        if folder.is_dir():
            return folder
    raise TrainingError(f"no training configs in any of: {', '.join(map(str, folders))}")


def find_config(name_or_path: str) -> Config:
    """A config by the path of its file, or a shipped one by name.

    Raises:
        TrainingError: neither, not a training config, or one whose `crop` and `crop_epochs` do not go together.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return _with_sensible_crop(load_config(path))
    shipped = {preset.stem: preset for preset in sorted(presets().glob("*.yaml"))}
    if name_or_path not in shipped:
        raise TrainingError(f"no training config '{name_or_path}'; shipped are {', '.join(shipped)}; or give a file")
    return _with_sensible_crop(load_config(shipped[name_or_path]))


def _with_sensible_crop(config: Config) -> Config:
    """The config; not in `Config` itself, since a shortened run may be without crops."""
    if config.augmentation.get("crop") and not config.crop_epochs:
        raise TrainingError(f"training config {config.name}: crop is never taken; crop_epochs says in how many epochs")
    if config.crop_epochs > config.epochs:
        raise TrainingError(
            f"training config {config.name}: crop_epochs is {config.crop_epochs}, of {config.epochs} epochs"
        )
    return config


def with_epochs(config: Config, epochs: int) -> Config:
    """The config with so many epochs, as large a part of them with crops; whole images stay at the end."""
    return replace(config, epochs=epochs, crop_epochs=max(0, config.crop_epochs * epochs // config.epochs))


def check_config(config: Config, folder: Path) -> None:
    """Raises TrainingError where the run in the folder was started with another config; none there is well."""
    if not (folder / CONFIG).exists():
        return
    earlier = read_run_config(folder)
    was, now = plain(earlier), plain(config)
    changed = [
        f"{key} was {was[key]!r}, is {now[key]!r}" for key in was
        if was[key] != now[key] and key not in FREE and not (key in STARTS and was[key] and now[key])
    ]  # fmt: skip
    if load_label_set(config.label_set).names != load_label_set(earlier.label_set).names:
        changed.append("label_set has other classes")
    if changed:
        raise TrainingError(f"{folder} was started with another config: {', '.join(changed)}; choose another --out")


def write_config(config: Config, folder: Path) -> None:
    """Keeps the config of a run in its folder, with the label set where that is a file of the user's.

    Raises:
        TrainingError: the run was started with another config.
    """
    check_config(config, folder)
    if (folder / CONFIG).exists():
        return
    if config.label_set.endswith((".yaml", ".yml")):
        write_label_set(folder / LABELS, load_label_set(config.label_set))
        config = replace(config, label_set=LABELS)
    text = yaml.safe_dump(plain(config), sort_keys=False, default_flow_style=None, width=120)
    replace_file(folder / CONFIG, lambda file: file.write(text.encode()))


def plain(config: Config) -> dict[str, Any]:
    """The keys with values as YAML and JSON give them: lists, no tuples."""
    content: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return content


def read_run_config(folder: Path) -> Config:
    """As `write_config` wrote it; a label set of the user's is the copy in the folder.

    Raises:
        TrainingError: as `load_config`.
    """
    config = load_config(folder / CONFIG)
    return replace(config, label_set=str(folder / LABELS)) if config.label_set == LABELS else config


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
        TrainingError: arguments that the network does not take, starting weights that are missing or fit nothing.
    """
    check_starts(config)
    more = {"auxiliary_classes": auxiliary_classes} if auxiliary_classes else {}
    try:
        network: nn.Module = NETWORKS[config.network](classes, **config.arguments, **more)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"arguments of {config.network}: {error}") from error
    if config.frozen_stages:
        stages = min(len(module.channels) for module in network.modules() if isinstance(module, Encoder))
        if config.frozen_stages > stages:
            raise TrainingError(f"frozen_stages is {config.frozen_stages}; the encoder has {stages} stages")
    if config.start:
        try:
            network.load_imagenet(_weights("start", config.start))  # type: ignore[operator]
        except (KeyError, RuntimeError, ValueError) as error:
            raise TrainingError(f"start: {config.start} does not fit {config.network}: {short(error)}") from error
    if config.init:
        own, earlier = network.state_dict(), _weights("init", config.init)
        taken = {
            name: tensor for name, tensor in earlier.items()
            if name in own and tensor.shape == own[name].shape and name.startswith(config.init_parts)
        }  # fmt: skip
        if not taken:
            raise TrainingError(f"init: {config.init} has no weights of {config.network} with {config.arguments}")
        network.load_state_dict(taken, strict=False)
    return network


def check_starts(config: Config) -> None:
    """Raises TrainingError where a file with starting weights is missing."""
    for key, file in (("start", config.start), ("init", config.init)):
        if file and not Path(file).expanduser().is_file():
            raise TrainingError(f"{key}: the starting weights {file} are missing; say where they are with --{key} FILE")


def _weights(key: str, file: str) -> dict[str, Tensor]:
    """Tensors by name of a starting file; errors begin with the key that names it."""
    try:
        return read_state(Path(file).expanduser())
    except TrainingError as error:
        raise TrainingError(f"{key}: {error}") from error


def read_state(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What a .safetensors file holds, or a state that torch saved.

    Raises:
        TrainingError: it is damaged, or something else.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # both raise types of their own, some of them without a name in public
        raise TrainingError(f"{path} cannot be read as weights: {short(error)}") from error
    if not isinstance(state, dict):
        raise TrainingError(f"{path} cannot be read as weights: it holds a {type(state).__name__}")
    return state


def short(error: Exception) -> str:
    """The first line, which names what is wrong; torch adds advice for programmers."""
    return f"{type(error).__name__}: {error}".strip().partition("\n")[0][:200]
