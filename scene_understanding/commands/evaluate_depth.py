"""`evaluate` of a network for depth on a dataset with depth; how near it comes, and what it takes."""

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
    time_line,
    times,
)
from scene_understanding.datasets.folder import check_camera
from scene_understanding.datasets.open import open_dataset, split_spec
from scene_understanding.evaluation import depth
from scene_understanding.evaluation.depth import Evaluation
from scene_understanding.evaluation.depth_metrics import ERRORS, mean_errors
from scene_understanding.evaluation.depth_pictures import write_errors, write_uncertainty
from scene_understanding.evaluation.timing import TimedNetwork
from scene_understanding.inference.card import ModelCard

CROPPED = ("nyuv2", "nyuv2_mat")
"""Kinds of datasets of which a part of each image is compared."""

PER_IMAGE, UNCERTAINTY, WORST = "per_image.csv", "uncertainty.png", "worst"
ON_CARD = (
    "images", "passes", "flip", "crop", "averaging", "largest", *ERRORS, "ause", "ause_random", "correlation", "ms",
    "ms_p95", "ms_total", "hardware",
)  # fmt: skip


def evaluate(wish: Wish, card: ModelCard, out: Path | None) -> dict[str, Any]:
    """Scores the network and writes to `out`; the report.

    Raises:
        CommandError, DatasetError, EvaluationError, ModelError: the wish cannot be met.
    """
    only_for(wish, "depth", views=1)
    threads = wish.threads or cores()
    network = TimedNetwork(card, wish.provider, threads)
    split = wish.split or default_split(wish.data)
    kind, _ = split_spec(wish.data)
    crop = "eigen" if kind in CROPPED else ""
    dataset = open_dataset(wish.data, split)
    check_camera(dataset)
    done = depth.evaluate(network, spread(dataset, wish.limit, wish.data), wish.passes, crop, wish.flip)
    report = {
        **mean_errors(list(done.errors.values())),
        **uncertainty_figures(done),
        **times(done.network_ms, done.total_ms),
        "crop": crop or "none",
        "averaging": "per image",
        "largest": depth.LARGEST,
        **circumstances(wish, network, split, threads, out),
        "passes": wish.passes,
    }
    if out:
        _write(out, done, report)
    return report


def uncertainty_figures(done: Evaluation) -> dict[str, float]:
    """`ause`, `ause_random`, `correlation` where there were several passes."""
    found = done.uncertainty
    if found is None:
        return {}
    return {"ause": found.ause, "ause_random": found.ause_random, "correlation": found.correlation}


def _write(out: Path, done: Evaluation, report: Mapping[str, Any]) -> None:
    """report.json, per_image.csv, worst/, and uncertainty.png of several passes."""
    worst = [{"image": judged.sample.name, **judged.errors} for judged in done.worst]
    (out / REPORT).write_text(json.dumps(plain({**report, "worst": worst}), indent=1), "utf-8")
    with open(out / PER_IMAGE, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", *ERRORS])
        writer.writerows([name, *(errors[key] for key in ERRORS)] for name, errors in done.errors.items())
    (out / WORST).mkdir(exist_ok=True)
    for old in (out / WORST).glob("[0-9][0-9]_*.png"):
        old.unlink()
    for rank, judged in enumerate(done.worst, start=1):
        write_errors(judged, out / WORST / f"{rank:02d}_{judged.sample.name}.png")
    if done.uncertainty is not None:
        kind, _ = split_spec(report["data"])
        title = f"{report['model']} on {kind} {report['split'] or ''}, {report['passes']} passes"
        write_uncertainty(done.uncertainty, title, out / UNCERTAINTY)


def text(report: Mapping[str, Any]) -> str:
    """For people: errors, uncertainty and times."""
    how = ", mirrored too" if report["flip"] else ""
    how += f", {report['passes']} passes of dropout" if report["passes"] > 1 else ""
    crop = "Eigen's crop" if report["crop"] == "eigen" else "whole images"
    lines = [
        heading(report, "images") + how,
        table(ERRORS, [[report[key] for key in ERRORS]]),
        f"{crop}, averaged over images, depth up to {report['largest']:g} m",
        time_line(report),
    ]
    if "ause" in report:
        lines.insert(
            3,
            f"uncertainty: area between sparsification curves {report['ause']:.3f} (of a random order "
            f"{report['ause_random']:.3f}), rank correlation with the error {report['correlation']:.2f}",
        )
    return paragraphs(lines, report)
