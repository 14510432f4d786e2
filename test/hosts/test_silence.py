"""A node that gets nothing to work on says why."""

import logging
import math
import time
from collections.abc import Mapping

import numpy as np
import pytest

from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.names import RosArguments
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.hosts.silence import explain, incompatible
from scene_understanding.messages.diagnostics import diagnostic_values
from scene_understanding.messages.header import make_header
from scene_understanding.messages.types import Image, String
from scene_understanding.nodes.node import LATCHED, RELIABLE, SENSOR, Input, InputError, Node, Synchronised

IMAGE, STRING, INFO = "sensor_msgs/msg/Image", "std_msgs/msg/String", "sensor_msgs/msg/CameraInfo"
SECOND = 10**9


def image(stamp_ns: int) -> Image:
    return Image(make_header(stamp_ns, "camera"), 1, 1, "mono8", 0, 1, np.zeros(1, np.uint8))


class Viewer(Node):
    name = "viewer"
    inputs = (Input("image", "image", IMAGE, RELIABLE),)

    def process(self, messages: Mapping, context: object) -> Mapping:
        raise InputError(f"encoding '{messages['image'].encoding}' is not known")


class Pairs(Node):
    name = "pairs"
    inputs = (
        Synchronised((Input("color", "color", IMAGE), Input("depth", "depth", IMAGE)), slop=0.01),
        Input("info", "info", INFO, latched=True),
        Input("note", "note", STRING, latched=True, required=False),
    )

    def process(self, messages: Mapping, context: object) -> Mapping:
        return {}


@pytest.fixture
def start():
    runners = []

    def start(node: type[Node], bus: Bus, **parameters: object) -> NodeRunner:
        arguments = RosArguments.of(parameters=[f"{name}:={value}" for name, value in parameters.items()])
        runners.append(NodeRunner.create(node, bus, arguments).start())
        return runners[-1]

    yield start
    for runner in runners:
        runner.close()


def test_no_publisher(start) -> None:
    assert explain(start(Viewer, Bus())) == [f"input 'image' (/image, {IMAGE}): no publisher"]


def test_publisher_of_another_type(start, buses) -> None:
    here, there = buses
    there.advertise("/image", "sensor_msgs/msg/CompressedImage", SENSOR, "/camera")
    said = f"input 'image' (/image, {IMAGE}): published as sensor_msgs/msg/CompressedImage by /camera"
    assert explain(start(Viewer, here)) == [said]


def test_incompatible_qos(start, buses) -> None:
    here, there = buses
    there.advertise("/image", IMAGE, SENSOR, "/camera")
    assert explain(start(Viewer, here)) == [
        f"input 'image' (/image, {IMAGE}): /camera offers best_effort, reliable is requested, so nothing is delivered; "
        "set qos_overrides./image.subscription"
    ]
    runner = start(Viewer, here, **{"qos_overrides./image.subscription.reliability": "best_effort"})
    said = f"input 'image' (/image, {IMAGE}): /camera publishes it but nothing has come"
    assert explain(runner) == [said]


def test_which_qos_fits_which() -> None:
    assert incompatible(RELIABLE, SENSOR) is None
    assert incompatible(LATCHED, RELIABLE) is None
    assert incompatible(RELIABLE, RELIABLE) is None
    assert incompatible(SENSOR, RELIABLE) == "offers best_effort, reliable is requested"
    assert incompatible(RELIABLE, LATCHED) == "offers volatile, transient_local is requested"


def test_it_came_and_stopped(start, buses, until) -> None:
    here, there = buses
    runner = start(Viewer, here)
    camera = there.advertise("/image", IMAGE, RELIABLE, "/camera")
    camera.publish(image(SECOND))
    until(lambda: runner.statistics()["refused"] == 1)
    time.sleep(0.06)
    topic = f"input 'image' (/image, {IMAGE})"
    assert explain(runner, quiet_after=0.05) == [f"{topic}: /camera publishes it but nothing has come for 0 s"]
    camera.close()
    assert explain(runner, quiet_after=0.05) == [f"{topic}: the publisher is gone for 0 s"]


def test_everything_is_refused(start, until) -> None:
    bus = Bus()
    runner = start(Viewer, bus)
    bus.advertise("/image", IMAGE, RELIABLE, "/camera").publish(image(SECOND))
    until(lambda: runner.statistics()["refused"] == 1)
    assert explain(runner) == ["messages come but are refused: encoding 'mono8' is not known"]


