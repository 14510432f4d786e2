"""Measured depth beside predicted one, on planes whose every pixel is known here."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scene_understanding.geometry import PinholeCamera
from scene_understanding.perception.measured_depth import ScaleDrift, filled, scale_ratio

CAMERA = PinholeCamera.from_fov(160, 120, 1.0)


def plane() -> np.ndarray:
    """(120, 160) float32: a floor 1 m below a camera that looks down by 30 degrees, and a wall 4 m before it."""
    rays = CAMERA.rays
    down, forward = (rays @ np.array(axis, np.float32) for axis in ((0, 0.866, 0.5), (0, -0.5, 0.866)))
    return np.minimum(np.where(down > 0.1, 1 / np.maximum(down, 0.1), 9), 4 / forward).astype(np.float32)


def holed(depth: np.ndarray, unknown: float = np.nan) -> tuple[np.ndarray, np.ndarray]:
    """The depth with a large and a small hole, one at the border, and where they are."""
    hole = np.zeros(depth.shape, bool)
    hole[30:80, 40:100] = hole[100:103, 20:23] = hole[:20, 120:] = True
    return np.where(hole, np.float32(unknown), depth), hole


@pytest.mark.parametrize("unknown", [np.nan, 0.0, np.inf, -1.0])
def test_the_ratio_is_the_median_of_what_both_know(unknown: float) -> None:
    measured, _ = holed(plane(), unknown)
    predicted = plane() / np.float32(1.25)
    predicted[:10, :40] = 0.1  # a tenth of the image is nonsense
    assert scale_ratio(measured, predicted) == pytest.approx(1.25, rel=1e-5)
    assert scale_ratio(predicted, measured) == pytest.approx(0.8, rel=1e-5)


def test_too_few_measured_pixels_have_no_ratio() -> None:
    measured = np.full((100, 100), np.nan, np.float32)
    predicted = np.full((100, 100), 2.0, np.float32)
    measured.flat[:99] = 3.0
    assert np.isnan(scale_ratio(measured, predicted))
    measured.flat[99] = 3.0
    assert scale_ratio(measured, predicted) == pytest.approx(1.5)
    assert np.isnan(scale_ratio(measured, predicted, least_known=0.5))
    assert np.isnan(scale_ratio(np.full((2, 2), np.nan, np.float32), np.ones((2, 2), np.float32), least_known=0.0))


@pytest.mark.parametrize("unknown", [np.nan, 0.0, np.inf, -1.0])
def test_holes_are_filled_with_the_prediction_at_the_measured_scale(unknown: float) -> None:
    truth = plane()
    measured, hole = holed(truth, unknown)
    predicted = truth * np.float32(0.7)
    depth = filled(measured, predicted, scale_ratio(measured, predicted))
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth[~hole], truth[~hole])
    np.testing.assert_allclose(depth[hole], truth[hole], rtol=1e-4)


def test_a_scale_that_changes_over_the_image_leaves_no_step_at_the_borders() -> None:
    truth = plane()
    measured, hole = holed(truth)
    slope = np.linspace(0.7, 1.3, truth.shape[1], dtype=np.float32)
    predicted = truth * slope
    ratio = scale_ratio(measured, predicted)
    depth = filled(measured, predicted, ratio)
    error, of_one_ratio = (np.abs(d / truth - 1) for d in (depth, np.where(hole, predicted * ratio, measured)))
    border = hole & (cv2.dilate((~hole).astype(np.uint8), np.ones((3, 3))) == 1)
    assert of_one_ratio[border].max() > 0.1
    assert error[border].max() < 0.01
    assert error[hole].mean() < 0.05 < of_one_ratio[hole].mean()


def test_far_from_everything_measured_the_image_s_ratio_holds() -> None:
    truth = np.full((128, 128), 2.0, np.float32)
    measured = np.full_like(truth, np.nan)
    measured[:, :16] = 3.0
    depth = filled(measured, truth, ratio=1.5)
    np.testing.assert_allclose(depth, 3.0, rtol=1e-5)
    assert np.isfinite(filled(np.full_like(truth, np.nan), truth, ratio=1.5)).all()


def test_an_edge_drawn_elsewhere_does_not_leak_far_into_a_hole() -> None:
    """Prediction and measurement disagree tenfold in a band at the border of a hole; it is told from a scale."""
    truth = np.full((120, 160), 2.0, np.float32)
    measured, hole = holed(truth)
    predicted = truth.copy()
    predicted[30:80, 37:40] = 0.2
    depth = filled(measured, predicted, 1.0)
    assert np.abs(depth[hole] / 2 - 1).max() < 1.0
    assert np.median(np.abs(depth[hole] / 2 - 1)) < 0.1


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 60), st.floats(0.0, 1.0))
def test_any_size_and_any_holes(seed: int, height: int, width: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(0.5, 5, (height, width)).astype(np.float32)
    measured = predicted * rng.uniform(0.8, 1.4, predicted.shape).astype(np.float32)
    hole = rng.random(predicted.shape) < share
    measured[hole] = np.nan
    depth = filled(measured, predicted, 1.1)
    np.testing.assert_array_equal(depth[~hole], measured[~hole])
    ratio = depth / predicted
    assert ((ratio > 0.8 - 1e-3) & (ratio < 1.4 + 1e-3)).all()


def test_drift_is_told_against_the_long_run() -> None:
    scale = ScaleDrift(time_constant=10.0)
    assert np.isnan(scale.average) and np.isnan(scale.drift)
    scale.update(2.0, 0)
    assert (scale.average, scale.drift) == (2.0, 0.0)
    scale.update(float("nan"), 10**9)
    assert scale.average == 2.0
    for second in range(1, 31):
        scale.update(2.0, second * 10**9)
    scale.update(2.2, 31 * 10**9)
    assert 0.08 < scale.drift < 0.1
    for second in range(32, 62):  # three time constants later it is the new normal
        scale.update(2.2, second * 10**9)
    assert 0 < scale.drift < 0.01


def test_the_average_forgets_by_time_not_by_images() -> None:
    averages = []
    for rate in (1, 10):
        scale = ScaleDrift(10.0)
        for i in range(100 * rate):
            scale.update(1.0 if i < 90 * rate else 2.0, i * 10**9 // rate)
        averages.append(scale.average)
    assert averages[0] == pytest.approx(averages[1], abs=0.05)
    assert averages[0] == pytest.approx(2 - np.exp(-1), abs=0.05)
