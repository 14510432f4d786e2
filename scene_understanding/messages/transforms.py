"""`tf2_msgs/TFMessage`, `geometry_msgs/TransformStamped`, `Pose` and `PoseStamped` to poses and back."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from scene_understanding.geometry.pose import Pose
from scene_understanding.geometry.transform_buffer import TransformBuffer
from scene_understanding.messages.header import make_header, stamp_to_ns
from scene_understanding.messages.types import (
    Header,
    Point,
    PoseMessage,
    PoseStamped,
    Quaternion,
    TFMessage,
    Transform,
    TransformStamped,
    Vector3,
)


def pose_from_transform(msg: Transform) -> Pose:
    """`parent_from_child` of a `geometry_msgs/Transform`.

    Raises:
        ValueError: a quaternion of zero length, or values that are not finite.
    """
    return _pose(msg.rotation, msg.translation)


def pose_from_message(msg: PoseMessage) -> Pose:
    """`frame_from_object` of a `geometry_msgs/Pose`.

    Raises:
        ValueError: a quaternion of zero length, or values that are not finite.
    """
    return _pose(msg.orientation, msg.position)


def _pose(rotation: Quaternion, translation: Vector3 | Point) -> Pose:
    t = (translation.x, translation.y, translation.z)
    if not np.isfinite(t).all():
        raise ValueError(f"translation {t} is not finite")
    return Pose.from_quaternion((rotation.x, rotation.y, rotation.z, rotation.w), t)


def pose_to_transform(pose: Pose) -> Transform:
    """`geometry_msgs/Transform` of `parent_from_child`."""
    return Transform(translation=Vector3(*map(float, pose.translation)), rotation=_quaternion(pose))


def pose_to_message(pose: Pose) -> PoseMessage:
    """`geometry_msgs/Pose` of `frame_from_object`."""
    return PoseMessage(position=Point(*map(float, pose.translation)), orientation=_quaternion(pose))


def pose_to_pose_stamped(pose: Pose, header: Header) -> PoseStamped:
    """`geometry_msgs/PoseStamped` of `frame_from_object`, the header's frame being the frame."""
    return PoseStamped(header=header, pose=pose_to_message(pose))


def _quaternion(pose: Pose) -> Quaternion:
    return Quaternion(*map(float, pose.as_quaternion()))


def pose_to_transform_stamped(parent: str, child: str, stamp_ns: int, parent_from_child: Pose) -> TransformStamped:
    """One transform of `/tf`."""
    header = make_header(stamp_ns, parent)
    return TransformStamped(header=header, child_frame_id=child, transform=pose_to_transform(parent_from_child))


def tf_message(transforms: Iterable[tuple[str, str, int, Pose]]) -> TFMessage:
    """`tf2_msgs/TFMessage` of (parent, child, stamp in nanoseconds, parent_from_child)."""
    return TFMessage(transforms=[pose_to_transform_stamped(*transform) for transform in transforms])


def add_tf_message(buffer: TransformBuffer, msg: TFMessage, static: bool = False) -> list[str]:
    """Fills a buffer from `/tf`, or `/tf_static`; takes in what is good.

    Returns:
        One line for each transform that was refused (no name, its own parent, a quaternion of zero length).
    """
    refused = []
    for transform in msg.transforms:
        header = transform.header
        try:
            pose = pose_from_transform(transform.transform)
            buffer.add(header.frame_id, transform.child_frame_id, stamp_to_ns(header.stamp), pose, static)
        except ValueError as error:
            refused.append(f"transform {header.frame_id!r} to {transform.child_frame_id!r} refused: {error}")
    return refused
