"""What a node sees of its host while it works: the `Context` of `scene_understanding.nodes.node`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from scene_understanding.geometry.transform_buffer import TransformBuffer
from scene_understanding.hosts.bus import BusPublisher
from scene_understanding.hosts.clock import Clock
from scene_understanding.hosts.statistics import Statistics
from scene_understanding.hosts.trouble import Trouble


class Stage:
    """Times the block that it stands around."""

    def __init__(self, statistics: Statistics, name: str) -> None:
        self._statistics = statistics
        self._name = name
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._statistics.stage(self._name, time.perf_counter() - self._started)


class HostContext:
    """The same in every host; see `Context` for what the methods mean."""

    def __init__(
        self,
        clock: Clock,
        transforms: TransformBuffer,
        publishers: Mapping[str, BusPublisher],
        statistics: Statistics,
        trouble: Trouble,
    ) -> None:
        self.transforms = transforms
        self._clock = clock
        self._publishers = publishers
        self._statistics = statistics
        self._trouble = trouble

    @property
    def now_ns(self) -> int:
        return self._clock.now_ns

    def wanted(self, output: str) -> bool:
        return self._publishers[output].wanted

    def stage(self, name: str) -> Stage:
        return Stage(self._statistics, name)

    def report(self, **values: object) -> None:
        self._statistics.report(values)

    def warn(self, text: str) -> None:
        self._trouble.warned(text)
