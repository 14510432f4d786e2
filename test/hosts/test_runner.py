"""Little nodes on real buses, with real threads."""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.inline import settle
from scene_understanding.hosts.names import RosArguments
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.messages.header import make_header
from scene_understanding.messages.types import CameraInfo, Image, String, message_type
from scene_understanding.nodes.node import (
    LATCHED,
    RELIABLE,
    SENSOR,
    ConfigurationError,
    Context,
    Input,
    InputError,
    Node,
    Output,
    Synchronised,
)
from scene_understanding.nodes.parameters import ParameterError, parameter

STRING, IMAGE, CLOCK, TF = (
    "std_msgs/msg/String",
    "sensor_msgs/msg/Image",
    "rosgraph_msgs/msg/Clock",
    "tf2_msgs/msg/TFMessage",
)
SECOND = 10**9


def image(stamp_ns: int, value: int = 0, frame: str = "camera") -> Image:
    return Image(make_header(stamp_ns, frame), 1, 1, "mono8", 0, 1, np.array([value], np.uint8))


@dataclass(frozen=True)
class EchoParameters:
    suffix: str = parameter("!", "appended to the text", runtime=True)
    delay: float = parameter(0.0, "seconds of work", bounds=(0.0, 1.0))


class Echo(Node):
    name = "echo"
    parameters_type = EchoParameters
    inputs = (Input("text", "text", STRING, RELIABLE),)
    outputs = (Output("echo", "~/echo", STRING), Output("costly", "~/costly", STRING))

    def __init__(self, parameters=None) -> None:
        super().__init__(parameters)
        self.did: list[str] = []

    def configure(self, context: Context) -> None:
        self.did.append("configure")
        context.report(model="none")

    def process(self, messages: Mapping, context: Context) -> Mapping:
        with context.stage("work"):
            time.sleep(self.parameters.delay)
        text = messages["text"].data
        if text == "bad":
            raise InputError("this text is bad")
        if text == "bug":
            raise ZeroDivisionError("a fault of the node")
        if text == "hm":
            context.warn("something is odd")
        outputs = {"echo": String(data=text + self.parameters.suffix)}
        if context.wanted("costly"):
            outputs["costly"] = String(data=text * 2)
        return outputs

    def reset(self) -> None:
        self.did.append("reset")

    def close(self) -> None:
        self.did.append("close")


@pytest.fixture
def bus() -> Bus:
    return Bus()


def say(bus: Bus, *texts: str) -> None:
    publisher = bus.advertise("/text", STRING, RELIABLE, "/speaker")
    for text in texts:
        publisher.publish(String(data=text))
    publisher.close()


def test_a_node_answers(bus: Bus, listen, until) -> None:
    heard = listen(bus, "/echo/echo", STRING)
    with NodeRunner.create(Echo, bus) as runner:
        runner.start()
        say(bus, "hello")
        until(lambda: heard)
        assert heard == [String(data="hello!")]
        until(lambda: runner.statistics()["sets"] == 1)
        figures = runner.statistics()
    assert figures["node"] == "/echo"
    assert figures["inputs"] == {"text": 1} and figures["outputs"] == {"echo": 1}
    assert figures["reported"] == {"model": "none"}
    assert set(figures["stages"]) == {"receive", "work", "publish", "total"}
    assert figures["latency_p50_ms"] > 0


def test_names_and_parameters_by_arguments(bus: Bus, listen, until) -> None:
    arguments = RosArguments.of(
        remappings=["__ns:=/robot", "text:=/chat", "~/echo:=loud"], parameters=["suffix:=_", "echo:delay:=0.01"]
    )
    heard = listen(bus, "/robot/loud", STRING)
    with NodeRunner.create(Echo, bus, arguments).start() as runner:
        assert runner.names.fully_qualified == "/robot/echo"
        bus.advertise("/chat", STRING, RELIABLE, "/speaker").publish(String(data="hello"))
        until(lambda: heard)
    assert heard == [String(data="hello_")]


def test_a_wrong_parameter_stops_it_before_it_starts(bus: Bus) -> None:
    with pytest.raises(ParameterError, match="did you mean suffix"):
        NodeRunner.create(Echo, bus, RosArguments.of(parameters=["sufix:=a"]))
    with pytest.raises(ParameterError, match="'use_sim_time' is 'soon'"):
        NodeRunner.create(Echo, bus, RosArguments.of(parameters=["use_sim_time:=soon"]))


