"""How near and how fast a network for depth comes to the depth of a dataset; `docs/evaluation.md` says how."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.evaluation.depth_metrics import counted_part, depth_errors
from scene_understanding.evaluation.timing import KEPT, EvaluationError, TimedNetwork, timed
from scene_understanding.evaluation.uncertainty import Uncertainty, judge_uncertainty
from scene_understanding.perception.depth_estimator import DepthEstimate, DepthEstimator

SMALLEST, LARGEST = 1e-3, 10.0
"""Metres between which depth counts."""

PIXELS = 2000
"""Of each image, drawn at random, by which its uncertainty is judged."""


@dataclass(frozen=True, eq=False)
class Judged:
    """One image and what the network made of it; `errors` as `depth_errors` names them."""

    sample: RgbdSample
    estimate: DepthEstimate
    errors: dict[str, float]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Attributes:
    errors: of every image, by name of the image.
    network_ms, total_ms: (N,) milliseconds in the network, and with preparing and resizing.
    uncertainty: None with one pass.
    worst: the images with the largest `rel`, worst first.
    """

    errors: dict[str, dict[str, float]]
    network_ms: NDArray[np.float64]
    total_ms: NDArray[np.float64]
    uncertainty: Uncertainty | None
    worst: tuple[Judged, ...]


def evaluate(
    network: TimedNetwork,
    samples: Iterable[RgbdSample],
    passes: int = 1,
    crop: str = "",
    flip: bool = False,
    largest: float = LARGEST,
) -> Evaluation:
    """Errors of every image, at the resolution of its depth.

    Args:
        samples: with depth; reading one is not timed.
        passes: of Monte Carlo dropout.
        crop: "eigen" for the part of NYUv2's images that papers compare, "" for all of an image.
        flip: average with the depth of the mirrored image.
        largest: metres beyond which truth does not count.

    Raises:
        EvaluationError: no images, an image without depth, or none with depth in the range that counts.
    """
    estimator = DepthEstimator(network, passes)
    look = partial(mirrored_mean, estimator) if flip else lambda sample: estimator(sample.rgb, sample.camera)
    errors: dict[str, dict[str, float]] = {}
    times: list[tuple[float, float]] = []
    worst: list[Judged] = []
    pixels: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    random = np.random.default_rng(0)
    for sample in samples:
        if not np.isfinite(sample.depth).any():
            raise EvaluationError(f"image {sample.name} has no depth, so there is nothing to score against")
        estimate, milliseconds = timed(network, partial(look, sample), not times)
        times.append(milliseconds)
        part = counted_part(sample.depth.shape, crop)
        depth, truth = estimate.depth[part], sample.depth[part]
        found = errors[sample.name] = depth_errors(depth, truth, SMALLEST, largest)
        if np.isfinite(found["rel"]):
            worst = sorted([*worst, Judged(sample, estimate, found)], key=lambda j: -j.errors["rel"])[:KEPT]
        if estimate.std is not None:
            known = np.flatnonzero((truth > SMALLEST) & (truth < largest))
            drawn = random.choice(known, min(PIXELS, len(known)), replace=False)
            error = np.abs(depth.clip(SMALLEST, largest) - truth)
            pixels.append((error.ravel()[drawn], estimate.std[part].ravel()[drawn]))
    if not times:
        raise EvaluationError("the dataset has no images")
    if not worst:
        raise EvaluationError(f"no image has depth of {SMALLEST:g} to {largest:g} m, which is what counts")
    network_ms, total_ms = np.array(times).T
    uncertainty = judge_uncertainty(*map(np.concatenate, zip(*pixels, strict=True))) if pixels else None
    return Evaluation(errors, network_ms, total_ms, uncertainty, tuple(worst))


def mirrored_mean(estimator: DepthEstimator, sample: RgbdSample) -> DepthEstimate:
    """The mean of the depth of an image and of its mirrored one; deviations are averaged likewise."""
    one = estimator(sample.rgb, sample.camera)
    other = estimator(np.ascontiguousarray(sample.rgb[:, ::-1]), sample.camera.mirrored)
    half = np.float32(0.5)
    std = None if one.std is None or other.std is None else half * (one.std + other.std[:, ::-1])
    return DepthEstimate(half * (one.depth + other.depth[:, ::-1]), std)
