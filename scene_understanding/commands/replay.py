"""`replay`: a bag through nodes; what they make of it goes to another bag, how well they did into a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scene_understanding.commands.catalogue import node_type
from scene_understanding.commands.live import statistics_table
from scene_understanding.commands.output import CommandError, new_file, table
from scene_understanding.evaluation.depth_metrics import ERRORS
from scene_understanding.hosts.bag import BagHost
from scene_understanding.hosts.bag_reader import BagReader
from scene_understanding.hosts.names import NO_ARGUMENTS, Remapping, RosArguments
from scene_understanding.nodes.depth_score import DepthScoreNode
from scene_understanding.nodes.keypoints_score import KeypointsScoreNode
from scene_understanding.nodes.node import Node
from scene_understanding.nodes.parameters import from_mapping
from scene_understanding.nodes.segmentation_score import SegmentationScoreNode

ScoreNode = SegmentationScoreNode | DepthScoreNode | KeypointsScoreNode


@dataclass(frozen=True)
class Scoring:
    """How a node is scored.

    Attributes:
        node: its name; outputs: what of it the score node hears.
        score: the node that scores it.
        truth: topic that the score node takes for the truth.
        measured: topic that stands in for it where the bag has no truth.
    """

    node: str
    outputs: tuple[str, ...]
    score: type[ScoreNode]
    truth: str
    measured: str = ""


SCORINGS = (
    Scoring("segmentation", ("mask", "label_info"), SegmentationScoreNode, "ground_truth/mask"),
    Scoring("depth", ("depth",), DepthScoreNode, "ground_truth/depth", "depth_registered/image_rect"),
    Scoring("keypoints", ("people",), KeypointsScoreNode, "ground_truth/people"),
)
MEASURED_SLOP = 0.01
"""Seconds: a depth camera's stamps are not always those of the colour camera beside it."""


@dataclass(frozen=True)
class Replay:
    """What the user asks for; see the options of the command.

    Attributes:
        evaluate: True: score or fail; None: where the bag has something to score against; False: never.
    """

    bag: Path
    nodes: Sequence[str]
    out: Path | None = None
    arguments: RosArguments = NO_ARGUMENTS
    rate: float | None = None
    evaluate: bool | None = None
    inputs: bool = False
    diagnostics: bool = False
    force: bool = False


def replay(wish: Replay) -> dict[str, Any]:
    """Plays the bag through the nodes.

    Raises:
        CommandError, BagError, NamingError, ParameterError, ConfigurationError: the wish cannot be met.
    """
    if wish.rate is not None and not wish.rate > 0:
        raise CommandError(f"rate is {wish.rate}; it must be above 0")
    if not wish.nodes:
        raise CommandError("no node is named; nodes are separated by commas")
    out = wish.out and _out(wish)
    nodes: list[type[Node] | Node] = [node_type(name) for name in wish.nodes]
    references = _references(wish)
    scores = [_score(scoring, topic, wish) for scoring, topic in references.items()]
    nodes += scores
    arguments = arguments_with_scores(wish, references)
    with BagHost(wish.bag.expanduser(), nodes, arguments, rate=wish.rate) as host:
        if out is not None:
            host.record(out, inputs=wish.inputs, diagnostics=wish.diagnostics, overwrite=wish.force)
        else:
            _listen_to_all(host)  # nodes make nothing that nobody listens to, and then there is nothing to measure
        result = host.run()
    first = next(iter(result.statistics.values()))
    report = {
        "bag": str(wish.bag),
        "out": out and str(out),
        "seconds": result.seconds,
        **{key: first[key] for key in ("fps", "latency_p50_ms", "latency_p95_ms", "drops")},
        "nodes": result.statistics,
        "read": result.read,
        "recorded": result.recorded,
        "losses": [str(loss) for loss in result.losses],
        "silent": result.silent,
    }
    for score in scores:
        report |= score.summary()
    return report | {f"{scoring.node}_reference": topic for scoring, topic in references.items() if scoring.measured}


def _listen_to_all(host: BagHost) -> None:
    for runner in host.runners:
        for topic, msgtype, qos in runner.published:
            host.bus.subscribe(topic, msgtype, qos, "", lambda delivery: None)


def _out(wish: Replay) -> Path:
    assert wish.out is not None
    if wish.out.suffix != ".mcap":
        raise CommandError(f"{wish.out} does not end in .mcap")
    out = new_file(wish.out, wish.force)
    if out.resolve() == wish.bag.expanduser().resolve():
        raise CommandError(f"{out} is the bag that is read; name another file")
    return out


