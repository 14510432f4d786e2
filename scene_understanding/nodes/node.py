"""What a node is: declared inputs, outputs and parameters, and one method from messages to messages.

A node knows no transport. A host (`scene_understanding.hosts`) resolves its names, fills its mailboxes, calls
it, and carries its outputs away; see `docs/architecture.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from scene_understanding.geometry.transform_buffer import TransformBuffer
from scene_understanding.nodes.parameters import NoParameters


@dataclass(frozen=True)
class QoS:
    """The part of ROS 2 quality of service that nodes choose; history is always keep-last `depth`."""

    reliability: Literal["reliable", "best_effort"] = "reliable"
    durability: Literal["volatile", "transient_local"] = "volatile"
    depth: int = 1


SENSOR = QoS("best_effort", "volatile", 1)
RELIABLE = QoS("reliable", "volatile", 10)
LATCHED = QoS("reliable", "transient_local", 1)


@dataclass(frozen=True)
class Input:
    """A subscription.

    Attributes:
        name: key of the message in `process`.
        topic: default ROS name: relative (`rgb/image_rect_color`), private (`~/x`) or absolute (`/clock`).
        type: `pkg/msg/Type`.
        latched: the newest message is kept and handed with every set; it never triggers `process` by itself.
        required: `process` waits for it; an optional input that has not come is absent from the messages.
    """

    name: str
    topic: str
    type: str
    qos: QoS = SENSOR
    latched: bool = False
    required: bool = True


@dataclass(frozen=True)
class Synchronised:
    """Inputs whose header stamps must match: exactly (slop 0) or within `slop` seconds. Triggers as one set.

    An input that is not required is waited for only while it is alive: heard of within the last 1.5 s of stamps.
    """

    inputs: tuple[Input, ...]
    slop: float = 0.0


@dataclass(frozen=True)
class Output:
    """A publication; names as in `Input`."""

    name: str
    topic: str
    type: str
    qos: QoS = RELIABLE


@dataclass(frozen=True)
class Service:
    """A service that the node offers; names as in `Input`, `type` is `pkg/srv/Type`."""

    name: str
    topic: str
    type: str


class Context(Protocol):
    """What the host offers to a node while it works."""

    @property
    def now_ns(self) -> int:
        """Time of the node's clock (system, simulated or recorded), nanoseconds."""

    @property
    def transforms(self) -> TransformBuffer:
        """Transforms heard on /tf and /tf_static; only filled where the node sets `uses_transforms`."""

    def wanted(self, output: str) -> bool:
        """Whether anybody listens to the output of that name. Compute nothing for one that nobody wants."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Times a stage of the work (`decode`, `infer`, `encode`...) for /diagnostics."""

    def report(self, **values: object) -> None:
        """Key-value pairs for /diagnostics (`model=...`, `provider=...`); the newest value of a key stays."""

    def warn(self, text: str) -> None:
        """Counts a problem that the node survives and says it in /diagnostics and, rate-limited, in the log."""


class InputError(ValueError):
    """A message that cannot be used. The host counts it, says it in diagnostics, and goes on."""


class ConfigurationError(ValueError):
    """A node cannot start: model missing, parameters that contradict each other. One line for the user."""


class Node:
    """Base class of the nodes.

    Subclasses set the class attributes (or, where they depend on parameters, the same names on the instance in
    `__init__`) and implement `process`, `tick`, or both.

    Attributes:
        name: default node name.
        parameters_type: a frozen dataclass made of `parameter(...)` fields.
        inputs: each `Input` that is not latched and each `Synchronised` has a newest-only mailbox of its own.
        outputs: what `process` and `tick` may return.
        services: what `serve` answers, in hosts that carry services.
        uses_transforms: subscribe to /tf and /tf_static for `context.transforms`.
        period: seconds between calls of `tick`, or None.
        drives_clock: the node is the owner of simulated time (publishes /clock); its ticks follow wall time.
    """

    name: ClassVar[str]
    parameters_type: ClassVar[type] = NoParameters
    inputs: tuple[Input | Synchronised, ...] = ()
    outputs: tuple[Output, ...] = ()
    services: tuple[Service, ...] = ()
    uses_transforms: bool = False
    period: float | None = None
    drives_clock: bool = False

    def __init__(self, parameters: Any = None) -> None:
        self.parameters = parameters if parameters is not None else self.parameters_type()

    def configure(self, context: Context) -> None:
        """Loads what takes time (models, worlds). Raises ConfigurationError."""

    def process(self, messages: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
        """One set of messages by input name (the trigger and the latched inputs) to messages by output name.

        Other nodes of the process hold the same objects: change no message that came, nor one that was returned.

        Raises:
            InputError: the messages cannot be used; TransformError likewise.
        """
        raise TypeError(f"{type(self).__name__} declares inputs but does not implement process")

    def tick(self, context: Context) -> Mapping[str, Any]:
        """Called every `period` seconds of the node's clock."""
        raise TypeError(f"{type(self).__name__} declares a period but does not implement tick")

    def serve(self, service: str, request: Any, context: Context) -> Any:
        """The response to a request to the service of that name; called between two sets.

        Raises:
            InputError: the request cannot be served; hosts answer `success=false` with the text where the type has it.
        """
        raise TypeError(f"{type(self).__name__} declares services but does not implement serve")

    def reconfigure(self, parameters: Any) -> None:
        """Takes new values of the parameters declared with `runtime=True`; called between two sets."""
        self.parameters = parameters

    def reset(self) -> None:
        """Time jumped backwards (a bag loops, a simulation restarts): forget what depends on time."""

    def close(self) -> None:
        """Frees what `configure` acquired."""
