"""Services, parameters and logs over DDS, and the host that runs nodes with them."""

import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cyclonedds", reason="no cyclonedds wheel for this platform")

from scene_understanding.hosts.dds import DdsTransport
from scene_understanding.hosts.dds_library import DdsError
from scene_understanding.hosts.dds_parameters import descriptor, parameter_value, python_value
from scene_understanding.hosts.dds_rosout import RosoutHandler
from scene_understanding.hosts.dds_services import Client, Service
from scene_understanding.messages.types import deserialize, message_type, serialize
from scene_understanding.nodes.node import RELIABLE
from scene_understanding.nodes.parameters import ParameterDescription

ROOT = Path(__file__).parents[2]
NODE = "/robot/camera"
HOST = """
import logging, sys
from dataclasses import dataclass
from scene_understanding.hosts.dds_host import run
from scene_understanding.hosts.names import RosArguments
from scene_understanding.messages.types import String
from scene_understanding.nodes.node import RELIABLE, Node, Output
from scene_understanding.nodes.parameters import parameter

@dataclass(frozen=True)
class Parameters:
    gain: float = parameter(0.5, "how much", bounds=(0.0, 1.0), runtime=True)
    count: int = parameter(3, "how many", bounds=(1, 10), runtime=True)
    mode: str = parameter("fast", "which", choices=("fast", "good"), runtime=True)
    model: str = parameter("small", "which file")
    weights: tuple = parameter((1.0, 2.0), "some", runtime=True)

class Camera(Node):
    name = "camera"
    parameters_type = Parameters
    outputs = (Output("gain", "~/gain", "std_msgs/msg/String", RELIABLE),)
    period = 0.02

    def tick(self, context):
        return {"gain": String(data=str(self.parameters.gain))}

sys.exit(run([Camera], RosArguments.parse(sys.argv[1:])[0]))
"""
SET_BOOL = "std_srvs/srv/SetBool"


def message(kind: str, /, **fields: Any) -> Any:
    return message_type(kind)(**fields)


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def start_host(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOST, "--ros-args", "-r", "__ns:=/robot", *arguments]
    return subprocess.Popen(command, text=True, cwd=ROOT, stderr=subprocess.PIPE, **options)


@pytest.fixture(scope="module", autouse=True)
def domain() -> Iterator[None]:
    before = dict(os.environ)
    os.environ |= {"ROS_DOMAIN_ID": str(random.randint(1, 100)), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    tag = f"<Discovery><Tag>{uuid.uuid4()}</Tag></Discovery>"
    os.environ["CYCLONEDDS_URI"] = f"<CycloneDDS><Domain>{tag}</Domain></CycloneDDS>"
    yield
    os.environ.clear()
    os.environ |= before


@pytest.fixture(scope="module")
def transport(domain: None) -> Iterator[DdsTransport]:
    transport = DdsTransport()
    yield transport
    transport.close()


@pytest.fixture(scope="module")
def camera(domain: None) -> Iterator[subprocess.Popen[str]]:
    """A node in another process."""
    process = start_host()
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def call(transport: DdsTransport, camera: object) -> Iterator[Callable[..., Any]]:
    """Calls one of the node's parameter services: `call("GetParameters", names=[...])`."""
    clients = []

    def call(name: str, **fields: Any) -> Any:
        service = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).strip("_")
        clients.append(Client(transport, f"{NODE}/{service}", f"rcl_interfaces/srv/{name}", "/test"))
        return clients[-1].call(message(f"rcl_interfaces/srv/{name}_Request", **fields), 20)

    yield call
    for client in clients:
        client.close()


def parameters(**values: Any) -> list[Any]:
    return [message("rcl_interfaces/msg/Parameter", name=n, value=parameter_value(v)) for n, v in values.items()]


def test_parameters_are_listed_and_read(call):
    names = call("ListParameters", prefixes=[], depth=0).result.names
    assert names == ["gain", "count", "mode", "model", "weights", "use_sim_time"]
    assert call("ListParameters", prefixes=["gain"], depth=0).result.names == ["gain"]
    values = [python_value(value) for value in call("GetParameters", names=[*names, "nonsense"]).values]
    assert values == [0.5, 3, "fast", "small", (1.0, 2.0), False, None]
    assert call("GetParameterTypes", names=[*names, "nonsense"]).types.tolist() == [3, 2, 4, 4, 8, 1, 0]


def test_parameters_are_described(call):
    gain, count, mode, model = call("DescribeParameters", names=["gain", "count", "mode", "model"]).descriptors
    assert (gain.name, gain.type, gain.description, gain.read_only) == ("gain", 3, "how much", False)
    assert (gain.floating_point_range[0].from_value, gain.floating_point_range[0].to_value) == (0.0, 1.0)
    assert (count.integer_range[0].from_value, count.integer_range[0].to_value) == (1, 10)
    assert mode.additional_constraints == "one of: fast, good"
    assert model.read_only


@pytest.mark.parametrize(
    ("default", "integers", "floats", "constraints"),
    [(1, [(0, 9)], [], ""), (1.0, [], [(0.0, 9.0)], ""), ((1, 2), [], [], "each from 0 to 9")],
)
def test_bounds_are_ranges_of_numbers_and_constraints_of_lists(default, integers, floats, constraints):
    found = descriptor(ParameterDescription("x", type(default), default, "an x", (0, 9), None, True))
    assert [(r.from_value, r.to_value) for r in found.integer_range] == integers
    assert [(r.from_value, r.to_value) for r in found.floating_point_range] == floats
    assert found.additional_constraints == constraints


