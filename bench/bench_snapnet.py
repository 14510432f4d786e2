"""SnapNet without its network: a street of a million voxels, snapshots of 224x224, votes of 10 classes.

Prints one JSON object. Times are CPU ms on one core, the best of RUNS: `ten_views_ms`, rendering ten views and adding
their votes, for cameras where SnapNet's stand and for cameras so far off that each sees most of the street; then the
parts. `unseen` is the share of a cloud's voxels that so many views miss, chosen as SnapNet does and drawn at random as
in the paper, from 10 to 60 degrees above; the cloud is --cloud FILE, else a tenth of the street.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from scene_understanding.datasets.cloud_files import read_cloud
from scene_understanding.geometry import PointCloud, Pose, cone_viewpoints
from scene_understanding.perception.cloud_features import cloud_features
from scene_understanding.perception.snapnet import SnapNetParameters, SnapNetScene, add_votes
from scene_understanding.perception.snapshots import SplatCloud, pictures
from scene_understanding.perception.voxels import voxel_grid

RUNS, VIEWS, CLASSES, VOXELS = 5, 10, 10, 1_000_000
COUNTS = (60, 120, 240)
FAR_OFF = (60.0, 80.0, 99.0)


def street(rng: np.random.Generator, points: int, extent: float = 120.0) -> np.ndarray:
    """(points, 3) float32: ground, four rows of facades, trees."""
    ground = np.stack([*rng.uniform(0, extent, (2, points // 2)), rng.normal(0, 0.02, points // 2)], axis=1)
    row = rng.integers(0, 4, points // 4) * extent / 4 + 1
    facades = np.stack([rng.uniform(0, extent, points // 4), row, rng.uniform(0, 12, points // 4)], axis=1)
    trees = rng.uniform(0, extent, (200, 3)) * (1, 1, 0) + (0, 0, 6)
    leaves = trees[rng.integers(0, 200, points - len(ground) - len(facades))]
    return np.concatenate([ground, facades, leaves + rng.normal(0, 1.5, leaves.shape)]).astype(np.float32)


def unseen(scene: SnapNetScene, views: Iterator[Pose]) -> dict[int, float]:
    """By the number of views: the share of the voxels that none of them shows."""
    seen, shares = np.zeros(len(scene.xyz), bool), {}
    for count, pose in enumerate(islice(views, max(COUNTS)), start=1):
        shown = scene.look(pose).point
        seen[shown[shown >= 0]] = True
        if count in COUNTS:
            shares[count] = round(1 - float(seen.mean()), 3)
    return shares


def drawn(scene: SnapNetScene, rng: np.random.Generator) -> Iterator[Pose]:
    """Viewpoints of the paper: whatever the views before have shown."""
    while True:
        target = scene.xyz[rng.integers(len(scene.xyz))]
        yield from cone_viewpoints(rng, target, scene.parameters.distances, scene.parameters.elevation)


def cpu_ms(run: Callable[[], Any]) -> float:
    times = []
    for _ in range(RUNS):
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    return round(min(times) * 1e3, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cloud", help="of which `unseen` is told, any that `label` reads")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    parameters = SnapNetParameters()
    points = street(rng, 1_150_000)
    xyz = points[voxel_grid(points, parameters.voxel).kept][:VOXELS]
    assert len(xyz) == VOXELS
    splats = SplatCloud(xyz, parameters.voxel)
    scores = rng.normal(size=(CLASSES, parameters.size, parameters.size)).astype(np.float32)
    votes = np.zeros((VOXELS, CLASSES), np.float32)

    def poses(among: np.ndarray, distances: tuple[float, ...] = parameters.distances) -> list[Pose]:
        rays = [cone_viewpoints(rng, among[rng.integers(len(among))], distances) for _ in range(VIEWS)]
        return [pose for ray in rays for pose in ray][:VIEWS]

    def look(views: list[Pose]) -> None:
        for pose in views:
            add_votes(votes, splats.snapshot(parameters.camera, pose), scores)

    near, far = poses(xyz), poses(xyz, FAR_OFF)
    snapshots = [splats.snapshot(parameters.camera, pose) for pose in near]
    part = xyz[: VOXELS // 10]
    features = cloud_features(part)
    seen_cloud = PointCloud(part) if arguments.cloud is None else read_cloud(arguments.cloud)
    scene = SnapNetScene(seen_cloud, replace(parameters, elevation=(10.0, 60.0)))
    of_part = [SplatCloud(part, parameters.voxel).snapshot(parameters.camera, pose) for pose in poses(part)]
    figures: dict[str, Any] = {
        "ten_views_ms": cpu_ms(lambda: look(near)),
        "ten_views_from_far_ms": cpu_ms(lambda: look(far)),
        "ten_snapshots_ms": cpu_ms(lambda: [splats.snapshot(parameters.camera, pose) for pose in near]),
        "ten_votes_ms": cpu_ms(lambda: [add_votes(votes, snapshot, scores) for snapshot in snapshots]),
        "ten_pictures_ms": cpu_ms(lambda: [pictures(snapshot, features) for snapshot in of_part]),
        "voxel_grid_ms": cpu_ms(lambda: voxel_grid(points, parameters.voxel)),
        "splats_ms": cpu_ms(lambda: SplatCloud(xyz, parameters.voxel)),
        "features_of_a_tenth_ms": cpu_ms(lambda: cloud_features(part)),
    }
    figures["unseen"] = {
        "chosen": unseen(scene, scene.viewpoints(np.random.default_rng(0))),
        "random": unseen(scene, drawn(scene, np.random.default_rng(0))),
    }
    print(json.dumps({"bench": "snapnet", "voxels": VOXELS, "size": parameters.size, "classes": CLASSES, **figures}))


if __name__ == "__main__":
    main()
