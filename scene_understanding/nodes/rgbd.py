"""What nodes that listen to a colour and a depth camera share: topics by transport, decoding, calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry.camera import PinholeCamera
from scene_understanding.geometry.camera_model import CameraModel
from scene_understanding.messages.camera_info import camera_info_to_camera
from scene_understanding.messages.compressed_image import color_from_compressed_image, depth_from_compressed_image
from scene_understanding.messages.image import color_from_image, depth_from_image
from scene_understanding.nodes.node import Input, InputError

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
TRANSPORTS = ("raw", "compressed")
CAMERA_INFO = Input("camera_info", "rgb/camera_info", "sensor_msgs/msg/CameraInfo", latched=True)


class RgbdImages:
    """Colour images and depth images registered to them, raw or compressed.

    Args:
        transport: `raw`, or `compressed`: topics end in /compressed and /compressedDepth.
    """

    def __init__(self, transport: str) -> None:
        self._compressed = transport == "compressed"
        self._type = COMPRESSED if self._compressed else IMAGE

    def color_input(self) -> Input:
        return Input("color", "rgb/image_rect_color" + "/compressed" * self._compressed, self._type)

    def depth_input(self, required: bool) -> Input:
        topic = "depth_registered/image_rect" + "/compressedDepth" * self._compressed
        return Input("depth", topic, self._type, required=required)

    def color(self, message: Any) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB."""
        return (color_from_compressed_image if self._compressed else color_from_image)(message)

    def depth(self, message: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """(H, W) float32, metres, NaN where unknown, of the size (H, W, ...) of the colour image.

        Raises:
            InputError: it is of another size.
        """
        depth = (depth_from_compressed_image if self._compressed else depth_from_image)(message)
        if depth.shape != shape[:2]:
            raise InputError(
                f"depth is {depth.shape[1]}x{depth.shape[0]}, colour {shape[1]}x{shape[0]}; "
                "depth must be registered to the colour image (depth_image_proc register)"
            )
        return depth


class Calibration:
    """The camera of CameraInfo messages, made anew only when they differ in more than their headers.

    Args:
        rectified: images are rectified (P holds); else raw (K and D hold).
    """

    def __init__(self, rectified: bool) -> None:
        self._rectified = rectified
        self._key = b""
        self._model: CameraModel | None = None

    def camera(self, camera_info: Any, shape: tuple[int, ...]) -> PinholeCamera:
        """Intrinsics of the image of `shape` (H, W, ...), lens aside.

        Raises:
            InputError: the image is of another size than the camera.
            ValueError: the camera is not calibrated; see `camera_info_to_camera`.
        """
        model = self._checked(camera_info, shape)
        return model.rectified if self._rectified else model.raw

    def rays(self, camera_info: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """(H, W, 3) float32 directions with z = 1 of the pixels, lens undone. Raises as `camera`."""
        model = self._checked(camera_info, shape)
        return model.rectified.rays if self._rectified else model.raw_rays

    def straight(self, camera_info: Any, shape: tuple[int, ...], pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pixels (..., 2) where `camera`, which has no lens, sees what the image has there. Raises as `camera`."""
        model = self._checked(camera_info, shape)
        if self._rectified:
            return pixels
        centre, focal_length = np.array([model.raw.cx, model.raw.cy]), np.array([model.raw.fx, model.raw.fy])
        return (model.distortion.undistort((pixels - centre) / focal_length) * focal_length + centre).astype(np.float32)

    def _checked(self, camera_info: Any, shape: tuple[int, ...]) -> CameraModel:
        key = calibration_key(camera_info)
        if self._model is None or self._key != key:
            self._model, self._key = camera_info_to_camera(camera_info), key
        camera = self._model.raw
        if camera.shape != shape[:2]:
            size = f"{shape[1]}x{shape[0]}"
            raise InputError(f"images are {size}, camera_info is of {camera.width}x{camera.height}")
        return self._model


def calibration_key(camera_info: Any) -> bytes:
    """Equal for two CameraInfo messages that differ in nothing but their headers."""
    roi = camera_info.roi
    size = (camera_info.width, camera_info.height, camera_info.binning_x, camera_info.binning_y)
    region = (roi.x_offset, roi.y_offset, roi.width, roi.height)
    arrays = (camera_info.d, camera_info.k, camera_info.r, camera_info.p)
    return repr((size, region, camera_info.distortion_model)).encode() + b"".join(a.tobytes() for a in arrays)
