"""Decoding of OpenPose maps into people: time and accuracy for 1, 10 and 50 people in an image of 456x256.

Maps are painted from random bodies, blurred and given noise, so that the truth is known. One JSON line for each number
of people and strength of the noise; times are ms of a core. Beside the public Lightweight OpenPose, with a checkout of
github.com/Daniil-Osokin/lightweight-human-pose-estimation.pytorch, and then as a table too, on standard error:
    python bench/bench_keypoints.py [--lightweight DIR] [--images 40]
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

from scene_understanding.datasets.people import PeopleSample
from scene_understanding.evaluation.keypoint_metrics import average_precision, matching
from scene_understanding.messages.memory import keep_freed_memory
from scene_understanding.perception.keypoints import decode
from scene_understanding.perception.pose_estimator import STRIDE
from scene_understanding.perception.skeletons import Skeletons
from scene_understanding.training.keypoint_targets import fields, heat_maps

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
TABLE = (
    ("noise", "noise"), ("people", "people"), ("ours ms", "ms"), ("lightweight ms", "lightweight_ms"),
    ("with enlarging", "lightweight_ms_whole"), ("times as fast", "times_as_fast"), ("ours AP", "ap"),
    ("lightweight AP", "lightweight_ap"),
)  # fmt: skip

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
    blurred = np.stack([cv2.GaussianBlur(channel, (0, 0), BLUR) for channel in maps])
    return blurred + rng.normal(0, noise, maps.shape).astype(np.float32)


def ours(scene: Scene) -> Found:
    started = time.thread_time()
    people = decode(scene.heat, scene.field)
    return Found(people, 1e3 * (time.thread_time() - started))


def lightweight(folder: Path) -> Decoder:
    """The decoder of a checkout of Lightweight OpenPose, called as by its own demo."""
    spec = importlib.util.spec_from_file_location("lightweight_keypoints", folder / "modules/keypoints.py")
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(scene: Scene) -> Found:
        started = time.thread_time()
        heat, field = (
            cv2.resize(maps.transpose(1, 2, 0), None, fx=UPSAMPLED, fy=UPSAMPLED, interpolation=cv2.INTER_CUBIC)
            for maps in (scene.heat, scene.field)
        )
        upsampled = time.thread_time()
        total = 0
        by_type: list[Any] = []
        for k in range(18):
            total += module.extract_keypoints(heat[:, :, k], by_type, total)
        entries, keypoints = module.group_keypoints(by_type, field)
        done = time.thread_time()
        return Found(_as_skeletons(entries, keypoints), 1e3 * (done - upsampled), 1e3 * (upsampled - started))

    return run


def _as_skeletons(entries: NDArray[Any], keypoints: NDArray[Any]) -> Skeletons:
    """Scored as by its val.py, with pixels where the maps have them."""
    entries = entries.reshape(-1, 20)
    score = entries[:, 18] * (entries[:, 19] - 1)
    index, scale = entries[:, :18].astype(int), STRIDE / UPSAMPLED
    keypoints = np.append(keypoints.reshape(-1, 4), np.full((1, 4), np.nan), 0)  # row -1: not seen
    pixels = scale * keypoints[index, :2] + (scale - 1) / 2
    found = pixels, np.nan_to_num(keypoints[index, 2]), score
    return Skeletons(*(values.astype(np.float32) for values in found))


def precision(scenes: list[Scene], found: list[Skeletons]) -> float:
    """OKS-AP in percent."""
    images = []
    for scene, people in zip(scenes, found, strict=True):
        seen = np.isfinite(scene.truth[..., 0])
        unknown = np.full(len(seen), np.nan, np.float32)
        sample = PeopleSample("", np.empty((*SIZE, 3), np.uint8), scene.truth, seen, unknown)
        images.append(matching(sample, people))
    return 100 * float(average_precision(images).mean())


def measure(decoder: Decoder, scenes: list[Scene]) -> dict[str, float]:
    """Median times in ms, and AP in percent, over scenes."""
    decoder(scenes[0])
    found = [decoder(scene) for scene in scenes]
    decode_ms = float(np.median([one.decode_ms for one in found]))
    whole_ms = float(np.median([one.decode_ms + one.prepare_ms for one in found]))
    ap = precision(scenes, [one.people for one in found])
    return {"ms": round(decode_ms, 2), "ms_whole": round(whole_ms, 2), "ap": round(ap, 1)}


def rows(images: int, theirs: Decoder | None) -> Iterator[dict[str, Any]]:
    decoders = [decoder for decoder in (ours, theirs) if decoder]
    for noise in NOISE:
        for people in PEOPLE:
            rng = np.random.default_rng(people)
            scenes = [scene(rng, people, noise) for _ in range(images)]
            own, *others = (measure(decoder, scenes) for decoder in decoders)
            row: dict[str, Any] = {"bench": "keypoints", "people": people, "noise": noise, **own}
            for other in others:
                row |= {f"lightweight_{key}": value for key, value in other.items()}
                row["times_as_fast"] = round(other["ms"] / own["ms"], 1)
            yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lightweight", type=Path)
    parser.add_argument("--images", type=int, default=40)
    options = parser.parse_args()
    keep_freed_memory()  # as the node does
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    theirs = lightweight(options.lightweight) if options.lightweight else None
    table = TABLE if theirs else ()
    if table:
        print(*(f"{title:>{len(title) + 2}}" for title, _ in table), sep="", file=sys.stderr)
    for row in rows(options.images, theirs):
        print(json.dumps(row), flush=True)
        if table:
            print(*(f"{row[key]:>{len(title) + 2}}" for title, key in table), sep="", file=sys.stderr)


if __name__ == "__main__":
    main()
