"""Normal, noise, shape and height of a cloud's points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scene_understanding.perception.cloud_features import cloud_features, height_above_ground


def lattice(across: np.ndarray, along: np.ndarray, step: float = 0.1, side: int = 30) -> np.ndarray:
    a, b = np.meshgrid(np.arange(side), np.arange(side))
    return (step * (a[..., None] * across + b[..., None] * along)).reshape(-1, 3).astype(np.float32)


X, Y, Z = np.eye(3)


@settings(max_examples=20, deadline=None)
@given(azimuth=st.floats(0, 2 * np.pi), tilt=st.floats(0, np.pi / 2))
def test_a_plane_has_its_normal_and_nothing_else(azimuth: float, tilt: float) -> None:
    normal = np.array([np.sin(tilt) * np.cos(azimuth), np.sin(tilt) * np.sin(azimuth), np.cos(tilt)])
    across = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    found = cloud_features(lattice(across, np.cross(normal, across)), 13)
    np.testing.assert_allclose(np.abs(found.normal @ normal), 1, atol=1e-3)
    assert (found.normal[:, 2] >= 0).all()
    np.testing.assert_allclose(found.verticality, tilt / (np.pi / 2), atol=0.02)
    assert found.noise.max() < 1e-4 and found.scattering.max() < 1e-4
    inside = found.planarity.reshape(30, 30)[4:-4, 4:-4]
    assert inside.min() > 0.95
    np.testing.assert_allclose(found.spacing.reshape(30, 30)[1:-1, 1:-1], 0.1, rtol=1e-3)


def test_a_line_is_linear_and_a_ball_is_noise() -> None:
    rng = np.random.default_rng(0)
    line = (np.linspace(0, 10, 200)[:, None] * X).astype(np.float32)
    assert cloud_features(line).linearity.min() > 0.999
    ball = rng.normal(0, 1, (3000, 3)).astype(np.float32)
    found = cloud_features(ball, 100)
    assert np.median(found.noise) > 0.6 and found.noise.max() <= 1
    np.testing.assert_allclose(found.linearity + found.planarity + found.scattering, 1, atol=1e-5)


def test_features_go_with_their_points() -> None:
    rng = np.random.default_rng(1)
    floor = np.column_stack([rng.uniform(0, 4, (2000, 2)), rng.normal(0, 0.01, 2000)])
    xyz = np.concatenate([floor, rng.normal(1.5, 0.3, (500, 3))]).astype(np.float32)
    shuffled = rng.permutation(len(xyz))
    one, other = cloud_features(xyz, 20), cloud_features(xyz[shuffled], 20)
    for name in ("normal", "verticality", "noise", "linearity", "planarity", "scattering", "height", "spacing"):
        np.testing.assert_allclose(getattr(one, name)[shuffled], getattr(other, name), atol=1e-3, err_msg=name)


def test_many_equal_points_are_nothing_in_particular() -> None:
    found = cloud_features(np.ones((50, 3), np.float32), 10)
    assert not found.linearity.any() and not found.noise.any() and np.isfinite(found.normal).all()


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_few_points_have_features(count: int) -> None:
    found = cloud_features(np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32))
    for name in ("verticality", "noise", "linearity", "planarity", "scattering", "height", "spacing"):
        values = getattr(found, name)
        assert values.shape == (count,) and values.dtype == np.float32 and np.isfinite(values).all(), name


def test_height_is_above_the_slope_that_things_stand_on() -> None:
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 60, (40_000, 2))
    slope = 0.15 * xy[:, 0]
    standing = (np.abs(xy - (30, 30)) < 3).all(axis=1)
    z = slope + np.where(standing, 2.0, 0.0)
    height = height_above_ground(np.column_stack([xy, z]).astype(np.float32))
    inside = (xy > 6).all(axis=1) & (xy < 54).all(axis=1)
    assert np.abs(height[inside & ~standing]).max() < 0.4
    assert np.abs(height[inside & standing] - 2).max() < 0.6


def test_a_few_points_below_the_ground_do_not_move_it() -> None:
    rng = np.random.default_rng(0)
    xyz = np.column_stack([rng.uniform(0, 20, (40_000, 2)), np.zeros(40_000)]).astype(np.float32)
    xyz[:40, 2] = -5.0
    assert np.median(height_above_ground(xyz)) == 0


def test_what_hides_the_ground_at_the_rim_is_not_ground() -> None:
    rng = np.random.default_rng(0)
    ground = np.column_stack([rng.uniform(0, 20, (20_000, 2)), np.zeros(20_000)])
    wall = np.column_stack([rng.uniform(0, 20, 4000), np.full(4000, 20.5), rng.uniform(2.5, 8, 4000)])
    beyond = np.array([[10.0, 50.0, 0.0]])
    height = height_above_ground(np.concatenate([ground, wall, beyond]).astype(np.float32))
    np.testing.assert_allclose(height[20_000:-1], wall[:, 2], atol=1e-4)


def test_wishes_that_cannot_be_met_are_told() -> None:
    xyz = np.zeros((4, 3), np.float32)
    with pytest.raises(ValueError, match="neighbours is 2; a plane needs at least 3"):
        cloud_features(xyz, 2)
    with pytest.raises(ValueError, match="cell is 2.0 m, window 1.0 m"):
        height_above_ground(xyz, 2.0, 1.0)
    xyz[0] = 1e6
    with pytest.raises(ValueError, match="is too wide; cut it into tiles"):
        height_above_ground(xyz)
