"""A depth for every pixel of a colour image, in metres for the camera that took it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import sqrt
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry.camera import PinholeCamera
from scene_understanding.inference.card import ModelCard, ModelError
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.perception.inputs import color_input

EXPECTED = "deviation"
"""Output of a network that has learnt how wrong it is, beside the `std` of its passes."""


@dataclass(frozen=True)
class DepthEstimate:
    """Attributes:
    depth: (H, W) float32, metres along z, known everywhere.
    std: (H, W) float32, metres: standard deviation that the network expects; None where it tells none.
    """

    depth: NDArray[np.float32]
    std: NDArray[np.float32] | None


class DepthEstimator:
    """Runs a depth network on images of any size and any pinhole camera.

    A network sees sizes in pixels: what is twice as far through a lens of twice the focal length looks the same. Its
    depth is that of a camera of the card's `focal_length`, and that of another camera is f / focal_length times it,
    with f = sqrt(fx fy) after the image is resized to the network's input (area average, any aspect ratio stretched).

    With several passes the depth is the mean of passes with dropout on, and their standard deviation says where the
    network is unsure of what it learnt (Monte Carlo dropout: Gal and Ghahramani, ICML 2016). A network with the output
    `deviation` says by itself, in every pass, what error its input leaves open; the variances of both add up (Kendall
    and Gal, NIPS 2017, equation 9).

    Args:
        passes: 1: without dropout; else how many with.
        seed: of what is dropped. Every image gets draws of its own; equal seeds give equal sequences of them.

    Raises:
        ModelError: the network is not one for depth, or has no dropout for several passes.
    """

    def __init__(self, network: OnnxRuntimeNetwork, passes: int = 1, seed: int = 0) -> None:
        check_card(network.card, passes)
        self.network = network
        self.passes = passes
        self._random = np.random.default_rng(seed)

    def prepare(self, color: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """color (H, W, 3) uint8 RGB to the network's inputs, with new draws of what is dropped."""
        card = self.network.card
        inputs = {"color": color_input(color, card.inputs["color"])}
        if card.dropout is not None:
            factors = np.ones((self.passes, card.dropout.channels), np.float32)
            if self.passes > 1:
                factors[self._random.random(factors.shape) < card.dropout.rate] = 0
                factors /= np.float32(1 - card.dropout.rate)
            inputs["dropout"] = factors
        return inputs

    def infer(self, inputs: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
        """`depth`, `std` and, if it tells it, `deviation` (1, 1, h, w) float32 at the network's resolution, metres for
        the network's own camera."""
        return self.network(inputs)

    def decide(self, outputs: dict[str, NDArray[Any]], camera: PinholeCamera, size: tuple[int, int]) -> DepthEstimate:
        """What the network gave as metres for this camera, at `size` (H, W), bilinear."""
        scale = np.float32(self.focal_scale(camera))
        depth, *deviations = (
            _resized(outputs[name][0, 0] * scale, size) for name in ("depth", "std", EXPECTED) if name in outputs
        )
        told = tells_deviation(self.network.card, self.passes)
        return DepthEstimate(depth, reduce(np.hypot, deviations) if told else None)

    def focal_scale(self, camera: PinholeCamera) -> float:
        """The camera's focal length over the network's; the further from 1, the further from what it has learnt."""
        _, _, height, width = self.network.card.inputs["color"].shape
        seen = camera.resized(width, height)
        return sqrt(seen.fx * seen.fy) / self.network.card.focal_length

    def __call__(self, color: NDArray[np.uint8], camera: PinholeCamera) -> DepthEstimate:
        """As `prepare`, `infer` and `decide` one after the other; the result has the size of the colour image.

        Raises:
            ValueError: the image is not of the camera's size.
        """
        if color.shape[:2] != camera.shape:
            size = f"{color.shape[1]}x{color.shape[0]}"
            raise ValueError(f"image is {size}, the camera {camera.width}x{camera.height}")
        return self.decide(self.infer(self.prepare(color)), camera, camera.shape)


def tells_deviation(card: ModelCard, passes: int) -> bool:
    """Whether a network makes a standard deviation of so many passes."""
    return passes > 1 or EXPECTED in card.outputs


def check_card(card: ModelCard, passes: int) -> None:
    """Holds that a card is of a depth network that can make so many different passes.

    Raises:
        ModelError: it is not.
    """
    if card.task != "depth" or set(card.outputs) - {EXPECTED} != {"depth", "std"} or set(card.inputs) != {"color"}:
        raise ModelError(f"model '{card.name}' is for {card.task}; needed is depth: color in, depth and std out")
    if passes < 1:
        raise ModelError(f"passes is {passes}; it must be at least 1")
    if passes > 1 and card.dropout is None:
        raise ModelError(f"passes is {passes}, but model '{card.name}' has no dropout: all passes would be the same")


def _resized(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    if image.shape == size:
        return image
    return np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), np.float32)
