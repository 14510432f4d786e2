"""`evaluate` of a segmentation network on a labelled dataset; how often it is right, and what it takes."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scene_understanding.commands.output import CommandError, plain, table
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
    time_line,
    times,
)
from scene_understanding.datasets.folder import FolderDataset
from scene_understanding.datasets.open import open_dataset, split_spec
from scene_understanding.datasets.rgbd import RgbdDataset
from scene_understanding.evaluation import segmentation
from scene_understanding.evaluation.pictures import write_confusion, write_judged
from scene_understanding.evaluation.segmentation import Evaluation
from scene_understanding.evaluation.segmentation_metrics import by_class, summary
from scene_understanding.evaluation.timing import TimedNetwork
from scene_understanding.inference.card import ModelCard
from scene_understanding.labels import LabelSet, load_label_set

PER_CLASS, CONFUSION, FAILURES = "per_class.csv", "confusion.png", "failures"
BY_CLASS = ("iou", "accuracy", "share")
ON_CARD = ("images", "views", "flip", "oa", "ma", "miou", "iou", "scored", "ms", "ms_p95", "ms_total", "hardware")


def evaluate(wish: Wish, card: ModelCard, out: Path | None) -> dict[str, Any]:
    """Scores the network and writes to `out`; the report.

    Raises:
        CommandError, DatasetError, EvaluationError, ModelError: the wish cannot be met.
    """
    only_for(wish, "segmentation", passes=1)
    threads = wish.threads or cores()
    network = TimedNetwork(card, wish.provider, threads)
    split = wish.split or default_split(wish.data)
    dataset = open_dataset(wish.data, split, card.label_set)
    _check_camera(wish, dataset)
    samples = spread(dataset, wish.limit, wish.data)
    done = segmentation.evaluate(network, samples, wish.views, wish.flip, card.unscored)
    labels = load_label_set(card.label_set)
    report = {
        **figures(done),
        **times(done.network_ms, done.total_ms),
        "scored": len(done.classes),
        "unscored": [labels.name_of(class_id) for class_id in card.unscored],
        **circumstances(wish, network, split, threads, out),
        "views": wish.views,
    }
    if out:
        _write(out, done, report, labels)
    return report


def figures(done: Evaluation) -> dict[str, Any]:
    """`oa`, `ma`, `miou`; by class `iou`, `accuracy` and `share` of the scored pixels, None if the truth has none."""
    return {**summary(done.confusion, done.classes.names), **by_class(done.confusion, done.classes.names)}


def _check_camera(wish: Wish, dataset: RgbdDataset) -> None:
    """Raises CommandError where other views would be rendered with a camera that is merely assumed."""
    if wish.views == 1 or not isinstance(dataset, FolderDataset):
        return
    if not dataset.has_camera:
        raise CommandError(f"{wish.data} has no camera.yaml; {wish.views} views need it, one view does not")


def _write(out: Path, done: Evaluation, report: Mapping[str, Any], labels: LabelSet) -> None:
    """report.json, per_class.csv, confusion.png, failures/."""
    confusion = {"classes": [*done.classes.names, "none"], "rows": "true", "counts": done.confusion.tolist()}
    worst = [{"image": judged.sample.name, "oa": judged.accuracy} for judged in done.worst]
    (out / REPORT).write_text(json.dumps(plain({**report, "worst": worst, "confusion": confusion}), indent=1), "utf-8")
    with open(out / PER_CLASS, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["class", *BY_CLASS])
        writer.writerows([name, *(report[key][name] for key in BY_CLASS)] for name in done.classes.names)
    kind, _ = split_spec(report["data"])
    what = f"{report['model']} on {report['images']} images of {kind} {report['split'] or ''}"
    title = f"{what.rstrip()}: mIoU {100 * report['miou']:.1f} %"
    write_confusion(done, title, out / CONFUSION)
    (out / FAILURES).mkdir(exist_ok=True)
    for old in (out / FAILURES).glob("[0-9][0-9]_*.png"):
        old.unlink()
    for rank, judged in enumerate(done.worst, start=1):
        write_judged(judged, done.classes, labels, out / FAILURES / f"{rank:02d}_{judged.sample.name}.png")


def text(report: Mapping[str, Any]) -> str:
    """For people: figures by class, their means, and times."""
    rows = [(name, *(report[key][name] for key in BY_CLASS)) for name in report["iou"]]
    views = f"{report['views']} views" if report["views"] > 1 else "one view"
    lines = [
        f"{heading(report, 'images')}, {views}" + (", mirrored too" if report["flip"] else ""),
        table(("class", "IoU", "accuracy", "share"), rows),
        f"mean of {sum(value is not None for value in report['iou'].values())} classes: IoU {report['miou']:.3f}, "
        f"accuracy {report['ma']:.3f}; overall accuracy {report['oa']:.3f}",
        time_line(report),
    ]
    if report["unscored"]:
        lines.insert(2, f"not scored, for lack of training pixels: {', '.join(report['unscored'])}")
    return paragraphs(lines, report)
