import numpy as np
import pytest
from hypothesis import given, strategies as st

from scene_understanding.geometry import Pose
from scene_understanding.mapping.path_follower import PathFollower, angle_between, in_the_way, nears, steer

BEND = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0]])


def drive(follower: PathFollower, pose: Pose, speed: float = 0.6, dt: float = 0.1, steps: int = 200) -> np.ndarray:
    """Places of a robot that does as it is told at once."""
    places = [pose.translation[:2]]
    for _ in range(steps):
        xy, yaw = pose.translation[:2], pose.yaw
        error = angle_between(follower.bearing(xy), yaw)
        if follower.finished:
            break
        v = steer(error, follower.left(xy), 1.0, speed * follower.straightness(xy), 1.5)
        pose = pose @ Pose.from_yaw(v.linear * dt, 0.0, v.angular * dt)
        places.append(pose.translation[:2])
    return np.array(places)


def test_a_bend_is_followed_to_its_end_and_not_cut() -> None:
    follower = PathFollower(BEND)
    places = drive(follower, Pose.from_yaw(0, 0, 2.0))
    assert follower.finished
    np.testing.assert_allclose(places[-1], BEND[-1], atol=0.15)
    off = np.minimum(np.abs(places[:, 1]) + np.maximum(places[:, 0] - 2, 0), np.abs(places[:, 0] - 2))
    assert off.max() < 0.2


def test_it_slows_down_before_a_bend() -> None:
    follower = PathFollower(BEND)
    follower.bearing(np.array([0.0, 0.0]))
    assert follower.straightness(np.array([0.5, 0.0])) == pytest.approx(1.0)
    assert follower.straightness(np.array([1.6, 0.0])) == pytest.approx(0.35)


def test_what_is_left_is_told_in_small_steps() -> None:
    follower = PathFollower(BEND)
    np.testing.assert_allclose(follower.ahead(np.array([1.0, 0.0])), [[1, 0], [2, 0], [2, 2]])
    points = follower.next(np.array([1.5, 0.0]), 1.0)
    np.testing.assert_allclose(points[[0, -1]], [[1.5, 0], [2.0, 0.5]], atol=1e-9)
    assert np.linalg.norm(np.diff(points, axis=0), axis=1).max() < 0.051


def test_an_empty_way_is_finished() -> None:
    assert PathFollower().finished


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_angles_wrap(a: float, b: float) -> None:
    turn = angle_between(a, b)
    assert -np.pi <= turn <= np.pi and np.cos(b + turn - a) == pytest.approx(1.0)


@given(st.floats(-np.pi, np.pi), st.floats(0, 5), st.floats(0, 2))
def test_commands_stay_within_the_limits(error: float, left: float, room: float) -> None:
    v = steer(error, left, room, 0.7, 1.2)
    assert 0 <= v.linear <= 0.7 and abs(v.angular) <= 1.2
    assert v.linear == 0 or abs(error) <= 0.5


def test_in_the_way_is_ahead_and_near() -> None:
    pose = Pose.from_yaw(1.0, 1.0, np.pi / 2)
    for point, expected in (((1.0, 1.8), True), ((1.3, 1.8), True), ((1.5, 1.8), False), ((1.0, 2.2), False),
                            ((1.0, 0.5), False)):  # fmt: skip
        assert in_the_way(pose, np.array([point]), 1.0, 0.4) is expected
    assert in_the_way(pose, np.zeros((0, 2)), 1.0, 0.4) is False


def test_what_nears_somebody_is_a_way_towards_them() -> None:
    pose = Pose.from_yaw(1.0, 1.0, np.pi / 2)
    for place, expected in (((1.0, 1.7), True), ((1.3, 1.5), True), ((1.45, 1.2), False), ((1.0, 2.0), False),
                            ((1.0, 0.7), False)):  # fmt: skip
        assert nears(pose, np.array([place]), 0.5, 0.4) is expected, place
    assert nears(pose, np.zeros((0, 2)), 0.5, 0.4) is False
