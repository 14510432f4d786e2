"""`scene-understanding demo`: a robot drives through a building of the embedded world and labels what it sees.

First as on a robot, simulator and segmentation in two processes that talk DDS; then in one process, recorded to
`run.mcap`. Both are scored against the ground truth of a building that no training has seen.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.commands.live import check_seconds
from scene_understanding.commands.output import table
from scene_understanding.datasets.open import parse_seeds
from scene_understanding.hosts.bus import Bus, Delivery
from scene_understanding.hosts.dds_host import DdsHost
from scene_understanding.hosts.dds_settings import settings_from_environment
from scene_understanding.hosts.names import RosArguments
from scene_understanding.hosts.recorder import Recorder
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.inference.store import find
from scene_understanding.labels import load_label_set
from scene_understanding.messages.image import image_to_array
from scene_understanding.nodes.node import SENSOR
from scene_understanding.nodes.segmentation import DEFAULT_MODEL, IMAGE, SegmentationNode
from scene_understanding.nodes.segmentation_score import SegmentationScoreNode
from scene_understanding.nodes.simulator import SimulatorNode

SEED = 5
DRIVE = ("rate:=5.0", "speed:=2.5")
"""Of the simulator: twelve pictures a second, and a drive long enough to come through most rooms."""
SIMULATED_TIME = RosArguments.of(parameters=("use_sim_time:=true",))
CLOUD, CLOUD_PERIOD = "sensor_msgs/msg/PointCloud2", 2.0
"""Clouds would make up most of the recording; of each topic one in so many simulated seconds is kept."""
NOT_RECORDED = ("/ground_truth/depth",)
PRIVATE = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_LOCALHOST_ONLY": "0", "ROS_STATIC_PEERS": ""}
TAG = "<CycloneDDS><Domain><Discovery><Tag>scene_understanding_demo_{}</Tag></Discovery></Domain></CycloneDDS>"
"""Keeps the demo's DDS to itself: a robot nearby must not hear its /tf and /clock, nor it the robot's /cmd_vel."""
STRIP = 6
"""Pictures in the strip."""
START_UP = 30.0
"""Seconds that the other process has to begin."""


PICTURED = ("/rgb/image_rect_color", "/segmentation/overlay", "/ground_truth/mask")
SPEED = ("masks", "fps", "latency_p50_ms", "latency_p95_ms", "drops", "miou")


def run(seed: int = SEED, seconds: float = 45.0, out: str | Path = "out/demo", host: str = "both") -> dict[str, Any]:
    """Runs the demo.

    Args:
        seed: of the building; trainings use 900 to 1179.
        seconds: of driving, in each of the two ways.
        out: folder for run.mcap, overlay.mp4 and overlay.png; made if need be, earlier results replaced.
        host: `two` processes over DDS, `one` process, or `both`.

    Returns:
        `miou`, `iou` (by class), `oa`, `ma`, `masks`, `fps`, `latency_p50_ms`, `latency_p95_ms`, `drops`, `out` of the
        last way that ran, and all of it for each way under `two_processes` and `one_process`.
    """
    check_seconds(seconds)
    if seed in seen_by_network():
        _say(f"note: the network was trained or chosen on building {seed}; the score is not that of an unseen one")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"seed": seed, "seconds": seconds, "out": str(folder)}
    if host in ("two", "both"):
        _say(f"two processes over DDS, building {seed}, {seconds:g} s ...")
        result["two_processes"] = two_processes(seed, seconds)
    if host in ("one", "both"):
        _say(f"one process, building {seed}, {seconds:g} s ...")
        result["one_process"] = one_process(seed, seconds, folder)
    return {**(result.get("one_process") or result["two_processes"]), **result}


def seen_by_network() -> set[int]:
    """Buildings that the shipped network was trained or chosen on."""
    config = find(DEFAULT_MODEL).training["config"]
    if config["data"] != "embedded":
        return set()
    return {seed for part in ("train", "val") for seed in parse_seeds(config[part])}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def two_processes(seed: int, seconds: float) -> dict[str, Any]:
    """Simulator in a child process, segmentation here, DDS between them; on this machine only, as long as it takes."""
    environment = {**os.environ, **PRIVATE, "CYCLONEDDS_URI": TAG.format(os.getpid())}
    with simulator_process(seed, environment) as child, DdsHost(settings_from_environment(environment)) as host:
        segmentation = host.add(SegmentationNode, SIMULATED_TIME)
        score = host.add(SegmentationScoreNode, SIMULATED_TIME)
        node = score.node
        assert isinstance(node, SegmentationScoreNode)
        deadline = time.monotonic() + START_UP
        while node.masks == 0:
            if child.poll() is not None:
                raise RuntimeError(f"the simulator process ended with exit code {child.returncode}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"no labelled image within {START_UP:g} s; `scene-understanding doctor` may say why")
            time.sleep(0.1)
        time.sleep(seconds)
        return figures(segmentation, node)


def drive(seed: int) -> tuple[str, ...]:
    """Parameters of the simulator, as `name:=value`."""
    return (f"seed:={seed}", *DRIVE)


@contextmanager
def simulator_process(seed: int, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The simulator node in a process of its own, ended at the end of the block."""
    words = [word for value in drive(seed) for word in ("-p", value)]
    command = [sys.executable, "-m", "scene_understanding.cli", "run", "simulator", "--ros-args", *words]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(environment))
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def one_process(seed: int, seconds: float, folder: Path) -> dict[str, Any]:
    """All nodes on one bus; outputs recorded to run.mcap, overlays to a video and a strip of pictures."""
    bus = Bus()
    with NodeRunner.create(SimulatorNode, bus, RosArguments.of(parameters=drive(seed))) as simulator:
        segmentation = NodeRunner.create(SegmentationNode, bus, SIMULATED_TIME)
        score = NodeRunner.create(SegmentationScoreNode, bus, SIMULATED_TIME)
        with segmentation, score, Recorder(bus, folder / "run.mcap", simulator.clock, overwrite=True) as recorder:
            pictures = Pictures(folder)
            for row, topic in zip(pictures.ROWS, PICTURED, strict=True):
                bus.subscribe(topic, IMAGE, SENSOR, "", partial(pictures.add, row))
            for runner in (segmentation, score, simulator):
                runner.configure()
            for topic, msgtype, qos in simulator.published + segmentation.published:
                if topic not in NOT_RECORDED:
                    recorder.add(topic, msgtype, qos, period=CLOUD_PERIOD if msgtype == CLOUD else 0.0)
            for runner in (segmentation, score, simulator):
                runner.activate()
            time.sleep(seconds)
            simulator.deactivate()
            time.sleep(0.5)
            result = figures(segmentation, score.node)
        pictures.close()
    return {**result, "recorded": sum(recorder.recorded.values()), "bag": str(recorder.path)}


