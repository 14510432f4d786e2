import numpy as np
import pytest
from hypothesis import given, strategies as st

from scene_understanding.geometry import (
    PinholeCamera,
    Pose,
    median_depth,
    orbit,
    random_viewpoint,
    snapnet_r_viewpoints,
)
from scene_understanding.geometry.views import SNAPNET_R_ANGLES

distances = st.floats(0.3, 10)
angles = st.floats(-0.6, 0.6)
ups = st.tuples(st.floats(-0.4, 0.4), st.floats(-3, -0.5), st.floats(-0.6, 0.6))


def camera_place(view_from_source: Pose) -> np.ndarray:
    return view_from_source.inverse().translation


@given(distances, angles, angles, angles, st.floats(0.5, 2), ups)
def test_the_pivot_stays_on_the_optical_axis(distance, azimuth, elevation, roll, factor, up) -> None:
    pose = orbit(distance, azimuth, elevation, roll, factor, up)
    np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(pose.apply(np.array([0, 0, distance])), [0, 0, factor * distance], atol=1e-9)


@given(distances, st.floats(0.01, 0.6))
def test_a_level_camera_moves_right_and_up(distance, angle) -> None:
    right = (distance * np.sin(angle), 0, distance * (1 - np.cos(angle)))
    np.testing.assert_allclose(camera_place(orbit(distance, azimuth=angle)), right, atol=1e-9)
    above = (0, -distance * np.sin(angle), distance * (1 - np.cos(angle)))
    np.testing.assert_allclose(camera_place(orbit(distance, elevation=angle)), above, atol=1e-9)


def test_positive_roll_turns_the_camera_clockwise_so_that_the_scene_turns_the_other_way() -> None:
    u, v, _ = orbit(1, roll=0.1).apply(np.array([0, -1.0, 1]))
    assert u < 0 and v < 0


@given(distances, angles, ups)
def test_azimuth_keeps_the_height_and_elevation_adds_to_it(distance, azimuth, up) -> None:
    vertical = np.array(up) / np.linalg.norm(up)
    assert vertical @ camera_place(orbit(distance, azimuth=azimuth, up=up)) == pytest.approx(0, abs=1e-9)
    raised = vertical @ camera_place(orbit(distance, elevation=0.2, up=up))
    # A camera that looks down by p on a pivot at this distance is d sin(p) above it.
    pitch = np.arcsin(-vertical[2])
    assert raised == pytest.approx(distance * (np.sin(pitch + 0.2) - np.sin(pitch)), abs=1e-9)


def test_a_camera_that_looks_straight_down_can_be_moved_too() -> None:
    pose = orbit(2, 0.1, 0.1, up=(0, 0, -1))
    np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-9)


def test_the_five_views_of_the_paper() -> None:
    first, right, left, above, higher = (camera_place(pose) for pose in snapnet_r_viewpoints(2.0))
    np.testing.assert_allclose(first, 0, atol=1e-12)
    np.testing.assert_allclose(right * (-1, 1, 1), left, atol=1e-12)
    np.testing.assert_allclose(right[0], 2 * np.sin(np.radians(10)))
    np.testing.assert_allclose((above[1], higher[1]), -2 * np.sin(np.radians([10, 20])))
    assert len(SNAPNET_R_ANGLES) == 5


@given(st.integers(0, 2**32), distances)
def test_random_viewpoints_stay_in_their_ranges(seed, distance) -> None:
    place = camera_place(random_viewpoint(np.random.default_rng(seed), distance)) - (0, 0, distance)
    reach = np.linalg.norm(place)
    assert 0.8 * distance <= reach * (1 + 1e-9) and reach <= 1.25 * distance * (1 + 1e-9)
    assert -5.001 <= np.degrees(np.arcsin(-place[1] / reach)) <= 25.001
    assert abs(np.degrees(np.arctan2(place[0], -place[2]))) <= 20.001


def test_a_random_viewpoint_is_that_of_its_seed_and_ranges() -> None:
    one, same, other = (random_viewpoint(np.random.default_rng(s), 2.0) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.matrix, same.matrix)
    assert not np.allclose(one.matrix, other.matrix)
    none = (0.0, 0.0)
    still = random_viewpoint(np.random.default_rng(1), 2, azimuth=none, elevation=none, roll=none, factor=(1, 1))
    np.testing.assert_allclose(still.matrix, np.eye(4), atol=1e-12)


def test_median_depth_is_that_of_known_pixels() -> None:
    assert median_depth(np.array([[np.nan, 0, 1], [2, 9, -1]], np.float32)) == 2
    with pytest.raises(ValueError, match="no known pixel"):
        median_depth(np.zeros((2, 2), np.float32))


@pytest.mark.parametrize("wrong", [{"distance": 0.0}, {"distance": np.nan}, {"distance": 1, "factor": -1.0}])
def test_distances_must_be_above_zero(wrong) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        orbit(**wrong)


@pytest.mark.parametrize("up", [(0, 0, 0), (np.nan, 0, 0), (0, 1)])
def test_up_must_be_a_direction(up) -> None:
    with pytest.raises(ValueError, match="must be a direction"):
        orbit(1.0, up=up)


def test_the_pivot_is_seen_at_the_principal_point() -> None:
    camera = PinholeCamera(320, 240, 260, 260, 162.8, 126.9)
    for pose in snapnet_r_viewpoints(2.5, (0.1, -1, 0.2)):
        pixel, depth = camera.project(pose.apply(np.array([0, 0, 2.5])))
        np.testing.assert_allclose((*pixel, depth), (162.8, 126.9, 2.5), atol=1e-9)
