import numpy as np
import pytest

from scene_understanding.simulation.classes import Nyu40
from scene_understanding.simulation.lidar import Lidar
from scene_understanding.simulation.robot import Command, RobotLimits
from scene_understanding.simulation.simulator import EmbeddedSimulator, Simulator
from scene_understanding.simulation.wander import Wander


@pytest.fixture
def simulator(world, camera):
    return EmbeddedSimulator(4, world=world, camera=camera, lidar=Lidar(8, 180))


def test_lockstep(simulator):
    driven: Simulator = simulator
    first = driven.reset()
    assert first.time_ns == driven.time_ns == 0 and first.collisions == 0
    np.testing.assert_array_equal(first.odom_from_base.matrix, np.eye(4))
    second = driven.step(0.1, Command(0.3, 0.2))
    assert second.time_ns == 100_000_000
    assert not np.array_equal(first.map_from_base.matrix, second.map_from_base.matrix)
    again = driven.reset()
    for name in ("rgb", "depth"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    np.testing.assert_array_equal(first.scan.xyz, again.scan.xyz)


def test_clock_adds_up_exactly(simulator):
    for _ in range(30):
        simulator.advance(1 / 30, Command())
    assert simulator.time_ns == 30 * 33_333_333
    with pytest.raises(ValueError, match="above 0"):
        simulator.advance(0.0, Command())


@pytest.mark.parametrize("dt", [0.025, 0.04, 0.05, 0.1, 0.2])
def test_scan_begins_a_period_ago_however_long_the_steps_are(simulator, monkeypatch, dt):
    sweeps = []
    monkeypatch.setattr(Lidar, "scan", lambda self, renderer, start, times, end, *noise: sweeps.append((start, end)))
    for _ in range(round(2 / dt)):
        simulator.advance(dt, Command(0.0, 0.4))
    simulator.observe()
    start, end = sweeps[0]
    assert end.yaw - start.yaw == pytest.approx(0.4 * Lidar.period, rel=1e-3)
    simulator.reset()
    start, end = sweeps[1]
    np.testing.assert_array_equal(start.matrix, end.matrix)


def test_scan_and_camera_agree_with_the_floor(simulator):
    o = simulator.reset()
    pose = o.map_from_base @ o.base_from_camera
    floor = o.truth.label == Nyu40.FLOOR
    points = pose.apply(o.camera.back_project(o.truth.depth))[floor]
    np.testing.assert_allclose(points[:, 2], 0, atol=0.02)
    on_floor = o.scan.label == Nyu40.FLOOR
    np.testing.assert_allclose((o.map_from_base @ o.base_from_lidar).apply(o.scan.xyz[on_floor])[:, 2], 0, atol=0.05)


def test_visible_joints_are_seen(simulator):
    """Where a joint is called visible, the image shows that person at its depth."""
    wander, seen = Wander(simulator.world, RobotLimits(), 0), 0
    for _ in range(12):
        for _ in range(15):
            simulator.advance(0.1, wander.command(simulator.robot.map_from_base, simulator.crowd.places(), 0.1))
        o = simulator.step(0.1, Command())
        pose = o.map_from_base @ o.base_from_camera
        pixels, depth = o.camera.project(pose.inverse().apply(o.people.joints))
        for k, j in np.argwhere(o.people.visible):
            u, v = np.rint(pixels[k, j]).astype(int)
            assert o.truth.instance[v, u] == o.people.instance[k]
            assert abs(o.truth.depth[v, u] - depth[k, j]) < 0.25
            seen += 1
    assert o.people.joints.shape == (len(simulator.world.people), 18, 3)
    assert seen > 0


def test_wander_visits_rooms_and_hits_nothing(simulator):
    wander, visited = Wander(simulator.world, RobotLimits(), 1), set()
    for _ in range(1800):
        simulator.advance(0.1, wander.command(simulator.robot.map_from_base, simulator.crowd.places(), 0.1))
        xy = simulator.robot.map_from_base.translation[:2]
        visited |= {i for i, room in enumerate(simulator.world.rooms) if room.contains(xy)}
    assert simulator.robot.collisions == 0
    assert len(visited) >= 4


def test_same_seed_same_drive(world, camera):
    poses = []
    for _ in range(2):
        simulator = EmbeddedSimulator(4, world=world, camera=camera)
        wander = Wander(world, RobotLimits(), 2)
        for _ in range(300):
            simulator.advance(0.1, wander.command(simulator.robot.map_from_base, simulator.crowd.places(), 0.1))
        poses.append(simulator.robot.map_from_base.matrix)
    np.testing.assert_array_equal(*poses)
