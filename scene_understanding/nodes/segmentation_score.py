"""Segmentation score: the mask of a node against the ground truth of a simulator or a labelled bag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.evaluation.segmentation_metrics import confusion_of_ids, summary
from scene_understanding.labels import LabelSet
from scene_understanding.messages.image import image_to_array
from scene_understanding.messages.label_info import label_info_to_label_set
from scene_understanding.messages.types import message_type
from scene_understanding.nodes.node import LATCHED, Context, Input, InputError, Node, Output, Synchronised

IMAGE, LABELS = "sensor_msgs/msg/Image", "vision_msgs/msg/LabelInfo"


class SegmentationScoreNode(Node):
    """Counts every pixel of masks with equal stamps; the figures are in /diagnostics and on `~/miou`.

    Attributes:
        confusion: (K, K + 1) int64 of all masks so far (see `evaluation.segmentation_metrics`), None before the first.
        masks: how many were counted.
    """

    name = "segmentation_score"
    inputs = (
        Synchronised((Input("truth", "ground_truth/mask", IMAGE), Input("mask", "segmentation/mask", IMAGE))),
        Input("truth_labels", "ground_truth/label_info", LABELS, LATCHED, latched=True),
        Input("labels", "segmentation/label_info", LABELS, LATCHED, latched=True),
    )
    outputs = (Output("miou", "~/miou", "std_msgs/msg/Float32"),)

    def __init__(self, parameters: Any = None) -> None:
        super().__init__(parameters)
        self.confusion: NDArray[np.int64] | None = None
        self.masks = 0
        self._labels: LabelSet | None = None

    def process(self, messages: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
        labels = common_labels(messages["truth_labels"], messages["labels"])
        truth, mask = image_to_array(messages["truth"]), image_to_array(messages["mask"])
        for name, image in (("ground truth", truth), ("mask", mask)):
            if image.ndim != 2 or image.dtype != np.uint8:
                raise InputError(
                    f"{name} is {image.dtype} of shape {image.shape}; class ids are one byte a pixel (mono8)"
                )
        if truth.shape != mask.shape:
            raise InputError(f"ground truth is {truth.shape[1]}x{truth.shape[0]}, mask {mask.shape[1]}x{mask.shape[0]}")
        confusion = confusion_of_ids(truth, mask, labels.ids)
        if self._labels is None or self._labels.names != labels.names:
            self.confusion, self._labels = np.zeros_like(confusion), labels
        assert self.confusion is not None
        self.confusion += confusion
        self.masks += 1
        miou = self.summary()["miou"]
        context.report(miou=miou, masks=self.masks)
        return {"miou": message_type("std_msgs/msg/Float32")(data=miou)}

    def summary(self) -> dict[str, Any]:
        """`oa`, `ma`, `miou`, `iou` by class, `masks`; NaN before the first mask."""
        if self.confusion is None or self._labels is None:
            return {"oa": float("nan"), "ma": float("nan"), "miou": float("nan"), "iou": {}, "masks": 0}
        return {**summary(self.confusion, self._labels.names), "masks": self.masks}


def common_labels(truth: Any, mask: Any) -> LabelSet:
    """The label set of two LabelInfo messages.

    Raises:
        InputError: they name different classes.
    """
    a, b = label_info_to_label_set(truth), label_info_to_label_set(mask)
    if not a.same_classes(b):
        raise InputError(f"ground truth has classes {', '.join(a.names)}; the mask has {', '.join(b.names)}")
    return a
