"""Augmentation: what comes out is what a camera could have seen."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.geometry import PinholeCamera
from scene_understanding.geometry.views import IMAGE_UP, median_depth, random_viewpoint
from scene_understanding.training.augment import Augmentation, drop_depth, from_viewpoint, mirrored, turned_and_zoomed

CAMERA = PinholeCamera(96, 72, 90.0, 92.0, 45.0, 37.0)
NORMAL, DISTANCE = np.array([0.3, -0.5, 0.81]), 2.0
"""A slanted plane: NORMAL . point = DISTANCE."""


def plane() -> RgbdSample:
    """The plane with stripes across the image as labels and colours."""
    depth = (DISTANCE / (CAMERA.rays @ NORMAL)).astype(np.float32)
    stripe = np.broadcast_to((np.arange(96) // 8).astype(np.uint8), (72, 96))
    return RgbdSample("plane", np.repeat(stripe[..., None] * 20, 3, -1), depth, CAMERA, stripe)


def points(sample: RgbdSample) -> NDArray[np.float64]:
    """(N, 3) of the known pixels."""
    known = np.isfinite(sample.depth)
    return sample.camera.rays[known] * sample.depth[known][:, None].astype(np.float64)


def turned(degrees: tuple[float, float, float]) -> NDArray[np.float64]:
    return np.asarray(cv2.Rodrigues(np.radians(degrees))[0], np.float64)


ANGLES = [(0.0, 0.0, 0.0), (7.0, 0.0, 0.0), (0.0, -7.0, 0.0), (0.0, 0.0, 12.0), (4.0, 6.0, -5.0)]


@pytest.mark.parametrize("degrees", ANGLES)
@pytest.mark.parametrize("scale", [0.7, 1.0, 1.6])
@pytest.mark.parametrize("size", [None, (48, 64)])
def test_a_plane_stays_the_plane(degrees, scale: float, size) -> None:
    rotation = turned(degrees)
    new = turned_and_zoomed(plane(), rotation, scale, (0.3, 0.8), size)
    assert new.depth.shape == new.label.shape == new.rgb.shape[:2] == new.camera.shape == (size or (72, 96))
    seen = points(new)
    assert len(seen) > 0.3 * new.depth.size
    # Zooming by s brings what is seen s times nearer along the new axis.
    error = (seen * (1, 1, scale)) @ (rotation @ NORMAL) - DISTANCE
    assert np.abs(error).max() < 0.03  # depth is taken from the nearest pixel
    assert abs(error.mean()) < 0.008


@pytest.mark.parametrize("degrees", ANGLES)
def test_labels_and_colour_go_with_the_points(degrees) -> None:
    rotation, scale = turned(degrees), 1.2
    new = turned_and_zoomed(plane(), rotation, scale, (0.5, 0.5))
    known = np.isfinite(new.depth)
    old = (points(new) * (1, 1, scale)) @ rotation  # in the frame before
    column = old[:, 0] / old[:, 2] * CAMERA.fx + CAMERA.cx
    middle = np.abs(column % 8 - 3.5) < 2.5  # of a stripe: the nearest pixel may be the neighbour's
    np.testing.assert_array_equal(new.label[known][middle], np.floor((column[middle] + 0.5) / 8))
    np.testing.assert_array_equal(new.label == 255, ~known)
    inner = cv2.erode(np.pad(known, 1).astype(np.uint8), np.ones((3, 3)))[1:-1, 1:-1] > 0
    within = inner[known][middle]  # colour fades at the rim
    np.testing.assert_array_equal(new.rgb[known][middle][within, 0], 20 * new.label[known][middle][within])


def test_nothing_is_done_by_no_turn_and_no_zoom() -> None:
    new, old = turned_and_zoomed(plane(), np.eye(3), 1.0, (0.2, 0.9)), plane()
    np.testing.assert_array_equal(new.rgb, old.rgb)
    np.testing.assert_array_equal(new.label, old.label)
    np.testing.assert_allclose(new.depth, old.depth, rtol=1e-6)
    assert new.camera == old.camera


def test_zooming_out_pads_with_void_and_unknown_depth() -> None:
    new = turned_and_zoomed(plane(), np.eye(3), 0.5, (0.5, 0.5))
    np.testing.assert_array_equal(new.label == 255, np.isnan(new.depth))
    assert 0.73 < (new.label == 255).mean() < 0.77


def test_a_mirrored_sample_has_a_mirrored_camera() -> None:
    old, new = plane(), mirrored(plane())
    np.testing.assert_allclose(points(new) @ (NORMAL * (-1, 1, 1)), DISTANCE, rtol=1e-6)
    np.testing.assert_array_equal(new.label, old.label[:, ::-1])
    again = mirrored(new)
    assert again.camera == old.camera
    for a, b in zip((again.rgb, again.depth, again.label), (old.rgb, old.depth, old.label), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("seed", range(4))
def test_from_elsewhere_a_plane_is_the_moved_plane(seed: int) -> None:
    sample = plane()
    new = from_viewpoint(sample, np.random.default_rng(seed))
    view_from_source = random_viewpoint(np.random.default_rng(seed), median_depth(sample.depth), IMAGE_UP)
    old = view_from_source.inverse().apply(points(new))
    assert len(old) > 0.4 * sample.depth.size
    assert np.abs(old @ NORMAL - DISTANCE).max() < 0.03
    np.testing.assert_array_equal(new.label == 255, np.isnan(new.depth))
    column = old[:, 0] / old[:, 2] * CAMERA.fx + CAMERA.cx
    middle = np.abs(column % 8 - 3.5) < 2.5
    assert (new.label[np.isfinite(new.depth)][middle] == np.floor((column[middle] + 0.5) / 8)).mean() > 0.99


def test_dropped_depth_is_unknown_and_the_rest_untouched() -> None:
    depth = np.full((48, 64), 2.0, np.float32)
    dropped = drop_depth(depth, np.random.default_rng(3))
    assert 0 < np.isnan(dropped).mean() < 1
    assert (dropped[np.isfinite(dropped)] == 2).all()
    assert (depth == 2).all()


def test_noise_of_depth_grows_with_the_square_of_the_distance() -> None:
    depth = np.repeat(np.array([[1.0], [4.0]], np.float32), 5000, 0).repeat(10, 1)
    camera = PinholeCamera(10, 10000, 60.0, 60.0, 4.5, 5000.0)
    label = np.zeros(depth.shape, np.uint8)
    still = Augmentation(flip=False, scale=(1, 1), holes=0, depth_gain=0, depth_noise=0.01)
    sample = RgbdSample("far and near", np.zeros((*depth.shape, 3), np.uint8), depth, camera, label)
    noise = still(sample, np.random.default_rng(0)).depth - depth
    assert noise[:5000].std() == pytest.approx(0.01, rel=0.05)
    assert noise[5000:].std() == pytest.approx(0.16, rel=0.05)


def test_the_same_seed_gives_the_same_sample_and_the_crop_its_size() -> None:
    augmentation = Augmentation(turn=5, views=0.5, crop=(40, 56), depth_noise=0.01)
    for seed in range(6):
        first, second = (augmentation(plane(), np.random.default_rng(seed)) for _ in range(2))
        for a, b in zip((first.rgb, first.depth, first.label), (second.rgb, second.depth, second.label), strict=True):
            np.testing.assert_array_equal(a, b)
        assert first.label.shape == first.camera.shape == (40, 56)
        assert set(np.unique(first.label)) <= {*range(12), 255}


def test_without_depth_there_are_no_views() -> None:
    sample = RgbdSample("flat", plane().rgb, np.full((72, 96), np.nan, np.float32), CAMERA, plane().label)
    assert np.isnan(Augmentation(views=1.0)(sample, np.random.default_rng(0)).depth).all()


def test_a_crop_alone_takes_pixels_as_they_are() -> None:
    """What is in focus stays so: nothing is resampled."""
    rng = np.random.default_rng(0)
    sample = plane()
    sample = replace(sample, rgb=rng.integers(0, 256, sample.rgb.shape, np.uint8))
    for offset in ((0.123, 0.77), (0.5, 0.01)):
        new = turned_and_zoomed(sample, np.eye(3), 1.0, offset, (48, 64))
        x, y = round(45.0 - new.camera.cx), round(37.0 - new.camera.cy)
        assert (new.camera.cx, new.camera.cy) == (45.0 - x, 37.0 - y)
        np.testing.assert_array_equal(new.rgb, sample.rgb[y : y + 48, x : x + 64])
        np.testing.assert_allclose(new.depth, sample.depth[y : y + 48, x : x + 64], rtol=1e-5)


@pytest.mark.parametrize(("shift", "moved"), [(0.0, 0.5), (1.0, 10.0)])
def test_without_shift_the_optical_centre_stays_in_the_middle(shift: float, moved: float) -> None:
    augmentation = Augmentation(flip=False, scale=(1.0, 1.5), shift=shift)
    camera = PinholeCamera(96, 72, 90.0, 92.0, 48.0, 36.0)
    seen = [augmentation(replace(plane(), camera=camera), np.random.default_rng(seed)).camera for seed in range(20)]
    far = max(max(abs(c.cx - 48), abs(c.cy - 36)) for c in seen)
    assert (far <= moved) if shift == 0 else (far > moved)


def test_noise_of_colour_leaves_the_mean_and_is_as_large_as_said() -> None:
    sample = replace(plane(), rgb=np.full((72, 96, 3), 120, np.uint8))
    still = Augmentation(flip=False, scale=(1.0, 1.0))
    noisy = replace(still, color_noise=8.0)
    deviations = []
    for seed in range(30):
        one, other = (a(sample, np.random.default_rng(seed)).rgb.astype(float) for a in (still, noisy))
        assert abs(other.mean() - one.mean()) < 0.2
        deviations.append((other - one).std())
    assert 0 < min(deviations) < 2 and 6 < max(deviations) < 8.5
