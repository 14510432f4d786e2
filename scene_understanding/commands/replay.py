"""`replay`: a bag through nodes; what they make of it goes to another bag, how well they did into a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scene_understanding.commands.catalogue import node_type
from scene_understanding.commands.live import statistics_table
from scene_understanding.commands.output import CommandError, new_file, table
from scene_understanding.hosts.bag import BagHost
from scene_understanding.hosts.bag_reader import BagReader
from scene_understanding.hosts.names import NO_ARGUMENTS, Remapping, RosArguments
from scene_understanding.nodes.node import Node
from scene_understanding.nodes.segmentation_score import SegmentationScoreNode

SCORED = "segmentation"


@dataclass(frozen=True)
class Replay:
    """What the user asks for; see the options of the command.

    Attributes:
        evaluate: True: score against the ground truth or fail; None: where the bag has it; False: never.
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
    score, arguments = SegmentationScoreNode(), wish.arguments
    nodes: list[type[Node] | Node] = [node_type(name) for name in wish.nodes]
    if _evaluates(wish):
        nodes.append(score)
        arguments = arguments_with_score(wish)
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
    return report | (score.summary() if score in nodes else {})


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


def _evaluates(wish: Replay) -> bool:
    """Whether a score node comes along."""
    if wish.evaluate is not None:
        if wish.evaluate and SCORED not in wish.nodes:
            raise CommandError(f"evaluation scores the node '{SCORED}', which is not among the nodes")
        return wish.evaluate
    if SCORED not in wish.nodes:
        return False
    truth = arguments_with_score(wish).names(SegmentationScoreNode.name).resolve("ground_truth/mask")
    with BagReader(wish.bag.expanduser()) as bag:
        return truth in {topic.name for topic in bag.topics}


def arguments_with_score(wish: Replay) -> RosArguments:
    """The user's, so that the score node keeps its own name and hears what the scored node really publishes."""
    rules: list[Remapping] = []
    for rule in wish.arguments.remappings:
        everybody = rule.source == "__node" and rule.node is None
        rules += [replace(rule, node=node_type(name).name) for name in wish.nodes] if everybody else [rule]
    arguments = replace(wish.arguments, remappings=tuple(rules))
    scored, score = arguments.names(SCORED), arguments.names(SegmentationScoreNode.name)
    heard = [
        Remapping(f"{SCORED}/{topic}", scored.resolve(f"~/{topic}"), score.name) for topic in ("mask", "label_info")
    ]
    return replace(arguments, remappings=(*heard, *rules))


def text(report: dict[str, Any]) -> str:
    """For people."""
    parts = [statistics_table(report["nodes"])]
    if "miou" in report:
        parts.append(iou_table(report))
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
