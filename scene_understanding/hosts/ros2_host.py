"""The `ros2` host: nodes of one process as rclpy lifecycle nodes, on one bus."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections.abc import Sequence

import rclpy
import yaml
from rclpy.context import Context
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.names import NamingError, RosArguments
from scene_understanding.hosts.ros2_node import USER_ERRORS, Ros2Node
from scene_understanding.hosts.ros2_transport import Ros2Transport
from scene_understanding.hosts.signals import stop_signals
from scene_understanding.messages.memory import keep_freed_memory
from scene_understanding.nodes.node import Node
from scene_understanding.nodes.parameters import ParameterError

logger = logging.getLogger(__name__)

# What rmw_cyclonedds_cpp is to use where the user says nothing: the 1 MB that it asks for by itself is less than one
# colour image with its depth, and what comes while it is full is lost. The kernel (net.core.rmem_max) may give less.
LARGE_BUFFERS = '<CycloneDDS><Domain><Internal><SocketReceiveBufferSize max="8MB"/></Internal></Domain></CycloneDDS>'


class Ros2Host:
    """A context of ROS, a bus on it, and the nodes on the bus. A context manager that closes.

    Args:
        arguments: command line with its `--ros-args ...`, for all nodes.

    Attributes:
        stopped: set when somebody else has shut ROS down.

    Raises:
        NamingError: ROS refuses the arguments.
    """

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        self.context = Context()
        os.environ.setdefault("CYCLONEDDS_URI", LARGE_BUFFERS)
        try:
            rclpy.init(args=list(arguments), context=self.context, signal_handler_options=SignalHandlerOptions.NO)
        except _rclpy.UnknownROSArgsError as error:
            raise NamingError(f"unknown ROS arguments: {error}") from error
        except RuntimeError as error:
            raise NamingError(_in_one_line(error)) from error
        self.stopped = threading.Event()
        self.transport = Ros2Transport(self.context)
        self.bus = Bus(self.transport)
        self.nodes: list[Ros2Node] = []
        self._executor = SingleThreadedExecutor(context=self.context)
        self._closing = False
        self._spinning: threading.Thread | None = None

    def add(self, node_type: type[Node]) -> Ros2Node:
        """Makes a node and, unless its parameter `autostart` is off, configures and activates it.

        Raises:
            NamingError, ParameterError, ConfigurationError: the node cannot be what the arguments say.
        """
        self._pause()
        try:
            node = Ros2Node(node_type, self.bus, self.transport, self.context)
        except (ParameterException, _rclpy.RCLError) as error:
            raise ParameterError(_in_one_line(error)) from error
        self.nodes.append(node)
        self._executor.add_node(node)
        node.start()
        self._spin()
        return node

    def close(self) -> None:
        """Shuts the nodes down, last added first, then ROS. Joins every thread. Again is fine."""
        self._pause()
        for node in self.nodes:
            self._executor.remove_node(node)
        while self.nodes:
            self.nodes.pop().close()
        self.transport.close()
        self._executor.shutdown()
        rclpy.try_shutdown(context=self.context)

    def __enter__(self) -> Ros2Host:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Services, transitions and parameters are answered in a thread of their own

    def _spin(self) -> None:
        self._closing = False
        self._spinning = threading.Thread(target=self._answer, name="ros2-services", daemon=True)
        self._spinning.start()

    def _pause(self) -> None:
        if self._spinning is not None:
            self._closing = True
            self._executor.create_task(lambda: None)  # wakes it for certain
            self._spinning.join()
            self._spinning = None

    def _answer(self) -> None:
        while not self._closing:
            try:
                self._executor.spin_once()
            except ExternalShutdownException:
                self.stopped.set()
                return
            except Exception:  # one bad request must not make the node deaf
                if self.context.ok():
                    logger.exception("a request to the node failed; it goes on")


def ros_arguments(arguments: RosArguments) -> list[str]:
    """The command line that says to ROS what `arguments` say."""
    words = ["--ros-args"]
    for rule in arguments.remappings:
        words += ["-r", f"{rule.node + ':' if rule.node else ''}{rule.source}:={rule.target}"]
    for source in arguments.parameters:
        if isinstance(source, str):
            words += ["--params-file", source]
        else:
            node, name, value = source
            words += ["-p", f"{node + ':' if node else ''}{name}:={_literal(value)}"]
    if arguments.log_level:
        words += ["--log-level", arguments.log_level]
    return words


def _literal(value: object) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...")


def run(node_types: Sequence[type[Node]], arguments: Sequence[str], stop: threading.Event | None = None) -> int:
    """Runs nodes until SIGINT or SIGTERM, until `stop` is set, or until ROS is shut down; from the main thread.

    Returns:
        Exit code: 0, or 1 after one line on standard error that says why the nodes cannot run.
    """
    keep_freed_memory()
    try:
        with stop_signals(stop) as stopped, Ros2Host(arguments) as host:
            if others := remove_ros_args(["", *arguments])[1:]:
                raise NamingError(f"unknown argument '{others[0]}'; arguments of ROS come after --ros-args")
            for node_type in node_types:
                host.add(node_type)
            while not (stopped.wait(0.2) or host.stopped.is_set()):
                pass
        return 0
    except USER_ERRORS as error:
        print(f"error: {_in_one_line(error)}", file=sys.stderr)
        return 1


def _in_one_line(error: Exception) -> str:
    """The message without the places in the source of rcl that it names."""
    text = re.sub(r",? at \S+:\d+", "", " ".join(str(error).split()))
    return text.removeprefix("failed to initialize rcl: ")
