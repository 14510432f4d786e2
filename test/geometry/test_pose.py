import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from scene_understanding.geometry import OPTICAL_FROM_BODY, Pose, interpolate

finite = st.floats(-10, 10)
quaternions = hnp.arrays(np.float64, 4, elements=st.floats(-1, 1)).filter(lambda q: np.linalg.norm(q) > 0.1)
poses = st.builds(Pose.from_quaternion, quaternions, hnp.arrays(np.float64, 3, elements=finite))


@given(poses)
def test_rotation_is_orthonormal_and_the_quaternion_returns(pose):
    np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose.rotation) == pytest.approx(1)
    again = Pose.from_quaternion(pose.as_quaternion(), pose.translation)
    np.testing.assert_allclose(again.matrix, pose.matrix, atol=1e-9)


@given(poses, poses)
def test_group(a, b):
    np.testing.assert_allclose((a @ a.inverse()).matrix, np.eye(4), atol=1e-9)
    np.testing.assert_allclose((a @ b).inverse().matrix, (b.inverse() @ a.inverse()).matrix, atol=1e-9)


@given(poses, poses, hnp.arrays(np.float64, (4, 5, 3), elements=finite))
def test_apply_composes(a, b, points):
    np.testing.assert_allclose((a @ b).apply(points), a.apply(b.apply(points)), atol=1e-9)


def test_apply_keeps_float32():
    assert Pose.from_yaw(1, 2, 3).apply(np.zeros((2, 3), np.float32)).dtype == np.float32


@given(poses, poses)
def test_interpolation_ends(a, b):
    np.testing.assert_allclose(interpolate(a, b, 0.0).matrix, a.matrix, atol=1e-7)
    np.testing.assert_allclose(interpolate(a, b, 1.0).matrix, b.matrix, atol=1e-7)


@given(st.floats(-3, 3), st.floats(-1.5, 1.5), st.floats(0, 1))
def test_interpolation_turns_evenly(yaw, turn, t):
    pose = interpolate(Pose.from_yaw(0, 0, yaw), Pose.from_yaw(2, 0, yaw + turn), t)
    difference = pose.yaw - (yaw + t * turn)
    assert abs(np.arctan2(np.sin(difference), np.cos(difference))) < 1e-6
    assert pose.translation[0] == pytest.approx(2 * t)


def test_optical_frame():
    """Ahead, left and up of the body are z, -x and -y of the camera."""
    np.testing.assert_array_equal(OPTICAL_FROM_BODY @ np.eye(3), [[0, -1, 0], [0, 0, -1], [1, 0, 0]])


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (np.nan, 0, 0, 1)])
def test_bad_quaternion(quaternion):
    with pytest.raises(ValueError, match="cannot be normalised"):
        Pose.from_quaternion(quaternion)
