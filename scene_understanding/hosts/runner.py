"""Runs one node on a bus: in a thread of its own (live) or in the caller's (`inline`: a bag, deterministic)."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any, Literal

from scene_understanding.geometry.transform_buffer import TransformError
from scene_understanding.hosts.bus import Bus, BusPublisher, BusSubscription, Delivery
from scene_understanding.hosts.clock import Clock, SimulatedClock, SystemClock
from scene_understanding.hosts.context import HostContext
from scene_understanding.hosts.health import Health
from scene_understanding.hosts.inbox import Inbox, MessageSet
from scene_understanding.hosts.names import NO_ARGUMENTS, NodeNames, RosArguments
from scene_understanding.hosts.parameter_service import HostParameters, ParameterService, create_node
from scene_understanding.hosts.service_calls import ServiceCalls
from scene_understanding.hosts.statistics import Statistics
from scene_understanding.hosts.transform_listener import TransformListener
from scene_understanding.hosts.trouble import Trouble
from scene_understanding.messages.header import stamp_to_ns
from scene_understanding.nodes.node import LATCHED, SENSOR, Node, QoS
from scene_understanding.nodes.parameters import ParameterError

TRANSFORM_WAIT = 0.2  # seconds that a lookup waits for a transform that is on its way (live only)
_TF = QoS("reliable", "volatile", 100)
_TF_TYPE = "tf2_msgs/msg/TFMessage"


class NodeRunner:
    """One node with its inbox, publishers, clock, statistics and health.

    States as in a ROS 2 lifecycle node: `configure` (load), `activate` (subscribe and work), `deactivate`, `cleanup`
    (free), `close` from any of them. `start` is the first two. A context manager that closes.

    Attributes:
        names: the node's own name and the resolver of its topics.
        parameters: get, set, describe and list.
        state: where in the lifecycle it is.
        working: the thread of the node is busy.
    """

    def __init__(
        self,
        node: Node,
        bus: Bus,
        names: NodeNames | None = None,
        *,
        host: HostParameters | None = None,
        clock: Clock | None = None,
        inline: bool = False,
    ) -> None:
        """Makes it ready to `configure`.

        Args:
            clock: the node's clock unless it follows /clock; default is the system's. Who tells it the time calls
                `clock_moved`.
            inline: no threads; the caller calls `step`.
        """
        self.node = node
        self.bus = bus
        self.names = names or NodeNames(node.name)
        self.inline = inline
        self.host = host or HostParameters()
        self._hears_clock = self.host.use_sim_time or node.drives_clock
        self.clock: Clock = SimulatedClock() if self._hears_clock else clock or SystemClock()
        self.log = logging.getLogger("scene_understanding" + self.names.fully_qualified.replace("/", "."))
        self.inbox = Inbox(node.inputs)
        self.figures = Statistics()
        self.trouble = Trouble(self.figures, self.log)
        self.transforms = TransformListener(self.trouble.warned)
        self.parameters = ParameterService(node, self.host, self.between_sets)
        self._publishers: dict[str, BusPublisher] = {}
        self._subscriptions: list[BusSubscription] = []
        self.context = HostContext(self.clock, self.transforms, self._publishers, self.figures, self.trouble)
        self.health = Health(self)
        self._calls = ServiceCalls(self)
        self._condition = threading.Condition()
        self._commands: deque[Callable[[], None]] = deque()
        self._worker: threading.Thread | None = None
        self.state: Literal["unconfigured", "configuring", "inactive", "active"] = "unconfigured"
        self.working = False
        self._stopping = self._reset_due = self._ticked = False
        self._next_tick_ns: int | None = None

    @classmethod
    def create(
        cls,
        node_type: type[Node],
        bus: Bus,
        arguments: RosArguments = NO_ARGUMENTS,
        *,
        clock: Clock | None = None,
        inline: bool = False,
    ) -> NodeRunner:
        """A runner and its node, named and parameterised as the user says.

        Raises:
            NamingError, ParameterError, ConfigurationError: what the user says is not possible.
        """
        names = arguments.names(node_type.name)
        host, values = HostParameters.split(arguments.parameter_values(names))
        try:
            node = create_node(node_type, values)
        except ParameterError as error:
            own = "(a value for one node alone: -p NODE:name:=value)"
            raise ParameterError(f"node {names.fully_qualified}: {error} {own}") from error
        return cls(node, bus, names, host=host, clock=clock, inline=inline)

    # Lifecycle

    def configure(self) -> None:
        """Advertises and loads. Diagnostics are published from here on.

        Raises:
            ConfigurationError: the node cannot work.
        """
        self.state = "configuring"
        try:
            self.health.start()
            for output, (topic, msgtype, qos) in zip(self.node.outputs, self.published, strict=True):
                self._publishers[output.name] = self.bus.advertise(topic, msgtype, qos, self.names.fully_qualified)
            self.node.configure(self.context)
        except BaseException:
            self._withdraw()
            raise
        self.state = "inactive"

    def activate(self) -> None:
        """Subscribes and begins to work."""
        self.state, self._stopping, self._next_tick_ns = "active", False, None
        self.figures.last_success = time.monotonic()
        if not self.inline:
            self.transforms.wait_up_to(TRANSFORM_WAIT)
            self._worker = threading.Thread(target=self._work, name=self.names.fully_qualified, daemon=True)
            self._worker.start()
        self._subscribe()

    def start(self) -> NodeRunner:
        """Configures and activates."""
        self.configure()
        self.activate()
        return self

    def deactivate(self) -> None:
        """Stops to listen and to work; what is being worked on is finished first."""
        for subscription in self._subscriptions:
            subscription.close()
        self._subscriptions.clear()
        self.transforms.wait_up_to(0.0)
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._worker is not None:
            self._worker.join()
        with self._condition:
            self._worker = None
            commands = list(self._commands)
            self._commands.clear()
            self.inbox.clear()
        for command in commands:
            command()
        self.state = "inactive"

    def cleanup(self) -> None:
        """Frees what `configure` acquired."""
        self._survives(self.node.close)
        self._withdraw()

    def close(self) -> None:
        """From any state; joins every thread."""
        if self.state == "active":
            self.deactivate()
        if self.state == "inactive":
            self.cleanup()

    def __enter__(self) -> NodeRunner:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _withdraw(self) -> None:
        self.health.stop()
        for publisher in self._publishers.values():
            publisher.close()
        self._publishers.clear()
        self.state = "unconfigured"

    def _subscribe(self) -> None:
        callbacks: list[Callable[[Delivery], None]] = [partial(self._arrive, i.name) for i in self.inbox.inputs]
        if self.node.uses_transforms:
            callbacks += [partial(self._hear_transforms, False), partial(self._hear_transforms, True)]
        if self._hears_clock:
            callbacks.append(self._hear_clock)
        for (topic, msgtype, qos), callback in zip(self.subscribed, callbacks, strict=True):
            node = self.names.fully_qualified
            self._subscriptions.append(self.bus.subscribe(topic, msgtype, qos, node, callback))

    # What the node is connected to, whether active or not

    @property
    def published(self) -> list[tuple[str, str, QoS]]:
        """Topic (absolute), type and QoS of each output, in the order of `node.outputs`."""
        topics = [(self.names.resolve(o.topic), o.type, o.qos) for o in self.node.outputs]
        return [(t, msgtype, self.host.overridden(t, "publisher", qos)) for t, msgtype, qos in topics]

    @property
    def subscribed(self) -> list[tuple[str, str, QoS]]:
        """Likewise of each input, then of /tf, /tf_static and /clock where the node uses them."""
        topics = [(self.names.resolve(i.topic), i.type, i.qos) for i in self.inbox.inputs]
        if self.node.uses_transforms:
            topics += [(self.tf_topic, _TF_TYPE, _TF), (self.tf_static_topic, _TF_TYPE, LATCHED)]
        if self._hears_clock:
            topics.append((self.names.resolve("/clock"), "rosgraph_msgs/msg/Clock", SENSOR))
        return [(t, msgtype, self.host.overridden(t, "subscription", qos)) for t, msgtype, qos in topics]

    @property
    def served(self) -> list[tuple[str, str]]:
        """Name (absolute) and type of each service, in the order of `node.services`."""
        return [(self.names.resolve(s.topic), s.type) for s in self.node.services]

    @property
    def tf_topic(self) -> str:
        return self.names.resolve("/tf")

    @property
    def tf_static_topic(self) -> str:
        return self.names.resolve("/tf_static")

    # What comes in, from threads of the transport or of other nodes: sort it and return

    def _arrive(self, name: str, delivery: Delivery) -> None:
        with self._condition:
            try:
                if self.inbox.arrive(name, delivery):
                    self._reset_due = True
            except ValueError as error:
                self.trouble.refused(f"input '{name}': {error}")
            self._condition.notify_all()

    def _hear_transforms(self, static: bool, delivery: Delivery) -> None:
        if self.transforms.hear(delivery, static):
            with self._condition:
                self._commands.append(self.transforms.take_in)
                self._condition.notify_all()

    def _hear_clock(self, delivery: Delivery) -> None:
        try:
            now_ns = stamp_to_ns(delivery.message().clock)
        except ValueError as error:
            self.trouble.refused(f"/clock: {error}")
            return
        assert isinstance(self.clock, SimulatedClock)
        self.clock_moved(backwards=self.clock.set(now_ns))

    def clock_moved(self, backwards: bool = False) -> None:
        """The node's clock was told another time; who tells a clock that was given to the runner calls this.

        A clock that goes backwards is a jump, unless the node is itself the one who tells the time.
        """
        if backwards and not self.node.drives_clock:
            self.time_jumped()
        elif self.node.period is not None:
            with self._condition:
                self._condition.notify_all()

    def time_jumped(self) -> None:
        """Time went backwards: what waits is dropped now, and the node is reset before its next set."""
        with self._condition:
            self.inbox.clear()
            self._reset_due = True
            self._condition.notify_all()

    # Work

    def step(self) -> bool:
        """Inline: does one thing that is due. Returns False when there is none."""
        with self._condition:
            job = self._job()
        if job is not None:
            job()
        return job is not None

    @property
    def idle(self) -> bool:
        """Nothing is being worked on and nothing waits."""
        with self._condition:
            return not (self.working or self._commands or self._reset_due or self.inbox.ready)

    def _work(self) -> None:
        while True:
            with self._condition:
                while (job := self._job()) is None and not self._stopping:
                    self._condition.wait(self._until_tick())
                if job is None:
                    return
                self.working = True
            job()
            self.working = False

    def _job(self) -> Callable[[], None] | None:
        """What is due, commands first; ticks and sets take turns where both are."""
        if self._stopping:
            return None
        if self._commands:
            return self._commands.popleft()
        if self._reset_due:
            self._reset_due = False
            return self._reset
        tick_due = self._tick_due()
        if tick_due and not self._ticked:
            return self.tick
        chosen = self.inbox.take()
        self._ticked = False
        if chosen is not None:
            return partial(self._process, chosen)
        return self.tick if tick_due else None

    def _reset(self) -> None:
        self.trouble.warned("time went backwards: transforms and what the node remembers are forgotten")
        self.transforms.clear()
        with self._condition:
            self._next_tick_ns = None
        self._survives(self.node.reset)

    def _process(self, chosen: MessageSet) -> None:
        def work() -> Mapping[str, Any]:
            with self.context.stage("receive"):
                messages = self.inbox.messages(chosen)
            return self.node.process(messages, self.context)

        started = time.monotonic()
        if self._attempt(work):
            self.figures.processed("sets", self._latency(chosen, started))

    def _latency(self, chosen: MessageSet, started: float) -> float:
        """Seconds from the stamp to now; where stamps and clock do not belong together, from when the set was complete.
        Inline it is the time of processing: the clock stands still meanwhile.
        """
        if self.inline:
            return time.monotonic() - started
        age = None if chosen.stamp_ns is None else self.clock.age(chosen.stamp_ns)
        return time.monotonic() - chosen.complete if age is None else age

    def tick(self) -> None:
        """Calls the node's `tick` and publishes. Hosts call it only for a clock owner that runs inline."""
        self._ticked = True
        if self._next_tick_ns is not None:
            self._next_tick_ns = max(self._next_tick_ns + self._period_ns, self._tick_time_ns())
        if self._attempt(lambda: self.node.tick(self.context)):
            self.figures.processed("ticks", None)

    def _attempt(self, work: Callable[[], Mapping[str, Any]]) -> bool:
        """Calls the node and publishes what it returns; whether that went well."""

        def work_and_publish() -> None:
            outputs = work()
            with self.context.stage("publish"):
                self._publish(outputs)

        with self.context.stage("total"):
            return self._survives(work_and_publish)

    def _survives(self, work: Callable[[], None]) -> bool:
        """Runs a part of the node; whether it went well. No fault of a node ends the process that others live in."""
        try:
            work()
        except (ValueError, TransformError) as error:
            self.trouble.refused(" ".join(str(error).split()))
        except Exception as error:
            self.trouble.failed(error)
        else:
            return True
        return False

    def _publish(self, outputs: Mapping[str, Any]) -> None:
        for name, message in outputs.items():
            if name not in self._publishers:
                raise TypeError(f"output '{name}' is not declared; declared: {', '.join(self._publishers) or 'none'}")
            self._publishers[name].publish(message)
            self.figures.published_one(name)

    def call(self, service: str, request: Any) -> Any:
        """The node's response to a request to the service of that name (`Service.name`), made between two sets.

        From any thread but the node's own; waits for a set in progress. What goes wrong is counted and logged, and the
        response is `success=False` with one line in `message` where its type has these two fields.

        Raises:
            KeyError: the node has no such service.
            ServiceError: it went wrong, and the response type has no such fields.
        """
        return self._calls.call(service, request)

    def between_sets(self, work: Callable[[], None]) -> None:
        """Runs a function while the node does nothing else; returns when it is done, or raises what it raised."""
        done: Future[None] = Future()
        with self._condition:
            has_thread = self._worker is not None
            if has_thread:
                self._commands.append(partial(_fulfil, done, work))
                self._condition.notify_all()
        if not has_thread:
            _fulfil(done, work)
        done.result()

    # Ticks: by the node's clock, or by the monotonic one where that is wall time

    @property
    def _period_ns(self) -> int:
        assert self.node.period is not None
        return round(self.node.period * 1e9)

    @property
    def _ticks_by_wall(self) -> bool:
        return self.node.drives_clock or isinstance(self.clock, SystemClock)

    def _tick_time_ns(self) -> int:
        return time.monotonic_ns() if self._ticks_by_wall else self.clock.now_ns

    @property
    def next_tick_ns(self) -> int | None:
        """When the next tick is due by a clock that the caller tells; None where there is none."""
        return None if self._ticks_by_wall else self._next_tick_ns

    def _tick_due(self) -> bool:
        if self.node.period is None or (self.inline and self.node.drives_clock):
            return False
        now_ns = self._tick_time_ns()
        if self._next_tick_ns is None and now_ns > 0:
            self._next_tick_ns = now_ns + self._period_ns
        return self._next_tick_ns is not None and self._next_tick_ns <= now_ns

    def _until_tick(self) -> float | None:
        if self._next_tick_ns is None or not self._ticks_by_wall:
            return None
        return max(0.0, (self._next_tick_ns - time.monotonic_ns()) * 1e-9)

    # Figures

    def statistics(self) -> dict[str, Any]:
        """fps, latency_p50_ms, latency_p95_ms, drops, unmatched, stages, counts, inputs, outputs and what the node
        reported; `Statistics.summary` says what they mean.
        """
        with self._condition:
            received = {name: heard.count for name, heard in self.inbox.heard.items()}
            inputs = {"drops": self.inbox.dropped, "unmatched": self.inbox.unmatched, "inputs": received}
        return {"node": self.names.fully_qualified, **inputs, **self.figures.summary()}


def _fulfil(done: Future[None], work: Callable[[], None]) -> None:
    try:
        work()
    except Exception as error:  # handed to whoever waits for the result
        done.set_exception(error)
    else:
        done.set_result(None)
