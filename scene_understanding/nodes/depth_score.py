"""Depth score: the depth of a node against true or measured depth of a simulator or a bag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

from scene_understanding.evaluation.depth_metrics import ERRORS, depth_errors
from scene_understanding.messages.image import depth_from_image
from scene_understanding.messages.types import message_type
from scene_understanding.nodes.node import Context, Input, InputError, Node, Output, Synchronised
from scene_understanding.nodes.parameters import parameter

IMAGE = "sensor_msgs/msg/Image"


@dataclass(frozen=True)
class Parameters:
    """Parameters of the depth_score node."""

    largest: float = parameter(
        10.0, "pixels that are truly further do not count, metres; predictions are cut there", bounds=(0.1, 1000.0)
    )
    slop: float = parameter(
        0.0, "largest difference between the stamps of the two depths, seconds; 0: equal", bounds=(0.0, 1.0)
    )


class DepthScoreNode(Node):
    """Errors of each whole image, averaged over images; all of them are in /diagnostics, `rel` is on `~/rel` too.

    Attributes:
        images: how many were counted.
    """

    name = "depth_score"
    parameters_type = Parameters
    outputs = (Output("rel", "~/rel", "std_msgs/msg/Float32"),)

    def __init__(self, parameters: Parameters | None = None) -> None:
        super().__init__(parameters)
        truth, depth = Input("truth", "ground_truth/depth", IMAGE), Input("depth", "depth/depth", IMAGE)
        self.inputs = (Synchronised((truth, depth), self.parameters.slop),)
        self.images = 0
        self._sums = dict.fromkeys(ERRORS, 0.0)

    def process(self, messages: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
        truth, depth = depth_from_image(messages["truth"]), depth_from_image(messages["depth"])
        if truth.shape != depth.shape:
            raise InputError(
                f"true depth is {truth.shape[1]}x{truth.shape[0]}, estimated depth {depth.shape[1]}x{depth.shape[0]}"
            )
        errors = depth_errors(depth, truth, largest=self.parameters.largest)
        if isnan(errors["d1"]):
            raise InputError(f"true depth has no pixel between 0 and {self.parameters.largest:g} m")
        if isnan(errors["rel"]):
            raise InputError("estimated depth is unknown at pixels whose true depth is known; an error needs both")
        self._sums = {name: self._sums[name] + errors[name] for name in ERRORS}
        self.images += 1
        summary = self.summary()
        context.report(**summary)
        return {"rel": message_type("std_msgs/msg/Float32")(data=summary["rel"])}

    def summary(self) -> dict[str, Any]:
        """`ERRORS` of `evaluation.depth_metrics`, means over images, NaN before the first; `images`, `largest`."""
        means = {name: self._sums[name] / self.images if self.images else nan for name in ERRORS}
        return {**means, "images": self.images, "largest": self.parameters.largest}
