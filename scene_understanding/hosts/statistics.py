"""Figures of a running node: counts, rates, latencies, times of stages."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable

import numpy as np

WINDOW = 2048  # newest samples that percentiles are taken over


class Statistics:
    """Thread-safe counters of one node. Times in seconds of the monotonic clock.

    Attributes:
        counts: `sets`, `ticks`, `refused` (messages that could not be used), `failed` (other exceptions), `warnings`.
        published: messages by output name.
        last_refusal: why the last refused message was refused.
        last_failure: one line of the last other exception.
        last_success: when a set was last processed without an exception.
        reported: what the node told by `Context.report`.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.published: Counter[str] = Counter()
        self.last_refusal = ""
        self.last_failure = ""
        self.last_warning = ""
        self.last_success = time.monotonic()
        self.reported: dict[str, object] = {}
        self._lock = threading.Lock()
        self._latencies: deque[float] = deque(maxlen=WINDOW)
        self._finished: deque[float] = deque(maxlen=WINDOW)
        self._stages: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=WINDOW))

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def published_one(self, output: str) -> None:
        with self._lock:
            self.published[output] += 1

    def processed(self, kind: str, latency: float | None) -> None:
        """A set (`kind` "sets") or tick ("ticks") went through; latency from stamp to publication where known."""
        with self._lock:
            self.counts[kind] += 1
            self.last_success = time.monotonic()
            self._finished.append(self.last_success)
            if latency is not None:
                self._latencies.append(latency)

    def refused(self, reason: str) -> None:
        with self._lock:
            self.counts["refused"] += 1
            self.last_refusal = reason

    def failed(self, error: str) -> None:
        with self._lock:
            self.counts["failed"] += 1
            self.last_failure = error

    def warned(self, text: str) -> None:
        with self._lock:
            self.counts["warnings"] += 1
            self.last_warning = text

    def stage(self, name: str, seconds: float) -> None:
        with self._lock:
            self._stages[name].append(seconds)

    def report(self, values: dict[str, object]) -> None:
        with self._lock:
            self.reported.update(values)

    def summary(self) -> dict[str, object]:
        """Plain values: fps, latencies and stage times in milliseconds (NaN where there are none yet), counts.

        `fps` is the rate at which sets and ticks went through, over the newest `WINDOW` of them.
        """
        with self._lock:
            finished, latencies = list(self._finished), list(self._latencies)
            stages = {name: list(times) for name, times in self._stages.items()}
            counts, published, reported = dict(self.counts), dict(self.published), dict(self.reported)
        p50, p95 = percentiles_ms(latencies)
        span = finished[-1] - finished[0] if len(finished) > 1 else math.nan
        return {
            "fps": (len(finished) - 1) / span if span else math.nan,
            "latency_p50_ms": p50,
            "latency_p95_ms": p95,
            "stages": {name: _named(percentiles_ms(times)) for name, times in stages.items()},
            **{name: counts.get(name, 0) for name in ("sets", "ticks", "refused", "failed", "warnings")},
            "outputs": published,
            "reported": reported,
        }


def percentiles_ms(seconds: Iterable[float]) -> tuple[float, float]:
    """Median and 95th percentile in milliseconds; NaN where there is nothing."""
    values = np.fromiter(seconds, np.float64)
    if not len(values):
        return math.nan, math.nan
    p50, p95 = np.percentile(values, (50, 95)) * 1e3
    return float(p50), float(p95)


def _named(p50_p95: tuple[float, float]) -> dict[str, float]:
    return {"p50_ms": p50_p95[0], "p95_ms": p50_p95[1]}
