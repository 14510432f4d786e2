"""Semantic voxel map: what labelled clouds say over time, fused, in bounded memory.

A cloud raises the occupancy of the voxels that its points fall into and lowers that of the voxels that the sensor saw
through (log odds, clamped, as OctoMap: Hornung et al., Autonomous Robots 2013), so that what moved away and ghosts
fade. Classes are fused as `class_evidence` says. Voxels lie in hashed blocks (`blocks`); those far from the robot go to
a file.

Points that fall into one voxel are one vote, with their mean weight: they are no independent witnesses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scene_understanding.geometry.point_cloud import PointCloud
from scene_understanding.geometry.pose import Pose
from scene_understanding.labels import UNLABELLED, LabelSet
from scene_understanding.mapping.blocks import SIDE, VOXELS, Blocks, Int, MapError, centres, inner_offsets
from scene_understanding.mapping.class_evidence import Evidence, confidence, fused, log_likelihood_ratio
from scene_understanding.mapping.layers import Columns, GridLayers, GridParameters
from scene_understanding.mapping.map_parameters import TENTH, MapParameters, Volume
from scene_understanding.mapping.sight import RangeImage, Sight, look
from scene_understanding.mapping.window import Window

Float = NDArray[np.float32]
HALF_DIAGONAL = 0.75**0.5
NEAR = 1.2
"""Metres around the sensor within which all that it saw through is cleared at once, if that is not more than one turn:
the robot wants to go there."""
RAYS = 2000
"""Of a cloud, along which blocks are looked for that the sensor saw through."""


class SemanticMap:
    """Voxels with occupancy and class. One thread at a time.

    Attributes:
        labels: the classes; ids: (K + 1,) uint16, the id of each class number, 0 being none.
        parameters: how clouds are taken in.
        occupied: occupancy, in tenths, from which on a voxel counts as occupied.
        blocks: the voxels; columns: the layers.
    """

    def __init__(
        self,
        labels: LabelSet,
        parameters: MapParameters | None = None,
        grid: GridParameters | None = None,
        folder: Path | None = None,
    ) -> None:
        """Args:
            folder: where the file for far blocks lies; None is the system's folder for temporary files.

        Raises:
            MapError: more classes than a voxel can tell apart.
        """
        if len(labels) > 254:
            raise MapError(f"label set {labels.name!r} has {len(labels)} classes; a map tells 254 apart")
        self.labels = labels
        self.parameters = parameters or MapParameters()
        self._folder = folder
        p = self.parameters
        levels = (p.hit, p.hit_unlabelled, p.miss, p.empty, p.full, p.occupied)
        self._hit, self._hit_unlabelled, self._miss, self._empty, self._full, self.occupied = (
            round(TENTH * value) for value in levels
        )
        self._full_unlabelled = min(self.occupied + self._hit_unlabelled, self._full)
        self.columns = Columns(labels, p.voxel, self.occupied, grid or GridParameters())
        self.blocks = Blocks(p.max_blocks, folder)
        self.ids = np.array([UNLABELLED, *labels.ids], np.uint16)
        self._number = np.zeros(max(labels.ids[-1] + 2, 257), np.uint8)
        self._number[list(labels.ids)] = np.arange(1, len(labels) + 1)
        self._weight = p.trust * log_likelihood_ratio(np.arange(256) / 255, len(labels))
        self._kept_out = np.isin(self._number, [1 + i for i, name in enumerate(labels.names) if name in p.kept_out])
        self._turn = 0

    def clear(self) -> None:
        """Forgets everything."""
        self.blocks.close()
        self.blocks = Blocks(self.parameters.max_blocks, self._folder)
        self.columns.clear()

    def restore(self, coordinates: NDArray[np.int32], fields: dict[str, NDArray], tiles: dict[str, NDArray]) -> None:
        """Blocks (N, 3) with their fields (N, VOXELS) and tiles, as a file has them, in the place of what is known."""
        self.clear()
        self.blocks.restore(coordinates, fields)
        self.columns.restore(tiles)

    def close(self) -> None:
        """Frees the file."""
        self.blocks.close()

    def integrate(
        self,
        cloud: PointCloud,
        map_from_cloud: Pose,
        ground: float = 0.0,
        people: Volume | None = None,
        max_range: float | None = None,
    ) -> None:
        """Takes in a cloud whose origin is the sensor's; points that are NaN, or 0 0 0, which some drivers write for
        nothing, say nothing; those beyond `max_range` only show what is free.

        Args:
            cloud: organised (H, W), of a camera, or (N,); label 255, or one that the label set does not have, is
                unlabelled; without `confidence` it is `unsaid`.
            ground: height of the floor under the robot, metres in the map.
            people: what is in there does not enter.
            max_range: in the place of that of the parameters.

        Raises:
            MapError: `max_blocks` are too few for what is within `max_range`.
        """
        p = self.parameters
        self._turn += 1
        reach = p.max_range if max_range is None else max_range
        sight = look(_measured(cloud), p.max_points, self._turn)
        window = Window.around(map_from_cloud.translation, p.voxel, reach)
        place = window.from_map(map_from_cloud, p.voxel)
        near = self._entering(sight, reach)
        inside = place(sight.xyz[near])
        if people is not None:
            nobody = ~people.contains(window.to_map(inside, p.voxel))
            near, inside = near[nobody], inside[:, nobody]
        hits = self._gathered(sight, near, inside, window)
        through = self._seen_through(sight, place, window, reach, map_from_cloud.translation)
        self._make_room(np.concatenate([hits.blocks, through]), map_from_cloud)
        slots = self.blocks.claim(hits.blocks)
        voxels = slots[hits.block] * VOXELS + hits.inner
        before = self.blocks.occupancy.reshape(-1)[voxels]
        self._carve(through, sight.image, map_from_cloud)
        self._raise(voxels, before, (hits.said > 0) | (self.blocks.first.reshape(-1)[voxels] > 0))
        self._vote(voxels, hits)
        self.blocks.settled[slots] = False
        self.blocks.changed[slots] = True
        self._ground(slots, ground)

    def _entering(self, sight: Sight, reach: float) -> NDArray[np.intp]:
        """Which of the points are near enough and of no class that is kept out."""
        near = np.flatnonzero(sight.distance <= reach)
        if sight.label is None or not self._kept_out.any():
            return near
        return near[~self._kept_out[np.minimum(sight.label[near], len(self._kept_out) - 1)]]

    def _gathered(self, sight: Sight, near: NDArray[np.intp], inside: Float, window: Window) -> _Hits:
        """What the points `near` (N,), at `inside` (3, N) in the window, say of each voxel that they are in."""
        block, inner, blocks = window.sorted_in(inside)
        local = block * VOXELS + inner
        count = np.bincount(local, minlength=len(blocks) * VOXELS)
        touched = np.flatnonzero(count >= self.parameters.min_points)
        at = np.zeros(len(count), np.int32)
        at[touched] = np.arange(len(touched))
        said, weight = self._said(sight, near, at[local], count[touched])
        return _Hits(blocks, touched // VOXELS, touched % VOXELS, said, weight)

    def _said(
        self, sight: Sight, near: NDArray[np.intp], voxel: NDArray[np.int32], count: NDArray[np.intp]
    ) -> tuple[NDArray[np.uint8], Float]:
        """The class number that most speaks for in each voxel, and its weight, of points that are in `voxel` (N,)."""
        total, kinds = len(count), len(self.labels) + 1
        if sight.label is None or not total:
            return np.zeros(total, np.uint8), np.zeros(total, np.float32)
        number = self._number[np.minimum(sight.label[near], len(self._number) - 1)]
        if sight.confidence is None:
            weight = np.full(len(near), self._weight[round(255 * self.parameters.unsaid)])
        else:
            level = np.nan_to_num(sight.confidence[near]).clip(0, 1) * np.float32(255) + np.float32(0.5)
            weight = self._weight[level.astype(np.uint8)]
        key = voxel * np.int32(kinds)
        key += number
        votes = np.bincount(key, weight, total * kinds).reshape(total, kinds)
        votes[:, 0] = 0
        said = votes.argmax(1)
        weight = votes[np.arange(total), said] / count
        return np.where(weight > 0, said, 0).astype(np.uint8), weight.astype(np.float32)

    def _seen_through(
        self, sight: Sight, place: Callable[[Float], Float], window: Window, reach: float, at: NDArray[np.float64]
    ) -> NDArray[np.int32]:
        """(M, 3) blocks that rays from the sensor `at` (3,) crossed and that may still hold something: those near it,
        and some of the rest, others each time."""
        p = self.parameters
        step = max(len(sight.xyz) // RAYS, 1)
        chosen = slice(self._turn % step, None, step)
        shortened = np.minimum(1, reach / np.maximum(sight.distance[chosen], np.float32(1e-6)))
        ends = place(sight.xyz[chosen] * shortened[:, None].astype(np.float32))
        start = place(np.zeros((1, 3), np.float32))
        share = np.linspace(0, 1, ceil(2 * reach / (p.voxel * SIDE)) + 1, dtype=np.float32)[:, None]
        along = start[:, None] + share * (ends - start)[:, None]
        _, _, blocks = window.sorted_in(along.reshape(3, -1))
        slots = self.blocks.find(blocks)
        blocks = blocks[(slots < 0) | ~self.blocks.settled[slots]]
        turns = max(ceil(len(blocks) / p.carved_blocks), 1)
        their_turn = np.arange(len(blocks)) % turns == self._turn % turns
        near = np.linalg.norm((blocks + 0.5) * (p.voxel * SIDE) - at, axis=1) < NEAR
        return blocks[their_turn | (near if near.sum() <= p.carved_blocks else False)]

    def _make_room(self, blocks: NDArray[np.int32], map_from_cloud: Pose) -> None:
        lacking = self.blocks.missing(blocks) - self.blocks.free
        if lacking <= 0:
            return
        p = self.parameters
        self._update_columns()
        middle = map_from_cloud.translation[:2] / (p.voxel * SIDE)
        far = self.blocks.farthest(max(lacking, p.max_blocks // 8), middle, blocks)
        if len(far) < lacking:
            raise MapError(f"max_blocks = {p.max_blocks} are too few for what is near: raise it, or lower the range")
        self.blocks.send_away(far)

    def _carve(self, blocks: NDArray[np.int32], image: RangeImage, map_from_cloud: Pose) -> None:
        """Lowers the occupancy of those voxels of blocks (M, 3) that the sensor saw through."""
        if not len(blocks):
            return
        p, slots = self.parameters, self.blocks.claim(blocks)
        cloud_from_map = map_from_cloud.inverse()
        corners = cloud_from_map.apply(blocks * (p.voxel * SIDE)).astype(np.float32)
        offsets = centres(inner_offsets(), p.voxel) @ cloud_from_map.rotation.T.astype(np.float32)
        x, y, z = (corners[:, k, None] + offsets[None, :, k] for k in range(3))
        old = self.blocks.occupancy[slots]
        new = old - image.passed(x, y, z, HALF_DIAGONAL * p.voxel, p.margin, p.slope) * np.int8(self._miss)
        np.maximum(new, self._empty, out=new, casting="unsafe")
        self.blocks.occupancy[slots] = new
        self.blocks.settled[slots] = (new <= self._empty).all(1)
        shows = ((old >= self.occupied) & (new < self.occupied)) | ((old == 0) & (new < 0))
        self.blocks.changed[slots] |= shows.any(1)

    def _raise(self, voxels: Int, before: NDArray[np.int8], labelled: NDArray[np.bool_]) -> None:
        """A voxel that was hit was not seen through, whatever the image says: its occupancy was `before`.

        `labelled` are those that have a class, or were given one."""
        hit = np.where(labelled, np.int16(self._hit), np.int16(self._hit_unlabelled))
        hit = np.where(before < 0, np.maximum(hit * self.parameters.hit_in_free, 1), hit).astype(np.int16)
        most = np.where(labelled, np.int16(self._full), np.maximum(before, np.int16(self._full_unlabelled)))
        self.blocks.occupancy.reshape(-1)[voxels] = np.minimum(before + hit, most)

    def _vote(self, voxels: Int, hits: _Hits) -> None:
        labelled = hits.said > 0
        voxels, said, weight = voxels[labelled], hits.said[labelled], hits.weight[labelled]
        fields = [getattr(self.blocks, name).reshape(-1) for name in Evidence._fields]
        old = [field[voxels] for field in fields]
        evidence = Evidence(old[0], old[1], old[2].astype(np.float32), old[3].astype(np.float32))
        for field, value in zip(fields, fused(evidence, said, weight, self.parameters.max_evidence), strict=True):
            field[voxels] = value

    def _ground(self, slots: Int, ground: float) -> None:
        columns = np.unique(self.blocks.coordinates[slots, :2], axis=0)
        self.columns.settle(columns, ground)

    def stand(self, xy: ArrayLike, radius: float, ground: float = 0.0) -> None:
        """The robot, of that radius, stands at xy (2,) on a floor at height `ground`, all in metres in the map."""
        self.columns.stand(xy, radius, ground)

    def clear_inside(self, volume: Volume) -> None:
        """Makes what is in there unknown again, but for the floor: people stand on it."""
        p = self.parameters
        spans = zip(*((corner / (p.voxel * SIDE)) for corner in (volume.low, volume.high)), strict=True)
        for low, high in spans:
            if not (low <= high).all():  # of somebody of whom nothing is known
                continue
            axes = [np.arange(int(np.floor(a)), int(np.floor(b)) + 1) for a, b in zip(low, high, strict=True)]
            around = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
            slots = self.blocks.find(around)
            around, slots = around[slots >= 0], slots[slots >= 0]
            slot, inner = np.nonzero(self.blocks.occupancy[slots] > 0)
            voxels = slots[slot] * VOXELS + inner
            on_floor = self.columns.drivable(self.blocks.first.reshape(-1)[voxels])
            middles = centres(around[slot] * SIDE + inner_offsets()[inner], p.voxel)
            gone = voxels[volume.contains(middles) & ~on_floor]
            for name in ("occupancy", *Evidence._fields):
                getattr(self.blocks, name).reshape(-1)[gone] = 0
            self.blocks.changed[np.unique(gone // VOXELS)] = True

    def layers(self, around: ArrayLike | None = None, extent: float | None = None) -> GridLayers:
        """The map from above; of it a square with edges of `extent` metres around `around` (2,) if these are given."""
        self._update_columns()
        return self.columns.layers(around, extent)

    def _update_columns(self) -> None:
        slots = self.blocks.slots
        changed = slots[self.blocks.changed[slots]]
        self.blocks.changed[changed] = False
        if len(changed):
            self.columns.update(self.blocks, np.unique(self.blocks.coordinates[changed, :2], axis=0))

    def cloud(self, min_confidence: float = 0.0, unlabelled: bool = False) -> PointCloud:
        """The occupied voxels, those in the file too: centres (N, 3), metres in the map, class colours, labels and
        confidences.

        Args:
            min_confidence: classes less sure than this are unlabelled.
            unlabelled: with those that have no class and are merely in the way.
        """
        parts = [self._points(*chunk, min_confidence, unlabelled) for chunk in self.blocks.each()]
        empty = np.zeros((0, 3), np.float32), np.zeros(0, np.uint16), np.zeros(0, np.float32)
        xyz, label, sure = (np.concatenate(column) for column in zip(empty, *parts, strict=True))
        return PointCloud(xyz, self.labels.colorize(label), label, sure)

    def _points(
        self, coordinates: NDArray[np.int32], fields: dict[str, NDArray], min_confidence: float, unlabelled: bool
    ) -> tuple[Float, NDArray[np.uint16], Float]:
        """Centres, labels and confidences of the occupied voxels of some blocks; the rest as of `cloud`."""
        block, inner = np.nonzero(fields["occupancy"] >= self.occupied)
        evidence = Evidence.of(lambda name: fields[name][block, inner])
        sure = confidence(evidence, len(self.labels))
        label = np.where(sure >= min_confidence, self.ids[evidence.first], np.uint16(UNLABELLED))
        shown = slice(None) if unlabelled else label != UNLABELLED
        xyz = centres(coordinates[block[shown]] * SIDE + inner_offsets()[inner[shown]], self.parameters.voxel)
        return xyz, label[shown], sure[shown]

    def figures(self) -> dict[str, Any]:
        """`blocks` in memory, `blocks_away` in the file, `columns`, `memory_mb` of both that is in use."""
        used = len(self.blocks) * VOXELS * 7 + self.columns.bytes
        return {"blocks": len(self.blocks), "blocks_away": self.blocks.away, "columns": len(self.columns),
                "memory_mb": round(used / 1e6, 2)}  # fmt: skip


def _measured(cloud: PointCloud) -> PointCloud:
    """The cloud with NaN in the place of 0 0 0."""
    nothing = cloud.xyz[..., 0] == 0  # of three columns one is enough, most times
    if nothing.any():
        nothing &= (cloud.xyz == 0).all(-1)
    if not nothing.any():
        return cloud
    return replace(cloud, xyz=np.where(nothing[..., None], np.float32(np.nan), cloud.xyz))


@dataclass(frozen=True, eq=False)
class _Hits:
    """What a cloud says of T voxels.

    Attributes:
        blocks: (B, 3) int32, those that the voxels are in.
        block, inner: (T,) which of them, and where in it.
        said: (T,) uint8 class number, 0 none; weight: (T,) float32.
    """

    blocks: NDArray[np.int32]
    block: NDArray[np.intp]
    inner: NDArray[np.intp]
    said: NDArray[np.uint8]
    weight: Float
