"""`evaluate`: a segmentation network against a labelled dataset; how often it is right, and what it takes."""

from __future__ import annotations

import csv
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from scene_understanding.commands.output import CommandError, plain, table
from scene_understanding.datasets.folder import FolderDataset
from scene_understanding.datasets.open import open_dataset, split_spec
from scene_understanding.datasets.rgbd import RgbdDataset, RgbdSample
from scene_understanding.evaluation import segmentation
from scene_understanding.evaluation.pictures import write_confusion, write_judged
from scene_understanding.evaluation.segmentation import Evaluation, TimedSegmenter
from scene_understanding.evaluation.segmentation_metrics import class_accuracy, summary
from scene_understanding.inference.card import ModelCard, record_metrics
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find
from scene_understanding.labels import LabelSet

COMPARED = {"nyuv2": "val", "nyuv2_mat": "val", "camvid": "val", "sunrgbd": "test"}
"""Split of each kind of dataset unless another is named."""

REPORT, PER_CLASS, CONFUSION, FAILURES = "report.json", "per_class.csv", "confusion.png", "failures"
BY_CLASS = ("iou", "accuracy", "share")
ON_CARD = ("images", "views", "flip", "oa", "ma", "miou", "iou", "scored", "ms", "ms_p95", "ms_total", "hardware")


@dataclass(frozen=True)
class Wish:
    """What the user asks for; see the options of the command.

    Attributes:
        threads: of the CPU; 0 for every core that this process may use.
        limit: only so many images, spread over the split.
        card: the figures become `metrics.CARD` of the model's card.
    """

    model: str
    data: str
    split: str | None = None
    views: int = 1
    flip: bool = False
    threads: int = 0
    provider: str = "auto"
    limit: int | None = None
    out: Path | None = None
    card: str | None = None
    force: bool = False


def evaluate(wish: Wish) -> dict[str, Any]:
    """Scores the network and writes what was asked for.

    Raises:
        CommandError, DatasetError, EvaluationError, ModelError: the wish cannot be met.
    """
    card = find(wish.model)
    out = _outputs(wish, card)
    threads = wish.threads or cores()
    segmenter = TimedSegmenter(OnnxRuntimeNetwork(card, wish.provider, threads))
    split = wish.split or default_split(wish.data)
    dataset = open_dataset(wish.data, split, card.label_set)
    _check_camera(wish, dataset)
    samples = _spread(dataset, wish.limit, wish.data)
    done = segmentation.evaluate(segmenter, samples, wish.views, wish.flip, card.unscored)
    report = {
        **figures(done),
        "ms": float(np.median(done.network_ms)),
        "ms_p95": float(np.percentile(done.network_ms, 95)),
        "ms_total": float(np.median(done.total_ms)),
        "images": len(done.network_ms),
        "scored": len(done.classes),
        "unscored": [segmenter.labels.name_of(class_id) for class_id in card.unscored],
        "model": card.name,
        "data": wish.data,
        "split": split,
        "views": wish.views,
        "flip": wish.flip,
        "threads": threads,
        "provider": segmenter.network.provider,
        "hardware": hardware(),
        "out": out and str(out),
    }
    if out:
        _write(out, done, report, segmenter.labels)
    if wish.card:
        record_metrics(card, wish.card, card_entry(wish, report))
    return report


def figures(done: Evaluation) -> dict[str, Any]:
    """`oa`, `ma`, `miou`; by class `iou`, `accuracy` and `share` of the scored pixels, None if the truth has none."""
    pixels = done.confusion.sum(axis=1)
    share = pixels / max(pixels.sum(), 1)
    accuracy = class_accuracy(done.confusion)
    by_class = {
        key: {name: float(v) if n else None for name, v, n in zip(done.classes.names, values, pixels, strict=True)}
        for key, values in (("accuracy", accuracy), ("share", share))
    }
    return {**summary(done.confusion, done.classes.names), **by_class}


def default_split(data: str) -> str | None:
    """The part of a dataset that networks are compared on, not the one that they learn from."""
    kind, place = split_spec(data)
    if kind == "folder":
        return "val" if (Path(place).expanduser() / "val.txt").is_file() else None
    return COMPARED.get(kind)


