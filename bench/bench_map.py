"""Time that the semantic map takes for a labelled 640x480 cloud, and for its layers and the cloud of all of it.

    python bench/bench_map.py [--seed 5] [--views 40]

A camera looks from places all over a building of the embedded world, and a second and a third time. Prints one JSON
object; times in ms, medians and the slowest of twenty: `new` at the first look, `known` at the others. `wall_ms` is of
one thread, `cpu_ms` what the process used; `parts_ms` are medians of steps of a look, by the clock of the thread.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from typing import Annotated, Any

import cv2
import numpy as np
import typer

from scene_understanding.geometry import PinholeCamera, PointCloud, Pose
from scene_understanding.labels import load_label_set, mapping
from scene_understanding.mapping.voxel_map import SemanticMap
from scene_understanding.messages.header import make_header
from scene_understanding.messages.memory import keep_freed_memory
from scene_understanding.messages.point_cloud import cloud_to_point_cloud2, point_cloud2_to_cloud
from scene_understanding.simulation.building import generate_building
from scene_understanding.simulation.render import Renderer
from scene_understanding.simulation.sensors import RgbdNoise

PARTS = ("_gathered", "_seen_through", "_make_room", "_carve", "_raise", "_vote")


def views(seed: int, count: int) -> list[tuple[PointCloud, Pose]]:
    """Clouds as the node gets them, out of messages, and where they were taken."""
    world, noise, rng = generate_building(seed), RgbdNoise(seed), np.random.default_rng(seed)
    camera = PinholeCamera.from_fov(640, 480, np.radians(60))
    renderer, ids = Renderer(world), mapping("nyu40", "nyu13")
    found = []
    for k in range(count):
        pose = world.sample_view(rng)
        frame = renderer.render(camera, pose)
        _, depth = noise.apply(frame.rgb, frame.depth, camera, k)
        confidence = np.full(depth.shape, 0.8, np.float32)
        cloud = PointCloud(camera.back_project(depth), frame.rgb, ids[frame.label].astype(np.uint16), confidence)
        found.append((point_cloud2_to_cloud(cloud_to_point_cloud2(cloud, make_header(k, "camera"))), pose))
    return found


def timed_parts(semantic_map: SemanticMap, spent: dict[str, list[float]]) -> None:
    """Lets the map note how long each of its steps takes."""

    def timed(name: str) -> Any:
        step = getattr(semantic_map, name)

        def run(*arguments: Any) -> Any:
            started = time.thread_time()
            result = step(*arguments)
            spent[name.strip("_")].append(time.thread_time() - started)
            return result

        return run

    for name in PARTS:
        setattr(semantic_map, name, timed(name))


def milliseconds(seconds: list[float]) -> dict[str, float]:
    middle, slow = np.percentile(seconds, [50, 95]) * 1e3
    return {"p50": round(float(middle), 2), "p95": round(float(slow), 2)}


def main(
    seed: Annotated[int, typer.Option(help="of the building")] = 5,
    count: Annotated[int, typer.Option("--views", help="of different places")] = 40,
) -> None:
    keep_freed_memory()
    cv2.setNumThreads(1)
    clouds = views(seed, count)
    semantic_map = SemanticMap(load_label_set("nyu13"))
    spent: dict[str, list[float]] = defaultdict(list)
    timed_parts(semantic_map, spent)
    wall: dict[str, list[float]] = {"new": [], "known": []}
    cpu: dict[str, list[float]] = {"new": [], "known": []}
    for turn in range(3):
        name = "known" if turn else "new"
        for cloud, pose in clouds:
            started, used = time.perf_counter(), time.process_time()
            semantic_map.integrate(cloud, pose)
            wall[name].append(time.perf_counter() - started)
            cpu[name].append(time.process_time() - used)
    started = time.perf_counter()
    layers = semantic_map.layers()
    layers_all = time.perf_counter() - started
    semantic_map.integrate(*clouds[0])
    started = time.perf_counter()
    semantic_map.layers()
    layers_one = time.perf_counter() - started
    started = time.perf_counter()
    voxels = len(semantic_map.cloud().xyz)
    to_cloud = time.perf_counter() - started
    report = {
        "bench": "map", "wall_ms": {name: milliseconds(values) for name, values in wall.items()},
        "cpu_ms": {name: milliseconds(values) for name, values in cpu.items()},
        "parts_ms": {name: round(float(np.median(values)) * 1e3, 2) for name, values in spent.items()},
        "layers_ms": {"all": round(layers_all * 1e3, 1), "after_one_cloud": round(layers_one * 1e3, 1)},
        "cloud_ms": round(to_cloud * 1e3, 1), "voxels": voxels, "cells": list(layers.occupancy.shape),
        **semantic_map.figures(),
    }  # fmt: skip
    print(json.dumps(report))


if __name__ == "__main__":
    typer.run(main)
