"""The inputs of one node: what has come, what belongs together, what waits to be processed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from scene_understanding.hosts.bus import Delivery, has_header
from scene_understanding.hosts.mailbox import Mailbox
from scene_understanding.hosts.synchroniser import Synchroniser
from scene_understanding.nodes.node import ConfigurationError, Input, Synchronised

JUMP_BACK_NS = 1_000_000_000  # a stamp that goes back further than this means that time itself has jumped


@dataclass(frozen=True)
class MessageSet:
    """What triggers one call of `process`.

    Attributes:
        deliveries: by input name; without the latched inputs, which are added when the set is processed.
        stamp_ns: oldest header stamp in the set; None where no message has a header.
        complete: monotonic time at which the last of them arrived.
    """

    deliveries: dict[str, Delivery]
    stamp_ns: int | None
    complete: float


@dataclass
class Heard:
    """What is known about one input, to explain a silence."""

    count: int = 0
    last: float = 0.0
    last_stamp_ns: int | None = None


@dataclass
class Trigger:
    """One `Input` that is not latched, or one `Synchronised`, with its mailbox."""

    inputs: tuple[Input, ...]
    mailbox: Mailbox[MessageSet] = field(default_factory=Mailbox)
    synchroniser: Synchroniser[Delivery] | None = None
    slop: float = 0.0


class Inbox:
    """Sorts deliveries into sets. Not thread-safe: the runner holds its lock around every call that changes it.

    `messages` needs no lock: it copies the latched inputs in one step, and decoding takes its time.

    Attributes:
        heard: by input name.
    """

    def __init__(self, declared: Sequence[Input | Synchronised]) -> None:
        self.triggers = [_trigger(i) for i in declared if isinstance(i, Synchronised) or not i.latched]
        self.latched = [i for i in declared if isinstance(i, Input) and i.latched]
        self.heard: dict[str, Heard] = {i.name: Heard() for i in self.inputs}
        self._trigger_of = {i.name: trigger for trigger in self.triggers for i in trigger.inputs}
        self._kept: dict[str, Delivery] = {}

    @property
    def inputs(self) -> list[Input]:
        """All inputs, latched or not."""
        return [i for trigger in self.triggers for i in trigger.inputs] + self.latched

    @property
    def missing(self) -> list[Input]:
        """Required latched inputs that have not come."""
        return [i for i in self.latched if i.required and i.name not in self._kept]

    @property
    def dropped(self) -> int:
        """Complete sets that a newer one replaced before the node took them."""
        return sum(trigger.mailbox.dropped for trigger in self.triggers)

    @property
    def unmatched(self) -> dict[str, int]:
        """By input, how many messages found no partner in time."""
        return {k: n for t in self.triggers if t.synchroniser for k, n in t.synchroniser.unmatched.items()}

    def arrive(self, name: str, delivery: Delivery) -> bool:
        """Takes one delivery in. Returns whether its stamp went back so far that time must have jumped.

        Raises:
            ValueError: bytes in which the header stamp cannot be read.
        """
        stamp = delivery.stamp_ns
        heard = self.heard[name]
        previous = heard.last_stamp_ns
        heard.count, heard.last, heard.last_stamp_ns = heard.count + 1, time.monotonic(), stamp
        trigger = self._trigger_of.get(name)
        if trigger is None:
            self._kept[name] = delivery
            return False
        jumped = stamp is not None and previous is not None and stamp < previous - JUMP_BACK_NS
        if jumped:
            self.clear()
            heard.last_stamp_ns = stamp
        self._put(trigger, name, stamp, delivery)
        return jumped

    @staticmethod
    def _put(trigger: Trigger, name: str, stamp: int | None, delivery: Delivery) -> None:
        now = time.monotonic()
        if trigger.synchroniser is None:
            trigger.mailbox.put(MessageSet({name: delivery}, stamp, now))
            return
        assert stamp is not None
        found = trigger.synchroniser.add(name, stamp, delivery)
        if found is not None:
            stamps = [d.stamp_ns for d in found.values()]
            trigger.mailbox.put(MessageSet(found, min(s for s in stamps if s is not None), now))

    @property
    def ready(self) -> bool:
        """Whether a set is complete and every required latched input has come."""
        return any(trigger.mailbox.item is not None for trigger in self.triggers) and not self.missing

    def take(self) -> MessageSet | None:
        """The set that has been complete for longest, or None while there is none or a required input is missing."""
        if not self.ready:
            return None
        waiting = [(item.complete, i) for i, t in enumerate(self.triggers) if (item := t.mailbox.item) is not None]
        return self.triggers[min(waiting)[1]].mailbox.take()

    def messages(self, chosen: MessageSet) -> dict[str, Any]:
        """The set and the latched inputs as message objects, decoded now.

        Raises:
            ValueError: bytes that are not a message of the declared type.
        """
        return {name: delivery.message() for name, delivery in {**self._kept, **chosen.deliveries}.items()}

    def clear(self) -> None:
        """Drops what waits and forgets the stamps: time has jumped, for all inputs at once. Latched inputs stay."""
        for heard in self.heard.values():
            heard.last_stamp_ns = None
        for trigger in self.triggers:
            trigger.mailbox.take()
            if trigger.synchroniser is not None:
                trigger.synchroniser.clear()


def _trigger(declared: Input | Synchronised) -> Trigger:
    if isinstance(declared, Input):
        return Trigger((declared,))
    for i in declared.inputs:
        if not has_header(i.type):
            raise ConfigurationError(f"input '{i.name}': {i.type} has no header, it cannot be synchronised by stamp")
    names = [i.name for i in declared.inputs]
    optional = [i.name for i in declared.inputs if not i.required]
    synchroniser: Synchroniser[Delivery] = Synchroniser(names, round(declared.slop * 1e9), optional=optional)
    return Trigger(declared.inputs, synchroniser=synchroniser, slop=declared.slop)
