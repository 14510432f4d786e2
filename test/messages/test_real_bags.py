"""Real recordings, where `shared/data` lies beside the repository (or `SCENE_UNDERSTANDING_DATA` names it)."""

import os
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from scene_understanding.geometry import TransformBuffer, TransformError
from scene_understanding.messages.header import stamp_to_ns
from scene_understanding.messages.odometry import odometry_to_state
from scene_understanding.messages.point_cloud import cloud_to_point_cloud2, point_cloud2_to_cloud
from scene_understanding.messages.transforms import add_tf_message
from scene_understanding.messages.types import deserialize, serialize, typestore

DATA = Path(os.environ.get("SCENE_UNDERSTANDING_DATA", Path(__file__).resolve().parents[3] / "shared/data"))


def read(name, *topics, ros1=False):
    """(topic, message) in recorded order."""
    path = DATA / "bags" / name
    if not path.exists():
        pytest.skip(f"no recording at {path}")
    store = get_typestore(Stores.ROS1_NOETIC) if ros1 else typestore
    with AnyReader([path], default_typestore=store) as reader:
        connections = [connection for connection in reader.connections if connection.topic in topics]
        for connection, _, data in reader.messages(connections):
            yield connection.topic, reader.deserialize(data, connection.msgtype)


def test_turtlebot_knows_where_it_was():
    """What /odom says is what the transforms say at its stamp."""
    buffer, odometry = TransformBuffer(1000.0), []
    for topic, msg in read("evo_nav2_turtlebot.mcap", "/tf", "/tf_static", "/odom"):
        if topic == "/odom":
            odometry.append(msg)
        else:
            assert add_tf_message(buffer, msg, static=topic == "/tf_static") == []
    assert len(odometry) == 2639
    compared = 0
    for msg in odometry[::50]:
        try:
            pose = buffer.lookup(msg.header.frame_id, msg.child_frame_id, stamp_to_ns(msg.header.stamp))
        except TransformError:
            continue
        np.testing.assert_allclose(pose.matrix, odometry_to_state(msg).odom_from_base.matrix, atol=2e-3)
        compared += 1
    assert compared > 40
    frames = buffer.frames()
    assert buffer.can_transform("map", next(iter(frames)))


def test_humanoid_of_ros1():
    """A deep tree at a high rate; every frame is known in every other at the newest common time."""
    buffer, count = TransformBuffer(1000.0), 0
    for _, msg in read("jsk_watercan.bag", "/tf", "/tf_static", ros1=True):
        add_tf_message(buffer, msg)
        count += len(msg.transforms)
    assert count > 3000
    frames = buffer.frames()
    pose = buffer.lookup(*list(frames)[:1], list(frames)[-1])
    np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-9)


def test_watering_can():
    _, msg = next(iter(m for m in read("jsk_watercan.bag", *cloud_topics(), ros1=True)))
    cloud = point_cloud2_to_cloud(msg)
    assert cloud.xyz.shape == (13966, 3)
    assert cloud.rgb is not None
    known = np.isfinite(cloud.xyz).all(axis=-1)
    size = np.ptp(cloud.xyz[known], axis=0)
    assert known.all()
    assert (size < 1.0).all()
    assert (size > 0.05).all()
    header = typestore.types["std_msgs/msg/Header"](stamp=msg.header.stamp, frame_id=msg.header.frame_id)
    ours = deserialize(serialize(cloud_to_point_cloud2(cloud, header)), "sensor_msgs/msg/PointCloud2")
    back = point_cloud2_to_cloud(ours)
    np.testing.assert_array_equal(back.xyz, cloud.xyz)
    np.testing.assert_array_equal(back.rgb, cloud.rgb)


def cloud_topics():
    path = DATA / "bags/jsk_watercan.bag"
    if not path.exists():
        pytest.skip(f"no recording at {path}")
    with AnyReader([path], default_typestore=get_typestore(Stores.ROS1_NOETIC)) as reader:
        return [c.topic for c in reader.connections if c.msgtype == "sensor_msgs/msg/PointCloud2"]
