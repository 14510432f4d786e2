import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from scene_understanding.messages.header import make_header
from scene_understanding.messages.image import (
    COLOR_ENCODINGS,
    array_to_image,
    color_from_image,
    depth_from_image,
    encoding_layout,
    image_to_array,
)
from scene_understanding.messages.types import Image, deserialize, serialize

HEADER = make_header(12, "camera")
ENCODINGS = [*COLOR_ENCODINGS, "16UC1", "32FC1", "64FC2", "8SC3", "16SC4", "32SC1", "8UC2"]


def random_pixels(encoding, height=8, width=6, seed=0):
    dtype, channels = encoding_layout(encoding)
    rows = height * 3 // 2 if encoding in ("nv12", "nv21") else height
    raw = np.random.default_rng(seed).integers(0, 256, (rows, width, channels * dtype.itemsize), np.uint8)
    if dtype.kind == "f":
        pixels = np.random.default_rng(seed).random((rows, width, channels)).astype(dtype)
    else:
        pixels = raw.view(dtype)
    return pixels[..., 0] if channels == 1 else pixels


def padded(msg, padding):
    """The same image with rows that end in `padding` bytes of rubbish."""
    rows = np.asarray(msg.data).reshape(-1, msg.step)
    data = np.concatenate([rows, np.full((len(rows), padding), 0xAB, np.uint8)], axis=1)
    fields = {**vars(msg), "step": msg.step + padding, "data": data.reshape(-1)}
    return Image(**fields)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("padding", [0, 1, 7, 16])
def test_round_trip_through_the_wire_with_padding(encoding, padding):
    pixels = random_pixels(encoding)
    msg = deserialize(serialize(padded(array_to_image(pixels, encoding, HEADER), padding)), Image)
    assert (msg.height, msg.width, msg.header) == (8, 6, HEADER)
    array = image_to_array(msg)
    np.testing.assert_array_equal(array, pixels)
    assert np.shares_memory(array, msg.data)
    assert not array.flags.writeable


@given(
    st.sampled_from(["mono16", "32FC1", "64FC2", "rgb16", "16UC1"]),
    st.booleans(),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.data(),
)
@settings(max_examples=40, deadline=None)
def test_either_byte_order(encoding, big, shape, data):
    dtype, channels = encoding_layout(encoding)
    dtype = dtype.newbyteorder(">" if big else "<")
    pixels = data.draw(hnp.arrays(dtype, shape if channels == 1 else (*shape, channels)))
    msg = array_to_image(pixels, encoding, HEADER)
    assert bool(msg.is_bigendian) == big
    np.testing.assert_array_equal(image_to_array(msg), pixels)


@pytest.mark.skipif(sys.byteorder != "little", reason="a native array is big endian here")
def test_message_of_a_contiguous_array_shares_it():
    pixels = random_pixels("rgb8")
    assert np.shares_memory(array_to_image(pixels, "rgb8", HEADER).data, pixels)
    half = pixels[:, ::2]
    np.testing.assert_array_equal(image_to_array(array_to_image(half, "rgb8", HEADER)), half)


def test_rgb8_is_a_view():
    msg = array_to_image(random_pixels("rgb8"), "rgb8", HEADER)
    assert np.shares_memory(color_from_image(msg), msg.data)


@pytest.mark.parametrize("encoding", COLOR_ENCODINGS)
@pytest.mark.parametrize("padding", [1, 8])
def test_color_is_rgb_whatever_the_padding(encoding, padding):
    msg = array_to_image(random_pixels(encoding), encoding, HEADER)
    color = color_from_image(msg)
    assert color.shape == (8, 6, 3)
    assert color.dtype == np.uint8
    np.testing.assert_array_equal(color_from_image(deserialize(serialize(padded(msg, padding)), Image)), color)


PURE = np.array([[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 255, 255)]], np.uint8).repeat(4, 0).repeat(4, 1)


@pytest.mark.parametrize(
    ("encoding", "channels"), [("rgb", (0, 1, 2)), ("bgr", (2, 1, 0)), ("rgba", (0, 1, 2, 0)), ("bgra", (2, 1, 0, 0))]
)
def test_channel_order(encoding, channels):
    pixels = PURE[..., list(channels)]
    np.testing.assert_array_equal(color_from_image(array_to_image(pixels, f"{encoding}8", HEADER)), PURE)
    wide = pixels.astype(np.uint16) * 257
    np.testing.assert_array_equal(color_from_image(array_to_image(wide, f"{encoding}16", HEADER)), PURE)
    big = wide.astype(">u2")
    np.testing.assert_array_equal(color_from_image(array_to_image(big, f"{encoding}16", HEADER)), PURE)


