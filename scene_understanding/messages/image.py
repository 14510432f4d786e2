"""`sensor_msgs/Image` to arrays and back.

Encodings are those of `sensor_msgs/image_encodings`; colour conversions are those of `cv_bridge` (16 to 8 bit scales by
255/65535, BT.601 YUV) with OpenCV's defaults, depth follows REP-118 and REP-117. Reading copies only to convert.
"""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.messages.types import Header, Image

_NAMED: dict[str, tuple[str, int]] = {
    "rgb8": ("u1", 3), "bgr8": ("u1", 3), "rgba8": ("u1", 4), "bgra8": ("u1", 4), "mono8": ("u1", 1),
    "rgb16": ("u2", 3), "bgr16": ("u2", 3), "rgba16": ("u2", 4), "bgra16": ("u2", 4), "mono16": ("u2", 1),
    "uyvy": ("u1", 2), "yuv422": ("u1", 2), "yuyv": ("u1", 2), "yuv422_yuy2": ("u1", 2),
    "nv12": ("u1", 1), "nv21": ("u1", 1),
    **{f"bayer_{pattern}{bits}": (f"u{bits // 8}", 1)
       for pattern in ("rggb", "bggr", "gbrg", "grbg") for bits in (8, 16)},
}  # fmt: skip
"""Encoding: kind and bytes of one channel, channels. nv12 and nv21 count their luminance rows only."""

_GENERIC = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)C([1-9]\d{0,2})$")
_GENERIC_KINDS = {"8U": "u1", "8S": "i1", "16U": "u2", "16S": "i2", "32S": "i4", "32F": "f4", "64F": "f8"}
_SEMI_PLANAR = ("nv12", "nv21")
_PAIRED = ("uyvy", "yuv422", "yuyv", "yuv422_yuy2")
"""4:2:2: two pixels side by side share their colour."""

_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB, "8UC3": cv2.COLOR_BGR2RGB, "bgr16": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB, "rgba16": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB, "8UC4": cv2.COLOR_BGRA2RGB, "bgra16": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB, "8UC1": cv2.COLOR_GRAY2RGB, "mono16": cv2.COLOR_GRAY2RGB,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY, "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "yuyv": cv2.COLOR_YUV2RGB_YUYV, "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUYV,
    "nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21,
    # OpenCV names a Bayer pattern by the second row and column: ROS' RGGB is its BG.
    "bayer_rggb8": cv2.COLOR_BayerBG2RGB, "bayer_rggb16": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr8": cv2.COLOR_BayerRG2RGB, "bayer_bggr16": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg8": cv2.COLOR_BayerGR2RGB, "bayer_gbrg16": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg8": cv2.COLOR_BayerGB2RGB, "bayer_grbg16": cv2.COLOR_BayerGB2RGB,
}  # fmt: skip

COLOR_ENCODINGS = ("rgb8", "rgb16", *_TO_RGB)
"""What `color_from_image` takes."""

DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")
"""What `depth_from_image` takes."""


def encoding_layout(encoding: str) -> tuple[np.dtype[Any], int]:
    """dtype (native byte order) and channels of one pixel.

    Raises:
        ValueError: an encoding that is not known.
    """
    if encoding in _NAMED:
        kind, channels = _NAMED[encoding]
        return np.dtype(kind), channels
    if match := _GENERIC.match(encoding):
        return np.dtype(_GENERIC_KINDS[match[1]]), int(match[2])
    raise ValueError(f"image encoding {encoding!r} is unknown; known: {', '.join(_NAMED)}, and 8UC1 to 64FC4 as OpenCV")


def image_to_array(msg: Image) -> NDArray[Any]:
    """The pixels as they are: a view of the message's buffer, row padding and byte order kept.

    Returns:
        (H, W) or, with several channels, (H, W, C) of the encoding's dtype (big endian where the message is);
        yuv422 (H, W, 2) uint8; nv12 and nv21 (H * 3 / 2, W) uint8, the luminance above the chrominance.

    Raises:
        ValueError: an unknown encoding, a size of zero, or fewer bytes than `step` and `height` ask for.
    """
    dtype, channels = encoding_layout(msg.encoding)
    if msg.is_bigendian:
        dtype = dtype.newbyteorder(">")
    rows = _rows(msg)
    row_bytes = msg.width * channels * dtype.itemsize
    step = msg.step or row_bytes
    if step < row_bytes:
        raise ValueError(f"image {msg.width}x{msg.height} {msg.encoding} has step {step}; at least {row_bytes} needed")
    buffer = memoryview(msg.data)  # type: ignore[arg-type]
    needed = step * (rows - 1) + row_bytes
    if buffer.nbytes < needed:
        raise ValueError(f"image {msg.width}x{msg.height} {msg.encoding} has {buffer.nbytes} bytes; {needed} needed")
    shape, strides = (rows, msg.width, channels), (step, channels * dtype.itemsize, dtype.itemsize)
    array: NDArray[Any] = np.ndarray(shape, dtype, buffer, strides=strides)
    return array[..., 0] if channels == 1 else array


