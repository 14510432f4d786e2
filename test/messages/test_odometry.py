import numpy as np
import pytest

from scene_understanding.geometry import Pose
from scene_understanding.messages.header import make_header
from scene_understanding.messages.odometry import (
    OdometryState,
    arrays_to_twist,
    odometry_to_state,
    state_to_odometry,
    twist_to_arrays,
)
from scene_understanding.messages.types import Odometry, deserialize, serialize


def test_round_trip():
    covariance = np.arange(36.0).reshape(6, 6)
    state = OdometryState(
        Pose.from_yaw(1, 2, 0.5), np.array([1.0, 0, 0]), np.array([0, 0, 0.2]), covariance, covariance.T
    )
    msg = deserialize(serialize(state_to_odometry(state, make_header(3, "odom"), "base")), Odometry)
    assert (msg.header.frame_id, msg.child_frame_id) == ("odom", "base")
    back = odometry_to_state(msg)
    np.testing.assert_allclose(back.odom_from_base.matrix, state.odom_from_base.matrix, atol=1e-12)
    for name in ("linear", "angular", "pose_covariance", "twist_covariance"):
        np.testing.assert_array_equal(getattr(back, name), getattr(state, name))


def test_default_is_at_rest():
    assert (
        odometry_to_state(state_to_odometry(OdometryState(Pose.identity()), make_header(0, "odom"))).linear.sum() == 0
    )


def test_twist_that_is_not_finite():
    with pytest.raises(ValueError, match="not finite"):
        twist_to_arrays(arrays_to_twist(np.array([np.nan, 0, 0]), np.zeros(3)))
