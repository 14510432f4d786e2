"""Datasets as messages: topics, stamps, frames, encodings; choosing frames."""

from __future__ import annotations

import numpy as np
import pytest

from scene_understanding.datasets.convert import (
    BODY,
    MAP,
    OPTICAL,
    START_NS,
    Stamped,
    dataset_messages,
    sample_messages,
    select,
)
from scene_understanding.datasets.rgbd import DatasetError, RgbdSample
from scene_understanding.geometry import PinholeCamera, Pose
from scene_understanding.geometry.transform_buffer import TransformBuffer
from scene_understanding.labels import load_label_set
from scene_understanding.messages.camera_info import camera_info_to_camera
from scene_understanding.messages.header import stamp_to_ns
from scene_understanding.messages.image import color_from_image, depth_from_image, image_to_array
from scene_understanding.messages.label_info import label_info_to_label_set
from scene_understanding.messages.transforms import add_tf_message
from scene_understanding.messages.types import deserialize, serialize

CAMERA = PinholeCamera(8, 6, 10.0, 11.0, 3.5, 2.5)


class Dataset:
    """Three frames with labels; the camera moves a metre a frame, looking along map y."""

    label_set: str | None = "nyu13"

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> RgbdSample:
        rng = np.random.default_rng(index)
        depth = rng.uniform(0.5, 9, (6, 8)).astype(np.float32)
        depth[0, 0] = np.nan
        rotation = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]  # optical x, y, z are map x, -z, y
        return RgbdSample(
            str(index), rng.integers(0, 256, (6, 8, 3), np.uint8), depth, CAMERA,
            rng.choice(np.array([0, 5, 12, 255], np.uint8), (6, 8)),
            Pose.from_rotation_translation(rotation, [index, 0, 1.5]),
        )  # fmt: skip


def by_topic(frame: list[Stamped]) -> dict[str, Stamped]:
    return {stamped.topic: stamped for stamped in frame}


def test_first_frame_brings_what_is_latched() -> None:
    frames = list(dataset_messages(Dataset(), range(3), rate=10))
    latched = {stamped.topic for frame in frames for stamped in frame if stamped.latched}
    assert latched == {"/tf_static", "/ground_truth/label_info"}
    assert [len(frame) for frame in frames] == [7, 5, 5]
    label_info = by_topic(frames[0])["/ground_truth/label_info"].message
    assert label_info_to_label_set(label_info).names == load_label_set("nyu13").names


def test_stamps_have_the_rate_and_messages_of_a_frame_agree() -> None:
    for k, frame in enumerate(dataset_messages(Dataset(), [2, 0, 1], rate=4)):
        assert {stamped.stamp_ns for stamped in frame} == {START_NS + k * 250_000_000}
        headers = [stamped.message.header for stamped in frame if hasattr(stamped.message, "header")]
        assert {stamp_to_ns(header.stamp) for header in headers} == {START_NS + k * 250_000_000}
        assert {header.frame_id for header in headers} == {OPTICAL}


@pytest.mark.parametrize("metric_float", [False, True])
def test_images_survive_the_wire(metric_float: bool) -> None:
    sample = Dataset()[1]
    found = by_topic(sample_messages(sample, START_NS, metric_float))
    wire = {t: deserialize(serialize(s.message), s.message.__msgtype__) for t, s in found.items()}
    np.testing.assert_array_equal(color_from_image(wire["/rgb/image_rect_color"]), sample.rgb)
    depth = depth_from_image(wire["/depth_registered/image_rect"])
    np.testing.assert_allclose(depth, sample.depth, atol=0 if metric_float else 5.1e-4)
    assert wire["/depth_registered/image_rect"].encoding == ("32FC1" if metric_float else "16UC1")
    assert wire["/ground_truth/mask"].encoding == "mono8"
    np.testing.assert_array_equal(image_to_array(wire["/ground_truth/mask"]), sample.label)
    assert camera_info_to_camera(wire["/rgb/camera_info"]).rectified == CAMERA


def test_transforms_give_the_pose_of_the_optical_frame() -> None:
    frame = by_topic(next(iter(dataset_messages(Dataset(), [2], rate=1))))
    buffer = TransformBuffer()
    add_tf_message(buffer, frame["/tf_static"].message, static=True)
    add_tf_message(buffer, frame["/tf"].message)
    expected = Dataset()[2].map_from_camera
    assert expected is not None
    np.testing.assert_allclose(buffer.lookup(MAP, OPTICAL, START_NS).matrix, expected.matrix, atol=1e-9)
    body = buffer.lookup(MAP, BODY, START_NS)
    np.testing.assert_allclose(body.rotation @ [1, 0, 0], [0, 1, 0], atol=1e-9)  # REP-103: x forward
    np.testing.assert_allclose(body.rotation @ [0, 0, 1], [0, 0, 1], atol=1e-9)  # z up


def test_depth_out_of_range_is_unknown() -> None:
    sample = RgbdSample("0", np.zeros((1, 4, 3), np.uint8), np.array([[np.nan, 70.0, 65.535, -1.0]], np.float32),
                        PinholeCamera(4, 1, 1.0, 1.0, 0.0, 0.0))  # fmt: skip
    message = by_topic(sample_messages(sample, 0))["/depth_registered/image_rect"].message
    assert image_to_array(message).tolist() == [[0, 0, 65535, 0]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"last": 2}, [3, 4]),
        ({"indices": "3,0"}, [3, 0]),
        ({"indices": "-1"}, [4]),
        ({"indices": "::2, 1"}, [0, 2, 4, 1]),
        ({"indices": "3:99"}, [3, 4]),
    ],
)
def test_select(arguments: dict[str, object], expected: list[int]) -> None:
    assert list(select(5, **arguments)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"last": 0}, "last is 0"),
        ({"last": 6}, "the dataset has 5 frames"),
        ({"last": 1, "indices": "1"}, "exclude each other"),
        ({"indices": "5"}, "index 5 is beyond"),
        ({"indices": "4:2"}, "choose nothing"),
        ({"indices": "x"}, "neither a number nor a slice"),
        ({"indices": "::0"}, "neither a number nor a slice"),
        ({"indices": ""}, "neither a number nor a slice"),
    ],
)
def test_select_refuses(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        select(5, **arguments)  # type: ignore[arg-type]
