"""The semantic map node on the in-process bus: what it builds, publishes, saves, and what it says of wrong inputs."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from scene_understanding.geometry import OPTICAL_FROM_BODY, PinholeCamera, PointCloud, Pose
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.clock import SimulatedClock
from scene_understanding.hosts.inline import advance, settle
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.labels import load_label_set
from scene_understanding.messages.header import make_header, stamp_to_ns
from scene_understanding.messages.label_info import label_info_to_label_set, label_set_to_label_info
from scene_understanding.messages.occupancy_grid import occupancy_grid_to_array
from scene_understanding.messages.people import PeopleArrays, arrays_to_people
from scene_understanding.messages.point_cloud import cloud_to_point_cloud2, point_cloud2_to_cloud
from scene_understanding.messages.transforms import tf_message
from scene_understanding.messages.types import message_type
from scene_understanding.nodes.node import LATCHED, RELIABLE, SENSOR, ConfigurationError
from scene_understanding.nodes.parameters import ParameterError, from_mapping
from scene_understanding.nodes.semantic_map import CLOUD, GRID, LABELS, PEOPLE, Parameters, SemanticMapNode, with_floor

SECOND, STEP = 10**9, 10**8
TF = "tf2_msgs/msg/TFMessage"
NYU13, NYU40 = load_label_set("nyu13"), load_label_set("nyu40")
FLOOR, WALL, CHAIR = (NYU13.id_of(name) for name in ("floor", "wall", "chair"))
OUTPUTS = {"points": CLOUD, "occupancy": GRID, "uncertainty": GRID, "floor": CLOUD, "obstacles": CLOUD,
           "label_info": LABELS}  # fmt: skip
CAMERA = PinholeCamera.from_fov(160, 120, np.deg2rad(70))
ORIGIN = Pose.identity()
BASE_FROM_CAMERA = Pose.from_rotation_translation(OPTICAL_FROM_BODY.T, (0.1, 0.0, 0.9))
BASE_FROM_LIDAR = Pose.from_rotation_translation(np.eye(3), (0.0, 0.0, 0.45))


class Rig:
    """The node, inline, by a clock that the test tells, with publishers for its inputs."""

    def __init__(self, listen: tuple[str, ...] = tuple(OUTPUTS), labels=NYU13, **parameters) -> None:
        self.bus, self.heard, self.clock = Bus(), defaultdict(list), SimulatedClock()
        self.node = SemanticMapNode(Parameters(**parameters))
        self.runner = NodeRunner(self.node, self.bus, clock=self.clock, inline=True).start()
        for name in listen:
            self.listen(name)
        advertise = lambda topic, msgtype, qos=SENSOR: self.bus.advertise(topic, msgtype, qos, "/test")  # noqa: E731
        self.points = advertise("/segmentation/points", CLOUD)
        self.people = advertise("/keypoints/people", PEOPLE)
        self.lidar = advertise("/lidar_segmentation/points", CLOUD)
        self.labels = advertise("/segmentation/label_info", LABELS, LATCHED)
        self.lidar_labels = advertise("/lidar_segmentation/label_info", LABELS, LATCHED)
        self.tf, self.tf_static = advertise("/tf", TF, RELIABLE), advertise("/tf_static", TF, LATCHED)
        mounts = (("camera", BASE_FROM_CAMERA), ("lidar", BASE_FROM_LIDAR))
        self.tf_static.publish(tf_message([("base_link", name, 1, pose) for name, pose in mounts]))
        if labels is not None:
            self.labels.publish(label_set_to_label_info(labels, make_header(0, "")))

    def listen(self, name: str) -> None:
        self.bus.subscribe(f"/semantic_map/{name}", OUTPUTS[name], LATCHED, "/test", self._hear(name))

    def _hear(self, name: str):
        return lambda delivery: self.heard[name].append(delivery.message())

    def at(self, stamp_ns: int, base: Pose = ORIGIN) -> None:
        """The time, and where the robot is then."""
        self.tf.publish(tf_message([("map", "base_link", stamp_ns, base)]))
        advance(self.clock, [self.runner], stamp_ns)

    def see(self, cloud: PointCloud, times: int = 3, base: Pose = ORIGIN, people=None) -> None:
        """The camera sees that, so many times in a row."""
        for _ in range(times):
            stamp_ns = max(self.clock.now_ns, SECOND) + STEP
            self.at(stamp_ns, base)
            if people is not None:
                self.people.publish(arrays_to_people(people, make_header(stamp_ns, "camera")))
            self.points.publish(cloud_to_point_cloud2(cloud, make_header(stamp_ns, "camera")))
            settle([self.runner])

    def publish(self) -> None:
        """Lets the time go by after which it publishes."""
        self.at(self.clock.now_ns + SECOND)

    def call(self, service: str):
        return self.runner.call(service, message_type("std_srvs/srv/Trigger_Request")())

    @property
    def refusal(self) -> str:
        return self.runner.figures.last_refusal


def room(labels=NYU13, wall_at: float = 3.0, camera: PinholeCamera = CAMERA) -> PointCloud:
    """A floor and a wall ahead, as the camera on the robot sees them; labelled, in the camera's frame."""
    rays = camera.rays.astype(np.float64)
    to_floor = np.where(rays[..., 1] > 1e-3, 0.9 / np.maximum(rays[..., 1], 1e-3), np.inf)
    wall = wall_at - 0.1
    label = np.where(to_floor < wall, labels.id_of("floor"), labels.id_of("wall")).astype(np.uint16)
    xyz = (rays * np.minimum(to_floor, wall)[..., None]).astype(np.float32)
    return PointCloud(xyz, label=label, confidence=np.full(label.shape, 0.9, np.float32))