def figures(segmentation: NodeRunner, score: Any) -> dict[str, Any]:
    statistics = segmentation.statistics()
    chosen = ("fps", "latency_p50_ms", "latency_p95_ms", "drops", "stages", "refused", "failed")
    return {**score.summary(), **{name: statistics[name] for name in chosen}, "model": statistics["reported"]}


def text(report: dict[str, Any]) -> str:
    """For people: speed of each way, then accuracy by class."""
    speed = table(
        ("way", "images", "fps", "p50 ms", "p95 ms", "drops", "mIoU"),
        [
            (way.replace("_", " "), *(report[way][key] for key in SPEED))
            for way in ("two_processes", "one_process")
            if way in report
        ],
    )
    classes = table(("class", "IoU"), [*report["iou"].items(), ("mean", report["miou"])])
    return f"{speed}\n\n{classes}\n\nresults in {report['out']}"


class Pictures:
    """Overlays as `overlay.mp4` (10 pictures a second); image, overlay and ground truth one above the other, at six
    moments of the drive, as `overlay.png`.
    """

    ROWS = ("color", "overlay", "truth")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._palette = load_label_set("nyu13")
        self._video: cv2.VideoWriter | None = None
        self._columns: dict[int, dict[str, NDArray[np.uint8]]] = defaultdict(dict)

    def add(self, row: str, delivery: Delivery) -> None:
        """Takes a message of the row; of columns one a second is kept."""
        stamp_ns = delivery.stamp_ns
        second, rest = divmod(stamp_ns or 0, 10**9)
        if rest and row != "overlay":
            return
        picture = image_to_array(delivery.message())
        if row == "truth":
            picture = self._palette.colorize(picture)
        picture = np.ascontiguousarray(picture[..., ::-1])
        if row == "overlay":
            self._write(picture)
        if not rest:
            self._columns[second][row] = picture

    def _write(self, picture: NDArray[np.uint8]) -> None:
        if self._video is None:
            size = picture.shape[1], picture.shape[0]
            self._video = cv2.VideoWriter(str(self.folder / "overlay.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, size)
        self._video.write(picture)

    def close(self) -> None:
        if self._video is not None:
            self._video.release()
        columns = [np.vstack([c[row] for row in self.ROWS]) for c in self._columns.values() if len(c) == len(self.ROWS)]
        if columns:
            chosen = [columns[i] for i in np.linspace(0, len(columns) - 1, STRIP).round().astype(int)]
            cv2.imwrite(str(self.folder / "overlay.png"), np.hstack(chosen))
