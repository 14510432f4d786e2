"""`replay`: which nodes are scored, against what, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scene_understanding.commands.output import CommandError
from scene_understanding.commands.replay import Replay, replay, text
from scene_understanding.geometry import PinholeCamera
from scene_understanding.hosts.mcap_writer import McapWriter
from scene_understanding.hosts.names import RosArguments
from scene_understanding.labels import load_label_set
from scene_understanding.messages.camera_info import camera_to_camera_info
from scene_understanding.messages.header import make_header
from scene_understanding.messages.image import array_to_image
from scene_understanding.messages.label_info import label_set_to_label_info
from scene_understanding.messages.people import PeopleArrays, arrays_to_people
from scene_understanding.messages.types import serialize
from scene_understanding.nodes.node import LATCHED, SENSOR

CAMERA = PinholeCamera(16, 12, 20.0, 20.0, 7.5, 5.5)
TRUE, MEASURED, SEEN = 2.5, 1.6, 2.0
"""Metres: what the bag calls true and measured, and what the tiny network sees in its images."""


@pytest.fixture
def write_bag(tmp_path: Path) -> Callable[..., Path]:
    """Makes bags of three images; with the truth, of depth and of classes, if they are wanted."""

    def write(depth_truth: bool = True, mask_truth: bool = False, prefix: str = "", skew_ns: int = 0) -> Path:
        path = tmp_path / "in.mcap"
        topics: dict[str, int] = {}
        with McapWriter(path, overwrite=True) as writer:

            def put(topic: str, message, stamp_ns: int, qos=SENSOR) -> None:
                if topic not in topics:
                    topics[topic] = writer.add_topic(prefix + topic, message.__msgtype__, [qos])
                writer.write(topics[topic], stamp_ns, serialize(message))

            if mask_truth:
                info = label_set_to_label_info(load_label_set("nyu13"), make_header(0, ""))
                put("/ground_truth/label_info", info, 10**9, LATCHED)
            for i in range(1, 4):
                stamp_ns = i * 10**9
                header, later = (make_header(stamp_ns + skew, "camera") for skew in (0, skew_ns))
                put("/rgb/camera_info", camera_to_camera_info(CAMERA, header), stamp_ns)
                measured = np.full((12, 16), round(MEASURED * 1000), np.uint16)
                put("/depth_registered/image_rect", array_to_image(measured, "16UC1", later), stamp_ns)
                color = np.full((12, 16, 3), round(SEEN * 100), np.uint8)
                put("/rgb/image_rect_color", array_to_image(color, "rgb8", header), stamp_ns)
                if depth_truth:
                    truth = np.full((12, 16), TRUE, np.float32)
                    put("/ground_truth/depth", array_to_image(truth, "32FC1", header), stamp_ns)
                if mask_truth:
                    put("/ground_truth/mask", array_to_image(np.full((12, 16), 3, np.uint8), "mono8", header), stamp_ns)
        return path

    return write


@pytest.fixture
def arguments(tiny_depth_model) -> Callable[..., RosArguments]:
    """The tiny depth network for the node that is called so, and what else is said."""
    folder = tiny_depth_model()

    def make(*remappings: str, parameters: tuple[str, ...] = (), node: str = "depth") -> RosArguments:
        return RosArguments.of(remappings, (f"{node}:model:={folder}", *parameters))

    return make


def test_depth_is_scored_against_the_truth(write_bag, arguments) -> None:
    report = replay(Replay(write_bag(), ["depth"], arguments=arguments()))
    assert (report["images"], report["depth_reference"], report["largest"]) == (3, "/ground_truth/depth", 10.0)
    assert report["rel"] == pytest.approx(abs(SEEN / TRUE - 1)) and report["d1"] == 0 and report["d2"] == 1
    assert "miou" not in report and not report["silent"]
    words = text(report)
    assert "(3 images against /ground_truth/depth up to 10 m; of each whole image, then averaged" in words
    assert "rmslog" in words and "mean IoU" not in words


@pytest.mark.parametrize("skew_ns", [0, 5_000_000])
def test_measured_depth_stands_in_for_the_truth(write_bag, arguments, skew_ns: int) -> None:
    report = replay(Replay(write_bag(depth_truth=False, skew_ns=skew_ns), ["depth"], arguments=arguments()))
    assert (report["images"], report["depth_reference"]) == (3, "/depth_registered/image_rect")
    assert report["rel"] == pytest.approx(SEEN / MEASURED - 1)


def test_the_score_node_takes_the_parameters_that_bear_its_name(write_bag, arguments) -> None:
    given = arguments(parameters=("passes:=2", "depth_score:largest:=2.2"))
    report = replay(Replay(write_bag(), ["depth"], arguments=given))
    assert report["largest"] == 2.2 and report["images"] == 0
    assert report["nodes"]["/depth_score"]["refused"] == 3


@pytest.mark.parametrize(
    ("rules", "node", "prefix"),
    [
        (("__node:=d3",), "d3", ""),
        (("depth:__node:=d3", "d3:~/depth:=/answer"), "d3", ""),
        (("__node:=d3", "__ns:=/robot"), "d3", "/robot"),
        (("ground_truth/depth:=/nothing",), "depth", ""),
    ],
)
def test_renamed_nodes_and_topics_are_scored(write_bag, arguments, rules, node: str, prefix: str) -> None:
    report = replay(Replay(write_bag(prefix=prefix), ["depth"], arguments=arguments(*rules, node=node)))
    assert report["images"] == 3 and set(report["nodes"]) == {f"{prefix}/{node}", f"{prefix}/depth_score"}
    measured = "ground_truth/depth:=/nothing" in rules
    reference = "/depth_registered/image_rect" if measured else "/ground_truth/depth"
    assert report["depth_reference"] == prefix + reference


def test_measured_depth_of_another_name_stands_in(write_bag, arguments) -> None:
    bag = write_bag(depth_truth=False, prefix="/camera")
    rules = [f"{topic}:=/camera/{topic}" for topic in ("rgb/image_rect_color", "rgb/camera_info")]
    given = arguments(*rules, "depth_registered/image_rect:=/camera/depth_registered/image_rect")
    report = replay(Replay(bag, ["depth"], arguments=given))
    assert (report["images"], report["depth_reference"]) == (3, "/camera/depth_registered/image_rect")


def test_two_nodes_are_scored_side_by_side(write_bag, arguments) -> None:
    report = replay(Replay(write_bag(mask_truth=True), ["segmentation", "depth"], arguments=arguments()))
    assert report["masks"] == report["images"] == 3
    assert {"miou", "rel"} <= report.keys()
    assert "mean IoU" in text(report) and "rmslog" in text(report)


def test_masks_without_truth_are_not_scored_and_depth_is(write_bag, arguments) -> None:
    report = replay(Replay(write_bag(), ["segmentation", "depth"], arguments=arguments()))
    assert "miou" not in report and report["images"] == 3


def test_a_segmentation_report_says_nothing_of_depth(write_bag) -> None:
    report = replay(Replay(write_bag(mask_truth=True), ["segmentation"]))
    assert report["masks"] == 3
    assert not {"rel", "images", "largest", "depth_reference"} & report.keys()


def test_no_score_unless_wanted(write_bag, arguments) -> None:
    report = replay(Replay(write_bag(), ["depth"], arguments=arguments(), evaluate=False))
    assert "rel" not in report and set(report["nodes"]) == {"/depth"}
    assert "infer" in report["nodes"]["/depth"]["stages"]  # it works although nothing is written


def test_nothing_to_score_is_one_line(write_bag) -> None:
    with pytest.raises(
        CommandError, match="evaluation scores the nodes segmentation, depth, keypoints, none of which is"
    ):
        replay(Replay(write_bag(), ["depth_score"], evaluate=True))


def test_the_same_bag_gives_the_same_bytes(write_bag, arguments, tmp_path: Path) -> None:
    outs = [tmp_path / "a.mcap", tmp_path / "b.mcap"]
    given = arguments(parameters=("depth:passes:=3", "depth:use_measured_depth:=true"))
    for out in outs:
        report = replay(Replay(write_bag(), ["depth"], out, given))
    topics = [f"/depth/{name}" for name in ("camera_info", "depth", "depth_filled", "depth_std", "points")]
    assert report["recorded"] == dict.fromkeys([*topics, "/depth_score/rel"], 3)
    assert outs[0].read_bytes() == outs[1].read_bytes()


@pytest.fixture
def bag_of_people(tmp_path: Path, tiny_people) -> Callable[..., Path]:
    """Makes bags of three images of two people whom the tiny network finds; with the truth, if it is wanted."""

    def write(truth: bool = True) -> Path:
        path, sample = tmp_path / "people.mcap", tiny_people((6, 3), (15, 4))
        there = PeopleArrays(
            sample.pixels, sample.points, np.ones((2, 18), np.float32), np.ones(2, np.float32),
            np.array([1, 2], np.uint32),
        )  # fmt: skip
        messages = {
            "/rgb/camera_info": lambda h: camera_to_camera_info(sample.camera, h),
            "/depth_registered/image_rect": lambda h: array_to_image(sample.depth, "32FC1", h),
            "/rgb/image_rect_color": lambda h: array_to_image(sample.rgb, "rgb8", h),
            **({"/ground_truth/people": lambda h: arrays_to_people(there, h)} if truth else {}),
        }
        with McapWriter(path, overwrite=True) as writer:
            header = make_header(0, "camera")
            topics = {t: writer.add_topic(t, make(header).__msgtype__, [SENSOR]) for t, make in messages.items()}
            for stamp_ns in (10**9, 2 * 10**9, 3 * 10**9):
                for topic, make in messages.items():
                    writer.write(topics[topic], stamp_ns, serialize(make(make_header(stamp_ns, "camera"))))
        return path

    return write


def test_people_are_scored_against_the_truth(bag_of_people, tiny_keypoint_model) -> None:
    given = RosArguments.of((), (f"keypoints:model:={tiny_keypoint_model()}", "keypoints_score:reach:=3.0"))
    report = replay(Replay(bag_of_people(), ["keypoints"], arguments=given, evaluate=True))
    assert (report["people"], report["people_images"], report["reach"]) == (6, 3, 3.0)
    assert report["oks_ap"] == pytest.approx(1) and report["pck"] == 1 and report["joints_placed"] == 1
    assert 0.01 < report["joint_error_m"] < 0.15 and not report["silent"] and "rel" not in report
    words = text(report)
    assert "(6 people in 3 images; joints in space up to 3 m)" in words and "joint_error_m" in words


def test_people_without_truth_are_not_scored(bag_of_people, tiny_keypoint_model) -> None:
    given = RosArguments.of((), (f"keypoints:model:={tiny_keypoint_model()}",))
    report = replay(Replay(bag_of_people(truth=False), ["keypoints"], arguments=given))
    assert "oks_ap" not in report and set(report["nodes"]) == {"/keypoints"}
