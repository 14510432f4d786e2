"""What every evaluation has in common: the clock around the network."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from numpy.typing import NDArray

from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork

T = TypeVar("T")

WARM_UP = 3
"""Images that run before the clock counts: the first calls of a network allocate its memory."""

KEPT = 10
"""So many of the worst images."""


class EvaluationError(ValueError):
    """A network that cannot be scored on a dataset; one line for the user."""


class TimedNetwork(OnnxRuntimeNetwork):
    """Adds up what its calls take.

    Attributes:
        seconds: since it was last set.
    """

    seconds = 0.0

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        started = time.perf_counter()
        outputs = super().__call__(inputs)
        self.seconds += time.perf_counter() - started
        return outputs


def timed(network: TimedNetwork, work: Callable[[], T], first: bool) -> tuple[T, tuple[float, float]]:
    """What `work` gives, and the milliseconds that it took in the network and in all; the first one is done warm."""
    for _ in range(WARM_UP if first else 0):
        work()
    network.seconds = 0.0
    started = time.perf_counter()
    result = work()
    total = time.perf_counter() - started
    return result, (1e3 * network.seconds, 1e3 * total)
