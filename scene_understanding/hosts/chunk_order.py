"""Recorded order over chunks that may overlap in time, with little memory."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar


class Chunk(Protocol):
    """A piece of a file, with the time of its first message."""

    @property
    def start_ns(self) -> int: ...

    @property
    def offset(self) -> int: ...


class Timed(Protocol):
    @property
    def time_ns(self) -> int: ...


C = TypeVar("C", bound=Chunk)
M = TypeVar("M", bound=Timed)


def in_recorded_order(chunks: Iterable[C], load: Callable[[C], Iterable[M]]) -> Iterator[M]:
    """Messages of all chunks by time, equal times by their place in the file.

    A chunk is loaded when the time of its first message is reached, so that only chunks that overlap are in memory.
    """
    waiting: list[tuple[int, int, int, M]] = []
    for chunk in sorted(chunks, key=lambda chunk: (chunk.start_ns, chunk.offset)):
        while waiting and waiting[0][0] < chunk.start_ns:
            yield heapq.heappop(waiting)[3]
        for i, message in enumerate(load(chunk)):
            heapq.heappush(waiting, (message.time_ns, chunk.offset, i, message))
    while waiting:
        yield heapq.heappop(waiting)[3]
