"""`evaluate` of a network for disparity on stereo pairs: how near to a classical matcher, and what it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scene_understanding.commands.output import plain
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
    times,
)
from scene_understanding.datasets.open import open_stereo
from scene_understanding.evaluation import stereo
from scene_understanding.evaluation.timing import TimedNetwork
from scene_understanding.inference.card import ModelCard

ON_CARD = ("images", "flip", "epe", "bad", "known", "ms", "ms_p95", "ms_total", "hardware")


def evaluate(wish: Wish, card: ModelCard, out: Path | None) -> dict[str, Any]:
    """Scores the network and writes report.json to `out`; the report.

    Raises:
        CommandError, DatasetError, ModelError: the wish cannot be met.
    """
    only_for(wish, "stereo", views=1, passes=1)
    threads = wish.threads or cores()
    network = TimedNetwork(card, wish.provider, threads)
    split = wish.split or default_split(wish.data)
    pairs = spread(open_stereo(wish.data, split), wish.limit, wish.data)
    errors, network_ms, total_ms = stereo.evaluate(network, pairs, wish.flip)
    report = {
        **errors,
        **times(network_ms, total_ms),
        "reference": "semi-global matching, its valid pixels",
        "averaging": "per image",
        **circumstances(wish, network, split, threads, out),
    }
    if out:
        (out / REPORT).write_text(json.dumps(plain(report), indent=1), "utf-8")
    return report


def text(report: Mapping[str, Any]) -> str:
    """For people: errors and times."""
    lines = [
        heading(report, "pairs") + ", mirrored too" * report["flip"],
        f"{report['epe']:.2f} px from semi-global matching on its {100 * report['known']:.0f} % of the pixels, "
        f"{100 * report['bad']:.1f} % of them off by 3 px and 5 %",
        f"an image takes {report['ms']:.1f} ms in the network (p95 {report['ms_p95']:.1f}); {report['provider']}, "
        f"{report['threads']} threads, {report['hardware']}",
    ]
    return paragraphs(lines, report)