def test_parameters_are_set_and_the_node_works_with_them(transport, call):
    heard: set[str] = set()
    events: list[Any] = []
    event = "rcl_interfaces/msg/ParameterEvent"
    text = "std_msgs/msg/String"
    topic = transport.subscribe(
        f"{NODE}/gain", text, RELIABLE, "/test", lambda data: heard.add(deserialize(data, text).data)
    )
    others = transport.subscribe(
        "/parameter_events", event, RELIABLE, "/test", lambda data: events.append(deserialize(data, event))
    )
    assert wait_until(lambda: "0.5" in heard and transport.publishers("/parameter_events"))
    results = call("SetParameters", parameters=parameters(gain=0.75, count=11, model="large", nonsense=1)).results
    assert [result.successful for result in results] == [True, False, False, False]
    assert [result.reason for result in results[1:3]] == [
        "parameter 'count' is 11; allowed is 1 to 10",
        "parameter 'model' can only be set at start, not while the node runs",
    ]
    assert wait_until(lambda: "0.75" in heard and events)
    assert events[0].node == NODE and [p.name for p in events[0].changed_parameters] == ["gain"]
    assert python_value(events[0].changed_parameters[0].value) == 0.75
    topic.close()
    others.close()


def test_all_or_none(call):
    def both() -> list[Any]:
        return [python_value(value) for value in call("GetParameters", names=["count", "weights"]).values]

    before = both()
    refused = call("SetParametersAtomically", parameters=parameters(weights=(9.0,), count=0)).result
    assert not refused.successful and "count" in refused.reason
    assert both() == before
    assert call("SetParametersAtomically", parameters=parameters(weights=(9.0,), count=10)).result.successful
    assert both() == [10, (9.0,)]


def test_the_node_is_known_by_name(transport, camera):
    assert wait_until(lambda: NODE in transport.graph.nodes())
    assert {e.node for topic in (f"{NODE}/gain", "/rosout") for e in transport.publishers(topic)} == {NODE}


def test_services_answer_in_order_and_side_by_side(transport):
    other = DdsTransport()
    service = Service(
        other, "/enable", SET_BOOL, lambda r: message(f"{SET_BOOL}_Response", success=r.data, message="done"), "/server"
    )
    clients = [Client(transport, "/enable", SET_BOOL, f"/client{i}") for i in range(2)]
    answers: dict[int, list[bool]] = {0: [], 1: []}

    def ask(number: int) -> None:
        for i in range(20):
            request = message(f"{SET_BOOL}_Request", data=(i + number) % 2 == 0)
            answers[number].append(clients[number].call(request, 20).success)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {0: [True, False] * 10, 1: [False, True] * 10}
    service.close()
    assert not clients[0].available(0.0) or wait_until(lambda: not clients[0].available())
    other.close()
    for client in clients:
        client.close()


def test_no_server_and_no_answer_are_told(transport, caplog):
    client = Client(transport, "/absent", SET_BOOL, "/test")
    with pytest.raises(DdsError, match=r"service /absent: there is no server \(waited 0.1 s\)"):
        client.call(message(f"{SET_BOOL}_Request", data=True), 0.1)
    other = DdsTransport()
    Service(other, "/absent", SET_BOOL, lambda request: 1 / 0, "/server")
    with pytest.raises(DdsError, match=r"service /absent: no answer within 1 s"):
        client.call(message(f"{SET_BOOL}_Request", data=True), 1)
    assert "service /absent: ZeroDivisionError: division by zero" in caplog.text
    other.close()
    client.close()


def test_logs_are_heard_on_rosout(transport):
    other, kind, heard = DdsTransport(), "rcl_interfaces/msg/Log", []
    transport.subscribe("/rosout", kind, RELIABLE, "/test", lambda data: heard.append(deserialize(data, kind)))
    logger = logging.getLogger("test_dds_services.rosout")
    handler = RosoutHandler(other, "/robot/talker")
    logger.addHandler(handler)

    def told() -> list[Any]:
        logger.warning("battery at %d %%", 7)
        return [log for log in heard if log.name == "robot.talker"]

    assert wait_until(told)
    log = told()[0]
    assert (log.msg, log.level, log.function) == ("battery at 7 %", 30, "told")
    logger.removeHandler(handler)
    handler.close()
    other.close()


@pytest.mark.parametrize("value", [True, 7, 0.25, "text", (True, False), (1, 2), (0.5,), ("a", "b"), None])
def test_parameter_values_round_trip(value):
    converted = parameter_value(value)
    assert python_value(converted) == value
    assert type(python_value(converted)) is type(value)
    assert python_value(deserialize(serialize(converted), "rcl_interfaces/msg/ParameterValue")) == value


def test_byte_arrays_are_read():
    value = parameter_value(None)
    value.type, value.byte_array_value = 5, np.array([1, 2], np.uint8)
    assert python_value(value) == (1, 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_host_ends_cleanly(transport, number):
    process = start_host("-r", f"__node:=ending{number}")
    name = f"/robot/ending{number}"
    assert wait_until(lambda: name in transport.graph.nodes())
    process.send_signal(number)
    assert process.wait(30) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
    assert wait_until(lambda: name not in transport.graph.nodes())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("-p", "gain:=7.5"), "parameter 'gain' is 7.5; allowed is 0.0 to 1.0"),
        (("-p", "gian:=0.5"), "unknown parameter 'gian'; did you mean gain?"),
        (("-r", "__node:=a-b"), "'a-b' is not a valid node name: letters, digits and underscores"),
    ],
)
def test_the_host_says_what_is_wrong(arguments, line):
    process = start_host(*arguments)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1 and errors.startswith("error: ") and errors.count("\n") == 1
    assert line in errors
