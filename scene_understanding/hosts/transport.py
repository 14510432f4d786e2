"""What a host offers to carry serialised messages: DDS, rclpy, or nothing at all (a bag)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from scene_understanding.nodes.node import QoS


@dataclass(frozen=True)
class Endpoint:
    """A publisher that discovery knows, for the node that asks why nothing comes.

    Attributes:
        node: fully qualified name of its node, or "" where unknown.
        type: `pkg/msg/Type`.
    """

    node: str
    type: str
    qos: QoS


class Publisher(Protocol):
    """One advertised topic."""

    def publish(self, data: bytes | memoryview) -> None:
        """Sends one message: CDR with its 4-byte encapsulation header."""

    def subscription_count(self) -> int:
        """How many subscriptions outside this process are matched now."""

    def close(self) -> None: ...


class Subscription(Protocol):
    """One subscribed topic."""

    def close(self) -> None: ...


class Transport(Protocol):
    """Carries CDR bytes between this process and others. All methods may be called from any thread.

    Attributes:
        ignores_local: subscriptions never receive what publishers of this same process sent.
    """

    ignores_local: bool

    def advertise(self, topic: str, msgtype: str, qos: QoS, node: str) -> Publisher:
        """`topic` is absolute; `node` is the fully qualified name of the node that owns the publisher."""

    def subscribe(
        self, topic: str, msgtype: str, qos: QoS, node: str, callback: Callable[[bytes | memoryview], None]
    ) -> Subscription:
        """Calls `callback` with each message's CDR bytes, from a thread of the transport; it must return fast.

        The bytes stay valid and unchanged for as long as somebody holds them: they are decoded later, elsewhere.
        """

    def publishers(self, topic: str) -> list[Endpoint]:
        """Publishers of the topic outside this process, whatever their type and QoS."""

    def close(self) -> None: ...
