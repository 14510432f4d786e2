"""`sensor_msgs/CompressedImage` to arrays and back: jpeg, png, and depth of `compressed_depth_image_transport`."""

from __future__ import annotations

import struct
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.messages.image import depth_from_metres, depth_from_millimetres
from scene_understanding.messages.types import CompressedImage, Header

_DEPTH_HEADER = struct.Struct("<iff")
"""Compression format, and the two parameters of the quantisation: raw = a / depth + b."""
_INVERSE_DEPTH = 0


def color_from_compressed_image(msg: CompressedImage) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a jpeg, png or any other file that OpenCV reads; 16 bit scales as in `color_from_image`.

    Raises:
        ValueError: compressed depth, or bytes that are not an image, or one that is too large for OpenCV.
    """
    if "compressedDepth" in msg.format:
        raise ValueError(f"compressed image of format {msg.format!r} is depth; expected colour, such as 'rgb8; jpeg'")
    pixels = _decode(msg, _bytes(msg), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=255 / 65535)
    rgb: Any = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return rgb


def color_to_compressed_image(
    rgb: NDArray[np.uint8], header: Header, file_format: Literal["jpeg", "png"] = "jpeg", quality: int = 90
) -> CompressedImage:
    """Compressed (H, W, 3) uint8 RGB; `quality` is that of jpeg, 0 to 100.

    Raises:
        ValueError: an array of another shape or dtype, or another file format.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f"array {rgb.dtype}{rgb.shape} is not colour; expected uint8(H, W, 3)")
    if file_format not in ("jpeg", "png"):
        raise ValueError(f"file format {file_format!r} is unknown; expected jpeg or png")
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if file_format == "jpeg" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    data = cv2.imencode(f".{file_format}", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)[1]
    return CompressedImage(header=header, format=f"rgb8; {file_format} compressed bgr8", data=data.reshape(-1))


def depth_from_compressed_image(msg: CompressedImage) -> NDArray[np.float32]:
    """(H, W) float32 metres, NaN where unknown, of 16UC1 or 32FC1 `compressedDepth`, or of a plain 16-bit png.

    Raises:
        ValueError: another format (rvl too), or bytes that are not such an image.
    """
    data = _bytes(msg)
    encoding, _, transport = (part.strip() for part in msg.format.partition(";"))
    if "compressedDepth" not in transport:
        return depth_from_millimetres(_decode_16bit(msg, data))
    if "rvl" in transport:
        raise ValueError(f"compressed depth of format {msg.format!r} is not supported; publish it as png")
    if len(data) <= _DEPTH_HEADER.size:
        raise ValueError(f"compressed depth has {len(data)} bytes; its header alone has {_DEPTH_HEADER.size}")
    _, a, b = _DEPTH_HEADER.unpack_from(data)
    raw = _decode_16bit(msg, data[_DEPTH_HEADER.size :])
    if encoding in ("16UC1", "mono16"):
        return depth_from_millimetres(raw)
    if encoding == "32FC1":
        return _dequantised(raw, a, b)
    raise ValueError(f"compressed depth of format {msg.format!r} has encoding {encoding!r}; expected 16UC1 or 32FC1")


def _dequantised(raw: NDArray[np.uint16], a: float, b: float) -> NDArray[np.float32]:
    with np.errstate(divide="ignore"):
        depth = np.float32(a) / (raw.astype(np.float32) - np.float32(b))
    depth[raw == 0] = np.nan
    return depth_from_metres(depth)


def depth_to_compressed_image(
    depth: NDArray[Any], header: Header, depth_max: float = 10.0, quantization: float = 100.0
) -> CompressedImage:
    """`compressedDepth` of uint16 millimetres (without loss) or of float metres (H, W).

    Float depth is quantised by its inverse, as compressed_depth_image_transport does with the same two parameters:
    `depth_max` metres is the farthest value kept, `quantization` the steps at 1 m; the error grows with depth squared.

    Raises:
        ValueError: an array of another dtype or shape.
    """
    if depth.ndim != 2 or depth.dtype not in (np.uint16, np.float32, np.float64):
        raise ValueError(f"array {depth.dtype}{depth.shape} is not depth; expected uint16(H, W) or float32(H, W)")
    a = b = 0.0
    raw, encoding = depth, "16UC1"
    if depth.dtype != np.uint16:
        a = quantization * (quantization + 1.0)
        b = 1.0 - a / depth_max
        raw, encoding = _quantised(depth, a, b, depth_max), "32FC1"
    png = cv2.imencode(".png", raw, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    data = np.frombuffer(_DEPTH_HEADER.pack(_INVERSE_DEPTH, a, b) + png, np.uint8)
    return CompressedImage(header=header, format=f"{encoding}; compressedDepth png", data=data)


def _quantised(depth: NDArray[Any], a: float, b: float, depth_max: float) -> NDArray[np.uint16]:
    with np.errstate(invalid="ignore", divide="ignore"):
        known = (depth > 0) & (depth < depth_max)
        raw = np.where(known, np.minimum(a / depth + b, 65535.0), 0.0)
    return raw.astype(np.uint16)


def _decode_16bit(msg: CompressedImage, data: memoryview) -> NDArray[np.uint16]:
    raw = _decode(msg, data, cv2.IMREAD_UNCHANGED)
    if raw.dtype != np.uint16 or raw.ndim != 2:
        raise ValueError(f"compressed depth {msg.format!r} holds {raw.dtype}{raw.shape}; expected uint16(H, W)")
    return raw


def _bytes(msg: CompressedImage) -> memoryview:
    return memoryview(msg.data)  # type: ignore[arg-type]


def _decode(msg: CompressedImage, data: memoryview, flags: int) -> NDArray[Any]:
    try:
        pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if len(data) else None
    except cv2.error as error:  # its text has several lines
        raise ValueError(f"compressed image of format {msg.format!r} is damaged or too large to decode") from error
    if pixels is None:
        raise ValueError(f"compressed image of format {msg.format!r}: its {len(data)} bytes are not an image")
    return pixels
