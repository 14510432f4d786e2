"""QoS profiles in bags: the `offered_qos_profiles` of rosbag2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from scene_understanding.nodes.node import RELIABLE, QoS

_RELIABILITY = {1: "reliable", 2: "best_effort"}  # numbers of rmw_qos_reliability_policy_t
_DURABILITY = {1: "transient_local", 2: "volatile"}  # and of rmw_qos_durability_policy_t
_INFINITE = {"sec": 9223372036, "nsec": 854775807}  # RMW_DURATION_INFINITE


def qos_to_yaml(profiles: Sequence[QoS]) -> str:
    """As rosbag2 up to metadata version 8 writes it, which all versions read: policies as numbers of `rmw`."""
    reliability = {text: number for number, text in _RELIABILITY.items()}
    durability = {text: number for number, text in _DURABILITY.items()}
    entries = [
        {
            "history": 1,
            "depth": qos.depth,
            "reliability": reliability[qos.reliability],
            "durability": durability[qos.durability],
            "deadline": dict(_INFINITE),
            "lifespan": dict(_INFINITE),
            "liveliness": 1,
            "liveliness_lease_duration": dict(_INFINITE),
            "avoid_ros_namespace_conventions": False,
        }
        for qos in profiles
    ]
    return yaml.safe_dump(entries, sort_keys=False) if entries else ""


def qos_from_yaml(profiles: str | Sequence[Any]) -> tuple[QoS, ...]:
    """The profiles of a recorded topic, one for each of its publishers; empty where there are none or are damaged."""
    try:
        entries = yaml.safe_load(profiles) if isinstance(profiles, str) else profiles
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError):
        return ()  # all but the first come from PyYAML where a tagged or implied value is none of its kind
    return tuple(_qos(entry) for entry in entries if isinstance(entry, dict)) if isinstance(entries, list) else ()


def _qos(entry: dict[str, Any]) -> QoS:
    reliability, durability, depth = (entry.get(key) for key in ("reliability", "durability", "depth"))
    best_effort = reliability in (2, "best_effort")
    latched = durability in (1, "transient_local")
    return QoS(
        "best_effort" if best_effort else "reliable",
        "transient_local" if latched else "volatile",
        depth if isinstance(depth, int) and depth > 0 else RELIABLE.depth,
    )


def offered(profiles: Sequence[QoS]) -> QoS:
    """The QoS to publish a recorded topic with: latched if all its publishers were, reliable unless none was."""
    if not profiles:
        return RELIABLE
    return QoS(
        "reliable" if any(qos.reliability == "reliable" for qos in profiles) else "best_effort",
        "transient_local" if all(qos.durability == "transient_local" for qos in profiles) else "volatile",
        max(qos.depth for qos in profiles),
    )
