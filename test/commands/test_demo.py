"""The demo, shortened: the same code as `make demo`, for seconds instead of minutes."""

import json
import os
import subprocess
import sys

import cv2
import pytest

from scene_understanding.commands import demo
from scene_understanding.hosts.bag_reader import BagReader
from scene_understanding.inference.store import find


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "scene_understanding.cli", "demo", "--seed", "7", "--seconds", "5", "--json"]
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    return json.loads(done.stdout), out, done.stderr


def test_both_ways_label_and_are_scored(report) -> None:
    result, out, _ = report
    assert result["out"] == str(out)
    for way in (result["two_processes"], result["one_process"]):
        assert way["masks"] >= 3
        assert 0 < way["miou"] <= 1 and 0 < way["fps"] and way["drops"] >= 0
        assert 0 < way["latency_p50_ms"] <= way["latency_p95_ms"]
        assert way["refused"] == way["failed"] == 0
    assert result["miou"] == result["one_process"]["miou"]
    assert set(result["iou"]) == set(find("fusenet_embedded13").metrics["val"]["iou"])


def test_what_it_leaves_behind(report) -> None:
    result, out, _ = report
    strip = cv2.imread(str(out / "overlay.png"))
    assert strip.shape == (3 * 240, 320 * demo.STRIP, 3)
    video = cv2.VideoCapture(str(out / "overlay.mp4"))
    assert abs(video.get(cv2.CAP_PROP_FRAME_COUNT) - result["one_process"]["masks"]) <= 3
    topics = {topic.name for topic in BagReader(out / "run.mcap").topics}
    assert {"/segmentation/mask", "/segmentation/points", "/ground_truth/mask", "/tf_static"} <= topics


def test_the_simulator_process_ends_with_its_block() -> None:
    with demo.simulator_process(7, os.environ) as child:
        assert child.poll() is None
    assert child.returncode is not None


def test_what_the_network_has_seen_is_known() -> None:
    assert {900, 1000, 1179} <= demo.seen_by_network()
    assert demo.SEED not in demo.seen_by_network()


def test_a_duration_that_is_none_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="seconds is nan"):
        demo.run(seconds=float("nan"), out=tmp_path)
