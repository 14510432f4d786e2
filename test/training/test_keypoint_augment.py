"""Augmentation of people: keypoints stay on the pixels that they were on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scene_understanding.datasets.people import PeopleSample
from scene_understanding.labels.keypoints import COCO18_MIRRORED
from scene_understanding.perception.pose_estimator import PADDING
from scene_understanding.training.keypoint_augment import KeypointAugmentation, fitting_scale

STILL = KeypointAugmentation(crop=(160, 144), scale=(1.0, 1.0), turn=0, shift=0, flip=False, color_noise=0)
WILD = KeypointAugmentation(crop=(160, 144), scale=(0.7, 1.6), turn=60, shift=30, color_noise=0)
NOSE = 0


def sample_of(pixels: np.ndarray, dot: int | None = None, height: int = 120, width: int = 180) -> PeopleSample:
    """Somebody in front of grey, one of whose keypoints is a red dot."""
    rgb = np.full((height, width, 3), PADDING, np.uint8)
    if dot is not None:
        y, x = np.mgrid[:height, :width]
        bell = np.exp(-((x - pixels[0, dot, 0]) ** 2 + (y - pixels[0, dot, 1]) ** 2) / (2 * 2.0**2))
        rgb[..., 0] = np.rint(PADDING + (255 - PADDING) * bell)
    seen = np.isfinite(pixels[..., 0])
    return PeopleSample("somebody", rgb, pixels, seen, np.full(len(pixels), 500, np.float32))


def somebody(seed: int) -> np.ndarray:
    """(1, 18, 2) keypoints, the right elbow unknown."""
    pixels = np.random.default_rng(seed).uniform(20, (160, 100), (1, 18, 2)).astype(np.float32)
    pixels[0, 3] = np.nan
    return pixels


def place_of_dot(rgb: np.ndarray) -> np.ndarray | None:
    """(2,) the middle of what is brighter than the grey around it; None if nothing is."""
    excess = rgb[..., 0].astype(float) - np.median(rgb[..., 0])
    excess[excess < 8] = 0
    if excess.max() < 20:
        return None
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    return np.array([(x * excess).sum(), (y * excess).sum()]) / excess.sum()


def is_mirrored(pixels: np.ndarray, keypoints: np.ndarray) -> bool:
    """Whether keypoints (1, 18, 2) are where one affine map puts those of the other side."""
    other = keypoints[0, list(COCO18_MIRRORED)]
    known = np.isfinite(pixels[0, :, 0]) & np.isfinite(other[:, 0])
    start = np.column_stack([pixels[0, known], np.ones(known.sum())])
    affine = np.linalg.lstsq(start, other[known], rcond=None)[0]
    return bool(np.abs(start @ affine - other[known]).max() < 0.01)


@pytest.mark.parametrize("seed", range(10))
def test_keypoints_move_with_the_pixels(seed: int) -> None:
    pixels, found = somebody(seed), 0
    for dot in np.flatnonzero(np.isfinite(pixels[0, :, 0])):
        rgb, keypoints = WILD(sample_of(pixels, dot), np.random.default_rng([seed, 1]))
        place = place_of_dot(rgb)
        if place is None or (place < 8).any() or (place > (135, 151)).any():
            continue  # beyond the border, or cut by it
        own = COCO18_MIRRORED[dot] if is_mirrored(pixels, keypoints) else dot
        np.testing.assert_allclose(keypoints[0, own], place, atol=0.6)
        found += 1
    assert found >= 3


def test_half_are_mirrored_and_left_and_right_change_places() -> None:
    pixels = somebody(0)
    flipping, mirrored = replace(STILL, crop=(240, 400), flip=True), 0
    for seed in range(40):
        _, plain = replace(flipping, flip=False)(sample_of(pixels), np.random.default_rng(seed))
        _, keypoints = flipping(sample_of(pixels), np.random.default_rng(seed))
        if np.allclose(keypoints, plain, equal_nan=True):
            continue
        mirrored += 1
        other = plain[:, list(COCO18_MIRRORED)]
        np.testing.assert_allclose(keypoints[..., 0], 399 - other[..., 0], atol=1e-3)
        np.testing.assert_allclose(keypoints[..., 1], other[..., 1], atol=1e-3)
    assert 10 < mirrored < 30


@pytest.mark.parametrize("seed", range(20))
def test_what_lies_outside_is_unknown_and_all_else_inside(seed: int) -> None:
    pixels = np.concatenate([somebody(seed), somebody(seed + 100) * 3])
    _, keypoints = replace(WILD, scale=(1.0, 4.0))(sample_of(pixels), np.random.default_rng(seed))
    assert keypoints.dtype == np.float32 and keypoints.shape == (2, 18, 2)
    known = np.isfinite(keypoints)
    np.testing.assert_array_equal(known[..., 0], known[..., 1])
    inside = keypoints[known[..., 0]]
    assert len(inside) < 35 and (inside >= 0).all() and (inside <= (143, 159)).all()


def test_a_still_one_shows_somebody_in_the_middle() -> None:
    pixels = np.full((1, 18, 2), np.nan, np.float32)
    pixels[0, :2] = (60, 40), (80, 70)
    rgb, keypoints = STILL(sample_of(pixels), np.random.default_rng(0))
    zoom = 160 / 135  # 180 wide is as 135 high
    assert rgb.shape == (160, 144, 3) and rgb.dtype == np.uint8
    expected = np.array([71.5, 79.5]) + zoom * (pixels[0, :2] - (70, 55))
    np.testing.assert_allclose(keypoints[0, :2], expected, atol=1e-3)
    assert np.isnan(keypoints[0, 2:]).all()


def test_without_people_the_middle_of_the_image_is_that_of_the_crop() -> None:
    nobody = sample_of(np.empty((0, 18, 2), np.float32))
    nobody.rgb[55:65, 85:95, 0] = 255
    rgb, keypoints = STILL(nobody, np.random.default_rng(0))
    assert keypoints.shape == (0, 18, 2)
    np.testing.assert_allclose(place_of_dot(rgb), (71.5, 79.5), atol=0.6)


@pytest.mark.parametrize(
    ("shape", "scale"), [((480, 640, 3), 368 / 480), ((200, 100, 3), 368 / 200), ((100, 400, 3), 368 / 300)]
)
def test_images_fill_the_height_or_four_thirds_of_it(shape: tuple[int, ...], scale: float) -> None:
    assert fitting_scale(shape, (368, 368)) == pytest.approx(scale)


def test_the_seed_decides() -> None:
    augmentation, sample = replace(WILD, color_noise=8.0, erase=3), sample_of(somebody(1), NOSE)
    one, same, other = (augmentation(sample, np.random.default_rng(seed)) for seed in (5, 5, 6))
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one[0] != other[0]).any()


def test_the_sample_stays_as_it_is() -> None:
    sample = sample_of(somebody(1), NOSE)
    before = sample.rgb.copy(), sample.pixels.copy()
    replace(WILD, color_noise=8.0, erase=3)(sample, np.random.default_rng(0))
    np.testing.assert_array_equal(sample.rgb, before[0])
    np.testing.assert_array_equal(sample.pixels, before[1])


def test_noise_is_in_all_colours_and_apart_in_each() -> None:
    deviations = []
    for seed in range(20):
        rgb = replace(STILL, color_noise=10.0)(sample_of(somebody(0)), np.random.default_rng(seed))[0]
        parts = rgb[:40, :40].reshape(-1, 3).astype(float)
        deviations.append(parts.std(0))
        assert abs(np.corrcoef(parts[:, 0], parts[:, 1])[0, 1]) < 0.3 or parts.std(0).min() < 0.5
    assert np.max(deviations) < 12
    spread = np.mean(deviations, 0)
    assert (spread > 1).all() and spread.max() < 1.2 * spread.min()


def test_erased_parts_leave_the_keypoints() -> None:
    pixels = somebody(3)
    changed = 0
    for seed in range(6):
        rgb, keypoints = STILL(sample_of(pixels), np.random.default_rng(seed))
        erased, same = replace(STILL, erase=4)(sample_of(pixels), np.random.default_rng(seed))
        np.testing.assert_array_equal(keypoints, same)
        changed += (rgb != erased).any()
    assert changed >= 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": (100, 96)}, "crop is .100, 96.; expected .height, width., multiples of 8"),
        ({"crop": (96.0, 96)}, "crop is"),
        ({"crop": (0, 96)}, "crop is"),
        ({"crop": (96,)}, "crop is"),
        ({"scale": (1.5, 0.5)}, "scale is .1.5, 0.5.; expected .from, to. in 0..10"),
        ({"scale": (0, 1)}, "scale is"),
        ({"turn": 181}, "turn is 181; expected degrees in 0..180"),
        ({"turn": float("nan")}, "turn is nan"),
        ({"shift": -1}, "shift is -1; expected pixels, 0 or more"),
        ({"flip": 1}, "flip is 1; expected true or false"),
        ({"color_noise": 51}, "color_noise is 51; expected grey levels, 0..50"),
        ({"erase": 1.5}, "erase is 1.5; expected a whole number, 0 or more"),
        ({"erase": True}, "erase is True"),
    ],
)
def test_what_cannot_be_says_so(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KeypointAugmentation(**change)


def test_lists_of_a_file_are_taken() -> None:
    augmentation = KeypointAugmentation(crop=[96, 64], scale=[0.5, 1])  # type: ignore[arg-type]
    assert (augmentation.crop, augmentation.scale) == ((96, 64), (0.5, 1))
