"""The surface around a robot out of its last scans, thinned to voxels, and what classes its points were taken for.

What was not measured again for some time is forgotten, which takes the trails of people away too, and so is what the
robot left behind: the memory stays bounded however long the robot drives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from scene_understanding.geometry.cell_keys import KEY_REACH, cell_keys

NEIGHBOURS, NEAREST = 4, 0.03
"""Voxels that are asked for a point's class, each with a weight of 1 / (distance + `NEAREST` metres)."""


@dataclass(frozen=True)
class RollingCloudParameters:
    """What is kept.

    Attributes:
        voxel: side of the voxels, metres; one point is kept of each.
        seconds: what was not measured for longer is forgotten.
        radius: what is further from the sensor is forgotten, metres.
        max_points: beyond so many points those go that were measured longest ago; of a scan that has more by itself the
            nearest are taken.
        max_votes: beyond so many the votes of a voxel weigh less, so that newer ones can change its class.
    """

    voxel: float = 0.1
    seconds: float = 10.0
    radius: float = 15.0
    max_points: int = 150_000
    max_votes: float = 20.0


class RollingCloud:
    """Points in a frame that does not move, and votes for the classes 0 to K - 1 of each.

    Attributes:
        parameters: what is kept.
        xyz: (V, 3) float32, metres: the newest point of each voxel.
        votes: (V, K) float32: sum of the probabilities that were given to each class.
        count: (V,) float32: how many votes that were; less once they weigh less.
    """

    def __init__(self, classes: int, parameters: RollingCloudParameters = RollingCloudParameters()) -> None:
        self.parameters = parameters
        self._classes = classes
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self._keys = np.empty(0, np.int64)  # ascending, and so is everything else
        self._seen_ns = np.empty(0, np.int64)
        self.xyz = np.empty((0, 3), np.float32)
        self.votes = np.empty((0, self._classes), np.float32)
        self.count = np.empty(0, np.float32)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, xyz: NDArray[np.floating], stamp_ns: int, center: ArrayLike) -> NDArray[np.intp]:
        """Takes in a scan, finite points (N, 3), measured from `center` (3,); forgets what is old or far.

        Returns:
            (N,) the voxel of each point, an index into `xyz`; -1 where it is beyond the radius, or too much.

        Raises:
            ValueError: a point too far from the origin of the frame to number its voxel; all is as it was.
        """
        center = np.asarray(center, np.float32)
        near = np.flatnonzero(self._within(xyz, center))
        keys = self._keys_of(xyz[near])
        coming, last = np.unique(keys[::-1], return_index=True)  # of several points in a voxel the last one
        newest = xyz[near][::-1][last]
        if len(coming) > self.parameters.max_points:
            nearest = np.argsort(_squared_distance(newest, center))[: self.parameters.max_points]
            nearest.sort()
            coming, newest = coming[nearest], newest[nearest]
            taken = np.isin(keys, coming)
            near, keys = near[taken], keys[taken]
        self._forget(stamp_ns, center, coming)
        self._make_room(coming)
        at = np.searchsorted(self._keys, coming)
        self.xyz[at] = newest
        self._seen_ns[at] = stamp_ns
        voxel = np.full(len(xyz), -1, np.intp)
        voxel[near] = np.searchsorted(self._keys, keys)
        return voxel

    def vote(self, voxel: NDArray[np.intp], column: NDArray[np.integer], probability: NDArray[np.floating]) -> None:
        """One vote each, (M,), for classes `column`, with how probable they are, at voxels as `add` gave them."""
        np.add.at(self.votes, (voxel, column), probability.astype(np.float32))
        self._count(voxel, 1.0)

    def vote_all(self, voxel: NDArray[np.intp], probability: NDArray[np.floating], weight: float = 1.0) -> None:
        """So much of a vote each, at voxels (M,): how probable every class is, (M, K)."""
        np.add.at(self.votes, voxel, (weight * probability).astype(np.float32))
        self._count(voxel, weight)

    def recall(self, xyz: NDArray[np.floating], reach: float) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """What points (N, 3) are, as the nearest voxels with votes say.

        Returns:
            The class (N,), -1 where there is no such voxel within `reach` metres; and its confidence (N,), the mean
            probability that the votes gave to it.
        """
        column, confidence = np.full(len(xyz), -1, np.intp), np.zeros(len(xyz), np.float32)
        voted = np.flatnonzero(self.count)
        if not len(voted) or not len(xyz):
            return column, confidence
        tree = cKDTree(self.xyz[voted], balanced_tree=False, compact_nodes=False)
        distance, nearest = tree.query(xyz, NEIGHBOURS, distance_upper_bound=reach)
        found = np.isfinite(distance[:, 0])
        weight = (1 / (distance[found] + NEAREST)).astype(np.float32)  # 0 where there is none: its distance is inf
        voxel = np.append(voted, 0)[nearest[found]]
        votes = np.einsum("nk,nkc->nc", weight, self.votes[voxel])
        count = np.einsum("nk,nk->n", weight, self.count[voxel])
        best = votes.argmax(1)
        column[found] = best
        confidence[found] = votes[np.arange(len(best)), best] / count
        return column, confidence

    def _within(self, xyz: NDArray[np.floating], center: NDArray[np.float32]) -> NDArray[np.bool_]:
        return _squared_distance(xyz, center) <= self.parameters.radius**2

    def _keys_of(self, xyz: NDArray[np.floating]) -> NDArray[np.int64]:
        """(N,) one number for each voxel."""
        voxel = self.parameters.voxel
        try:
            return cell_keys(np.floor(xyz / voxel).astype(np.int64))
        except OverflowError as error:
            raise ValueError(
                f"points lie {np.abs(xyz).max():.0f} m from the origin, voxels of {voxel:g} m reach "
                f"{KEY_REACH * voxel:.0f} m; choose a fixed_frame near the robot"
            ) from error

    def _forget(self, stamp_ns: int, center: NDArray[np.float32], coming: NDArray[np.int64]) -> None:
        """Drops what is old or far, and the oldest where there would be too many with those that come."""
        kept = self._within(self.xyz, center) & (stamp_ns - self._seen_ns <= self.parameters.seconds * 1e9)
        again = kept & np.isin(self._keys, coming, assume_unique=True)
        surplus = int(kept.sum()) + len(coming) - int(again.sum()) - self.parameters.max_points
        if surplus > 0:
            candidates = np.flatnonzero(kept & ~again)
            oldest = np.argsort(self._seen_ns[candidates], kind="stable")[:surplus]
            kept[candidates[oldest]] = False
        self._rearrange(np.flatnonzero(kept))

    def _make_room(self, keys: NDArray[np.int64]) -> None:
        """Voxels for those of `keys`, ascending, that have none."""
        at = np.searchsorted(self._keys, keys)
        there = at < len(self._keys)
        there[there] = self._keys[at[there]] == keys[there]
        missing = keys[~there]
        order = np.argsort(np.concatenate([self._keys, missing]), kind="stable")
        self._keys = np.concatenate([self._keys, missing])
        self._seen_ns = np.concatenate([self._seen_ns, np.zeros(len(missing), np.int64)])
        self.xyz = np.concatenate([self.xyz, np.zeros((len(missing), 3), np.float32)])
        self.votes = np.concatenate([self.votes, np.zeros((len(missing), self._classes), np.float32)])
        self.count = np.concatenate([self.count, np.zeros(len(missing), np.float32)])
        self._rearrange(order)

    def _rearrange(self, index: NDArray[np.intp]) -> None:
        self._keys, self._seen_ns = self._keys[index], self._seen_ns[index]
        self.xyz, self.votes, self.count = self.xyz[index], self.votes[index], self.count[index]

    def _count(self, voxel: NDArray[np.intp], weight: float) -> None:
        """Counts the votes that were given at voxels (M,)."""
        np.add.at(self.count, voxel, np.float32(weight))
        many = np.unique(voxel[self.count[voxel] > self.parameters.max_votes])
        self.votes[many] *= (self.parameters.max_votes / self.count[many])[:, None]
        self.count[many] = self.parameters.max_votes


def _squared_distance(xyz: NDArray[np.floating], center: NDArray[np.float32]) -> NDArray[np.floating]:
    return ((xyz - center) ** 2).sum(1)
