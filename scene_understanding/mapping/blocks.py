"""Hashed blocks of voxels (Niessner et al., "Real-time 3D Reconstruction at Scale using Voxel Hashing", SIGGRAPH Asia
2013): only what was seen takes memory, and no more than so many blocks of it; those farthest away go to a file.

A block is `SIDE`^3 voxels. It lives in a slot, a row of flat arrays that are made once: the system gives them memory
page by page as slots are used for the first time. Blocks that lie above each other, a column, go and come together.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry.cell_keys import cell_keys
from scene_understanding.mapping.block_file import BlockFile

SIDE = 8
"""Voxels along the edge of a block."""
VOXELS = SIDE**3
CENTRE = np.array([0.5, 0.5, 0.0])
"""Of a voxel, in voxels from its coordinates: a floor at height 0 lies in the middle of a layer, not between two."""
FIELDS: dict[str, type[np.generic]] = {
    "occupancy": np.int8,
    "first": np.uint8,
    "second": np.uint8,
    "first_evidence": np.float16,
    "second_evidence": np.float16,
}
"""What a voxel holds; all 0 where nothing is known. See `occupancy` and `class_evidence`."""
RECORD_BYTES = VOXELS * sum(np.dtype(kind).itemsize for kind in FIELDS.values())

Int = NDArray[np.int64]


class MapError(ValueError):
    """A map that cannot do what is asked: too small, or a file that is none. One line."""


def inner_offsets() -> NDArray[np.int32]:
    """(VOXELS, 3) int32: x, y and z within the block of each voxel; z runs fastest."""
    return np.indices((SIDE,) * 3, np.int32).reshape(3, -1).T


def centres(voxels: NDArray[np.integer], voxel: float) -> NDArray[np.float32]:
    """(..., 3) metres in the map: the middle of voxels of that size at coordinates (..., 3)."""
    return ((voxels + CENTRE) * voxel).astype(np.float32)


class Blocks:
    """Blocks by their coordinates (voxel coordinates divided by `SIDE`).

    Attributes:
        occupancy, first, second, first_evidence, second_evidence: (capacity, VOXELS), see `FIELDS`; rows are slots.
        coordinates: (capacity, 3) int32, of the block in each slot.
        changed: (capacity,) bool, set by whoever changes a block in a way that shows, reset by whoever shows it.
        settled: (capacity,) bool: all of the block is known to be empty, as surely as can be.
    """

    occupancy: NDArray[np.int8]
    first: NDArray[np.uint8]
    second: NDArray[np.uint8]
    first_evidence: NDArray[np.float16]
    second_evidence: NDArray[np.float16]

    def __init__(self, capacity: int, folder: Path | None = None) -> None:
        for name, kind in FIELDS.items():
            setattr(self, name, np.zeros((capacity, VOXELS), kind))
        self.coordinates = np.zeros((capacity, 3), np.int32)
        self.changed, self.settled = np.zeros(capacity, bool), np.zeros(capacity, bool)
        self._slots: dict[int, int] = {}
        self._free = list(range(capacity - 1, -1, -1))
        self._file, self._away = BlockFile(RECORD_BYTES, folder), _Away()

    def __len__(self) -> int:
        """Blocks in memory."""
        return len(self._slots)

    @property
    def away(self) -> int:
        """Blocks in the file."""
        return len(self._away)

    @property
    def slots(self) -> Int:
        """(N,) of the blocks in memory."""
        return np.fromiter(self._slots.values(), np.int64, len(self._slots))

    def find(self, coordinates: NDArray[np.integer]) -> Int:
        """(N,) slots of blocks (N, 3); -1 for those that are not in memory."""
        keys = pack(coordinates).tolist()
        return np.fromiter((self._slots.get(key, -1) for key in keys), np.int64, len(keys))

    def claim(self, coordinates: NDArray[np.integer]) -> Int:
        """(N,) slots of blocks (N, 3), which are fetched or made where they are not in memory.

        Raises:
            MapError: there are not so many slots; see `missing` and `make_room`.
        """
        found = self.find(coordinates)
        lacking = found < 0
        if lacking.any():
            self._fetch(coordinates[lacking])
            found = self.find(coordinates)
            new = np.flatnonzero(found < 0)
            found[new] = self._occupy(coordinates[new])
        return found

    def missing(self, coordinates: NDArray[np.integer]) -> int:
        """How many slots `claim` would take, blocks that come back with theirs included."""
        lacking = coordinates[self.find(coordinates) < 0]
        back = self._away.in_columns(lacking)
        new = len(set(pack(lacking).tolist()) - set(pack(back).tolist()))
        return new + len(back)

    @property
    def free(self) -> int:
        return len(self._free)

    def farthest(self, count: int, middle: NDArray[np.floating], kept: NDArray[np.integer]) -> Int:
        """Slots of whole columns, at least `count` of them where there are so many, farthest from `middle` (2,), in
        blocks; none of the columns of blocks `kept` (N, 3)."""
        columns = pack(self.coordinates * np.array([1, 1, 0]))
        slots = self.slots
        slots = slots[~np.isin(columns[slots], pack(kept * np.array([1, 1, 0])))]
        _, first, inverse, sizes = np.unique(columns[slots], return_index=True, return_inverse=True, return_counts=True)
        distance = np.linalg.norm(self.coordinates[slots[first], :2] + 0.5 - middle, axis=1)
        order = np.argsort(-distance)
        enough = int(np.searchsorted(np.cumsum(sizes[order]), count)) + 1
        return slots[np.isin(inverse, order[:enough])]

    def send_away(self, slots: Int) -> None:
        """Writes the blocks in these slots, whole columns, into the file."""
        coordinates = self.coordinates[slots]
        self._away.add(coordinates, self._file.write(self._packed(slots)))
        self.drop(slots)

    def drop(self, slots: Int) -> None:
        """Forgets the blocks in these slots."""
        for key, slot in zip(pack(self.coordinates[slots]).tolist(), slots.tolist(), strict=True):
            del self._slots[key]
            self._free.append(slot)

    def each(self, chunk: int = 1024) -> Iterator[tuple[NDArray[np.int32], dict[str, NDArray]]]:
        """All blocks, those in the file too, in chunks: coordinates (N, 3) and fields (N, VOXELS)."""
        slots = self.slots
        for part in (slots[i : i + chunk] for i in range(0, len(slots), chunk)):
            yield self.coordinates[part], {name: getattr(self, name)[part] for name in FIELDS}
        coordinates, places = self._away.everything()
        for i in range(0, len(places), chunk):
            records = self._file.read(places[i : i + chunk])
            yield coordinates[i : i + chunk], _unpacked(records)

    def restore(self, coordinates: NDArray[np.int32], fields: dict[str, NDArray]) -> None:
        """Takes in blocks (N, 3) with their fields (N, VOXELS), none of which it has: into memory until an eighth of it
        is left, then into the file."""
        order = np.lexsort(coordinates.T[::-1])  # columns together
        first = np.flatnonzero((np.diff(coordinates[order, :2], axis=0) != 0).any(1)) + 1
        room = len(self._free) - len(self.coordinates) // 8
        fitting = first[first <= room]
        split = len(order) if len(order) <= room else int(fitting[-1]) if len(fitting) else 0
        for name, values in fields.items():
            if values.shape != (len(order), VOXELS):
                raise MapError(
                    f"{name} of {len(order)} blocks has shape {values.shape}; expected ({len(order)}, {VOXELS})"
                )
        slots = self._occupy(coordinates[order[:split]])
        for name in FIELDS:
            getattr(self, name)[slots] = fields[name][order[:split]]
        self.changed[slots] = True
        for i in range(split, len(order), 1024):
            part = order[i : i + 1024]
            records = _records([np.ascontiguousarray(fields[name][part], kind) for name, kind in FIELDS.items()])
            self._away.add(coordinates[part], self._file.write(records))

    def close(self) -> None:
        """Removes the file."""
        self._file.close()

    def _fetch(self, coordinates: NDArray[np.integer]) -> None:
        """Brings the columns of blocks (N, 3) back, where they are away."""
        back, places = self._away.take_columns(coordinates)
        if len(places):
            slots = self._occupy(back)
            for name, values in _unpacked(self._file.take(places)).items():
                getattr(self, name)[slots] = values

    def _occupy(self, coordinates: NDArray[np.integer]) -> Int:
        """Slots for new blocks (N, 3), empty."""
        if len(coordinates) > len(self._free):
            raise MapError(f"{len(coordinates)} more blocks do not fit beside {len(self)} of {len(self.coordinates)}")
        slots = np.array([self._free.pop() for _ in range(len(coordinates))], np.int64)
        self._slots.update(zip(pack(coordinates).tolist(), slots.tolist(), strict=True))
        self.coordinates[slots] = coordinates
        self.changed[slots] = self.settled[slots] = False
        for name in FIELDS:
            getattr(self, name)[slots] = 0
        return slots

    def _packed(self, slots: Int) -> NDArray[np.uint8]:
        return _records([getattr(self, name)[slots] for name in FIELDS])


def _records(fields: list[NDArray]) -> NDArray[np.uint8]:
    """(N, RECORD_BYTES) of the fields (N, VOXELS), in the order of `FIELDS`."""
    return np.concatenate(
        [values.view(np.uint8).reshape(len(values), VOXELS * values.itemsize) for values in fields], axis=1
    )


def _unpacked(records: NDArray[np.uint8]) -> dict[str, NDArray]:
    fields, start = {}, 0
    for name, kind in FIELDS.items():
        size = VOXELS * np.dtype(kind).itemsize
        fields[name] = np.ascontiguousarray(records[:, start : start + size]).view(kind)
        start += size
    return fields


def pack(coordinates: NDArray[np.integer]) -> Int:
    """(N,) int64: one number for the coordinates (N, 3) of a block.

    Raises:
        MapError: more than 2^20 blocks from the map's origin.
    """
    try:
        return cell_keys(coordinates)
    except OverflowError as error:
        farthest = coordinates[np.abs(coordinates).max(1).argmax()].tolist()
        raise MapError(f"a block at {farthest} is too far away") from error


class _Away:
    """Which blocks are in the file and where, by column."""

    def __init__(self) -> None:
        self._columns: dict[tuple[int, int], dict[int, int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, coordinates: NDArray[np.integer], places: list[int]) -> None:
        for (x, y, z), place in zip(coordinates.tolist(), places, strict=True):
            self._columns.setdefault((x, y), {})[z] = place
        self._count += len(places)

    def in_columns(self, coordinates: NDArray[np.integer]) -> NDArray[np.int32]:
        """(M, 3) the blocks that are away in the columns of blocks (N, 3)."""
        wanted = {(x, y) for x, y, _ in coordinates.tolist()} & self._columns.keys()
        return np.array([(*xy, z) for xy in sorted(wanted) for z in self._columns[xy]], np.int32).reshape(-1, 3)

    def take_columns(self, coordinates: NDArray[np.integer]) -> tuple[NDArray[np.int32], list[int]]:
        """As `in_columns`, with their places; they are no longer away."""
        back = self.in_columns(coordinates)
        places = [self._columns[x, y][z] for x, y, z in back.tolist()]
        for x, y in {(x, y) for x, y, _ in back.tolist()}:
            del self._columns[x, y]
        self._count -= len(places)
        return back, places

    def everything(self) -> tuple[NDArray[np.int32], list[int]]:
        pairs = [((*xy, z), place) for xy, column in self._columns.items() for z, place in column.items()]
        coordinates = np.array([at for at, _ in pairs], np.int32).reshape(-1, 3)
        return coordinates, [place for _, place in pairs]
