"""Shipped networks in ONNX Runtime on the CPU, one input at a time. Prints one JSON object; times in ms."""

import json
import os
import time

import numpy as np

from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find, shipped

RUNS = 50


def median_ms(network: OnnxRuntimeNetwork) -> float:
    rng = np.random.default_rng(0)
    inputs = {name: rng.normal(size=spec.shape).astype(np.float32) for name, spec in network.card.inputs.items()}
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        network(inputs)
        times.append(time.perf_counter() - started)
    return round(float(np.median(times)) * 1e3, 2)


def main() -> None:
    cores = os.cpu_count() or 1
    figures = {
        name: {
            f"{threads}_threads_ms": median_ms(OnnxRuntimeNetwork(find(name), "cpu", threads)) for threads in (1, cores)
        }
        for name in shipped()
    }
    print(json.dumps({"bench": "network", "cores": cores, **figures}))


if __name__ == "__main__":
    main()
