"""`evaluate` of a network for disparity on stereo pairs: how near to a classical matcher, and what it takes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.commands.output import plain
from scene_understanding.commands.scoring import REPORT, Wish, cores, default_split, hardware, only_for, spread
from scene_understanding.datasets.open import open_stereo
from scene_understanding.evaluation.stereo import evaluate as judge, post_processed
from scene_understanding.inference.card import ModelCard
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.perception.segmenter import color_input

ON_CARD = ("images", "flip", "epe", "bad", "known", "ms", "ms_p95", "hardware")


def evaluate(wish: Wish, card: ModelCard, out: Path | None) -> dict[str, Any]:
    """Scores the network and writes report.json to `out`; the report.

    Raises:
        CommandError, DatasetError, ModelError: the wish cannot be met.
    """
    only_for(wish, "stereo", views=1, passes=1)
    threads = wish.threads or cores()
    network = OnnxRuntimeNetwork(card, wish.provider, threads)
    times: list[float] = []

    def disparity(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W) pixels."""
        color = color_input(image, card.inputs["color"])
        started = time.perf_counter()
        share = network({"color": color})["disparity"][0, 0]
        times.append(1e3 * (time.perf_counter() - started))
        height, width = image.shape[:2]
        whole = cv2.resize(share * np.float32(width), (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(whole, np.float32)

    split = wish.split or default_split(wish.data)
    pairs = open_stereo(wish.data, split)
    errors = judge(post_processed(disparity) if wish.flip else disparity, spread(pairs, wish.limit, wish.data))
    report = {
        **errors,
        "ms": float(np.median(times)),
        "ms_p95": float(np.percentile(times, 95)),
        "images": min(wish.limit or len(pairs), len(pairs)),
        "reference": "semi-global matching, its valid pixels",
        "averaging": "per image",
        "model": card.name,
        "data": wish.data,
        "split": split,
        "flip": wish.flip,
        "threads": threads,
        "provider": network.provider,
        "hardware": hardware(),
        "out": out and str(out),
    }
    if out:
        (out / REPORT).write_text(json.dumps(plain(report), indent=1), "utf-8")
    return report


def text(report: Mapping[str, Any]) -> str:
    """For people: errors and times."""
    split = f", {report['split']}" if report["split"] else ""
    lines = [
        f"{report['model']} on {report['data']}{split}: {report['images']} pairs" + ", mirrored too" * report["flip"],
        f"{report['epe']:.2f} px from semi-global matching on its {100 * report['known']:.0f} % of the pixels, "
        f"{100 * report['bad']:.1f} % of them off by 3 px and 5 %",
        f"an image takes {report['ms']:.1f} ms in the network (p95 {report['ms_p95']:.1f}); {report['provider']}, "
        f"{report['threads']} threads, {report['hardware']}",
    ]
    return "\n\n".join(lines) + (f"\n\nresults in {report['out']}" if report["out"] else "")
