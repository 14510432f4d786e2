"""A class for every pixel of an RGB-D image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.inference.card import ModelError
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.labels import LabelSet, load_label_set
from scene_understanding.perception.inputs import color_input, depth_input


@dataclass(frozen=True)
class Segmentation:
    """Attributes:
    label: (H, W) uint8 class ids, 255 unlabelled.
    confidence: (H, W) uint8, 255 times the probability of that class.
    """

    label: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


class Segmenter:
    """Runs a segmentation network on images of any size.

    Images are resized to the network's input (area average for colour, nearest for depth) and the scores come back as
    labels by nearest neighbour; other aspect ratios than the network's are stretched, as SnapNet-R does.

    Raises:
        ModelError: the network is not one for segmentation, or gives another number of scores than labels.
    """

    def __init__(self, network: OnnxRuntimeNetwork) -> None:
        card = network.card
        if card.task != "segmentation" or set(card.outputs) != {"scores"} or "color" not in card.inputs:
            raise ModelError(f"model '{card.name}' is for {card.task}; needed is segmentation: color in, scores out")
        self.network = network
        try:
            self.labels: LabelSet = load_label_set(card.label_set)
        except (OSError, ValueError) as error:
            raise ModelError(f"model '{card.name}': label_set: {error}") from error
        scores = card.outputs["scores"][1]
        if scores != len(self.labels.ids):
            raise ModelError(
                f"model '{card.name}' gives {scores} scores, {card.label_set} has {len(self.labels.ids)} labels"
            )

    @property
    def uses_depth(self) -> bool:
        return "depth" in self.network.card.inputs

    @property
    def needs_depth(self) -> bool:
        return self.uses_depth and "depth" not in self.network.card.optional_inputs

    def prepare(self, color: NDArray[np.uint8], depth: NDArray[np.float32] | None) -> dict[str, NDArray[np.float32]]:
        """color (H, W, 3) uint8 RGB and depth (H, W) float32 metres, NaN or 0 where unknown, to the network's inputs.

        Raises:
            ValueError: depth is missing though the model needs it.
        """
        inputs = {"color": color_input(color, self.network.card.inputs["color"])}
        if depth is None and self.needs_depth:
            raise ValueError(f"model '{self.network.card.name}' needs depth, there is only colour")
        if self.uses_depth:
            spec = self.network.card.inputs["depth"]
            inputs["depth"] = np.zeros(spec.shape, np.float32) if depth is None else depth_input(depth, spec)
        return inputs

    def scores(self, inputs: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """(K, h, w) float32 class scores at the network's resolution."""
        return self.network(inputs)["scores"][0]

    def decide(self, scores: NDArray[np.float32], size: tuple[int, int]) -> Segmentation:
        """Labels and their probabilities (softmax) from scores (K, h, w), at `size` (H, W)."""
        best = scores.max(axis=0)
        label = np.empty(best.shape, np.uint8)
        # Class by class, the first last: equals argmax, which takes longer than all the rest along this axis.
        for class_id, score in zip(reversed(self.labels.ids), scores[::-1], strict=True):
            np.copyto(label, np.uint8(class_id), where=score == best)
        probability = (255 / np.exp(scores - best).sum(axis=0)).astype(np.uint8)
        return Segmentation(*(_resized(image, size) for image in (label, probability)))

    def __call__(self, color: NDArray[np.uint8], depth: NDArray[np.float32] | None = None) -> Segmentation:
        """As `prepare`, `scores` and `decide` one after the other; the result has the size of the colour image."""
        return self.decide(self.scores(self.prepare(color, depth)), color.shape[:2])


def _resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    nearest = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
    return np.asarray(nearest, np.uint8)
