"""The semantic map in a real ROS 2: who comes late gets it, and the services keep it in a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs a sourced ROS 2")
pytest.importorskip("scene_understanding.msg", reason="needs the package as colcon installs it: pytest, not python -m")

from nav_msgs.msg import OccupancyGrid
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import PointCloud2
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import LabelInfo

from scene_understanding.geometry import PointCloud, Pose
from scene_understanding.labels import load_label_set
from scene_understanding.messages.header import make_header
from scene_understanding.messages.label_info import label_set_to_label_info
from scene_understanding.messages.point_cloud import cloud_to_point_cloud2, point_cloud2_to_cloud
from scene_understanding.messages.transforms import tf_message
from scene_understanding.messages.types import deserialize, serialize
from scene_understanding.nodes.semantic_map import SemanticMapNode

pytestmark = pytest.mark.ros

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE)
CLASSES = load_label_set("nyu13")
WALL, FLOOR = CLASSES.names.index("wall"), CLASSES.names.index("floor")


def to_ros(message: Any, kind: type) -> Any:
    return deserialize_message(bytes(serialize(message)), kind)


def room() -> PointCloud:
    """Seen from 1 m above the floor, looking along x: a floor and a wall at 3 m, in the frame of the base."""
    y, t = np.meshgrid(np.linspace(-1.5, 1.5, 160), np.linspace(0, 1, 120))
    floor = np.stack([1 + 2 * t, y, np.zeros_like(y)], -1)
    wall = np.stack([np.full_like(y, 3.0), y, 1.8 * t], -1)
    xyz = np.concatenate([floor, wall]).astype(np.float32)
    label = np.repeat(np.array([CLASSES.ids[FLOOR], CLASSES.ids[WALL]], np.uint16), 120)[:, None]
    label = np.broadcast_to(label, xyz.shape[:2])
    return PointCloud(xyz, label=label, confidence=np.full(xyz.shape[:2], 0.9, np.float32))


class Camera:
    """Publishes what a robot that stands still sees, until a condition holds."""

    def __init__(self, peer: Any) -> None:
        stamp_ns = time.time_ns()
        header = make_header(stamp_ns, "camera")
        eye = Pose.from_rotation_translation(np.eye(3), (0, 0, 1))
        self._peer, self._cloud = peer, room()
        self._cloud = PointCloud(eye.inverse().apply(self._cloud.xyz), None, self._cloud.label, self._cloud.confidence)
        transforms = [("map", "base_link", stamp_ns, Pose.identity()), ("base_link", "camera", stamp_ns, eye)]
        self._latched = [
            (peer.publisher(TFMessage, "/tf_static", LATCHED), to_ros(tf_message(transforms), TFMessage)),
            (
                peer.publisher(LabelInfo, "/segmentation/label_info", LATCHED),
                to_ros(label_set_to_label_info(CLASSES, header), LabelInfo),
            ),
        ]
        for publisher, message in self._latched:
            publisher.publish(message)
        self._points = peer.publisher(PointCloud2, "/segmentation/points", qos_profile_sensor_data)

    def show(self) -> None:
        message = cloud_to_point_cloud2(self._cloud, make_header(time.time_ns(), "camera"))
        self._points.publish(to_ros(message, PointCloud2))

    def show_until(self, condition: Any, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the map takes nothing in"
            self.show()
            time.sleep(0.2)


def ask(peer: Any, service: str) -> Any:
    return peer.call(Trigger, f"/semantic_map/{service}", Trigger.Request(), 30.0)


def ours(message: Any, kind: str) -> Any:
    return deserialize(serialize_message(message), kind)


def test_who_comes_late_gets_the_map(host: Any, peer: Any, until: Any) -> None:
    node = host("-p", "publish_period:=0.1", node_type=SemanticMapNode)
    camera = Camera(peer)
    camera.show_until(lambda: node.statistics()["sets"] >= 3)
    grids = peer.hear(OccupancyGrid, "/semantic_map/occupancy", LATCHED)
    until(lambda: grids)
    first = peer.hear(PointCloud2, "/semantic_map/points", LATCHED)  # makes the node publish it
    until(lambda: first)
    clouds = peer.hear(PointCloud2, "/semantic_map/points", LATCHED)  # long after it was sent
    until(lambda: clouds)
    assert clouds[0] == first[0] and clouds[0].header.frame_id == "map"
    cloud = point_cloud2_to_cloud(ours(clouds[0], "sensor_msgs/msg/PointCloud2"))
    assert cloud.label is not None and cloud.rgb is not None and cloud.confidence is not None
    on_floor = cloud.xyz[..., 2] < 0.05
    assert (cloud.label[on_floor & (cloud.xyz[..., 0] < 2.8)] == CLASSES.ids[FLOOR]).all()
    assert (cloud.label[cloud.xyz[..., 2] > 0.2] == CLASSES.ids[WALL]).all()
    grid = grids[-1]
    cells = np.array(grid.data, np.int8).reshape(grid.info.height, grid.info.width)
    x, y = (
        (at - low) / grid.info.resolution
        for at, low in ((1.5, grid.info.origin.position.x), (0, grid.info.origin.position.y))
    )
    assert 0 <= cells[int(y), int(x)] < 50
    assert (cells == -1).any() and (cells == 100).any()


def test_services_keep_the_map_in_a_file(host: Any, peer: Any, until: Any, tmp_path: Path) -> None:
    file = tmp_path / "house.npz"
    node = host("-p", "publish_period:=0.1", "-p", f"file:={file}", node_type=SemanticMapNode)
    refused = ask(peer, "load")
    assert not refused.success and str(file) in refused.message
    assert not ask(peer, "save").success and not file.exists()  # there is nothing to save yet
    Camera(peer).show_until(lambda: node.statistics()["sets"] >= 3)
    clouds = peer.hear(PointCloud2, "/semantic_map/points", LATCHED)
    until(lambda: clouds and clouds[-1].width > 100)
    size = clouds[-1].width
    saved = ask(peer, "save")
    assert saved.success and file.is_file(), saved.message
    assert ask(peer, "clear").success
    until(lambda: clouds[-1].width == 0)
    loaded = ask(peer, "load")
    assert loaded.success, loaded.message
    until(lambda: clouds[-1].width == size)
