"""What the tests of the ros2 host share: a ROS domain of their own, hosts, and a plain rclpy node as the other side."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from scene_understanding.messages.image import color_from_image
from scene_understanding.messages.types import String
from scene_understanding.nodes.node import LATCHED, RELIABLE, SENSOR, ConfigurationError, Context, Input, Node, Output
from scene_understanding.nodes.parameters import parameter


@dataclass(frozen=True)
class EchoParameters:
    """Parameters of every kind."""

    gain: float = parameter(0.5, "how much", bounds=(0.0, 1.0), runtime=True)
    count: int = parameter(3, "how many", bounds=(1, 9), runtime=True)
    mode: str = parameter("fast", "in which way", choices=("fast", "slow"), runtime=True)
    loud: bool = parameter(False, "whether it can be heard", runtime=True)
    model: str = parameter("good", "what configure loads; 'missing', 'broken' and 'unmet' fail")
    offsets: tuple[float, ...] = parameter((0.0, 1.0), "three of them or two")
    names: tuple[str, ...] = parameter((), "of nobody")


class Echo(Node):
    """Sends an image back, says what time it is with each, and greets once."""

    name = "echo"
    parameters_type = EchoParameters
    inputs = (Input("image", "image", "sensor_msgs/msg/Image", SENSOR),)
    outputs = (
        Output("image", "~/image", "sensor_msgs/msg/Image", RELIABLE),
        Output("now", "~/now", "std_msgs/msg/String", RELIABLE),
        Output("greeting", "~/greeting", "std_msgs/msg/String", LATCHED),
    )

    def configure(self, context: Context) -> None:
        self.greeted = False
        if self.parameters.model == "missing":
            raise ConfigurationError("parameter 'model' is 'missing'; there is no such model")
        if self.parameters.model == "broken":
            raise RuntimeError("a fault of the program")
        if self.parameters.model == "unmet":
            raise ModuleNotFoundError("No module named 'no_such_module'", name="no_such_module")

    def process(self, messages: Any, context: Context) -> dict[str, Any]:
        out = {"image": messages["image"], "now": String(data=str(context.now_ns))}
        if not self.greeted:
            self.greeted = True
            out["greeting"] = String(data=f"{self.parameters.gain:g} {self.parameters.mode}")
        color_from_image(messages["image"])
        return out


class Peer:
    """A plain rclpy node with a context and a thread of its own: as another process to the host under test."""

    def __init__(self, name: str = "peer") -> None:
        import rclpy
        from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(args=[], context=self.context)
        self.node = rclpy.create_node(name, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

        def spin() -> None:
            try:
                while self.context.ok():
                    self.executor.spin_once()
            except ExternalShutdownException:
                pass

        self._thread = threading.Thread(target=spin)
        self._thread.start()

    def hear(self, msgtype: type, topic: str, qos: Any = 10, raw: bool = False) -> list[Any]:
        """A list that grows with the messages of a topic."""
        heard: list[Any] = []
        self.node.create_subscription(msgtype, topic, lambda message: heard.append(message), qos, raw=raw)
        return heard

    def publisher(self, msgtype: type, topic: str, qos: Any = 10) -> Any:
        return self.node.create_publisher(msgtype, topic, qos)

    def call(self, srvtype: type, name: str, request: Any, seconds: float = 10.0) -> Any:
        """The response of a service."""
        client = self.node.create_client(srvtype, name)
        assert client.wait_for_service(seconds), f"no service {name}"
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        assert done.wait(seconds), f"no answer from {name}"
        self.node.destroy_client(client)
        return future.result()

    def close(self) -> None:
        import rclpy

        rclpy.try_shutdown(context=self.context)
        self._thread.join(10)
        self.node.destroy_node()


@pytest.fixture(autouse=True)
def domain(monkeypatch: pytest.MonkeyPatch) -> int:
    number = random.randint(60, 90)
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("CYCLONEDDS_URI", "")  # so that what a host sets is undone
    monkeypatch.delenv("CYCLONEDDS_URI")
    return number


@pytest.fixture
def echo() -> type[Echo]:
    return Echo


@pytest.fixture
def peer(domain: int) -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def host(domain: int) -> Iterator[Callable[..., Any]]:
    """Hosts a node (default: the echo) with ROS arguments; gives its `Ros2Node`. At the end no thread may be left."""
    from scene_understanding.hosts.ros2_host import Ros2Host

    hosts = []
    before = set(threading.enumerate())

    def start(*arguments: str, node_type: type[Node] = Echo) -> Any:
        hosts.append(Ros2Host(["--ros-args", *arguments]))
        return hosts[-1].add(node_type)

    yield start
    for host in hosts:
        host.close()
    left = [t.name for t in set(threading.enumerate()) - before if t.name.startswith(("ros2-", "/"))]
    assert not left, "threads that were not joined"


@pytest.fixture
def until() -> Callable[..., None]:
    """Waits until something is so; fails after `seconds`."""

    def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come about in time"
            time.sleep(0.005)

    return until
