"""`evaluate` of SnapNet: tiles of Oakland, files, the card, and wishes that cannot be met."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from scene_understanding.cli import main
from scene_understanding.commands.scoring import default_split
from scene_understanding.labels import load_label_set
from scene_understanding.perception.snapnet import SnapNetParameters

PARAMETERS = SnapNetParameters(size=48, distances=(6.0, 12.0), elevation=(20.0, 70.0), voxel=0.2, views=2000)
GROUND, FACADE = 3, 4


def call(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any], str]:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in ("evaluate", *arguments)])
    out, err = capfd.readouterr()
    return int(done.value.code or 0), json.loads(out.splitlines()[-1]) if "--json" in arguments and out else {}, err


@pytest.fixture
def oakland(tmp_path: Path) -> Path:
    """Two tiles of a road and a wall; a car on it is not labelled, and the wall of `b` is said to be foliage."""
    folder = tmp_path / "oakland"
    folder.mkdir()
    steps = np.arange(0.05, 8, 0.1)
    road = np.stack(np.meshgrid(steps, steps, [0.0], indexing="ij"), -1).reshape(-1, 3)
    wall = np.stack(np.meshgrid([8.0], steps, np.arange(1, 6, 0.1), indexing="ij"), -1).reshape(-1, 3)
    for name, wall_id in (("a", 1400), ("b", 1300)):
        label = np.repeat(np.array([1203, wall_id], np.uint16), [len(road), len(wall)])
        label[:50] = 1501
        np.savez(folder / f"{name}.npz", xyz=np.concatenate([road, wall]).astype(np.float32), label=label)
    (folder / "first.txt").write_text("a\n")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """What is lower than 0.3 m is ground, what is higher facade: by the third channel of the picture `shape`."""
    onnx = pytest.importorskip("onnx")
    helper, size = onnx.helper, PARAMETERS.size
    weight, bias = np.zeros((5, 3, 1, 1), np.float32), np.full(5, -1e3, np.float32)
    weight[[GROUND, FACADE], 2] = [[[-1]], [[1]]]
    bias[[GROUND, FACADE]] = [5, -5]  # 16 m are 255
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Conv", ["shape", "weight", "bias"], ["scores"])], "heights",
        [info("shape", onnx.TensorProto.FLOAT, [1, 3, size, size])],
        [info("scores", onnx.TensorProto.FLOAT, [1, 5, size, size])],
        [onnx.numpy_helper.from_array(v, n) for n, v in (("weight", weight), ("bias", bias))],
    )  # fmt: skip
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    folder = tmp_path / "heights"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(content)
    card = {
        "name": "heights", "task": "cloud_segmentation", "file": "model.onnx", "label_set": "oakland5",
        "sha256": hashlib.sha256(content).hexdigest(), "snapnet": PARAMETERS.as_card(),
        "inputs": {"shape": {"shape": [1, 3, size, size], "mean": [0.0] * 3, "std": [1.0] * 3,
                             "channels": ["linearity", "planarity", "height"]}},
        "outputs": {"scores": [1, 5, size, size]},
    }  # fmt: skip
    (folder / "model.yaml").write_text(yaml.safe_dump(card))
    return folder


def test_points_of_a_list_of_tiles(model: Path, oakland: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, report, err = call(
        capfd, model, "--data", f"oakland3d:{oakland}", "--split", oakland / "first.txt", "--threads", 1, "--json"
    )
    assert code == 0, err
    assert (report["clouds"], report["points"], report["task"]) == (1, 80 * 80 + 80 * 50, "cloud_segmentation")
    assert report["oa"] > 0.97 and report["ma"] > 0.97 and report["miou"] > 0.95
    assert report["points_per_s"] == pytest.approx(report["points"] / report["seconds"])
    assert set(report["iou"]) == set(load_label_set("oakland5").names) and report["iou"]["wire"] is None
    assert report["share"]["ground"] == pytest.approx((6400 - 50) / (6400 - 50 + 4000))
    assert report["accuracy"]["facade"] > 0.97 and report["accuracy"]["vegetation"] is None


def test_files_and_the_card(model: Path, oakland: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    code, report, err = call(
        capfd, model, "--data", f"oakland3d:{oakland}", "--split", "all", "--out", out, "--card", "mine", "--json"
    )
    assert code == 0, err
    assert report["clouds"] == 2 and report["iou"]["vegetation"] == 0 and report["accuracy"]["facade"] > 0.97
    with open(out / "per_cloud.csv", encoding="utf-8") as file:
        rows = {row["cloud"]: row for row in csv.DictReader(file)}
    assert float(rows["a"]["oa"]) > 0.97 and 0.5 < float(rows["b"]["oa"]) < 0.7
    counts = json.loads((out / "report.json").read_text())["confusion"]["counts"]
    assert counts[0][FACADE] > 3800 and sum(counts[0]) == 4000  # all that is said to be foliage
    with open(out / "per_class.csv", encoding="utf-8") as file:
        assert [row["class"] for row in csv.DictReader(file)] == list(load_label_set("oakland5").names)
    assert {path.name for path in (out / "clouds").iterdir()} == {"a.png", "b.png"}
    kept = yaml.safe_load((model / "model.yaml").read_text())["metrics"]["mine"]
    assert kept["miou"] == pytest.approx(report["miou"], abs=1e-4) and kept["clouds"] == 2
    assert kept["command"] == "scene-understanding evaluate heights --data oakland3d:DIR --split all"


def test_for_people(model: Path, oakland: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", str(model), "--data", f"oakland3d:{oakland}", "--split", "all", "--limit", "1"])
    text = capfd.readouterr().out
    assert f"heights on oakland3d:{oakland}, all: 1 clouds, 10400 points" in text
    assert "mean of 2 classes: IoU" in text and "points a second" in text


def test_wishes_that_cannot_be_met(
    model: Path, oakland: Path, tiny_model: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    data = f"oakland3d:{oakland}"
    assert default_split(data) == "val"
    for arguments, message in (
        ((model, "--data", data), "has no tile oakland_part2_ah.npz"),
        ((model, "--data", data, "--views", 2), "--views is not for models of clouds"),
        ((model, "--data", "embedded:5"), "'embedded' is no dataset of point clouds"),
        ((tiny_model(), "--data", data), "oakland3d holds point clouds"),
    ):
        code, _, err = call(capfd, *arguments)
        assert code == 2 and message in err, err


def test_labels_of_another_set_are_refused(
    tiny_model: Callable[..., Path], oakland: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    parameters = SnapNetParameters(size=16).as_card()
    other = tiny_model((16, 16), task="cloud_segmentation", snapnet=parameters)
    code, _, err = call(capfd, other, "--data", f"oakland3d:{oakland}", "--split", "all")
    assert code == 2 and "is labelled in oakland5, model 'tiny' knows tiny" in err
