"""`model.yaml` of a trained network: what its run's folder says of it."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scene_understanding.datasets.open import CLOUD_KINDS, KINDS, PEOPLE_KINDS, STEREO_KINDS
from scene_understanding.labels import load_label_set
from scene_understanding.training.cloud_config import CloudConfig
from scene_understanding.training.cloud_data import SEEDED
from scene_understanding.training.config import EMBEDDED, Config, TrainingError
from scene_understanding.training.depth_config import DepthConfig
from scene_understanding.training.presets import STARTS, load_config, plain, presets
from scene_understanding.training.records import read_rows
from scene_understanding.training.segmentation_config import SegmentationConfig

HEADS = ("main", "auxiliary")


@dataclass(frozen=True)
class Export:
    """What to make of a run.

    Attributes:
        run: folder of the training; name: of the model; folder: where it goes.
        head: "main", or "auxiliary" for the finer label set of a second head.
        output_stride: 2 for scores of half the input's size, which many classes make quicker; None as in the config.
        int16: store the weights in 16 bits (`store_as_int16`): the file is half as large and nothing is slower.
        history: what was trained before, a line each, for the card.
        twins: by name, models of the same training on other images (`evaluate --aperture`).
    """

    run: Path
    name: str
    folder: Path
    head: str = "main"
    output_stride: int | None = None
    int16: bool = False
    history: tuple[str, ...] = ()
    twins: Mapping[str, str] = field(default_factory=dict)


def card(wish: Export, config: Config, path: Path, outputs: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """The content of model.yaml; figures come from the run's logs."""
    rows = read_rows(wish.run / "log.csv")
    if not rows:
        raise TrainingError(f"{wish.run}/log.csv holds no validation; the command that trained writes it again")
    best = max(reversed(rows), key=lambda row: float(row[config.score] or 0))  # best.pt is the last of equal ones
    report_file = wish.run / "log.json"
    report = json.loads(report_file.read_text("utf-8")) if report_file.exists() else {}
    return {
        **interface(wish.name, config, path, outputs, **task_keys(wish, config, report)),
        "architecture": {
            "network": config.network, **config.arguments, **({"stored_as": "int16"} if wish.int16 else {})
        },
        "training": {
            "history": list(wish.history),
            "command": command_of(config),
            "data": data_of(config),
            "split": {"train": Path(config.train).name, "val": Path(config.val).name},
            "epochs": int(rows[-1]["epoch"]), "seconds": int(rows[-1]["seconds"]),
            **{key: report[key] for key in ("hardware", "torch", "samples") if key in report},
            "config": without_places(config),
        },
        "metrics": {"val": figures(best, config, wish.head)},
        "attribution": list(config.attribution),
    }  # fmt: skip


def interface(
    name: str, config: Config, path: Path, outputs: Mapping[str, Sequence[int]], **of_task: Any
) -> dict[str, Any]:
    """What the network in the file `path` is, takes and gives; `of_task` is what networks of its task alone say."""
    return {
        "name": name,
        "task": config.task,
        "description": config.description,
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        **of_task,
        "inputs": {
            input_name: {key: list(values) for key, values in asdict(spec).items()}
            for input_name, spec in config.input_specs(config.size).items()
        },
        "outputs": {output_name: list(shape) for output_name, shape in outputs.items()},
    }


def task_keys(wish: Export, config: Config, report: Mapping[str, Any]) -> dict[str, Any]:
    """What the card says of networks of this task alone."""
    if isinstance(config, SegmentationConfig):
        unseen = report.get("unseen", [])
        return {"label_set": config.label_set, "unscored": unseen[HEADS.index(wish.head)] if unseen else []}
    if isinstance(config, DepthConfig):
        return {"focal_length": config.focal_length, **({"twins": dict(wish.twins)} if wish.twins else {})}
    if isinstance(config, CloudConfig):
        return {"label_set": config.label_set, "snapnet": config.parameters.as_card()}
    return {}


def command_of(config: Config) -> str:
    """The command that trained, without the places of files; options where the shipped config of that name differs."""
    words = ["scene-understanding", "train", config.subcommand, "--config", config.name]
    preset = presets() / f"{config.name}.yaml"
    shipped = load_config(preset) if preset.is_file() else config
    kind = config.data.partition(":")[0]
    if kind in {**KINDS, **STEREO_KINDS, **PEOPLE_KINDS, **CLOUD_KINDS} and kind not in (EMBEDDED, *SEEDED):
        words += ["--data", f"{kind}:DIR"]
    elif config.data != shipped.data:
        words += ["--data", config.data]
    if preset.is_file():
        for key, value, was in (
            ("train", Path(config.train).name, shipped.train),
            ("val", Path(config.val).name, shipped.val),
            ("epochs", config.epochs, shipped.epochs),
        ):
            if value != was:
                words += [f"--{key}", str(value)]
        if config.init and _run_of(config.init) != _run_of(shipped.init):
            words += ["--init", _run_of(config.init)]
        words += [
            word for key in STARTS if getattr(shipped, key) and not getattr(config, key) for word in (f"--{key}", "")
        ]
    return shlex.join(words)


def figures(row: Mapping[str, str], config: Config, head: str) -> dict[str, Any]:
    """What a row of log.csv says of a head; IoU by class is of the main one's alone."""
    if not isinstance(config, (SegmentationConfig, CloudConfig)):
        columns = [name for name in row if name not in ("epoch", "seconds", "loss")]
        return {"epoch": int(row["epoch"]), **{name: float(row[name]) for name in columns if row[name]}}
    prefix = "" if head == "main" else "auxiliary_"
    keys = ["oa", "ma", "miou", *(name for name in row if name.endswith("_miou") and name != "auxiliary_miou")]
    means = {key: float(row[prefix + key]) for key in keys if row.get(prefix + key)}
    names = load_label_set(config.label_set).names if head == "main" else ()
    iou = {name: float(row[name]) if row[name] else None for name in names}
    return {"epoch": int(row["epoch"]), **means, **({"iou": iou} if iou else {})}


def _run_of(init: str) -> str:
    """Starting weights as RUN/best.pt, without the place of the run."""
    return "/".join(Path(init).parts[-2:])


def data_of(config: Config) -> str:
    """What it learnt from, one line."""
    size = f"{config.size[1]}x{config.size[0]}"
    if isinstance(config, CloudConfig):
        return f"{config.data.partition(':')[0]}, {config.snapshots} snapshots an epoch, {size}"
    if config.data != EMBEDDED:
        return f"{config.data.partition(':')[0]}, {size}"
    tour = f" and {config.tour_views} views of a tour" if config.tour_views else ""
    return f"embedded world, {config.views} random views{tour} of every building, {size}"


def without_places(config: Config) -> dict[str, Any]:
    """The keys of the config, without where things lie on the machine that trained."""
    labels = {"label_set": Path(config.label_set).name} if isinstance(config, SegmentationConfig) else {}
    return (
        plain(config)
        | labels
        | {
            "train": Path(config.train).name,
            "val": Path(config.val).name,
            "data": config.data.partition(":")[0],
            "start": Path(config.start).name,
            "init": _run_of(config.init),
        }
    )
