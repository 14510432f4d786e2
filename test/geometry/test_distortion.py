"""OpenCV is the oracle."""

import cv2
import numpy as np
import pytest

from scene_understanding.geometry import Distortion, PinholeCamera, rectify_map

LENSES = {
    "plumb_bob4": Distortion.of("plumb_bob", [-0.3, 0.1, 0.001, -0.002]),
    "plumb_bob": Distortion.of("plumb_bob", [-0.28, 0.12, 0.0007, -0.0011, -0.03]),
    "rational": Distortion.of(
        "rational_polynomial", [0.6, -2.7, 0.0005, -0.0004, 1.6, 0.48, -2.5, 1.5]
    ),  # Azure Kinect
    "prism": Distortion.of(
        "rational_polynomial", [0.1, 0.02, 1e-3, 2e-3, 1e-3, 0.1, 0.01, 1e-3, 1e-3, 2e-4, -1e-3, 1e-4]
    ),
    "equidistant": Distortion.of("equidistant", [0.02, -0.01, 0.003, -0.0006]),
}
RAW = PinholeCamera(160, 120, 100.0, 102.0, 80.5, 58.0)
GRID = np.stack(np.meshgrid(np.linspace(-0.6, 0.6, 13), np.linspace(-0.45, 0.45, 11)), axis=-1)


def opencv_distort(lens, xy):
    d = np.array(lens.coefficients)
    if lens.model == "equidistant":
        return cv2.fisheye.distortPoints(xy.reshape(1, -1, 2), np.eye(3), d).reshape(xy.shape)
    points = np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1).reshape(-1, 1, 3)
    return cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), d)[0].reshape(xy.shape)


@pytest.mark.parametrize("name", LENSES)
def test_distort_as_opencv(name):
    np.testing.assert_allclose(LENSES[name].distort(GRID), opencv_distort(LENSES[name], GRID), atol=1e-12)


@pytest.mark.parametrize("name", LENSES)
def test_undistort_is_the_inverse(name):
    lens = LENSES[name]
    np.testing.assert_allclose(lens.undistort(lens.distort(GRID)), GRID, atol=1e-8)


def test_fisheye_far_from_the_axis():
    lens = LENSES["equidistant"]
    angle = np.radians(np.linspace(0, 85, 18))
    xy = np.stack([np.tan(angle) * np.cos(1.0), np.tan(angle) * np.sin(1.0)], axis=-1)
    np.testing.assert_allclose(lens.undistort(lens.distort(xy)), xy, rtol=1e-6, atol=1e-9)
    assert np.isnan(lens.undistort([[3.0, 0.0]])).all()  # outside of the image circle
    np.testing.assert_array_equal(lens.distort([[0.0, 0.0]]), [[0.0, 0.0]])
    np.testing.assert_array_equal(lens.undistort([[0.0, 0.0]]), [[0.0, 0.0]])


def test_undistort_of_what_no_ray_reaches_is_nan():
    barrel = Distortion.of("plumb_bob", [-0.3, 0, 0, 0])  # x - 0.3 x^3 turns back at 0.70
    assert np.isnan(barrel.undistort([[5.0, 0.0], [0.71, 0.0], [0.0, -0.9]])).all()
    np.testing.assert_allclose(barrel.distort(barrel.undistort([[0.69, 0.0]])), [[0.69, 0.0]], atol=1e-8)


def test_nan_stays_nan_and_spoils_nothing_else():
    for lens in LENSES.values():
        xy = lens.undistort(lens.distort([[np.nan, 0.1], [0.2, 0.1]]))
        assert np.isnan(xy[0]).any()
        np.testing.assert_allclose(xy[1], [0.2, 0.1], atol=1e-8)


@pytest.mark.parametrize("name", LENSES)
def test_rectify_map_as_opencv(name):
    lens = LENSES[name]
    rectified = PinholeCamera(140, 100, 80.0, 81.0, 70.0, 49.0)
    rotation = cv2.Rodrigues(np.array([0.02, -0.05, 0.01]))[0]
    d = np.array(lens.coefficients)
    initialise = cv2.fisheye.initUndistortRectifyMap if lens.model == "equidistant" else cv2.initUndistortRectifyMap
    expected = initialise(RAW.matrix, d, rotation, rectified.matrix, (140, 100), cv2.CV_32FC1)
    for ours, theirs in zip(rectify_map(RAW, lens, rectified, rotation), expected, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_no_distortion():
    for lens in (Distortion(), Distortion.of("", []), Distortion.of("plumb_bob", np.zeros(5)), Distortion.of("x", [])):
        assert lens.is_none
        np.testing.assert_array_equal(lens.distort(GRID), GRID)
        np.testing.assert_array_equal(lens.undistort(GRID), GRID)
    assert not Distortion.of("equidistant", np.zeros(4)).is_none


def test_padding_with_zeros_is_dropped():
    assert Distortion.of("plumb_bob", [0.1, 0, 0, 0, 0, 0, 0, 0]) == Distortion("plumb_bob", (0.1, 0, 0, 0, 0))
    assert len(Distortion.of("rational_polynomial", [0.1] * 8 + [0] * 6).coefficients) == 12
    assert len(Distortion.of("fisheye", [0.1] * 4 + [0]).coefficients) == 4


@pytest.mark.parametrize(
    ("model", "coefficients", "message"),
    [
        ("omnidirectional", [1.0], "'omnidirectional' is unknown; expected one of: plumb_bob"),
        ("plumb_bob", [1.0, 2.0], "plumb_bob has 2 coefficients; expected 4 or 5"),
        ("equidistant", [1.0] * 5, "equidistant has 5 coefficients; expected 4"),
        ("rational_polynomial", [0.1] * 14, "has 14 coefficients; expected 8 or 12"),
        ("plumb_bob", [np.nan] * 5, "must be finite"),
    ],
)
def test_bad_distortion(model, coefficients, message):
    with pytest.raises(ValueError, match=message):
        Distortion.of(model, coefficients)
