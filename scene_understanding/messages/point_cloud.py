"""`sensor_msgs/PointCloud2` to `PointCloud` and back.

Any field layout is read: offsets, datatypes, byte order, row padding; columns are views of the buffer wherever their
type allows. What is written: x y z (float32), then, where known, rgb (packed in a float32, as RViz and PCL want it),
label (uint16), confidence (float32), instance (uint32), each on 4 bytes; organised clouds stay organised.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry.point_cloud import PointCloud
from scene_understanding.messages.types import Header, PointCloud2, PointField

_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_UNLABELLED_16 = 65535

Columns = dict[str, NDArray[Any]]


def measured(xyz: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(...) which of the points (..., 3) were measured: those that are finite, and not 0 0 0, which some drivers write
    for nothing."""
    return np.isfinite(xyz).all(-1) & (xyz != 0).any(-1)


def point_cloud2_to_cloud(msg: PointCloud2) -> PointCloud:
    """The cloud of a message; fields x, y, z, and rgb or rgba (or r, g, b), label, confidence, instance if present.

    The arrays are (N, ...) or, where the message has more than one row, (H, W, ...); read-only views of the message
    where the type is right already. float64 coordinates become float32; integer confidence is scaled to 0..1; labels
    that do not fit 16 bits become 65535 (unlabelled).

    Raises:
        ValueError: no x, y or z; a field of unknown type or outside of the point; fewer bytes than the size asks for.
    """
    columns = point_cloud2_to_columns(msg)
    missing = [name for name in "xyz" if name not in columns]
    if missing:
        names = ", ".join(columns) or "none"
        raise ValueError(f"point cloud has no field {' '.join(missing)}; its fields are: {names}")
    return PointCloud(
        xyz=_xyz(columns),
        rgb=_rgb(columns),
        label=_label(columns.get("label")),
        confidence=_confidence(columns.get("confidence")),
        instance=_cast(columns.get("instance"), np.uint32),
    )


def point_cloud2_to_columns(msg: PointCloud2) -> Columns:
    """Every field by name as a read-only view (N,), or (H, W) where organised; (..., count) where count is above 1.

    Raises:
        ValueError: as `point_cloud2_to_cloud`.
    """
    _check_size(msg)
    buffer = memoryview(msg.data).toreadonly()  # type: ignore[arg-type]
    return {point_field.name: _column(msg, buffer, point_field) for point_field in msg.fields}


def _check_size(msg: PointCloud2) -> None:
    row_bytes = msg.width * msg.point_step
    if msg.height > 1 and 0 < msg.row_step < row_bytes:
        raise ValueError(f"point cloud has row_step {msg.row_step}; {msg.width} points of {msg.point_step} do not fit")
    needed = (msg.height - 1) * (msg.row_step or row_bytes) + row_bytes if msg.height and msg.width else 0
    if len(msg.data) < needed:
        size = f"{msg.width}x{msg.height} points of {msg.point_step} bytes"
        raise ValueError(f"point cloud of {size} has {len(msg.data)} bytes; {needed} needed")


def _column(msg: PointCloud2, buffer: memoryview, point_field: PointField) -> NDArray[Any]:
    name, count = point_field.name, max(point_field.count, 1)
    if point_field.datatype not in _DTYPES:
        raise ValueError(f"point cloud field {name!r} has datatype {point_field.datatype}; expected 1 to 8")
    dtype = np.dtype(_DTYPES[point_field.datatype]).newbyteorder(">" if msg.is_bigendian else "<")
    end = point_field.offset + count * dtype.itemsize
    if end > msg.point_step:
        raise ValueError(f"point cloud field {name!r} ends at byte {end} of a point of {msg.point_step} bytes")
    shape: tuple[int, ...] = (msg.height, msg.width, count)
    if 0 in shape:
        return np.empty((0, count), dtype) if count > 1 else np.empty(0, dtype)
    strides = (msg.row_step or msg.width * msg.point_step, msg.point_step, dtype.itemsize)
    column: NDArray[Any] = np.ndarray(shape, dtype, buffer, point_field.offset, strides)
    column = column[0] if msg.height == 1 else column
    return column[..., 0] if count == 1 else column


def _xyz(columns: Columns) -> NDArray[np.float32]:
    x, y, z = (columns[name] for name in "xyz")
    if _adjacent(x, y) and _adjacent(y, z) and x.dtype == np.float32:
        return np.lib.stride_tricks.as_strided(x, (*x.shape, 3), (*x.strides, 4), writeable=False)
    xyz = np.empty((*x.shape, 3), np.float32)
    xyz[..., 0], xyz[..., 1], xyz[..., 2] = x, y, z
    return xyz