def _references(wish: Replay) -> dict[Scoring, str]:
    """How nodes are scored, and the absolute name of what each is scored against."""
    scorings = [scoring for scoring in SCORINGS if scoring.node in wish.nodes]
    if wish.evaluate and not scorings:
        scored = ", ".join(scoring.node for scoring in SCORINGS)
        raise CommandError(f"evaluation scores the nodes {scored}, none of which is among the nodes")
    if wish.evaluate is False or not scorings:
        return {}
    with BagReader(wish.bag.expanduser()) as bag:
        there = {topic.name for topic in bag.topics}
    references: dict[Scoring, str] = {}
    for scoring in scorings:
        names = _arguments(wish).names(scoring.score.name)
        candidates = [names.resolve(topic) for topic in (scoring.truth, scoring.measured) if topic]
        found = [topic for topic in candidates if topic in there]
        if found or wish.evaluate:
            references[scoring] = (found or candidates)[0]
    return references


def _score(scoring: Scoring, reference: str, wish: Replay) -> ScoreNode:
    """The score node with the parameters that the user gave it by its name; those for all nodes are for the others."""
    names = _arguments(wish).names(scoring.score.name)
    single = tuple(p for p in wish.arguments.parameters if not isinstance(p, str) and p[0] == names.name)
    values = RosArguments(parameters=single).parameter_values(names)
    if scoring.measured and reference == names.resolve(scoring.measured):
        values.setdefault("slop", MEASURED_SLOP)
    return scoring.score(from_mapping(scoring.score.parameters_type, values))


def _arguments(wish: Replay) -> RosArguments:
    """The user's, so that score nodes keep their own names."""
    rules: list[Remapping] = []
    for rule in wish.arguments.remappings:
        everybody = rule.source == "__node" and rule.node is None
        rules += [replace(rule, node=node_type(name).name) for name in wish.nodes] if everybody else [rule]
    return replace(wish.arguments, remappings=tuple(rules))


def arguments_with_scores(wish: Replay, references: Mapping[Scoring, str]) -> RosArguments:
    """The user's, so that score nodes hear what the scored nodes really publish, and what they are scored against."""
    arguments = _arguments(wish)
    heard: list[Remapping] = []
    for scoring, topic in references.items():
        scored, score = arguments.names(scoring.node), arguments.names(scoring.score.name)
        heard += [Remapping(f"{scoring.node}/{o}", scored.resolve(f"~/{o}"), score.name) for o in scoring.outputs]
        heard.append(Remapping(scoring.truth, topic, score.name))
    return replace(arguments, remappings=(*heard, *arguments.remappings))


def text(report: dict[str, Any]) -> str:
    """For people."""
    parts = [statistics_table(report["nodes"])]
    if "miou" in report:
        parts.append(iou_table(report))
    if "rel" in report:
        parts.append(error_table(report))
    if "oks_ap" in report:
        parts.append(people_table(report))
    parts += [f"{name} did nothing: {' '.join(reasons)}" for name, reasons in report["silent"].items()]
    parts += [f"lost: {loss}" for loss in report["losses"]]
    if report["out"]:
        parts.append(f"wrote {report['out']}: {sum(report['recorded'].values())} messages")
    return "\n\n".join(parts)


def iou_table(report: dict[str, Any]) -> str:
    """IoU by class, and the means."""
    rows: list[tuple[str, float | None]] = [
        *report["iou"].items(),
        ("mean IoU", report["miou"]),
        ("mean accuracy", report["ma"]),
        ("overall accuracy", report["oa"]),
    ]
    return f"{table(('class', 'IoU'), rows)}\n({report['masks']} masks)"


def error_table(report: dict[str, Any]) -> str:
    """The errors of depth, a column each, and what they were taken against."""
    against = f"against {report['depth_reference']} up to {report['largest']:g} m"
    line = f"({report['images']} images {against}; of each whole image, then averaged over images)"
    return f"{table(ERRORS, [[report[name] for name in ERRORS]])}\n{line}"


def people_table(report: dict[str, Any]) -> str:
    """How well people were found and their joints placed, a column each."""
    columns = ("oks_ap", "pck", "joint_error_m", "joints_placed")
    line = (
        f"({report['people']} people in {report['people_images']} images; joints in space up to {report['reach']:g} m)"
    )
    return f"{table(columns, [[report[name] for name in columns]])}\n{line}"
