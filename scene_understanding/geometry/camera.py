"""Pinhole camera in the optical frame of REP-103 (x right, y down, z forward)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]


@dataclass(frozen=True)
class PinholeCamera:
    """Intrinsics of an undistorted camera.

    Attributes:
        width, height: image size in pixels.
        fx, fy: focal lengths in pixels.
        cx, cy: principal point in pixels; the centre of the top-left pixel is (0, 0), as in OpenCV.

    Raises:
        ValueError: a size below one pixel, or a focal length that is not positive and finite.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"camera size is {self.width}x{self.height}; both must be at least 1 pixel")
        for name in ("fx", "fy", "cx", "cy"):
            if not np.isfinite(getattr(self, name)):
                raise ValueError(f"camera {name} is {getattr(self, name)}; it must be finite")
        if self.fx <= 0 or self.fy <= 0:
            raise ValueError(f"camera focal length is ({self.fx}, {self.fy}) px; both must be above 0")

    @classmethod
    def from_fov(cls, width: int, height: int, horizontal_fov: float) -> PinholeCamera:
        """Camera with square pixels and a centred principal point; `horizontal_fov` in radians."""
        f = width / 2 / np.tan(horizontal_fov / 2)
        return cls(width, height, f, f, (width - 1) / 2, (height - 1) / 2)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), as of an image's array."""
        return self.height, self.width

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The 3x3 matrix K."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    def resized(self, width: int, height: int) -> PinholeCamera:
        """The camera of the same view after the image is resized (pixel centres kept true)."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self, width=width, height=height, fx=self.fx * sx, fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5, cy=(self.cy + 0.5) * sy - 0.5,
        )  # fmt: skip

    @property
    def mirrored(self) -> PinholeCamera:
        """The camera of the same view after left and right are exchanged."""
        return replace(self, cx=self.width - 1 - self.cx)

    @cached_property
    def rays(self) -> NDArray[np.float32]:
        """(H, W, 3) float32: the point at depth z = 1 m seen by each pixel. Cached, read-only."""
        x = (np.arange(self.width, dtype=np.float32) - np.float32(self.cx)) / np.float32(self.fx)
        y = (np.arange(self.height, dtype=np.float32) - np.float32(self.cy)) / np.float32(self.fy)
        rays = np.empty((self.height, self.width, 3), np.float32)
        rays[..., 0], rays[..., 1], rays[..., 2] = x, y[:, None], 1
        rays.flags.writeable = False
        return rays

    def back_project(self, depth: Float) -> NDArray[np.float32]:
        """Points (H, W, 3) float32, metres, camera frame, of depth (H, W) along z; NaN stays NaN."""
        if depth.shape != (self.height, self.width):
            raise ValueError(f"depth is {depth.shape[1]}x{depth.shape[0]}, the camera {self.width}x{self.height}")
        return self.rays * depth.astype(np.float32, copy=False)[..., None]

    def project(self, points: Float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixels (..., 2) and depths (...) of points (..., 3) in the camera frame.

        Points at or behind the camera plane get NaN pixels.
        """
        z = np.asarray(points[..., 2], np.float64)
        safe = np.where(z > 0, z, np.nan)
        u = self.fx * points[..., 0] / safe + self.cx
        v = self.fy * points[..., 1] / safe + self.cy
        return np.stack([u, v], axis=-1), z
