"""Augmentation of images with people (Cao et al.; Osokin): one crop that is turned, zoomed, shifted and mirrored."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.people import PeopleSample
from scene_understanding.labels.keypoints import COCO18_MIRRORED
from scene_understanding.perception.pose_estimator import PADDING
from scene_understanding.training.augment import are_numbers, jitter_color


@dataclass(frozen=True)
class KeypointAugmentation:
    """What a training sample may go through; the defaults are those of Osokin 2018.

    Attributes:
        crop: (height, width) of the result, multiples of 8.
        scale: range of the zoom; at 1 an image is as large as it is when the network sees the whole of it.
        turn: up to so many degrees.
        shift: the middle of the crop lies up to so many pixels, of the crop, from a random person's.
        flip: whether half of the samples are mirrored, left and right keypoints changing places.
        color_noise: up to so many grey levels of noise, its standard deviation.
        erase: up to so many rectangles of one colour, up to a third of the crop wide and high; keypoints stay.
    """

    crop: tuple[int, int] = (368, 368)
    scale: tuple[float, float] = (0.6, 1.5)
    turn: float = 40.0
    shift: float = 40.0
    flip: bool = True
    color_noise: float = 8.0
    erase: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "crop", tuple(self.crop))
        object.__setattr__(self, "scale", tuple(self.scale))
        for name, fits, expected in (
            ("crop", are_numbers(self.crop, 2, int) and not any(side % 8 for side in self.crop) and min(self.crop) > 0,
             "[height, width], multiples of 8"),
            ("scale", are_numbers(self.scale, 2) and 0 < self.scale[0] <= self.scale[1] <= 10, "[from, to] in 0..10"),
            ("turn", are_numbers([self.turn]) and 0 <= self.turn <= 180, "degrees in 0..180"),
            ("shift", are_numbers([self.shift]) and self.shift >= 0, "pixels, 0 or more"),
            ("flip", isinstance(self.flip, bool), "true or false"),
            ("color_noise", are_numbers([self.color_noise]) and 0 <= self.color_noise <= 50, "grey levels, 0..50"),
            ("erase", are_numbers([self.erase], 1, int) and self.erase >= 0, "a whole number, 0 or more"),
        ):  # fmt: skip
            if not fits:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected {expected}")

    def __call__(self, sample: PeopleSample, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """rgb (h, w, 3) uint8 of the crop, and everybody's keypoints (P, 18, 2) float32 in it, NaN outside of it."""
        height, width = self.crop
        zoom = fitting_scale(sample.rgb.shape, self.crop) * float(np.exp(rng.uniform(*np.log(self.scale))))
        flip = self.flip and rng.random() < 0.5
        turn = np.radians(rng.uniform(-self.turn, self.turn))
        turned = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        if flip:
            turned[:, 0] *= -1
        middle = np.array([(width - 1) / 2, (height - 1) / 2]) + rng.uniform(-self.shift, self.shift, 2)
        offset = middle - turned @ _aim(sample, rng)
        crop_from_image = np.column_stack([turned, offset])
        rgb = cv2.warpAffine(
            sample.rgb, crop_from_image, (width, height), flags=cv2.INTER_LINEAR, borderValue=(PADDING,) * 3
        )
        keypoints = sample.pixels @ turned.T.astype(np.float32) + offset.astype(np.float32)
        if flip:
            keypoints = keypoints[:, list(COCO18_MIRRORED)]
        outside = (keypoints < 0) | (keypoints > np.array([width - 1, height - 1], np.float32))
        keypoints[outside.any(-1)] = np.nan
        return self._recoloured(np.asarray(rgb, np.uint8), rng), keypoints

    def _recoloured(self, rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """With other colours, noise, blur and erased parts."""
        rgb = jitter_color(rgb, rng)
        if rng.random() < 0.2:
            rgb = np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, 2).astype(np.uint8)
        if rng.random() < 0.3:
            rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 1.8)), np.uint8)
        if self.color_noise:
            grain = np.empty(rgb.shape, np.int16)
            cv2.setRNGSeed(int(rng.integers(2**31)))
            cv2.randn(grain, np.zeros(3), np.full(3, rng.uniform(0, self.color_noise)))
            rgb = np.asarray(cv2.add(rgb, grain, dtype=cv2.CV_8U), np.uint8)
        for _ in range(int(rng.integers(self.erase + 1))):
            h, w = (int(side * rng.uniform(0.05, 0.33)) for side in rgb.shape[:2])
            y, x = (int(rng.integers(side - part)) for side, part in zip(rgb.shape[:2], (h, w), strict=True))
            rgb[y : y + h, x : x + w] = rng.integers(256, size=3)
        return rgb


def fitting_scale(shape: tuple[int, ...], crop: tuple[int, int]) -> float:
    """By which an image of `shape` (H, W, ...) is zoomed to be as high as the crop, or as wide as 4/3 of that."""
    return crop[0] / max(shape[0], 0.75 * shape[1])


def _aim(sample: PeopleSample, rng: np.random.Generator) -> NDArray[np.float64]:
    """(2,) the middle of somebody's keypoints; of the image where nobody has any."""
    known = np.isfinite(sample.pixels[..., 0])
    people = np.flatnonzero(known.any(1))
    if not len(people):
        height, width = sample.rgb.shape[:2]
        return np.array([(width - 1) / 2, (height - 1) / 2])
    person = int(people[rng.integers(len(people))])
    points = sample.pixels[person][known[person]]
    return np.asarray((points.min(0) + points.max(0)) / 2, np.float64)
