"""Parameters of a running node, as every host shows and changes them."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scene_understanding.nodes.node import Node, QoS
from scene_understanding.nodes.parameters import ParameterDescription, ParameterError, describe, from_mapping, replaced

USE_SIM_TIME = ParameterDescription(
    "use_sim_time", bool, False, "follow the simulated time on /clock instead of the system's", None, None, False
)
_OVERRIDES = "qos_overrides."
_POLICIES: dict[str, tuple[object, ...]] = {
    "reliability": ("reliable", "best_effort"),
    "durability": ("volatile", "transient_local"),
}


@dataclass(frozen=True)
class HostParameters:
    """Parameters that every node has because the host, not the node, acts on them.

    Attributes:
        qos_overrides: `<absolute topic>.<publisher|subscription>.<policy>` to value, as in rclcpp; the policies are
            `reliability`, `durability` and `depth`.
    """

    use_sim_time: bool = False
    qos_overrides: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def split(cls, values: Mapping[str, Any]) -> tuple[HostParameters, dict[str, Any]]:
        """Takes the host's own parameters out of all the values given; returns them and the rest.

        Raises:
            ParameterError: a value that is not allowed.
        """
        rest = {name: value for name, value in values.items() if not _is_of_host(name)}
        use_sim_time = values.get(USE_SIM_TIME.name, False)
        if not isinstance(use_sim_time, bool):
            raise ParameterError(f"parameter 'use_sim_time' is {use_sim_time!r}; expected bool")
        overrides = {k.removeprefix(_OVERRIDES): v for k, v in values.items() if k.startswith(_OVERRIDES)}
        for name, value in overrides.items():
            _check_override(name, value)
        return cls(use_sim_time, overrides), rest

    def overridden(self, topic: str, kind: str, qos: QoS) -> QoS:
        """The QoS of a topic after the user's overrides; `kind` is `publisher` or `subscription`."""
        prefix = f"{topic}.{kind}."
        changes = {k.removeprefix(prefix): v for k, v in self.qos_overrides.items() if k.startswith(prefix)}
        return dataclasses.replace(qos, **changes)


def _is_of_host(name: str) -> bool:
    return name == USE_SIM_TIME.name or name.startswith(_OVERRIDES)


def _check_override(name: str, value: object) -> None:
    topic, _, policy = name.rpartition(".")
    if topic.rpartition(".")[2] not in ("publisher", "subscription"):
        raise ParameterError(f"parameter '{_OVERRIDES}{name}': expected <topic>.publisher or .subscription.<policy>")
    depth = policy == "depth" and isinstance(value, int) and value > 0
    if not depth and value not in _POLICIES.get(policy, ()):
        choices = "; ".join(f"{p}: {' or '.join(map(str, v))}" for p, v in _POLICIES.items())
        raise ParameterError(f"parameter '{_OVERRIDES}{name}' is {value!r}; allowed are {choices}; depth: 1 or more")


class ParameterService:
    """Get, set, describe and list, from any thread."""

    def __init__(self, node: Node, host: HostParameters, between_sets: Callable[[Callable[[], None]], None]) -> None:
        """`between_sets` runs a function while the node does nothing else, and returns when it is done."""
        self._node = node
        self._host = host
        self._between_sets = between_sets
        self._lock = threading.Lock()
        self._current = node.parameters

    def list(self) -> tuple[str, ...]:
        """Names, the node's own first."""
        return tuple(self.describe())

    def describe(self) -> dict[str, ParameterDescription]:
        return {**describe(type(self._node.parameters)), USE_SIM_TIME.name: USE_SIM_TIME}

    def get(self) -> dict[str, Any]:
        """All values by name."""
        return {**dataclasses.asdict(self._current), USE_SIM_TIME.name: self._host.use_sim_time}

    def set(self, values: Mapping[str, Any]) -> None:
        """Changes all of the values or none; returns when the node works with them. May wait for a set in progress.

        Raises:
            ParameterError: an unknown name, a value that is not allowed, or one that can only be set at start.
        """
        if any(_is_of_host(name) for name in values):
            raise ParameterError(f"parameter '{', '.join(values)}' can only be set at start, not while the node runs")
        with self._lock:
            changed = replaced(self._current, values)
            self._between_sets(lambda: self._node.reconfigure(changed))
            self._current = changed


def create_node(node_type: type[Node], values: Mapping[str, Any]) -> Node:
    """A node from the values of its own parameters.

    Raises:
        ParameterError, ConfigurationError: values that are not allowed.
    """
    return node_type(from_mapping(node_type.parameters_type, values))
