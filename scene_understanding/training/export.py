"""Exports a trained network: `scene-understanding export RUN NAME`.

Writes model.onnx and its model.yaml, and checks that ONNX Runtime gives the same scores as PyTorch.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from scene_understanding.datasets.folder import write_label_set
from scene_understanding.labels import load_label_set
from scene_understanding.training.config import (
    EMBEDDED,
    LABELS,
    STARTS,
    Config,
    TrainingError,
    build,
    input_specs,
    load_config,
    plain,
    presets,
    read_run_config,
    read_state,
    short,
)
from scene_understanding.training.records import read_rows

TOLERANCE = 1e-3
"""By which scores of ONNX Runtime may differ from those of PyTorch."""

TOLERANCE_INT16 = 1e-2
"""The same with weights stored in 16 bits, as a share of the largest score."""

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
    """

    run: Path
    name: str
    folder: Path
    head: str = "main"
    output_stride: int | None = None
    int16: bool = False
    history: tuple[str, ...] = ()


def export(wish: Export) -> Path:
    """Writes model.onnx and model.yaml (and the label set, if it is the user's) of a run's best network.

    They take the place of an earlier model when all of them are written and checked.

    Raises:
        TrainingError: not the folder of a training, a damaged file in it, a head that it does not have, or scores that
            differ.
    """
    weights = wish.run / "best.pt"
    if not weights.is_file():
        raise TrainingError(f"{wish.run} is not the folder of a training: best.pt is missing")
    config = config_of_head(read_run_config(wish.run), wish.head)
    if wish.output_stride is not None:
        config = replace(config, arguments={**config.arguments, "output_stride": wish.output_stride})
    network = build(replace(config, start="", init=""), len(load_label_set(config.label_set)))
    state = state_of_head(read_state(weights), wish.head)
    try:
        network.load_state_dict(state)
    except (AttributeError, RuntimeError, TypeError) as error:
        raise TrainingError(f"{weights} does not fit the config beside it: {short(error)}") from error
    wish.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=wish.folder, prefix=".export-") as new:
        path = Path(new) / "model.onnx"
        shape = export_onnx(network, config, path, wish.int16)
        content = card(wish, config, path, shape)
        if config.label_set.endswith((".yaml", ".yml")):
            write_label_set(Path(new) / LABELS, load_label_set(config.label_set))
            content["label_set"] = LABELS
        (Path(new) / "model.yaml").write_text(yaml.safe_dump(content, sort_keys=False, width=120), "utf-8")
        for file in sorted(Path(new).iterdir()):
            file.replace(wish.folder / file.name)
    return wish.folder / "model.onnx"


def config_of_head(config: Config, head: str) -> Config:
    """The config of a network that has this head alone."""
    if head == "main":
        return replace(config, auxiliary_label_set="")
    if head not in HEADS or not config.auxiliary_label_set:
        has = "main, auxiliary" if config.auxiliary_label_set else "main"
        raise TrainingError(f"the run has no head '{head}'; it has {has}")
    return replace(config, label_set=config.auxiliary_label_set, auxiliary_label_set="")


def state_of_head(state: dict[str, Tensor], head: str) -> dict[str, Tensor]:
    """The weights with those of this head in the place of the main one's (`score`), the other's left out."""
    auxiliary = {name: tensor for name, tensor in state.items() if "auxiliary_score." in name}
    rest = {name: tensor for name, tensor in state.items() if name not in auxiliary}
    if head == "main":
        return rest
    rest = {name: tensor for name, tensor in rest.items() if not re.search(r"(^|\.)score\.", name)}
    return rest | {name.replace("auxiliary_score.", "score."): tensor for name, tensor in auxiliary.items()}


