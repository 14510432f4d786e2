"""The people in a colour image of any size: their keypoints in its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.inference.card import ModelCard, ModelError
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.perception.inputs import color_input
from scene_understanding.perception.keypoints import DecodeParameters, decode, decode_single
from scene_understanding.perception.second_look import look_again
from scene_understanding.perception.skeletons import Skeletons

STRIDE = 8
PADDING = 128


class PoseEstimator:
    """Runs a pose network on images of any size and aspect, and makes people of its maps.

    Args:
        parameters: thresholds of the decoding.
        second_look: at so many small people an image is looked again (`second_look`); each takes as long as the first.

    Raises:
        ModelError: the network is not one for keypoints.
    """

    def __init__(
        self, network: OnnxRuntimeNetwork, parameters: DecodeParameters | None = None, second_look: int = 0
    ) -> None:
        check_card(network.card)
        self.network = network
        self.parameters = parameters or DecodeParameters()
        self.second_look = second_look

    def prepare(self, color: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """color (H, W, 3) uint8 RGB to the network's input."""
        spec = self.network.card.inputs["color"]
        return {"color": color_input(letterboxed(color, spec.shape[2:]), spec)}

    def infer(self, inputs: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
        """`heat_maps` (1, 19, h, w) and `fields` (1, 38, h, w) float32."""
        return self.network(inputs)

    def decide(self, outputs: dict[str, NDArray[Any]], size: Sequence[int]) -> Skeletons:
        """Everybody in an image of `size` (H, W, ...), in its pixels."""
        found = decode(outputs["heat_maps"][0], outputs["fields"][0], STRIDE, self.parameters)
        return self._in_image(found, size)

    def decide_single(self, outputs: dict[str, NDArray[Any]], size: Sequence[int]) -> Skeletons:
        """The person in an image that is known to show exactly one: the highest peak of every keypoint."""
        return self._in_image(decode_single(outputs["heat_maps"][0], STRIDE), size)

    def _in_image(self, found: Skeletons, size: Sequence[int]) -> Skeletons:
        return in_image(found, size, self.network.card.inputs["color"].shape[2:])

    def look_again(self, color: NDArray[np.uint8], found: Skeletons) -> Skeletons:
        """Whom `decide` found, small people as a second look shows them."""
        return look_again(color, found, self._first_look, self.second_look) if self.second_look else found

    def _first_look(self, color: NDArray[np.uint8]) -> Skeletons:
        return self.decide(self.infer(self.prepare(color)), color.shape)

    def __call__(self, color: NDArray[np.uint8]) -> Skeletons:
        """As `prepare`, `infer`, `decide` and `look_again` one after the other."""
        return self.look_again(color, self._first_look(color))


def check_card(card: ModelCard) -> None:
    """Holds that a card is of a pose network.

    Raises:
        ModelError: it is not.
    """
    if card.task != "keypoints" or set(card.outputs) != {"heat_maps", "fields"} or set(card.inputs) != {"color"}:
        raise ModelError(
            f"model '{card.name}' is for {card.task}; needed is keypoints: color in, heat_maps and fields out"
        )


def fit_scale(size: Sequence[int], inside: Sequence[int]) -> float:
    """By which an image of `size` (H, W, ...) is zoomed to be as large as fits `inside` (h, w)."""
    return min(inside[0] / size[0], inside[1] / size[1])


def letterboxed(color: NDArray[np.uint8], inside: Sequence[int]) -> NDArray[np.uint8]:
    """The image (H, W, 3) as large as fits `inside` (h, w), grey below it or to its right: (h, w, 3)."""
    scale = fit_scale(color.shape, inside)
    height, width = (max(1, round(side * scale)) for side in color.shape[:2])
    if (height, width) != color.shape[:2]:
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        color = np.asarray(cv2.resize(color, (width, height), interpolation=how), np.uint8)
    if (height, width) == tuple(inside):
        return color
    canvas = np.full((*inside, 3), PADDING, np.uint8)
    canvas[:height, :width] = color
    return canvas


def in_image(found: Skeletons, size: Sequence[int], inside: Sequence[int]) -> Skeletons:
    """People in pixels of the image of `size` (H, W, ...), found in pixels of what `letterboxed` made of it."""
    scale = fit_scale(size, inside)
    zoom = np.array([max(1, round(size[k] * scale)) / size[k] for k in (1, 0)], np.float32)
    return Skeletons((found.pixels + np.float32(0.5)) / zoom - np.float32(0.5), found.confidence, found.score)
