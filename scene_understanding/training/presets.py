"""Training configs as files: shipped ones by name, one's own by path, and the one that a run keeps in its folder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from scene_understanding.datasets.folder import write_label_set
from scene_understanding.labels import load_label_set
from scene_understanding.training.cloud_config import CloudConfig
from scene_understanding.training.config import Config, TrainingError
from scene_understanding.training.depth_config import DepthConfig
from scene_understanding.training.keypoint_config import KeypointConfig
from scene_understanding.training.records import replace_file
from scene_understanding.training.segmentation_config import SegmentationConfig
from scene_understanding.training.stereo_config import StereoConfig

CONFIGS: tuple[type[Config], ...] = (SegmentationConfig, DepthConfig, StereoConfig, KeypointConfig, CloudConfig)
CONFIG, LABELS = "config.yaml", "labels.yaml"
"""What a run's folder keeps of how it was started."""

FREE = ("name", "label_set", "attribution")
"""Keys that may differ when a run goes on: where things lie, and what only the card says."""

STARTS = ("start", "init")
"""Keys whose files may lie elsewhere when a run goes on; whether there is one may not change."""


def load_config(path: Path) -> Config:
    """A training config; its name is the file's unless it says one.

    Raises:
        TrainingError: the file cannot be read or is not a training config.
    """
    try:
        content = {"name": path.stem, **yaml.safe_load(path.read_text("utf-8"))}
        return _type_of(content)(**content)
    except (OSError, TypeError, TrainingError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"training config {path}: {' '.join(str(error).split())}") from error


def _type_of(content: dict[str, Any]) -> type[Config]:
    """The kind of config that has the network of this one."""
    name = content.get("network")
    known = {network: kind for kind in CONFIGS for network in kind.networks}
    if name not in known:
        raise TrainingError(f"network is {name!r}; it can be {', '.join(known)}")
    return known[str(name)]


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
    if config.augmentation.get("crop") and not config.crop_epochs and not isinstance(config, KeypointConfig):
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
    was, now = ({**plain(c), "data": c.data.partition(":")[0]} for c in (earlier, config))  # its place may change
    changed = [
        f"{key} was {was.get(key)!r}, is {now.get(key)!r}" for key in {**was, **now}
        if was.get(key) != now.get(key) and key not in FREE and not (key in STARTS and was[key] and now[key])
    ]  # fmt: skip
    if (
        isinstance(config, SegmentationConfig)
        and isinstance(earlier, SegmentationConfig)
        and load_label_set(config.label_set).names != load_label_set(earlier.label_set).names
    ):
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
    if isinstance(config, SegmentationConfig) and config.label_set.endswith((".yaml", ".yml")):
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
    if isinstance(config, SegmentationConfig) and config.label_set == LABELS:
        return replace(config, label_set=str(folder / LABELS))
    return config
