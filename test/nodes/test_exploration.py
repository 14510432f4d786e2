"""The exploration node on the in-process bus: when it drives, when it stands, what it says."""

from collections import defaultdict

import numpy as np
import pytest

from scene_understanding.geometry import PointCloud, Pose
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.clock import SimulatedClock
from scene_understanding.hosts.inline import advance, settle
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.mapping.exploration import Explorer
from scene_understanding.messages.header import make_header
from scene_understanding.messages.occupancy_grid import array_to_occupancy_grid, path_to_array
from scene_understanding.messages.people import PeopleArrays, arrays_to_people
from scene_understanding.messages.point_cloud import cloud_to_point_cloud2
from scene_understanding.messages.transforms import pose_from_message, tf_message
from scene_understanding.nodes.exploration import CLOUD, GRID, PEOPLE, ExplorationNode, Parameters
from scene_understanding.nodes.node import LATCHED, RELIABLE, SENSOR, ConfigurationError

STEP = 10**8
TF, BOOL = "tf2_msgs/msg/TFMessage", "std_msgs/msg/Bool"
OUTPUTS = {
    "/cmd_vel": "geometry_msgs/msg/Twist", "/goal_pose": "geometry_msgs/msg/PoseStamped",
    "/exploration/path": "nav_msgs/msg/Path", "/exploration/frontiers": "visualization_msgs/msg/MarkerArray",
    "/exploration/done": BOOL,
}  # fmt: skip
SIGHT = {"field_of_view": 6.2832, "nearest": 0.8, "farthest": 4.0}
"""All around, as in a room so small there is nothing to step back for."""
START = Pose.from_yaw(1.0, 1.0, 0.0)


def room(known: bool) -> np.ndarray:
    """3 m by 2 m; all of it known, or only its left half."""
    values = np.zeros((40, 60), np.int8)
    values[[0, -1]], values[:, [0, -1]] = 100, 100
    if not known:
        values[:, 30:] = -1
    return values


class Rig:
    """The node, inline, by a clock that the test tells, and a robot that does what it is told."""

    def __init__(self, **parameters) -> None:
        self.bus, self.heard, self.clock = Bus(), defaultdict(list), SimulatedClock()
        self.runner = NodeRunner(
            ExplorationNode(Parameters(**{**SIGHT, **parameters})), self.bus, clock=self.clock, inline=True
        ).start()
        for topic, msgtype in OUTPUTS.items():
            qos = LATCHED if topic.endswith("done") else RELIABLE
            self.bus.subscribe(topic, msgtype, qos, "/test", self._hear(topic))
        advertise = lambda topic, msgtype, qos=SENSOR: self.bus.advertise(topic, msgtype, qos, "/test")  # noqa: E731
        self.tf, self.tf_static = advertise("/tf", TF, RELIABLE), advertise("/tf_static", TF, LATCHED)
        self.occupancy = advertise("/semantic_map/occupancy", GRID, LATCHED)
        self.people, self.points = advertise("/keypoints/people", PEOPLE, RELIABLE), advertise("/points", CLOUD)
        mount = Pose.from_rotation_translation(np.eye(3), (0.35, 0.0, 0.5))
        self.tf_static.publish(tf_message([("base_link", "lidar", 1, mount)]))
        self.pose = START
        self.clock.set(10**10)

    def _hear(self, topic: str):
        return lambda delivery: self.heard[topic].append(delivery.message())

    def show(self, known: bool = False) -> None:
        header = make_header(self.clock.now_ns, "map")
        self.occupancy.publish(array_to_occupancy_grid(room(known), (0.0, 0.0), 0.05, header))
        settle([self.runner])

    def step(self, moving: bool = True, posed: bool = True) -> None:
        now_ns = self.clock.now_ns + STEP
        if posed:
            self.tf.publish(tf_message([("map", "base_link", now_ns, self.pose)]))
        advance(self.clock, [self.runner], now_ns)
        if moving and self.heard["/cmd_vel"]:
            linear, angular = self.velocity
            self.pose = self.pose @ Pose.from_yaw(linear * 0.1, 0.0, angular * 0.1)

    def until(self, state: str, seconds: float = 20.0) -> None:
        for _ in range(round(seconds * 10)):
            self.step()
            if self.state == state:
                return
        raise AssertionError(f"still {self.state}, not {state}")

    @property
    def state(self) -> str | None:
        return self.runner.statistics()["reported"].get("state")

    @property
    def velocity(self) -> tuple[float, float]:
        twist = self.heard["/cmd_vel"][-1]
        return twist.linear.x, twist.angular.z

    def scan(self, *xyz: tuple[float, float, float]) -> None:
        header = make_header(self.clock.now_ns, "lidar")
        self.points.publish(cloud_to_point_cloud2(PointCloud(np.array(xyz, np.float32)), header))
        settle([self.runner])


def stands(rig: Rig) -> bool:
    return rig.velocity == (0.0, 0.0)


def test_without_a_map_it_stands() -> None:
    rig = Rig()
    for _ in range(15):
        rig.step()
    assert len(rig.heard["/cmd_vel"]) >= 14
    assert all((m.linear.x, m.angular.z) == (0, 0) for m in rig.heard["/cmd_vel"])
    assert rig.state == "waiting for a map" and not any(m.data for m in rig.heard["/exploration/done"])