def test_generic_8_bit_encodings_are_in_the_order_of_opencv():
    bgr = PURE[..., ::-1]
    np.testing.assert_array_equal(color_from_image(array_to_image(bgr, "8UC3", HEADER)), PURE)
    grey = PURE[..., 0]
    np.testing.assert_array_equal(color_from_image(array_to_image(grey, "8UC1", HEADER)), grey[..., None].repeat(3, -1))


@given(hnp.arrays(np.uint16, (3, 5)))
@settings(deadline=None)
def test_mono16_scales_as_cv_bridge(grey):
    color = color_from_image(array_to_image(grey, "mono16", HEADER))
    expected = np.rint(grey * (255 / 65535)).astype(np.uint8)
    np.testing.assert_allclose(color[..., 0].astype(int), expected, atol=1)
    np.testing.assert_array_equal(color, color[..., :1].repeat(3, -1))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_pattern(pattern, bits):
    """A mosaic of a uniform colour, sampled as the pattern's name says, gives the colour."""
    colour = np.array([200, 100, 30])
    mosaic = np.array([colour["rgb".index(c)] for c in pattern]).reshape(2, 2)
    pixels = np.tile(mosaic, (6, 6)).astype(np.uint8)
    if bits == 16:
        pixels = pixels.astype(np.uint16) * 257
    color = color_from_image(array_to_image(pixels, f"bayer_{pattern}{bits}", HEADER))
    np.testing.assert_array_equal(color, np.broadcast_to(colour, (12, 12, 3)))


def yuv_of(rgb):
    """Studio-range BT.601, as cameras send it."""
    r, g, b = (rgb[..., i].astype(float) for i in range(3))
    y = 16 + (65.738 * r + 129.057 * g + 25.064 * b) / 256
    u = 128 + (-37.945 * r - 74.494 * g + 112.439 * b) / 256
    v = 128 + (112.439 * r - 94.154 * g - 18.285 * b) / 256
    return [np.rint(x).astype(np.uint8) for x in (y, u, v)]


@pytest.mark.parametrize("encoding", ["uyvy", "yuv422", "yuyv", "yuv422_yuy2", "nv12", "nv21"])
def test_yuv(encoding):
    y, u, v = yuv_of(PURE)
    if encoding.startswith("nv"):
        planes = np.stack([u, v] if encoding == "nv12" else [v, u], axis=-1)[::2, ::2]
        pixels = np.concatenate([y, planes.reshape(4, 8)])
    else:
        chroma = np.where(np.arange(8) % 2 == 0, u, v)
        pixels = np.stack([chroma, y] if encoding in ("uyvy", "yuv422") else [y, chroma], axis=-1)
    color = color_from_image(array_to_image(pixels, encoding, HEADER))
    np.testing.assert_allclose(color.astype(int), PURE.astype(int), atol=3)


def test_depth_in_millimetres():
    pixels = np.array([[0, 1, 1000], [1234, 65535, 500]], np.uint16)
    expected = np.array([[np.nan, 0.001, 1.0], [1.234, 65.535, 0.5]], np.float32)
    for encoding in ("16UC1", "mono16"):
        for order in "<>":
            msg = array_to_image(pixels.astype(f"{order}u2"), encoding, HEADER)
            depth = depth_from_image(msg)
            assert depth.dtype == np.float32
            np.testing.assert_array_equal(depth, expected)


