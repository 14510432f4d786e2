"""SIGINT and SIGTERM as an event, for hosts that run until they are told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_signals(stop: threading.Event | None = None) -> Iterator[threading.Event]:
    """An event (`stop`, or a new one) that SIGINT and SIGTERM set instead of what they else do; main thread only."""
    stop = stop or threading.Event()
    previous = {n: signal.signal(n, lambda *_: stop.set()) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
