"""Why a node gets nothing to work on: one line for each cause, with the names and figures that a user needs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from scene_understanding.hosts.clock import SimulatedClock
from scene_understanding.hosts.inbox import Heard, Trigger
from scene_understanding.hosts.transport import Endpoint
from scene_understanding.nodes.node import Input, QoS

if TYPE_CHECKING:
    from scene_understanding.hosts.runner import NodeRunner

SILENT_AFTER = 5.0  # seconds without a set until a node explains itself


def explain(runner: NodeRunner, quiet_after: float = SILENT_AFTER) -> list[str]:
    """What keeps the node from working; empty if nothing is wrong with its inputs.

    An input counts as silent when nothing has come for `quiet_after` seconds, or ever.
    """
    since = time.monotonic() - quiet_after
    lines = _clock(runner)
    missing = runner.inbox.missing
    for i in runner.inbox.inputs:
        heard = runner.inbox.heard[i.name]
        waits = i.required and (i in missing or not i.latched)
        if waits and (not heard.count or heard.last < since):
            lines.append(_unheard(runner, i, heard))
    lines += _transforms(runner)
    lines += [line for trigger in runner.inbox.triggers for line in _unmatched(runner, trigger, since)]
    if not lines and runner.figures.last_refusal:
        lines.append(f"messages come but are refused: {runner.figures.last_refusal}")
    return lines


def _clock(runner: NodeRunner) -> list[str]:
    if isinstance(runner.clock, SimulatedClock) and runner.clock.now_ns == 0 and not runner.node.drives_clock:
        return ["use_sim_time is set but nothing has come on /clock"]
    return []


def _transforms(runner: NodeRunner) -> list[str]:
    if not runner.node.uses_transforms or runner.transforms.heard:
        return []
    publishers = runner.bus.publishers(runner.tf_topic) + runner.bus.publishers(runner.tf_static_topic)
    why = f"published by {_who(publishers[0])}, but nothing has come" if publishers else "no publisher"
    return [f"transforms ({runner.tf_topic}, {runner.tf_static_topic}): {why}"]


def _unheard(runner: NodeRunner, i: Input, heard: Heard) -> str:
    topic = runner.names.resolve(i.topic)
    start = f"input '{i.name}' ({topic}, {i.type}): "
    wanted = runner.host.overridden(topic, "subscription", i.qos)
    publishers = runner.bus.publishers(topic)
    fitting = [p for p in publishers if p.type == i.type]
    if not publishers:
        return start + ("no publisher" if not heard.count else f"the publisher is gone{_since(heard)}")
    if not fitting:
        other = publishers[0]
        return start + f"published as {other.type} by {_who(other)}"
    refused = [(p, reason) for p in fitting if (reason := incompatible(p.qos, wanted))]
    if len(refused) == len(fitting):
        publisher, reason = refused[0]
        return start + f"{_who(publisher)} {reason}, so nothing is delivered; set qos_overrides.{topic}.subscription"
    return start + f"{_who(fitting[0])} publishes it but nothing has come{_since(heard)}"


def incompatible(offered: QoS, requested: QoS) -> str | None:
    """Why ROS 2 does not connect a publisher and a subscription ("offers x, y is requested"); None where it does."""
    if offered.reliability == "best_effort" and requested.reliability == "reliable":
        return "offers best_effort, reliable is requested"
    if offered.durability == "volatile" and requested.durability == "transient_local":
        return "offers volatile, transient_local is requested"
    return None


def _unmatched(runner: NodeRunner, trigger: Trigger, since: float) -> list[str]:
    synchroniser = trigger.synchroniser
    heard = [runner.inbox.heard[i.name] for i in trigger.inputs if i.required]
    fresh = all(h.count and h.last >= since for h in heard)
    if synchroniser is None or not fresh or (synchroniser.matches and synchroniser.last_match >= since):
        return []
    newest = max(synchroniser.last_stamps.values(), default=0)
    waited_for = [i.name for i in trigger.inputs if synchroniser.waits_for(i.name, newest)]
    stamps = {name: runner.inbox.heard[name].last_stamp_ns or 0 for name in waited_for}
    skew = (max(stamps.values()) - min(stamps.values())) * 1e-9
    last = ", ".join(f"{name} {stamp * 1e-9:.3f}" for name, stamp in stamps.items())
    jumps = f"; stamps went backwards {synchroniser.jumps} times" if synchroniser.jumps else ""
    return [f"stamps never match within {trigger.slop:g} s: last stamps {last} (skew {skew:.3f} s){jumps}"]


def _who(endpoint: Endpoint) -> str:
    return endpoint.node or "another node"


def _since(heard: Heard) -> str:
    return f" for {time.monotonic() - heard.last:.0f} s" if heard.count else ""
