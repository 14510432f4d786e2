"""`models`: the networks that are shipped, or one's own in a folder."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from scene_understanding.commands.output import CommandError, table
from scene_understanding.commands.train import made, need, new_model
from scene_understanding.inference.card import ModelCard
from scene_understanding.inference.store import find, shipped


def listing() -> dict[str, Any]:
    """Name, task, label set, size, and mIoU, relative error or OKS-AP of each shipped model."""
    return {"models": [_summary(find(name)) for name in shipped()]}


def _summary(card: ModelCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "task": card.task,
        "label_set": card.label_set,
        "inputs": {name: list(spec.shape) for name, spec in card.inputs.items()},
        "megabytes": card.path.stat().st_size / 1e6,
        "focal_length": card.focal_length or None,
        "miou": card.metrics.get("val", {}).get("miou"),
        "rel": card.metrics.get("val", {}).get("rel"),
        "oks_ap": card.metrics.get("val", {}).get("oks_ap"),
        "description": card.description,
    }


def listing_text(report: dict[str, Any]) -> str:
    """For people."""
    if not report["models"]:
        return "no models are shipped with this version"
    rows = [
        (m["name"], m["task"], m["label_set"], m["megabytes"], m["miou"], m["rel"], m["oks_ap"], m["description"])
        for m in report["models"]
    ]
    return table(("model", "task", "labels", "MB", "mIoU", "rel", "OKS-AP", "description"), rows)


def show(name: str) -> dict[str, Any]:
    """Everything that a model's card says.

    Raises:
        ModelError: no such model, or a damaged one.
    """
    card = find(name)
    return _summary(card) | {
        "path": str(card.path),
        "sha256": card.sha256,
        "outputs": card.outputs,
        "optional_inputs": card.optional_inputs,
        "unscored": card.unscored,
        "dropout": card.dropout and asdict(card.dropout),
        "twins": card.twins,
        "architecture": card.architecture,
        "training": card.training,
        "metrics": card.metrics,
        "attribution": card.attribution,
    }


def card_text(name: str) -> str:
    """The card as its file has it, IoU by class as a table with a column for each evaluation."""
    content = yaml.safe_load((find(name).folder / "model.yaml").read_text("utf-8"))
    metrics = content.get("metrics") or {}
    by_class = {key: m.pop("iou") for key, m in metrics.items() if isinstance(m.get("iou"), dict)}
    text = yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True).rstrip()
    if not by_class:
        return text
    classes = dict.fromkeys(c for iou in by_class.values() for c in iou)  # in order, each once
    rows = [(c, *(iou.get(c) for iou in by_class.values())) for c in classes]
    return f"{text}\n\n{table(('IoU by class', *by_class), rows)}"


def import_checkpoint(file: Path, name: str, out: Path | None, size: str, force: bool) -> dict[str, Any]:
    """Makes a model of a checkpoint that others published; see the options of the command.

    Raises:
        CommandError, TrainingError: it cannot be done as asked.
    """
    need("torch", "onnx")
    from scene_understanding.training.import_openpose import import_openpose

    wanted = re.fullmatch(r"(\d{1,4})x(\d{1,4})", size)
    if wanted is None:
        raise CommandError(f"size is '{size}'; expected HEIGHTxWIDTH, such as 384x512")
    folder = new_model(name, out, force)
    import_openpose(file.expanduser(), name, folder, (int(wanted[1]), int(wanted[2])))
    return made(folder)
