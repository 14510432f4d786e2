"""Clouds in files: .ply, .pcd, .las, .npz, and .bin as KITTI has it.

Fields are found by the names that are usual: x y z; red green blue; label, class or classification; confidence;
instance. Labels are the file's own ids; -1, as many write it, is unlabelled (255).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scene_understanding.datasets.ply import read_vertices, write_vertices
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.geometry import PointCloud
from scene_understanding.labels import UNLABELLED

Fields = Mapping[str, NDArray[Any]]

LABELS = ("label", "class", "classification", "scalar_label", "scalar_Classification")
"""Names of labels, the first that a file has is taken; the last two are those of CloudCompare."""

FAR_OFF = 10_000.0
"""Metres from which on float32 coordinates are coarser than a millimetre."""

MILLIMETRE = 0.001


def read_cloud(path: str | Path) -> PointCloud:
    """The points (N,) of a file, as `read_located_cloud` without the origin: what map coordinates are relative to."""
    return read_located_cloud(path)[0]


def read_located_cloud(path: str | Path) -> tuple[PointCloud, NDArray[np.float64]]:
    """The points (N,) of a file, and their origin.

    Returns:
        The cloud, and (3,) float64, whole metres, what was taken off all coordinates so that they fit in float32: 0
        unless they are above 10 km, as map coordinates are.

    Raises:
        DatasetError: unknown ending, a damaged file, or one without points.
        OSError: it cannot be read.
    """
    path = Path(path).expanduser()
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise DatasetError(f"{path} is no cloud that can be read: known are {', '.join(READERS)}")
    if not path.is_file():
        raise DatasetError(f"{path} is missing")
    fields = read(path)
    if missing := {"x", "y", "z"} - fields.keys():
        raise DatasetError(f"{path} lacks {', '.join(sorted(missing))}; it has {', '.join(fields) or 'nothing'}")
    if not len(fields["x"]):
        raise DatasetError(f"{path} holds no points")
    return _cloud(fields, path)


def write_cloud(path: str | Path, cloud: PointCloud, origin: ArrayLike = (0, 0, 0)) -> None:
    """Writes a cloud (N,) with all that it has; an error leaves what was there as it was.

    Args:
        path: its ending says how: .ply, .pcd, .las (label as classification) or .npz.
        origin: (3,) metres, is added to all coordinates, which are float64 then.

    Raises:
        DatasetError: unknown ending, or labels that it cannot hold.
        OSError: it cannot be written.
    """
    path = Path(path).expanduser()
    check_writable(path, 0 if cloud.label is None else int(cloud.label.max(initial=0)))
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    try:
        WRITERS[path.suffix.lower()](part, cloud, np.asarray(origin, np.float64))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def check_writable(path: str | Path, label: int = 0) -> None:
    """Raises DatasetError where `write_cloud` would, before there is a cloud; `label` is the highest id."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise DatasetError(f"{path} is no cloud that can be written: known are {', '.join(WRITERS)}")
    if suffix == ".las" and label > 255:
        raise DatasetError(f"{path}: label {label} is above 255, the last class of LAS; .ply holds it")


def _cloud(fields: Fields, path: Path) -> tuple[PointCloud, NDArray[np.float64]]:
    xyz = np.stack([fields[axis] for axis in "xyz"], axis=1)
    known = xyz[np.isfinite(xyz).all(axis=1)]
    origin = np.zeros(3)
    if len(known) and np.abs(known).max() > FAR_OFF:
        origin = np.floor(known.min(axis=0).astype(np.float64))
    rgb = None
    if {"red", "green", "blue"} <= fields.keys():
        rgb = _bytes(np.stack([fields[name] for name in ("red", "green", "blue")], axis=1))
    label = next((fields[name] for name in LABELS if name in fields), None)
    try:
        cloud = PointCloud(
            (xyz - origin).astype(np.float32, copy=False), rgb, _integers(_classes(label), np.uint16),
            _floats(fields.get("confidence")), _integers(fields.get("instance"), np.uint32),
        )  # fmt: skip
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from error
    return cloud, origin


