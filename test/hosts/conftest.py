"""What the tests of the hosts share: a transport in memory, waiting, a way to watch a bus."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.transport import Endpoint
from scene_understanding.nodes.node import RELIABLE, QoS

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")


class Wire:
    """A transport between the buses of one process: bytes in a list of callbacks, matched as ROS 2 matches them."""

    def __init__(self, ignores_local: bool = True) -> None:
        self.ignores_local = ignores_local
        self.lock = threading.Lock()
        self.peers: list[WireEnd] = []

    def end(self) -> WireEnd:
        end = WireEnd(self)
        self.peers.append(end)
        return end


class WireEnd:
    """One process on the wire; a `Transport`."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.ignores_local = wire.ignores_local
        self.writers: list[WireWriter] = []
        self.readers: list[WireReader] = []
        self.sent: list[str] = []

    def advertise(self, topic: str, msgtype: str, qos: QoS, node: str) -> WireWriter:
        writer = WireWriter(self, topic, Endpoint(node, msgtype, qos))
        self.writers.append(writer)
        return writer

    def subscribe(self, topic: str, msgtype: str, qos: QoS, node: str, callback: Callable[[Any], None]) -> WireReader:
        reader = WireReader(self, topic, msgtype, qos, callback)
        self.readers.append(reader)
        if qos.durability == "transient_local":
            for peer in self.others():
                for writer in peer.writers:
                    if reader.matches(writer):
                        for data in writer.kept:
                            callback(data)
        return reader

    def others(self) -> list[WireEnd]:
        return [peer for peer in self.wire.peers if peer is not self or not self.ignores_local]

    def publishers(self, topic: str) -> list[Endpoint]:
        return [w.endpoint for peer in self.wire.peers if peer is not self for w in peer.writers if w.topic == topic]

    def close(self) -> None:
        self.wire.peers.remove(self)


class WireWriter:
    def __init__(self, end: WireEnd, topic: str, endpoint: Endpoint) -> None:
        self.end, self.topic, self.endpoint, self.kept = end, topic, endpoint, []

    def readers(self) -> list[WireReader]:
        return [r for peer in self.end.others() for r in peer.readers if r.matches(self)]

    def publish(self, data: bytes | memoryview) -> None:
        self.end.sent.append(self.topic)
        if self.endpoint.qos.durability == "transient_local":
            self.kept = [bytes(data)]
        for reader in self.readers():
            reader.callback(bytes(data))

    def subscription_count(self) -> int:
        return len(self.readers())

    def close(self) -> None:
        self.end.writers.remove(self)


class WireReader:
    def __init__(self, end: WireEnd, topic: str, msgtype: str, qos: QoS, callback: Callable[[Any], None]) -> None:
        self.end, self.topic, self.type, self.qos, self.callback = end, topic, msgtype, qos, callback

    def matches(self, writer: WireWriter) -> bool:
        offered = writer.endpoint.qos
        fits = self.qos.reliability == "best_effort" or offered.reliability == "reliable"
        latched = self.qos.durability == "volatile" or offered.durability == "transient_local"
        return writer.topic == self.topic and writer.endpoint.type == self.type and fits and latched

    def close(self) -> None:
        self.end.readers.remove(self)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def buses(wire: Wire) -> tuple[Bus, Bus]:
    """Two processes, so to speak."""
    return Bus(wire.end()), Bus(wire.end())


@pytest.fixture
def until() -> Callable[..., None]:
    """Waits until something is so; fails after `seconds`."""

    def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come about in time"
            time.sleep(0.002)

    return until


@pytest.fixture
def listen() -> Callable[..., list[Any]]:
    """Subscribes to a topic of a bus; the list grows with the messages."""

    def listen(bus: Bus, topic: str, msgtype: str, qos: QoS = RELIABLE) -> list[Any]:
        heard: list[Any] = []
        bus.subscribe(topic, msgtype, qos, "/listener", lambda delivery: heard.append(delivery.message()))
        return heard

    return listen