ARM, LEG = ([0, 0.18, 1.4], [0, 0.22, 1.1], [0, 0.24, 0.85]), ([0, 0.1, 0.9], [0, 0.1, 0.5], [0, 0.1, 0.1])
LEFT = np.array([1, -1, 1])
BODY = np.array([[0, 0, 1.58], [0, 0, 1.4], *ARM, *(LEFT * ARM), *LEG, *(LEFT * LEG), [0, 0.03, 1.62], [0, -0.03, 1.62],
                 [0, 0.07, 1.6], [0, -0.07, 1.6]])  # fmt: skip
"""(18, 3) metres from where somebody stands: the right is at +y, the nose forward."""


def somebody(x: float, y: float) -> PeopleArrays:
    """Who stands at (x, y) in front of the robot, facing it; joints in the camera's frame."""
    points = BASE_FROM_CAMERA.inverse().apply(np.array([x, y, 0]) + BODY)[None].astype(np.float32)
    pixels, _ = CAMERA.project(points)
    return PeopleArrays(pixels.astype(np.float32), points, np.ones((1, 18), np.float32), np.ones(1, np.float32),
                        np.ones(1, np.uint32))  # fmt: skip


def with_body(cloud: PointCloud, people: PeopleArrays) -> PointCloud:
    """The room with a flat figure in the place of that person, labelled as a chair: the network has no people."""
    place = people.points[0, 1]
    x, y = cloud.xyz[..., 0] / cloud.xyz[..., 2] * place[2], cloud.xyz[..., 1] / cloud.xyz[..., 2] * place[2]
    body = (np.abs(x - place[0]) < 0.15) & (y > -0.75) & (y < 0.8) & (cloud.xyz[..., 2] > place[2])
    xyz = np.where(body[..., None], np.stack([x, y, np.full_like(x, place[2])], -1), cloud.xyz)
    return PointCloud(xyz.astype(np.float32), label=np.where(body, CHAIR, cloud.label).astype(np.uint16),
                      confidence=cloud.confidence)  # fmt: skip