def test_nothing_is_computed_that_nobody_wants(bus: Bus, listen, until) -> None:
    with NodeRunner.create(Echo, bus).start() as runner:
        say(bus, "a")
        until(lambda: runner.statistics()["sets"] == 1)
        assert runner.statistics()["outputs"] == {"echo": 1}
        listen(bus, "/echo/costly", STRING)
        say(bus, "b")
        until(lambda: runner.statistics()["sets"] == 2)
        assert runner.statistics()["outputs"] == {"echo": 2, "costly": 1}


def test_a_slow_node_gets_the_newest_and_counts_the_rest(bus: Bus, listen, until) -> None:
    heard = listen(bus, "/echo/echo", STRING)
    with NodeRunner.create(Echo, bus, RosArguments.of(parameters=["delay:=0.05"])).start() as runner:
        for i in range(100):
            say(bus, str(i))
            time.sleep(0.002)
        until(lambda: heard and heard[-1].data == "99!")
        until(lambda: runner.idle)
        figures = runner.statistics()
    assert figures["sets"] + figures["drops"] == 100
    assert figures["sets"] < 20
    assert [int(m.data[:-1]) for m in heard] == sorted(int(m.data[:-1]) for m in heard)


def test_bad_input_and_faults_do_not_end_it(bus: Bus, listen, until, caplog) -> None:
    heard = listen(bus, "/echo/echo", STRING)
    with caplog.at_level(logging.WARNING), NodeRunner.create(Echo, bus).start() as runner:
        for i, text in enumerate(["bad", "bug", "bad", "bug", "hm", "good"]):
            say(bus, text)
            until(lambda i=i: sum(runner.statistics()[k] for k in ("sets", "refused", "failed")) == i + 1)
        figures = runner.statistics()
        status = runner.health.status()
    assert [m.data for m in heard] == ["hm!", "good!"]
    assert {k: figures[k] for k in ("sets", "refused", "failed", "warnings")} == {
        "sets": 2, "refused": 2, "failed": 2, "warnings": 1,
    }  # fmt: skip
    assert (status.level, status.message) == (2, "ZeroDivisionError: a fault of the node")
    told = [record.getMessage() for record in caplog.records]
    assert told.count("this text is bad") == 1, "the second one comes too soon after the first"
    assert sum("a fault of the node" in line for line in told) == 1, "a traceback once"
    assert caplog.records[1].exc_info is not None
    assert "something is odd" in told


def test_bytes_that_are_no_message_are_counted_and_told(buses, until, caplog) -> None:
    here, there = buses
    raw = there.transport.advertise("/text", STRING, RELIABLE, "/broken")
    with NodeRunner.create(Echo, here).start() as runner:
        raw.publish(b"\0\1\0\0\xff\xff\xff\xff")
        until(lambda: runner.statistics()["refused"] == 1)
        status = runner.health.status()
    assert status.level == 1 and "8 bytes are not a std_msgs/msg/String" in status.message


class Wrong(Echo):
    def process(self, messages: Mapping, context: Context) -> Mapping:
        return {"ecco": String(data="")}


def test_an_output_that_is_not_declared_is_a_fault(bus: Bus) -> None:
    runner = NodeRunner(Wrong(), bus, inline=True).start()
    say(bus, "a")
    settle([runner])
    assert runner.figures.last_failure == "TypeError: output 'ecco' is not declared; declared: echo, costly"
    runner.close()


class Broken(Echo):
    def configure(self, context: Context) -> None:
        raise ConfigurationError("model 'x' not found; known: y")


def test_a_node_that_cannot_start_leaves_nothing_behind(buses) -> None:
    here, _ = buses
    before = threading.active_count()
    with NodeRunner(Broken(), here) as runner, pytest.raises(ConfigurationError, match="known: y"):
        runner.start()
    assert here.transport.writers == [] and here.transport.readers == []
    assert threading.active_count() == before


def test_lifecycle(buses, listen, until) -> None:
    here, there = buses
    before = threading.active_count()
    heard = listen(there, "/echo/echo", STRING)
    runner = NodeRunner(Echo(), here)
    runner.configure()
    say(there, "too early")
    runner.activate()
    say(there, "one")
    until(lambda: len(heard) == 1)
    runner.deactivate()
    say(there, "while it sleeps")
    runner.activate()
    say(there, "two")
    until(lambda: len(heard) == 2)
    runner.deactivate()
    runner.cleanup()
    runner.configure()
    runner.activate()
    say(there, "three")
    until(lambda: len(heard) == 3)
    assert runner.state == "active"
    runner.close()
    runner.close()
    assert runner.state == "unconfigured"
    assert [m.data for m in heard] == ["one!", "two!", "three!"]
    assert runner.node.did == ["configure", "close", "configure", "close"]
    assert here.transport.writers == [] and here.transport.readers == []
    assert threading.active_count() == before


