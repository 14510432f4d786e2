"""Exports a trained network: `scene-understanding export RUN NAME`.

Writes model.onnx and its model.yaml, and checks that ONNX Runtime gives the same as PyTorch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeGuard

import numpy as np
import onnx
import onnxruntime
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from scene_understanding.datasets.folder import write_label_set
from scene_understanding.labels import load_label_set
from scene_understanding.models.depth_network import DepthNetwork
from scene_understanding.training.cloud_config import CloudConfig
from scene_understanding.training.config import Config, TrainingError
from scene_understanding.training.model_card import HEADS, Export, card
from scene_understanding.training.networks import build, read_state, short
from scene_understanding.training.presets import LABELS, read_run_config
from scene_understanding.training.segmentation_config import SegmentationConfig

TOLERANCE = 1e-3
"""By which outputs of ONNX Runtime may differ from those of PyTorch."""

TOLERANCE_INT16 = 1e-2
"""The same with weights stored in 16 bits, as a share of the largest output."""


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
    config, state = read_run_config(wish.run), read_state(weights)
    if isinstance(config, SegmentationConfig):
        config, state = config_of_head(config, wish.head), state_of_head(state, wish.head)
    elif wish.head != "main":
        raise TrainingError(f"the run has no head '{wish.head}'; it has main")
    if wish.output_stride is not None:
        config = replace(config, arguments={**config.arguments, "output_stride": wish.output_stride})
    classes = [len(load_label_set(config.label_set))] if isinstance(config, (SegmentationConfig, CloudConfig)) else []
    network = build(replace(config, start="", init=""), *classes)
    try:
        network.load_state_dict(state)
    except (AttributeError, RuntimeError, TypeError) as error:
        raise TrainingError(f"{weights} does not fit the config beside it: {short(error)}") from error
    with written_together(wish.folder) as new:
        path = new / "model.onnx"
        shapes = export_onnx(network, config, path, wish.int16)
        content = card(wish, config, path, shapes)
        if takes_dropout(network):
            content["dropout"] = {"channels": network.dropout_channels, "rate": network.dropout}
        if isinstance(config, SegmentationConfig) and config.label_set.endswith((".yaml", ".yml")):
            write_label_set(new / LABELS, load_label_set(config.label_set))
            content["label_set"] = LABELS
        (new / "model.yaml").write_text(yaml.safe_dump(content, sort_keys=False, width=120), "utf-8")
    return wish.folder / "model.onnx"


@contextmanager
def written_together(folder: Path) -> Iterator[Path]:
    """A folder to write files into; they take the place of those in `folder` when all of them are written."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".export-") as new:
        yield Path(new)
        for file in sorted(Path(new).iterdir()):
            file.replace(folder / file.name)


def config_of_head(config: SegmentationConfig, head: str) -> SegmentationConfig:
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


def export_onnx(network: nn.Module, config: Config, path: Path, int16: bool = False) -> dict[str, tuple[int, ...]]:
    """Writes the network as ONNX for inputs of `config.size`, then compares it with PyTorch on random inputs.

    Returns:
        The shapes of the outputs.

    Raises:
        TrainingError: outputs differ by more than `TOLERANCE`, or `TOLERANCE_INT16` of the largest value.
    """
    network.eval()
    inputs, names = example_inputs(network, config), output_names(network, config)
    passes = {"dropout": {0: "passes"}} if "dropout" in inputs else {}
    torch.onnx.export(
        network, tuple(inputs.values()), str(path), input_names=list(inputs), output_names=list(names),
        dynamic_axes=passes, dynamo=False, opset_version=17,
    )  # fmt: skip
    with torch.no_grad():
        outputs = network(*inputs.values())
    expected = dict(zip(names, [outputs] if isinstance(outputs, Tensor) else outputs, strict=True))
    shapes = {name: tuple(output.shape) for name, output in expected.items()}
    if passes:
        state_shapes(path, shapes)
    if int16:
        store_as_int16(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(list(expected), {name: tensor.numpy() for name, tensor in inputs.items()})
    for name, values in zip(expected, found, strict=True):
        truth = expected[name].numpy()
        difference = float(np.abs(values - truth).max())
        allowed = TOLERANCE_INT16 * float(np.abs(truth).max()) if int16 else TOLERANCE
        if not difference <= allowed:
            raise TrainingError(
                f"{path.name} differs from PyTorch by {difference:.2e} in {name}; allowed is {allowed:.2e}"
            )
    return shapes


def takes_dropout(network: nn.Module) -> TypeGuard[DepthNetwork]:
    """Whether it is exported with the input `dropout`."""
    return isinstance(network, DepthNetwork) and network.dropout > 0


def output_names(network: nn.Module, config: Config) -> tuple[str, ...]:
    """What the network gives, in order; one for depth may tell the deviation that it expects, too."""
    tells = isinstance(network, DepthNetwork) and network.aleatoric
    return (*config.outputs, "deviation") if tells else config.outputs


def example_inputs(network: nn.Module, config: Config) -> dict[str, Tensor]:
    """Random inputs by name; two passes of dropout for a network that has it as an input."""
    generator = torch.Generator().manual_seed(0)
    specs = config.input_specs(config.size)
    inputs = {name: torch.randn(*spec.shape, generator=generator) for name, spec in specs.items()}
    if takes_dropout(network):
        torch.manual_seed(0)
        inputs["dropout"] = network.draw(2, inputs["color"])
    return inputs


def state_shapes(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Writes the shapes of the outputs into the file: the exporter cannot see that they do not depend on the passes."""
    model = onnx.load(str(path))
    for output in model.graph.output:
        for dimension, size in zip(output.type.tensor_type.shape.dim, shapes[output.name], strict=True):
            dimension.dim_value = size
    onnx.save(model, str(path))


def store_as_int16(path: Path, smallest: int = 256) -> None:
    """Stores the weights of an ONNX file as 16-bit integers with a scale for each output channel (of a transposed
    convolution: each input channel).

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
