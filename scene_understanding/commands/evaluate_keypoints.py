"""`evaluate` of a network for keypoints on images of people; how many joints are where they are, and what it takes."""

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
from scene_understanding.datasets.open_people import PEOPLE, open_people
from scene_understanding.evaluation import keypoints
from scene_understanding.evaluation.keypoint_metrics import REACH, figures
from scene_understanding.evaluation.keypoint_pictures import write_people
from scene_understanding.evaluation.keypoints import Evaluation
from scene_understanding.evaluation.timing import TimedNetwork
from scene_understanding.inference.card import ModelCard

SINGLE = ("lsp:",)
"""Datasets of one person an image, of which evaluations take that for granted."""

PER_IMAGE, WORST = "per_image.csv", "worst"
OVERALL = {"oks_ap": "OKS-AP", "ap50": "AP50", "ap75": "AP75", "pck": "PCK@0.2"}
IN_SPACE = ("joint_error_m", "joint_error_p90_m", "joints_placed")
ON_CARD = ("images", "people", *OVERALL, "pck_by_joint", *IN_SPACE, "ms", "ms_p95", "ms_total", "hardware")


def evaluate(wish: Wish, card: ModelCard, out: Path | None) -> dict[str, Any]:
    """Scores the network and writes to `out`; the report.

    Raises:
        CommandError, DatasetError, EvaluationError, ModelError: the wish cannot be met.
    """
    only_for(wish, "keypoints", views=1, flip=False, passes=1)
    threads = wish.threads or cores()
    network = TimedNetwork(card, wish.provider, threads)
    split = wish.split or default_split(wish.data)
    dataset = open_people(wish.data, split, wish.people)
    single = wish.data.startswith(SINGLE)
    if single:
        only_for(wish, "keypoints on images of one person", second_look=0)
    samples = spread(dataset, wish.limit, wish.data)
    done = keypoints.evaluate(network, samples, single, second_look=wish.second_look)
    report = {
        **figures(list(done.judgements.values())),
        **times(done.network_ms, done.total_ms),
        "decoding": "one person" if single else "several people",
        "second_look": wish.second_look,
        "reach": REACH,
        **circumstances(wish, network, split, threads, out),
        "people_per_image": 1 if single else wish.people or PEOPLE,
    }
    if out:
        _write(out, done, report)
    return report


def _write(out: Path, done: Evaluation, report: Mapping[str, Any]) -> None:
    """report.json, per_image.csv, worst/."""
    worst = [{"image": judged.sample.name, **judged.judgement.summary} for judged in done.worst]
    (out / REPORT).write_text(json.dumps(plain({**report, "worst": worst}), indent=1), "utf-8")
    rows = [{"image": name, **judgement.summary} for name, judgement in done.judgements.items()]
    with open(out / PER_IMAGE, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (out / WORST).mkdir(exist_ok=True)
    for old in (out / WORST).glob("[0-9][0-9]_*.png"):
        old.unlink()
    for rank, judged in enumerate(done.worst, start=1):
        write_people(judged, out / WORST / f"{rank:02d}_{judged.sample.name}.png")


def text(report: Mapping[str, Any]) -> str:
    """For people: precision, right joints, errors in space, and times."""
    lines = [
        f"{heading(report, 'images')}, {report['people']} people, decoded as {report['decoding']}",
        table(list(OVERALL.values()), [[report[key] for key in OVERALL]]),
        "PCK by joint:\n" + table(list(report["pck_by_joint"]), [list(report["pck_by_joint"].values())]),
        time_line(report),
    ]
    if "joint_error_m" in report:
        lines.insert(
            3,
            f"joints within {report['reach']:g} m: off by {report['joint_error_m']:.3f} m (median; p90 "
            f"{report['joint_error_p90_m']:.3f}), {100 * report['joints_placed']:.0f} % of those seen have a place",
        )
    return paragraphs(lines, report)
