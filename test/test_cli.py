"""The command line as users and programs see it: in processes of its own, or `main` in this one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from scene_understanding.cli import main
from scene_understanding.commands.catalogue import NODES, node_type
from scene_understanding.commands.output import plain, table
from scene_understanding.hosts.bag_reader import BagReader
from scene_understanding.inference.store import shipped
from scene_understanding.nodes.parameters import describe

COMMANDS = (
    "demo", "simulate", "run", "replay", "convert", "evaluate", "label", "demolition", "map", "train", "export",
    "models", "data", "params", "doctor",
)  # fmt: skip


def call(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command run in this process."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    out, err = capfd.readouterr()
    return int(exit_.value.code or 0), out, err


def call_json(capfd: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The one JSON object of a command with --json; nothing else may be on standard output."""
    code, out, err = call(capfd, *arguments, "--json")
    assert code == 0, err
    (line,) = out.splitlines()
    report: dict[str, Any] = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    return report


@pytest.fixture(scope="module")
def labelled_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A NYUv2 folder of four images: a floor below a wall."""
    folder = tmp_path_factory.mktemp("nyu")
    rng = np.random.default_rng(0)
    for part in ("rgb", "depth", "labels40"):
        (folder / part).mkdir()
    for number in range(1, 5):
        cv2.imwrite(str(folder / f"rgb/{number:04d}.jpg"), rng.integers(0, 256, (240, 320, 3), np.uint8))
        cv2.imwrite(str(folder / f"depth/{number:04d}.png"), np.full((240, 320), 2000, np.uint16))
        label = np.ones((240, 320), np.uint8)
        label[120:] = 2
        cv2.imwrite(str(folder / f"labels40/{number:04d}.png"), label)
    (folder / "train.txt").write_text("1 2 3 4")
    return folder


@pytest.fixture(scope="module")
def labelled_bag(labelled_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    bag = tmp_path_factory.mktemp("bags") / "nyu.mcap"
    with pytest.raises(SystemExit) as exit_:
        main(["convert", f"nyuv2:{labelled_folder}", str(bag)])
    assert not exit_.value.code
    return bag


# What is always so


def test_help_names_every_command(capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in ((), ("--help",), ("-h",)):
        code, out, _ = call(capfd, *arguments)
        assert code == 0
        assert all(f"\n  {command} " in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capfd: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = call(capfd, command, "--help")
    assert (code, out.startswith("Usage:")) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frob"], "No such command 'frob'"),
        (["run"], "Missing argument"),
        (["run", "segmentaton"], "did you mean segmentation?"),
        (["run", "segmentation", "--bogus"], "No such option: --bogus"),
        (["run", "segmentation", "segmentation"], "named twice"),
        (["run", "segmentation", "--seconds", "abc"], "--seconds"),
        (["run", "segmentation", "--seconds", "0"], "above 0"),
        (["run", "segmentation", "--host", "mqtt"], "--host"),
        (["run", "segmentation", "-p", "modell:=x"], "did you mean model?"),
        (["run", "segmentation", "-p", "model"], "not of the form name:=value"),
        (["run", "segmentation", "-r", "a"], "from:=to"),
        (["run", "segmentation", "--params-file", "/nowhere.yaml"], "/nowhere.yaml"),
        (["run", "segmentation", "--ros-args", "-x"], "unknown ROS argument '-x'"),
        (["run", "segmentation", "--ros-args", "--log-level", "loud"], "log level 'loud'"),
        (["simulate", "--out", "x.bag"], "does not end in .mcap"),
        (["simulate", "--out", "x.mcap", "--seconds", "-1"], "seconds is -1"),
        (["simulate", "--out", "x.mcap", "-p", "widht:=9"], "did you mean width?"),
        (["replay", "/nowhere.mcap"], "/nowhere.mcap"),
        (["replay", "/nowhere.mcap", "--nodes", ","], "no node is named"),
        (["replay", "/nowhere.mcap", "--rate", "-1"], "rate is -1"),
        (["replay", "/nowhere.mcap", "--out", "x.bag"], "does not end in .mcap"),
        (["convert", "kitti:/x", "x.mcap"], "kinds are nyuv2, "),
        (["convert", "nyuv2:/nowhere", "x.mcap", "--rate", "inf"], "rate is inf; it must be finite"),
        (["convert", "nyuv2:/nowhere", "x.mcap"], "/nowhere does not exist"),
        (["models", "show", "nothing"], "no model 'nothing'"),
        (["models", "path", "/nowhere"], "no model '/nowhere'"),
        (["params", "camera"], "no node 'camera'"),
        (["train", "segmentation"], "Missing option '--config'"),
        (
            ["train", "segmentation", "--config", "nothing"],
            "no training config 'nothing'; shipped are d3net_dfd, d3net_dfd_embedded, d3net_embedded",
        ),
        (["train", "segmentation", "--config", "fusenet_nyu13"], "give --data nyuv2:PLACE"),
        (["train", "segmentation", "--config", "fusenet_nyu13", "--data", "/x"], "'/x' is not KIND:PLACE"),
        (["export", "/nowhere", "mine"], "/nowhere is not the folder of a training"),
    ],
)
def test_mistakes_are_one_line_and_code_2(
    capfd: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, err = call(capfd, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert message in err


def test_mistakes_with_json_leave_standard_output_empty(capfd: pytest.CaptureFixture[str]) -> None:
    assert call(capfd, "models", "show", "nothing", "--json")[:2] == (2, "")


def test_faults_of_ours_are_one_line_and_code_1(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("scene_understanding.commands.models.listing", fail)
    code, _, err = call(capfd, "models", "list")
    assert code == 1
    assert err == "error: RuntimeError: two lines (SCENE_UNDERSTANDING_TRACEBACK=1 shows where)\n"
    monkeypatch.setenv("SCENE_UNDERSTANDING_TRACEBACK", "1")
    assert "Traceback" in call(capfd, "models", "list")[2]


def test_reader_that_goes_away_leaves_no_noise() -> None:
    command = f"{sys.executable} -m scene_understanding.cli params segmentation | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""


# params, models, doctor


@pytest.mark.parametrize("node", NODES)
def test_params_lists_what_the_node_has(capfd: pytest.CaptureFixture[str], node: str) -> None:
    report = call_json(capfd, "params", node)
    known = describe(node_type(node).parameters_type)
    assert list(report["parameters"]) == list(known)
    out = call(capfd, "params", node)[1]
    assert all(name in out for name in known)


def test_models(capfd: pytest.CaptureFixture[str]) -> None:
    models = call_json(capfd, "models", "list")["models"]
    assert [model["name"] for model in models] == shipped()
    for model in models:
        path = Path(call_json(capfd, "models", "path", model["name"])["path"])
        assert path.is_file()
        assert call(capfd, "models", "path", model["name"])[1] == f"{path}\n"
        assert call_json(capfd, "models", "show", str(path.parent))["label_set"] == model["label_set"]


def test_doctor(capfd: pytest.CaptureFixture[str]) -> None:
    report = call_json(capfd, "doctor")
    assert report["ok"] is True
    assert report["modules"]["numpy"]["version"] == np.__version__
    assert {name for name, host in report["hosts"].items() if host["works"]} >= {"bag", "dds"}
    assert report["providers"]["cpu"]["works"] is True
    assert report["modules"]["onnxruntime"]["works"] is True


# convert and replay


def test_convert(capfd: pytest.CaptureFixture[str], labelled_folder: Path, tmp_path: Path) -> None:
    bag = tmp_path / "folder" / "last.mcap"
    report = call_json(capfd, "convert", f"nyuv2:{labelled_folder}", str(bag), "--last", "2", "--rate", "5")
    assert (report["frames"], report["rate"], report["label_set"]) == (2, 5.0, "nyu13")
    with BagReader(bag) as reader:
        assert {topic.name: topic.count for topic in reader.topics} == report["messages"]
        assert {topic.name for topic in reader.topics if topic.qos[0].durability == "transient_local"} == {
            "/tf_static", "/ground_truth/label_info",
        }  # fmt: skip
        times = [message.time_ns for message in reader.messages({"/rgb/image_rect_color"})]
    assert times[1] - times[0] == 200_000_000


def test_convert_does_not_overwrite_unless_told(
    capfd: pytest.CaptureFixture[str], labelled_folder: Path, tmp_path: Path
) -> None:
    bag = tmp_path / "once.mcap"
    arguments = ("convert", f"nyuv2:{labelled_folder}", str(bag), "--indices", "0")
    assert call(capfd, *arguments)[0] == 0
    first = bag.read_bytes()
    code, _, err = call(capfd, *arguments)
    assert code == 2 and "--force" in err
    assert call(capfd, *arguments, "--force")[0] == 0
    assert bag.read_bytes() == first


def test_convert_makes_no_file_of_a_damaged_dataset(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "frame-000000.color.png").write_bytes(b"")
    code, _, err = call(capfd, "convert", f"7scenes:{tmp_path}", str(tmp_path / "out.mcap"))
    assert code == 2 and "damaged" in err
    assert not (tmp_path / "out.mcap").exists()


def test_convert_that_fails_midway_leaves_no_bag(
    capfd: pytest.CaptureFixture[str], labelled_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "nyu"
    shutil.copytree(labelled_folder, folder)
    (folder / "rgb" / "0003.jpg").write_bytes(b"")
    bag = tmp_path / "bags" / "out.mcap"
    assert call(capfd, "convert", f"nyuv2:{folder}", str(bag))[0] == 2
    assert list(bag.parent.iterdir()) == []
    bag.write_bytes(b"an older bag")
    assert call(capfd, "convert", f"nyuv2:{folder}", str(bag), "--force")[0] == 2
    assert list(bag.parent.iterdir()) == [bag] and bag.read_bytes() == b"an older bag"


def test_replay_scores_and_records(capfd: pytest.CaptureFixture[str], labelled_bag: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "a.mcap", tmp_path / "b.mcap"]
    reports = [call_json(capfd, "replay", str(labelled_bag), "--out", str(out)) for out in outs]
    report = reports[0]
    assert report["masks"] == 4 and 0 <= report["miou"] <= 1
    assert set(report["iou"]) >= {"wall", "floor"}
    assert report["iou"]["bed"] is None
    assert report["latency_p50_ms"] > 0 and report["fps"] > 0 and report["drops"] == 0
    assert report["recorded"]["/segmentation/mask"] == 4
    assert outs[0].read_bytes() == outs[1].read_bytes()
    with BagReader(outs[0]) as reader:
        assert {topic.name: topic.count for topic in reader.topics} == report["recorded"]


def test_replay_table_and_no_evaluate(capfd: pytest.CaptureFixture[str], labelled_bag: Path) -> None:
    out = call(capfd, "replay", str(labelled_bag))[1]
    assert "mean IoU" in out and "p95 ms" in out
    report = call_json(capfd, "replay", str(labelled_bag), "--no-evaluate")
    assert "miou" not in report
    assert "infer" in report["nodes"]["/segmentation"]["stages"]  # it works although nothing is written


@pytest.mark.parametrize(
    ("rules", "node"),
    [(["__node:=seg"], "/seg"), (["__node:=seg", "__ns:=/robot", "ground_truth/mask:=/ground_truth/mask",
      "ground_truth/label_info:=/ground_truth/label_info", "rgb/image_rect_color:=/rgb/image_rect_color",
      "rgb/camera_info:=/rgb/camera_info", "depth_registered/image_rect:=/depth_registered/image_rect"], "/robot/seg"),
     (["segmentation:__node:=seg", "seg:~/mask:=/answer"], "/seg")],
)  # fmt: skip
def test_replay_scores_a_renamed_node(
    capfd: pytest.CaptureFixture[str], labelled_bag: Path, rules: list[str], node: str
) -> None:
    report = call_json(capfd, "replay", str(labelled_bag), *(word for rule in rules for word in ("-r", rule)))
    assert report["masks"] == 4
    assert set(report["nodes"]) == {node, f"{node.removesuffix('seg')}segmentation_score"}


def test_replay_names_the_topics_that_exist(capfd: pytest.CaptureFixture[str], labelled_bag: Path) -> None:
    code, _, err = call(capfd, "replay", str(labelled_bag), "-r", "rgb/image_rect_color:=/camera/image")
    assert code == 2
    assert "/camera/image" in err and "/rgb/image_rect_color (sensor_msgs/msg/Image)" in err
    code, _, err = call(capfd, "replay", str(labelled_bag), "--out", str(labelled_bag), "--force")
    assert code == 2 and "the bag that is read" in err


def test_replay_at_a_rate_takes_its_time(capfd: pytest.CaptureFixture[str], labelled_bag: Path) -> None:
    report = call_json(capfd, "replay", str(labelled_bag), "--rate", "3")
    assert report["seconds"] >= 1.0  # three seconds between the first and the last of four images


# simulate and run


def test_simulate_makes_the_same_bag_every_time(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    options = ("--seed", "3", "--seconds", "0.4", "-p", "width:=64", "-p", "height:=48", "-p", "lidar:=false")
    bags = [tmp_path / "a.mcap", tmp_path / "b.mcap"]
    report, again = (call_json(capfd, "simulate", "--out", str(bag), *options) for bag in bags)
    assert (report["seed"], report["frames"]) == (3, 4)
    assert report["messages"] == again["messages"]
    assert report["messages"]["/ground_truth/mask"] == 4 and report["messages"]["/tf_static"] == 1
    assert bags[0].read_bytes() == bags[1].read_bytes()
    with BagReader(bags[0]) as reader:
        assert {topic.name: topic.count for topic in reader.topics if topic.count} == report["messages"]


def test_simulate_live_ends_after_its_time(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_DOMAIN_ID", "96")
    report = call_json(capfd, "simulate", "--seconds", "2", "-p", "lidar:=false")
    assert report["nodes"]["/simulator"]["ticks"] > 0


def test_run_over_ros2_says_what_it_needs(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rclpy", None)
    monkeypatch.delitem(sys.modules, "scene_understanding.hosts.ros2_host", raising=False)
    code, _, err = call(capfd, "run", "segmentation", "--host", "ros2")
    assert code == 2 and "source the setup.bash" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_cleanly_on_signals(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "scene_understanding.cli", "run", "segmentation", "--json"]
    environment = {**os.environ, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_DOMAIN_ID": "97"}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("running:"):
            break
    time.sleep(0.2)
    child.send_signal(number)
    out, err = child.communicate(timeout=20)
    assert child.returncode == 0, err
    assert json.loads(out)["nodes"]["/segmentation"]["sets"] == 0
    assert "Traceback" not in err


# output


def test_plain_is_json() -> None:
    value = {"a": np.float32(1.5), "b": [float("nan"), np.inf], 3: (np.int64(2), Path("x")), "c": {"d": None}}
    assert plain(value) == {"a": 1.5, "b": [None, None], "3": [2, "x"], "c": {"d": None}}


def test_table_aligns() -> None:
    assert table(("class", "IoU"), [("wall", 0.5), ("floor", None), ("all", 12.25)]) == (
        "class    IoU\nwall   0.500\nfloor      -\nall     12.2"
    )
