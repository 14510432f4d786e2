"""Messages between a node in the ros2 host and plain rclpy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs a sourced ROS 2")

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import String

from scene_understanding.hosts.names import RosArguments
from scene_understanding.nodes.node import LATCHED, Input, Node, Output

pytestmark = pytest.mark.ros

SIZES = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "mono8": 1, "mono16": 2, "bayer_rggb8": 1, "yuv422": 2, "rgb16": 6}


def image(encoding: str = "rgb8", width: int = 64, height: int = 48, seed: int = 0, pad: int = 0) -> Image:
    """Random pixels, with `pad` bytes after each row."""
    message = Image(height=height, width=width, encoding=encoding, step=width * SIZES[encoding] + pad)
    message.header.frame_id = "camera"
    now = time.time_ns()
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, 10**9)
    message.data = np.random.default_rng(seed).integers(0, 256, message.step * height, np.uint8).tobytes()
    return message


def send_until(publisher: Any, message: Any, condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Publishes again and again until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing came back"
        publisher.publish(message)
        time.sleep(0.05)


@pytest.mark.parametrize("encoding", SIZES)
def test_image_comes_back_bit_for_bit(encoding: str, host: Any, peer: Any) -> None:
    host()
    heard = peer.hear(Image, "/echo/image")
    sent = image(encoding, pad=6)
    send_until(peer.publisher(Image, "/image", qos_profile_sensor_data), sent, lambda: heard)
    assert heard[0] == sent


def test_large_image_and_its_cdr(host: Any, peer: Any) -> None:
    host()
    heard = peer.hear(Image, "/echo/image", raw=True)
    sent = image(width=1280, height=960)
    send_until(peer.publisher(Image, "/image", 1), sent, lambda: heard)
    assert heard[0] == serialize_message(sent)


def test_newest_image_wins(host: Any, peer: Any, until: Any) -> None:
    node = host()
    heard = peer.hear(Image, "/echo/image", 100)
    publisher = peer.publisher(Image, "/image", qos_profile_sensor_data)
    send_until(publisher, image(), lambda: heard)
    for seed in range(1, 200):
        last = image(width=8, height=8, seed=seed)
        publisher.publish(last)
    until(lambda: heard[-1].data == last.data)
    assert node.statistics()["sets"] + node.statistics()["drops"] <= 200


def test_latched_topic_reaches_who_comes_late(host: Any, peer: Any, until: Any) -> None:
    host("-p", "gain:=0.25")
    heard = peer.hear(Image, "/echo/image")
    send_until(peer.publisher(Image, "/image", 1), image(), lambda: heard)
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE)
    late = peer.hear(String, "/echo/greeting", qos)
    until(lambda: late)
    assert [message.data for message in late] == ["0.25 fast"]


class Listener(Node):
    """Takes what was latched before it came."""

    name = "listener"
    inputs = (
        Input("image", "image", "sensor_msgs/msg/Image"),
        Input("word", "word", "std_msgs/msg/String", LATCHED, True),
    )
    outputs = (Output("word", "~/word", "std_msgs/msg/String"),)

    def process(self, messages: Any, context: Any) -> dict[str, Any]:
        return {"word": messages["word"]}


def test_late_node_gets_what_was_latched(host: Any, peer: Any) -> None:
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE)
    peer.publisher(String, "/word", qos).publish(String(data="before"))
    host(node_type=Listener)
    heard = peer.hear(String, "/listener/word")
    send_until(peer.publisher(Image, "/image", 1), image(), lambda: heard)
    assert heard[0].data == "before"


def test_wrong_encoding_is_refused_and_told(host: Any, peer: Any, until: Any) -> None:
    node = host()
    heard, diagnostics = peer.hear(Image, "/echo/image"), peer.hear(DiagnosticArray, "/diagnostics")
    publisher = peer.publisher(Image, "/image", 1)
    wrong = image("mono8")
    wrong.encoding = "32FC1"
    send_until(publisher, wrong, lambda: node.statistics()["refused"])
    until(lambda: any("'32FC1' is not colour" in d.status[0].message for d in diagnostics))
    assert not heard
    send_until(publisher, image(), lambda: heard)
    assert node.statistics()["failed"] == 0


def test_damaged_bytes_do_not_end_the_node(host: Any, peer: Any) -> None:
    node = host()
    heard = peer.hear(Image, "/echo/image")
    publisher = peer.publisher(Image, "/image", 1)
    sent = image()
    sent.step = 10  # less than a row
    send_until(publisher, sent, lambda: node.statistics()["refused"])
    send_until(publisher, image(), lambda: heard)


NAMES = ("image", "~/mask", "/tf", "a", "b", "depth/image", "/a")
RULES = (
    [],
    ["__ns:=/robot1"],
    ["__node:=eye", "__ns:=/robot1/front", "image:=/camera/image", "~/mask:=labels"],
    ["a:=b", "b:=c"],
    ["image:=~/picture", "/tf:=tf", "__ns:=/r"],
    ["a:=first", "a:=second"],
    ["other:a:=x", "echo:b:=y"],
    ["__node:=eye", "eye:a:=x", "echo:b:=y"],
)


@pytest.mark.parametrize("rules", RULES, ids=" ".join)
def test_names_are_those_of_our_resolver(rules: list[str], host: Any) -> None:
    words = [word for rule in rules for word in ("-r", rule)]
    node = host(*words)
    ours = RosArguments.parse(["--ros-args", *words])[0].names("echo")
    assert node.names.fully_qualified == ours.fully_qualified
    assert [node.names.resolve(name) for name in NAMES] == [ours.resolve(name) for name in NAMES]


def test_remapped_once(host: Any, peer: Any, until: Any) -> None:
    host("-r", "image:=picture", "-r", "picture:=nothing", "-r", "__ns:=/robot1", "-r", "~/image:=/out")
    until(lambda: peer.node.get_subscriptions_info_by_topic("/robot1/picture"))
    heard = peer.hear(Image, "/out")
    send_until(peer.publisher(Image, "/robot1/picture", 1), image(), lambda: heard)
    assert not peer.node.get_subscriptions_info_by_topic("/robot1/nothing")


def test_qos_overrides(host: Any, peer: Any, until: Any) -> None:
    host(
        *("-p", "qos_overrides./image.subscription.reliability:=reliable"),
        *("-p", "qos_overrides./image.subscription.depth:=7"),
        *("-p", "qos_overrides./echo/image.publisher.reliability:=best_effort"),
        *("-p", "qos_overrides./echo/now.publisher.durability:=transient_local"),
    )
    until(lambda: peer.node.get_subscriptions_info_by_topic("/image"))
    (subscription,) = peer.node.get_subscriptions_info_by_topic("/image")
    assert subscription.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert subscription.node_name == "echo"
    (publisher,) = peer.node.get_publishers_info_by_topic("/echo/image")
    assert publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    (publisher,) = peer.node.get_publishers_info_by_topic("/echo/now")
    assert publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL


def test_qos_override_of_no_topic_is_told(host: Any, capfd: pytest.CaptureFixture[str], until: Any) -> None:
    host("-p", "qos_overrides./imgae.subscription.reliability:=reliable")
    told = ""

    def warned() -> bool:
        nonlocal told
        told += capfd.readouterr().err
        return "/imgae.subscription.reliability" in told and "used are: " in told

    until(warned)


def test_silence_names_the_qos_that_does_not_fit(host: Any, peer: Any, until: Any) -> None:
    host("-p", "qos_overrides./image.subscription.reliability:=reliable")
    diagnostics = peer.hear(DiagnosticArray, "/diagnostics")
    peer.publisher(Image, "/image", qos_profile_sensor_data)
    until(lambda: any("/peer offers best_effort, reliable is requested" in d.status[0].message for d in diagnostics))


def test_silence_names_the_type_that_does_not_fit(host: Any, peer: Any, until: Any) -> None:
    host()
    diagnostics = peer.hear(DiagnosticArray, "/diagnostics")
    peer.publisher(String, "/image")
    until(lambda: any("std_msgs/msg/String by /peer" in d.status[0].message for d in diagnostics))


def test_use_sim_time(host: Any, peer: Any) -> None:
    node = host("-p", "use_sim_time:=true")
    heard, clock = peer.hear(String, "/echo/now"), peer.publisher(Clock, "/clock", 1)
    time_ns = Clock()
    time_ns.clock.sec, time_ns.clock.nanosec = 1234, 5
    send_until(clock, time_ns, lambda: node.runner.clock.now_ns == 1234 * 10**9 + 5)
    assert node.get_clock().now().nanoseconds == 1234 * 10**9 + 5
    send_until(peer.publisher(Image, "/image", 1), image(), lambda: heard)
    assert heard[0].data == str(1234 * 10**9 + 5)


def test_two_nodes_of_a_process_need_no_wire(host: Any, peer: Any, until: Any) -> None:
    from scene_understanding.hosts.ros2_host import Ros2Host

    class Second(Listener):
        name = "second"
        inputs = (Input("word", "/listener/word", "std_msgs/msg/String"),)

        def process(self, messages: Any, context: Any) -> dict[str, Any]:
            return {"word": messages["word"]}

    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE)
    peer.publisher(String, "/word", qos).publish(String(data="hand to hand"))
    heard = peer.hear(String, "/second/word")
    with Ros2Host() as both:
        both.add(Listener)
        both.add(Second)
        send_until(peer.publisher(Image, "/image", 1), image(), lambda: heard)
        assert heard[0].data == "hand to hand"
        assert not peer.node.get_subscriptions_info_by_topic("/listener/word")
        assert {"listener", "second"} <= set(peer.node.get_node_names())
