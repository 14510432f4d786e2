"""Maps on disk: a `.npz` that holds all of a map.

It is written beside its place and put there when it is complete, so that a process that dies leaves the old file as it
was.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from scene_understanding.labels import LabelSet
from scene_understanding.mapping.blocks import FIELDS, VOXELS, MapError
from scene_understanding.mapping.layers import TILES, GridParameters
from scene_understanding.mapping.voxel_map import MapParameters, SemanticMap

FORMAT, VERSION = "scene_understanding semantic map", 2
_COLUMN = "column_"
_NO_MAP = "it is no semantic map (.npz of ~/save or of `demo`)"
_OF_VOXELS = ("voxel", "hit", "miss", "empty", "full", "occupied")
"""Parameters without which what a voxel holds means nothing: a map that is loaded keeps those of its file."""
_DAMAGES = (
    zipfile.BadZipFile, zlib.error, LookupError, ValueError, TypeError, AttributeError, EOFError, RuntimeError,
    MemoryError, OSError,
)  # fmt: skip
"""What reading an archive raises whose bytes, or the text in it, are not what was written."""


def save_map(path: Path, semantic_map: SemanticMap) -> None:
    """Writes the map, blocks in the scratch file included, never holding more than a part of it twice.

    Raises:
        OSError: the place cannot be written to.
    """
    _replace(path, lambda file: _write(file, semantic_map))


def _write(file: IO[bytes], semantic_map: SemanticMap) -> None:
    blocks = semantic_map.blocks
    count = len(blocks) + blocks.away
    labels = semantic_map.labels
    about = {
        "format": FORMAT,
        "version": VERSION,
        "parameters": dataclasses.asdict(semantic_map.parameters),
        "grid": dataclasses.asdict(semantic_map.columns.parameters),
        "labels": {"name": labels.name, "ids": labels.ids, "names": labels.names, "colours": labels.colours.tolist()},
    }
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        text = np.array(json.dumps(about))
        _put(archive, "about", text.dtype, (), [text])
        _put(archive, "coordinates", np.dtype(np.int32), (count, 3), (coordinates for coordinates, _ in blocks.each()))
        for name, kind in FIELDS.items():
            _put(archive, name, np.dtype(kind), (count, VOXELS), (fields[name] for _, fields in blocks.each()))
        for name, values in semantic_map.columns.kept().items():
            _put(archive, f"{_COLUMN}{name}", values.dtype, values.shape, [values])


def _put(archive: zipfile.ZipFile, name: str, kind: np.dtype, shape: tuple[int, ...], parts: Iterable[NDArray]) -> None:
    """One array of the archive, as `numpy.load` reads it, in parts along its first axis."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        header = {"descr": npy.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part, kind).tobytes())


def load_map(
    path: Path,
    parameters: MapParameters | None = None,
    grid: GridParameters | None = None,
    folder: Path | None = None,
) -> SemanticMap:
    """The map of a file.

    Args:
        parameters, grid, folder: as of `SemanticMap`; the size of voxels and what their occupancy means are the file's,
            and so is the grid if none is given.

    Raises:
        MapError: it is no map, damaged, or of another version.
        OSError: it cannot be opened.
    """
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise MapError(f"{path}: {_NO_MAP}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return _read(archive, parameters or MapParameters(), grid, folder)
    except MapError as error:
        raise MapError(f"{path}: {error}") from error
    except _DAMAGES as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MapError(f"{path} is damaged or cannot be used: {reason}") from error


def _read(archive: Any, parameters: MapParameters, grid: GridParameters | None, folder: Path | None) -> SemanticMap:
    about = _about(archive)
    labels, kept = about["labels"], {name: about["parameters"][name] for name in _OF_VOXELS}
    label_set = LabelSet(
        labels["name"], tuple(labels["ids"]), tuple(labels["names"]), np.array(labels["colours"], np.uint8)
    )
    saved: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in about["grid"].items()
    }
    fields = {name: archive[name] for name in FIELDS}
    tiles = {name: archive[f"{_COLUMN}{name}"] for name in TILES}
    coordinates = archive["coordinates"]
    loaded = SemanticMap(label_set, dataclasses.replace(parameters, **kept), grid or GridParameters(**saved), folder)
    try:
        loaded.restore(coordinates, fields, tiles)
    except BaseException:
        loaded.close()
        raise
    return loaded


def _about(archive: Any) -> dict[str, Any]:
    if "about" not in archive:
        raise MapError(_NO_MAP)
    about = json.loads(str(archive["about"]))
    if about.get("format") != FORMAT:
        raise MapError(f"{_NO_MAP}; its format is {about.get('format')!r}")
    if about.get("version") != VERSION:
        raise MapError(f"it is a map of version {about.get('version')}; this program reads version {VERSION}")
    return about


def _replace(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Lets `write` write a new file, brings it to the disk and puts it in the place of `path`: all of it or nothing."""
    part = path.with_name(f"{path.name}.part")
    try:
        with open(part, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
