import numpy as np
import pytest

from scene_understanding.geometry import Pose
from scene_understanding.mapping.grid import OccupancyGrid
from scene_understanding.simulation.odometry import OdometryNoise, WheelOdometry
from scene_understanding.simulation.robot import Command, Robot, RobotLimits

LIMITS = RobotLimits()


@pytest.fixture
def hall():
    """6 m by 4 m, walls around."""
    occupied = np.zeros((80, 120), bool)
    occupied[:4] = occupied[-4:] = True
    occupied[:, :4] = occupied[:, -4:] = True
    return OccupancyGrid(np.zeros(2), 0.05, occupied)


def drive(robot, command, seconds, people=None):
    for _ in range(round(seconds / 0.05)):
        robot.step(command, 0.05, people)
    return robot.map_from_base


def test_drives_straight_and_turns(hall):
    robot = Robot(hall, Pose.from_yaw(1, 2, 0), LIMITS)
    pose = drive(robot, Command(0.5, 0), 2)
    assert 0.8 < pose.translation[0] - 1 < 1.0 and abs(pose.translation[1] - 2) < 1e-9
    drive(robot, Command(0, 0), 1)
    assert robot.speed == (0, 0)
    assert abs(drive(robot, Command(0, 1.0), 1).yaw - 1.0) < 0.2
    assert robot.collisions == 0


def test_limits_hold(hall):
    robot = Robot(hall, Pose.from_yaw(1, 2, 0), LIMITS)
    robot.step(Command(100, 100), 0.1)
    assert robot.speed == pytest.approx((LIMITS.acceleration * 0.1, LIMITS.turn_acceleration * 0.1))
    drive(robot, Command(0.0, -100), 2)
    assert robot.speed.angular == pytest.approx(-LIMITS.turn)


def test_cannot_pass_a_wall_and_counts_one_collision(hall):
    robot = Robot(hall, Pose.from_yaw(3, 2, 0), LIMITS)
    pose = drive(robot, Command(0.8, 0), 10)
    assert pose.translation[0] < 6 - 0.2 - LIMITS.radius
    assert robot.collisions == 1
    drive(robot, Command(-0.4, 0), 1)
    drive(robot, Command(0.8, 0), 3)
    assert robot.collisions == 2


def test_slides_along_a_wall_at_a_slant(hall):
    robot = Robot(hall, Pose.from_yaw(1, 3.2, 0.4), LIMITS)
    pose = drive(robot, Command(0.6, 0), 6)
    assert pose.translation[0] > 2.5 and pose.translation[1] < 4 - 0.2 - LIMITS.radius + 0.03
    assert robot.collisions >= 1


def test_people_are_in_the_way_but_let_go(hall):
    robot = Robot(hall, Pose.from_yaw(1, 2, 0), LIMITS)
    person = np.array([[2.5, 2.0]])
    assert drive(robot, Command(0.5, 0), 5, person).translation[0] < 2.1
    assert robot.collisions == 1
    assert drive(robot, Command(-0.5, 0), 2, person).translation[0] < 1.5


def test_wrong_limits_are_told():
    with pytest.raises(ValueError, match="robot radius is 0"):
        RobotLimits(radius=0)


def square(odometry, side=4.0, steps=80):
    """The true pose at the end of a square driven in small steps."""
    pose = Pose.identity()
    for _ in range(4):
        for motion in [Pose.from_yaw(side / steps, 0, 0)] * steps + [Pose.from_yaw(0, 0, np.pi / 40)] * 20:
            odometry.update(pose, pose @ motion)
            pose = pose @ motion
    return pose


def test_odometry_without_noise_is_true():
    odometry = WheelOdometry(OdometryNoise(0, 0, 0, 0, 0), 0)
    np.testing.assert_allclose(square(odometry).matrix, odometry.odom_from_base.matrix, atol=1e-9)


def test_odometry_drifts_within_bounds():
    errors = []
    for seed in range(20):
        odometry = WheelOdometry(OdometryNoise(), seed)
        errors.append(np.linalg.norm(square(odometry).translation - odometry.odom_from_base.translation))
    assert 0.02 < np.median(errors) < 0.6 and max(errors) < 2.0
    one, two = WheelOdometry(OdometryNoise(), 5), WheelOdometry(OdometryNoise(), 5)
    square(one), square(two)
    np.testing.assert_array_equal(one.odom_from_base.matrix, two.odom_from_base.matrix)
