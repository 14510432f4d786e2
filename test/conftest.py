"""What tests of several parts share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

TINY_CLASSES = [
    {"id": 1, "name": "red", "colour": [255, 0, 0]},
    {"id": 2, "name": "green", "colour": [0, 255, 0]},
    {"id": 4, "name": "blue", "colour": [0, 0, 255]},
]


@pytest.fixture
def tiny_labels(tmp_path: Path) -> Path:
    """A label set with the ids 1, 2 and 4."""
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({"name": "tiny", "classes": TINY_CLASSES}))
    return path


@pytest.fixture
def tiny_model(tmp_path: Path, tiny_labels: Path) -> Callable[..., Path]:
    """Makes models in folders: each pixel gets the class of its strongest colour, from an input of size (H, W).

    They have an input for depth, which changes nothing, if `depth`; `changes` go into their cards.
    """
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT

    def make(size: tuple[int, int] = (6, 8), depth: bool = False, **changes: Any) -> Path:
        shapes = {"color": (1, 3, *size), "depth": (1, 1, *size)}
        inputs = {name: shapes[name] for name in ("color", *(["depth"] if depth else []))}
        nodes = [helper.make_node("Identity", ["color"], ["scores"])]
        if depth:
            nodes = [helper.make_node("Mul", ["depth", "zero"], ["nothing"]),
                     helper.make_node("Add", ["color", "nothing"], ["scores"])]  # fmt: skip
        values = {name: helper.make_tensor_value_info(name, float32, shape) for name, shape in inputs.items()}
        scores = helper.make_tensor_value_info("scores", float32, shapes["color"])
        zero = onnx.numpy_helper.from_array(np.zeros(1, np.float32), "zero")
        graph = helper.make_graph(nodes, "tiny", list(values.values()), [scores], [zero] if depth else [])
        network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        folder = tmp_path / "tiny_model"
        folder.mkdir(exist_ok=True)
        (folder / "model.onnx").write_bytes(network.SerializeToString())
        channels = {"color": ["red", "green", "blue"], "depth": ["depth"]}
        card = {
            "name": "tiny", "task": "segmentation", "file": "model.onnx", "label_set": str(tiny_labels),
            "sha256": hashlib.sha256(network.SerializeToString()).hexdigest(),
            "inputs": {name: {"shape": list(shape), "mean": [0.0] * shape[1], "std": [1.0] * shape[1],
                              "channels": channels[name]} for name, shape in inputs.items()},
            "outputs": {"scores": list(shapes["color"])}, **changes,
        }  # fmt: skip
        (folder / "model.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
        return folder

    return make


@pytest.fixture
def tiny_depth_model(tmp_path: Path) -> Callable[..., Path]:
    """Makes depth models in folders: depth is the mean of a pixel's three colours / 100, from an input of size (H, W).

    In a pass it is that times the mean of the pass's `channels` factors; without channels there is no dropout. The card
    says a focal length of 10 px; `changes` go into it.
    """
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT

    def make(size: tuple[int, int] = (6, 8), channels: int = 4, **changes: Any) -> Path:
        node, value = helper.make_node, helper.make_tensor_value_info
        shape = [1, 1, *size]
        inputs = [value("color", float32, [1, 3, *size])]
        if channels:
            inputs.append(value("dropout", float32, ["S", channels]))
        nodes = [node("ReduceMean", ["color"], ["once"], axes=[1], keepdims=1)]
        nodes += [
            node("ReduceMean", ["dropout"], ["factor"], axes=[1], keepdims=1),
            node("Unsqueeze", ["factor", "axes"], ["factors"]),
            node("Mul", ["once", "factors"], ["passes"]),
        ] if channels else [node("Identity", ["once"], ["passes"])]  # fmt: skip
        nodes += [
            node("ReduceMean", ["passes"], ["depth"], axes=[0], keepdims=1),
            node("Sub", ["passes", "depth"], ["error"]),
            node("Mul", ["error", "error"], ["square"]),
            node("ReduceMean", ["square"], ["variance"], axes=[0], keepdims=1),
            node("Sqrt", ["variance"], ["std"]),
        ]
        axes = [onnx.numpy_helper.from_array(np.array([2, 3]), "axes")] if channels else []
        outputs = [value(name, float32, shape) for name in ("depth", "std")]
        graph = helper.make_graph(nodes, "tiny_depth", inputs, outputs, axes)
        network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        folder = tmp_path / "tiny_depth_model"
        folder.mkdir(exist_ok=True)
        (folder / "model.onnx").write_bytes(network.SerializeToString())
        card = {
            "name": "tiny_depth", "task": "depth", "file": "model.onnx", "focal_length": 10.0,
            "sha256": hashlib.sha256(network.SerializeToString()).hexdigest(),
            "inputs": {"color": {"shape": [1, 3, *size], "mean": [0.0] * 3, "std": [100.0] * 3,
                                 "channels": ["red", "green", "blue"]}},
            "outputs": {"depth": shape, "std": shape}, **changes,
        }  # fmt: skip
        if channels:
            card.setdefault("dropout", {"channels": channels, "rate": 0.5})
        (folder / "model.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
        return folder

    return make