def test_depth_in_metres():
    pixels = np.array([[np.nan, np.inf, -np.inf], [-1, 0, 2.5]], np.float32)
    expected = np.array([[np.nan] * 3, [np.nan, np.nan, 2.5]], np.float32)
    for order in "<>":
        depth = depth_from_image(array_to_image(pixels.astype(f"{order}f4"), "32FC1", HEADER))
        np.testing.assert_array_equal(depth, expected)
        assert depth.dtype.isnative
        assert depth.flags.writeable


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoding": "rgb9"}, "image encoding 'rgb9' is unknown; known: rgb8,"),
        ({"encoding": "8UC0"}, "unknown"),
        ({"height": 0}, "image is 6x0; both must be at least 1 pixel"),
        ({"step": 17}, "image 6x8 rgb8 has step 17; at least 18 needed"),
        ({"height": 9}, "image 6x9 rgb8 has 144 bytes; 162 needed"),
        ({"encoding": "nv12", "height": 7}, "width and height must be even"),
        ({"data": np.empty(0, np.uint8)}, "has 0 bytes; 144 needed"),
    ],
)
def test_bad_message(change, message):
    good = array_to_image(random_pixels("rgb8"), "rgb8", HEADER)
    with pytest.raises(ValueError, match=message) as error:
        image_to_array(Image(**{**vars(good), **change}))
    assert "\n" not in str(error.value)


def test_last_row_may_lack_its_padding():
    msg = padded(array_to_image(random_pixels("bgr8"), "bgr8", HEADER), 6)
    short = Image(**{**vars(msg), "data": msg.data[:-6]})
    np.testing.assert_array_equal(image_to_array(short), image_to_array(msg))


def test_a_step_of_zero_means_no_padding():
    msg = array_to_image(random_pixels("bgr8"), "bgr8", HEADER)
    np.testing.assert_array_equal(image_to_array(Image(**{**vars(msg), "step": 0})), random_pixels("bgr8"))


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_depth_is_not_colour(encoding):
    with pytest.raises(ValueError, match=f"encoding '{encoding}' is not colour; expected one of: rgb8"):
        color_from_image(array_to_image(random_pixels(encoding), encoding, HEADER))


@pytest.mark.parametrize("encoding", ["rgb8", "mono8", "64FC1"])
def test_colour_is_not_depth(encoding):
    with pytest.raises(ValueError, match=f"encoding '{encoding}' is not depth; expected 16UC1"):
        depth_from_image(array_to_image(random_pixels(encoding), encoding, HEADER))


@pytest.mark.parametrize(
    ("shape", "dtype", "encoding"),
    [((4, 4), np.uint8, "rgb8"), ((4, 4, 3), np.uint16, "rgb8"), ((4, 4, 1), np.uint8, "rgb8"), ((4,), "u1", "mono8"),
     ((5, 4), np.uint8, "nv12")],
)  # fmt: skip
def test_array_that_does_not_fit_its_encoding(shape, dtype, encoding):
    with pytest.raises(ValueError, match=f"does not fit encoding '{encoding}'; expected"):
        array_to_image(np.zeros(shape, dtype), encoding, HEADER)


@pytest.mark.parametrize(("encoding", "shape"), [("yuyv", (2, 3)), ("uyvy", (1, 1)), ("yuv422", (4, 5))])
def test_odd_width_of_shared_colour(encoding, shape):
    with pytest.raises(ValueError, match=f"image {shape[1]}x{shape[0]} {encoding}: width must be even$"):
        color_from_image(array_to_image(np.zeros((*shape, 2), np.uint8), encoding, HEADER))


def test_same_as_cv_bridge():
    """cv_bridge is the oracle where ROS is installed."""
    cv_bridge = pytest.importorskip("cv_bridge", reason="needs ROS 2")
    ros_image = pytest.importorskip("sensor_msgs.msg", reason="needs ROS 2").Image
    bridge = cv_bridge.CvBridge()
    for encoding in COLOR_ENCODINGS:
        if encoding in ("nv12", "nv21", "8UC1", "8UC3", "8UC4"):  # not colour to cv_bridge, or another layout
            continue
        msg = array_to_image(random_pixels(encoding, 16, 16), encoding, HEADER)
        theirs = ros_image(height=16, width=16, encoding=encoding, step=msg.step, data=msg.data.tobytes())
        np.testing.assert_allclose(
            color_from_image(msg).astype(int),
            bridge.imgmsg_to_cv2(theirs, "rgb8").astype(int),
            atol=1,
            err_msg=encoding,
        )


def test_conversion_leaves_the_message_alone():
    for encoding in COLOR_ENCODINGS:
        msg = array_to_image(random_pixels(encoding), encoding, HEADER)
        before = msg.data.copy()
        color_from_image(msg)
        np.testing.assert_array_equal(msg.data, before)


def test_opencv_is_version_4():
    assert cv2.__version__.startswith("4."), "OpenCV 5 breaks a cv_bridge built with OpenCV 4"
