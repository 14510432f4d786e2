"""`map`: what the semantic map node has saved, for other programs, for the eye, and against another map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.commands.output import CommandError, new_file, table
from scene_understanding.datasets.cloud_files import check_writable, write_cloud
from scene_understanding.geometry.point_cloud import PointCloud
from scene_understanding.labels import UNLABELLED
from scene_understanding.mapping.blocks import MapError
from scene_understanding.mapping.change import Change, change as change_between
from scene_understanding.mapping.layers import OCCUPIED, GridLayers
from scene_understanding.mapping.map_file import load_map
from scene_understanding.mapping.voxel_map import SemanticMap

APPEARED, VANISHED, RELABELLED = (0, 160, 0), (220, 0, 0), (230, 180, 0)
"""Colours of what has changed."""
UNKNOWN_GREY, PIXELS = 60, 4
"""Grey of unknown cells in a floor plan, and pixels along the edge of a cell."""

KINDS = ("appeared", "vanished", "relabelled")


@dataclass(frozen=True)
class Export:
    """What the user asks for; see the options of the command."""

    path: Path
    out: Path
    min_confidence: float = 0.0
    force: bool = False


@dataclass(frozen=True)
class Comparison:
    """What the user asks for; see the options of the command."""

    before: Path
    after: Path
    out: Path | None = None
    min_confidence: float = 0.5
    force: bool = False


def show(path: Path) -> dict[str, Any]:
    """What is in a map, as `summary`.

    Raises:
        CommandError: no such map.
    """
    return summary(_load(path))


def show_text(report: dict[str, Any]) -> str:
    """For people."""
    rows = sorted(report["voxels"].items(), key=lambda pair: -pair[1])
    head = f"{report['floor_m2']:.1f} m2 of floor, voxels of {report['voxel']} m, classes of {report['label_set']}"
    return f"{head}\n{table(('class', 'voxels'), rows)}"


def export(wish: Export) -> dict[str, Any]:
    """Writes the cloud or the floor plan of a map.

    Raises:
        CommandError: no such map, or a file that is there already; DatasetError: no such format.
    """
    out = new_file(wish.out, wish.force)
    picture = out.suffix.lower() == ".png"
    if not picture:
        check_writable(out)
    semantic_map = _load(wish.path)
    if not picture:
        write_cloud(out, semantic_map.cloud(wish.min_confidence, unlabelled=True))
    elif not cv2.imwrite(str(out), floor_plan(semantic_map.layers(), semantic_map)[..., ::-1]):
        raise CommandError(f"{out} cannot be written")
    return {"out": str(out), **summary(semantic_map)}


def change(wish: Comparison) -> dict[str, Any]:
    """Voxels that have appeared, vanished, and become something else, by class.

    Raises:
        CommandError: as `export`; maps that cannot be compared.
    """
    out = None if wish.out is None else new_file(wish.out, wish.force)
    if out is not None:
        check_writable(out)
    old, new = _load(wish.before), _load(wish.after)
    try:
        found = change_between(old, new, wish.min_confidence)
    except MapError as error:
        raise CommandError(str(error)) from error
    if out is not None:
        write_cloud(out, coloured(found))
    kinds = {name: _by_class(getattr(found, name), new) for name in KINDS}
    return {**kinds, "out": None if out is None else str(out)}


def change_text(report: dict[str, Any]) -> str:
    """For people."""
    rows = [(kind, name, count) for kind in KINDS for name, count in report[kind].items()]
    return table(("change", "class", "voxels"), rows) if rows else "nothing has changed where both have seen"


def summary(semantic_map: SemanticMap) -> dict[str, Any]:
    """Classes, size of voxels, blocks, occupied voxels by class, and square metres of floor."""
    layers = semantic_map.layers()
    floor = np.isfinite(layers.floor).sum() * layers.resolution**2
    return {
        "label_set": semantic_map.labels.name, "voxel": semantic_map.parameters.voxel,
        "blocks": len(semantic_map.blocks) + semantic_map.blocks.away,
        "voxels": _by_class(semantic_map.cloud(unlabelled=True), semantic_map), "floor_m2": float(floor),
    }  # fmt: skip


def coloured(found: Change) -> PointCloud:
    """All that has changed in one cloud, coloured by how it has."""
    clouds = (found.appeared, found.vanished, found.relabelled)
    rgb = [np.full((len(cloud.xyz), 3), colour, np.uint8)
           for cloud, colour in zip(clouds, (APPEARED, VANISHED, RELABELLED), strict=True)]  # fmt: skip
    label = [cloud.label for cloud in clouds if cloud.label is not None]
    confidence = [cloud.confidence for cloud in clouds if cloud.confidence is not None]
    xyz = np.concatenate([cloud.xyz for cloud in clouds])
    return PointCloud(xyz, np.concatenate(rgb), np.concatenate(label), np.concatenate(confidence))


def floor_plan(layers: GridLayers, semantic_map: SemanticMap) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: a map from above in class colours, x to the right and y up; floors are paler."""
    colours = semantic_map.labels.colorize(layers.label)
    floor = (layers.occupancy >= 0) & (layers.occupancy < OCCUPIED)
    colours[floor] = 255 - (255 - colours[floor]) // 3
    colours[(layers.occupancy < 0) & (layers.label == UNLABELLED)] = UNKNOWN_GREY
    return np.repeat(np.repeat(colours[::-1], PIXELS, axis=0), PIXELS, axis=1)


def _load(path: Path) -> SemanticMap:
    try:
        return load_map(path)
    except (OSError, MapError) as error:
        raise CommandError(str(error)) from error


def _by_class(cloud: PointCloud, semantic_map: SemanticMap) -> dict[str, int]:
    """Number of points by the name of their class."""
    assert cloud.label is not None
    ids, counts = np.unique(cloud.label, return_counts=True)
    return {semantic_map.labels.name_of(int(i)): int(count) for i, count in zip(ids, counts, strict=True)}
