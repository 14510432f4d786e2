"""PLY files (Turk 1994): the scalar properties of their vertices, ASCII or binary, to and from arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.rgbd import DatasetError

TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8",
}  # fmt: skip
SIZED = {
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4",
    "float64": "f8",
}  # fmt: skip
"""The other names that many programs write."""

FORMATS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
LONGEST_HEADER = 1000
"""Lines."""


@dataclass(frozen=True)
class _Header:
    """What is said of the vertices, which come first: byte order or "=" for ASCII, how many, their properties."""

    order: str
    count: int
    dtype: np.dtype[Any]


def read_vertices(path: Path) -> dict[str, NDArray[Any]]:
    """(N,) of each property of the vertices, by name; other elements that follow are left out.

    Raises:
        DatasetError: no PLY file, one without vertices or with fewer than it says, or with lists in them.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        header = _header(file, path)
        if header.order == "=":
            found = _ascii(file, header, path)
        else:
            data = file.read(header.count * header.dtype.itemsize)
            if len(data) < header.count * header.dtype.itemsize:
                raise DatasetError(f"{path} ends after {len(data) // header.dtype.itemsize} of {header.count} vertices")
            found = np.frombuffer(data, header.dtype)
    names = header.dtype.names or ()
    return {name: found[name].astype(header.dtype[name].newbyteorder("="), copy=False) for name in names}


def write_vertices(path: Path, properties: Mapping[str, NDArray[Any]]) -> None:
    """A binary little-endian file of properties (N,) each.

    Raises:
        OSError: it cannot be written.
    """
    names = {code: name for name, code in TYPES.items()} | {"u2": "uint16"}  # Open3D leaves out what is "ushort"
    codes = {name: f"{values.dtype.kind}{values.dtype.itemsize}" for name, values in properties.items()}
    count = len(next(iter(properties.values())))
    vertices = np.empty(count, [(name, f"<{code}") for name, code in codes.items()])
    for name, values in properties.items():
        vertices[name] = values
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {count}"]
    lines += [f"property {names[code]} {name}" for name, code in codes.items()]
    with path.open("wb") as file:
        file.write("\n".join([*lines, "end_header", ""]).encode("ascii"))
        file.write(vertices.tobytes())


def _header(file: BinaryIO, path: Path) -> _Header:
    if file.readline(16).strip() != b"ply":
        raise DatasetError(f"{path} is no PLY file: its first line is not 'ply'")
    order, count, element = "", -1, ""
    properties: list[tuple[str, str]] = []
    for _ in range(LONGEST_HEADER):
        words = file.readline(1000).decode("ascii", "replace").split()
        match words:
            case ["end_header"]:
                break
            case ["format", name, _] if name in FORMATS:
                order = FORMATS[name]
            case ["element", element, number]:
                if element == "vertex" and number.isdigit():
                    count = int(number)
                elif count < 0:
                    raise DatasetError(f"{path} has {element}s before its vertices; expected the vertices first")
            case ["property", kind, name] if element == "vertex":
                code = TYPES.get(kind) or SIZED.get(kind)
                if code is None:
                    raise DatasetError(f"{path}: property '{name}' is of type '{kind}'; known are {', '.join(TYPES)}")
                properties.append((name, code))
            case ["property", "list", *_] if element == "vertex":
                raise DatasetError(f"{path} has lists in its vertices; expected numbers alone")
            case ["property" | "comment" | "obj_info", *_]:
                pass
            case _:
                raise DatasetError(f"{path}: header line '{' '.join(words)[:80]}' is none of PLY")
    else:
        raise DatasetError(f"{path} has no end_header")
    if not order or count < 0 or not properties:
        raise DatasetError(f"{path}: its header does not say format, vertices and their properties")
    if len({name for name, _ in properties}) < len(properties):
        raise DatasetError(f"{path} has a property twice: {', '.join(name for name, _ in properties)}")
    return _Header(order, count, np.dtype([(name, f"{order}{code}") for name, code in properties]))


def _ascii(file: BinaryIO, header: _Header, path: Path) -> NDArray[Any]:
    if not header.count:
        return np.empty(0, header.dtype)
    try:
        found = np.loadtxt(file, header.dtype, max_rows=header.count, ndmin=1)
    except ValueError as error:
        raise DatasetError(f"{path}: {' '.join(str(error).split())}") from error
    if len(found) < header.count:
        raise DatasetError(f"{path} ends after {len(found)} of {header.count} vertices")
    return found
