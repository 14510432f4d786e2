"""A node as `ros2 run` starts it: a process with arguments, signals and an exit code; and its twin over DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs a sourced ROS 2")

from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

pytestmark = pytest.mark.ros

ROOT = Path(__file__).parents[2]
SCORE = "scene_understanding.nodes.segmentation_score:SegmentationScoreNode"
RUN = "import sys\nfrom scene_understanding.hosts.ros2 import main\nsys.exit(main(sys.argv.pop(1)))"
TWIN = """
import sys, time
from scene_understanding.hosts.dds_host import run
from scene_understanding.hosts.names import RosArguments
from scene_understanding.nodes.node import SENSOR, Input, Node, Output

class Echo(Node):
    name = "twin"
    inputs = (Input("image", "/echo/image", "sensor_msgs/msg/Image", SENSOR),)
    outputs = (Output("image", "~/image", "sensor_msgs/msg/Image"),)
    def process(self, messages, context):
        return {"image": messages["image"]}

sys.exit(run([Echo]))
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(domain: int) -> Iterator[Start]:
    processes = []

    def start(code: str, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        command, environment = [sys.executable, "-c", code, *arguments], {**os.environ, **changes}
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, text=True, cwd=ROOT, stdout=pipe, stderr=pipe, env=environment))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_cleanly(number: int, start: Start, peer: Any, until: Any) -> None:
    process = start(RUN, SCORE)
    until(lambda: peer.node.get_publishers_info_by_topic("/segmentation_score/miou"), 60)
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in error and "rror" not in error
    assert "active; subscribes to: /ground_truth/mask" in error


def test_signal_while_it_loads(start: Start) -> None:
    process = start(RUN, SCORE)
    time.sleep(1.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--ros-args", "-p", "no_such:=1"), "error: unknown parameter 'no_such'"),
        (("--ros-args", "-p", "use_sim_time:=7"), "use_sim_time"),
        (("--ros-args", "-r", "nonsense"), "nonsense"),
        (("--ros-args", "--params-file", "/no/such.yaml"), "/no/such.yaml"),
        (("extra",), "error: unknown argument 'extra'"),
    ],
)
def test_mistake_is_one_line_and_exit_code_1(arguments: tuple[str, ...], said: str, start: Start) -> None:
    process = start(RUN, SCORE, *arguments)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said in error and "Traceback" not in error
    lines = [line for line in error.splitlines() if "[rcl]: Failed to parse global arguments" not in line]
    assert len(lines) == 1 and lines[0].startswith("error: ")


def test_missing_model_is_one_line(start: Start) -> None:
    process = start(
        RUN, "scene_understanding.nodes.segmentation:SegmentationNode", "--ros-args", "-p", "model:=no_such_model"
    )
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert error.startswith("error: ") and "no_such_model" in error and len(error.splitlines()) == 1


def test_without_ros_it_says_what_to_do(start: Start) -> None:
    process = start(RUN, SCORE, PYTHONPATH="")
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (
        1,
        "error: Python module 'rclpy' is missing: source the setup.bash of ROS 2\n",
    )


def test_same_wire_as_the_dds_host(start: Start, host: Any, peer: Any, until: Any) -> None:
    """Image from rclpy to a node here, to a node without ROS in another process, and back to rclpy."""
    pytest.importorskip("cyclonedds", reason="no cyclonedds wheel for this platform")
    host()
    environment = {"PYTHONPATH": ""}  # no ROS there
    start(TWIN, **environment)
    here, there = peer.hear(Image, "/echo/image"), peer.hear(Image, "/twin/image")
    publisher = peer.publisher(Image, "/image", qos_profile_sensor_data)
    sent = Image(height=2, width=4, encoding="rgb8", step=12, data=bytes(range(24)))
    deadline = time.monotonic() + 60
    while not (here and there):
        assert time.monotonic() < deadline, f"heard {len(here)} from here and {len(there)} from the twin"
        publisher.publish(sent)
        time.sleep(0.1)
    assert here[0] == sent and there[0] == sent
    assert {"echo", "twin"} <= set(peer.node.get_node_names())
