import numpy as np
import pytest

from scene_understanding.geometry import Pose
from scene_understanding.simulation.classes import Nyu40
from scene_understanding.simulation.lidar import Lidar

SMALL = Lidar(n_rings=8, n_azimuth=180, noise=0.0, dropout=0.0)


@pytest.fixture(scope="module")
def pose(world):
    return world.start @ Pose.from_rotation_translation(np.eye(3), (0, 0, 0.5))


def test_returns_lie_on_the_world(renderer, pose):
    scan = SMALL.scan(renderer, pose)
    distance = np.linalg.norm(scan.xyz, axis=1)
    directions = scan.xyz / distance[:, None] @ pose.rotation.T.astype(np.float32)
    rays = np.concatenate([np.broadcast_to(pose.translation, directions.shape), directions], axis=1).astype(np.float32)
    hits = renderer.cast(rays, 0.0)
    np.testing.assert_allclose(hits.distance, distance, atol=1e-3)
    floor = scan.label == Nyu40.FLOOR
    assert floor.any()
    np.testing.assert_allclose(pose.apply(scan.xyz[floor])[:, 2], 0, atol=0.01)


def test_rings_and_offsets(renderer, pose):
    scan = SMALL.scan(renderer, pose)
    elevation = np.arctan2(scan.xyz[:, 2], np.hypot(scan.xyz[:, 0], scan.xyz[:, 1]))
    np.testing.assert_allclose(elevation, np.linspace(SMALL.lowest, SMALL.highest, 8)[scan.ring], atol=1e-4)
    azimuth = np.arctan2(scan.xyz[:, 1], scan.xyz[:, 0]) % (2 * np.pi)
    np.testing.assert_allclose(np.exp(1j * azimuth), np.exp(2j * np.pi * scan.offset / SMALL.period), atol=1e-3)
    assert (np.diff(scan.offset) >= 0).all()
    assert 0 <= scan.intensity.min() and scan.intensity.max() <= 1


def test_noise_and_dropout_follow_the_seed(renderer, pose):
    lidar = Lidar(n_rings=8, n_azimuth=180, noise=0.02, dropout=0.05)
    one, two, other = (lidar.scan(renderer, pose, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.xyz, two.xyz)
    assert one.xyz.shape != other.xyz.shape or not np.array_equal(one.xyz, other.xyz)
    assert len(one.xyz) < len(SMALL.scan(renderer, pose).xyz)


def test_a_turning_robot_smears_the_scan(renderer, pose):
    turned = pose @ Pose.from_yaw(0, 0, 0.5)
    scan = SMALL.scan(renderer, pose, end=turned)
    later = scan.offset > 0.9 * SMALL.period
    still = turned.apply(scan.xyz[later]) - pose.apply(scan.xyz[later])
    assert np.abs(still).max() > 0.1
    floor = scan.label == Nyu40.FLOOR
    np.testing.assert_allclose(pose.apply(scan.xyz[floor])[:, 2], 0, atol=0.01)


def test_wrong_settings_are_told():
    with pytest.raises(ValueError, match="at least 1"):
        Lidar(n_rings=0)
    with pytest.raises(ValueError, match="nearest < farthest"):
        Lidar(nearest=5, farthest=2)
