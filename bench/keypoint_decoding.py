"""Decoding of OpenPose maps into people: time and accuracy for 1, 10 and 50 people in an image of 456x256.

Maps are painted from random bodies, blurred and given noise, so that the truth is known. One JSON line for each number
of people and strength of the noise; times in ms on one core. Beside the public Lightweight OpenPose, with a checkout of
github.com/Daniil-Osokin/lightweight-human-pose-estimation.pytorch, and then as a table too, on standard error:
    python bench/keypoint_decoding.py [--lightweight DIR] [--images 40]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from scene_understanding.labels.keypoints import COCO18_SIGMAS
from scene_understanding.perception.keypoints import decode
from scene_understanding.perception.skeletons import Skeletons
from scene_understanding.training.keypoint_targets import STRIDE, fields, heat_maps

SIZE = (256, 456)
PEOPLE = (1, 10, 50)
NOISE = (0.0, 0.05, 0.1)
"""Standard deviation of what is added to every cell of the maps."""
BLUR = 0.5
"""Standard deviation of the blur of the maps, cells."""
MISSING = 0.1
"""Share of keypoints that nobody sees."""
UPSAMPLED = 4
"""By the demo of Lightweight OpenPose."""
RUNS = 3
"""The quickest of so many counts for an image."""

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """truth (P, 18, 2) float32, pixels, NaN where not seen; maps (19, h, w) and (38, h, w) float32 of it."""

    truth: Float32
    heat: Float32
    field: Float32


@dataclass(frozen=True)
class Found:
    """What one decoder makes of one image, in `decode_ms`, and in `prepare_ms` before."""

    people: Skeletons
    decode_ms: float
    prepare_ms: float = 0.0


Decoder = Callable[[Scene], Found]


def body(rng: np.random.Generator) -> Float32:
    """(18, 2) keypoints of somebody 1 high, in any pose, the neck at the origin; x right, y down."""
    yaw, lean = rng.uniform(-np.pi, np.pi), rng.normal(0, 0.15)
    across, ahead = np.cos(yaw), np.sin(yaw)
    at = np.zeros((18, 2))
    at[0] = 0.05 * ahead, -0.12
    for side, (shoulder, hip, eye, ear) in (-1, (2, 8, 14, 16)), (1, (5, 11, 15, 17)):
        at[eye] = at[0] + (0.025 * side * across - 0.01 * ahead, -0.02)
        at[ear] = at[0] + (0.05 * side * across - 0.05 * ahead, -0.01)
        at[shoulder] = 0.11 * side * across, 0.01
        at[hip] = 0.06 * side * across, 0.29
        arm, leg = rng.uniform(-1.5, 1.5), rng.normal(0, 0.3)
        bends = (arm, arm + rng.uniform(-2, 2), leg, leg + rng.normal(0, 0.3))
        chain = (shoulder, shoulder + 1, hip, hip + 1)
        for start, angle, length in zip(chain, bends, (0.165, 0.145, 0.245, 0.235), strict=True):
            at[start + 1] = at[start] + length * np.array([np.sin(angle), np.cos(angle)])
    turn = np.array([[np.cos(lean), np.sin(lean)], [-np.sin(lean), np.cos(lean)]])
    return (at @ turn).astype(np.float32)


def crowd(rng: np.random.Generator, people: int) -> Float32:
    """(P, 18, 2) float32: people anywhere in the image, smaller where there are many; NaN where not seen."""
    height, width = SIZE
    heights = rng.uniform(0.5, 1, people) * min(height, 550 / people**0.5)
    necks = rng.uniform((0, 0), (width - 1, 0.7 * height), (people, 2))
    at = np.stack([body(rng) for _ in range(people)]) * heights[:, None, None] + necks[:, None]
    outside = ((at < -0.5) | (at > np.array([width, height]) - 0.5)).any(-1)
    at[outside | (rng.random(outside.shape) < MISSING)] = np.nan
    return at[np.isfinite(at[..., 0]).sum(1) >= 4].astype(np.float32)


def scene(rng: np.random.Generator, people: int, noise: float) -> Scene:
    """Somebody at least, and their maps as a network might give them."""
    truth = crowd(rng, people)
    while not len(truth):
        truth = crowd(rng, people)
    size = (SIZE[0] // STRIDE, SIZE[1] // STRIDE)
    heat, field = (paint(torch.from_numpy(truth)[None], size)[0].numpy() for paint in (heat_maps, fields))
    return Scene(truth, *(_spoiled(rng, maps, noise) for maps in (heat, field)))


def _spoiled(rng: np.random.Generator, maps: Float32, noise: float) -> Float32:
    blurred = np.stack([cv2.GaussianBlur(channel, None, BLUR) for channel in maps])
    return blurred + rng.normal(0, noise, maps.shape).astype(np.float32)


def ours(scene: Scene) -> Found:
    started = time.perf_counter()
    people = decode(scene.heat, scene.field)
    return Found(people, 1e3 * (time.perf_counter() - started))


def lightweight(folder: Path) -> Decoder:
    """The decoder of a checkout of Lightweight OpenPose, called as by its own demo."""
    spec = importlib.util.spec_from_file_location("lightweight_keypoints", folder / "modules/keypoints.py")
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(scene: Scene) -> Found:
        started = time.perf_counter()
        heat, field = (
            cv2.resize(maps.transpose(1, 2, 0), None, fx=UPSAMPLED, fy=UPSAMPLED, interpolation=cv2.INTER_CUBIC)
            for maps in (scene.heat, scene.field)
        )
        upsampled = time.perf_counter()
        total, by_type = 0, []
        for k in range(18):
            total += module.extract_keypoints(heat[:, :, k], by_type, total)
        entries, keypoints = module.group_keypoints(by_type, field)
        done = time.perf_counter()
        return Found(_as_skeletons(entries, keypoints), 1e3 * (done - upsampled), 1e3 * (upsampled - started))

    return run


def _as_skeletons(entries: NDArray[Any], keypoints: NDArray[Any]) -> Skeletons:
    """Scored as by its val.py, with pixels where the maps have them."""
    entries = entries.reshape(-1, 20)
    entries = entries[np.argsort(-entries[:, 18] * (entries[:, 19] - 1), kind="stable")]
    score = entries[:, 18] * (entries[:, 19] - 1)
    index, scale = entries[:, :18].astype(int), STRIDE / UPSAMPLED
    keypoints = np.append(keypoints.reshape(-1, 4), np.full((1, 4), np.nan), 0)  # row -1: not seen
    pixels = scale * keypoints[index, :2] + (scale - 1) / 2
    return Skeletons(pixels, np.nan_to_num(keypoints[index, 2]), score)


def average_precision(truths: list[Float32], found: list[Skeletons]) -> float:
    """OKS-AP, mean over 0.50, 0.55 ... 0.95, in percent; the area is 0.53 of the box of the keypoints, as on COCO."""
    curves = []
    for threshold in np.arange(0.5, 0.951, 0.05):
        score = np.concatenate([people.score for people in found])
        hit = np.concatenate([_hits(t, p, threshold) for t, p in zip(truths, found, strict=True)])
        hit = hit[np.argsort(-score, kind="stable")]
        precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
        recall = np.cumsum(hit) / sum(map(len, truths))
        best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
        curves.append(best[np.searchsorted(recall, np.linspace(0, 1, 101))])
    return 100 * float(np.mean(curves))


def _hits(truth: Float32, people: Skeletons, threshold: float) -> NDArray[np.bool_]:
    """(N,) bool: who is the best for somebody not yet taken, the surest first."""
    similar = _oks(truth, people.pixels)
    hits = np.zeros(len(people), bool)
    for k, row in enumerate(similar):
        best = int(np.argmax(row))
        if row[best] >= threshold:
            hits[k], similar[:, best] = True, -1
    return hits


def _oks(truth: Float32, pixels: Float32) -> NDArray[np.float64]:
    """(N, P) object keypoint similarity."""
    known = np.isfinite(truth[..., 0])
    area = 0.53 * np.prod(np.nanmax(truth, 1) - np.nanmin(truth, 1), -1)
    squared = ((pixels[:, None] - truth) ** 2).sum(-1)
    close = np.exp(-squared / (2 * area[:, None] * (2 * COCO18_SIGMAS) ** 2 + 1e-9))
    return np.where(known & np.isfinite(squared), close, 0).sum(-1) / known.sum(-1)


def measure(decoder: Decoder, scenes: list[Scene]) -> dict[str, float]:
    """Median times in ms, and AP in percent, over scenes."""
    decoder(scenes[0])
    found, times = [], []
    for one in scenes:
        runs = [decoder(one) for _ in range(RUNS)]
        found.append(runs[0].people)
        times.append((min(r.decode_ms for r in runs), min(r.decode_ms + r.prepare_ms for r in runs)))
    decode_ms, whole_ms = np.median(times, 0)
    ap = average_precision([s.truth for s in scenes], found)
    return {"ms": round(decode_ms, 3), "ms_whole": round(whole_ms, 3), "ap": round(ap, 1)}


def rows(images: int, theirs: Decoder | None) -> Iterator[dict[str, Any]]:
    for noise in NOISE:
        for people in PEOPLE:
            rng = np.random.default_rng(people)
            scenes = [scene(rng, people, noise) for _ in range(images)]
            row = {"bench": "keypoint_decoding", "people": people, "noise": noise, **measure(ours, scenes)}
            if theirs is not None:
                other = measure(theirs, scenes)
                row |= {f"lightweight_{key}": value for key, value in other.items()}
                row["times_as_fast"] = round(other["ms"] / row["ms"], 1)
            yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lightweight", type=Path)
    parser.add_argument("--images", type=int, default=40)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    theirs = lightweight(options.lightweight) if options.lightweight else None
    line = "{noise:>5} {people:>6} {ms:>7} {lightweight_ms:>11} {lightweight_ms_whole:>10} {times_as_fast:>6} {ap:>6} {lightweight_ap:>11}"
    if theirs:
        print("noise people ours_ms lightweight +upsampling ratio", file=sys.stderr)
    for row in rows(options.images, theirs):
        print(json.dumps(row), flush=True)
        if theirs:
            print(line.format(**row), file=sys.stderr)


if __name__ == "__main__":
    main()
