"""The demo, shortened: the same code as `make demo`, for seconds instead of minutes."""

import inspect
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from scene_understanding import cli
from scene_understanding.commands import demo
from scene_understanding.datasets.cloud_files import read_cloud
from scene_understanding.hosts.bag_reader import BagReader
from scene_understanding.inference.store import find
from scene_understanding.mapping.map_file import load_map


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "scene_understanding.cli", "demo", "--seed", "7", "--seconds", "6", "--json"]
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    return json.loads(done.stdout), out


def test_the_map_is_scored(report) -> None:
    result, out = report
    assert result["out"] == str(out) and result["collisions"] == 0 and result["done_after"] is None
    assert 0.02 < result["coverage"] < 0.9
    assert 0.2 < result["map_miou"] <= 1 and result["map_iou"]["floor"] > 0.6
    assert 0 <= result["people_in_map"] < 0.05 * result["voxels"]
    assert set(result["map_iou"]) == set(find("fusenet_embedded13").metrics["val"]["iou"])
    for figures in result["nodes"].values():
        assert figures["failed"] == 0 and figures["refused"] <= 2
    assert result["nodes"]["/segmentation"]["sets"] == 6 * demo.RATE


def test_what_it_leaves_behind(report) -> None:
    result, out = report
    assert cv2.imread(str(out / "map.png")).std() > 10 and (out / "overlay.png").exists()
    built = load_map(out / "map.npz")
    try:
        assert len(built.cloud().xyz) == result["voxels"] == len(read_cloud(out / "map.ply").xyz)
    finally:
        built.close()
    with BagReader(out / "run.mcap") as bag:
        topics = {topic.name for topic in bag.topics}
    assert {"/semantic_map/occupancy", "/exploration/path", "/cmd_vel", "/tf_static"} <= topics


def test_the_same_seed_gives_the_same_drive(report, tmp_path) -> None:
    again = demo.run(seed=7, seconds=6.0, out=tmp_path)
    for name in ("coverage", "driven", "voxels", "map_miou"):
        assert np.isclose(again[name], report[0][name], rtol=1e-3), name


def test_what_the_network_has_seen_is_known() -> None:
    assert {900, 1000, 1179} <= demo.seen_by_network()
    assert demo.SEED not in demo.seen_by_network()
    assert inspect.signature(cli.demo).parameters["seed"].default == demo.SEED


def test_a_duration_that_is_none_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="seconds is nan"):
        demo.run(seconds=float("nan"), out=tmp_path)