def _adjacent(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.size > 0 and a.dtype == b.dtype and b.ctypes.data - a.ctypes.data == a.itemsize


def _rgb(columns: Columns) -> NDArray[np.uint8] | None:
    packed = columns.get("rgb", columns.get("rgba"))
    if packed is None:
        parts = [columns.get(name) for name in "rgb"]
        if any(part is None or part.dtype != np.uint8 for part in parts):
            return None
        return np.stack([part for part in parts if part is not None], axis=-1)
    if packed.itemsize != 4:
        raise ValueError(f"point cloud field rgb has type {packed.dtype}; expected 4 bytes (float32 or uint32)")
    octets = packed[..., None].view(np.uint8)  # b g r a in little endian, a r g b in big endian
    return octets[..., 1:4] if packed.dtype.str.startswith(">") else octets[..., 2::-1]


def _label(column: NDArray[Any] | None) -> NDArray[np.uint16] | None:
    if column is None or column.dtype.itemsize <= 2 and column.dtype.kind == "u":
        return _cast(column, np.uint16)
    fits = (column >= 0) & (column <= _UNLABELLED_16)
    return np.where(fits, column, _UNLABELLED_16).astype(np.uint16)


def _confidence(column: NDArray[Any] | None) -> NDArray[np.float32] | None:
    if column is None or column.dtype.kind == "f":
        return _cast(column, np.float32)
    return column.astype(np.float32) * np.float32(1 / np.iinfo(column.dtype).max)


def _cast(column: NDArray[Any] | None, dtype: type[np.generic]) -> NDArray[Any] | None:
    return None if column is None else column.astype(dtype, copy=False)


def cloud_to_point_cloud2(cloud: PointCloud, header: Header) -> PointCloud2:
    """The message of a cloud (N,) or organised (H, W); the rows have no padding.

    Raises:
        ValueError: a cloud that is neither (N,) nor (H, W).
    """
    shape = cloud.xyz.shape[:-1]
    if len(shape) not in (1, 2):
        raise ValueError(f"cloud has shape {shape}; a message holds (N,) or organised (H, W)")
    height, width = shape if len(shape) == 2 else (1, shape[0])
    columns = _columns_of_32_bit(cloud, (height, width))
    data, channels = _interleave([column for _, _, column in columns], (height, width))
    fields = [PointField(name="xyz"[i], offset=4 * i, datatype=PointField.FLOAT32, count=1) for i in range(3)]
    for i, (name, datatype, _) in enumerate(columns[1:], start=3):
        fields.append(PointField(name=name, offset=4 * i, datatype=datatype, count=1))
    step = 4 * channels
    return PointCloud2(
        header=header, height=height, width=width, fields=fields, is_bigendian=False, point_step=step,
        row_step=step * width, data=data, is_dense=bool(np.isfinite(cloud.xyz).all()),
    )  # fmt: skip


def _columns_of_32_bit(cloud: PointCloud, shape: tuple[int, int]) -> list[tuple[str, int, NDArray[Any]]]:
    """Name, datatype and values of xyz (H, W, 3) and of every other attribute (H, W), all of 4 bytes, contiguous."""
    columns: list[tuple[str, int, NDArray[Any]]] = [
        ("xyz", PointField.FLOAT32, np.ascontiguousarray(cloud.xyz, np.float32).reshape(*shape, 3))
    ]
    if cloud.rgb is not None:
        columns.append(("rgb", PointField.FLOAT32, _packed_rgb(cloud.rgb.reshape(*shape, 3))))
    if cloud.label is not None:  # its upper 2 bytes are padding
        columns.append(("label", PointField.UINT16, cloud.label.reshape(shape).astype("<u4")))
    if cloud.confidence is not None:
        columns.append(("confidence", PointField.FLOAT32, np.ascontiguousarray(cloud.confidence, "<f4").reshape(shape)))
    if cloud.instance is not None:
        columns.append(("instance", PointField.UINT32, np.ascontiguousarray(cloud.instance, "<u4").reshape(shape)))
    return columns


def _packed_rgb(rgb: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """(H, W) uint32 0x00RRGGBB. The top byte is 0: with 255 many colours would be NaN floats, which lose bits."""
    if rgb.size == 0:
        return np.empty(rgb.shape[:2], np.uint32)
    packed: NDArray[np.uint32] = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA).view("<u4")[..., 0]
    packed &= 0x00FFFFFF
    return packed


def _interleave(columns: list[NDArray[Any]], shape: tuple[int, int]) -> tuple[NDArray[np.uint8], int]:
    """One buffer, point after point, and its values of 4 bytes a point; OpenCV moves them fastest, bit by bit."""
    channels = 2 + len(columns)
    buffer = np.empty((*shape, channels), np.float32)
    if buffer.size:
        sources = [column.view(np.float32) for column in columns]
        cv2.mixChannels(sources, [buffer], [index for i in range(channels) for index in (i, i)])
    return buffer.reshape(-1).view(np.uint8), channels
