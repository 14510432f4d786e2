"""Where SnapNet's cameras stand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from scene_understanding.geometry import PinholeCamera, cone_viewpoints, least_seen

coordinate = st.floats(-500, 500)


@given(
    seed=st.integers(0, 2**32 - 1), target=st.tuples(coordinate, coordinate, coordinate), low=st.floats(-90, 90),
    span=st.floats(0, 180), distances=st.lists(st.floats(0.1, 50), min_size=1, max_size=4),
)  # fmt: skip
def test_cameras_of_a_ray_look_at_the_target(
    seed: int, target: tuple[float, float, float], low: float, span: float, distances: list[float]
) -> None:
    high = min(low + span, 90.0)
    poses = cone_viewpoints(np.random.default_rng(seed), target, distances, (low, high))
    assert len(poses) == len(distances)
    camera = PinholeCamera.from_fov(64, 48, 1.0)
    for pose, distance in zip(poses, distances, strict=True):
        np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(pose.rotation) == pytest.approx(1)
        pixel, depth = camera.project(pose.inverse().apply(np.array(target)))
        np.testing.assert_allclose(pixel, (camera.cx, camera.cy), atol=1e-6)
        assert depth == pytest.approx(distance)
        above = np.degrees(np.arcsin(np.clip((pose.translation[2] - target[2]) / distance, -1, 1)))
        assert low - 1e-4 <= above <= high + 1e-4
        assert abs(pose.rotation[2, 0]) < 1e-12  # the image's rows are level
        assert pose.rotation[2, 1] <= 1e-12  # and its columns do not go up


def test_straight_down_has_a_roll_too() -> None:
    (pose,) = cone_viewpoints(np.random.default_rng(3), (1.0, 2.0, 3.0), (10.0,), (90.0, 90.0))
    np.testing.assert_allclose(pose.translation, (1, 2, 13), atol=1e-9)
    np.testing.assert_allclose(pose.rotation[:, 2], (0, 0, -1), atol=1e-9)
    assert np.linalg.norm(pose.rotation[:2, 0]) == pytest.approx(1)


def test_rays_are_spread() -> None:
    rng = np.random.default_rng(0)
    places = np.array([cone_viewpoints(rng, (0, 0, 0), (1.0,), (0.0, 60.0))[0].translation for _ in range(400)])
    azimuth = np.histogram(np.arctan2(places[:, 1], places[:, 0]), 4, (-np.pi, np.pi))[0]
    elevation = np.histogram(np.degrees(np.arcsin(places[:, 2])), 3, (0, 60))[0]
    assert azimuth.min() > 60 and elevation.min() > 90


@pytest.mark.parametrize(
    ("distances", "elevation", "message"),
    [
        ((), (70.0, 90.0), r"distances are \[\] m; expected one or more above 0"),
        ((5.0, 0.0), (70.0, 90.0), r"distances are \[5.0, 0.0\] m"),
        ((5.0,), (90.0, 70.0), "elevation is 90.0 to 70.0 degrees"),
        ((5.0,), (70.0, 91.0), "expected -90 <= lowest <= highest <= 90"),
    ],
)
def test_what_is_no_cone_is_told(distances: tuple[float, ...], elevation: tuple[float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cone_viewpoints(np.random.default_rng(0), (0, 0, 0), distances, elevation)


def test_the_least_seen_are_drawn_evenly() -> None:
    seen = np.array([2, 1, 3, 1, 1, 5])
    rng = np.random.default_rng(0)
    drawn = np.bincount([least_seen(rng, seen) for _ in range(600)], minlength=6)
    assert drawn[[0, 2, 5]].sum() == 0 and drawn[[1, 3, 4]].min() > 150
