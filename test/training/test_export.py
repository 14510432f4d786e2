"""Export: the model computes what was trained, either head, in 16 bits too; and a folder of one's own all the way."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml

from scene_understanding.cli import main
from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.inference.card import read_card
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.labels import load_label_set
from scene_understanding.messages.camera_info import camera_to_camera_info
from scene_understanding.messages.header import make_header
from scene_understanding.messages.image import array_to_image, image_to_array
from scene_understanding.nodes.node import SENSOR
from scene_understanding.nodes.segmentation import Parameters, SegmentationNode
from scene_understanding.perception.segmenter import Segmenter
from scene_understanding.training import export as export_module
from scene_understanding.training.config import TrainingError
from scene_understanding.training.export import export, store_as_int16
from scene_understanding.training.model_card import Export, card, command_of
from scene_understanding.training.networks import build
from scene_understanding.training.presets import find_config, read_run_config, with_epochs
from scene_understanding.training.segmentation import SegmentationRun
from scene_understanding.training.segmentation_config import SegmentationConfig


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, two_heads: SegmentationConfig, tiny_set: list[RgbdSample]) -> Path:
    """A short training of two heads: walls and floors, which are 1 and 2 in nyu40."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    samples = [replace(sample, label=sample.label // 8 + 1) for sample in tiny_set]
    SegmentationRun(replace(two_heads, epochs=1), samples, samples[:4], folder, "nyu40").fit()
    return folder


def scores(folder: Path) -> np.ndarray:
    card = read_card(folder)
    rng = np.random.default_rng(0)
    inputs = {name: rng.normal(0, 1, spec.shape).astype(np.float32) for name, spec in card.inputs.items()}
    return OnnxRuntimeNetwork(card, threads=1)(inputs)["scores"]


def test_the_model_says_where_it_comes_from(run: Path, tmp_path: Path) -> None:
    export(Export(run, "tiny", tmp_path / "tiny", history=("by hand",)))
    card = read_card(tmp_path / "tiny")
    assert (card.name, card.task, card.label_set) == ("tiny", "segmentation", "nyu13")
    assert card.sha256 == hashlib.sha256(card.path.read_bytes()).hexdigest()
    assert card.outputs == {"scores": (1, 13, 48, 64)}
    assert card.training["history"] == ["by hand"] and card.training["epochs"] == 1
    assert card.training["samples"] == {"train": 16, "val": 4}
    assert card.metrics["val"]["epoch"] == 1 and set(card.metrics["val"]["iou"]) == set(load_label_set("nyu13").names)
    nyu13 = load_label_set("nyu13")
    assert set(nyu13.ids) - set(card.unscored) == {nyu13.id_of("wall"), nyu13.id_of("floor")}
    assert [i.name for i in onnxruntime.InferenceSession(card.path).get_inputs()] == ["color", "depth"]


def test_no_place_of_the_machine_is_on_the_card(tmp_path: Path, run: Path) -> None:
    moved = tmp_path / "run"
    moved.mkdir()
    for file in ("best.pt", "log.csv", "log.json"):
        (moved / file).write_bytes((run / file).read_bytes())
    config = yaml.safe_load((run / "config.yaml").read_text())
    config |= {"data": "nyuv2:/home/me/nyu", "start": "/home/me/a.safetensors", "init": "/home/me/runs/first/best.pt"}
    (moved / "config.yaml").write_text(yaml.safe_dump(config | {"train": "/home/me/list.txt", "name": "mine"}))
    export(Export(moved, "tiny", tmp_path / "tiny"))
    text = (tmp_path / "tiny/model.yaml").read_text()
    training = read_card(tmp_path / "tiny").training
    assert "/home" not in text
    assert training["command"] == "scene-understanding train segmentation --config mine --data nyuv2:DIR"
    assert training["config"]["init"] == "first/best.pt" and training["split"]["train"] == "list.txt"


def test_the_command_says_what_is_not_as_shipped() -> None:
    config = replace(find_config("fusenet_nyu13"), data="nyuv2:/home/me/nyu")
    command = "scene-understanding train segmentation --config fusenet_nyu13 --data nyuv2:DIR"
    assert command_of(config) == command
    assert command_of(with_epochs(config, 8)) == f"{command} --epochs 8"
    other = replace(config, train="/home/me/my list.txt", val="80-100%", init="")
    assert command_of(other) == f"{command} --train 'my list.txt' --val 80-100% --init ''"
    assert command_of(replace(other, name="mine")) == command.replace("fusenet_nyu13", "mine")


def test_the_figures_are_those_of_the_weights(run: Path, tmp_path: Path) -> None:
    header, row = (run / "log.csv").read_text().splitlines()
    (tmp_path / "log.csv").write_text("\n".join([header, row, row.replace("1,", "2,", 1), ""]))
    wish, config, shape = Export(tmp_path, "tiny", tmp_path), read_run_config(run), {"scores": (1, 13, 48, 64)}
    model = run / "best.pt"  # any file
    assert card(wish, config, model, shape)["metrics"]["val"]["epoch"] == 2  # of two that are equal the last is kept
    (tmp_path / "log.csv").write_text(header + "\n")
    with pytest.raises(TrainingError, match="log.csv holds no validation"):
        card(wish, config, model, shape)