def test_parameters_while_it_runs(bus: Bus, listen, until) -> None:
    heard = listen(bus, "/echo/echo", STRING)
    with NodeRunner.create(Echo, bus, RosArguments.of(parameters=["delay:=0.1"])).start() as runner:
        service = runner.parameters
        assert service.list() == ("suffix", "delay", "use_sim_time")
        assert service.get() == {"suffix": "!", "delay": 0.1, "use_sim_time": False}
        assert service.describe()["suffix"].description == "appended to the text"
        say(bus, "a")
        time.sleep(0.03)
        service.set({"suffix": "?"})
        assert [m.data for m in heard] == ["a!"], "the set in work was finished with the old value first"
        say(bus, "b")
        until(lambda: len(heard) == 2)
        assert heard[1].data == "b?" and service.get()["suffix"] == "?"
        for values, said in (
            ({"suffix": 3}, "expected str"),
            ({"suffix": "x", "delay": 0.2}, "'delay' can only be set at start"),
            ({"use_sim_time": True}, "'use_sim_time' can only be set at start"),
            ({"nothing": 1}, "unknown parameter 'nothing'"),
        ):
            with pytest.raises(ParameterError, match=said):
                service.set(values)
        assert service.get()["suffix"] == "?"


def test_parameters_set_while_it_stops_and_starts(bus: Bus) -> None:
    runner = NodeRunner(Echo(), bus)
    runner.configure()
    done = threading.Event()

    def set_all() -> None:
        for i in range(200):
            runner.parameters.set({"suffix": str(i)})
        done.set()

    setter = threading.Thread(target=set_all)
    setter.start()
    while not done.is_set():
        runner.activate()
        runner.deactivate()
    setter.join(5)
    assert not setter.is_alive() and runner.node.parameters.suffix == "199"
    runner.close()


class Picky(Echo):
    def reconfigure(self, parameters: EchoParameters) -> None:
        if parameters.suffix == "no":
            raise ParameterError("not this suffix with this model")
        super().reconfigure(parameters)


def test_a_node_may_refuse_new_parameters(bus: Bus) -> None:
    with NodeRunner(Picky(), bus).start() as runner:
        with pytest.raises(ParameterError, match="not this suffix"):
            runner.parameters.set({"suffix": "no"})
        assert runner.parameters.get()["suffix"] == "!" and runner.node.parameters.suffix == "!"


def test_parameters_set_from_many_threads_while_it_works(bus: Bus) -> None:
    with NodeRunner.create(Echo, bus).start() as runner:
        setters = [threading.Thread(target=runner.parameters.set, args=({"suffix": str(i)},)) for i in range(20)]
        for setter in setters:
            setter.start()
        for _ in range(50):
            say(bus, "x")
        for setter in setters:
            setter.join(5)
        assert runner.parameters.get()["suffix"] == runner.node.parameters.suffix


class Pairs(Node):
    """Colour and depth together, calibration beside them."""

    name = "pairs"
    inputs = (
        Synchronised((Input("color", "color", IMAGE), Input("depth", "depth", IMAGE)), slop=0.01),
        Input("info", "info", "sensor_msgs/msg/CameraInfo", latched=True),
        Input("note", "note", STRING, LATCHED, latched=True, required=False),
    )
    outputs = (Output("seen", "~/seen", STRING),)

    def process(self, messages: Mapping, context: Context) -> Mapping:
        note = messages["note"].data if "note" in messages else "-"
        pixels = messages["color"].data[0], messages["depth"].data[0]
        return {"seen": String(data=f"{pixels[0]} {pixels[1]} {messages['info'].width} {note}")}

    def reset(self) -> None:
        self.was_reset = True


def camera_info(width: int) -> CameraInfo:
    roi = message_type("sensor_msgs/msg/RegionOfInterest")(0, 0, 0, 0, False)
    zeros = [np.zeros(n) for n in (5, 9, 9, 12)]
    return CameraInfo(make_header(0, ""), 1, width, "plumb_bob", *zeros, 0, 0, roi)