def test_it_looks_around_and_drives_to_what_is_unknown() -> None:
    rig = Rig(map_timeout=100.0)
    rig.step()
    rig.show()
    rig.until("looking")
    assert rig.velocity[0] == 0 and rig.velocity[1] > 0
    rig.until("driving")
    rig.step()
    way = path_to_array(rig.heard["/exploration/path"][-1])
    assert way[-1, 0] > way[0, 0] and len(rig.heard["/exploration/frontiers"][-1].markers) > 1
    assert rig.heard["/exploration/path"][-1].header.frame_id == "map" and not rig.heard["/goal_pose"]


def test_with_an_old_pose_it_stands_and_says_so() -> None:
    rig = Rig(map_timeout=100.0)
    rig.step()
    rig.show()
    rig.until("looking")
    for _ in range(12):
        rig.step(posed=False)
    assert stands(rig) and rig.runner.figures.last_warning.startswith("the robot stands: ")


def test_with_an_old_map_it_stands_and_says_so() -> None:
    rig = Rig(map_timeout=1.5)
    rig.step()
    rig.show()
    rig.until("looking")
    for _ in range(16):
        rig.step()
    assert stands(rig) and rig.runner.figures.last_warning.startswith("the robot stands: no map for ")


def test_it_stands_when_deciding_fails(monkeypatch) -> None:
    rig = Rig(map_timeout=100.0)
    rig.step()
    rig.show()
    rig.until("looking")
    monkeypatch.setattr(Explorer, "decide", lambda *_: 1 // 0)
    rig.step()
    assert stands(rig) and rig.runner.statistics()["failed"] == 0
    assert rig.runner.figures.last_warning.startswith("the robot stands: deciding failed: ZeroDivisionError")


def test_it_waits_for_people_and_for_what_the_lidar_sees_but_not_for_points_that_were_not_measured() -> None:
    rig = Rig(map_timeout=100.0)
    rig.step()
    rig.show()
    rig.until("driving")
    while rig.velocity[0] <= 0:
        rig.until("driving")
    rig.scan((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    rig.step(moving=False)
    assert rig.velocity[0] > 0
    rig.scan((0.05, 0.0, 0.0))
    rig.step(moving=False)
    assert rig.velocity[0] <= 0
    rig.scan((2.9, 0.0, 5.0))
    rig.until("driving")
    nobody = np.zeros((1, 18), np.float32)
    joints = np.full((1, 18, 3), (0.5, 0.0, 1.0), np.float32)
    someone = PeopleArrays(joints[..., :2], joints, nobody + 1, nobody[:, 0] + 1, np.ones(1, np.uint32))
    rig.people.publish(arrays_to_people(someone, make_header(rig.clock.now_ns, "base_link")))
    settle([rig.runner])
    rig.step()
    assert rig.velocity[0] <= 0


def test_done_is_latched_and_then_an_operator_may_drive() -> None:
    rig = Rig(map_timeout=100.0)
    rig.step()
    rig.show(known=True)
    rig.until("done", 30.0)
    assert stands(rig) and [m.data for m in rig.heard["/exploration/done"]][-1] is True
    late = []
    rig.bus.subscribe("/exploration/done", BOOL, LATCHED, "/late", lambda delivery: late.append(delivery.message()))
    assert [m.data for m in late] == [True]
    said = len(rig.heard["/cmd_vel"])
    for _ in range(20):
        rig.step(posed=False)
    assert len(rig.heard["/cmd_vel"]) == said


def test_goals_for_others_and_where_it_is_when_it_must_stand() -> None:
    rig = Rig(drive="goal", map_timeout=100.0)
    for _ in range(12):
        rig.step()
    assert not rig.heard["/goal_pose"]
    rig.show()
    rig.step()
    (goal,) = rig.heard["/goal_pose"]
    assert goal.header.frame_id == "map" and pose_from_message(goal.pose).translation[0] > 1.1
    for _ in range(25):
        rig.step(posed=False)
    assert len(rig.heard["/goal_pose"]) == 2 and not rig.heard["/cmd_vel"]
    np.testing.assert_allclose(pose_from_message(rig.heard["/goal_pose"][-1].pose).matrix, START.matrix, atol=1e-9)
    for _ in range(12):
        rig.step()
    assert len(rig.heard["/goal_pose"]) == 3
    np.testing.assert_allclose(rig.heard["/goal_pose"][-1].pose.position.x, goal.pose.position.x, atol=0.6)


def test_who_drives_to_goals_makes_way_by_itself() -> None:
    assert Parameters().exploring.step_aside and not Parameters(drive="goal").exploring.step_aside


def test_goals_end_where_there_is_nothing_left_to_see() -> None:
    rig = Rig(drive="goal", map_timeout=100.0)
    for _ in range(12):
        rig.step()
    rig.show(known=True)
    rig.until("done", 5.0)
    assert rig.heard["/exploration/done"][-1].data is True and len(rig.heard["/goal_pose"]) == 1
    np.testing.assert_allclose(pose_from_message(rig.heard["/goal_pose"][0].pose).matrix, START.matrix, atol=1e-9)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"low": 1.3, "high": 0.5}, "parameters: low is 1.3, high 0.5; low must be below high"),
        ({"nearest": 4.0}, "parameters: nearest is 4, farthest 4; nearest must be below farthest"),
    ],
)
def test_parameters_that_contradict_each_other(parameters, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        ExplorationNode(Parameters(**parameters))


def test_a_grid_that_is_none_is_refused() -> None:
    rig = Rig()
    message = array_to_occupancy_grid(room(True), (0.0, 0.0), 0.05, make_header(1, "map"))
    message.info.width = 7
    rig.occupancy.publish(message)
    settle([rig.runner])
    assert "occupancy grid of 7x40 cells has 2400 values" in rig.runner.figures.last_refusal
