"""The nodes by name, and their parameters for people and for files."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

import yaml

from scene_understanding.commands.output import CommandError, table
from scene_understanding.nodes.node import Node
from scene_understanding.nodes.parameters import ParameterDescription, describe

NODES = {
    "depth": "scene_understanding.nodes.depth:DepthNode",
    "depth_score": "scene_understanding.nodes.depth_score:DepthScoreNode",
    "exploration": "scene_understanding.nodes.exploration:ExplorationNode",
    "keypoints": "scene_understanding.nodes.keypoints:KeypointsNode",
    "keypoints_score": "scene_understanding.nodes.keypoints_score:KeypointsScoreNode",
    "lidar_segmentation": "scene_understanding.nodes.lidar_segmentation:LidarSegmentationNode",
    "segmentation": "scene_understanding.nodes.segmentation:SegmentationNode",
    "segmentation_score": "scene_understanding.nodes.segmentation_score:SegmentationScoreNode",
    "semantic_map": "scene_understanding.nodes.semantic_map:SemanticMapNode",
    "simulator": "scene_understanding.nodes.simulator:SimulatorNode",
}


def node_type(name: str) -> type[Node]:
    """The class of a node by its name.

    Raises:
        CommandError: no such node.
    """
    if name not in NODES:
        near = difflib.get_close_matches(name, NODES, 1)
        raise CommandError(
            f"no node '{name}'; " + (f"did you mean {near[0]}?" if near else f"known: {', '.join(NODES)}")
        )
    module, _, attribute = NODES[name].partition(":")
    found: type[Node] = getattr(importlib.import_module(module), attribute)
    return found


def parameter_report(name: str) -> dict[str, Any]:
    """Every parameter of a node with type, default, description, bounds, choices, and whether it may change live."""
    return {
        "node": name,
        "parameters": {
            p.name: {
                "type": p.type.__name__,
                "default": p.default,
                "description": p.description,
                "bounds": p.bounds,
                "choices": p.choices,
                "runtime": p.runtime,
            }
            for p in describe(node_type(name).parameters_type).values()
        },
    }


def parameter_table(name: str) -> str:
    """For people."""
    rows = [
        (p.name, p.type.__name__, _literal(p.default), _allowed(p), p.runtime, p.description)
        for p in describe(node_type(name).parameters_type).values()
    ]
    return table(("parameter", "type", "default", "allowed", "live", "description"), rows)


def parameter_file(name: str) -> str:
    """A ROS 2 parameter file with every default; `config/*.yaml` are made so."""
    lines = [
        f"# Parameters of the node `{name}` with their defaults.",
        f"# Made by: scene-understanding params {name} --yaml",
        f"/**/{name}:",
        "  ros__parameters:",
    ]
    for p in describe(node_type(name).parameters_type).values():
        notes = [
            p.description,
            f"allowed: {_allowed(p)}" if _allowed(p) else "",
            "may change live" if p.runtime else "",
        ]
        lines += [f"    # {'; '.join(filter(None, notes))}", f"    {p.name}: {_literal(p.default)}"]
    return "\n".join(lines)


def _allowed(p: ParameterDescription) -> str:
    if p.choices is not None:
        return ", ".join(map(str, p.choices))
    return " to ".join(str(b) if isinstance(b, int) else f"{b:g}" for b in p.bounds or ())


def _literal(value: Any) -> str:
    """YAML on one line, of the same type when it is read again."""
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...")
