"""Messages between the nodes of a process, and between them and the world outside.

Inside the process a message is handed over as the object itself: receivers must not change it. The transport sees a
topic as bytes, and only where somebody outside listens. A message is serialised at most once and decoded at most once,
however many nodes, recorders and outside subscribers take it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from scene_understanding.hosts.transport import Endpoint, Publisher, Subscription, Transport
from scene_understanding.messages.types import deserialize, serialize, typestore
from scene_understanding.nodes.node import QoS

_STD_HEADER = "std_msgs/msg/Header"


class Delivery:
    """One message on its way: the object, its CDR bytes, or both; each is made from the other when first asked for."""

    def __init__(self, msgtype: str, message: Any = None, data: bytes | memoryview | None = None) -> None:
        self.type = msgtype
        self._message = message
        self._data = data
        self._lock = threading.Lock()

    def message(self) -> Any:
        """The message object, shared by all receivers: read it, never change it.

        Raises:
            ValueError: the bytes are not a message of this type.
        """
        with self._lock:
            if self._message is None:
                assert self._data is not None
                self._message = deserialize(self._data, self.type)
            return self._message

    def data(self) -> bytes | memoryview:
        """CDR with its 4-byte encapsulation header.

        Raises:
            ValueError: a field of the message does not fit its type.
        """
        with self._lock:
            if self._data is None:
                self._data = serialize(self._message)
            return self._data

    @property
    def stamp_ns(self) -> int | None:
        """Header stamp in nanoseconds, read without decoding the message; None for types without a header.

        Raises:
            ValueError: bytes too short to hold a stamp.
        """
        if not has_header(self.type):
            return None
        if self._message is not None:
            stamp = self._message.header.stamp
            return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
        assert self._data is not None
        return stamp_of_cdr(self._data)


def has_header(msgtype: str) -> bool:
    """Whether messages of the type begin with a std_msgs/Header."""
    fields = typestore.fielddefs[msgtype][1] if msgtype in typestore.fielddefs else []
    return bool(fields) and fields[0][1][1] == _STD_HEADER


def stamp_of_cdr(data: bytes | memoryview) -> int:
    """The stamp (nanoseconds) of a serialised message that begins with a std_msgs/Header.

    The second byte of the encapsulation header is odd for little endian (DDS-RTPS 10.2); the stamp follows as int32
    seconds and uint32 nanoseconds.

    Raises:
        ValueError: fewer than 12 bytes.
    """
    if len(data) < 12:
        raise ValueError(f"{len(data)} bytes are too few for a message with a header")
    order: Any = "little" if data[1] & 1 else "big"
    seconds = int.from_bytes(data[4:8], order, signed=True)
    return seconds * 1_000_000_000 + int.from_bytes(data[8:12], order)


class BusPublisher:
    """A topic advertised by a node of this process."""

    def __init__(self, bus: Bus, topic: str, endpoint: Endpoint, outside: Publisher | None) -> None:
        self.topic = topic
        self.endpoint = endpoint
        self.kept: deque[Delivery] = deque(maxlen=endpoint.qos.depth)
        self._bus = bus
        self._outside = outside

    @property
    def latched(self) -> bool:
        return self.endpoint.qos.durability == "transient_local"

    @property
    def wanted(self) -> bool:
        """Whether anybody listens, here or outside; always true for a latched topic, which late listeners get too."""
        return self.latched or self._bus.has_listeners(self.topic, self.endpoint.type) or self._heard_outside

    @property
    def _heard_outside(self) -> bool:
        return self._outside is not None and self._outside.subscription_count() > 0

    def publish(self, message: Any) -> None:
        """Hands a message of the advertised type to all who listen.

        Raises:
            TypeError: a message of another type.
            ValueError: somebody listens outside and a field does not fit its type.
        """
        if getattr(message, "__msgtype__", None) != self.endpoint.type:
            found = getattr(message, "__msgtype__", type(message).__name__)
            raise TypeError(f"{self.topic} carries {self.endpoint.type}; a {found} was to be published")
        self.deliver(Delivery(self.endpoint.type, message))

    def deliver(self, delivery: Delivery) -> None:
        """As `publish`, for what is already on its way (a bag's bytes)."""
        self._bus.hand_over(self, delivery)
        if self._outside is not None and (self.latched or self._heard_outside):
            self._outside.publish(delivery.data())

    def close(self) -> None:
        self._bus.remove_publisher(self)
        if self._outside is not None:
            self._outside.close()


@dataclass(frozen=True, eq=False)
class BusSubscription:
    """A callback on a topic; it is called from the publisher's or the transport's thread and must return at once."""

    bus: Bus
    topic: str
    endpoint: Endpoint
    callback: Callable[[Delivery], None]

    def close(self) -> None:
        self.bus.remove_subscription(self)


_OutsideKey = tuple[str, str, QoS, int]


class Bus:
    """Connects publishers and subscriptions of one process by absolute topic name and type.

    Volatile subscriptions with equal topic, type and QoS share one subscription of the transport (it is announced
    under the name of the node that came first). Where the transport cannot tell its own messages from others
    (`ignores_local` false), a topic that is published here is heard from here only.
    """

    def __init__(self, transport: Transport | None = None) -> None:
        self.transport = transport
        self._lock = threading.Lock()
        self._publishers: list[BusPublisher] = []
        self._subscriptions: list[BusSubscription] = []
        self._outside: dict[_OutsideKey, Subscription] = {}
        self._outside_lock = threading.Lock()

    def advertise(self, topic: str, msgtype: str, qos: QoS, node: str) -> BusPublisher:
        """`topic` is absolute; `node` is the fully qualified name of the owner."""
        outside = self.transport.advertise(topic, msgtype, qos, node) if self.transport else None
        publisher = BusPublisher(self, topic, Endpoint(node, msgtype, qos), outside)
        with self._lock:
            self._publishers.append(publisher)
        self._update_outside()
        return publisher

    def subscribe(
        self, topic: str, msgtype: str, qos: QoS, node: str, callback: Callable[[Delivery], None]
    ) -> BusSubscription:
        """Calls back with every message; first, and at once, with those that latched publishers here have kept."""
        subscription = BusSubscription(self, topic, Endpoint(node, msgtype, qos), callback)
        with self._lock:
            self._subscriptions.append(subscription)
            for delivery in [d for p in self._publishers if p.topic == topic for d in p.kept if d.type == msgtype]:
                callback(delivery)
        self._update_outside()
        return subscription

    def wanted(self, topic: str) -> bool:
        """Whether anybody listens to what this process publishes on the topic."""
        with self._lock:
            publishers = [p for p in self._publishers if p.topic == topic]
        return any(p.wanted for p in publishers)

    def publishers(self, topic: str) -> list[Endpoint]:
        """All publishers of the topic, here and outside, whatever their type."""
        with self._lock:
            here = [p.endpoint for p in self._publishers if p.topic == topic]
        return here + (self.transport.publishers(topic) if self.transport else [])

    def conflict(self, topic: str, msgtype: str) -> str | None:
        """One line when somebody publishes the topic, or somebody here subscribes to it, with another type."""
        with self._lock:
            listeners = [s.endpoint for s in self._subscriptions if s.topic == topic]
        for verb, endpoints in (("published", self.publishers(topic)), ("expected", listeners)):
            for other in endpoints:
                if other.type != msgtype:
                    return f"{topic} is {msgtype} here but is {verb} as {other.type} by {other.node or 'another node'}"
        return None

    def has_listeners(self, topic: str, msgtype: str) -> bool:
        """Whether anybody in this process listens to the topic with that type."""
        return bool(self._listeners(topic, msgtype))

    def hand_over(self, publisher: BusPublisher, delivery: Delivery) -> None:
        """Gives what a publisher of this process sends to the subscriptions of this process."""
        with self._lock:
            if publisher.latched:
                publisher.kept.append(delivery)
        for subscription in self._listeners(publisher.topic, delivery.type):
            subscription.callback(delivery)

    def remove_publisher(self, publisher: BusPublisher) -> None:
        with self._lock:
            self._publishers.remove(publisher)
        self._update_outside()

    def remove_subscription(self, subscription: BusSubscription) -> None:
        with self._lock:
            self._subscriptions.remove(subscription)
        self._update_outside()

    def _listeners(self, topic: str, msgtype: str) -> list[BusSubscription]:
        with self._lock:
            return [s for s in self._subscriptions if s.topic == topic and s.endpoint.type == msgtype]

    def _update_outside(self) -> None:
        """Subscribes outside to what somebody here wants to hear from there, and to nothing else."""
        if self.transport is None:
            return
        with self._outside_lock:
            needed = self._needed_outside()
            for key in self._outside.keys() - needed.keys():
                self._outside.pop(key).close()
            for key in needed.keys() - self._outside.keys():
                topic, msgtype, qos, _ = key
                callback = partial(self._from_outside, key)
                self._outside[key] = self.transport.subscribe(topic, msgtype, qos, needed[key], callback)

    def _needed_outside(self) -> dict[_OutsideKey, str]:
        assert self.transport is not None
        with self._lock:
            published = set() if self.transport.ignores_local else {p.topic for p in self._publishers}
            needed: dict[_OutsideKey, str] = {}
            for subscription in self._subscriptions:
                if subscription.topic not in published:
                    needed.setdefault(_outside_key(subscription), subscription.endpoint.node)
        return needed

    def _from_outside(self, key: _OutsideKey, data: bytes | memoryview) -> None:
        delivery = Delivery(key[1], data=data)
        with self._lock:
            listeners = [s for s in self._subscriptions if _outside_key(s) == key]
        for subscription in listeners:
            subscription.callback(delivery)


def _outside_key(subscription: BusSubscription) -> _OutsideKey:
    """Equal for subscriptions that can share one outside; a latched one cannot, a late sharer would get nothing."""
    endpoint = subscription.endpoint
    own = id(subscription) if endpoint.qos.durability == "transient_local" else 0
    return subscription.topic, endpoint.type, endpoint.qos, own
