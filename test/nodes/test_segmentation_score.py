import numpy as np
import pytest

from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.labels import load_label_set
from scene_understanding.messages.header import make_header
from scene_understanding.messages.image import array_to_image
from scene_understanding.messages.label_info import label_set_to_label_info
from scene_understanding.nodes.node import LATCHED, SENSOR
from scene_understanding.nodes.segmentation_score import IMAGE, LABELS, SegmentationScoreNode

NAMES = load_label_set("nyu13").names


class Rig:
    def __init__(self, labels: str = "nyu13") -> None:
        self.bus, self.node = Bus(), SegmentationScoreNode()
        self.runner = NodeRunner(self.node, self.bus, inline=True).start()
        for topic, name in (("/ground_truth/label_info", "nyu13"), ("/segmentation/label_info", labels)):
            info = label_set_to_label_info(load_label_set(name), make_header(0, ""))
            self.bus.advertise(topic, LABELS, LATCHED, "/test").publish(info)
        self.truth = self.bus.advertise("/ground_truth/mask", IMAGE, SENSOR, "/test")
        self.mask = self.bus.advertise("/segmentation/mask", IMAGE, SENSOR, "/test")

    def send(self, truth: np.ndarray, mask: np.ndarray, stamp_ns: int) -> None:
        header = make_header(stamp_ns, "camera")
        self.truth.publish(array_to_image(truth, "mono8", header))
        self.mask.publish(array_to_image(mask, "mono8", header))
        while self.runner.step():
            pass


def test_counts_over_all_masks() -> None:
    rig = Rig()
    truth = np.array([[3, 3, 11, 255]], np.uint8)
    rig.send(truth, truth, 1)
    rig.send(truth, np.array([[3, 11, 11, 0]], np.uint8), 2)
    summary = rig.node.summary()
    assert summary["masks"] == 2
    assert summary["oa"] == pytest.approx(5 / 6)
    assert summary["iou"][NAMES[3]] == pytest.approx(3 / 4)
    assert summary["iou"][NAMES[11]] == pytest.approx(2 / 3)
    assert summary["miou"] == pytest.approx((3 / 4 + 2 / 3) / 2)


def test_masks_of_different_size_are_refused() -> None:
    rig = Rig()
    rig.send(np.zeros((2, 3), np.uint8), np.zeros((4, 6), np.uint8), 1)
    assert rig.runner.figures.last_refusal == "ground truth is 3x2, mask 6x4"


def test_other_classes_are_refused() -> None:
    rig = Rig(labels="camvid11")
    rig.send(np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8), 1)
    assert rig.runner.figures.last_refusal.startswith("ground truth has classes bed, books")
    assert rig.node.summary()["masks"] == 0


def test_what_is_no_mask_of_bytes_is_refused() -> None:
    rig = Rig()
    header = make_header(1, "camera")
    rig.truth.publish(array_to_image(np.zeros((2, 3), np.uint8), "mono8", header))
    rig.mask.publish(array_to_image(np.zeros((2, 3), np.uint16), "16UC1", header))
    while rig.runner.step():
        pass
    assert rig.runner.figures.last_refusal.startswith("mask is uint16 of shape (2, 3)")