def test_a_room_becomes_a_map() -> None:
    rig = Rig()
    rig.see(room())
    rig.publish()
    assert {name: len(heard) for name, heard in rig.heard.items()} == dict.fromkeys(OUTPUTS, 1)
    cloud = point_cloud2_to_cloud(rig.heard["points"][0])
    walls = cloud.xyz[cloud.label == WALL]
    floor = cloud.xyz[cloud.label == FLOOR]
    assert len(walls) > 500 and np.abs(walls[:, 0] - 3.0).max() <= 0.05
    assert len(floor) > 500 and np.abs(floor[:, 2]).max() <= 0.05
    np.testing.assert_array_equal(cloud.rgb, NYU13.colorize(cloud.label))
    assert (cloud.confidence > 0.5).all()
    grid = occupancy_grid_to_array(rig.heard["occupancy"][0])
    at = lambda x, y: grid.values[tuple(np.floor((np.array([y, x]) - grid.origin[::-1]) / 0.05).astype(int))]  # noqa: E731
    assert (at(3.01, 0.0), at(2.5, 0.2), at(0.0, 0.0), at(0.9, 0.0)) == (100, 0, 0, -1)
    uncertainty = occupancy_grid_to_array(rig.heard["uncertainty"][0])
    assert uncertainty.values.shape == grid.values.shape and 0 <= uncertainty.values[grid.values == 100].min() < 50
    obstacles = point_cloud2_to_cloud(rig.heard["obstacles"][0])
    assert obstacles.xyz.shape == (*grid.values.shape, 3) and np.nanmax(obstacles.xyz[..., 2]) > 1.0
    assert set(np.unique(obstacles.label)) == {WALL, 255}
    for name, (message,) in rig.heard.items():
        assert message.header.frame_id == "map", name
    assert label_info_to_label_set(rig.heard["label_info"][0]).names == NYU13.names
    assert rig.runner.statistics()["reported"]["blocks"] > 100


def test_only_what_changed_is_published_and_late_listeners_get_it() -> None:
    rig = Rig(listen=("occupancy",))
    rig.see(room())
    rig.publish()
    rig.publish()
    assert rig.runner.statistics()["outputs"] == dict.fromkeys(OUTPUTS, 1)
    rig.listen("points")
    assert len(rig.heard["points"]) == 1
    rig.see(room(), times=1)
    rig.publish()
    assert len(rig.heard["points"]) == len(rig.heard["occupancy"]) == 2
    assert rig.runner.statistics()["outputs"]["label_info"] == 1
    rig.runner.parameters.set({"min_confidence": 0.99})
    rig.publish()
    assert rig.runner.statistics()["outputs"]["label_info"] == 2
    assert len(rig.heard["occupancy"]) == 2 and len(rig.heard["points"]) == 3
    assert rig.heard["points"][2].width < rig.heard["points"][1].width


def test_layers_are_of_what_is_around_the_robot() -> None:
    whole, window = Rig(listen=("occupancy",), extent=0.0), Rig(listen=("occupancy",), extent=2.0)
    away = Pose.from_rotation_translation(np.eye(3), (10.0, 0.0, 0.0))
    for rig in (whole, window):
        rig.see(room())
        rig.see(room(), base=away)
        rig.publish()
    of_all, around = (occupancy_grid_to_array(rig.heard["occupancy"][0]) for rig in (whole, window))
    assert of_all.values.shape[1] * 0.05 > 12
    assert max(around.values.shape) * 0.05 <= 2.4 and around.origin[0] >= 8.8
    assert (around.values >= 0).any()


def test_the_stamp_is_that_of_the_last_cloud() -> None:
    rig = Rig(listen=("occupancy",))
    rig.see(room())
    last = rig.clock.now_ns
    rig.publish()
    assert stamp_to_ns(rig.heard["occupancy"][0].header.stamp) == last


# People


def test_people_stay_out_of_the_map() -> None:
    people = somebody(2.0, 0.1)
    cloud = with_body(room(), people)
    ghost, kept_out = Rig(), Rig()
    ghost.see(cloud)
    kept_out.see(cloud, people=people)
    of = lambda rig: (lambda c: int((c.label == CHAIR).sum()))(rig.node.map.cloud())  # noqa: E731
    assert of(ghost) > 100 and of(kept_out) == 0
    assert kept_out.runner.statistics()["sets"] == 3


def test_who_is_recognised_late_is_taken_out_of_the_map_again() -> None:
    people = somebody(2.0, 0.1)
    rig = Rig()
    rig.see(with_body(room(), people), times=5)
    floor = (rig.node.map.cloud().label == FLOOR).sum()
    rig.see(with_body(room(), people), times=1, people=people)
    cloud = rig.node.map.cloud()
    assert (cloud.label == CHAIR).sum() < 20 and (cloud.label == FLOOR).sum() >= floor


