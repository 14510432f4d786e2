"""`model.yaml`: what a network is, what it takes and gives, and where it came from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml


class ModelError(ValueError):
    """A model that cannot be found, read or run; the message says what would be right."""


@dataclass(frozen=True)
class InputSpec:
    """One input of a network, NCHW float32.

    Attributes:
        shape: (N, C, H, W).
        mean, std: of each channel, in the unit of the channel: 0..255 for color (RGB), metres for depth.
        channels: what the channels are: [red, green, blue], or [depth] or [depth, valid] for a depth image, where
            unknown depth is 0 after normalisation and valid is 1 where depth is known.
    """

    shape: tuple[int, int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: tuple[str, ...]


@dataclass(frozen=True)
class DropoutSpec:
    """What a network for Monte Carlo dropout takes as its input `dropout`, (passes, channels) float32 factors.

    Attributes:
        channels: how many channels each pass can switch off.
        rate: share of them that is off: a factor is 0 with this probability, else 1 / (1 - rate).
    """

    channels: int
    rate: float


@dataclass(frozen=True)
class ModelCard:
    """Attributes as in `docs/models.md`; `folder` is where the card was read.

    `label_set` is empty and `focal_length` is 0 where the task has none; `dropout` is None without that input.
    `snapnet` holds the fields of `perception.snapnet.SnapNetParameters`, of networks for clouds.
    """

    name: str
    task: str
    file: str
    sha256: str
    inputs: dict[str, InputSpec]
    outputs: dict[str, tuple[int, ...]]
    label_set: str = ""
    focal_length: float = 0.0
    dropout: DropoutSpec | None = None
    snapnet: dict[str, Any] = field(default_factory=dict)
    optional_inputs: tuple[str, ...] = ()
    unscored: tuple[int, ...] = ()
    description: str = ""
    architecture: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    twins: dict[str, str] = field(default_factory=dict)
    attribution: tuple[str, ...] = ()
    folder: Path = Path()

    @property
    def path(self) -> Path:
        return self.folder / self.file


def read_card(folder: str | Path) -> ModelCard:
    """Reads `folder/model.yaml` and checks that the network file is the one the card speaks of.

    Raises:
        ModelError: no card, a card with missing or unknown keys, no network file, or another file than the card's.
    """
    folder = Path(folder)
    path = folder / "model.yaml"
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ModelError(f"no model in {folder}: model.yaml is missing") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    card = _card(content, path)
    if not card.path.is_file():
        raise ModelError(f"network file {card.path} named by {path} is missing")
    found = hashlib.sha256(card.path.read_bytes()).hexdigest()
    if found != card.sha256:
        raise ModelError(f"{card.path} is not the file of its card: sha256 {found[:12]}..., card {card.sha256[:12]}...")
    return card


def record_metrics(card: ModelCard, name: str, figures: Mapping[str, Any]) -> None:
    """Sets `metrics.NAME` in the card's model.yaml; the rest of its content stays, comments do not.

    Raises:
        OSError: the file cannot be written.
    """
    path = card.folder / "model.yaml"
    content = yaml.safe_load(path.read_text("utf-8"))
    content["metrics"] = {**(content.get("metrics") or {}), name: dict(figures)}
    part = path.with_name(f"{path.name}.part")
    part.write_text(yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True), "utf-8")
    part.replace(path)


LISTS = ("optional_inputs", "unscored", "attribution")
MAPPINGS = ("snapnet", "architecture", "training", "metrics", "twins")
NEEDED = {"name", "task", "file", "sha256", "inputs", "outputs"}
NEEDED_BY_TASK = {
    "segmentation": {"label_set"}, "cloud_segmentation": {"label_set", "snapnet"}, "depth": {"focal_length"},
}  # fmt: skip


def _card(content: Any, path: Path) -> ModelCard:
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a mapping of model keys")
    known = {f.name for f in fields(ModelCard)} - {"folder"}
    if missing := NEEDED - content.keys():
        raise ModelError(f"{path} lacks {', '.join(sorted(missing))}")
    if unknown := content.keys() - known:
        raise ModelError(f"{path} has unknown keys {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
    for key in ("name", "task", "file", "sha256", "label_set"):
        if not isinstance(content.get(key, ""), str):
            raise ModelError(f"{path}: {key} is {content[key]!r}; expected text")
    if missing := {key for key in NEEDED_BY_TASK.get(content["task"], ()) if content.get(key, "") == ""}:
        raise ModelError(f"{path} lacks {', '.join(sorted(missing))}, which {content['task']} needs")
    try:
        inputs = {
            name: InputSpec(*(tuple(spec[key]) for key in ("shape", "mean", "std", "channels")))
            for name, spec in content["inputs"].items()
        }
        outputs = {name: tuple(shape) for name, shape in content["outputs"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: inputs need shape, mean, std and channels, outputs a shape each ({error})"
        ) from error
    values = {**content, "inputs": inputs, "outputs": outputs, "folder": path.parent}
    if content.get("label_set", "").endswith((".yaml", ".yml")):
        values["label_set"] = str(path.parent / content["label_set"])
    if "focal_length" in content:
        values["focal_length"] = _focal_length(content["focal_length"], path)
    values["dropout"] = _dropout(content["dropout"], path) if "dropout" in content else None
    for keys, kind, what in ((LISTS, list, "a list"), (MAPPINGS, dict, "a mapping")):
        for key in keys:
            values[key] = content.get(key) or kind()
            if not isinstance(values[key], kind):
                raise ModelError(f"{path}: {key} is {values[key]!r}; expected {what}")
    values |= {key: tuple(values[key]) for key in LISTS}
    if not all(isinstance(part, dict) for part in values["metrics"].values()):
        raise ModelError(f"{path}: metrics holds a mapping of figures for each evaluation, such as val")
    if not all(isinstance(class_id, int) for class_id in values["unscored"]):
        raise ModelError(f"{path}: unscored is {list(values['unscored'])}; expected class ids")
    if not all(isinstance(text, str) for twin in values["twins"].items() for text in twin):
        raise ModelError(f"{path}: twins is {values['twins']}; expected names of models, such as f8: d3net_dfd_f8")
    for name, spec in inputs.items():
        _check_input(name, spec, path)
    return ModelCard(**values)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _focal_length(value: Any, path: Path) -> float:
    if not _number(value) or value <= 0:
        raise ModelError(f"{path}: focal_length is {value!r}; expected pixels above 0, at the size of the input")
    return float(value)


def _dropout(value: Any, path: Path) -> DropoutSpec:
    keys = {f.name for f in fields(DropoutSpec)}
    if not isinstance(value, dict) or value.keys() != keys:
        raise ModelError(f"{path}: dropout is {value!r}; expected a mapping of channels and rate")
    channels, rate = value["channels"], value["rate"]
    if not isinstance(channels, int) or not channels > 0 or not _number(rate) or not 0 < rate < 1:
        raise ModelError(
            f"{path}: dropout has channels {channels!r} and rate {rate!r}; expected a count and a share between 0 and 1"
        )
    return DropoutSpec(channels, float(rate))


def _check_input(name: str, spec: InputSpec, path: Path) -> None:
    """Raises ModelError where normalisation would silently go wrong."""
    lengths = (len(spec.mean), len(spec.std), len(spec.channels))
    if len(spec.shape) != 4 or lengths != (spec.shape[1],) * 3:
        raise ModelError(
            f"{path}: input '{name}' has shape {spec.shape} and {lengths} means, stds and channels; "
            "expected N, C, H, W and C of each"
        )
    numbers = (*spec.mean, *spec.std)
    if not all(_number(n) for n in numbers) or min(spec.std) <= 0:
        raise ModelError(f"{path}: mean and std of input '{name}' must be numbers, std above 0")
