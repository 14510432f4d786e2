"""A room that a map is made of: a floor, a wall ahead, and boxes in between, seen by a camera."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from scene_understanding.geometry import OPTICAL_FROM_BODY, PinholeCamera, PointCloud, Pose
from scene_understanding.labels import load_label_set

LABELS = load_label_set("nyu13")
CAMERA = PinholeCamera.from_fov(160, 120, np.deg2rad(70))
MAP_FROM_CAMERA = Pose.from_rotation_translation(OPTICAL_FROM_BODY.T, (0.0, 0.0, 0.9))
WALL_AT = 3.01

Box = tuple[tuple[float, float, float], tuple[float, float, float], str]


def see(*boxes: Box, pose: Pose = MAP_FROM_CAMERA, camera: PinholeCamera = CAMERA, reach: float = np.inf) -> PointCloud:
    """What the camera sees of floor, wall and boxes (lowest corner, highest corner, class), labelled; its own frame."""
    rays = camera.rays.reshape(-1, 3).astype(np.float64) @ pose.rotation.T
    start = pose.translation
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = [np.where(rays[:, 2] < 0, -start[2] / rays[:, 2], np.inf),
                 np.where(rays[:, 0] > 0, (WALL_AT - start[0]) / rays[:, 0], np.inf)]  # fmt: skip
        for low, high, _ in boxes:
            a, b = ((np.array(corner) - start) / rays for corner in (low, high))
            enter, leave = np.minimum(a, b).max(1), np.maximum(a, b).min(1)
            depth.append(np.where((enter > 0) & (enter < leave), enter, np.inf))
    nearest = np.argmin(depth, axis=0)
    names = ("floor", "wall", *(name for _, _, name in boxes))
    label = np.array([LABELS.id_of(name) for name in names], np.uint16)[nearest]
    z = np.min(depth, axis=0)
    z[z > reach] = np.nan
    xyz = (camera.rays.reshape(-1, 3) * z[:, None]).astype(np.float32)
    shape = (camera.height, camera.width)
    return PointCloud(xyz.reshape(*shape, 3), label=label.reshape(shape), confidence=np.full(shape, 0.8, np.float32))


@pytest.fixture
def scene() -> Callable[..., PointCloud]:
    return see
