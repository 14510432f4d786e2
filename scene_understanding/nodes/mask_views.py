"""What a node knows of a camera's newest mask: the mask, the depth that belongs to it, and where it was seen from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import CameraModel, PinholeCamera, Pose
from scene_understanding.labels import UNLABELLED
from scene_understanding.messages.camera_info import camera_info_to_camera
from scene_understanding.messages.header import stamp_to_ns
from scene_understanding.messages.image import depth_from_image, image_to_array
from scene_understanding.nodes.node import LATCHED, Context, Input, InputError, Synchronised
from scene_understanding.nodes.rgbd import CAMERA_INFO, IMAGE, calibration_key

LABEL_INFO = Input("label_info", "segmentation/label_info", "vision_msgs/msg/LabelInfo", LATCHED, latched=True)


@dataclass(frozen=True, eq=False)
class MaskView:
    """A mask and where it was seen from.

    Attributes:
        stamp_ns: of the mask.
        fixed_from_camera: then.
        camera: of the rectified image.
        mask, confidence: (H, W) uint8; depth: (H, W) float32; rectified. None where there is none.
    """

    stamp_ns: int
    fixed_from_camera: Pose
    camera: PinholeCamera
    mask: NDArray[np.uint8]
    confidence: NDArray[np.uint8] | None
    depth: NDArray[np.float32] | None


class MaskViews:
    """Makes views of the messages of the segmentation node and of its camera.

    Args:
        fixed_frame: in which the camera's place is wanted.
        use_depth: depth images are listened to.
        rectified: images are rectified (P holds); else raw (K and D hold).
        slop: between the stamps of mask and depth, seconds.
    """

    def __init__(self, fixed_frame: str, use_depth: bool, rectified: bool, slop: float) -> None:
        self._fixed_frame, self._rectified = fixed_frame, rectified
        images = [Input("mask", "segmentation/mask", IMAGE)]
        images.append(Input("confidence", "segmentation/confidence", IMAGE, required=False))
        if use_depth:
            images.append(Input("depth", "depth_registered/image_rect", IMAGE, required=False))
        self.inputs = (Synchronised(tuple(images), slop), CAMERA_INFO, LABEL_INFO)
        self._calibration: tuple[bytes, CameraModel] | None = None

    def view(self, messages: Mapping[str, Any], context: Context) -> MaskView:
        """The view of a set of messages that has a `mask`.

        Raises:
            InputError: images of other types or sizes.
            TransformError: it is not known where the camera was.
            ValueError: the camera is not calibrated.
        """
        mask = _octets(messages["mask"], "mask")
        confidence = _octets(messages["confidence"], "confidence") if "confidence" in messages else None
        depth = depth_from_image(messages["depth"]) if "depth" in messages else None
        model = self._camera_model(messages["camera_info"])
        for name, image in (("mask", mask), ("confidence", confidence), ("depth", depth)):
            if image is not None and image.shape != model.raw.shape:
                size, camera = f"{image.shape[1]}x{image.shape[0]}", f"{model.raw.width}x{model.raw.height}"
                raise InputError(f"{name} is {size}, camera_info is of {camera}")
        header = messages["mask"].header
        stamp_ns = stamp_to_ns(header.stamp)
        fixed_from_camera = context.transforms.lookup(self._fixed_frame, header.frame_id, stamp_ns)
        if not self._rectified:
            fixed_from_camera @= Pose.from_rotation_translation(model.rectified_from_raw.T, (0, 0, 0))
            mask = _remapped(mask, model, UNLABELLED)
            confidence = None if confidence is None else _remapped(confidence, model, 0)
            depth = None if depth is None else _remapped(depth, model, np.nan)
        return MaskView(stamp_ns, fixed_from_camera, model.rectified, mask, confidence, depth)

    def _camera_model(self, camera_info: Any) -> CameraModel:
        """Made anew only when the message differs in more than its header."""
        key = calibration_key(camera_info)
        if self._calibration is None or self._calibration[0] != key:
            self._calibration = key, camera_info_to_camera(camera_info)
        return self._calibration[1]


def _octets(message: Any, name: str) -> NDArray[np.uint8]:
    """(H, W) uint8. Raises InputError: another type."""
    image = image_to_array(message)
    if image.ndim != 2 or image.dtype != np.uint8:
        raise InputError(f"{name} is {image.dtype} of shape {image.shape}; expected one byte a pixel (mono8)")
    return image


def _remapped(image: NDArray[Any], model: CameraModel, outside: float) -> NDArray[Any]:
    """The rectified image; `outside` where the lens shows nothing."""
    return cv2.remap(image, *model.rectify_maps, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=outside)
