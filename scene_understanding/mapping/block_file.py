"""Where blocks of voxels go that are too far away to be kept in memory: records of one size in a scratch file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class BlockFile:
    """Records in a file without a name, which is gone when the process is; places of records that were read are used
    again, so that it grows with what is away at one time only.
    """

    def __init__(self, record_bytes: int, folder: Path | None = None) -> None:
        """Args:
        folder: of the file; None is the system's folder for temporary files.
        """
        self._bytes = record_bytes
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (open as long as the map)
        self._end = 0
        self._unused: list[int] = []

    def write(self, records: NDArray[np.uint8]) -> list[int]:
        """Puts records (N, record_bytes) away; the place of each.

        Raises:
            OSError: the disk is full.
        """
        places = []
        for record in records:
            place = self._unused.pop() if self._unused else self._end
            self._end = max(self._end, place + 1)
            self._file.seek(place * self._bytes)
            self._file.write(record.tobytes())
            places.append(place)
        return places

    def read(self, places: list[int]) -> NDArray[np.uint8]:
        """The records (N, record_bytes) at those places, which stay there."""
        records = np.empty((len(places), self._bytes), np.uint8)
        for record, place in zip(records, places, strict=True):
            self._file.seek(place * self._bytes)
            record[:] = np.frombuffer(self._file.read(self._bytes), np.uint8)
        return records

    def take(self, places: list[int]) -> NDArray[np.uint8]:
        """As `read`, and the places are free for others."""
        records = self.read(places)
        self._unused += places
        return records

    def close(self) -> None:
        self._file.close()
