"""The transforms that a node hears on /tf and /tf_static."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from scene_understanding.geometry.pose import Pose
from scene_understanding.geometry.transform_buffer import TransformBuffer, TransformError
from scene_understanding.hosts.bus import Delivery
from scene_understanding.messages.transforms import add_tf_message

BACKLOG = 500  # undecoded messages at which the worker should take them in although nobody asks
LIMIT = 4000  # undecoded messages beyond which the oldest are dropped


class TransformListener(TransformBuffer):
    """A `TransformBuffer` that decodes what it heard only when it is asked, and waits for what is on its way.

    Odometry for an image usually arrives a little after the image: `lookup` waits for it (see `wait_up_to`).

    Attributes:
        heard: messages received.
        dropped: messages lost because nobody took them in for too long.
    """

    def __init__(self, refuse: Callable[[str], None]) -> None:
        """`refuse` is told, in one line, why a transform was not taken."""
        super().__init__()
        self.heard = 0
        self.dropped = 0
        self._refuse = refuse
        self._wait = 0.0
        self._changed = threading.Condition()
        self._undecoded: deque[tuple[Delivery, bool]] = deque()
        self._early: dict[Delivery, bool] = {}  # whether static; in the order in which they were heard

    def hear(self, delivery: Delivery, static: bool) -> bool:
        """Takes one TFMessage; returns whether the backlog should be taken in."""
        with self._changed:
            if delivery in self._early:
                del self._early[delivery]
                return False
            self.heard += 1
            self._undecoded.append((delivery, static))
            if len(self._undecoded) > LIMIT:
                self._undecoded.popleft()
                self.dropped += 1
            self._changed.notify_all()
            return len(self._undecoded) == BACKLOG

    def hear_early(self, delivery: Delivery, static: bool) -> None:
        """Takes a message before its time (a bag); `hear` ignores it when its time has come."""
        if self.hear(delivery, static):
            self.take_in()
        self._early[delivery] = static

    def take_in(self) -> None:
        """Decodes what has been heard. Bytes that are not a TFMessage are refused."""
        while True:
            with self._changed:
                if not self._undecoded:
                    return
                delivery, static = self._undecoded.popleft()
            try:
                refused = add_tf_message(self, delivery.message(), static)
            except ValueError as error:
                refused = [str(error)]
            for line in refused:
                self._refuse(line)

    def lookup(self, target: str, source: str, stamp_ns: int | None = None) -> Pose:
        deadline = time.monotonic() + self._wait
        while True:
            self.take_in()
            try:
                return super().lookup(target, source, stamp_ns)
            except TransformError:
                if not self._more_until(deadline):
                    raise

    def can_transform(self, target: str, source: str, stamp_ns: int | None = None) -> bool:
        """Whether `lookup` would give a pose now, without waiting."""
        self.take_in()
        try:
            super().lookup(target, source, stamp_ns)
        except TransformError:
            return False
        return True

    def _more_until(self, deadline: float) -> bool:
        """Waits for another transform; False when the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._undecoded or not self._wait, max(0.0, deadline - time.monotonic()))
            return bool(self._undecoded) and self._wait > 0

    def clear(self) -> None:
        """Forgets all dynamic transforms, also those not decoded yet: time has jumped back.

        Those heard early, whose time has not come, are of after the jump: they are taken in again.
        """
        with self._changed:
            self._undecoded = deque(item for item in self._undecoded if item[1])
            self._undecoded += [(delivery, False) for delivery, static in self._early.items() if not static]
        super().clear()

    def wait_up_to(self, seconds: float) -> None:
        """Sets how long `lookup` waits; 0 also ends one that is waiting."""
        with self._changed:
            self._wait = seconds
            self._changed.notify_all()
