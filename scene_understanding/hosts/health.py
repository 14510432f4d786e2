"""/diagnostics of one node, once a second, and its complaint when it gets nothing to do."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Any

from scene_understanding.hosts import silence
from scene_understanding.hosts.bus import BusPublisher
from scene_understanding.messages.diagnostics import Level, diagnostic_array, diagnostic_status
from scene_understanding.messages.types import DiagnosticStatus
from scene_understanding.nodes.node import RELIABLE

if TYPE_CHECKING:
    from scene_understanding.hosts.runner import NodeRunner

PERIOD = 1.0  # seconds between two messages
RECENT = 5.0  # seconds for which a problem colours the level


class Health:
    """Publishes what `NodeRunner.statistics` says, with a level and one line for a human.

    ERROR: an unexpected exception in the last seconds. WARN: messages refused, warnings, conflicting types, or no
    input. Else OK.
    """

    def __init__(self, runner: NodeRunner) -> None:
        self._runner = runner
        self._publisher: BusPublisher | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._counts: dict[str, int] = {}
        self._at = time.monotonic()
        self._explained: list[str] = []

    def start(self) -> None:
        runner = self._runner
        self._publisher = runner.bus.advertise(
            "/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", RELIABLE, runner.names.fully_qualified
        )
        if not runner.inline:
            self._stop.clear()
            name = f"{runner.names.fully_qualified} health"
            self._thread = threading.Thread(target=self._watch, name=name, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._publisher is not None:
            self._publisher.close()
            self._publisher = None

    def _watch(self) -> None:
        while not self._stop.wait(PERIOD):
            self.publish()

    def publish(self) -> None:
        """One message on /diagnostics."""
        assert self._publisher is not None
        status = self.status()
        self._publisher.publish(diagnostic_array([status], self._runner.clock.now_ns))

    def status(self) -> DiagnosticStatus:
        """The state of the node now. Rates are taken since the last call."""
        runner = self._runner
        statistics = runner.statistics()
        rates = self._rates(statistics)
        level, message = self._judgement(rates["sets and ticks"])
        values = {"state": runner.state, "rates_hz": rates, **statistics}
        return diagnostic_status(runner.names.fully_qualified, level, message, _flat(values))

    def _rates(self, statistics: dict[str, Any]) -> dict[str, float]:
        """Messages per second by input and by output, and what the node worked off."""
        counts = {"sets and ticks": statistics["sets"] + statistics["ticks"]}
        counts |= {f"{kind}.{name}": n for kind in ("inputs", "outputs") for name, n in statistics[kind].items()}
        now = time.monotonic()
        seconds = max(now - self._at, 1e-9)
        rates = {name: (count - self._counts.get(name, 0)) / seconds for name, count in counts.items()}
        self._counts, self._at = counts, now
        return rates

    def _judgement(self, rate: float) -> tuple[Level, str]:
        figures, trouble, now = self._runner.figures, self._runner.trouble, time.monotonic()
        if now - trouble.latest_failure < RECENT and figures.last_failure:
            return Level.ERROR, figures.last_failure
        complaint = "; ".join(filter(None, (self._silence(), self.conflicts())))
        if complaint:
            return Level.WARN, complaint
        if now - trouble.latest_refusal < RECENT and figures.last_refusal:
            return Level.WARN, f"refused: {figures.last_refusal}"
        if now - trouble.latest_warning < RECENT and figures.last_warning:
            return Level.WARN, figures.last_warning
        state = self._runner.state
        return Level.OK, f"{rate:.1f} Hz" if state == "active" else state

    def _silence(self) -> str:
        """Why nothing has gone through for `SILENT_AFTER`; logged when it becomes another reason."""
        runner = self._runner
        idle = time.monotonic() - runner.figures.last_success
        if runner.state != "active" or not runner.inbox.triggers or runner.working or idle < silence.SILENT_AFTER:
            self._explained = []
            return ""
        lines = silence.explain(runner)
        if lines and lines != self._explained:
            runner.log.warning("nothing to work on for %.0f s: %s", idle, "; ".join(lines))
            self._explained = lines
        return "; ".join(lines)

    def conflicts(self) -> str:
        """Topics of the node that others publish or expect with another type; each is logged once."""
        runner = self._runner
        used = [(i.topic, i.type) for i in runner.inbox.inputs] + [(o.topic, o.type) for o in runner.node.outputs]
        found = (runner.bus.conflict(runner.names.resolve(topic), msgtype) for topic, msgtype in used)
        lines = [line for line in found if line]
        for line in lines:
            runner.trouble.once(line)
        return "; ".join(lines)


def _flat(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Nested figures under dotted names; what is not known yet is left out."""
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        elif not (isinstance(value, float) and math.isnan(value)):
            flat[f"{prefix}{name}"] = value
    return flat
