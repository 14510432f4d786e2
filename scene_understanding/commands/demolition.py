"""`demolition`: how demolished a block is, from a cloud that a network labels; scored where the cloud has truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scene_understanding.commands.demolition_picture import Image, from_above, map_image, picture
from scene_understanding.commands.output import CommandError, new_file, table
from scene_understanding.commands.scoring import cores
from scene_understanding.datasets.cloud_files import read_cloud
from scene_understanding.datasets.labelled_clouds import CloudDataset, LabelledCloud
from scene_understanding.datasets.open import CLOUD_KINDS
from scene_understanding.datasets.open_clouds import open_clouds
from scene_understanding.evaluation.segmentation_metrics import confusion_of_ids, summary
from scene_understanding.geometry import PointCloud
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find
from scene_understanding.labels import LabelSet
from scene_understanding.mapping.demolition import (
    DemolitionMap,
    DemolitionParameters,
    RubbleScore,
    check_extent,
    class_probabilities,
    demolition_map,
    rubble_score,
)
from scene_understanding.perception.snapnet import SnapNet

NEEDED = ("building", "rubble")
"""Classes without which there is nothing to estimate."""


@dataclass(frozen=True)
class Wish:
    """What is asked of `demolition`; the options of the command line say more.

    Attributes:
        source: a cloud's file, or KIND:PLACE of a dataset of clouds.
        model: a network for clouds, by name or folder.
        out: the picture; None for none.
    """

    source: str
    model: str
    out: Path | None = None
    cell: float = 1.0
    provider: str = "auto"
    threads: int = 0
    force: bool = False


def run(wish: Wish) -> dict[str, Any]:
    """Labels every cloud, maps its demolition, scores both where there is truth, and draws; the report.

    Raises:
        CommandError, DatasetError, ModelError, OSError, ValueError: the wish cannot be met.
    """
    out = None if wish.out is None else new_file(wish.out, wish.force)
    if not 0 < wish.cell < math.inf:
        raise CommandError(f"--cell is {wish.cell:g} m; it must be above 0")
    parameters = DemolitionParameters(cell=wish.cell)
    snapnet = SnapNet(OnnxRuntimeNetwork(find(wish.model), wish.provider, wish.threads or cores()))
    labels = snapnet.labels
    missing = [name for name in NEEDED if name not in labels.names]
    if missing:
        raise CommandError(
            f"model '{wish.model}' knows no {' and no '.join(missing)}; it has {', '.join(labels.names)}"
        )
    score, confusion = RubbleScore(), np.zeros((len(labels), len(labels) + 1), np.int64)
    clouds, rows = [], []
    samples = _clouds(wish.source, snapnet)
    for index in tqdm(range(len(samples)), desc=wish.source, unit="cloud", disable=None):
        sample = samples[index]
        try:
            check_extent(sample.cloud.xyz, wish.cell)
        except ValueError as error:
            raise CommandError(f"{sample.name}: {error}") from error
        found = snapnet(sample.cloud)
        estimate = _mapped(found, labels, parameters)
        panels = {}
        assert found.label is not None
        if sample.cloud.label is not None:
            truth = _mapped(sample.cloud, labels, parameters)
            score += rubble_score(estimate, truth, labels)
            confusion += confusion_of_ids(sample.cloud.label, found.label, labels.ids)
            panels["true classes"] = from_above(sample.cloud, labels.colorize(sample.cloud.label))
        clouds.append({"name": sample.name, **_amounts(sample.cloud, estimate)})
        rows.append((sample.name, {**panels, **_found_panels(found, estimate, labels)}))
    if out and not cv2.imwrite(str(out), cv2.cvtColor(picture(rows, labels), cv2.COLOR_RGB2BGR)):
        raise CommandError(f"{out} cannot be written")
    scores = _scores(score, confusion, labels) if confusion.any() else {}
    return {
        "source": wish.source, "model": wish.model, "cell": wish.cell, "clouds": clouds, **scores,
        "out": out and str(out),
    }  # fmt: skip


def _clouds(source: str, snapnet: SnapNet) -> CloudDataset | list[LabelledCloud]:
    """Those of a dataset, which must be labelled in the network's classes, or a file's one cloud, without labels."""
    kind, colon, _ = source.partition(":")
    if colon and kind in CLOUD_KINDS:
        dataset = open_clouds(source)
        own, labels = dataset.labels, snapnet.labels
        if not own.same_classes(labels):
            raise CommandError(f"{source} is labelled in {own.name}, the model knows {labels.name}")
        return dataset
    path = Path(source).expanduser()
    cloud = read_cloud(path)
    finite = np.isfinite(cloud.xyz).all(axis=-1)
    if not finite.any():
        raise CommandError(f"{path} has no points")
    if snapnet.needs_color and cloud.rgb is None:
        raise CommandError(f"{path} has no colour, which model '{snapnet.network.card.name}' needs")
    rgb = None if cloud.rgb is None else cloud.rgb[finite]
    return [LabelledCloud(path.stem, PointCloud(cloud.xyz[finite], rgb))]


def _mapped(cloud: PointCloud, labels: LabelSet, parameters: DemolitionParameters) -> DemolitionMap:
    return demolition_map(cloud.xyz, class_probabilities(cloud, labels), labels, parameters)


def _found_panels(found: PointCloud, estimate: DemolitionMap, labels: LabelSet) -> dict[str, Image]:
    assert found.label is not None
    return {
        "classes found": from_above(found, labels.colorize(found.label)),
        "demolition, from intact to debris": map_image(estimate),
    }


def _amounts(cloud: PointCloud, estimate: DemolitionMap) -> dict[str, Any]:
    """Of one cloud: its points, square metres of something built, and their mean demolition."""
    judged = np.isfinite(estimate.demolition)
    return {
        "points": len(cloud.xyz),
        "built_m2": float(judged.sum()) * estimate.cell**2,
        "demolition": float(estimate.demolition[judged].mean()) if judged.any() else None,
    }


def _scores(score: RubbleScore, confusion: NDArray[np.int64], labels: LabelSet) -> dict[str, Any]:
    return {
        "precision": score.precision,
        "recall": score.recall,
        "rubble_cells": score.hit + score.missed,
        "demolition_mae": score.mae,
        "demolition_unjudged": score.unjudged,
        **summary(confusion, labels.names),
    }


def text(report: Mapping[str, Any]) -> str:
    """For people."""
    rows = [(c["name"], c["points"], c["built_m2"], c["demolition"]) for c in report["clouds"]]
    parts = [table(("cloud", "points", "built, m2", "demolition"), rows)]
    if "precision" in report:
        parts += [
            f"cells of rubble: precision {report['precision']:.3f}, recall {report['recall']:.3f} "
            f"({report['rubble_cells']} cells of {report['cell']:g} m)",
            f"demolition is off by {report['demolition_mae']:.3f} in the mean; {report['demolition_unjudged']} cells "
            "of buildings or rubble have no estimate",
            table(("class", "IoU"), list(report["iou"].items())),
            f"points: overall accuracy {report['oa']:.3f}, mean accuracy {report['ma']:.3f}, mIoU {report['miou']:.3f}",
        ]
    return "\n\n".join(parts) + (f"\n\npicture in {report['out']}" if report["out"] else "")
