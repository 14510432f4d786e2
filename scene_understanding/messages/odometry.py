"""`nav_msgs/Odometry` and `geometry_msgs/Twist` to arrays and back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry.pose import Pose
from scene_understanding.messages.transforms import pose_from_message, pose_to_message
from scene_understanding.messages.types import Header, Odometry, PoseWithCovariance, Twist, TwistWithCovariance, Vector3


@dataclass(frozen=True, eq=False)
class OdometryState:
    """Where the robot is and how it moves.

    Attributes:
        odom_from_base: pose of the robot in the header's frame.
        linear, angular: (3,) float64, m/s and rad/s, in the robot's own frame (REP-105, nav_msgs).
        pose_covariance, twist_covariance: (6, 6) float64; order x y z, rotation about x y z.
    """

    odom_from_base: Pose
    linear: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    angular: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    pose_covariance: NDArray[np.float64] = field(default_factory=lambda: np.zeros((6, 6)))
    twist_covariance: NDArray[np.float64] = field(default_factory=lambda: np.zeros((6, 6)))


def odometry_to_state(msg: Odometry) -> OdometryState:
    """Pose and velocity of a message.

    Raises:
        ValueError: a quaternion of zero length, or values that are not finite.
    """
    linear, angular = twist_to_arrays(msg.twist.twist)
    return OdometryState(
        odom_from_base=pose_from_message(msg.pose.pose),
        linear=linear,
        angular=angular,
        pose_covariance=np.asarray(msg.pose.covariance, np.float64).reshape(6, 6),
        twist_covariance=np.asarray(msg.twist.covariance, np.float64).reshape(6, 6),
    )


def state_to_odometry(state: OdometryState, header: Header, child_frame_id: str = "base_link") -> Odometry:
    """The message of a state."""
    pose = PoseWithCovariance(pose=pose_to_message(state.odom_from_base), covariance=_flat(state.pose_covariance))
    twist = TwistWithCovariance(
        twist=arrays_to_twist(state.linear, state.angular), covariance=_flat(state.twist_covariance)
    )
    return Odometry(header=header, child_frame_id=child_frame_id, pose=pose, twist=twist)


def _flat(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ascontiguousarray(covariance, np.float64).reshape(36)


def twist_to_arrays(msg: Twist) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Linear (3,) m/s and angular (3,) rad/s velocity.

    Raises:
        ValueError: values that are not finite.
    """
    linear = np.array([msg.linear.x, msg.linear.y, msg.linear.z], np.float64)
    angular = np.array([msg.angular.x, msg.angular.y, msg.angular.z], np.float64)
    if not (np.isfinite(linear).all() and np.isfinite(angular).all()):
        raise ValueError(f"twist {linear.tolist()}, {angular.tolist()} is not finite")
    return linear, angular


def arrays_to_twist(linear: NDArray[np.floating], angular: NDArray[np.floating]) -> Twist:
    """`geometry_msgs/Twist` of linear (3,) and angular (3,) velocity."""
    return Twist(linear=Vector3(*map(float, linear)), angular=Vector3(*map(float, angular)))