def export_onnx(network: nn.Module, config: Config, path: Path, int16: bool = False) -> tuple[int, ...]:
    """Writes the network as ONNX for inputs of `config.size`, then compares it with PyTorch on random inputs.

    Returns:
        The shape of the scores.

    Raises:
        TrainingError: scores differ by more than `TOLERANCE`, or `TOLERANCE_INT16` of the largest.
    """
    network.eval()
    generator = torch.Generator().manual_seed(0)
    shapes = [spec.shape for spec in input_specs(config, config.size).values()]
    color, depth = (torch.randn(*shape, generator=generator) for shape in shapes)
    torch.onnx.export(
        network, (color, depth), str(path), input_names=["color", "depth"], output_names=["scores"], dynamo=False,
        opset_version=17,
    )  # fmt: skip
    if int16:
        store_as_int16(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(["scores"], {"color": color.numpy(), "depth": depth.numpy()})
    with torch.no_grad():
        expected = network(color, depth).numpy()
    difference = float(np.abs(found - expected).max())
    allowed = TOLERANCE_INT16 * float(np.abs(expected).max()) if int16 else TOLERANCE
    if not difference <= allowed:
        raise TrainingError(f"{path.name} differs from PyTorch by {difference:.2e}; allowed is {allowed:.2e}")
    return tuple(found.shape)


def store_as_int16(path: Path, smallest: int = 256) -> None:
    """Stores the weights of an ONNX file as 16-bit integers with a scale for each output channel.

    ONNX Runtime computes the 32-bit weights from them when it loads the file. Floats of 16 bits are fifteen times less
    exact: they keep 11 bits of a weight, these 15 of the largest one.

    Tensors of one dimension stay as they are: biases, for which every value would get a scale of its own.

    Args:
        smallest: number of values below which a tensor stays as it is too, since 16 bits save nothing there.
    """
    model = onnx.load(str(path))
    graph, nodes = model.graph, []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < smallest or values.ndim < 2:
            continue
        largest = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
        scale = np.where(largest > 0, largest / np.float32(32767), np.float32(1))
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(np.rint(values / scale).astype(np.int16), f"{name}_int16"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
        nodes += [
            helper.make_node("Cast", [f"{name}_int16"], [f"{name}_steps"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_steps", f"{name}_scale"], [name]),
        ]
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def card(wish: Export, config: Config, path: Path, scores: Sequence[int]) -> dict[str, Any]:
    """The content of model.yaml; figures come from the run's logs."""
    rows = read_rows(wish.run / "log.csv")
    if not rows:
        raise TrainingError(f"{wish.run}/log.csv holds no validation; the command that trained writes it again")
    best = max(reversed(rows), key=lambda row: float(row["miou"] or 0))  # best.pt is the last of equal ones
    report_file = wish.run / "log.json"
    report = json.loads(report_file.read_text("utf-8")) if report_file.exists() else {}
    unseen = report.get("unseen", [])
    return {
        "name": wish.name,
        "task": "segmentation",
        "description": description(config),
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "label_set": config.label_set,
        "unscored": unseen[HEADS.index(wish.head)] if unseen else [],
        "inputs": {
            input_name: {key: list(values) for key, values in asdict(spec).items()}
            for input_name, spec in input_specs(config, config.size).items()
        },
        "outputs": {"scores": list(scores)},
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


def command_of(config: Config) -> str:
    """The command that trained, without the places of files; options where the shipped config of that name differs."""
    words = ["scene-understanding", "train", "segmentation", "--config", config.name]
    kind = config.data.partition(":")[0]
    if kind != EMBEDDED:
        words += ["--data", f"{kind}:DIR"]
    preset = presets() / f"{config.name}.yaml"
    if preset.is_file():
        shipped = load_config(preset)
        for key, value, was in (
            ("train", Path(config.train).name, shipped.train),
            ("val", Path(config.val).name, shipped.val),
            ("epochs", config.epochs, shipped.epochs),
        ):
            if value != was:
                words += [f"--{key}", str(value)]
        words += [
            word for key in STARTS if getattr(shipped, key) and not getattr(config, key) for word in (f"--{key}", "")
        ]
    return shlex.join(words)


def figures(row: Mapping[str, str], config: Config, head: str) -> dict[str, Any]:
    """What a row of log.csv says of a head; IoU by class is of the main one's alone."""
    prefix = "" if head == "main" else "auxiliary_"
    means = {key: float(row[prefix + key]) for key in ("oa", "ma", "miou") if row.get(prefix + key)}
    names = load_label_set(config.label_set).names if head == "main" else ()
    iou = {name: float(row[name]) if row[name] else None for name in names}
    return {"epoch": int(row["epoch"]), **means, **({"iou": iou} if iou else {})}


def description(config: Config) -> str:
    """Of the network, one line."""
    if config.network == "fusenet":
        return f"FuseNet on VGG16, {config.arguments.get('width', 1.0):g} of its width"
    encoder = {"mobilenet_v2": "MobileNetV2", "resnet18": "ResNet-18"}[config.arguments.get("encoder", "mobilenet_v2")]
    fusion = config.arguments.get("fusion", "sum")
    context = ", pyramid context" if config.arguments.get("pyramid") else ""
    return f"FuseNet on board: {encoder} streams, {fusion} fusion{context}, light decoder"


def data_of(config: Config) -> str:
    """What it learnt from, one line."""
    size = f"{config.size[1]}x{config.size[0]}"
    if config.data != EMBEDDED:
        return f"{config.data.partition(':')[0]}, {size}"
    tour = f" and {config.tour_views} views of a tour" if config.tour_views else ""
    return f"embedded world, {config.views} random views{tour} of every building, {size}"


def without_places(config: Config) -> dict[str, Any]:
    """The keys of the config, without where things lie on the machine that trained."""
    init = Path(config.init)
    return plain(config) | {
        "label_set": Path(config.label_set).name,
        "train": Path(config.train).name,
        "val": Path(config.val).name,
        "data": config.data.partition(":")[0],
        "start": Path(config.start).name,
        "init": f"{init.parent.name}/{init.name}" if config.init else "",
    }
