"""Cameras, poses and clouds. NumPy only."""

from scene_understanding.geometry.camera import PinholeCamera
from scene_understanding.geometry.pose import OPTICAL_FROM_BODY, Pose, interpolate

__all__ = ["OPTICAL_FROM_BODY", "PinholeCamera", "Pose", "interpolate"]
