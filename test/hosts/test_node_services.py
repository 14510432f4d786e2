"""Services of nodes: called between two sets, refused with a reason, served over DDS."""

from __future__ import annotations

import os
import random
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, TimeoutError as FutureTimeout
from typing import Any

import pytest

from scene_understanding.geometry.transform_buffer import TransformError
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.names import RosArguments
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.hosts.service_calls import ServiceError
from scene_understanding.messages.types import String, message_type
from scene_understanding.nodes.node import RELIABLE, Context, Input, InputError, Node, Service

STRING, SET_BOOL, TRIGGER, EMPTY = (
    "std_msgs/msg/String",
    "std_srvs/srv/SetBool",
    "std_srvs/srv/Trigger",
    "std_srvs/srv/Empty",
)


def message(kind: str, /, **fields: Any) -> Any:
    return message_type(kind)(**fields)


class Gate(Node):
    """Opens and shuts; says what was asked of it in which order."""

    name = "gate"
    inputs = (Input("text", "text", STRING, RELIABLE),)
    services = (
        Service("open", "~/open", SET_BOOL),
        Service("fail", "fail", TRIGGER),
        Service("forget", "~/forget", EMPTY),
    )

    def __init__(self, parameters: Any = None) -> None:
        super().__init__(parameters)
        self.did: list[str] = []
        self.fault: Exception | None = None
        self.working, self.go_on = threading.Event(), threading.Event()

    def process(self, messages: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
        self.did.append("set begins")
        self.working.set()
        assert self.go_on.wait(10)
        self.did.append("set ends")
        return {}

    def serve(self, service: str, request: Any, context: Context) -> Any:
        self.did.append(service)
        if self.fault is not None:
            raise self.fault
        if service == "open":
            return message(f"{SET_BOOL}_Response", success=request.data, message=f"at {context.now_ns > 0}")
        return message(f"{EMPTY}_Response")

    def close(self) -> None:
        self.did.append("close")


def request(data: bool = True) -> Any:
    return message(f"{SET_BOOL}_Request", data=data)


@pytest.fixture
def gate() -> Iterator[NodeRunner]:
    with NodeRunner(Gate(), Bus()) as runner:
        runner.node.go_on.set()
        yield runner.start()


def test_a_call_is_answered_by_the_node(gate: NodeRunner) -> None:
    assert gate.call("open", request(True)) == message(f"{SET_BOOL}_Response", success=True, message="at True")
    assert not gate.call("open", request(False)).success
    assert gate.statistics()["stages"]["serve"]["p50_ms"] >= 0


def test_a_call_waits_for_the_set_in_progress(gate: NodeRunner) -> None:
    node = gate.node
    node.go_on.clear()
    publisher = gate.bus.advertise("/text", STRING, RELIABLE, "/speaker")
    publisher.publish(String(data="one"))
    assert node.working.wait(10)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(gate.call, "open", request())
        with pytest.raises(FutureTimeout):
            answer.result(0.2)
        node.go_on.set()
        assert answer.result(10).success
    assert node.did == ["set begins", "set ends", "open"]


def test_a_call_in_progress_is_finished_before_the_node_is_closed(gate: NodeRunner) -> None:
    node = gate.node
    node.go_on.clear()
    gate.bus.advertise("/text", STRING, RELIABLE, "/speaker").publish(String(data="one"))
    assert node.working.wait(10)
    with ThreadPoolExecutor(2) as pool:
        answer = pool.submit(gate.call, "open", request())
        closing = pool.submit(gate.close)
        node.go_on.set()
        closing.result(10)
        assert answer.result(10).success or answer.result().message == "/gate is unconfigured, not active"
    assert node.did[-1] == "close" and node.did.count("close") == 1


@pytest.mark.parametrize(
    ("fault", "said", "counted"),
    [
        (InputError("the file\n is  absent"), "the file is absent", "refused"),
        (TransformError("no way from lidar to map"), "no way from lidar to map", "refused"),
        (ZeroDivisionError("a fault of the program"), "ZeroDivisionError: a fault of the program", "failed"),
    ],
)
def test_what_goes_wrong_is_told_and_counted(gate: NodeRunner, fault: Exception, said: str, counted: str) -> None:
    gate.node.fault = fault
    assert gate.call("open", request()) == message(f"{SET_BOOL}_Response", success=False, message=said)
    assert gate.statistics()[counted] == 1
    gate.node.fault = None
    assert gate.call("open", request()).success


def test_a_response_of_another_type_is_a_fault(gate: NodeRunner) -> None:
    response = gate.call("fail", message(f"{TRIGGER}_Request"))
    assert not response.success
    assert response.message == (
        "TypeError: service 'fail' was answered with a std_srvs/srv/Empty_Response; "
        "expected std_srvs/srv/Trigger_Response"
    )


def test_a_type_that_cannot_say_what_went_wrong(gate: NodeRunner) -> None:
    assert gate.call("forget", message(f"{EMPTY}_Request")) == message(f"{EMPTY}_Response")
    gate.node.fault = InputError("there is nothing to forget")
    with pytest.raises(ServiceError, match="service 'forget': there is nothing to forget"):
        gate.call("forget", message(f"{EMPTY}_Request"))
    assert gate.statistics()["refused"] == 1


def test_a_node_that_is_not_active_does_not_serve(gate: NodeRunner) -> None:
    gate.deactivate()
    assert gate.call("open", request()) == message(
        f"{SET_BOOL}_Response", success=False, message="/gate is inactive, not active"
    )
    gate.activate()
    assert gate.call("open", request()).success


def test_an_unknown_service_is_told(gate: NodeRunner) -> None:
    with pytest.raises(KeyError, match="/gate has no service 'opne'; it has: open, fail, forget"):
        gate.call("opne", request())


def test_names_of_services_are_resolved_and_remapped() -> None:
    arguments = RosArguments.of(remappings=["__ns:=/robot", "__node:=door", "fail:=/break"])
    with NodeRunner.create(Gate, Bus(), arguments) as runner:
        assert runner.served == [("/robot/door/open", SET_BOOL), ("/break", TRIGGER), ("/robot/door/forget", EMPTY)]


def test_without_threads_the_caller_serves() -> None:
    with NodeRunner(Gate(), Bus(), inline=True) as runner:
        runner.start()
        assert runner.call("open", request()).success


# Over the network


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cyclonedds", reason="no cyclonedds wheel for this platform")
    monkeypatch.setitem(os.environ, "ROS_DOMAIN_ID", str(random.randint(1, 100)))
    monkeypatch.setitem(os.environ, "ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    tag = f"<Discovery><Tag>{uuid.uuid4()}</Tag></Discovery>"
    monkeypatch.setitem(os.environ, "CYCLONEDDS_URI", f"<CycloneDDS><Domain>{tag}</Domain></CycloneDDS>")


@pytest.fixture
def call(domain: None) -> Iterator[Callable[..., Any]]:
    """Calls a service as another participant of the domain."""
    from scene_understanding.hosts.dds import DdsTransport
    from scene_understanding.hosts.dds_services import Client

    transport = DdsTransport()
    clients: dict[str, Client] = {}

    def call(name: str, kind: str, timeout: float = 20.0, **fields: Any) -> Any:
        if name not in clients:
            clients[name] = Client(transport, name, kind, "/test")
        return clients[name].call(message(f"{kind}_Request", **fields), timeout)

    yield call
    for client in clients.values():
        client.close()
    transport.close()


def test_the_dds_host_serves(call: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    from scene_understanding.hosts.dds_host import DdsHost
    from scene_understanding.hosts.dds_library import DdsError

    with DdsHost() as host:
        runner = host.add(Gate, RosArguments.of(remappings=["__ns:=/robot", "fail:=/break"]))
        assert call("/robot/gate/open", SET_BOOL, data=True).success
        assert not call("/robot/gate/open", SET_BOOL, data=False).success
        assert "expected std_srvs/srv/Trigger_Response" in call("/break", TRIGGER).message
        assert call("/robot/gate/forget", EMPTY) is not None
        runner.node.fault = InputError("the map is empty")
        assert call("/robot/gate/open", SET_BOOL, data=True).message == "the map is empty"
        with pytest.raises(DdsError, match="no answer within 0.5 s"):
            call("/robot/gate/forget", EMPTY, 0.5)
        assert "service /robot/gate/forget: ServiceError: service 'forget': the map is empty" in caplog.text
        runner.node.fault = None
        assert call("/robot/gate/open", SET_BOOL, data=True).success
    with pytest.raises(DdsError, match="there is no server"):
        call("/robot/gate/open", SET_BOOL, 0.5, data=True)
