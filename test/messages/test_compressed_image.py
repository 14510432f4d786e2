import struct
import zlib

import cv2
import numpy as np
import pytest

from scene_understanding.messages.compressed_image import (
    color_from_compressed_image,
    color_to_compressed_image,
    depth_from_compressed_image,
    depth_to_compressed_image,
)
from scene_understanding.messages.header import make_header
from scene_understanding.messages.types import CompressedImage, deserialize, serialize

HEADER = make_header(12, "camera")
RNG = np.random.default_rng(0)
SMOOTH = cv2.resize(RNG.integers(0, 255, (4, 5, 3)).astype(np.uint8), (50, 40), interpolation=cv2.INTER_CUBIC)
PNG16 = cv2.imencode(".png", np.zeros((2, 2), np.uint16))[1].tobytes()


def on_the_wire(msg):
    return deserialize(serialize(msg), CompressedImage)


def test_png_is_without_loss():
    msg = on_the_wire(color_to_compressed_image(SMOOTH, HEADER, "png"))
    assert msg.format == "rgb8; png compressed bgr8"
    np.testing.assert_array_equal(color_from_compressed_image(msg), SMOOTH)


def test_jpeg_is_close_and_in_rgb():
    msg = on_the_wire(color_to_compressed_image(SMOOTH, HEADER, quality=95))
    error = color_from_compressed_image(msg).astype(int) - SMOOTH.astype(int)
    assert np.abs(error).mean() < 3


def test_grey_and_16_bit_files_are_colour_too():
    grey = SMOOTH[..., 0]
    for pixels in (grey, grey.astype(np.uint16) * 257):
        data = cv2.imencode(".png", pixels)[1].reshape(-1)
        color = color_from_compressed_image(CompressedImage(HEADER, "mono8; png compressed mono8", data))
        np.testing.assert_array_equal(color, grey[..., None].repeat(3, -1))


def test_depth_in_millimetres_is_without_loss():
    millimetres = RNG.integers(0, 65536, (20, 30)).astype(np.uint16)
    msg = on_the_wire(depth_to_compressed_image(millimetres, HEADER))
    assert msg.format == "16UC1; compressedDepth png"
    expected = np.where(millimetres == 0, np.nan, millimetres / np.float32(1000)).astype(np.float32)
    np.testing.assert_array_equal(depth_from_compressed_image(msg), expected)


def test_depth_in_metres_loses_with_the_square_of_depth():
    depth = np.linspace(0.3, 9.9, 600, dtype=np.float32).reshape(20, 30)
    depth[0, :4] = np.nan, np.inf, 0, -1
    msg = on_the_wire(depth_to_compressed_image(depth, HEADER))
    assert msg.format == "32FC1; compressedDepth png"
    back = depth_from_compressed_image(msg)
    assert np.isnan(back[0, :4]).all()
    known = ~np.isnan(back)
    assert known.sum() == depth.size - 4
    assert (np.abs(back - depth)[known] <= 1.5e-4 * depth[known] ** 2 + 1e-5).all()


def test_depth_beyond_the_maximum_is_unknown():
    depth = np.array([[5.0, 10.0, 20.0]], np.float32)
    back = depth_from_compressed_image(depth_to_compressed_image(depth, HEADER, depth_max=10.0))
    np.testing.assert_array_equal(np.isnan(back), [[False, True, True]])


def test_depth_as_compressed_depth_image_transport_writes_it():
    """Bytes made by hand: raw = a / depth + b, a = 100 * 101, b = 1 - a / 10, as its defaults give."""
    a, b = 10100.0, 1 - 1010.0
    raw = np.array([[0, 1, 4041]], np.uint16)
    data = struct.pack("<iff", 0, a, b) + cv2.imencode(".png", raw)[1].tobytes()
    msg = CompressedImage(HEADER, "32FC1; compressedDepth", np.frombuffer(data, np.uint8))
    np.testing.assert_allclose(depth_from_compressed_image(msg), [[np.nan, 10.0, 2.0]], rtol=1e-6)


def test_plain_16_bit_png_is_depth():
    raw = np.array([[0, 1500]], np.uint16)
    msg = CompressedImage(HEADER, "16UC1; png compressed ", cv2.imencode(".png", raw)[1].reshape(-1))
    np.testing.assert_array_equal(depth_from_compressed_image(msg), np.array([[np.nan, 1.5]], np.float32))


@pytest.mark.parametrize(
    ("encoding", "data", "message"),
    [
        ("16UC1; compressedDepth rvl", b"\0" * 40, "rvl' is not supported; publish it as png"),
        ("16UC1; compressedDepth png", b"\0" * 12, "has 12 bytes; its header alone has 12"),
        ("16UC1; compressedDepth png", b"\0" * 40, "28 bytes are not an image"),
        ("16UC1; compressedDepth png", b"", "has 0 bytes"),
        ("8UC1; compressedDepth png", b"\0" * 12 + PNG16, "encoding '8UC1'; expected 16UC1 or 32FC1"),
        ("16UC1; png", cv2.imencode(".png", SMOOTH)[1].tobytes(), r"holds uint8\(40, 50, 3\); expected uint16"),
    ],
)  # fmt: skip
def test_bad_depth(encoding, data, message):
    with pytest.raises(ValueError, match=message):
        depth_from_compressed_image(CompressedImage(HEADER, encoding, np.frombuffer(data, np.uint8)))


def test_bad_colour():
    with pytest.raises(ValueError, match="its 5 bytes are not an image"):
        color_from_compressed_image(CompressedImage(HEADER, "jpeg", np.zeros(5, np.uint8)))
    with pytest.raises(ValueError, match="is depth; expected colour"):
        color_from_compressed_image(depth_to_compressed_image(np.ones((2, 2), np.uint16), HEADER))
    with pytest.raises(ValueError, match="not colour"):
        color_to_compressed_image(np.zeros((2, 2), np.uint8), HEADER)
    with pytest.raises(ValueError, match="file format 'gif' is unknown"):
        color_to_compressed_image(SMOOTH, HEADER, "gif")
    with pytest.raises(ValueError, match="not depth"):
        depth_to_compressed_image(SMOOTH, HEADER)


def test_image_too_large_to_decode():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", 100_000, 100_000, 16, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    for decode in (color_from_compressed_image, depth_from_compressed_image):
        with pytest.raises(ValueError, match="'png' is damaged or too large to decode$"):
            decode(CompressedImage(HEADER, "png", np.frombuffer(png, np.uint8)))


def test_truncated_png_is_an_error_or_an_image_but_no_crash():
    data = np.asarray(color_to_compressed_image(SMOOTH, HEADER, "png").data)
    for size in range(0, len(data), 97):
        try:
            color = color_from_compressed_image(CompressedImage(HEADER, "png", data[:size]))
        except ValueError:
            continue
        assert color.shape == SMOOTH.shape
