"""`demolition` with a network that knows classes by colour, on one small block and on a file of one's own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from scene_understanding.cli import main
from scene_understanding.datasets.cloud_files import write_cloud
from scene_understanding.geometry import PointCloud
from scene_understanding.perception.snapnet import SnapNet, SnapNetParameters

SIZE = 48
SNAPSHOTS = SnapNetParameters(
    voxel=0.8, distances=(40.0,), elevation=(60.0, 90.0), fov=60.0, size=SIZE, views=80, far=150.0
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calls green vegetation, other saturated colours terrain, bright grey rubble and dark grey building."""
    onnx = pytest.importorskip("onnx")
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    weight = np.array([[-2, -2, -2], [1, 1, 1], [3, 0, -3], [-4, 8, -4]], np.float32) / 20
    bias = np.array([30, -20, 0, -2], np.float32)
    constants = [
        onnx.numpy_helper.from_array(weight[..., None, None], "weight"), onnx.numpy_helper.from_array(bias, "bias")
    ]  # fmt: skip
    shapes = {"color": [1, 3, SIZE, SIZE], "scores": [1, 4, SIZE, SIZE]}
    color, scores = (helper.make_tensor_value_info(name, number, shape) for name, shape in shapes.items())
    node = helper.make_node("Conv", ["color", "weight", "bias"], ["scores"])
    graph = helper.make_graph([node], "by_colour", [color], [scores], constants)
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    folder = tmp_path_factory.mktemp("models") / "by_colour"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(network)
    plane = {"shape": shapes["color"], "mean": [0.0] * 3, "std": [1.0] * 3, "channels": ["red", "green", "blue"]}
    card = {
        "name": "by_colour", "task": "cloud_segmentation", "file": "model.onnx", "label_set": "rubble4",
        "sha256": hashlib.sha256(network).hexdigest(), "inputs": {"color": plane},
        "outputs": {"scores": shapes["scores"]}, "snapnet": SNAPSHOTS.as_card(),
    }  # fmt: skip
    (folder / "model.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
    return folder


def call(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capfd.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(["demolition", *arguments])
    out, err = capfd.readouterr()
    return int(exit_.value.code or 0), out, err


def coloured_cloud(path: Path) -> Path:
    """Sixteen metres of building beside as many of rubble, in the colours that the network knows."""
    rng = np.random.default_rng(0)
    xyz = (rng.random((40_000, 3)) * (32, 20, 0.1)).astype(np.float32)
    rgb = np.where(xyz[:, :1] < 16, 60, 170).astype(np.uint8).repeat(3, axis=1)
    write_cloud(path, PointCloud(xyz, rgb))
    return path


def test_a_block_is_scored_and_drawn(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "maps" / "map.png"
    code, printed, err = call(capfd, "rubble:2018", "--model", str(model), "--out", str(out), "--json")
    assert code == 0, err
    report = json.loads(printed)
    for share in ("precision", "recall", "oa", "ma", "miou", "demolition_mae"):
        assert 0 <= report[share] <= 1
    assert report["miou"] < 0.8 and report["rubble_cells"] > 100  # colour does not tell all
    assert set(report["iou"]) == {"building", "rubble", "terrain", "vegetation"}
    (cloud,) = report["clouds"]
    assert cloud["name"] == "rubble_2018" and cloud["points"] > 40_000 and cloud["built_m2"] > 100
    height, width, _ = cv2.imread(str(out)).shape
    assert width > 3 * 460 and height > 460  # truth, classes, demolition
    code, _, err = call(capfd, "rubble:2018", "--model", str(model), "--out", str(out))
    assert code == 2 and "--force" in err


@pytest.mark.parametrize("name", ["block.ply", "block.npz"])
def test_a_file_without_truth(name: str, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, out = coloured_cloud(tmp_path / name), tmp_path / "map.png"
    code, printed, err = call(capfd, str(path), "--model", str(model), "--out", str(out), "--cell", "2", "--json")
    assert code == 0, err
    report = json.loads(printed)
    assert "precision" not in report and "miou" not in report
    (cloud,) = report["clouds"]
    assert cloud["name"] == "block" and cloud["built_m2"] == pytest.approx(640, abs=30)
    assert cloud["demolition"] == pytest.approx(0.5, abs=0.1)
    picture = cv2.cvtColor(cv2.imread(str(out)), cv2.COLOR_BGR2RGB).astype(int)
    panel = picture[70:300, -470:-20]
    assert 2 * 460 < picture.shape[1] < 3 * 460
    assert (panel[:, 40:200].mean((0, 1)) @ [-1, 0, 1]) > 50  # the left half is blue
    code, printed, err = call(capfd, str(path), "--model", str(model))
    assert code == 0 and "built" in printed, err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rubble:x"], "seed"),
        (["nowhere.ply"], "nowhere.ply"),
        (["rubble:1", "--cell", "0"], "--cell is 0 m"),
        (["rubble:1", "--cell", "nan"], "--cell is nan m; it must be above 0"),
        (["rubble:1", "--cell", "inf"], "--cell is inf m"),
    ],
)
def test_what_cannot_be_done_is_told(
    arguments: list[str], told: str, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capfd, *arguments, "--model", str(model))
    assert code == 2 and told in err and len(err.strip().splitlines()) == 1


def test_a_stray_point(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "stray.npz"
    xyz = np.random.default_rng(0).random((100, 3))
    np.savez(path, xyz=np.concatenate([xyz, [(4e6, 5e6, 0)]]), rgb=np.zeros((101, 3), np.uint8))
    monkeypatch.setattr(SnapNet, "__call__", None)  # told before the work
    code, _, err = call(capfd, str(path), "--model", str(model))
    assert code == 2 and "stray: a cloud of 4e+06 x 5e+06 m is too wide for cells of 1 m" in err.splitlines()[-1]


def test_a_cloud_without_colour(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "grey.ply"
    write_cloud(path, PointCloud(np.random.default_rng(0).random((100, 3)).astype(np.float32)))
    code, _, err = call(capfd, str(path), "--model", str(model))
    assert code == 2 and "has no colour" in err


def test_a_network_without_rubble(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    classes = [{"id": i, "name": name, "colour": [i, 0, 0]} for i, name in enumerate(("wall", "a", "b", "building"))]
    labels = tmp_path / "other.yaml"
    labels.write_text(yaml.safe_dump({"name": "other", "classes": classes}))
    folder = tmp_path / "by_colour"
    folder.mkdir()
    card = yaml.safe_load((model / "model.yaml").read_text())
    (folder / "model.yaml").write_text(yaml.safe_dump({**card, "label_set": str(labels)}))
    (folder / "model.onnx").write_bytes((model / "model.onnx").read_bytes())
    code, _, err = call(capfd, "rubble:1", "--model", str(folder))
    assert code == 2 and "knows no rubble" in err
