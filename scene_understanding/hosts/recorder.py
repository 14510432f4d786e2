"""Records topics of a bus to a rosbag2 `.mcap` file."""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scene_understanding.hosts.bus import Bus, BusSubscription, Delivery
from scene_understanding.hosts.clock import Clock, SystemClock
from scene_understanding.hosts.mcap_writer import McapWriter
from scene_understanding.nodes.node import QoS

if TYPE_CHECKING:
    from scene_understanding.hosts.runner import NodeRunner

log = logging.getLogger(__name__)


class Recorder:
    """Writes what is published on chosen topics, stamped with the time of a clock. A context manager that closes.

    Messages are serialised and written in the thread that publishes them. A full disk ends the recording, is told
    once, and disturbs nobody else.

    Attributes:
        recorded: messages by topic.
        lost: messages that could not be written.
    """

    def __init__(self, bus: Bus, path: str | Path, clock: Clock | None = None, overwrite: bool = False) -> None:
        """Creates the file.

        Raises:
            FileExistsError: it exists and may not be overwritten.
        """
        self.recorded: Counter[str] = Counter()
        self.lost = 0
        self._bus = bus
        self._clock = clock or SystemClock()
        self._writer = McapWriter(path, overwrite)
        self._subscriptions: dict[tuple[str, str], BusSubscription] = {}
        self._broken = False
        self._last_ns: dict[int, int] = {}

    @property
    def path(self) -> Path:
        return self._writer.path

    def add(self, topic: str, msgtype: str, qos: QoS, definition: str | None = None, *, period: float = 0.0) -> None:
        """Records an absolute topic from now on; `qos` is both asked of the publishers and written as theirs.

        Args:
            period: seconds of the clock that pass at least between two recorded messages; 0 records all.
        """
        if (topic, msgtype) in self._subscriptions:
            return
        number = self._writer.add_topic(topic, msgtype, (qos,), definition)
        callback = partial(self._write, topic, number, round(period * 1e9))
        self._subscriptions[topic, msgtype] = self._bus.subscribe(topic, msgtype, qos, "", callback)

    def add_outputs(self, runner: NodeRunner) -> None:
        """Records what a node publishes, without its diagnostics."""
        for topic, msgtype, qos in runner.published:
            self.add(topic, msgtype, qos)

    def _write(self, topic: str, number: int, period_ns: int, delivery: Delivery) -> None:
        if self._broken:
            self.lost += 1
            return
        now_ns = self._clock.now_ns
        if 0 <= now_ns - self._last_ns.get(number, -period_ns) < period_ns:
            return
        self._last_ns[number] = now_ns
        try:
            self._writer.write(number, now_ns, delivery.data())
        except OSError as error:
            self._broken = True
            self.lost += 1
            log.error("recording to %s ends: %s", self.path, error)
        else:
            self.recorded[topic] += 1

    def close(self) -> None:
        """Ends the recording; the file gets its index."""
        for subscription in self._subscriptions.values():
            subscription.close()
        self._subscriptions.clear()
        if not self._broken:
            self._writer.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
