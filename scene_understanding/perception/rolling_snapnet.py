"""SnapNet while the robot drives: a few snapshots of the rolling cloud at a time, whose votes stay with its voxels."""

from __future__ import annotations

from itertools import islice

import numpy as np

from scene_understanding.geometry import PointCloud
from scene_understanding.perception.rolling_cloud import RollingCloud
from scene_understanding.perception.snapnet import SnapNet, SnapNetScene

FEWEST = 3
"""Points that a surface needs."""


class RollingSnapNet:
    """Looks at a rolling cloud whose classes are those of a network, z up.

    Args:
        snapnet: the network and how its snapshots are made; it must not need colour.
        weight: of a vote of a snapshot beside those of others.
        seed: of the viewpoints.
    """

    def __init__(self, snapnet: SnapNet, weight: float = 1.0, seed: int = 0) -> None:
        self.snapnet = snapnet
        self._weight = weight
        self._rng = np.random.default_rng(seed)

    def look(self, cloud: RollingCloud, snapshots: int) -> int:
        """Takes so many snapshots, aimed at voxels that have the fewest votes; returns how many voxels they showed."""
        if len(cloud) < FEWEST:
            return 0
        scene = SnapNetScene(PointCloud(cloud.xyz), self.snapnet.parameters)
        kept = scene.voxels.kept
        scene.seen += np.ceil(cloud.count[kept]).astype(np.int32)
        votes = np.zeros((len(kept), len(self.snapnet.labels)), np.float32)
        for map_from_camera in islice(scene.viewpoints(self._rng), snapshots):
            self.snapnet.look(scene, map_from_camera, votes)
        total = votes.sum(axis=1)
        shown = np.flatnonzero(total > 0)
        cloud.vote_all(kept[shown], votes[shown] / total[shown, None], self._weight)
        return len(shown)
