"""Rigid transforms. A `Pose` named `map_from_camera` takes camera coordinates to map coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Pose:
    """A rigid transform `target_from_source`.

    Attributes:
        matrix: (4, 4) float64, homogeneous, rotation orthonormal.
    """

    matrix: NDArray[np.float64]

    @classmethod
    def identity(cls) -> Pose:
        return cls(np.eye(4))

    @classmethod
    def from_rotation_translation(cls, rotation: ArrayLike, translation: ArrayLike) -> Pose:
        """From a (3, 3) rotation and a (3,) translation in metres."""
        matrix = np.eye(4)
        matrix[:3, :3] = rotation
        matrix[:3, 3] = translation
        return cls(matrix)

    @classmethod
    def from_quaternion(cls, quaternion: ArrayLike, translation: ArrayLike = (0, 0, 0)) -> Pose:
        """From a quaternion (x, y, z, w) as in ROS, normalised here, and a translation in metres.

        Raises:
            ValueError: a quaternion of zero length or with values that are not finite.
        """
        q = np.asarray(quaternion, np.float64)
        norm = np.linalg.norm(q)
        if not np.isfinite(norm) or norm < 1e-9:
            raise ValueError(f"quaternion {q.tolist()} (x, y, z, w) cannot be normalised")
        x, y, z, w = q / norm
        rotation = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        return cls.from_rotation_translation(rotation, translation)

    @classmethod
    def from_yaw(cls, x: float, y: float, yaw: float, z: float = 0.0) -> Pose:
        """Planar pose: heading `yaw` in radians about +z (REP-103: x forward, y left, z up)."""
        c, s = np.cos(yaw), np.sin(yaw)
        return cls.from_rotation_translation([[c, -s, 0], [s, c, 0], [0, 0, 1]], [x, y, z])

    @property
    def rotation(self) -> NDArray[np.float64]:
        """(3, 3) view."""
        return self.matrix[:3, :3]

    @property
    def translation(self) -> NDArray[np.float64]:
        """(3,) view, metres."""
        return self.matrix[:3, 3]

    @property
    def yaw(self) -> float:
        """Heading about +z, radians."""
        return float(np.arctan2(self.matrix[1, 0], self.matrix[0, 0]))

    def as_quaternion(self) -> NDArray[np.float64]:
        """(x, y, z, w) with w >= 0, by the largest of the four candidates (Shepperd 1978)."""
        m = self.rotation
        trace = np.trace(m)
        four_squares = np.array([1 + 2 * m[0, 0] - trace, 1 + 2 * m[1, 1] - trace, 1 + 2 * m[2, 2] - trace, 1 + trace])
        k = int(np.argmax(four_squares))
        q = np.empty(4)
        if k == 3:
            q[:] = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], four_squares[3]
        else:
            i, j, l = k, (k + 1) % 3, (k + 2) % 3
            q[i], q[3] = four_squares[k], m[l, j] - m[j, l]
            q[j], q[l] = m[j, i] + m[i, j], m[l, i] + m[i, l]
        q /= np.linalg.norm(q)
        return -q if q[3] < 0 else q

    def inverse(self) -> Pose:
        rotation = self.rotation.T
        return Pose.from_rotation_translation(rotation, -rotation @ self.translation)

    def __matmul__(self, other: Pose) -> Pose:
        """`a_from_b @ b_from_c` is `a_from_c`."""
        return Pose(self.matrix @ other.matrix)

    def apply(self, points: NDArray[Any]) -> NDArray[Any]:
        """Points (..., 3) taken from source to target; float32 stays float32."""
        dtype = np.result_type(points.dtype, np.float32)
        return points @ self.rotation.T.astype(dtype) + self.translation.astype(dtype)


def interpolate(a: Pose, b: Pose, t: float) -> Pose:
    """Pose at fraction t in [0, 1] from a to b: linear in translation, slerp in rotation."""
    qa, qb = a.as_quaternion(), b.as_quaternion()
    dot = float(qa @ qb)
    if dot < 0:
        qb, dot = -qb, -dot
    angle = np.arccos(min(dot, 1.0))
    if angle < 1e-6:
        q = (1 - t) * qa + t * qb
    else:
        q = (np.sin((1 - t) * angle) * qa + np.sin(t * angle) * qb) / np.sin(angle)
    return Pose.from_quaternion(q, (1 - t) * a.translation + t * b.translation)


OPTICAL_FROM_BODY = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
"""Rotation from a body frame (x forward, y left, z up) to its optical frame (x right, y down, z forward)."""
