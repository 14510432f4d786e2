import numpy as np
import pytest

from scene_understanding.geometry import Pose, TransformBuffer
from scene_understanding.messages.header import make_header
from scene_understanding.messages.transforms import (
    add_tf_message,
    pose_from_message,
    pose_from_transform,
    pose_to_message,
    pose_to_pose_stamped,
    pose_to_transform,
    tf_message,
)
from scene_understanding.messages.types import PoseStamped, TFMessage, deserialize, serialize

POSE = Pose.from_quaternion((0.1, -0.2, 0.3, 0.9), (1.0, 2.0, -3.0))


def test_pose_round_trips():
    np.testing.assert_allclose(pose_from_transform(pose_to_transform(POSE)).matrix, POSE.matrix, atol=1e-12)
    np.testing.assert_allclose(pose_from_message(pose_to_message(POSE)).matrix, POSE.matrix, atol=1e-12)
    stamped = deserialize(serialize(pose_to_pose_stamped(POSE, make_header(3, "map"))), PoseStamped)
    assert stamped.header.frame_id == "map"
    np.testing.assert_allclose(pose_from_message(stamped.pose).matrix, POSE.matrix, atol=1e-12)


def test_tf_fills_a_buffer():
    msg = tf_message([("map", "odom", 10, POSE), ("odom", "base", 10, POSE)])
    buffer = TransformBuffer()
    assert add_tf_message(buffer, deserialize(serialize(msg), TFMessage)) == []
    np.testing.assert_allclose(buffer.lookup("map", "base", 10).matrix, (POSE @ POSE).matrix, atol=1e-12)
    assert add_tf_message(buffer, tf_message([("/base", "/camera", 0, POSE)]), static=True) == []
    assert buffer.can_transform("map", "camera", 10)


def test_bad_transforms_are_told_and_do_not_spoil_the_good():
    msg = tf_message([("a", "b", 1, POSE), ("c", "c", 1, POSE), ("a", "d", 1, POSE), ("a", "e", 1, POSE)])
    rotation = msg.transforms[2].transform.rotation
    rotation.x = rotation.y = rotation.z = rotation.w = 0.0
    msg.transforms[3].transform.translation.x = float("nan")
    buffer = TransformBuffer()
    refused = add_tf_message(buffer, msg)
    assert buffer.frames() == {"b": "a"}
    assert len(refused) == 3
    assert "'c' to 'c' refused: transform from frame 'c'" in refused[0]
    assert "'a' to 'd' refused: quaternion" in refused[1]
    assert "'a' to 'e' refused: translation" in refused[2]


def test_bad_quaternion():
    transform = pose_to_transform(POSE)
    transform.rotation.w = float("nan")
    with pytest.raises(ValueError, match="cannot be normalised"):
        pose_from_transform(transform)
