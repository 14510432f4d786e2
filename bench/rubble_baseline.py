"""The baseline beside SnapNet on the rubble world: features of each point's surroundings, its colour, and a forest.

    python bench/rubble_baseline.py [--train 2000-2007] [--test 2050-2059] [--trees 60] [--out map.png]

Features are those of `perception.cloud_features` in clouds of one point a voxel, with neighbourhoods of 10 and of 60
voxels. Prints one JSON object: precision and recall of cells of rubble, oa, ma, miou of points, demolition_mae; the
picture is that of `scene-understanding demolition`. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from scene_understanding.commands.demolition_picture import from_above, map_image, picture
from scene_understanding.commands.output import plain
from scene_understanding.commands.scoring import cores, hardware
from scene_understanding.datasets.open import parse_seeds
from scene_understanding.datasets.rubble import Rubble
from scene_understanding.evaluation.segmentation_metrics import confusion_matrix, summary
from scene_understanding.geometry import PointCloud
from scene_understanding.mapping.demolition import RubbleScore, class_probabilities, demolition_map, rubble_score
from scene_understanding.perception.cloud_features import cloud_features
from scene_understanding.perception.voxels import voxel_grid

VOXEL, NEIGHBOURS, PER_CLASS = 0.25, (10, 60), 8000
"""Metres; voxels of a neighbourhood; training points of a class in a cloud, at most."""


def features(cloud: PointCloud, kept: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """(M, 14) of the kept points."""
    xyz, columns = cloud.xyz[kept], []
    for neighbours in NEIGHBOURS:
        f = cloud_features(xyz, neighbours, threads=cores())
        columns += [f.verticality, f.noise, f.linearity, f.planarity, f.spacing]
    assert cloud.rgb is not None
    return np.column_stack([*columns, f.height, cloud.rgb[kept]]).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", default="2000-2007", help="seeds")
    parser.add_argument("--test", default="2050-2059", help="seeds")
    parser.add_argument("--trees", type=int, default=60)
    parser.add_argument("--out", type=Path, help="the picture")
    options = parser.parse_args()
    rng, described, labels = np.random.default_rng(0), [], Rubble([0]).labels
    dataset = Rubble(parse_seeds(options.train))
    for i in range(len(dataset)):
        sample = dataset[i]
        kept = voxel_grid(sample.cloud.xyz, VOXEL).kept
        label = sample.label[kept]
        chosen = np.concatenate([rng.permutation(np.flatnonzero(label == c))[:PER_CLASS] for c in labels.ids])
        described.append((features(sample.cloud, kept)[chosen], label[chosen]))
    forest = RandomForestClassifier(options.trees, min_samples_leaf=5, n_jobs=cores(), random_state=0)
    forest.fit(*(np.concatenate(part) for part in zip(*described, strict=True)))
    score, confusion, rows = RubbleScore(), np.zeros((len(labels), len(labels) + 1), np.int64), []
    tested = Rubble(parse_seeds(options.test))
    for i in range(len(tested)):
        sample = tested[i]
        voxels = voxel_grid(sample.cloud.xyz, VOXEL)
        probability = forest.predict_proba(features(sample.cloud, voxels.kept))[voxels.voxel_of_point]
        label = probability.argmax(axis=1).astype(np.uint16)
        found = replace(sample.cloud, label=label, confidence=probability.max(axis=1).astype(np.float32))
        estimate, truth = (
            demolition_map(c.xyz, class_probabilities(c, labels), labels) for c in (found, sample.cloud)
        )  # fmt: skip
        score += rubble_score(estimate, truth, labels)
        confusion += confusion_matrix(sample.label, label, len(labels))
        rows.append((sample.name, {
            "true classes": from_above(found, labels.colorize(sample.label)),
            "classes found": from_above(found, labels.colorize(label)), "demolition": map_image(estimate),
        }))  # fmt: skip
    if options.out:
        cv2.imwrite(str(options.out), cv2.cvtColor(picture(rows, labels), cv2.COLOR_RGB2BGR))
    report = {
        "bench": "rubble_baseline", "train": options.train, "test": options.test, "precision": score.precision,
        "recall": score.recall, "demolition_mae": score.mae, **summary(confusion, labels.names),
        "trees": options.trees, "hardware": hardware(),
    }  # fmt: skip
    print(json.dumps(plain(report)))


if __name__ == "__main__":
    main()
