"""Our image conversions against those of cv_bridge, for every encoding that both know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs a sourced ROS 2")
pytest.importorskip("cv_bridge", reason="cv_bridge is not installed")
pytest.importorskip("cv_bridge.boost.cv_bridge_boost", reason="cv_bridge does not fit this Python or OpenCV")

from cv_bridge import CvBridge
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image

from scene_understanding.messages.compressed_image import color_from_compressed_image, color_to_compressed_image
from scene_understanding.messages.header import make_header
from scene_understanding.messages.image import (
    COLOR_ENCODINGS,
    array_to_image,
    color_from_image,
    encoding_layout,
    image_to_array,
)
from scene_understanding.messages.types import deserialize, serialize

pytestmark = pytest.mark.ros

BRIDGE = CvBridge()
GENERIC = tuple(f"{kind}C{n}" for kind in ("8U", "8S", "16U", "16S", "32S", "32F", "64F") for n in (1, 2, 3, 4))
PLAIN = ("rgb8", "bgr8", "rgba8", "bgra8", "mono8", "rgb16", "bgr16", "rgba16", "bgra16", "mono16")
BAYER = tuple(e for e in COLOR_ENCODINGS if e.startswith("bayer_"))
YUV = ("yuv422", "yuv422_yuy2")
# cv_bridge does not convert OpenCV's own types and semi-planar images, and knows the YUV formats by their old names.
CONVERTED = tuple(e for e in COLOR_ENCODINGS if e not in (*GENERIC, "nv12", "nv21", "uyvy", "yuyv"))


def ros_image(encoding: str, pad: int = 0) -> Image:
    """Random pixels in a ROS message, with `pad` pixels after each row."""
    dtype, channels = encoding_layout(encoding)
    height, width = 18, 26
    message = Image(height=height, width=width, encoding=encoding, step=(width + pad) * channels * dtype.itemsize)
    random = np.random.default_rng(sum(encoding.encode()))
    message.data = random.integers(0, 256, message.step * height, np.uint8).tobytes()
    return message


def ours(message: Any) -> Any:
    return deserialize(serialize_message(message), "sensor_msgs/msg/Image")


@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize("encoding", (*PLAIN, *BAYER, *YUV, *GENERIC))
def test_same_pixels(encoding: str, pad: int) -> None:
    message = ros_image(encoding, pad)
    theirs = BRIDGE.imgmsg_to_cv2(message)
    found = image_to_array(ours(message))
    assert (found.dtype, found.shape) == (theirs.dtype, theirs.shape)
    assert found.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("encoding", CONVERTED)
def test_same_colours(encoding: str) -> None:
    message = ros_image(encoding)
    np.testing.assert_array_equal(color_from_image(ours(message)), BRIDGE.imgmsg_to_cv2(message, "rgb8"))


@pytest.mark.parametrize("encoding", (*PLAIN, *GENERIC))
def test_same_message(encoding: str) -> None:
    array = BRIDGE.imgmsg_to_cv2(ros_image(encoding))
    made = deserialize_message(bytes(serialize(array_to_image(array, encoding, make_header(0, "")))), Image)
    assert made == BRIDGE.cv2_to_imgmsg(array, encoding)


@pytest.mark.parametrize("file_format", ["png", "jpeg"])
def test_same_compressed_colours(file_format: Any) -> None:
    rgb = BRIDGE.imgmsg_to_cv2(ros_image("rgb8"))
    sent = bytes(serialize(color_to_compressed_image(rgb, make_header(0, "camera"), file_format)))
    theirs = BRIDGE.compressed_imgmsg_to_cv2(deserialize_message(sent, CompressedImage), "rgb8")
    np.testing.assert_array_equal(
        color_from_compressed_image(deserialize(sent, "sensor_msgs/msg/CompressedImage")), theirs
    )
