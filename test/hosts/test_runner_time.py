"""Nodes and time: ticks, simulated clocks, jumps, transforms that come late."""

import time
from collections.abc import Mapping

import numpy as np
import pytest

from scene_understanding.geometry import Pose
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.inline import run_back_to_back, settle
from scene_understanding.hosts.names import RosArguments
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.messages.header import make_header, ns_to_stamp
from scene_understanding.messages.transforms import tf_message
from scene_understanding.messages.types import Clock, Image, String, TFMessage
from scene_understanding.nodes.node import LATCHED, RELIABLE, SENSOR, Context, Input, Node, Output

STRING, IMAGE = "std_msgs/msg/String", "sensor_msgs/msg/Image"
CLOCK, TF = "rosgraph_msgs/msg/Clock", "tf2_msgs/msg/TFMessage"
SECOND = 10**9


def image(stamp_ns: int, value: int = 0, frame: str = "camera") -> Image:
    return Image(make_header(stamp_ns, frame), 1, 1, "mono8", 0, 1, np.array([value], np.uint8))


@pytest.fixture
def bus() -> Bus:
    return Bus()


class Echo(Node):
    name = "echo"
    inputs = (Input("text", "text", STRING, RELIABLE),)
    outputs = (Output("echo", "~/echo", STRING),)

    def __init__(self, parameters: object = None) -> None:
        super().__init__(parameters)
        self.resets = 0

    def process(self, messages: Mapping, context: Context) -> Mapping:
        return {"echo": String(data=messages["text"].data + "!")}

    def reset(self) -> None:
        self.resets += 1


class Ticker(Node):
    """Counts, by its clock."""

    name = "ticker"
    outputs = (Output("time", "~/time", STRING),)
    period = 0.1

    def tick(self, context: Context) -> Mapping:
        return {"time": String(data=str(context.now_ns))}

    def reset(self) -> None:
        self.was_reset = True


def test_ticks_by_the_system_clock(bus: Bus, listen) -> None:
    heard = listen(bus, "/ticker/time", STRING)
    with NodeRunner(Ticker(), bus).start():
        time.sleep(0.55)
    assert 2 <= len(heard) <= 5, "at 0.1, 0.2 ... 0.5 s; fewer only where the machine is busy"


