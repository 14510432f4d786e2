"""Lens distortion of normalised image coordinates (x/z, y/z), as OpenCV and `sensor_msgs/CameraInfo` define it.

Models, by their ROS names:
    plumb_bob: k1 k2 p1 p2 [k3] (Brown 1971).
    rational_polynomial: k1 k2 p1 p2 k3 k4 k5 k6 [s1 s2 s3 s4], OpenCV's rational and thin-prism model.
    equidistant: k1 k2 k3 k4 (Kannala and Brandt 2006), the fisheye model; "fisheye" is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scene_understanding.geometry.camera import PinholeCamera

_COUNTS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12), "equidistant": (4,)}
_ALIASES = {"fisheye": "equidistant"}

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Distortion:
    """A distortion model with its coefficients.

    Attributes:
        model: "none", "plumb_bob", "rational_polynomial" or "equidistant".
        coefficients: in the order above; none for the model "none".

    Raises:
        ValueError: an unknown model, a wrong number of coefficients, or one that is not finite.
    """

    model: str = "none"
    coefficients: tuple[float, ...] = ()

    @classmethod
    def of(cls, model: str, coefficients: ArrayLike) -> Distortion:
        """From the fields of CameraInfo: "fisheye" is taken for "equidistant", and an empty list for no distortion.

        All-zero coefficients of the polynomial models are no distortion; those of "equidistant" still are a fisheye.
        Zeros after the last coefficient that the model knows are dropped (drivers pad D, OpenCV gives 14).
        """
        values = tuple(float(value) for value in np.ravel(np.asarray(coefficients, np.float64)))
        model = _ALIASES.get(model, model)
        if not values or (not any(values) and model != "equidistant"):
            return cls()
        most = _COUNTS.get(model, (len(values),))[-1]
        return cls(model, values if any(values[most:]) else values[:most])

    def __post_init__(self) -> None:
        counts = (0,) if self.model == "none" else _COUNTS.get(self.model)
        if counts is None:
            raise ValueError(f"distortion model {self.model!r} is unknown; expected one of: {', '.join(_COUNTS)}")
        if len(self.coefficients) not in counts:
            expected = " or ".join(map(str, counts))
            raise ValueError(f"{self.model} has {len(self.coefficients)} coefficients; expected {expected}")
        if not np.isfinite(self.coefficients).all():
            raise ValueError(f"{self.model} has coefficients {list(self.coefficients)}; all must be finite")

    @property
    def is_none(self) -> bool:
        return self.model == "none"

    def distort(self, xy: ArrayLike) -> Float64:
        """Where the lens puts ideal normalised coordinates xy (..., 2); (..., 2) float64."""
        xy = np.asarray(xy, np.float64)
        if self.is_none:
            return xy.copy()
        if self.model == "equidistant":
            return xy * _fisheye_scale(xy, self.coefficients)
        return _distort_polynomial(xy, self.coefficients)

    def undistort(self, xy: ArrayLike, iterations: int = 50, tolerance: float = 1e-10) -> Float64:
        """The inverse of `distort` for coordinates (..., 2), by Newton's method; (..., 2) float64.

        NaN where no ideal coordinate leads there, such as outside the image circle of a fisheye.
        """
        target = np.asarray(xy, np.float64)
        if self.is_none:
            return target.copy()
        if self.model == "equidistant":
            return _undistort_fisheye(target, self.coefficients, iterations, tolerance)
        return self._undistort_polynomial(target, iterations, tolerance)

    def _undistort_polynomial(self, target: Float64, iterations: int, tolerance: float) -> Float64:
        xy = target.copy()
        with np.errstate(all="ignore"):
            for _ in range(iterations):
                residual = _distort_polynomial(xy, self.coefficients) - target
                if not np.nanmax(np.abs(residual), initial=0.0) > tolerance:
                    break
                xy = xy - _solve_2x2(self._jacobian(xy), residual)
            error = np.abs(_distort_polynomial(xy, self.coefficients) - target).max(axis=-1)
            j = self._jacobian(xy)
            # Past the radius where the polynomial turns back, the image is folded or mirrored: no lens does that.
            unfolded = j[..., 0, 0] * j[..., 1, 1] > j[..., 0, 1] * j[..., 1, 0]
            found = (error < 1e-6) & unfolded & ((xy * target).sum(axis=-1) >= 0)
        return np.where(found[..., None], xy, np.nan)

    def _jacobian(self, xy: Float64, step: float = 1e-6) -> Float64:
        """(..., 2, 2): derivative of `distort`, by central differences."""
        columns = []
        for axis in np.eye(2) * step:
            columns.append((self.distort(xy + axis) - self.distort(xy - axis)) / (2 * step))
        return np.stack(columns, axis=-1)


def _solve_2x2(matrix: Float64, vector: Float64) -> Float64:
    a, b, c, d = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 0], matrix[..., 1, 1]
    determinant = a * d - b * c
    u = (d * vector[..., 0] - b * vector[..., 1]) / determinant
    v = (a * vector[..., 1] - c * vector[..., 0]) / determinant
    return np.stack([u, v], axis=-1)


def _distort_polynomial(xy: Float64, coefficients: tuple[float, ...]) -> Float64:
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = (*coefficients, *(0.0,) * (12 - len(coefficients)))
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    if k4 or k5 or k6:
        radial = radial / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + r2 * (s1 + r2 * s2)
    v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y + r2 * (s3 + r2 * s4)
    return np.stack([u, v], axis=-1)


def _fisheye_angle(theta: Float64, coefficients: tuple[float, ...]) -> Float64:
    k1, k2, k3, k4 = coefficients
    t2 = theta * theta
    return theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))


def _fisheye_scale(xy: Float64, coefficients: tuple[float, ...]) -> Float64:
    """(..., 1): distorted radius over ideal radius."""
    r = np.hypot(xy[..., 0], xy[..., 1])
    scale = np.divide(_fisheye_angle(np.arctan(r), coefficients), r, out=np.ones_like(r), where=r > 1e-9)
    return scale[..., None]


def _undistort_fisheye(xy: Float64, coefficients: tuple[float, ...], iterations: int, tolerance: float) -> Float64:
    k1, k2, k3, k4 = coefficients
    distorted = np.hypot(xy[..., 0], xy[..., 1])
    theta = np.minimum(distorted, np.pi / 2)
    with np.errstate(all="ignore"):
        for _ in range(iterations):
            residual = _fisheye_angle(theta, coefficients) - distorted
            if not np.nanmax(np.abs(residual), initial=0.0) > tolerance:
                break
            t2 = theta * theta
            slope = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
            theta = theta - residual / slope
        found = (np.abs(_fisheye_angle(theta, coefficients) - distorted) < 1e-6) & (theta >= 0) & (theta < np.pi / 2)
        scale = np.divide(np.tan(theta), distorted, out=np.ones_like(distorted), where=distorted > 1e-9)
    return np.where(found[..., None], xy * scale[..., None], np.nan)


def rectify_map(
    raw: PinholeCamera,
    distortion: Distortion,
    rectified: PinholeCamera,
    rectified_from_raw: ArrayLike | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For every pixel of the rectified image, where to look in the raw one: the maps of `cv2.remap`.

    Args:
        raw: K of the distorted image.
        distortion: its lens.
        rectified: the ideal camera to make the image of.
        rectified_from_raw: (3, 3) rotation, R of CameraInfo; none for the identity.

    Returns:
        map_x, map_y: (H, W) float32 of the rectified size, pixels of the raw image; NaN-free, and far outside of the
        raw image where the ray lies behind it.
    """
    rays = rectified.rays.astype(np.float64)
    if rectified_from_raw is not None:
        rays = rays @ np.asarray(rectified_from_raw, np.float64)
    z = rays[..., 2]
    ahead = z > 1e-9
    xy = distortion.distort(rays[..., :2] / np.where(ahead, z, 1.0)[..., None])
    map_x = np.where(ahead, raw.fx * xy[..., 0] + raw.cx, -1e6)
    map_y = np.where(ahead, raw.fy * xy[..., 1] + raw.cy, -1e6)
    return map_x.astype(np.float32), map_y.astype(np.float32)
