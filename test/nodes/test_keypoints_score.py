"""The keypoints score node: figures over all images, and what they are of."""

from __future__ import annotations

import numpy as np
import pytest

from scene_understanding.datasets.people import PeopleSample
from scene_understanding.evaluation.keypoint_metrics import figures, judged
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.messages.header import make_header
from scene_understanding.messages.people import PeopleArrays, arrays_to_people
from scene_understanding.nodes.keypoints_score import FIGURES, PEOPLE, KeypointsScoreNode, Parameters
from scene_understanding.nodes.node import SENSOR
from scene_understanding.perception.skeletons import Skeletons

SECOND = 10**9


class Rig:
    def __init__(self, parameters: Parameters | None = None) -> None:
        self.bus, self.node, self.heard = Bus(), KeypointsScoreNode(parameters), []
        self.bus.subscribe(
            "/keypoints_score/oks_ap", "std_msgs/msg/Float32", SENSOR, "/test",
            lambda d: self.heard.append(d.message().data),
        )  # fmt: skip
        self.runner = NodeRunner(self.node, self.bus, inline=True).start()
        self.truth = self.bus.advertise("/ground_truth/people", PEOPLE, SENSOR, "/test")
        self.people = self.bus.advertise("/keypoints/people", PEOPLE, SENSOR, "/test")

    def send(self, truth: PeopleArrays, people: PeopleArrays, stamp_ns: int = SECOND, later_ns: int = 0) -> None:
        for publisher, arrays, stamp in ((self.truth, truth, stamp_ns + later_ns), (self.people, people, stamp_ns)):
            publisher.publish(arrays_to_people(arrays, make_header(stamp, "camera")))
        while self.runner.step():
            pass


def people(sample: PeopleSample, off: float = 0.0, metres_off: float = 0.0) -> PeopleArrays:
    """Everybody of a sample, so many pixels and metres to the right of where they are."""
    assert sample.points is not None
    n = len(sample.pixels)
    right = np.array([1, 0, 0], np.float32)
    return PeopleArrays(
        sample.pixels + off * right[:2], sample.points + metres_off * right, np.ones((n, 18), np.float32),
        np.linspace(1, 0.5, n, dtype=np.float32), np.arange(1, n + 1, dtype=np.uint32),
    )  # fmt: skip


def test_figures_are_those_of_all_images_together(tiny_people) -> None:
    rig, samples = Rig(), [tiny_people((6, 3), (15, 4)), tiny_people((6, 3)), tiny_people()]
    judgements = []
    for i, (sample, off) in enumerate(zip(samples, (3.0, 8.0, 0.0), strict=True)):
        found = people(sample, off, 0.1)
        rig.send(people(sample), found, (i + 1) * SECOND)
        unknown = np.full(len(sample.pixels), np.nan, np.float32)
        sample = PeopleSample(sample.name, sample.rgb, sample.pixels, sample.seen, unknown)
        skeletons = Skeletons(found.pixels, found.confidence, found.score)
        judgements.append(judged(sample, skeletons, (people(samples[i]).points, found.points)))
    expected, summary = figures(judgements), rig.node.summary()
    assert {name: summary[name] for name in (*FIGURES, "people")} == pytest.approx(
        {name: expected[name] for name in (*FIGURES, "people")}
    )
    assert 0.2 < summary["oks_ap"] < 0.99 and summary["joint_error_m"] == pytest.approx(0.1, rel=1e-4)
    assert (summary["people"], summary["people_images"], summary["reach"]) == (3, 3, 4.0)
    assert len(rig.heard) == 3 and rig.heard[-1] == pytest.approx(summary["oks_ap"])
    reported = rig.runner.statistics()["reported"]
    assert reported["pck"] == summary["pck"] and reported["people_images"] == 3


def test_before_the_first_image_there_is_no_figure() -> None:
    summary = Rig().node.summary()
    assert np.isnan([summary[name] for name in FIGURES]).all()
    assert summary["people"] == summary["people_images"] == 0 and summary["pck_by_joint"] == {}


def test_figures_are_told_once_a_second_and_are_of_every_image(tiny_people) -> None:
    rig, sample = Rig(), tiny_people((6, 3))
    for i in range(15):
        rig.send(people(sample), people(sample), SECOND + i * SECOND // 5)
    assert len(rig.heard) == 3 and rig.node.summary()["people_images"] == 15
    rig.send(people(sample), people(sample), SECOND)  # time went back
    assert len(rig.heard) == 4


def test_only_the_last_images_count(tiny_people) -> None:
    rig, sample = Rig(Parameters(window=2)), tiny_people((6, 3))
    for i, off in enumerate((90.0, 0.0, 0.0)):
        rig.send(people(sample), people(sample, off), (i + 1) * SECOND)
    assert rig.heard == pytest.approx([0.0, 0.25, 1.0], abs=0.01)  # the wrong one is as sure as the right one
    assert rig.node.summary()["people"] == 2 and rig.node.images == 3


def test_joints_that_are_not_true_or_not_found_are_not_judged_in_space(tiny_people) -> None:
    rig, sample = Rig(), tiny_people((6, 3))
    truth, found = people(sample), people(sample, metres_off=0.2)
    truth.pixels[0, 0], truth.points[0, 0], found.points[0, 1:9] = np.nan, np.nan, np.nan
    rig.send(truth, found)
    summary = rig.node.summary()
    assert summary["joint_error_m"] == pytest.approx(0.2, rel=1e-4)
    assert summary["joints_placed"] == pytest.approx(9 / 17)
    assert summary["pck"] == 1


def test_the_reach_is_a_parameter(tiny_people) -> None:
    rig, sample = Rig(Parameters(reach=1.5)), tiny_people((6, 3))
    rig.send(people(sample), people(sample))
    assert np.isnan(rig.node.summary()["joint_error_m"]) and rig.node.summary()["reach"] == 1.5


def test_stamps_are_equal_unless_told(tiny_people) -> None:
    sample = tiny_people((6, 3))
    for parameters, images in ((None, 0), (Parameters(slop=0.01), 1)):
        rig = Rig(parameters)
        rig.send(people(sample), people(sample), later_ns=5_000_000)
        assert rig.node.images == images