def test_of_somebody_of_whom_only_the_neck_was_recognised_nothing_stays() -> None:
    whole = somebody(2.0, 0.1)
    points = np.where(np.arange(18)[:, None] == 1, whole.points, np.float32(np.nan))
    neck = PeopleArrays(whole.pixels, points, whole.confidence, whole.score, whole.ids)
    rig = Rig()
    rig.see(with_body(room(), whole), people=neck)
    assert not (rig.node.map.cloud().label == CHAIR).any()


def test_who_stood_is_remembered_while_nobody_recognises_them() -> None:
    people = somebody(2.0, 0.1)
    rig = Rig()
    rig.see(with_body(room(), people), times=10, people=people)
    rig.see(with_body(room(), people), times=10)
    assert not (rig.node.map.cloud().label == CHAIR).any()


def test_who_walks_by_a_lidar_leaves_nothing_in_the_way() -> None:
    rig, there = Rig(listen=("occupancy",)), np.array([[2.23, 0.42, z] for z in (0.43, 0.48, 0.53)])
    rig.see(room(), times=20)

    def looks(cloud: PointCloud, times: int) -> None:
        for _ in range(times):
            rig.at(rig.clock.now_ns + STEP)
            rig.lidar.publish(cloud_to_point_cloud2(cloud, make_header(rig.clock.now_ns, "lidar")))
            settle([rig.runner])

    def value() -> int:
        rig.publish()
        grid = occupancy_grid_to_array(rig.heard["occupancy"][-1])
        row, column = np.floor((there[0, 1::-1] - grid.origin[::-1]) / 0.05).astype(int)
        return int(grid.values[row, column])

    thing = PointCloud(BASE_FROM_LIDAR.inverse().apply(there).astype(np.float32))
    looks(thing, 2)
    assert value() < 100
    looks(thing, 30)
    assert value() == 100


def test_a_lidar_of_rings_in_rows_is_taken_in_and_its_points_0_0_0_say_nothing() -> None:
    rig = Rig(robot_radius=0.0)
    rig.see(room(), times=3)
    azimuth, rings = np.meshgrid(np.linspace(-3.0, 3.0, 90), np.deg2rad(np.arange(-15.0, 16.0, 2.0)))
    xyz = np.stack([np.cos(azimuth) * np.cos(rings), np.sin(azimuth) * np.cos(rings), np.sin(rings)], -1)
    cloud = PointCloud((2.5 * xyz).astype(np.float32))
    cloud.xyz[:, 40:50] = 0.0
    for _ in range(20):
        rig.at(rig.clock.now_ns + STEP)
        rig.lidar.publish(cloud_to_point_cloud2(cloud, make_header(rig.clock.now_ns, "lidar")))
        settle([rig.runner])
    assert rig.runner.statistics()["failed"] == 0 and not rig.refusal
    assert len(rig.node.map.cloud(unlabelled=True).xyz) > 500
    assert len(rig.node._memory.places(rig.clock.now_ns * 1e-9)) == 0


def test_what_moved_away_fades() -> None:
    rig = Rig()
    rig.see(with_body(room(), somebody(2.0, 0.1)), times=5)
    assert (rig.node.map.cloud().label == CHAIR).any()
    rig.see(room(), times=40)
    assert not (rig.node.map.cloud().label == CHAIR).any()


def test_classes_of_people_never_enter() -> None:
    rig, cloud = Rig(labels=NYU40), room(NYU40)
    person = PointCloud(
        cloud.xyz, label=np.where(cloud.label == 1, 31, cloud.label).astype(np.uint16), confidence=cloud.confidence
    )
    rig.see(person)
    assert set(np.unique(rig.node.map.cloud().label)) == {NYU40.id_of("floor")}


# Sources and their classes


def scan() -> PointCloud:
    """Rings of a LiDAR on a cylinder of 4 m, in its frame."""
    azimuth, elevation = np.meshgrid(np.linspace(-np.pi, np.pi, 900), np.deg2rad([-4.0, -2, 0, 2, 4]))
    xyz = 4 * np.stack([np.cos(azimuth), np.sin(azimuth), np.tan(elevation)], -1)
    return PointCloud(xyz.reshape(-1, 3).astype(np.float32))


