"""Exports a trained network: `python -m scene_understanding.training.export CONFIG.yaml RUN NAME`.

Writes `scene_understanding/networks/NAME/model.onnx` and its `model.yaml`, and checks that ONNX Runtime gives the same
scores as PyTorch.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime
import torch
import typer
import yaml
from torch import nn

from scene_understanding.inference.store import SHIPPED
from scene_understanding.labels import load_label_set
from scene_understanding.training.segmentation import Config, build, input_specs, load_config

TOLERANCE = 1e-3
SIZE = (240, 320)


def export_onnx(network: nn.Module, config: Config, path: Path, size: tuple[int, int] = SIZE) -> None:
    """Writes the network as ONNX for inputs of `size` (H, W), then compares it with PyTorch on random inputs.

    Raises:
        ValueError: scores differ by more than `TOLERANCE`.
    """
    network.eval()
    generator = torch.Generator().manual_seed(0)
    shapes = [spec.shape for spec in input_specs(config, size).values()]
    color, depth = (torch.randn(*shape, generator=generator) for shape in shapes)
    torch.onnx.export(
        network, (color, depth), str(path), input_names=["color", "depth"], output_names=["scores"], dynamo=False,
        opset_version=17,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(["scores"], {"color": color.numpy(), "depth": depth.numpy()})
    with torch.no_grad():
        difference = float(np.abs(found - network(color, depth).numpy()).max())
    if difference > TOLERANCE:
        raise ValueError(f"{path} differs from PyTorch by {difference:.2e}; allowed is {TOLERANCE}")


def card(
    config: Config, config_file: Path, run: Path, name: str, onnx: Path, history: Sequence[str] = ()
) -> dict[str, Any]:
    """The content of model.yaml; figures come from the run's log. `history`: what was done before, a line each."""
    with open(run / "log.csv") as file:
        rows = list(csv.DictReader(file))
    best = max(rows, key=lambda row: float(row["miou"]))
    classes = len(load_label_set(config.label_set).names)
    tour = f" and {config.tour_views} views of a tour" if config.tour_views else ""
    data = f"embedded world, {config.views} random views{tour} of every building, 320x240"
    return {
        "name": name,
        "task": "segmentation",
        "description": "FuseNet on board: two-stream MobileNetV2, sum fusion after five stages, light decoder",
        "file": onnx.name,
        "sha256": hashlib.sha256(onnx.read_bytes()).hexdigest(),
        "label_set": config.label_set,
        "inputs": {
            input_name: {key: list(values) for key, values in asdict(spec).items()}
            for input_name, spec in input_specs(config, SIZE).items()
        },
        "outputs": {"scores": [1, classes, *SIZE]},
        "architecture": {"network": config.network, **config.arguments},
        "training": {
            "history": list(history),
            "command": f"python -m scene_understanding.training.segmentation {config_file} {run.name}",
            "data": data,
            "split": {"train": f"buildings {config.train[0]} to {config.train[1] - 1}",
                      "val": f"buildings {config.val[0]} to {config.val[1] - 1}"},
            "epochs": int(rows[-1]["epoch"]), "seconds": int(rows[-1]["seconds"]), "hardware": "2 CPU cores, BF16",
            "config": json.loads(json.dumps(asdict(config))),
        },
        "metrics": {"val": {k: float(v) for k, v in best.items() if k not in ("seconds", "loss") and v}},
        "attribution": list(config.attribution),
    }  # fmt: skip


def main(
    config_file: Path,
    run: Path,
    name: str,
    history: Annotated[list[str] | None, typer.Option(help="what was trained before, for the card")] = None,
) -> None:
    """Exports the best network of the training folder RUN as the shipped model NAME."""
    config = load_config(config_file)
    network = build(replace(config, start="", init=""), len(load_label_set(config.label_set).names))
    network.load_state_dict(torch.load(run / "best.pt", weights_only=True))
    folder = SHIPPED / name
    folder.mkdir(parents=True, exist_ok=True)
    export_onnx(network, config, folder / "model.onnx")
    content = card(config, config_file, run, name, folder / "model.onnx", history or ())
    (folder / "model.yaml").write_text(yaml.safe_dump(content, sort_keys=False, width=120))
    print(f"{folder}: {(folder / 'model.onnx').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    typer.run(main)
