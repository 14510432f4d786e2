"""Nodes without threads: one thing after the other, in an order that depends on the input alone."""

from __future__ import annotations

from collections.abc import Sequence

from scene_understanding.hosts.clock import SimulatedClock
from scene_understanding.hosts.runner import NodeRunner


def settle(runners: Sequence[NodeRunner]) -> None:
    """Lets the nodes work, in their order, until none has anything to do."""
    while sum(runner.step() for runner in runners):
        pass


def advance(clock: SimulatedClock, runners: Sequence[NodeRunner], now_ns: int) -> None:
    """Tells the time, stopping at every tick that is due on the way."""
    if clock.now_ns and now_ns >= clock.now_ns:
        while (due := _next_tick(clock, runners)) is not None and due <= now_ns:
            clock.set(due)
            settle(runners)
    tell(clock, runners, now_ns)
    settle(runners)


def tell(clock: SimulatedClock, runners: Sequence[NodeRunner], now_ns: int) -> None:
    """Sets the clock and wakes the nodes that live by it."""
    backwards = clock.set(now_ns)
    for runner in runners:
        if runner.clock is clock:
            runner.clock_moved(backwards)


def _next_tick(clock: SimulatedClock, runners: Sequence[NodeRunner]) -> int | None:
    ticks = (runner.next_tick_ns for runner in runners if runner.clock is clock)
    return min((due for due in ticks if due is not None), default=None)


def run_back_to_back(driver: NodeRunner, others: Sequence[NodeRunner], ticks: int) -> None:
    """A simulation as fast as it goes: the owner of the clock ticks, everybody else reacts, and again."""
    for _ in range(ticks):
        driver.tick()
        settle((driver, *others))
