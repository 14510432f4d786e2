"""`run` and live `simulate`: nodes in this process until they are stopped."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from scene_understanding.commands.catalogue import node_type
from scene_understanding.commands.output import CommandError, table
from scene_understanding.hosts.names import RosArguments


def run_dds(nodes: Sequence[str], arguments: RosArguments, seconds: float | None = None) -> dict[str, Any]:
    """Runs the nodes over DDS until SIGINT, SIGTERM or the end of the time; reports the statistics of each.

    Raises:
        CommandError: an unknown node, the same one twice, or a time that is none.
        DdsError, NamingError, ParameterError, ConfigurationError: the nodes cannot run.
    """
    from scene_understanding.hosts.dds_host import DdsHost

    check_seconds(seconds)
    if len(set(nodes)) != len(nodes):
        raise CommandError("a node is named twice; run the second in a process of its own with -r __node:=other")
    types = [node_type(name) for name in nodes]
    with stop_signals() as stop, DdsHost() as host:
        runners = [host.add(found, arguments) for found in types]
        print("running:", ", ".join(r.names.fully_qualified for r in runners), file=sys.stderr, flush=True)
        stop.wait(seconds)
        return {"nodes": {r.names.fully_qualified: r.statistics() for r in runners}}


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, instead of what they otherwise do."""
    stop = threading.Event()
    previous = {n: signal.signal(n, lambda *_: stop.set()) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


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
