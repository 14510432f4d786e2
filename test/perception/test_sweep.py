"""Scans of a LiDAR that moved: when each point was measured, and where it is."""

import numpy as np
import pytest

from scene_understanding.geometry import Pose, interpolate
from scene_understanding.perception.sweep import STEP_NS, at_rest, spin_offsets_ns
from scene_understanding.simulation.building import generate_building
from scene_understanding.simulation.lidar import Lidar
from scene_understanding.simulation.render import Renderer

PERIOD_NS = 100_000_000


@pytest.mark.parametrize("sense", [1, -1])
@pytest.mark.parametrize("start", [0.0, 1.0, np.pi, -2.5])
def test_the_azimuth_tells_the_time(sense: int, start: float) -> None:
    share = (np.arange(360).repeat(2) + 1) / 360
    azimuth = start + sense * 2 * np.pi * share
    xyz = np.stack([np.cos(azimuth), np.sin(azimuth), np.tile([-0.1, 0.1], 360)], axis=-1)
    kept = np.random.default_rng(0).random(720) < 0.7
    kept[-1] = True
    expected = np.rint((share - 1) * PERIOD_NS).astype(np.int64)[kept]
    np.testing.assert_allclose(spin_offsets_ns(xyz[kept], 0.1), expected, atol=2)


def test_the_simulated_lidar_has_those_times() -> None:
    lidar, world = Lidar(n_rings=4, n_azimuth=360), generate_building(4)
    renderer = Renderer(world)
    pose = world.start @ Pose.from_rotation_translation(np.eye(3), (0, 0, 0.5))
    scan = lidar.scan(renderer, pose, end=pose @ Pose.from_yaw(0.05, 0, 0.1))
    expected = scan.offset.astype(np.float64) * 1e9 - PERIOD_NS
    found = spin_offsets_ns(scan.xyz, lidar.period)
    assert np.abs(found - expected).max() < 2 * PERIOD_NS / 360


def test_scans_of_no_points_and_of_no_duration() -> None:
    assert spin_offsets_ns(np.empty((0, 3)), 0.1).shape == (0,)
    assert spin_offsets_ns(np.ones((1, 3)), 0.1).tolist() == [0]
    assert (spin_offsets_ns(np.random.default_rng(0).normal(size=(9, 3)), 0.0) == 0).all()
    assert at_rest(np.empty((0, 3)), np.empty(0, np.int64), lambda ns: Pose.identity()).shape == (0, 3)


def test_points_are_where_they_were_measured() -> None:
    begin, end = Pose.from_yaw(0, 0, 0), Pose.from_yaw(0.1, 0, 0.1)
    pose_at = lambda ns: interpolate(begin, end, ns / PERIOD_NS)  # noqa: E731
    rng = np.random.default_rng(1)
    world, stamps = rng.uniform(-5, 5, (200, 3)), rng.integers(0, PERIOD_NS, 200)
    local = np.stack([pose_at(ns).inverse().apply(p) for ns, p in zip(stamps, world, strict=True)])
    fixed = at_rest(local, stamps, pose_at)
    assert fixed.dtype == np.float32
    rate = (0.1 + 0.1 * 8.7) / PERIOD_NS  # of a point 8.7 m away, metres a nanosecond
    assert np.abs(fixed - world).max() < rate * STEP_NS / 2 + 1e-3
    assert np.abs(begin.apply(local) - world).max() > 0.2


def test_poses_are_asked_within_the_scan_only() -> None:
    asked: list[int] = []

    def pose_at(ns: int) -> Pose:
        asked.append(ns)
        return Pose.identity()

    stamps = np.array([10, 11, STEP_NS, 3 * STEP_NS + 7])
    at_rest(np.ones((4, 3)), stamps, pose_at)
    assert min(asked) >= 10 and max(asked) <= 3 * STEP_NS + 7 and len(asked) == 2
    asked.clear()
    at_rest(np.ones((2, 3)), np.array([5, 5]), pose_at)
    assert asked == [5]
