"""What goes wrong while a node runs: counted always, logged without flooding, never fatal."""

from __future__ import annotations

import logging
import re
import threading
import time

from scene_understanding.hosts.statistics import Statistics

REPEAT_AFTER = 5.0  # seconds until the same warning is logged again


class Trouble:
    """Counts problems in `Statistics` and logs them: a warning of one kind at most every `REPEAT_AFTER` seconds, an
    exception that nobody expected with its traceback once per place where it was raised.

    Attributes:
        latest_failure: monotonic time of the last unexpected exception, 0 if there was none; likewise the others.
    """

    def __init__(self, statistics: Statistics, log: logging.Logger) -> None:
        self.latest_failure = 0.0
        self.latest_refusal = 0.0
        self.latest_warning = 0.0
        self._statistics = statistics
        self._log = log
        self._lock = threading.Lock()
        self._said: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def refused(self, reason: str) -> None:
        """A message that cannot be used."""
        self.latest_refusal = time.monotonic()
        self._statistics.refused(reason)
        self.say(reason)

    def warned(self, text: str) -> None:
        """A problem that the node survives."""
        self.latest_warning = time.monotonic()
        self._statistics.warned(text)
        self.say(text)

    def failed(self, error: Exception) -> None:
        """An exception that is a fault of the program. Call while it is being handled."""
        self.latest_failure = time.monotonic()
        line = f"{type(error).__name__}: {error}"
        self._statistics.failed(line)
        if self._first_time(f"{type(error).__name__} at {_place(error)}"):
            self._log.exception("%s (logged once; the node goes on)", line)

    def say(self, text: str) -> None:
        """Logs a warning unless one of its kind (equal but for numbers) was logged a moment ago."""
        kind = re.sub(r"\d+", "0", text)
        with self._lock:
            now = time.monotonic()
            if now - self._said.get(kind, -REPEAT_AFTER) < REPEAT_AFTER:
                self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
                return
            self._said[kind] = now
            more = self._unsaid.pop(kind, 0)
        self._log.warning("%s%s", text, f" (and {more} more like it)" if more else "")

    def once(self, text: str) -> None:
        """Logs a warning the first time only."""
        if self._first_time(text):
            self._log.warning("%s", text)

    def _first_time(self, kind: str) -> bool:
        with self._lock:
            first = kind not in self._said
            self._said[kind] = time.monotonic()
            return first


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