def test_ticks_by_simulated_time(bus: Bus, listen, until) -> None:
    heard = listen(bus, "/ticker/time", STRING)
    clock = bus.advertise("/clock", CLOCK, RELIABLE, "/simulator")
    with NodeRunner.create(Ticker, bus, RosArguments.of(parameters=["use_sim_time:=true"])).start() as runner:
        time.sleep(0.3)
        assert not heard and runner.clock.now_ns == 0, "no time, no ticks"
        for i in range(11):
            clock.publish(Clock(ns_to_stamp(100 * SECOND + i * SECOND // 20)))
            time.sleep(0.01)
        until(lambda: len(heard) == 5)
        clock.publish(Clock(ns_to_stamp(50 * SECOND)))
        until(lambda: hasattr(runner.node, "was_reset"))
        until(lambda: runner.idle)
        clock.publish(Clock(ns_to_stamp(51 * SECOND)))
        until(lambda: len(heard) >= 6)
    assert [int(m.data) // 10**8 for m in heard[:6]] == [1001, 1002, 1003, 1004, 1005, 510]


class Simulator(Node):
    """Owns the time: a tenth of a second each tick, whatever the wall says."""

    name = "simulator"
    outputs = (Output("clock", "/clock", CLOCK), Output("color", "/text", STRING))
    period = 0.01
    drives_clock = True

    def __init__(self, parameters=None) -> None:
        super().__init__(parameters)
        self.steps = 0

    def tick(self, context: Context) -> Mapping:
        self.steps += 1
        now = Clock(ns_to_stamp(self.steps * SECOND // 10))
        return {"clock": now, "color": String(data=str(self.steps))}

    def reset(self) -> None:
        raise AssertionError("the owner of the clock decides itself about time")


def test_the_owner_of_the_clock_runs_by_wall_time(bus: Bus, until) -> None:
    arguments = RosArguments.of(parameters=["use_sim_time:=true"])
    with NodeRunner.create(Echo, bus, arguments).start() as echo, NodeRunner(Simulator(), bus).start() as simulator:
        until(lambda: simulator.node.steps > 10)
        until(lambda: echo.clock.now_ns > SECOND)
        assert simulator.clock.now_ns >= echo.clock.now_ns
        simulator.node.steps = 1
        until(lambda: echo.node.resets == 1)
        assert simulator.statistics()["failed"] == 0


def test_back_to_back_every_tick_is_worked_off(bus: Bus, listen) -> None:
    heard = listen(bus, "/echo/echo", STRING)
    arguments = RosArguments.of(parameters=["use_sim_time:=true"])
    echo = NodeRunner.create(Echo, bus, arguments, inline=True).start()
    simulator = NodeRunner(Simulator(), bus, inline=True).start()
    run_back_to_back(simulator, [echo], ticks=50)
    assert [m.data for m in heard] == [f"{i}!" for i in range(1, 51)]
    assert echo.clock.now_ns == 5 * SECOND and echo.statistics()["drops"] == 0
    for runner in (echo, simulator):
        runner.close()


class Locator(Node):
    """Where the camera was when the picture was taken."""

    name = "locator"
    inputs = (Input("image", "image", IMAGE),)
    outputs = (Output("x", "~/x", STRING),)
    uses_transforms = True

    def process(self, messages: Mapping, context: Context) -> Mapping:
        header = messages["image"].header
        stamp_ns = header.stamp.sec * SECOND + header.stamp.nanosec
        pose = context.transforms.lookup("map", header.frame_id, stamp_ns)
        return {"x": String(data=f"{pose.translation[0]:.2f}")}


def transform(x: float, stamp_ns: int, parent: str = "map", child: str = "camera") -> TFMessage:
    return tf_message([(parent, child, stamp_ns, Pose.from_yaw(x, 0, 0))])


def test_transforms_at_the_stamp_and_those_on_their_way(bus: Bus, listen, until) -> None:
    heard = listen(bus, "/locator/x", STRING)
    tf = bus.advertise("/tf", TF, RELIABLE, "/odometry")
    static = bus.advertise("/tf_static", TF, LATCHED, "/robot")
    static.publish(transform(10.0, 0, parent="world", child="map"))
    pictures = bus.advertise("/image", IMAGE, SENSOR, "/camera")
    with NodeRunner(Locator(), bus).start() as runner:
        tf.publish(transform(1.0, 1 * SECOND))
        tf.publish(transform(2.0, 2 * SECOND))
        pictures.publish(image(1_250_000_000))
        until(lambda: heard == [String(data="1.25")])
        pictures.publish(image(2_500_000_000))
        time.sleep(0.05)
        assert len(heard) == 1, "waits for the transform"
        tf.publish(transform(3.0, 3 * SECOND))
        until(lambda: len(heard) == 2)
        assert heard[1].data == "2.50"
        pictures.publish(image(9 * SECOND))
        until(lambda: runner.statistics()["refused"] == 1)
        assert "6.000 s after the newest known 'camera' in 'map'" in runner.figures.last_refusal
        assert runner.transforms.can_transform("world", "camera")


def test_a_node_that_waits_for_a_transform_closes_at_once(bus: Bus, until) -> None:
    runner = NodeRunner(Locator(), bus).start()
    runner.transforms.wait_up_to(60.0)
    bus.advertise("/image", IMAGE, SENSOR, "/camera").publish(image(SECOND))
    until(lambda: runner.working)
    started = time.monotonic()
    runner.close()
    assert time.monotonic() - started < 1.0


def test_transforms_are_forgotten_when_the_clock_jumps_back(bus: Bus, until) -> None:
    clock = bus.advertise("/clock", CLOCK, RELIABLE, "/simulator")
    tf = bus.advertise("/tf", TF, RELIABLE, "/odometry")
    static = bus.advertise("/tf_static", TF, LATCHED, "/robot")
    static.publish(transform(10.0, 0, parent="world", child="map"))
    with NodeRunner.create(Locator, bus, RosArguments.of(parameters=["use_sim_time:=true"])).start() as runner:
        clock.publish(Clock(ns_to_stamp(9 * SECOND)))
        tf.publish(transform(1.0, 9 * SECOND))
        assert runner.transforms.can_transform("world", "camera")
        clock.publish(Clock(ns_to_stamp(1 * SECOND)))
        until(lambda: not runner.transforms.can_transform("map", "camera"))
        assert runner.transforms.can_transform("world", "map"), "static ones stay"


def test_broken_transforms_are_told_and_the_good_ones_used(bus: Bus) -> None:
    runner = NodeRunner(Locator(), bus, inline=True).start()
    message = transform(1.0, SECOND)
    message.transforms += transform(1.0, SECOND, child="map").transforms
    bus.advertise("/tf", TF, RELIABLE, "/odometry").publish(message)
    bus.advertise("/image", IMAGE, SENSOR, "/camera").publish(image(SECOND))
    settle([runner])
    assert runner.statistics()["sets"] == 1
    assert "expected two different names" in runner.figures.last_warning
    runner.close()


def test_many_transforms_nobody_asks_for_do_not_pile_up(bus: Bus, until) -> None:
    tf = bus.advertise("/tf", TF, RELIABLE, "/odometry")
    with NodeRunner(Locator(), bus).start() as runner:
        for i in range(2600):
            tf.publish(transform(1.0, SECOND + i * 1_000_000))
        until(lambda: len(runner.transforms._undecoded) < 501)
        assert runner.transforms.dropped == 0 and runner.transforms.heard == 2600
