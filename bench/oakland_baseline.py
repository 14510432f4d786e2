"""The baseline beside SnapNet on Oakland 3-D: hand-made features of each point's surroundings and a random forest.

    python bench/oakland_baseline.py --data oakland3d:DIR [--split val] [--trees 100]

Features are those of Thomas et al., 3DV 2018 (section 3): eigenvalues and eigenvectors of the covariance of spherical
neighbourhoods, of four radii, each in the cloud thinned to a fifth of the radius; and heights over the ground. The
forest learns from the tiles of `fit`. How much the classes weigh is chosen on the last three of these tiles with a
forest that learnt from the other seven; the tiles that are scored have no part in it. Prints one JSON object: oa, ma,
miou, iou by class, points_per_s of features and forest together. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter
from scipy.spatial import cKDTree
from sklearn.ensemble import RandomForestClassifier
from tqdm import tqdm

from scene_understanding.commands.scoring import cores, hardware
from scene_understanding.datasets.labelled_clouds import LabelledCloud
from scene_understanding.datasets.open_clouds import open_clouds
from scene_understanding.evaluation.segmentation_metrics import confusion_matrix, summary
from scene_understanding.labels import UNLABELLED

Float = NDArray[np.floating[Any]]
Tile = tuple[Float, NDArray[np.uint16]]
"""Features and classes of points."""

RADII = (0.25, 0.5, 1.0, 2.0)
"""Metres."""
NEIGHBOURS = 48
"""At most, of the thinned cloud: a plane has 78 of them in the sphere."""
GROUND_CELL, GROUND_REACH = 0.5, 4.0
"""Metres: the ground is the lowest point of the cells within this reach."""
PER_CLASS = 5_000
"""Training points of a class in a tile, at most, drawn evenly."""
WEIGHTS: tuple[str | None, ...] = (None, "balanced", "balanced_subsample")
HELD_OUT = 3
"""Tiles of the training list, its last ones, on which the weights are chosen."""


def features(xyz: Float) -> NDArray[np.float32]:
    """(N, 46) of points (N, 3) metres, z up."""
    xyz = xyz.astype(np.float64) - xyz.mean(axis=0)
    return np.column_stack([*(_of_scale(xyz, radius) for radius in RADII), _heights(xyz)]).astype(np.float32)


def _of_scale(xyz: Float, radius: float) -> Float:
    """(N, 11): shape of the eigenvalues, directions of the eigenvectors, position in the sphere, number of points."""
    thin = _thinned(xyz, radius / 5)
    distance, index = cKDTree(thin).query(xyz, NEIGHBOURS, distance_upper_bound=radius)
    inside = np.isfinite(distance)
    count = np.maximum(inside.sum(axis=1), 1)
    offsets = np.where(inside[..., None], thin[np.minimum(index, len(thin) - 1)] - xyz[:, None], 0.0) / radius
    mean = offsets.sum(axis=1) / count[:, None]
    covariance = np.einsum("nki,nkj->nij", offsets, offsets) / count[:, None, None] - mean[:, :, None] * mean[:, None]
    values, vectors = np.linalg.eigh(covariance)
    low, middle, high = np.maximum(values, 1e-9).T
    shares = np.stack([low, middle, high]) / (low + middle + high)
    return np.column_stack([
        (high - middle) / high, (middle - low) / high, low / high, shares[0],
        np.cbrt(low * middle * high), -(shares * np.log(shares)).sum(axis=0),
        np.abs(vectors[:, 2, 0]), np.abs(vectors[:, 2, 2]), mean[:, 2], np.sqrt(np.maximum(covariance[:, 2, 2], 0)),
        count,
    ])  # fmt: skip


def _heights(xyz: Float) -> Float:
    """(N, 2): over the lowest point nearby, and below the highest of the own cell."""
    cell = np.floor((xyz[:, :2] - xyz[:, :2].min(axis=0)) / GROUND_CELL).astype(int)
    lowest, highest = np.full(cell.max(axis=0) + 1, np.inf), np.full(cell.max(axis=0) + 1, -np.inf)
    np.minimum.at(lowest, tuple(cell.T), xyz[:, 2])
    np.maximum.at(highest, tuple(cell.T), xyz[:, 2])
    ground = minimum_filter(lowest, 2 * round(GROUND_REACH / GROUND_CELL) + 1, mode="nearest")
    return np.column_stack([xyz[:, 2] - ground[tuple(cell.T)], highest[tuple(cell.T)] - xyz[:, 2]])


def _thinned(xyz: Float, cell: float) -> Float:
    """The mean point of each cell."""
    _, inverse = np.unique(np.floor(xyz / cell).astype(np.int64), axis=0, return_inverse=True)
    inverse = inverse.ravel()
    sums = np.column_stack([np.bincount(inverse, axis) for axis in xyz.T])
    return sums / np.bincount(inverse)[:, None]


def training_points(tiles: list[Tile]) -> Tile:
    """Features and classes of labelled points, at most `PER_CLASS` of each class and tile."""
    rng = np.random.default_rng(0)
    chosen = []
    for _, label in tiles:
        groups = (np.flatnonzero(label == c) for c in np.unique(label[label != UNLABELLED]))
        chosen.append(np.concatenate([rng.permutation(group)[:PER_CLASS] for group in groups]))
    return tuple(  # type: ignore[return-value]
        np.concatenate([tile[part][index] for tile, index in zip(tiles, chosen, strict=True)]) for part in (0, 1)
    )


def forest(tiles: list[Tile], weights: str | None, trees: int) -> RandomForestClassifier:
    """A forest that learnt the tiles."""
    model = RandomForestClassifier(trees, min_samples_leaf=3, class_weight=weights, n_jobs=cores(), random_state=0)
    return model.fit(*training_points(tiles))


def confusion(model: RandomForestClassifier, tiles: list[Tile], classes: int) -> NDArray[np.int64]:
    """Of all labelled points of the tiles."""
    return np.sum([confusion_matrix(label, model.predict(found), classes) for found, label in tiles], axis=0)


def described(sample: LabelledCloud) -> Tile:
    """Features and labels of a tile."""
    return features(sample.cloud.xyz), sample.label


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="oakland3d:DIR")
    parser.add_argument("--split", default="val", help="to score, by name or path of a list")
    parser.add_argument("--trees", type=int, default=100)
    options = parser.parse_args()
    fit, scored = open_clouds(options.data, "fit"), open_clouds(options.data, options.split)
    names = fit.labels.names
    tiles = [described(fit[i]) for i in tqdm(range(len(fit)), "features")]
    chosen = {}
    for weights in tqdm(WEIGHTS, "class weights"):
        model = forest(tiles[:-HELD_OUT], weights, options.trees)
        chosen[weights] = summary(confusion(model, tiles[-HELD_OUT:], len(names)), names)["miou"]
    best = max(chosen, key=lambda weights: chosen[weights])
    model = forest(tiles, best, options.trees)
    total, seconds, points = np.zeros((len(names), len(names) + 1), np.int64), 0.0, 0
    for i in range(len(scored)):
        sample = scored[i]
        started = time.perf_counter()
        tile = described(sample)
        total += confusion(model, [tile], len(names))
        seconds, points = seconds + time.perf_counter() - started, points + len(sample.label)
    report = {
        "bench": "oakland_baseline", "split": options.split, **summary(total, names), "points_per_s": points / seconds,
        "class_weight": best, "held_out_miou": {str(key): value for key, value in chosen.items()},
        "trees": options.trees, "hardware": hardware(),
    }  # fmt: skip
    print(json.dumps(report))


if __name__ == "__main__":
    main()
