"""What has changed between two maps of one place: what appeared, what vanished, what is something else now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry.point_cloud import PointCloud
from scene_understanding.mapping.blocks import FIELDS, SIDE, VOXELS, MapError, centres, inner_offsets, pack
from scene_understanding.mapping.class_evidence import Evidence, confidence
from scene_understanding.mapping.voxel_map import SemanticMap


@dataclass(frozen=True, eq=False)
class Change:
    """Centres of voxels (N, 3), metres in the map, with class colours, labels and confidences.

    Attributes:
        appeared: occupied after, seen to be free before; as they are after.
        vanished: occupied before, seen to be free after; as they were before.
        relabelled: occupied in both with classes that differ; as they are after.
        was: (N,) uint16, the classes before of the relabelled ones.
    """

    appeared: PointCloud
    vanished: PointCloud
    relabelled: PointCloud
    was: NDArray[np.uint16]


def change(before: SemanticMap, after: SemanticMap, min_confidence: float = 0.5, near: int = 1) -> Change:
    """The change from one map to another of the same frame. What only one of them has seen is no change.

    Args:
        min_confidence: both classes must be as sure as this to differ.
        near: a voxel only appeared or vanished if the other map has none that is occupied within so many voxels of it:
            surfaces that lie a little differently are no change.

    Raises:
        MapError: voxels of different size, or classes of different names.
    """
    if before.parameters.voxel != after.parameters.voxel:
        raise MapError(
            f"maps have voxels of {before.parameters.voxel} and {after.parameters.voxel} m; expected the same"
        )
    if not before.labels.same_classes(after.labels):
        raise MapError(f"maps have the classes of {before.labels.name!r} and {after.labels.name!r}; expected the same")
    old, new = _common_blocks(before, after)
    was_there, is_there = old.occupancy >= before.occupied, new.occupancy >= after.occupied
    appeared = np.argwhere(is_there & (old.occupancy < 0))
    vanished = np.argwhere(was_there & (new.occupancy < 0))
    appeared = appeared[~_beside(new.voxels(appeared), old.voxels(np.argwhere(was_there)), near)]
    vanished = vanished[~_beside(old.voxels(vanished), new.voxels(np.argwhere(is_there)), near)]
    both = np.argwhere(was_there & is_there & (old.evidence.first != new.evidence.first))
    sure = np.minimum(old.confidence(both), new.confidence(both))
    both = both[(sure >= min_confidence) & (sure > 0)]
    was = old.cloud(both).label
    assert was is not None
    return Change(new.cloud(appeared), old.cloud(vanished), new.cloud(both), was)


@dataclass(frozen=True, eq=False)
class _Part:
    """Some blocks of a map: coordinates (B, 3), occupancy (B, VOXELS), evidence of arrays (B, VOXELS)."""

    of: SemanticMap
    coordinates: NDArray[np.int32]
    occupancy: NDArray[np.int8]
    evidence: Evidence

    def voxels(self, at: NDArray[np.intp]) -> NDArray[np.int64]:
        """(N, 3) coordinates of voxels at (N, 2) block and place within it."""
        return self.coordinates[at[:, 0]].astype(np.int64) * SIDE + inner_offsets()[at[:, 1]]

    def confidence(self, at: NDArray[np.intp]) -> NDArray[np.float32]:
        """(N,) of the classes of voxels at (N, 2)."""
        return confidence(
            Evidence.of(lambda name: getattr(self.evidence, name)[at[:, 0], at[:, 1]]), len(self.of.labels)
        )

    def cloud(self, at: NDArray[np.intp]) -> PointCloud:
        """Of voxels at (N, 2)."""
        xyz = centres(self.voxels(at), self.of.parameters.voxel)
        label = self.of.ids[self.evidence.first[at[:, 0], at[:, 1]]]
        return PointCloud(xyz, self.of.labels.colorize(label), label, self.confidence(at))


def _common_blocks(a: SemanticMap, b: SemanticMap) -> tuple[_Part, _Part]:
    """The blocks that both have, in one order."""
    _, in_a, in_b = np.intersect1d(_keys(a), _keys(b), assume_unique=True, return_indices=True)
    return _part(a, in_a), _part(b, in_b)


def _keys(whole: SemanticMap) -> NDArray[np.int64]:
    """Of all blocks, in the order of `Blocks.each`."""
    return np.concatenate([np.zeros(0, np.int64), *(pack(at) for at, _ in whole.blocks.each())])


def _part(whole: SemanticMap, rows: NDArray[np.intp]) -> _Part:
    chunks = list(whole.blocks.each())
    coordinates = np.concatenate([np.zeros((0, 3), np.int32), *(at for at, _ in chunks)])[rows]
    fields = {
        name: np.concatenate([np.zeros((0, VOXELS), kind), *(fields[name] for _, fields in chunks)])[rows]
        for name, kind in FIELDS.items()
    }
    return _Part(whole, coordinates, fields["occupancy"], Evidence.of(fields.__getitem__))


def _beside(voxels: NDArray[np.int64], others: NDArray[np.int64], near: int) -> NDArray[np.bool_]:
    """(N,) whether any of other voxels (M, 3) is within `near` of each voxel (N, 3), along every axis."""
    found = np.zeros(len(voxels), bool)
    there = pack(others)
    for offset in np.ndindex((2 * near + 1,) * 3):
        found |= np.isin(pack(voxels + np.array(offset) - near), there)
    return found
