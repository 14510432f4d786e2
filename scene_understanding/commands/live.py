"""`run` and live `simulate`: nodes in this process until they are stopped."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from scene_understanding.commands.catalogue import node_type
from scene_understanding.commands.output import CommandError, table
from scene_understanding.hosts.names import RosArguments
from scene_understanding.hosts.signals import stop_signals
from scene_understanding.nodes.node import Node

POLL = 0.2
"""Seconds between looks at whether somebody else has shut ROS down."""


def run_dds(nodes: Sequence[str], arguments: RosArguments, seconds: float | None = None) -> dict[str, Any]:
    """Runs the nodes over DDS until SIGINT, SIGTERM or the end of the time; reports the statistics of each.

    Raises:
        CommandError: an unknown node, the same one twice, or a time that is none.
        DdsError, NamingError, ParameterError, ConfigurationError: the nodes cannot run.
    """
    from scene_understanding.hosts.dds_host import DdsHost

    types = _types(nodes, seconds)
    with stop_signals() as stop, DdsHost() as host:
        runners = [host.add(found, arguments) for found in types]
        _announce(runner.names.fully_qualified for runner in runners)
        stop.wait(seconds)
        return {"nodes": {runner.names.fully_qualified: runner.statistics() for runner in runners}}


def run_ros2(nodes: Sequence[str], arguments: RosArguments, seconds: float | None = None) -> dict[str, Any]:
    """As `run_dds`, as lifecycle nodes of a ROS 2 that is installed and sourced.

    Raises:
        CommandError: as `run_dds`, or there is no rclpy.
        NamingError, ParameterError, ConfigurationError: the nodes cannot run.
    """
    types = _types(nodes, seconds)
    try:
        from scene_understanding.hosts.ros2_host import Ros2Host, ros_arguments
    except ModuleNotFoundError as error:
        raise CommandError(f"the ros2 host needs the module {error.name}: source the setup.bash of ROS 2") from error
    with stop_signals() as stop, Ros2Host(ros_arguments(arguments)) as host:
        running = [host.add(found) for found in types]
        _announce(node.names.fully_qualified for node in running)
        end = None if seconds is None else time.monotonic() + seconds
        while not host.stopped.is_set() and (end is None or time.monotonic() < end):
            if stop.wait(POLL if end is None else min(POLL, max(0.0, end - time.monotonic()))):
                break
        return {"nodes": {node.names.fully_qualified: figures for node in running if (figures := node.statistics())}}


def _types(nodes: Sequence[str], seconds: float | None) -> list[type[Node]]:
    check_seconds(seconds)
    if len(set(nodes)) != len(nodes):
        raise CommandError("a node is named twice; run the second in a process of its own with -r __node:=other")
    return [node_type(name) for name in nodes]


def _announce(names: Iterable[str]) -> None:
    print("running:", ", ".join(names), file=sys.stderr, flush=True)


def check_seconds(seconds: float | None) -> None:
    """Raises CommandError for a duration that is not above 0."""
    if seconds is not None and not seconds > 0:
        raise CommandError(f"seconds is {seconds}; it must be above 0")


def statistics_table(nodes: dict[str, dict[str, Any]]) -> str:
    """One row a node."""
    rows = [
        (
            name,
            figures["sets"] + figures["ticks"],
            figures["fps"],
            figures["latency_p50_ms"],
            figures["latency_p95_ms"],
            figures["drops"],
            figures["refused"] + figures["failed"],
        )
        for name, figures in nodes.items()
    ]
    return table(("node", "sets", "fps", "p50 ms", "p95 ms", "drops", "errors"), rows)