def cores() -> int:
    """Of the processor, as many as this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def hardware() -> str:
    """Processor and cores, as "AMD EPYC 9654, 2 cores"."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        name = found[1] if found else name
    return f"{name}, {cores()} cores"


def card_entry(wish: Wish, report: Mapping[str, Any]) -> dict[str, Any]:
    """What the model's card keeps: figures, rounded, and the command that makes them again on any machine."""
    kind, place = split_spec(wish.data)
    data = wish.data if kind.startswith("embedded") else f"{kind}:DIR"
    split = report["split"] and Path(report["split"]).name
    options = [
        *(["--split", split] if split else []),
        *(["--views", str(wish.views)] if wish.views > 1 else []),
        *(["--flip"] if wish.flip else []),
        *(["--threads", str(wish.threads)] if wish.threads else []),
        *(["--provider", wish.provider] if wish.provider != "auto" else []),
    ]
    kept = {key: _rounded(report[key]) for key in ON_CARD}
    kept["hardware"] += f", {report['threads']} threads" if report["provider"] == "cpu" else f", {report['provider']}"
    return {
        "data": data,
        "split": split,
        **kept,
        "command": " ".join(["scene-understanding evaluate", report["model"], "--data", data, *options]),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def _outputs(wish: Wish, card: ModelCard) -> Path | None:
    """The folder for results, made; what cannot be written at the end is refused at the beginning."""
    if wish.card and wish.limit:
        raise CommandError("a card holds figures of a whole split; leave --limit out")
    if wish.card and not os.access(card.folder, os.W_OK):
        raise CommandError(f"{card.folder} cannot be written; --card needs a model in a folder of yours")
    if wish.out is None:
        return None
    if find_spec("matplotlib") is None:
        raise CommandError("--out draws with matplotlib: pip install 'scene_understanding[view]'")
    out = wish.out.expanduser()
    if (out / REPORT).exists() and not wish.force:
        raise CommandError(f"{out} holds an evaluation; --force overwrites it")
    (out / FAILURES).mkdir(parents=True, exist_ok=True)
    return out


def _check_camera(wish: Wish, dataset: RgbdDataset) -> None:
    """Raises CommandError where other views would be rendered with a camera that is merely assumed."""
    if wish.views == 1 or not isinstance(dataset, FolderDataset):
        return
    if dataset.camera is None and not (dataset.folder / "camera").is_dir():
        raise CommandError(f"{wish.data} has no camera.yaml; {wish.views} views need it, one view does not")


def _spread(dataset: RgbdDataset, limit: int | None, name: str) -> Iterator[RgbdSample]:
    """All samples, or so many that lie evenly in the dataset; with a progress bar."""
    count = min(limit or len(dataset), len(dataset))
    for position in tqdm(range(count), desc=name, unit="image", disable=None):
        yield dataset[position * len(dataset) // count]


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
    for old in (out / FAILURES).glob("[0-9][0-9]_*.png"):
        old.unlink()
    for rank, judged in enumerate(done.worst, start=1):
        write_judged(judged, done.classes, labels, out / FAILURES / f"{rank:02d}_{judged.sample.name}.png")


def text(report: Mapping[str, Any]) -> str:
    """For people: figures by class, their means, and times."""
    rows = [(name, *(report[key][name] for key in BY_CLASS)) for name in report["iou"]]
    split = f", {report['split']}" if report["split"] else ""
    views = f"{report['views']} views" if report["views"] > 1 else "one view"
    lines = [
        f"{report['model']} on {report['data']}{split}: {report['images']} images, {views}"
        + (", mirrored too" if report["flip"] else ""),
        table(("class", "IoU", "accuracy", "share"), rows),
        f"mean of {sum(value is not None for value in report['iou'].values())} classes: IoU {report['miou']:.3f}, "
        f"accuracy {report['ma']:.3f}; overall accuracy {report['oa']:.3f}",
        f"an image takes {report['ms']:.1f} ms in the network (p95 {report['ms_p95']:.1f}), "
        f"{report['ms_total']:.1f} ms in all; {report['provider']}, {report['threads']} threads, {report['hardware']}",
    ]
    if report["unscored"]:
        lines.insert(2, f"not scored, for lack of training pixels: {', '.join(report['unscored'])}")
    return "\n\n".join(lines) + (f"\n\nresults in {report['out']}" if report["out"] else "")
