"""Newest only: what stands between a subscription and a node that may be slower than its input."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds one item. A newer one takes the place of one that was not fetched, and the loss is counted.

    Not thread-safe: the runner holds its lock around every call.

    Attributes:
        received: items put in since the start.
        dropped: of these, how many were replaced before anybody took them.
    """

    def __init__(self) -> None:
        self.received = 0
        self.dropped = 0
        self._item: T | None = None

    @property
    def item(self) -> T | None:
        """What waits, left where it is."""
        return self._item

    def put(self, item: T) -> None:
        self.received += 1
        self.dropped += self._item is not None
        self._item = item

    def take(self) -> T | None:
        """The item, or None; the mailbox is empty afterwards."""
        item, self._item = self._item, None
        return item