def test_either_head_can_be_exported(run: Path, tmp_path: Path, two_heads: SegmentationConfig) -> None:
    export(Export(run, "fine", tmp_path / "fine", head="auxiliary", output_stride=2))
    card = read_card(tmp_path / "fine")
    assert card.label_set == "nyu40" and card.outputs == {"scores": (1, 40, 24, 32)}
    assert set(card.metrics["val"]) == {"epoch", "oa", "ma", "miou"}
    assert set(card.unscored) == set(load_label_set("nyu40").ids) - {1, 2}

    network = build(replace(two_heads, start="", init=""), 13, 40).eval()
    network.load_state_dict(torch.load(run / "best.pt", weights_only=True))
    rng = np.random.default_rng(0)
    inputs = [torch.from_numpy(rng.normal(0, 1, s.shape).astype(np.float32)) for s in card.inputs.values()]
    with torch.no_grad():
        expected = network.score_maps(*inputs)[1]
        expected = torch.nn.functional.interpolate(expected, size=(24, 32), mode="bilinear")
    np.testing.assert_allclose(scores(tmp_path / "fine"), expected.numpy(), atol=1e-3)


def test_weights_of_16_bits_halve_the_file_and_change_little(run: Path, tmp_path: Path) -> None:
    for name, int16 in (("whole", False), ("half", True)):
        export(Export(run, name, tmp_path / name, int16=int16))
    whole, half = (read_card(tmp_path / name) for name in ("whole", "half"))
    assert half.path.stat().st_size < 0.56 * whole.path.stat().st_size
    assert half.architecture["stored_as"] == "int16" and "stored_as" not in whole.architecture
    expected, found = scores(tmp_path / "whole"), scores(tmp_path / "half")
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= 1e-2 * np.abs(expected).max()
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.999

    options = onnxruntime.SessionOptions()  # as it is run: the weights are made when it is loaded
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(half.path, options, providers=["CPUExecutionProvider"])
    assert not {"Cast", "Mul"} & {node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node}


def test_only_weights_get_16_bits(tmp_path: Path) -> None:
    torch.onnx.export(
        torch.nn.Linear(8, 300), (torch.zeros(1, 8),), str(tmp_path / "linear.onnx"), dynamo=False, opset_version=17
    )
    store_as_int16(tmp_path / "linear.onnx")
    kinds = {
        tensor.name: onnx.TensorProto.DataType.Name(tensor.data_type)
        for tensor in onnx.load(tmp_path / "linear.onnx").graph.initializer
    }
    assert kinds == {"weight_int16": "INT16", "weight_scale": "FLOAT", "bias": "FLOAT"}