class Accompanied(Node):
    name = "accompanied"
    inputs = (
        Synchronised((Input("color", "color", IMAGE), Input("people", "people", IMAGE, required=False)), slop=0.01),
    )

    def process(self, messages: Mapping, context) -> Mapping:
        return {}


def test_stamps_that_never_match_an_optional_input_that_is_alive(start) -> None:
    bus = Bus()
    runner = start(Accompanied, bus)
    color, people = (bus.advertise(topic, IMAGE, SENSOR, "/camera") for topic in ("/color", "/people"))
    people.publish(image(11 * SECOND))
    for i in range(3):
        color.publish(image(11 * SECOND + (i + 1) * 100_000_000))
    assert explain(runner) == [
        "stamps never match within 0.01 s: last stamps color 11.300, people 11.000 (skew 0.300 s)"
    ]


def test_stamps_that_never_match_and_a_missing_calibration(start) -> None:
    bus = Bus()
    runner = start(Pairs, bus)
    color, depth = (bus.advertise(topic, IMAGE, SENSOR, "/camera") for topic in ("/color", "/depth"))
    for i in range(3):
        color.publish(image(10 * SECOND + i * SECOND))
        depth.publish(image(10 * SECOND + i * SECOND + 56_000_000))
    assert explain(runner) == [
        f"input 'info' (/info, {INFO}): no publisher",
        "stamps never match within 0.01 s: last stamps color 12.000, depth 12.056 (skew 0.056 s)",
    ]
    depth.publish(image(int(11.5 * SECOND)))
    assert explain(runner)[1].endswith("(skew 0.500 s); stamps went backwards 1 times")


class Mapper(Viewer):
    name = "mapper"
    uses_transforms = True


def test_no_transforms(start, buses) -> None:
    here, there = buses
    runner = start(Mapper, here)
    assert explain(runner)[1:] == ["transforms (/tf, /tf_static): no publisher"]
    there.advertise("/tf", "tf2_msgs/msg/TFMessage", RELIABLE, "/odometry")
    assert explain(runner)[1:] == ["transforms (/tf, /tf_static): published by /odometry, but nothing has come"]


def test_no_time(start) -> None:
    lines = explain(start(Viewer, Bus(), use_sim_time="true"))
    assert lines[0] == "use_sim_time is set but nothing has come on /clock"


def test_a_node_that_works_has_nothing_to_explain(start, until) -> None:
    bus = Bus()
    runner = start(Pairs, bus)
    assert len(explain(runner, quiet_after=math.inf)) == 3
    color, depth, info = (bus.advertise(t, IMAGE, SENSOR, "/c") for t in ("/color", "/depth", "/other"))
    color.publish(image(SECOND))
    depth.publish(image(SECOND))
    assert explain(runner) == [f"input 'info' (/info, {INFO}): no publisher"]
    assert info.topic == "/other"


def test_after_five_seconds_it_is_in_the_log_and_in_diagnostics(start, until, caplog) -> None:
    bus = Bus()
    heard = []
    diagnostics = "diagnostic_msgs/msg/DiagnosticArray"
    bus.subscribe("/diagnostics", diagnostics, RELIABLE, "/monitor", lambda d: heard.extend(d.message().status))
    with caplog.at_level(logging.WARNING):
        start(Viewer, bus)
        until(lambda: any(status.level for status in heard), seconds=8.0)
    assert [status.level for status in heard[:4]] == [0, 0, 0, 0]
    said = f"input 'image' (/image, {IMAGE}): no publisher"
    assert (heard[-1].name, heard[-1].level, heard[-1].message) == ("/viewer", 1, said)
    assert caplog.messages == [f"nothing to work on for 5 s: {said}"]
    values = diagnostic_values(heard[-1])
    assert values["sets"] == "0" and values["drops"] == "0" and values["rates_hz.inputs.image"] == "0"


def test_two_types_are_told_in_diagnostics_and_once_in_the_log(start, until, caplog) -> None:
    bus = Bus()
    runner = start(Viewer, bus)
    bus.advertise("/image", STRING, RELIABLE, "/talker").publish(String(data="a"))
    with caplog.at_level(logging.WARNING):
        statuses = [runner.health.status() for _ in range(3)]
    conflict = f"/image is {IMAGE} here but is published as {STRING} by /talker"
    assert [(status.level, status.message) for status in statuses] == [(1, conflict)] * 3
    assert caplog.messages == [conflict]
