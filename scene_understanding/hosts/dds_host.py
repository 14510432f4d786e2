"""The `dds` host: nodes of one process on one bus, seen by ROS 2 machines as ROS 2 nodes; no ROS 2 needed."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.dds import DdsTransport
from scene_understanding.hosts.dds_library import DdsError
from scene_understanding.hosts.dds_parameters import DdsParameters
from scene_understanding.hosts.dds_rosout import RosoutHandler
from scene_understanding.hosts.dds_services import Service
from scene_understanding.hosts.dds_settings import DdsSettings
from scene_understanding.hosts.names import NO_ARGUMENTS, NamingError, RosArguments
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.hosts.signals import stop_signals
from scene_understanding.nodes.node import ConfigurationError, Node
from scene_understanding.nodes.parameters import ParameterError

logger = logging.getLogger(__name__)


class DdsHost:
    """A bus with DDS behind it, and the nodes on it. A context manager that closes.

    Raises:
        DdsError: DDS cannot be started.
    """

    def __init__(self, settings: DdsSettings | None = None) -> None:
        self.transport = DdsTransport(settings)
        self.bus = Bus(self.transport)
        self._open = ExitStack()

    def add(self, node_type: type[Node], arguments: RosArguments = NO_ARGUMENTS) -> NodeRunner:
        """Starts a node with its services, those of its parameters, and its log on /rosout.

        Raises:
            NamingError, ParameterError, ConfigurationError: the node cannot be what the arguments say.
        """
        runner = NodeRunner.create(node_type, self.bus, arguments)
        name = runner.names.fully_qualified
        rosout = RosoutHandler(self.transport, name)
        runner.log.addHandler(rosout)
        self._open.callback(rosout.close)
        self._open.callback(runner.log.removeHandler, rosout)
        self._open.callback(runner.close)
        parameters = DdsParameters(self.transport, name, runner.parameters, lambda: runner.clock.now_ns)
        self._open.callback(parameters.close)
        runner.start()
        for service, (topic, srvtype) in zip(runner.node.services, runner.served, strict=True):
            server = Service(self.transport, topic, srvtype, partial(runner.call, service.name), name)
            self._open.callback(server.close)
        return runner

    def close(self) -> None:
        """Ends the nodes, last started first, then leaves the domain. Joins every thread."""
        self._open.close()
        self.transport.close()

    def __enter__(self) -> DdsHost:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def run(
    node_types: Sequence[type[Node]],
    arguments: RosArguments = NO_ARGUMENTS,
    *,
    settings: DdsSettings | None = None,
    stop: threading.Event | None = None,
) -> int:
    """Runs nodes until SIGINT or SIGTERM, or until `stop` is set; from the main thread.

    Returns:
        Exit code: 0, or 1 after one line on standard error that says why the nodes cannot run.
    """
    try:
        with stop_signals(stop) as stopped, DdsHost(settings) as host:
            for node_type in node_types:
                host.add(node_type, arguments)
            while not stopped.wait(1.0):  # a wait without end would not let Python handle signals on some systems
                pass
        return 0
    except (DdsError, NamingError, ParameterError, ConfigurationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