class Inputs:
    """Publishers for the inputs of `Pairs`."""

    def __init__(self, bus: Bus) -> None:
        self.color, self.depth = (bus.advertise(f"/{n}", IMAGE, SENSOR, "/camera") for n in ("color", "depth"))
        self.info = bus.advertise("/info", "sensor_msgs/msg/CameraInfo", SENSOR, "/camera")
        self.note = bus.advertise("/note", STRING, LATCHED, "/user")

    def pair(self, stamp_ns: int, value: int, skew_ns: int = 0) -> None:
        self.color.publish(image(stamp_ns, value))
        self.depth.publish(image(stamp_ns + skew_ns, value))


def test_sets_wait_for_latched_inputs_and_take_optional_ones(bus: Bus, listen) -> None:
    seen = listen(bus, "/pairs/seen", STRING)
    publish = Inputs(bus)
    runner = NodeRunner(Pairs(), bus, inline=True).start()

    def settled() -> list[str]:
        settle([runner])
        return [m.data for m in seen]

    publish.pair(1 * SECOND, 1)
    publish.pair(2 * SECOND, 2, skew_ns=9_000_000)
    assert settled() == [], "the calibration is missing"
    publish.info.publish(camera_info(640))
    assert settled() == ["2 2 640 -"], "the newest set waited"
    publish.note.publish(String(data="hi"))
    publish.info.publish(camera_info(320))
    assert settled() == ["2 2 640 -"], "latched inputs trigger nothing"
    publish.pair(3 * SECOND, 3)
    publish.pair(4 * SECOND, 4, skew_ns=11_000_000)
    assert settled()[1:] == ["3 3 320 hi"], "a pair beyond the slop is none"
    runner.close()


def test_late_latched_input_is_there_for_a_late_node(bus: Bus, listen) -> None:
    seen = listen(bus, "/pairs/seen", STRING)
    publish = Inputs(bus)
    publish.note.publish(String(data="early"))
    runner = NodeRunner(Pairs(), bus, inline=True).start()
    publish.info.publish(camera_info(640))
    publish.pair(1 * SECOND, 1)
    settle([runner])
    assert [m.data for m in seen] == ["1 1 640 early"]
    runner.close()


def test_only_what_is_worked_on_is_decoded(buses, until) -> None:
    here, there = buses
    publish = Inputs(there)
    runner = NodeRunner(Pairs(), here, inline=True).start()
    publish.info.publish(camera_info(640))
    for i in range(50):
        publish.pair(i * SECOND, i)
    settle([runner])
    figures = runner.statistics()
    assert (figures["sets"], figures["drops"]) == (1, 49)
    assert len(runner.figures._stages["receive"]) == 1
    runner.close()


def test_stamps_far_back_reset_the_node_once_and_it_goes_on(bus: Bus, listen) -> None:
    seen = listen(bus, "/pairs/seen", STRING)
    publish = Inputs(bus)
    runner = NodeRunner(Pairs(), bus, inline=True).start()
    publish.info.publish(camera_info(640))
    publish.pair(100 * SECOND, 1)
    settle([runner])
    publish.color.publish(image(101 * SECOND, 2))
    publish.pair(5 * SECOND, 3)
    settle([runner])
    assert [m.data[:3] for m in seen] == ["1 1", "3 3"]
    assert runner.node.was_reset
    assert runner.statistics()["warnings"] == 1, "one jump is told once, although both inputs jumped"
    publish.pair(6 * SECOND, 4)
    settle([runner])
    assert seen[-1].data[:3] == "4 4"
    runner.close()


def test_qos_overrides(buses) -> None:
    here, _ = buses
    arguments = RosArguments.of(
        parameters=[
            "qos_overrides./text.subscription.reliability:=best_effort",
            "qos_overrides./echo/echo.publisher.durability:=transient_local",
            "qos_overrides./echo/echo.publisher.depth:=3",
        ]
    )
    with NodeRunner.create(Echo, here, arguments).start():
        assert here.transport.readers[0].qos.reliability == "best_effort"
        qos = next(w.endpoint.qos for w in here.transport.writers if w.topic == "/echo/echo")
        assert (qos.durability, qos.depth) == ("transient_local", 3)
    for wrong in ("qos_overrides./text.subscription.reliability:=maybe", "qos_overrides./text.reliability:=reliable"):
        with pytest.raises(ParameterError, match="qos_overrides./text"):
            NodeRunner.create(Echo, here, RosArguments.of(parameters=[wrong]))


class Unstamped(Node):
    name = "unstamped"
    inputs = (Synchronised((Input("a", "a", STRING), Input("b", "b", IMAGE))),)


def test_what_has_no_header_cannot_be_synchronised(bus: Bus) -> None:
    with pytest.raises(ConfigurationError, match="input 'a': std_msgs/msg/String has no header"):
        NodeRunner(Unstamped(), bus)
