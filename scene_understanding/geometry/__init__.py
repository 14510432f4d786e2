"""Cameras, poses, transforms over time and clouds. NumPy only."""

from scene_understanding.geometry.camera import PinholeCamera
from scene_understanding.geometry.camera_model import CameraModel
from scene_understanding.geometry.distortion import Distortion, rectify_map
from scene_understanding.geometry.point_cloud import PointCloud
from scene_understanding.geometry.pose import OPTICAL_FROM_BODY, Pose, interpolate
from scene_understanding.geometry.transform_buffer import ExtrapolationError, TransformBuffer, TransformError
from scene_understanding.geometry.views import (
    cone_viewpoints,
    least_seen,
    median_depth,
    orbit,
    random_viewpoint,
    snapnet_r_viewpoints,
)

__all__ = [
    "OPTICAL_FROM_BODY", "CameraModel", "Distortion", "ExtrapolationError", "PinholeCamera", "PointCloud", "Pose",
    "TransformBuffer", "TransformError", "cone_viewpoints", "interpolate", "least_seen", "median_depth", "orbit",
    "random_viewpoint", "rectify_map", "snapnet_r_viewpoints",
]  # fmt: skip