def _bytes(rgb: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours of 8 bits of such, of 16, or of shares."""
    if rgb.dtype.kind == "f" and rgb.size and rgb.max() <= 1:
        rgb = np.rint(rgb * 255)
    elif rgb.dtype.itemsize > 1 and rgb.size and rgb.max() > 255:
        rgb = rgb / 257
    return np.asarray(rgb, np.uint8)


def _classes(values: NDArray[Any] | None) -> NDArray[Any] | None:
    """Labels with 255 where they are -1."""
    if values is None or values.dtype.kind == "u":
        return values
    return np.where(values == -1, np.int64(UNLABELLED), values)


def _integers(values: NDArray[Any] | None, dtype: type[Any]) -> NDArray[Any] | None:
    if values is None:
        return None
    most = np.iinfo(dtype).max
    if values.size and not (0 <= values.min() and values.max() <= most and (values == np.floor(values)).all()):
        raise ValueError(f"labels or instances are {values.min()} to {values.max()}; expected whole numbers 0..{most}")
    return values.astype(dtype, copy=False)


def _floats(values: NDArray[Any] | None) -> NDArray[np.float32] | None:
    return None if values is None else values.astype(np.float32, copy=False)


def _fields(cloud: PointCloud, origin: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """The cloud's arrays by the names that they have in files."""
    xyz = cloud.xyz + origin if origin.any() else cloud.xyz
    fields: dict[str, NDArray[Any]] = dict(zip("xyz", xyz.T, strict=True))
    if cloud.rgb is not None:
        fields |= dict(zip(("red", "green", "blue"), cloud.rgb.T, strict=True))
    others = {name: getattr(cloud, name) for name in ("label", "confidence", "instance")}
    return fields | {name: values for name, values in others.items() if values is not None}


def _write_ply(path: Path, cloud: PointCloud, origin: NDArray[np.float64]) -> None:
    write_vertices(path, _fields(cloud, origin))


def _read_pcd(path: Path) -> Fields:
    import open3d as o3d

    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        found = o3d.t.io.read_point_cloud(path, format="pcd")
    if "positions" not in found.point:  # Open3D says what is wrong by print alone
        raise DatasetError(f"{path} is no PCD file with points, or is damaged")
    fields = dict(zip("xyz", found.point.positions.numpy().T, strict=True))
    for name in found.point:
        values = found.point[name].numpy()
        if name == "colors":
            fields |= dict(zip(("red", "green", "blue"), values.T, strict=True))
        elif values.shape[1:] == (1,):
            fields[name] = values[:, 0]
    return fields


def _write_pcd(path: Path, cloud: PointCloud, origin: NDArray[np.float64]) -> None:
    import open3d as o3d

    fields = _fields(cloud, origin)
    columns = {"positions": [fields.pop(axis) for axis in "xyz"]}
    if cloud.rgb is not None:
        columns["colors"] = [fields.pop(name) for name in ("red", "green", "blue")]
    columns |= {name: [values] for name, values in fields.items()}
    found = o3d.t.geometry.PointCloud()
    for name, values in columns.items():
        found.point[name] = o3d.core.Tensor.from_numpy(np.stack(values, axis=1))
    if not o3d.t.io.write_point_cloud(path, found):
        raise DatasetError(f"{path} cannot be written")


def _read_las(path: Path) -> Fields:
    import laspy

    try:
        found = laspy.read(path)
    except (laspy.LaspyException, ValueError, EOFError) as error:
        raise DatasetError(f"{path} is no LAS file, or is damaged: {' '.join(str(error).split())}") from error
    wanted = {"red", "green", "blue", "classification", "confidence", "instance"}
    names = wanted & set(found.point_format.dimension_names)
    return {axis: np.asarray(getattr(found, axis)) for axis in "xyz"} | {n: np.asarray(found[n]) for n in names}


def _write_las(path: Path, cloud: PointCloud, origin: NDArray[np.float64]) -> None:
    import laspy

    header = laspy.LasHeader(version="1.4", point_format=6 if cloud.rgb is None else 7)
    header.offsets, header.scales = origin, np.full(3, MILLIMETRE)
    for name, dtype in (("confidence", np.float32), ("instance", np.uint32)):
        if getattr(cloud, name) is not None:
            header.add_extra_dim(laspy.ExtraBytesParams(name, dtype))
    made = laspy.LasData(header)
    made.xyz = cloud.xyz + origin
    if cloud.rgb is not None:
        made.red, made.green, made.blue = cloud.rgb.T.astype(np.uint16) * 257
    if cloud.label is not None:
        made.classification = cloud.label.astype(np.uint8)
    for name in ("confidence", "instance"):
        if getattr(cloud, name) is not None:
            made[name] = getattr(cloud, name)
    made.write(str(path))


def _read_npz(path: Path) -> Fields:
    wanted = ("xyz", "rgb", *LABELS, "confidence", "instance")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in wanted if name in archive}
    except (ValueError, BadZipFile, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} is no npz archive of arrays, or is damaged: {error}") from error
    fields: dict[str, NDArray[Any]] = {}
    for name, axes in (("xyz", tuple("xyz")), ("rgb", ("red", "green", "blue"))):
        if name in arrays:
            values = arrays.pop(name)
            if values.ndim != 2 or values.shape[1] != 3:
                raise DatasetError(f"{path}: {name} has shape {values.shape}; expected (N, 3)")
            fields |= dict(zip(axes, values.T, strict=True))
    return fields | arrays


def _write_npz(path: Path, cloud: PointCloud, origin: NDArray[np.float64]) -> None:
    fields = _fields(cloud, origin)
    arrays = {"xyz": np.stack([fields.pop(axis) for axis in "xyz"], axis=1)}
    if cloud.rgb is not None:
        arrays["rgb"] = np.stack([fields.pop(name) for name in ("red", "green", "blue")], axis=1)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays, **fields)  # type: ignore[arg-type]


def _read_bin(path: Path) -> Fields:
    values = np.fromfile(path, "<f4")
    if len(values) % 4 or path.stat().st_size % 4:
        raise DatasetError(
            f"{path} has {path.stat().st_size} bytes; expected 16 a point: x, y, z, intensity as float32"
        )
    return dict(zip("xyz", values.reshape(-1, 4).T[:3], strict=True))


READERS: dict[str, Callable[[Path], Fields]] = {
    ".ply": read_vertices, ".pcd": _read_pcd, ".las": _read_las, ".npz": _read_npz, ".bin": _read_bin,
}  # fmt: skip
WRITERS: dict[str, Callable[[Path, PointCloud, NDArray[np.float64]], None]] = {
    ".ply": _write_ply, ".pcd": _write_pcd, ".las": _write_las, ".npz": _write_npz,
}  # fmt: skip
