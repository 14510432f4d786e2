import numpy as np
import pytest

from scene_understanding.evaluation.depth_metrics import ERRORS, depth_errors, mean_errors
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.messages.header import make_header
from scene_understanding.messages.image import array_to_image
from scene_understanding.nodes.depth_score import IMAGE, DepthScoreNode, Parameters
from scene_understanding.nodes.node import SENSOR

TRUTH = np.random.default_rng(0).uniform(0.5, 8, (6, 8)).astype(np.float32)


class Rig:
    def __init__(self, parameters: Parameters | None = None) -> None:
        self.bus, self.node, self.heard = Bus(), DepthScoreNode(parameters), []
        self.bus.subscribe(
            "/depth_score/rel", "std_msgs/msg/Float32", SENSOR, "/test", lambda d: self.heard.append(d.message().data)
        )
        self.runner = NodeRunner(self.node, self.bus, inline=True).start()
        self.truth = self.bus.advertise("/ground_truth/depth", IMAGE, SENSOR, "/test")
        self.depth = self.bus.advertise("/depth/depth", IMAGE, SENSOR, "/test")

    def send(self, truth: np.ndarray, depth: np.ndarray, stamp_ns: int = 1, later_ns: int = 0) -> None:
        """16-bit arrays are millimetres."""
        for publisher, image, stamp in ((self.truth, truth, stamp_ns + later_ns), (self.depth, depth, stamp_ns)):
            encoding = "16UC1" if image.dtype == np.uint16 else "32FC1"
            publisher.publish(array_to_image(image, encoding, make_header(stamp, "camera")))
        while self.runner.step():
            pass


def test_means_over_images_of_their_errors() -> None:
    rig = Rig()
    sparse = np.where(TRUTH < 4, TRUTH, np.nan).astype(np.float32)
    pairs = [(TRUTH, TRUTH * np.float32(1.1)), (sparse, TRUTH + np.float32(0.5))]
    for i, (truth, depth) in enumerate(pairs):
        rig.send(truth, depth, i + 1)
    expected = mean_errors([depth_errors(depth, truth) for truth, depth in pairs])
    summary = rig.node.summary()
    assert summary["images"] == 2 and summary["largest"] == 10.0
    assert {name: summary[name] for name in ERRORS} == pytest.approx(expected)
    assert rig.heard == pytest.approx([0.1, expected["rel"]], rel=1e-4)
    assert rig.runner.statistics()["reported"] == summary


def test_before_the_first_image_there_is_no_figure() -> None:
    summary = Rig().node.summary()
    assert summary["images"] == 0 and np.isnan([summary[name] for name in ERRORS]).all()


def test_measured_depth_in_millimetres_with_holes_can_be_the_truth() -> None:
    rig = Rig()
    millimetres = np.full((6, 8), 2000, np.uint16)
    millimetres[2:4] = 0
    rig.send(millimetres, np.full((6, 8), 2.5, np.float32))
    assert rig.node.summary()["rel"] == pytest.approx(0.25)


def test_the_farthest_truth_that_counts_is_a_parameter() -> None:
    truth = np.full((6, 8), 2.0, np.float32)
    truth[3:] = 20.0
    depth = np.full((6, 8), 2.0, np.float32)
    for largest, rel in ((10.0, 0.0), (80.0, 0.45)):
        rig = Rig(Parameters(largest=largest))
        rig.send(truth, depth)
        assert rig.node.summary()["rel"] == pytest.approx(rel)


def test_stamps_are_equal_unless_told() -> None:
    for parameters, images in ((None, 0), (Parameters(slop=0.01), 1)):
        rig = Rig(parameters)
        rig.send(TRUTH, TRUTH, stamp_ns=10**9, later_ns=5_000_000)
        assert rig.node.summary()["images"] == images


@pytest.mark.parametrize(
    ("truth", "depth", "says"),
    [
        (TRUTH, TRUTH[:3, :4], "true depth is 8x6, estimated depth 4x3"),
        (TRUTH * np.float32(np.nan), TRUTH, "true depth has no pixel between 0 and 10 m"),
        (TRUTH, np.where(TRUTH < 4, TRUTH, np.float32(np.nan)), "estimated depth is unknown at pixels whose"),
    ],
)
def test_what_cannot_be_scored_is_refused_and_does_not_count(truth: np.ndarray, depth: np.ndarray, says: str) -> None:
    rig = Rig()
    rig.send(truth, depth)
    assert says in rig.runner.figures.last_refusal
    assert rig.node.summary()["images"] == 0 and not rig.heard