def _rows(msg: Image) -> int:
    """Rows in the buffer, which for a semi-planar image are half as many again as in the image."""
    if msg.width < 1 or msg.height < 1:
        raise ValueError(f"image is {msg.width}x{msg.height}; both must be at least 1 pixel")
    if msg.encoding not in _SEMI_PLANAR:
        return msg.height
    if msg.width % 2 or msg.height % 2:
        raise ValueError(f"image {msg.width}x{msg.height} {msg.encoding}: width and height must be even")
    return msg.height * 3 // 2


def color_from_image(msg: Image) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of any encoding in `COLOR_ENCODINGS`; a read-only view where it is rgb8 already.

    8UC1, 8UC3 and 8UC4 are taken as mono8, bgr8 and bgra8, as OpenCV stores them. 16UC1 and 32FC1 are depth
    (REP-118) and refused: a grey camera of 16 bit says mono16.

    Raises:
        ValueError: another encoding, a 4:2:2 image of odd width, or a message that `image_to_array` refuses.
    """
    if msg.encoding not in COLOR_ENCODINGS:
        raise ValueError(f"encoding {msg.encoding!r} is not colour; expected one of: {', '.join(COLOR_ENCODINGS)}")
    if msg.encoding in _PAIRED and msg.width % 2:
        raise ValueError(f"image {msg.width}x{msg.height} {msg.encoding}: width must be even")
    pixels: Any = image_to_array(msg)
    if msg.encoding == "rgb8":
        return pixels
    pixels = _for_opencv(pixels)
    if msg.encoding in _TO_RGB:
        pixels = cv2.cvtColor(pixels, _TO_RGB[msg.encoding])
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=255 / 65535)
    return pixels


def _for_opencv(pixels: NDArray[Any]) -> NDArray[Any]:
    """The same in native byte order; a copy too where a row does not start at a whole number of values."""
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    whole = pixels.flags.aligned and pixels.strides[0] % pixels.itemsize == 0
    return pixels if whole else np.ascontiguousarray(pixels)


def depth_from_image(msg: Image) -> NDArray[np.float32]:
    """(H, W) float32 depth along z in metres, NaN where unknown; always a copy.

    REP-118: 16UC1 (or mono16) is millimetres with 0 invalid, 32FC1 metres with NaN invalid. Both infinities of
    REP-117 (too near, too far) and values of 0 or less become NaN too.

    Raises:
        ValueError: another encoding, or a message that `image_to_array` refuses.
    """
    if msg.encoding not in DEPTH_ENCODINGS:
        raise ValueError(f"encoding {msg.encoding!r} is not depth; expected 16UC1 (millimetres) or 32FC1 (metres)")
    pixels = image_to_array(msg)
    return depth_from_millimetres(pixels) if pixels.dtype.itemsize == 2 else depth_from_metres(pixels)


def depth_from_millimetres(millimetres: NDArray[np.uint16]) -> NDArray[np.float32]:
    """(H, W) float32 metres of uint16 millimetres, NaN where 0."""
    depth: NDArray[np.float32] = np.divide(millimetres, np.float32(1000), dtype=np.float32)
    depth[millimetres == 0] = np.nan
    return depth


def depth_from_metres(metres: NDArray[np.floating]) -> NDArray[np.float32]:
    """(H, W) float32 metres, NaN where not finite or not above 0."""
    depth = metres.astype(np.float32)
    with np.errstate(invalid="ignore"):
        depth[~((depth > 0) & (depth < np.inf))] = np.nan
    return depth


def array_to_image(array: NDArray[Any], encoding: str, header: Header) -> Image:
    """`sensor_msgs/Image` of pixels (H, W) or (H, W, C); the buffer is shared where the pixels are contiguous.

    A big-endian array makes a big-endian message. nv12 and nv21 take (H * 3 / 2, W).

    Raises:
        ValueError: an unknown encoding, or an array whose dtype or shape is not the encoding's.
    """
    dtype, channels = encoding_layout(encoding)
    given = array.shape[2] if array.ndim == 3 else 1
    if array.dtype.newbyteorder("=") != dtype or given != channels or array.ndim not in (2, 3):
        expected = f"{dtype}(H, W, {channels})" if channels > 1 else f"{dtype}(H, W)"
        raise ValueError(f"array {array.dtype}{array.shape} does not fit encoding {encoding!r}; expected {expected}")
    rows, width = array.shape[:2]
    if encoding in _SEMI_PLANAR and (rows % 3 or width % 2):
        raise ValueError(f"array {array.shape} does not fit encoding {encoding!r}; expected (H * 3 / 2, W), both even")
    array = np.ascontiguousarray(array)
    big_endian = array.dtype.byteorder == ">"
    return Image(
        header=header, height=rows * 2 // 3 if encoding in _SEMI_PLANAR else rows, width=width, encoding=encoding,
        is_bigendian=int(big_endian), step=width * channels * dtype.itemsize, data=array.reshape(-1).view(np.uint8),
    )  # fmt: skip
