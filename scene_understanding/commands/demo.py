"""`scene-understanding demo`: a robot explores a building of the embedded world that no network has seen.

All nodes run in one process, one after the other in simulated time: the same seed gives the same drive. What comes out
is scored against the truth: how much of the floor the map knows, its classes, collisions, what people left in it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scene_understanding.commands.demo_pictures import Strip, draw_map
from scene_understanding.commands.live import check_seconds
from scene_understanding.commands.output import CommandError, table
from scene_understanding.datasets.cloud_files import write_cloud
from scene_understanding.datasets.open import parse_seeds
from scene_understanding.evaluation.map_metrics import Surface, floor_coverage, left_by_people, voxel_scores
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.inline import run_back_to_back
from scene_understanding.hosts.names import RosArguments
from scene_understanding.hosts.recorder import Recorder
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.inference.store import find
from scene_understanding.labels import mapping
from scene_understanding.mapping.layers import UNSURE, GridLayers
from scene_understanding.mapping.map_file import save_map
from scene_understanding.mapping.voxel_map import SemanticMap
from scene_understanding.nodes.exploration import ExplorationNode
from scene_understanding.nodes.keypoints import KeypointsNode
from scene_understanding.nodes.lidar_segmentation import LidarSegmentationNode
from scene_understanding.nodes.node import Node
from scene_understanding.nodes.segmentation import DEFAULT_MODEL, SegmentationNode
from scene_understanding.nodes.segmentation_score import SegmentationScoreNode
from scene_understanding.nodes.semantic_map import SemanticMapNode
from scene_understanding.nodes.simulator import SimulatorNode
from scene_understanding.simulation.robot import RobotLimits

if TYPE_CHECKING:
    from scene_understanding.simulation.simulator import EmbeddedSimulator

N = TypeVar("N", bound=Node)

SEED, SECONDS = 1200, 180.0
"""The first of the buildings on which no network was trained, chosen or tested; how long the robot explores."""
RATE = 5.0
"""Pictures a simulated second."""
SIMULATED_TIME = "use_sim_time:=true"
ROBOT = (f"rate:={RATE}", "camera_pitch:=0.1", "wander:=false")
"""Of the simulator: the camera looks down a little, else it would not see the floor within two metres."""
RECORDED: dict[str, float] = {
    "/clock": 0.0, "/tf": 0.0, "/tf_static": 0.0, "/odom": 0.0, "/cmd_vel": 0.0, "/rgb/camera_info": 2.0,
    "/rgb/image_rect_color": 2.0, "/segmentation/mask": 2.0, "/segmentation/overlay": 2.0, "/ground_truth/mask": 2.0,
    "/segmentation/label_info": 0.0, "/ground_truth/label_info": 0.0, "/segmentation/points": 20.0,
    "/keypoints/people": 0.0, "/keypoints/markers": 0.0, "/ground_truth/people": 0.0, "/ground_truth/odom": 0.0,
    "/semantic_map/points": 20.0, "/semantic_map/occupancy": 5.0, "/semantic_map/label_info": 0.0,
    "/exploration/path": 0.0, "/exploration/frontiers": 2.0, "/exploration/done": 0.0,
}  # fmt: skip
"""Topics in run.mcap, of each one message in so many simulated seconds, 0: all; images and clouds are what is large."""
FIGURES = ("coverage", "collisions", "map_miou", "people_in_map", "miou", "done_after")


@dataclass
class Journey:
    """What was true while the robot drove.

    Attributes:
        robot: (T, 2) places, metres; people: of everybody in the building, (T, P, 2).
        done_after: simulated seconds after which nothing was left to explore, or None.
    """

    robot: list[NDArray[np.float64]] = field(default_factory=list)
    people: list[NDArray[np.float64]] = field(default_factory=list)
    done_after: float | None = None


def run(seed: int = SEED, seconds: float = SECONDS, out: str | Path = "out/demo") -> dict[str, Any]:
    """Runs the demo.

    Args:
        seed: of the building; trainings use 900 to 1179.
        seconds: of simulated time, at most.
        out: folder for map.png, map.npz, map.ply, overlay.png and run.mcap; made if need be, earlier results replaced.

    Returns:
        `coverage` of the floor that the robot can reach, `collisions`, `map_miou` and `map_iou` by class of the voxels,
        `people_in_map` (voxels), `done_after`; `miou` and `iou` of the images; `nodes` with their latencies.
    """
    check_seconds(seconds)
    if seed in seen_by_network():
        _say(f"note: the network was trained or chosen on building {seed}; the score is not that of an unseen one")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    bus = Bus()
    simulator = NodeRunner.create(SimulatorNode, bus, _arguments(f"seed:={seed}", *ROBOT), inline=True)
    parameters: dict[type[Node], Sequence[str]] = {
        SegmentationNode: (), KeypointsNode: (), LidarSegmentationNode: (), SegmentationScoreNode: (),
        SemanticMapNode: (), ExplorationNode: (),
    }  # fmt: skip
    others = [NodeRunner.create(t, bus, _arguments(SIMULATED_TIME, *p), inline=True) for t, p in parameters.items()]
    with Recorder(bus, folder / "run.mcap", simulator.clock, overwrite=True) as recorder:
        strip = Strip(bus, seconds)
        for runner in (*others, simulator):
            runner.start()
            record(recorder, runner)
        try:
            journey = explore(simulator, others, seconds)
            report = judge(simulator.node, others, journey, folder)
        finally:
            for runner in (*others, simulator):
                runner.close()
    strip.write(folder / "overlay.png")
    head = {"seed": seed, "seconds": seconds, "out": str(folder)}
    return {**head, **report, "recorded": sum(recorder.recorded.values()), "bag": str(recorder.path)}


def _arguments(*parameters: str) -> RosArguments:
    return RosArguments.of(parameters=parameters)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def seen_by_network() -> set[int]:
    """Buildings that the shipped network was trained or chosen on."""
    config = find(DEFAULT_MODEL).training["config"]
    if config["data"] != "embedded":
        return set()
    return {seed for part in ("train", "val") for seed in parse_seeds(config[part])}


def record(recorder: Recorder, runner: NodeRunner) -> None:
    """What of `RECORDED` the node publishes."""
    for topic, msgtype, qos in runner.published:
        if topic in RECORDED:
            recorder.add(topic, msgtype, qos, period=RECORDED[topic])


def node_of(runners: Sequence[NodeRunner], node_type: type[N]) -> N:
    """The node of that type among those that are run."""
    return next(runner.node for runner in runners if isinstance(runner.node, node_type))


def explore(simulator: NodeRunner, others: Sequence[NodeRunner], seconds: float) -> Journey:
    """Lets the robot drive until it has seen everything, or so many simulated seconds are over."""
    journey = Journey()
    world = simulator.node.embedded  # type: ignore[attr-defined]
    exploration = node_of(others, ExplorationNode)
    for k in tqdm(range(max(1, round(seconds * RATE))), unit="image", desc="exploring", disable=None):
        run_back_to_back(simulator, others, 1)
        journey.robot.append(world.robot.map_from_base.translation[:2].copy())
        journey.people.append(world.crowd.places())
        if exploration.done:
            journey.done_after = (k + 1) / RATE
            break
    return journey


def judge(node: Any, others: Sequence[NodeRunner], journey: Journey, folder: Path) -> dict[str, Any]:
    """The figures of the drive; draws and saves its map.

    Raises:
        CommandError: there is no map: the nodes failed.
    """
    if (built := node_of(others, SemanticMapNode).map) is None:
        raise CommandError("no map was made: the nodes' log says why")
    world, layers = node.embedded.world, built.layers()
    save_map(folder / "map.npz", built)
    write_cloud(folder / "map.ply", built.cloud())
    people, frontiers = np.array(journey.people), node_of(others, ExplorationNode).frontiers
    draw_map(folder / "map.png", layers, built.labels, np.array(journey.robot), people, frontiers)
    images = node_of(others, SegmentationScoreNode).summary()
    return {
        "coverage": coverage(node.embedded, layers),
        "collisions": int(node.embedded.robot.collisions),
        **map_scores(world, built, people.reshape(-1, 2)),
        "done_after": journey.done_after,
        "driven": float(np.linalg.norm(np.diff(journey.robot, axis=0), axis=1).sum()),
        "miou": images["miou"],
        "iou": images["iou"],
        "nodes": {runner.names.fully_qualified: runner.statistics() for runner in others},
    }


def coverage(simulator: EmbeddedSimulator, layers: GridLayers) -> float:
    """Share of the floor that the robot can reach that the map knows as floor."""
    grid, radius = simulator.world.grid, RobotLimits().radius
    reachable = grid.reachable(simulator.world.start.translation[:2], radius)
    known = (layers.occupancy >= 0) & (layers.occupancy <= UNSURE)
    return floor_coverage(known, layers.origin, layers.resolution, grid.centers(np.argwhere(reachable)))


def map_scores(world: Any, built: SemanticMap, people: NDArray[np.float64]) -> dict[str, Any]:
    """Of the voxels: classes against the nearest surface, and how many are of people, who were at `people` (M, 2)."""
    label = mapping("nyu40", built.labels.name)[world.label]
    surface = Surface.of_mesh(world.shape.vertices, world.shape.triangles, label)
    cloud, voxel = built.cloud(), built.parameters.voxel
    assert cloud.label is not None
    scores = voxel_scores(cloud.xyz, cloud.label, voxel, surface, built.labels)
    return {
        "map_miou": scores["miou"],
        "map_iou": scores["iou"],
        "people_in_map": int(left_by_people(cloud.xyz, voxel, surface, people).sum()),
        "voxels": scores["voxels"],
        "off_surface": scores["off_surface"],
    }


def text(report: dict[str, Any]) -> str:
    """For people: what was explored and how well, the classes, the nodes."""
    figures = table(("figure", "value"), [(name, report[name]) for name in FIGURES])
    classes = table(
        ("class", "IoU of the map", "IoU of the images"),
        [(name, iou, report["iou"].get(name)) for name, iou in report["map_iou"].items()],
    )
    columns = ("sets", "latency_p50_ms", "latency_p95_ms", "refused", "failed")
    nodes = table(
        ("node", "sets", "p50 ms", "p95 ms", "refused", "failed"),
        [(name, *(figures[column] for column in columns)) for name, figures in report["nodes"].items()],
    )
    return f"{figures}\n\n{classes}\n\n{nodes}\n\nresults in {report['out']}"
