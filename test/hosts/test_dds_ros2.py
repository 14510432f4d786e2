"""A node of the `dds` host as a real ROS 2 with rmw_cyclonedds_cpp sees it; needs `ros2` on the path (sourced)."""

import os
import random
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("cyclonedds", reason="no cyclonedds wheel for this platform")

from scene_understanding.messages.types import type_hash

ROS2 = shutil.which("ros2")
pytestmark = [pytest.mark.ros, pytest.mark.skipif(ROS2 is None, reason="no sourced ROS 2")]
ROOT = Path(__file__).parents[2]
HOST = """
import sys
from dataclasses import dataclass
import numpy as np
from scene_understanding.hosts.dds_host import run
from scene_understanding.hosts.names import RosArguments
from scene_understanding.messages.types import Header, Image, String, Time
from scene_understanding.nodes.node import LATCHED, RELIABLE, Input, Node, Output
from scene_understanding.nodes.parameters import parameter

@dataclass(frozen=True)
class Parameters:
    gain: float = parameter(0.5, "how much", bounds=(0.0, 1.0), runtime=True)
    model: str = parameter("small", "which file")

class Camera(Node):
    name = "camera"
    parameters_type = Parameters
    inputs = (Input("text", "text", "std_msgs/msg/String", RELIABLE),)
    outputs = (Output("image", "~/image", "sensor_msgs/msg/Image"), Output("heard", "~/heard", "std_msgs/msg/String"),
               Output("info", "~/info", "std_msgs/msg/String", LATCHED))
    period = 1 / 30
    data = np.zeros(640 * 480 * 3, np.uint8)
    told = False

    def process(self, messages, context):
        return {"heard": String(data=messages["text"].data.upper())}

    def tick(self, context):
        header = Header(Time(sec=context.now_ns // 10**9, nanosec=0), "optical")
        outputs = {"image": Image(header, 480, 640, "rgb8", 0, 1920, self.data)}
        if not self.told:
            outputs["info"], self.told = String(data="latched"), True
        return outputs

sys.exit(run([Camera], RosArguments.parse(["--ros-args", "-r", "__ns:=/robot"])[0]))
"""
NODE = "/robot/camera"


@pytest.fixture(scope="module", autouse=True)
def host() -> Iterator[None]:
    before = dict(os.environ)
    tag = f"<Discovery><Tag>{uuid.uuid4()}</Tag></Discovery>"
    os.environ |= {
        "ROS_DOMAIN_ID": str(random.randint(1, 100)),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp",
        "CYCLONEDDS_URI": f"<CycloneDDS><Domain>{tag}</Domain></CycloneDDS>",
    }
    process = subprocess.Popen([sys.executable, "-c", HOST], cwd=ROOT)
    until = time.monotonic() + 60
    while NODE not in ros2("node", "list", "--no-daemon", "--spin-time", "1") and time.monotonic() < until:
        time.sleep(0.2)
    yield
    process.kill()
    process.wait()
    os.environ.clear()
    os.environ |= before


def ros2(*arguments: str, seconds: float = 40.0) -> str:
    """Standard output and error of the tool, which is ended after `seconds`."""
    command = [str(ROS2), *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


def no_daemon(*arguments: str) -> str:
    return ros2(*arguments, "--no-daemon", "--spin-time", "1.5")


def test_topics_have_their_types_and_hashes():
    assert f"{NODE}/image [sensor_msgs/msg/Image]" in no_daemon("topic", "list", "-t")
    text = no_daemon("topic", "info", "-v", f"{NODE}/image")
    for line in ("Node name: camera", "Node namespace: /robot", "Reliability: RELIABLE", "Durability: VOLATILE"):
        assert line in text
    assert f"Topic type hash: {type_hash('sensor_msgs/msg/Image')}" in text
    assert "INVALID" not in text and "WARN" not in text


def test_the_node_shows_what_it_has():
    text = no_daemon("node", "info", NODE)
    for line in ("/robot/text: std_msgs/msg/String", f"{NODE}/image: sensor_msgs/msg/Image", "/rosout: rcl_interfaces"):
        assert line in text
    assert f"{NODE}/set_parameters_atomically: rcl_interfaces/srv/SetParametersAtomically" in text


def test_messages_are_read():
    latched = ("--qos-durability", "transient_local", "--qos-reliability", "reliable")
    assert "data: latched" in ros2("topic", "echo", "--once", f"{NODE}/info", "std_msgs/msg/String", *latched)
    image = ros2("topic", "echo", "--once", "--no-arr", f"{NODE}/image", "sensor_msgs/msg/Image")
    assert "frame_id: optical" in image and "length: 921600" in image
    assert "average rate:" in ros2("topic", "hz", f"{NODE}/image", seconds=8)


def test_what_ros_publishes_is_heard():
    echo = subprocess.Popen(
        [str(ROS2), "topic", "echo", "--once", f"{NODE}/heard", "std_msgs/msg/String"],
        stdout=subprocess.PIPE,
        text=True,
    )
    ros2("topic", "pub", "-r", "10", "-t", "60", "/robot/text", "std_msgs/msg/String", "data: hello")
    assert "data: HELLO" in echo.communicate(timeout=40)[0]


def test_parameters():
    assert "Double value is: 0.5" in no_daemon("param", "get", NODE, "gain")
    assert "Set parameter successful" in no_daemon("param", "set", NODE, "gain", "0.75")
    assert "parameter 'gain' is 7.5; allowed is 0.0 to 1.0" in no_daemon("param", "set", NODE, "gain", "7.5")
    assert "can only be set at start" in no_daemon("param", "set", NODE, "model", "x")
    assert no_daemon("param", "list", NODE).split() == ["gain", "model", "use_sim_time"]
    described = no_daemon("param", "describe", NODE, "gain", "model")
    assert "Max value: 1.0" in described and "Read only: true" in described
    assert "gain: 0.75" in no_daemon("param", "dump", NODE)
