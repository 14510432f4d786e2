"""LiDAR segmentation in the embedded world: how many points get a class, how many the right one, and what it costs.

A robot drives through buildings that no network was trained on and looks around in each room. Everything runs in one
process: simulator, segmentation of the camera's images, LiDAR nodes. One JSON line for each node and building: share of
the points that have a class, accuracy of those, and CPU milliseconds a scan of one core.
    python bench/bench_lidar.py [--seeds 11 12] [--scans 300] [--snapnet snapnet_embedded13]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.hosts.bus import Bus, Delivery
from scene_understanding.hosts.inline import run_back_to_back
from scene_understanding.hosts.names import RosArguments
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.messages.memory import keep_freed_memory
from scene_understanding.messages.point_cloud import point_cloud2_to_cloud
from scene_understanding.nodes.lidar_segmentation import CLOUD, LidarSegmentationNode
from scene_understanding.nodes.node import SENSOR, Context
from scene_understanding.nodes.segmentation import SegmentationNode
from scene_understanding.nodes.simulator import SimulatorNode

CAMERA: dict[str, tuple[str, ...]] = {
    "camera": (),
    "mask_alone": ("reach:=0.0",),
    "mask_without_depth": ("reach:=0.0", "use_depth:=false"),
    "mask_without_occlusion": ("reach:=0.0", "tolerance:=1000.0"),
}
"""Nodes and their parameters; `method` is camera. The last takes every point for what its pixel shows."""


class TimedNode(LidarSegmentationNode):
    """Attributes: cpu_ms: of every scan; snapshots_ms: of every time that snapshots were taken."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__(parameters)
        self.cpu_ms: list[float] = []
        self.snapshots_ms: list[float] = []

    def process(self, messages: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
        start = time.process_time()
        out = super().process(messages, context)
        if "points" in out:
            self.cpu_ms.append(1e3 * (time.process_time() - start))
        return out

    def tick(self, context: Context) -> Mapping[str, Any]:
        start = time.process_time()
        out = super().tick(context)
        self.snapshots_ms.append(1e3 * (time.process_time() - start))
        return out


class Score:
    """Labels of a node against those that the simulator's scan has, point by point."""

    def __init__(self, node: str, bus: Bus) -> None:
        self.points = self.labelled = self.scored = self.right = 0
        self._truth: NDArray[np.uint16] | None = None
        bus.subscribe("/points", CLOUD, SENSOR, "/bench", self._hear_truth)
        bus.subscribe(f"/{node}/points", CLOUD, SENSOR, "/bench", self._hear)

    def _hear_truth(self, delivery: Delivery) -> None:
        self._truth = point_cloud2_to_cloud(delivery.message()).label

    def _hear(self, delivery: Delivery) -> None:
        label, truth = point_cloud2_to_cloud(delivery.message()).label, self._truth
        assert label is not None and truth is not None and label.shape == truth.shape
        known = label != 255
        scored = known & (truth != 255)
        self.points += len(label)
        self.labelled += int(known.sum())
        self.scored += int(scored.sum())
        self.right += int((label == truth)[scored].sum())


def measure(seed: int, scans: int, snapnet: str) -> None:
    """One drive with all nodes."""
    bus = Bus()
    nodes = dict(CAMERA)
    if snapnet:
        of_snapnet = (f"model:={snapnet}", "provider:=cpu", "threads:=1")
        nodes |= {method: (*of_snapnet, f"method:={method}") for method in ("snapnet", "both")}
    simulator = NodeRunner.create(
        SimulatorNode, bus, RosArguments.of(parameters=(f"seed:={seed}", "rate:=10.0")), inline=True
    )
    parameters = ("use_sim_time:=true", "provider:=cpu", "threads:=1")
    runners = [NodeRunner.create(SegmentationNode, bus, RosArguments.of(parameters=parameters), inline=True)]
    for name, values in nodes.items():
        arguments = RosArguments.of((f"__node:={name}",), ("use_sim_time:=true", *values))
        runners.append(NodeRunner.create(TimedNode, bus, arguments, inline=True))
    scores = {name: Score(name, bus) for name in nodes}
    for runner in (*runners, simulator):
        runner.start()
    run_back_to_back(simulator, runners, scans)
    for (name, score), runner in zip(scores.items(), runners[1:], strict=True):
        node, statistics = runner.node, runner.statistics()
        assert isinstance(node, TimedNode)
        line = {
            "bench": "lidar", "node": name, "building": seed, "scans": len(node.cpu_ms),
            "points": round(score.points / max(len(node.cpu_ms), 1)),
            "labelled": round(score.labelled / max(score.points, 1), 3),
            "accuracy": round(score.right / max(score.scored, 1), 3),
            "cpu_ms": round(float(np.median(node.cpu_ms)), 1), "refused": statistics["refused"],
        }  # fmt: skip
        if node.snapshots_ms:
            line["snapshots_ms"] = round(float(np.median(node.snapshots_ms)), 1)
        print(json.dumps(line), flush=True)
    for runner in (*runners, simulator):
        runner.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12], help="buildings")
    parser.add_argument("--scans", type=int, default=300, help="of each building, ten a second")
    parser.add_argument("--snapnet", default="", help="model for the methods snapnet and both; none: without them")
    arguments = parser.parse_args()
    keep_freed_memory()
    cv2.setNumThreads(1)
    for seed in arguments.seeds:
        measure(seed, arguments.scans, arguments.snapnet)


if __name__ == "__main__":
    main()
