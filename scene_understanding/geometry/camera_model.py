"""A calibrated camera: the raw image with its lens, and the rectified image that geometry works on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scene_understanding.geometry.camera import PinholeCamera
from scene_understanding.geometry.distortion import Distortion, rectify_map


@dataclass(frozen=True, eq=False)
class CameraModel:
    """Both sides of a calibration, as `image_geometry::PinholeCameraModel`.

    A rectified image (ROS: `image_rect*`) has `rectified` alone; a raw one (`image_raw`, `image_color`) has `raw`,
    `distortion` and `rectified_from_raw`, and is remapped by `rectify_maps` first.

    Attributes:
        raw: intrinsics of the distorted image (K).
        rectified: intrinsics of the rectified image (the left of P).
        distortion: the lens (D).
        rectified_from_raw: (3, 3) float64 rotation (R); the identity but for a stereo pair.
        baseline: metres from the first camera of a stereo pair to this one along x (-P[0, 3] / P[0, 0]); else 0.

    Raises:
        ValueError: a rotation that is none.
    """

    raw: PinholeCamera
    rectified: PinholeCamera
    distortion: Distortion = field(default_factory=Distortion)
    rectified_from_raw: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    baseline: float = 0.0

    def __post_init__(self) -> None:
        rotation = self.rectified_from_raw
        small = rotation.shape == (3, 3) and np.abs(rotation).max() < 2  # of others the square may overflow
        if not small or not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
            raise ValueError(f"rectifying rotation is {rotation.tolist()}; expected a 3x3 rotation matrix")

    @classmethod
    def ideal(cls, camera: PinholeCamera) -> CameraModel:
        """A camera without a lens to correct: raw and rectified are the same."""
        return cls(camera, camera)

    @property
    def is_rectified(self) -> bool:
        """Whether the raw image is the rectified image already."""
        same_rotation = np.allclose(self.rectified_from_raw, np.eye(3), atol=1e-9)
        return self.distortion.is_none and same_rotation and self.raw == self.rectified

    @cached_property
    def rectify_maps(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """map_x, map_y (H, W) float32 for `cv2.remap`: the rectified image out of the raw one. Cached."""
        return rectify_map(self.raw, self.distortion, self.rectified, self.rectified_from_raw)

    @cached_property
    def raw_rays(self) -> NDArray[np.float32]:
        """(H, W, 3) float32: the point at depth z = 1 m seen by each pixel of the raw image, lens undone. Cached.

        NaN outside of the lens' range. Points are in the frame of the raw camera.
        """
        xy = self.distortion.undistort(self.raw.rays[..., :2])
        return np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1).astype(np.float32)

    def rectify_points(self, uv: ArrayLike) -> NDArray[np.float64]:
        """Pixels (..., 2) of the raw image in the rectified one, float64; NaN outside of the lens' range."""
        uv = np.asarray(uv, np.float64)
        xy = self.distortion.undistort((uv - (self.raw.cx, self.raw.cy)) / (self.raw.fx, self.raw.fy))
        rays = np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1) @ self.rectified_from_raw.T
        return self.rectified.project(rays)[0]

    def unrectify_points(self, uv: ArrayLike) -> NDArray[np.float64]:
        """Pixels (..., 2) of the rectified image in the raw one, float64; the inverse of `rectify_points`."""
        uv = np.asarray(uv, np.float64)
        camera = self.rectified
        xy = (uv - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
        rays = np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1) @ self.rectified_from_raw
        z = np.where(rays[..., 2:] > 1e-9, rays[..., 2:], np.nan)
        return self.distortion.distort(rays[..., :2] / z) * (self.raw.fx, self.raw.fy) + (self.raw.cx, self.raw.cy)