def test_a_lidar_without_labels_marks_what_is_in_the_way() -> None:
    rig = Rig(listen=("occupancy",))
    rig.see(room())
    for _ in range(6):
        rig.at(rig.clock.now_ns + STEP)
        rig.lidar.publish(cloud_to_point_cloud2(scan(), make_header(rig.clock.now_ns, "lidar")))
        settle([rig.runner])
    rig.publish()
    grid = occupancy_grid_to_array(rig.heard["occupancy"][0])
    row, column = np.floor((np.array([0.01, -4.0]) - grid.origin[::-1]) / 0.05).astype(int)
    assert grid.values[row, max(column - 1, 0) : column + 2].max() == 100  # behind, where the camera does not look


def labelled_scan(rig: Rig, *names: str) -> None:
    """Six scans whose labels are NYU40's: these classes in turn, from behind on the right all around; floor is low."""
    rig.lidar_labels.publish(label_set_to_label_info(NYU40, make_header(0, "")))
    cloud = scan()
    part = np.floor((np.arctan2(cloud.xyz[:, 1], cloud.xyz[:, 0]) / (2 * np.pi) + 0.5) * 0.999 * len(names)).astype(int)
    label = np.array([NYU40.id_of(name) for name in names], np.uint16)[part]
    cloud.xyz[label == NYU40.id_of("floor"), 2] = -BASE_FROM_LIDAR.translation[2]
    for _ in range(6):
        rig.at(rig.clock.now_ns + STEP)
        rig.lidar.publish(
            cloud_to_point_cloud2(PointCloud(cloud.xyz, label=label), make_header(rig.clock.now_ns, "lidar"))
        )
        settle([rig.runner])


def test_classes_of_the_lidar_count_by_their_names() -> None:
    rig = Rig(lidar_classes="all")
    rig.see(room(), times=1)
    labelled_scan(rig, "wall", "chair")
    cloud = rig.node.map.cloud()
    far = np.hypot(cloud.xyz[:, 0], cloud.xyz[:, 1]) > 3.8
    assert set(cloud.label[far & (cloud.xyz[:, 1] < -0.1)]) == {WALL}
    assert set(cloud.label[far & (cloud.xyz[:, 1] > 0.1)]) == {CHAIR}


@pytest.mark.parametrize(("classes", "names"), [("none", set()), ("floor", {"floor"}), ("all", {"floor", "chair"})])
def test_which_classes_the_lidar_brings(classes: str, names: set[str]) -> None:
    """The others are in the way and have no class; people are never in."""
    rig = Rig(labels=NYU40, lidar_classes=classes, lidar_floor=0.0)
    rig.see(room(NYU40), times=1)
    labelled_scan(rig, "chair", "person", "floor")
    far = lambda cloud: np.hypot(cloud.xyz[:, 0], cloud.xyz[:, 1]) > 3.8  # noqa: E731
    cloud, whole = rig.node.map.cloud(), rig.node.map.cloud(unlabelled=True)
    assert set(cloud.label[far(cloud)]) == {NYU40.id_of(name) for name in names}
    azimuth = np.rad2deg(np.arctan2(whole.xyz[:, 1], whole.xyz[:, 0]))[far(whole)]
    assert ((azimuth > 65).sum() > 100) and ((azimuth < -65).sum() > 100) and not (np.abs(azimuth) < 55).any()


def test_what_is_called_floor_and_stands_is_none() -> None:
    """A foot before the floor, in the mask of a camera beside the LiDAR."""
    floor = np.full(4, NYU13.id_of("floor"), np.uint16)
    cloud = PointCloud(np.zeros((4, 3), np.float32), label=floor)
    found = with_floor(cloud, np.array([0.0, 0.1, 0.3, -0.3]), 0.05, 0.12, NYU13, ("floor",))
    assert found.label.tolist() == [floor[0], floor[0], 255, 255]


