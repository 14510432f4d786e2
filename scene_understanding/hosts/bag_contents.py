"""What every kind of bag has: topics, recorded messages, and losses where a file is damaged."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from scene_understanding.nodes.node import QoS


class BagError(ValueError):
    """A bag that cannot be opened, or that lacks what is asked of it. One line for the user."""


@dataclass(frozen=True)
class Topic:
    """A topic of a bag. A name with two types is two of these.

    Attributes:
        type: ROS 2 name of the type, `pkg/msg/Type`.
        qos: offered by the recorded publishers; empty where the bag does not say.
        definition: `ros2msg` text, or "" where the bag has none.
        count: messages, as far as the file can be read.
    """

    name: str
    type: str
    qos: tuple[QoS, ...] = ()
    definition: str = ""
    count: int = 0


@dataclass(frozen=True)
class Recorded:
    """One message: CDR bytes with encapsulation header, and when it was recorded."""

    topic: str
    type: str
    time_ns: int
    data: bytes | memoryview


@dataclass(frozen=True)
class Loss:
    """What could not be read.

    Attributes:
        where: file and position.
        why: what is wrong there.
        bytes: how much of the file is lost to it.
        messages: how many messages; None where nothing tells.
    """

    where: str
    why: str
    bytes: int = 0
    messages: int | None = None

    def __str__(self) -> str:
        lost = [] if self.messages is None else [f"{self.messages} message{'s' * (self.messages != 1)}"]
        lost += [f"{self.bytes} bytes"] if self.bytes else []
        return f"{self.where}: {self.why}" + (f"; lost: {', '.join(lost)}" if lost else "")


class BagFile(Protocol):
    """One file of a bag. `losses` is complete when the last message has been read."""

    topics: list[Topic]
    losses: list[Loss]

    def messages(self, wanted: Collection[str] | None) -> Iterator[Recorded]:
        """Of the topics wanted (None: all), in recorded order: by time, equal times by their place in the file."""

    def close(self) -> None: ...
