"""`label`: a class for every point of a cloud in a file."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from scene_understanding.commands.output import CommandError, new_file, table
from scene_understanding.datasets.cloud_files import check_writable, read_located_cloud, write_cloud
from scene_understanding.geometry import PointCloud
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find
from scene_understanding.labels import UNLABELLED, LabelSet
from scene_understanding.perception.snapnet import SnapNet, SnapNetParameters

COLOURED = (".ply", ".pcd")
"""Endings of files whose viewers show colours and know nothing of labels: their points get the colours of classes."""


BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"


@dataclass(frozen=True)
class Labelling:
    """What the user asks for; see the options of the command."""

    cloud: Path
    model: str
    out: Path
    views: int | None = None
    provider: str = "auto"
    threads: int = 0
    force: bool = False


def label(wish: Labelling) -> dict[str, Any]:
    """Labels the cloud, writes it, and reports what is in it.

    Raises:
        CommandError, DatasetError, ModelError: the wish cannot be met.
    """
    card = find(wish.model)
    if card.task != "cloud_segmentation":
        raise CommandError(f"model '{wish.model}' is for {card.task}; label wants one for cloud_segmentation")
    parameters = SnapNetParameters.from_card(card)
    if wish.views is not None:
        parameters = replace(parameters, views=wish.views)
    network = SnapNet(OnnxRuntimeNetwork(card, wish.provider, wish.threads), parameters)
    check_writable(wish.out, max(UNLABELLED, network.labels.ids[-1]))
    out = new_file(wish.out, wish.force)
    cloud, origin = read_located_cloud(wish.cloud)
    if network.needs_color and cloud.rgb is None:
        raise CommandError(f"{wish.cloud} has no colour, which model '{wish.model}' needs")
    started = time.perf_counter()
    with tqdm(total=1.0, desc=str(wish.cloud), disable=None, bar_format=BAR) as bar:
        labelled = network(cloud, lambda share: bar.update(share - bar.n))
    seconds = time.perf_counter() - started
    write_cloud(out, _coloured(labelled, network.labels) if out.suffix.lower() in COLOURED else labelled, origin)
    assert labelled.label is not None and labelled.confidence is not None
    known = labelled.label != UNLABELLED
    return {
        "cloud": str(wish.cloud), "out": str(out), "model": card.name, "label_set": network.labels.name,
        "views": parameters.views, "provider": network.network.provider, "points": len(cloud.xyz), "seconds": seconds,
        "points_per_s": len(cloud.xyz) / seconds, "unlabelled": int(np.count_nonzero(~known)),
        "confidence": float(labelled.confidence[known].mean()) if known.any() else None,
        "classes": {
            name: int(np.count_nonzero(labelled.label == class_id))
            for name, class_id in zip(network.labels.names, network.labels.ids, strict=True)
        },
    }  # fmt: skip


def _coloured(cloud: PointCloud, labels: LabelSet) -> PointCloud:
    assert cloud.label is not None
    return replace(cloud, rgb=labels.colorize(cloud.label))


def text(report: dict[str, Any]) -> str:
    """For people."""
    counts = {**report["classes"], "unlabelled": report["unlabelled"]}
    rows = [(name, count, 100 * count / report["points"]) for name, count in counts.items()]
    speed = f"{report['points']} points in {report['seconds']:.1f} s, {report['points_per_s']:.0f} a second"
    return f"{report['out']}: {speed}\n{table(('class', 'points', '%'), rows)}"
