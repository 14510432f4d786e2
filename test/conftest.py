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
