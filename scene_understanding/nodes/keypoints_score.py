"""Keypoints score: the people of a node against the true ones of a simulator or a labelled bag."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.evaluation.keypoint_metrics import REACH, Judgement, figures, judged
from scene_understanding.messages.header import stamp_to_ns
from scene_understanding.messages.people import PeopleArrays, people_to_arrays
from scene_understanding.messages.types import message_type
from scene_understanding.nodes.node import Context, Input, Node, Output, Synchronised
from scene_understanding.nodes.parameters import parameter
from scene_understanding.perception.skeletons import Skeletons

PEOPLE = "scene_understanding/msg/People"
TOLD_EVERY_NS = 10**9
FIGURES = ("oks_ap", "ap50", "ap75", "pck", "joint_error_m", "joint_error_p90_m", "joints_placed")


@dataclass(frozen=True)
class Parameters:
    """Parameters of the keypoints_score node."""

    reach: float = parameter(
        REACH, "joints in space that are truly further from the camera do not count, metres", bounds=(0.1, 1000.0)
    )
    window: int = parameter(2_000, "the figures are of so many images, the last ones", bounds=(1, 1_000_000))
    slop: float = parameter(
        0.0, "largest difference between the stamps of the two, seconds; 0: equal", bounds=(0.0, 1.0)
    )


@dataclass(frozen=True, eq=False)
class Truth:
    """True people, of whom every keypoint that the message has is seen; see `LabelledPeople`."""

    pixels: NDArray[np.float32]
    seen: NDArray[np.bool_]
    area: NDArray[np.float32]

    @classmethod
    def of(cls, people: PeopleArrays) -> Truth:
        """Areas, which messages do not tell, are left to be those of the keypoints."""
        seen = np.asarray(np.isfinite(people.pixels).all(-1))
        return cls(people.pixels, seen, np.full(len(people), np.nan, np.float32))


class KeypointsScoreNode(Node):
    """Figures of all images of the window together; in /diagnostics, once a second, with OKS-AP on `~/oks_ap` too.

    Attributes:
        images: how many were judged.
    """

    name = "keypoints_score"
    parameters_type = Parameters
    outputs = (Output("oks_ap", "~/oks_ap", "std_msgs/msg/Float32"),)

    def __init__(self, parameters: Parameters | None = None) -> None:
        super().__init__(parameters)
        truth, people = Input("truth", "ground_truth/people", PEOPLE), Input("people", "keypoints/people", PEOPLE)
        self.inputs = (Synchronised((truth, people), self.parameters.slop),)
        self.images = 0
        self._judgements: deque[Judgement] = deque(maxlen=self.parameters.window)
        self._told_ns = 0

    def process(self, messages: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
        truth, people = people_to_arrays(messages["truth"]), people_to_arrays(messages["people"])
        found = Skeletons(people.pixels, people.confidence, people.score)
        places = truth.points, people.points
        self._judgements.append(judged(Truth.of(truth), found, places, reach=self.parameters.reach))
        self.images += 1
        stamp_ns = stamp_to_ns(messages["truth"].header.stamp)
        if 0 <= stamp_ns - self._told_ns < TOLD_EVERY_NS:
            return {}
        self._told_ns = stamp_ns
        summary = self.summary()
        context.report(**{name: summary[name] for name in (*FIGURES, "people", "people_images")})
        return {"oks_ap": message_type("std_msgs/msg/Float32")(data=summary["oks_ap"])}

    def summary(self) -> dict[str, Any]:
        """`FIGURES`, `pck_by_joint` and `people` of the window, as `evaluation.keypoint_metrics.figures` has them, NaN
        where there is nothing to judge; `people_images`, the images so far, and `reach`."""
        unknown = {**dict.fromkeys(FIGURES, nan), "pck_by_joint": {}, "people": 0}
        known = figures(list(self._judgements)) if self._judgements else {}
        return {**unknown, **known, "people_images": self.images, "reach": self.parameters.reach}