@pytest.mark.parametrize(("reach", "found"), [(0.05, True), (0.0, False)])
def test_what_lies_at_the_robots_height_is_floor(reach: float, found: bool) -> None:
    """A ring of a LiDAR that comes from the ground all around; behind, no camera has seen it."""
    rig = Rig(lidar_floor=reach, lidar_classes="floor")
    rig.see(room(), times=1)
    azimuth = np.linspace(-np.pi, np.pi, 900)
    lidar = rig.runner.transforms.lookup("map", "lidar", rig.clock.now_ns)
    ring = np.stack([2 * np.cos(azimuth), 2 * np.sin(azimuth), np.full(900, -lidar.translation[2])], -1)
    for _ in range(3):
        rig.at(rig.clock.now_ns + STEP)
        cloud = PointCloud(ring.astype(np.float32))
        rig.lidar.publish(cloud_to_point_cloud2(cloud, make_header(rig.clock.now_ns, "lidar")))
        settle([rig.runner])
    built = rig.node.map
    behind = built.cloud().xyz[:, 0] < lidar.translation[0] - 1
    assert (behind.sum() > 50) == found
    assert set(built.cloud().label[behind]) == ({built.labels.id_of("floor")} if found else set())


def test_labels_mean_nothing_without_label_info() -> None:
    rig = Rig(labels=None)
    rig.see(room(), times=1)
    assert rig.node.map is None
    assert rig.refusal.startswith("no segmentation/label_info has come")
    rig.labels.publish(label_set_to_label_info(NYU13, make_header(0, "")))
    rig.see(room(), times=1)
    assert rig.node.map is not None


def test_a_cloud_without_a_transform_is_refused() -> None:
    rig = Rig()
    rig.at(SECOND)
    rig.points.publish(cloud_to_point_cloud2(room(), make_header(SECOND, "nowhere")))
    settle([rig.runner])
    assert "no frame 'nowhere'" in rig.refusal and rig.node.map is None


# Files


def test_save_clear_load(tmp_path: Path) -> None:
    rig = Rig(listen=("points",), file=str(tmp_path / "map.npz"))
    assert rig.call("save").message == "~/save: there is no map yet"
    rig.see(room())
    rig.publish()
    assert rig.call("save").success
    assert rig.call("clear").success and len(rig.node.map.cloud().xyz) == 0
    rig.publish()
    answer = rig.call("load")
    assert answer.success and "blocks of classes nyu13" in answer.message
    rig.publish()
    before, empty, after = (point_cloud2_to_cloud(message) for message in rig.heard["points"])
    assert len(empty.xyz) == 0
    order = [np.lexsort(cloud.xyz.T) for cloud in (before, after)]
    np.testing.assert_array_equal(before.xyz[order[0]], after.xyz[order[1]])
    np.testing.assert_array_equal(before.label[order[0]], after.label[order[1]])


def test_a_wrong_file_is_one_line_and_the_map_stays(tmp_path: Path) -> None:
    rig = Rig(file=str(tmp_path / "missing.npz"))
    rig.see(room())
    count = len(rig.node.map.cloud().xyz)
    assert "missing.npz" in rig.call("load").message
    (tmp_path / "other.npz").write_bytes(b"no archive")
    rig.runner.parameters.set({"file": str(tmp_path / "other.npz")})
    answer = rig.call("load")
    assert not answer.success and "other.npz: it is no semantic map" in answer.message and "\n" not in answer.message
    assert len(rig.node.map.cloud().xyz) == count


def test_a_range_below_a_voxel_is_refused_and_nothing_changes() -> None:
    rig = Rig(voxel=1.0)
    with pytest.raises(ParameterError, match="max_range is 0.5 m; it must be above a voxel's 1.0 m"):
        rig.runner.parameters.set({"max_range": 0.5})
    assert rig.node.parameters.max_range == rig.runner.parameters.get()["max_range"] == 5.0
    with pytest.raises(ParameterError, match="'occupied' is 0.0; allowed is 0.1 to 3.5"):
        from_mapping(Parameters, {"occupied": 0.0})


def test_a_robot_of_no_height_cannot_start() -> None:
    with pytest.raises(ConfigurationError, match="obstacles from 0.5 to 0.3 m"):
        SemanticMapNode(Parameters(robot_low=0.5, robot_high=0.3))
