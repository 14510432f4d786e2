"""`train` and `export`: a network from a dataset, and a model from a network."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scene_understanding.commands.output import CommandError, table
from scene_understanding.inference.card import read_card

RUNS, MODELS = Path("runs"), Path("networks")
"""Where trainings and models of one's own go unless told otherwise."""


@dataclass(frozen=True)
class Training:
    """What the user asks for; see the options of the command. None leaves what the config says."""

    task: str
    config: str
    out: Path | None = None
    data: str | None = None
    train: str | None = None
    val: str | None = None
    epochs: int | None = None
    start: str | None = None
    init: str | None = None


def train(wish: Training) -> dict[str, Any]:
    """Trains to the end, from where an earlier call was cut off, and reports the last validation.

    Empty in all but the first of several processes.

    Raises:
        CommandError, TrainingError, DatasetError: it cannot be done as asked.
    """
    need("torch", "safetensors")
    from scene_understanding.training import processes
    from scene_understanding.training.presets import find_config, with_epochs

    given = {key: getattr(wish, key) for key in ("data", "train", "val", "start", "init")}
    found = find_config(wish.config)
    if found.subcommand != wish.task:
        raise CommandError(f"config {found.name} is for: scene-understanding train {found.subcommand}")
    config: Any = replace(found, **{key: value for key, value in given.items() if value is not None})
    if wish.epochs is not None:
        config = with_epochs(config, wish.epochs)
    out = (wish.out or RUNS / config.name).expanduser()
    with processes.process_group():
        if processes.rank() != 0:
            logging.getLogger().setLevel(logging.WARNING)
        result = importlib.import_module(f"scene_understanding.training.{wish.task}").train(config, out)
    return {"config": config.name, "out": str(out), "epochs": config.epochs, **result} if result else {}


def train_text(report: dict[str, Any]) -> str:
    """For people."""
    if "iou" not in report:
        figures = ", ".join(f"{k} {v:.4g}" for k, v in report.items() if isinstance(v, float))
        return f"{report['out']}: {report['epochs']} epochs, {figures}"
    rows = [(name, None if iou is None else 100 * iou) for name, iou in report["iou"].items()]
    figures = ", ".join(f"{label} {100 * report[key]:.1f}" for key, label in (("oa", "OA"), ("ma", "MA")))
    total = ("mean", 100 * report["miou"])
    return f"{report['out']}: {report['epochs']} epochs, {figures}\n{table(('class', 'IoU, %'), [*rows, total])}"


def export(
    run: Path, name: str, out: Path | None, head: str, output_stride: int | None, int16: bool,
    history: Sequence[str], twins: Sequence[str], force: bool,
) -> dict[str, Any]:  # fmt: skip
    """Makes a model of a run's best network; see the options of the command.

    Raises:
        CommandError, TrainingError: it cannot be done as asked.
    """
    need("torch", "onnx")
    from scene_understanding.training.export import export as write
    from scene_understanding.training.model_card import Export

    folder = new_model(name, out, force)
    pairs = dict(twin.partition("=")[::2] for twin in twins)
    if not all(pairs.values()):
        raise CommandError("--twin takes NAME=MODEL, as f8=d3net_dfd_f8")
    write(Export(run.expanduser(), name, folder, head, output_stride, int16, tuple(history), pairs))
    return made(folder)


def new_model(name: str, out: Path | None, force: bool) -> Path:
    """The folder of a model that is to be made in `out`, or in `MODELS`.

    Raises:
        CommandError: the name cannot be one, or the folder holds a model that may not be overwritten.
    """
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise CommandError(f"'{name}' cannot be the name of a model; --out says in which folder it goes")
    folder = (out or MODELS).expanduser() / name
    if (folder / "model.yaml").exists() and not force:
        raise CommandError(f"{folder} holds a model; --force overwrites it")
    return folder


def made(folder: Path) -> dict[str, Any]:
    """What a model that was just made is."""
    card = read_card(folder)
    return {
        "model": card.name,
        "out": str(folder),
        "label_set": card.label_set,
        "outputs": card.outputs,
        "megabytes": card.path.stat().st_size / 1e6,
        "metrics": card.metrics,
    }


def made_text(report: dict[str, Any]) -> str:
    """The same for people."""
    outputs = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in report["outputs"].items())
    labels = f"labels {report['label_set']}, " if report["label_set"] else ""
    return f"{report['out']}: {report['megabytes']:.1f} MB, {labels}{outputs}"


def need(*modules: str) -> None:
    """Raises CommandError where a module is not installed."""
    for module in modules:
        if find_spec(module) is None:
            raise CommandError(f"making models needs {module}: pip install 'scene_understanding[train]'")