def test_a_model_is_replaced_as_a_whole_or_not_at_all(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = Export(run, "tiny", tmp_path / "tiny")
    export(wish)
    before = {path.name: path.read_bytes() for path in wish.folder.iterdir()}
    assert set(before) == {"model.onnx", "model.yaml"}
    with monkeypatch.context() as strict:
        strict.setattr(export_module, "TOLERANCE", -1.0)
        with pytest.raises(TrainingError, match="^model.onnx differs from PyTorch by"):
            export(replace(wish, head="auxiliary"))
    assert {path.name: path.read_bytes() for path in wish.folder.iterdir()} == before
    export(replace(wish, head="auxiliary"))
    card = read_card(wish.folder)
    assert card.label_set == "nyu40" and card.sha256 == hashlib.sha256(card.path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", "", "/tmp/evil"])
def test_a_name_is_no_path(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    code, _, err = call(capfd, "export", run, name, "--out", tmp_path / "models")
    assert code == 2 and f"error: '{name}' cannot be the name of a model" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head": "third"}, "no head 'third'; it has main, auxiliary"),
        ({"run": Path("/x")}, "/x is not the folder of a"),
    ],
)
def test_what_cannot_be_exported_is_one_line(run: Path, tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        export(replace(Export(run, "tiny", tmp_path / "tiny"), **change))


@pytest.mark.parametrize("content", [b"torn", {"score.weight": 1}])
def test_damaged_weights_are_one_line(run: Path, tmp_path: Path, content: bytes | dict) -> None:
    for file in ("config.yaml", "log.csv"):
        (tmp_path / file).write_bytes((run / file).read_bytes())
    path = tmp_path / "best.pt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(TrainingError, match="best.pt (cannot be read as weights|does not fit the config)") as error:
        export(Export(tmp_path, "tiny", tmp_path / "tiny"))
    assert "\n" not in str(error.value) and not (tmp_path / "tiny").exists()


# A folder of one's own


def call(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(list(map(str, arguments)))
    out, err = capfd.readouterr()
    return int(exit_.value.code or 0), out, err


def test_a_folder_of_ones_own_from_pictures_to_labels(own: Path, capfd: pytest.CaptureFixture[str], tiny_set) -> None:
    work = own.parent
    train = ("train", "segmentation", "--config", work / "tiny.yaml", "--data", f"folder:{own}", "--out", work / "run")
    code, out, err = call(capfd, *train, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["epochs"] == 2 and set(report["iou"]) == {"shelf", "bottle"}
    code, out, err = call(capfd, *train)  # nothing left to do
    assert code == 0 and "bottle" in out and f"{100 * report['miou']:.1f}" in out

    (own / "labels.yaml").unlink()  # the model has its own
    code, out, err = call(capfd, "export", work / "run", "shelf", "--out", work / "models")
    assert code == 0, err
    assert call(capfd, "export", work / "run", "shelf", "--out", work / "models")[0] == 2
    assert call(capfd, "export", work / "run", "shelf", "--out", work / "models", "--force")[0] == 0
    moved = (work / "models/shelf").rename(work / "elsewhere")
    segmenter = Segmenter(OnnxRuntimeNetwork(read_card(moved), threads=1))
    assert segmenter.labels.names == ("shelf", "bottle")
    found = segmenter(tiny_set[0].rgb, tiny_set[0].depth)
    assert found.label.shape == (48, 64) and set(np.unique(found.label)) <= {2, 7}
    mask, label_info = node_outputs(moved, tiny_set[0])
    np.testing.assert_array_equal(mask, found.label)
    assert [(c.class_id, c.class_name) for c in label_info.class_map] == [(2, "shelf"), (7, "bottle")]


def node_outputs(model: Path, sample: RgbdSample) -> tuple[np.ndarray, Any]:
    """Mask and label_info of the segmentation node with this model."""
    bus, heard = Bus(), {}
    image, info = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
    for name, kind in (("mask", image), ("label_info", "vision_msgs/msg/LabelInfo")):
        bus.subscribe(
            f"/segmentation/{name}", kind, SENSOR, "/test", lambda d, name=name: heard.update({name: d.message()})
        )
    runner = NodeRunner(SegmentationNode(Parameters(model=str(model), threads=1)), bus, inline=True).start()
    header = make_header(10**9, "camera_optical_frame")
    for topic, kind, message in (
        ("rgb/camera_info", info, camera_to_camera_info(sample.camera, header)),
        ("rgb/image_rect_color", image, array_to_image(sample.rgb, "rgb8", header)),
        ("depth_registered/image_rect", image, array_to_image(sample.depth, "32FC1", header)),
    ):
        bus.advertise(f"/{topic}", kind, SENSOR, "/test").publish(message)
    while runner.step():
        pass
    return image_to_array(heard["mask"]), heard["label_info"]


def broken(own: Path, what: str) -> None:
    """Makes one thing wrong."""
    if what == "size":
        cv2.imwrite(str(own / "label/03.png"), np.full((24, 32), 7, np.uint8))
    elif what == "sizes":
        for part, image in (("rgb", np.zeros((24, 32, 3), np.uint8)), ("label", np.full((24, 32), 7, np.uint8))):
            cv2.imwrite(str(own / part / "03.png"), image)
        cv2.imwrite(str(own / "depth/03.png"), np.zeros((24, 32), np.uint16))
    elif what == "id":
        cv2.imwrite(str(own / "label/03.png"), np.full((48, 64), 9, np.uint8))
    elif what == "depth":
        (own / "depth/03.png").unlink()
    elif what == "damaged":
        (own / "rgb/03.png").write_bytes(b"no picture")
    elif what == "labels":
        (own / "labels.yaml").unlink()
    elif what == "few":
        for path in [*own.glob("*/0*.png"), *own.glob("*/10.png"), *own.glob("*/11.png"), *own.glob("*/12.png")]:
            path.unlink()
    elif what == "unlabelled":
        for path in own.glob("label/*.png"):
            cv2.imwrite(str(path), np.full((48, 64), 255, np.uint8))


@pytest.mark.parametrize(
    ("what", "options", "message"),
    [
        ("size", (), "label/03.png is 32x24; expected 64x48"),
        ("sizes", (), "sample 03 is 32x24, those before 64x48; `size: [height, width]` in the config makes them equal"),
        ("id", (), "label/03.png holds ids that are no class: 9 (3072 pixels)"),
        ("depth", (), "depth/03.png is missing"),
        ("damaged", (), "rgb/03.png is damaged or not an image"),
        ("labels", (), "labels.yaml is missing"),
        ("few", (), "2 training samples do not make one step of 4"),
        ("unlabelled", (), "no pixel of the training samples is in a class of shelf"),
        ("", ("--train", "train"), "no list 'train'"),
        (
            "",
            ("--init", "nowhere.pt"),
            "init: the starting weights nowhere.pt are missing; say where they are with --init",
        ),
        ("", ("--epochs", "0"), "epochs is 0; it must be at least 1"),
        ("", ("--data", "folder:/nowhere"), "/nowhere does not exist"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(
    own: Path, capfd: pytest.CaptureFixture[str], what: str, options: tuple[str, ...], message: str
) -> None:
    broken(own, what)
    config, out = own.parent / "tiny.yaml", own.parent / "run"
    code, _, err = call(
        capfd, "train", "segmentation", "--config", config, "--data", f"folder:{own}", "--out", out, *options
    )
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == 2 and len(errors) == 1 and message in errors[0], err
    assert "Traceback" not in err
