"""The bag host: feeds a recording to nodes, deterministically or in real time, and records what they make of it."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scene_understanding.hosts.bag_contents import BagError, Loss, Recorded, Topic
from scene_understanding.hosts.bag_qos import offered
from scene_understanding.hosts.bag_reader import BagReader
from scene_understanding.hosts.bus import Bus, BusPublisher, Delivery
from scene_understanding.hosts.clock import SimulatedClock
from scene_understanding.hosts.inline import advance, settle, tell
from scene_understanding.hosts.names import NO_ARGUMENTS, RosArguments
from scene_understanding.hosts.recorder import Recorder
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.hosts.silence import explain
from scene_understanding.nodes.node import RELIABLE, Node

TRANSFORM_LEAD_NS = 200_000_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReplayResult:
    """What happened.

    Attributes:
        read: messages given to the nodes, by topic.
        recorded: messages written, by topic.
        losses: what the bag could not give.
        statistics: of each node, by its fully qualified name (`NodeRunner.statistics`).
        silent: of each node that never got anything to work on, why.
        seconds: how long it took.
    """

    read: dict[str, int]
    recorded: dict[str, int]
    losses: list[Loss]
    statistics: dict[str, dict[str, Any]]
    silent: dict[str, list[str]]
    seconds: float
    out: Path | None = field(default=None)


class BagHost:
    """Nodes on a bus of their own that a bag feeds. A context manager that closes.

    Without a rate every message is worked off before the next one is read: nothing is dropped, the clock is the
    recorded time, latencies are processing times, and equal input gives equal output. With a rate the nodes have their
    threads and the bag plays at that multiple of its speed: what comes too late is dropped and counted, as live.

    Transforms reach the nodes 0.2 s of recorded time early, which stands for the waiting of a live lookup.

    What the nodes publish themselves replaces what the bag holds on the same topic, but for the transforms, which
    have many publishers.

    Attributes:
        bus: subscribe to it before `run` to see what is published.
        runners: one for each node, in the order given.
    """

    def __init__(
        self,
        path: str | Path,
        nodes: Sequence[type[Node] | Node],
        arguments: RosArguments = NO_ARGUMENTS,
        *,
        rate: float | None = None,
    ) -> None:
        """Opens the bag and makes the nodes.

        Raises:
            BagError: no bag, or it lacks a topic that a node needs.
            NamingError, ParameterError, ConfigurationError: what the user says is not possible.
        """
        self.bag = BagReader(path)
        self.bus = Bus()
        self.clock = SimulatedClock()
        self.recorder: Recorder | None = None
        self._rate = rate
        self._recorded_diagnostics = False
        try:
            self.runners = [self._runner(node, arguments) for node in nodes]
            self._check_inputs()
        except BaseException:
            self.bag.close()
            raise
        self._publishers: dict[tuple[str, str], BusPublisher] = {}

    def _runner(self, node: type[Node] | Node, arguments: RosArguments) -> NodeRunner:
        inline = self._rate is None
        if isinstance(node, Node):
            return NodeRunner(node, self.bus, arguments.names(node.name), clock=self.clock, inline=inline)
        return NodeRunner.create(node, self.bus, arguments, clock=self.clock, inline=inline)

    def record(
        self, path: str | Path, *, inputs: bool = False, diagnostics: bool = False, overwrite: bool = False
    ) -> Recorder:
        """Records the outputs of all nodes during `run`.

        Args:
            inputs: what the nodes listened to goes into the file as well, and the transforms to show it with.
            diagnostics: /diagnostics as well; it holds wall times, so the file differs from run to run.

        Raises:
            FileExistsError: the file exists and may not be overwritten.
        """
        self.recorder = Recorder(self.bus, path, self.clock, overwrite)
        for runner in self.runners:
            if inputs:
                self._record_inputs(runner)
            self.recorder.add_outputs(runner)
        if diagnostics:
            self.recorder.add("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", RELIABLE)
            self._recorded_diagnostics = True
        return self.recorder

    def _record_inputs(self, runner: NodeRunner) -> None:
        assert self.recorder is not None
        wanted = {name for name, _, _ in runner.subscribed} | {runner.tf_topic, runner.tf_static_topic}
        for topic in self.bag.topics:
            if topic.name in wanted and topic.name not in self._replaced:
                self.recorder.add(topic.name, topic.type, offered(topic.qos), topic.definition)

    def run(self) -> ReplayResult:
        """Plays the bag from its beginning to its end."""
        started = time.monotonic()
        for runner in self.runners:
            runner.start()
        wanted = self._wanted()
        for topic in wanted:
            self._publishers[topic.name, topic.type] = self.bus.advertise(
                topic.name, topic.type, offered(topic.qos), "/bag"
            )
        play = self._play_inline if self._rate is None else self._play_in_time
        read = play(self.bag.messages({topic.name for topic in wanted}))
        result = self._result(read, started)
        self.close()
        return result

    def close(self) -> None:
        """Stops the nodes, finishes the recording, closes the bag."""
        for runner in self.runners:
            runner.close()
        for publisher in self._publishers.values():
            publisher.close()
        self._publishers.clear()
        if self.recorder is not None:
            self.recorder.close()
        self.bag.close()

    def __enter__(self) -> BagHost:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _play_inline(self, messages: Iterator[Recorded]) -> Counter[str]:
        read: Counter[str] = Counter()
        next_report_ns = 0
        for message, delivery in _with_lead(messages, self._hear_early):
            advance(self.clock, self.runners, message.time_ns)
            if self._recorded_diagnostics and message.time_ns >= next_report_ns:
                next_report_ns = message.time_ns + 1_000_000_000
                for runner in self.runners:
                    runner.health.publish()
            self._publishers[message.topic, message.type].deliver(delivery)
            settle(self.runners)
            read[message.topic] += 1
        return read

    def _play_in_time(self, messages: Iterator[Recorded]) -> Counter[str]:
        assert self._rate is not None
        read: Counter[str] = Counter()
        started, first_ns = time.monotonic(), None
        for message in messages:
            first_ns = message.time_ns if first_ns is None else first_ns
            due = started + (message.time_ns - first_ns) * 1e-9 / self._rate
            time.sleep(max(0.0, due - time.monotonic()))
            tell(self.clock, self.runners, message.time_ns)
            self._publishers[message.topic, message.type].deliver(Delivery(message.type, data=message.data))
            read[message.topic] += 1
        while not all(runner.idle for runner in self.runners):
            time.sleep(0.005)
        return read

    def _hear_early(self, message: Recorded, delivery: Delivery) -> None:
        for runner in self.runners:
            if runner.node.uses_transforms and message.topic in (runner.tf_topic, runner.tf_static_topic):
                runner.transforms.hear_early(delivery, static=message.topic == runner.tf_static_topic)

    def _wanted(self) -> list[Topic]:
        """Topics of the bag that somebody listens to, under all the types that they have in the bag, less those that
        the nodes publish anew; says which these are.
        """
        heard = {topic.name for topic in self.bag.topics if self.bus.has_listeners(topic.name, topic.type)}
        left_out = sorted(heard & self._replaced)
        if left_out:
            log.warning("%s: left out, for nodes of this run publish them: %s", self.bag.path, ", ".join(left_out))
        return [topic for topic in self.bag.topics if topic.name in heard - self._replaced]

    @property
    def _replaced(self) -> set[str]:
        """Topics that are not taken from the bag because a node of this run publishes them."""
        shared = {topic for runner in self.runners for topic in (runner.tf_topic, runner.tf_static_topic)}
        return {topic for runner in self.runners for topic, _, _ in runner.published} - shared

    def _check_inputs(self) -> None:
        """Every required input must be in the bag, with its type, or be made by one of the nodes."""
        made = {(topic, msgtype) for runner in self.runners for topic, msgtype, _ in runner.published}
        there = made | {(topic.name, topic.type) for topic in self.bag.topics}
        for runner in self.runners:
            for i in runner.inbox.inputs:
                topic = runner.names.resolve(i.topic)
                if i.required and (topic, i.type) not in there:
                    raise BagError(
                        f"{self.bag.path} has no topic {topic} of type {i.type}, which input '{i.name}' of "
                        f"{runner.names.fully_qualified} needs; it has: {self.bag.listing()}. "
                        f"A remapping such as {i.topic}:=/other/topic takes it from elsewhere"
                    )

    def _result(self, read: Counter[str], started: float) -> ReplayResult:
        for runner in self.runners:
            runner.health.conflicts()
        names = [runner.names.fully_qualified for runner in self.runners]
        statistics = {name: runner.statistics() for name, runner in zip(names, self.runners, strict=True)}
        silent = {
            name: explain(runner, quiet_after=math.inf)
            for name, runner in zip(names, self.runners, strict=True)
            if runner.inbox.triggers and not statistics[name]["sets"]
        }
        recorded, out = (self.recorder.recorded, self.recorder.path) if self.recorder else ({}, None)
        seconds = time.monotonic() - started
        return ReplayResult(dict(read), dict(recorded), self.bag.losses, statistics, silent, seconds, out)


def replay(
    bag: str | Path,
    nodes: Sequence[type[Node] | Node],
    arguments: RosArguments = NO_ARGUMENTS,
    *,
    out: str | Path | None = None,
    inputs: bool = False,
    diagnostics: bool = False,
    overwrite: bool = False,
    rate: float | None = None,
) -> ReplayResult:
    """Feeds a bag to nodes and records what they publish to `out`. See `BagHost` and its `record`.

    Raises:
        BagError, NamingError, ParameterError, ConfigurationError, FileExistsError: one line for the user.
    """
    with BagHost(bag, nodes, arguments, rate=rate) as host:
        if out is not None:
            host.record(out, inputs=inputs, diagnostics=diagnostics, overwrite=overwrite)
        return host.run()


def _with_lead(
    messages: Iterator[Recorded], hear_early: Callable[[Recorded, Delivery], None]
) -> Iterator[tuple[Recorded, Delivery]]:
    """Each message in its turn, after `hear_early` was called with all that come up to `TRANSFORM_LEAD_NS` later."""
    ahead: deque[tuple[Recorded, Delivery]] = deque()
    for message in messages:
        delivery = Delivery(message.type, data=message.data)
        hear_early(message, delivery)
        ahead.append((message, delivery))
        while ahead[0][0].time_ns <= message.time_ns - TRANSFORM_LEAD_NS:
            yield ahead.popleft()
    yield from ahead
