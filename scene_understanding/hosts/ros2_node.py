"""One of our nodes as an rclpy lifecycle node."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.context import Context
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from scene_understanding.hosts import ros2_parameters
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.names import NamingError
from scene_understanding.hosts.parameter_service import USE_SIM_TIME, HostParameters
from scene_understanding.hosts.ros2 import missing
from scene_understanding.hosts.ros2_names import RclNames
from scene_understanding.hosts.ros2_services import Ros2Service
from scene_understanding.hosts.ros2_transport import Ros2Transport, ros_class
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.nodes.node import ConfigurationError, Node
from scene_understanding.nodes.parameters import ParameterError, describe, from_mapping, replaced

USER_ERRORS = (ConfigurationError, NamingError, ParameterError)
_SUCCESS, _FAILURE, _ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)


class Ros2Node(LifecycleNode):
    """Runs a node in a `NodeRunner` whose state follows the lifecycle.

    `configure` makes node and runner, loads and advertises; `activate` subscribes, works and serves; `cleanup` frees
    all, so that the next `configure` begins afresh with the parameters as they are then. Transitions come from
    services, in the executor's thread, or from `start` and `close`.

    Attributes:
        names: the node's name and the resolver of its topics.
        runner: from `configure` to `cleanup`.
        failure: why the last `configure` or `activate` failed.
    """

    def __init__(self, node_type: type[Node], bus: Bus, transport: Ros2Transport, context: Context) -> None:
        """Makes the ROS node with its parameters; it stays unconfigured.

        Raises:
            ParameterError: a parameter is unknown or its value is not allowed.
        """
        self.node_type, self.bus = node_type, bus
        self.runner: NodeRunner | None = None
        self.failure: Exception | None = None
        self._quiet = False
        self._served: list[Ros2Service] = []
        super().__init__(node_type.name, context=context)
        try:
            self.names = RclNames.of(self)
            self._declare_parameters()
        except BaseException:
            self.destroy_node()
            raise
        transport.attach(self, self.names)
        log = logging.getLogger("scene_understanding" + self.names.fully_qualified.replace("/", "."))
        log.propagate = False
        log.setLevel(logging.DEBUG)  # ROS decides what is shown
        log.handlers = [RosLogHandler(self)]
        self.add_on_set_parameters_callback(self._set_parameters)
        answer = self._service_change_state.callback
        self._service_change_state.callback = lambda request, response: self._answer(answer, request, response)

    def _declare_parameters(self) -> None:
        values = ros2_parameters.given(self)
        self.autostart = ros2_parameters.take_autostart(values)
        self.host_parameters, own = HostParameters.split(values)
        self.parameter_values: Any = from_mapping(self.node_type.parameters_type, own)
        known = describe(self.node_type.parameters_type)
        ros2_parameters.declare(self, known.values(), dataclasses.asdict(self.parameter_values))
        settings = {"autostart": self.autostart, "use_sim_time": self.host_parameters.use_sim_time}
        ros2_parameters.declare(self, (ros2_parameters.AUTOSTART, USE_SIM_TIME), settings)

    # Lifecycle

    def start(self) -> None:
        """Configures and activates, unless the parameter `autostart` is off.

        Raises:
            ConfigurationError, ParameterError, NamingError: the node cannot work as it was asked to.
        """
        if not self.autostart:
            self.get_logger().info("unconfigured (autostart is off): ros2 lifecycle set configure, then activate")
            return
        self._quiet = True  # who calls this tells the user
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != _SUCCESS:
                raise self.failure or RuntimeError(f"{self.names.fully_qualified} did not start")
        self._quiet = False

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("configure", self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("activate", self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("deactivate", self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("clean up", self._clean_up)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("shut down", self._clean_up)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, where another `configure` may go better."""
        self._clean_up()
        return _SUCCESS

    def close(self) -> None:
        """Shuts down from any state and leaves ROS. Not while an executor spins it."""
        if self.context.ok():
            with suppress(_rclpy.RCLError):  # it is finalized already
                self.trigger_shutdown()
        self._clean_up()
        self.destroy_node()

    def statistics(self) -> dict[str, Any]:
        """As `NodeRunner.statistics`; empty while the node is unconfigured."""
        return self.runner.statistics() if self.runner else {}

    def _attempt(self, verb: str, work: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            work()
        except (*USER_ERRORS, ModuleNotFoundError) as error:
            self.failure = ConfigurationError(missing(error)) if isinstance(error, ModuleNotFoundError) else error
            if not self._quiet:
                self.get_logger().error(f"cannot {verb}: {' '.join(str(self.failure).split())}")
            return _FAILURE
        except Exception as error:  # rclpy would swallow it
            self.failure = error
            if not self._quiet:
                logging.getLogger(__name__).exception("%s: cannot %s", self.names.fully_qualified, verb)
            return _ERROR
        return _SUCCESS

    def _configure(self) -> None:
        node = self.node_type(self.parameter_values)
        runner = NodeRunner(node, self.bus, self.names, host=self.host_parameters)
        types = [msgtype for _, msgtype, _ in runner.published + runner.subscribed]
        for name in types + [srvtype for _, srvtype in runner.served]:
            ros_class(name)
        self._declare_qos(runner)
        runner.configure()
        self.runner = runner

    def _declare_qos(self, runner: NodeRunner) -> None:
        ros2_parameters.declare_qos(self, "publisher", runner.published)
        ros2_parameters.declare_qos(self, "subscription", runner.subscribed)
        if unknown := ros2_parameters.strangers(self.host_parameters.qos_overrides, self):
            topics = ", ".join(topic for topic, _, _ in runner.published + runner.subscribed)
            runner.log.warning("QoS overrides of topics not used (%s); used are: %s", ", ".join(unknown), topics)

    def _activate(self) -> None:
        assert self.runner is not None
        runner = self.runner
        runner.activate()
        for service in runner.node.services:
            handler = partial(runner.call, service.name)
            self._served.append(Ros2Service(self, service.topic, service.type, handler))
        connected = {
            "subscribes to": [topic for topic, _, _ in runner.subscribed],
            "publishes": [topic for topic, _, _ in runner.published],
            "serves": [topic for topic, _ in runner.served],
        }
        runner.log.info("active; %s", "; ".join(f"{verb}: {', '.join(t)}" for verb, t in connected.items() if t))

    def _deactivate(self) -> None:
        while self._served:
            self._served.pop().close()
        if self.runner is not None and self.runner.state == "active":
            self.runner.deactivate()

    def _clean_up(self) -> None:
        self._deactivate()
        if self.runner is not None:
            self.runner.close()
            self.runner = None

    def _answer(self, answer: Any, request: Any, response: Any) -> Any:
        """Refuses a transition that the state does not allow; rclpy would raise and so end its executor."""
        try:
            return answer(request, response)
        except _rclpy.RCLError as error:
            self.get_logger().warning(f"refused transition: {str(error).splitlines()[0]}")
            response.success = False
            return response

    # Parameters

    def _set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        """Called by rclpy, after it has checked types and ranges, before it takes the values over."""
        known = describe(self.node_type.parameters_type)
        values = {p.name: ros2_parameters.python_value(p.value) for p in parameters if p.name in known}
        try:
            self._change(values)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _change(self, values: Mapping[str, Any]) -> None:
        changed = replaced(self.parameter_values, values)
        if self.runner is not None and values:
            self.runner.parameters.set(values)
        self.parameter_values = changed


class RosLogHandler(logging.Handler):
    """Hands the log of a node to ROS: console, `/rosout` and log file, at the level that ROS was told."""

    def __init__(self, ros_node: LifecycleNode) -> None:
        super().__init__()
        self._logger = ros_node.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if record.levelno >= logging.CRITICAL:  # one line each: rclpy allows one severity per line of code
            self._logger.fatal(text)
        elif record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)
