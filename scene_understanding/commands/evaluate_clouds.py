"""`evaluate` of SnapNet on labelled clouds; how many points are right, and what it takes."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scene_understanding.commands.output import plain, table
from scene_understanding.commands.scoring import (
    REPORT,
    Wish,
    circumstances,
    cores,
    default_split,
    heading,
    only_for,
    paragraphs,
    spread,
)
from scene_understanding.datasets.open_clouds import open_clouds
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.evaluation import clouds
from scene_understanding.evaluation.cloud_pictures import write_cloud
from scene_understanding.evaluation.clouds import Evaluation
from scene_understanding.evaluation.segmentation_metrics import by_class, summary
from scene_understanding.evaluation.timing import TimedNetwork
from scene_understanding.inference.card import ModelCard
from scene_understanding.labels import load_label_set
from scene_understanding.perception.snapnet import SnapNetParameters

PER_CLASS, PER_CLOUD, PICTURES = "per_class.csv", "per_cloud.csv", "clouds"
BY_CLASS = ("iou", "accuracy", "share")
ON_CARD = ("clouds", "points", "oa", "ma", "miou", "iou", "points_per_s", "seconds", "hardware")


def evaluate(wish: Wish, card: ModelCard, out: Path | None) -> dict[str, Any]:
    """Scores the network and writes to `out`; the report.

    Raises:
        CommandError, DatasetError, EvaluationError, ModelError: the wish cannot be met.
    """
    only_for(wish, "clouds", views=1, flip=False, passes=1)
    threads = wish.threads or cores()
    network = TimedNetwork(card, wish.provider, threads)
    split = wish.split or default_split(wish.data)
    dataset, labels = open_clouds(wish.data, split), load_label_set(card.label_set)
    if not dataset.labels.same_classes(labels):
        raise DatasetError(f"{wish.data} is labelled in {dataset.labels.name}, model '{card.name}' knows {labels.name}")
    done = clouds.evaluate(network, spread(dataset, wish.limit, wish.data, "cloud"))
    report = {
        **summary(done.confusion, labels.names),
        **by_class(done.confusion, labels.names),
        "clouds": len(done.clouds),
        "points": done.points,
        "points_per_s": done.points_per_s,
        "seconds": sum(judged.seconds for judged in done.clouds),
        "network_seconds": sum(judged.network_seconds for judged in done.clouds),
        "views_per_100000_voxels": SnapNetParameters.from_card(card).views,
        **circumstances(wish, network, split, threads, out),
    }
    if out:
        _write(out, done, report)
    return report


def _write(out: Path, done: Evaluation, report: Mapping[str, Any]) -> None:
    """report.json, per_class.csv, per_cloud.csv, clouds/."""
    names = done.classes.names
    confusion = {"classes": [*names, "none"], "rows": "true", "counts": done.confusion.tolist()}
    (out / REPORT).write_text(json.dumps(plain({**report, "confusion": confusion}), indent=1), "utf-8")
    rows = []
    (out / PICTURES).mkdir(exist_ok=True)
    for judged in done.clouds:
        means = {key: value for key, value in summary(judged.confusion, names).items() if key != "iou"}
        rows.append([judged.sample.name, len(judged.label), *means.values(), judged.seconds])
        write_cloud(judged, done.classes, out / PICTURES / f"{judged.sample.name}.png")
    of_classes = [[name, *(report[key][name] for key in BY_CLASS)] for name in names]
    _write_csv(out / PER_CLASS, ["class", *BY_CLASS], of_classes)
    _write_csv(out / PER_CLOUD, ["cloud", "points", "oa", "ma", "miou", "seconds"], rows)


def _write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def text(report: Mapping[str, Any]) -> str:
    """For people: figures by class, their means, and times."""
    rows = [(name, *(report[key][name] for key in BY_CLASS)) for name in report["iou"]]
    network = 100 * report["network_seconds"] / report["seconds"]
    lines = [
        f"{heading({**report, 'images': report['clouds']}, 'clouds')}, {report['points']} points",
        table(("class", "IoU", "accuracy", "share"), rows),
        f"mean of {sum(value is not None for value in report['iou'].values())} classes: IoU {report['miou']:.3f}, "
        f"accuracy {report['ma']:.3f}; overall accuracy {report['oa']:.3f}",
        f"{report['points_per_s']:.0f} points a second, {network:.0f} % of the time in the network; "
        f"{report['provider']}, {report['threads']} threads, {report['hardware']}",
    ]
    return paragraphs(lines, report)
