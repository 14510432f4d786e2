"""`sensor_msgs/CameraInfo` to cameras and back.

Which matrix holds depends on the image: a rectified one (`image_rect*`) is described by P alone, a raw one by K, D and
R. `camera_info_to_camera` gives both sides, adjusted for binning and the region of interest as
`image_geometry::PinholeCameraModel` does it: offsets first, at full resolution, then the scale.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry.camera import PinholeCamera
from scene_understanding.geometry.camera_model import CameraModel
from scene_understanding.geometry.distortion import Distortion
from scene_understanding.messages.types import CameraInfo, Header, RegionOfInterest


def camera_info_to_camera(msg: CameraInfo) -> CameraModel:
    """The calibrated camera of a message, of the size of the image that it comes with.

    A P of zeros is taken as K (drivers of a single camera leave it out), an R of zeros as the identity.

    Raises:
        ValueError: zero intrinsics (an uncalibrated camera), values that are not finite, skew, an unknown distortion
            model, a region of interest that leaves the image.
    """
    if msg.width < 1 or msg.height < 1:
        raise ValueError(f"camera_info is of a {msg.width}x{msg.height} image; both must be at least 1 pixel")
    k = _matrix(msg, "k", 3)
    if not k[0, 0] or not k[1, 1]:
        raise ValueError("camera_info has zero intrinsics: the camera is not calibrated (camera_calibration does it)")
    p = _matrix(msg, "p", 4)
    if not p.any():
        p = np.hstack([k, np.zeros((3, 1))])
    r = _matrix(msg, "r", 3)
    width, height, roi = _image_size(msg)
    return CameraModel(
        raw=_pinhole("K", k, width, height, roi, msg),
        rectified=_pinhole("P", p, width, height, roi, msg),
        distortion=_distortion(msg),
        rectified_from_raw=r if r.any() else np.eye(3),
        baseline=float(-p[0, 3] / p[0, 0]) if p[0, 0] else 0.0,
    )


def _matrix(msg: CameraInfo, name: str, columns: int) -> NDArray[np.float64]:
    values = np.asarray(getattr(msg, name), np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"camera_info {name.upper()} is {values.tolist()}; all must be finite")
    return values.reshape(3, columns)


def _distortion(msg: CameraInfo) -> Distortion:
    try:
        return Distortion.of(msg.distortion_model, msg.d)
    except ValueError as error:
        raise ValueError(f"camera_info D: {error}") from error


def _image_size(msg: CameraInfo) -> tuple[int, int, tuple[int, int]]:
    """Width and height of the image as published, and the region's offset at full resolution."""
    roi = msg.roi
    if roi.width == 0 and roi.height == 0:
        x, y, width, height = 0, 0, msg.width, msg.height
    else:
        x, y, width, height = roi.x_offset, roi.y_offset, roi.width, roi.height
    if width < 1 or height < 1 or x + width > msg.width or y + height > msg.height:
        region = f"{roi.width}x{roi.height} at ({roi.x_offset}, {roi.y_offset})"
        raise ValueError(f"camera_info has a region of interest {region} outside of its {msg.width}x{msg.height} image")
    binned = width // max(msg.binning_x, 1), height // max(msg.binning_y, 1)
    if min(binned) < 1:
        raise ValueError(f"camera_info bins {msg.binning_x}x{msg.binning_y} pixels of a {width}x{height} image to none")
    return *binned, (x, y)


def _pinhole(
    name: str, matrix: NDArray[np.float64], width: int, height: int, roi: tuple[int, int], msg: CameraInfo
) -> PinholeCamera:
    if abs(matrix[0, 1]) > 1e-6 * abs(matrix[0, 0]):
        raise ValueError(f"camera_info {name} has skew {matrix[0, 1]}; only cameras without skew are supported")
    bx, by = max(msg.binning_x, 1), max(msg.binning_y, 1)
    try:
        return PinholeCamera(
            width, height, float(matrix[0, 0] / bx), float(matrix[1, 1] / by),
            float((matrix[0, 2] - roi[0]) / bx), float((matrix[1, 2] - roi[1]) / by),
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(f"camera_info {name}: {error}") from error


def check_image_size(camera: PinholeCamera, shape: tuple[int, ...], what: str = "image") -> None:
    """Holds that an image of shape (H, W, ...) is of the camera's size.

    Raises:
        ValueError: it is not.
    """
    if shape[:2] != (camera.height, camera.width):
        size = f"{shape[1]}x{shape[0]}"
        raise ValueError(f"{what} is {size}, its camera_info {camera.width}x{camera.height}; they must be the same")


def camera_to_camera_info(camera: CameraModel | PinholeCamera, header: Header) -> CameraInfo:
    """The message of a camera; a `PinholeCamera` has no distortion."""
    if isinstance(camera, PinholeCamera):
        camera = CameraModel.ideal(camera)
    if (camera.raw.width, camera.raw.height) != (camera.rectified.width, camera.rectified.height):
        raise ValueError("raw and rectified image differ in size; a CameraInfo holds one size")
    p = np.hstack([camera.rectified.matrix, [[-camera.rectified.fx * camera.baseline], [0.0], [0.0]]])
    model = "plumb_bob" if camera.distortion.is_none else camera.distortion.model
    return CameraInfo(
        header=header, height=camera.raw.height, width=camera.raw.width, distortion_model=model,
        d=np.array(camera.distortion.coefficients or np.zeros(5), np.float64), k=camera.raw.matrix.ravel(),
        r=camera.rectified_from_raw.ravel(), p=p.ravel(), binning_x=0, binning_y=0,
        roi=RegionOfInterest(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    )  # fmt: skip


def rectify_image(image: NDArray[Any], camera: CameraModel, nearest: bool = False) -> NDArray[Any]:
    """The rectified (H, W, ...) image of a raw one; the very array where there is nothing to do.

    Args:
        nearest: take the nearest pixel and do not mix: for depth, masks and whatever has no mean. Pixels that the raw
            image does not show are then NaN (float) or 0, else 0.

    Raises:
        ValueError: an image of another size than the camera's.
    """
    check_image_size(camera.raw, image.shape)
    if camera.is_rectified:
        return image
    interpolation = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    border = float("nan") if image.dtype.kind == "f" else 0
    return cv2.remap(image, *camera.rectify_maps, interpolation, borderMode=cv2.BORDER_CONSTANT, borderValue=border)
