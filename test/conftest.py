"""What tests of several parts share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from scene_understanding.datasets.people import PeopleSample
from scene_understanding.geometry import PinholeCamera
from scene_understanding.labels.keypoints import PAF_CHANNELS, PAF_LIMBS

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

    In a pass it is that times the mean of the pass's `channels` factors; without channels there is no dropout. With
    `expected` it tells that share of its depth as `deviation`. The card says a focal length of 10 px; `changes` go into
    it.
    """
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT

    def make(size: tuple[int, int] = (6, 8), channels: int = 4, expected: float = 0.0, **changes: Any) -> Path:
        node, value = helper.make_node, helper.make_tensor_value_info
        shape = [1, 1, *size]
        names = ("depth", "std", *(("deviation",) if expected else ()))
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
            *([node("Mul", ["depth", "expected"], ["deviation"])] if expected else []),
        ]
        constants = {"axes": np.array([2, 3])} if channels else {}
        constants |= {"expected": np.array(expected, np.float32)} if expected else {}
        used = [onnx.numpy_helper.from_array(values, name) for name, values in constants.items()]
        outputs = [value(name, float32, shape) for name in names]
        graph = helper.make_graph(nodes, "tiny_depth", inputs, outputs, used)
        network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        folder = tmp_path / "tiny_depth_model"
        folder.mkdir(exist_ok=True)
        (folder / "model.onnx").write_bytes(network.SerializeToString())
        card = {
            "name": "tiny_depth", "task": "depth", "file": "model.onnx", "focal_length": 10.0,
            "sha256": hashlib.sha256(network.SerializeToString()).hexdigest(),
            "inputs": {"color": {"shape": [1, 3, *size], "mean": [0.0] * 3, "std": [100.0] * 3,
                                 "channels": ["red", "green", "blue"]}},
            "outputs": dict.fromkeys(names, shape), **changes,
        }  # fmt: skip
        if channels:
            card.setdefault("dropout", {"channels": channels, "rate": 0.5})
        (folder / "model.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
        return folder

    return make


TINY_BODY = np.array(
    [(0, 0), (0, 2), (-2, 2), (-3, 4), (-3, 6), (2, 2), (3, 4), (3, 6), (-1, 7), (-1, 10), (-1, 13), (1, 7), (1, 10),
     (1, 13), (-1, -1), (1, -1), (-2, 0), (2, 0)]
)  # fmt: skip
"""(18, 2) cells of 8 px from the nose of somebody whom a `tiny_keypoint_model` knows to each keypoint."""


@pytest.fixture
def tiny_keypoint_model(tmp_path: Path) -> Callable[..., Path]:
    """Makes keypoint models in folders, from an input of size (H, W), multiples of 8.

    Keypoint k is in every cell of 8x8 px that is grey of 10 (k + 1); the fields are everywhere those of `TINY_BODY`. So
    the people of `tiny_people` are found, each keypoint in the middle of its cell. `changes` go into their cards.
    """
    onnx = pytest.importorskip("onnx")
    helper, float32, constant = onnx.helper, onnx.TensorProto.FLOAT, onnx.numpy_helper.from_array

    def make(size: tuple[int, int] = (160, 240), **changes: Any) -> Path:
        h, w = size[0] // 8, size[1] // 8
        limbs = np.array(PAF_LIMBS)
        way = (TINY_BODY[limbs[:, 1]] - TINY_BODY[limbs[:, 0]]).astype(np.float32)
        fields = np.zeros((1, 38, h, w), np.float32)
        fields[:, PAF_CHANNELS] = (way / np.linalg.norm(way, axis=1, keepdims=True))[..., None, None]
        constants = {
            "greys": np.arange(10, 190, 10, dtype=np.float32)[:, None, None], "one": np.ones(1, np.float32),
            "of_them": fields, "starts": np.array([0, 3, 3]), "ends": np.array([1, *size]),
            "axes": np.array([1, 2, 3]), "steps": np.array([1, 8, 8]),
        }  # fmt: skip
        nodes = [
            helper.make_node("Slice", ["color", "starts", "ends", "axes", "steps"], ["cells"]),
            helper.make_node("Sub", ["cells", "greys"], ["difference"]),
            helper.make_node("Abs", ["difference"], ["distance"]),
            helper.make_node("Sub", ["one", "distance"], ["closeness"]),
            helper.make_node("Relu", ["closeness"], ["peaks"]),
            helper.make_node("ReduceMax", ["peaks"], ["highest"], axes=[1], keepdims=1),
            helper.make_node("Sub", ["one", "highest"], ["background"]),
            helper.make_node("Concat", ["peaks", "background"], ["heat_maps"], axis=1),
            helper.make_node("Identity", ["of_them"], ["fields"]),
        ]
        shapes = {"color": [1, 3, *size], "heat_maps": [1, 19, h, w], "fields": [1, 38, h, w]}
        values = {name: helper.make_tensor_value_info(name, float32, shape) for name, shape in shapes.items()}
        graph = helper.make_graph(
            nodes, "tiny_keypoints", [values.pop("color")], list(values.values()),
            [constant(value, name) for name, value in constants.items()],
        )  # fmt: skip
        network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        folder = tmp_path / "tiny_keypoint_model"
        folder.mkdir(exist_ok=True)
        (folder / "model.onnx").write_bytes(network.SerializeToString())
        card = {
            "name": "tiny_keypoints", "task": "keypoints", "file": "model.onnx",
            "sha256": hashlib.sha256(network.SerializeToString()).hexdigest(),
            "inputs": {"color": {"shape": shapes["color"], "mean": [0.0] * 3, "std": [1.0] * 3,
                                 "channels": ["red", "green", "blue"]}},
            "outputs": {name: shapes[name] for name in values}, **changes,
        }  # fmt: skip
        (folder / "model.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
        return folder

    return make


@pytest.fixture
def tiny_people() -> Callable[..., PeopleSample]:
    """Makes images of 240x160 in which a `tiny_keypoint_model` finds people with their noses in cells (x, y).

    All of them is seen, they are 2 m away, and so is everything else.
    """

    def make(*noses: tuple[int, int], name: str = "people") -> PeopleSample:
        camera = PinholeCamera(240, 160, 200.0, 200.0, 119.5, 79.5)
        rgb = np.zeros((160, 240, 3), np.uint8)
        cells = TINY_BODY + np.array(noses, int).reshape(-1, 1, 2)
        for keypoints in cells:
            for k, (x, y) in enumerate(keypoints):
                rgb[8 * y : 8 * y + 8, 8 * x : 8 * x + 8] = 10 * (k + 1)
        pixels = (8 * cells + 3.5).astype(np.float32)
        points = np.full((len(cells), 18, 3), 2.0, np.float32)
        points[..., :2] = 2 * (pixels - (camera.cx, camera.cy)) / camera.fx
        return PeopleSample(
            name, rgb, pixels, np.ones(pixels.shape[:2], bool), np.full(len(cells), 4000, np.float32),
            np.full(camera.shape, 2.0, np.float32), camera, points,
        )  # fmt: skip

    return make
