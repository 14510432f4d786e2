import cv2
import numpy as np
import pytest

from scene_understanding.geometry import CameraModel, Distortion, PinholeCamera
from scene_understanding.messages.camera_info import (
    camera_info_to_camera,
    camera_to_camera_info,
    check_image_size,
    rectify_image,
)
from scene_understanding.messages.header import make_header
from scene_understanding.messages.types import CameraInfo, RegionOfInterest, deserialize, serialize

HEADER = make_header(5, "camera")
K = np.array([100.0, 0, 80.5, 0, 102.0, 58.0, 0, 0, 1])
P = np.array([90.0, 0, 79.0, -9.0, 0, 91.0, 60.0, 0, 0, 0, 1, 0])
WHOLE = RegionOfInterest(0, 0, 0, 0, False)


def info(**changes):
    fields = {
        "header": HEADER, "height": 120, "width": 160, "distortion_model": "plumb_bob",
        "d": np.array([-0.2, 0.05, 1e-3, -1e-3, 0.01]), "k": K, "r": np.eye(3).ravel(), "p": P,
        "binning_x": 0, "binning_y": 0, "roi": WHOLE,
    }  # fmt: skip
    return CameraInfo(**{**fields, **changes})


def test_both_sides():
    camera = camera_info_to_camera(deserialize(serialize(info()), CameraInfo))
    assert camera.raw == PinholeCamera(160, 120, 100.0, 102.0, 80.5, 58.0)
    assert camera.rectified == PinholeCamera(160, 120, 90.0, 91.0, 79.0, 60.0)
    assert camera.distortion.coefficients == (-0.2, 0.05, 1e-3, -1e-3, 0.01)
    assert camera.baseline == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("model", "d"),
    [("plumb_bob", [0.1] * 4), ("plumb_bob", [0.1] * 5), ("rational_polynomial", [0.1] * 8), ("equidistant", [0.1] * 4),
     ("", [])],
)  # fmt: skip
def test_round_trip(model, d):
    rotation = cv2.Rodrigues(np.array([0.02, -0.05, 0.01]))[0]
    msg = info(distortion_model=model, d=np.array(d, np.float64), r=rotation.ravel())
    camera = camera_info_to_camera(msg)
    back = camera_to_camera_info(camera, HEADER)
    again = camera_info_to_camera(deserialize(serialize(back), CameraInfo))
    assert (again.raw, again.rectified, again.distortion) == (camera.raw, camera.rectified, camera.distortion)
    np.testing.assert_allclose(again.rectified_from_raw, rotation)
    assert again.baseline == pytest.approx(camera.baseline)


def test_pinhole_camera_has_no_distortion():
    msg = camera_to_camera_info(PinholeCamera(64, 48, 50.0, 50.0, 31.5, 23.5), HEADER)
    assert msg.distortion_model == "plumb_bob"
    np.testing.assert_array_equal(msg.d, np.zeros(5))
    assert camera_info_to_camera(msg).is_rectified


def test_zeros_of_p_and_r_are_filled_in():
    camera = camera_info_to_camera(info(p=np.zeros(12), r=np.zeros(9)))
    assert camera.rectified == camera.raw
    np.testing.assert_array_equal(camera.rectified_from_raw, np.eye(3))


def test_binning_and_region_as_image_geometry():
    camera = camera_info_to_camera(info(binning_x=2, binning_y=4, roi=RegionOfInterest(20, 8, 80, 100, True)))
    assert camera.raw == PinholeCamera(50, 20, 50.0, 25.5, 30.25, 12.5)
    assert camera.rectified == PinholeCamera(50, 20, 45.0, 22.75, 29.5, 13.0)
    assert camera.baseline == pytest.approx(0.1)


NAN_K = K.copy()
NAN_K[2] = np.nan
SKEW = K.copy()
SKEW[1] = 2.0
NEGATIVE = K.copy()
NEGATIVE[0] = -100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": np.zeros(9)}, "zero intrinsics: the camera is not calibrated"),
        ({"k": np.zeros(9), "p": np.zeros(12), "d": np.zeros(0), "distortion_model": ""}, "not calibrated"),
        ({"k": NAN_K}, r"camera_info K is \[100.0, 0.0, nan,.*; all must be finite"),
        ({"p": np.full(12, np.inf)}, "camera_info P is"),
        ({"k": SKEW}, "camera_info K has skew 2.0"),
        ({"k": NEGATIVE}, r"camera_info K: camera focal length is \(-100.0, 102.0\) px; both must be above 0"),
        ({"width": 0}, "camera_info is of a 0x120 image"),
        ({"distortion_model": "double_sphere"}, "camera_info D: distortion model 'double_sphere' is unknown"),
        ({"d": np.ones(3)}, "camera_info D: plumb_bob has 3 coefficients; expected 4 or 5"),
        ({"d": np.full(5, np.nan)}, "camera_info D: plumb_bob has coefficients .* must be finite"),
        ({"roi": RegionOfInterest(100, 0, 20, 100, False)}, r"100x20 at \(100, 0\) outside of its 160x120 image"),
        ({"binning_x": 200}, "bins 200x0 pixels of a 160x120 image to none"),
        ({"r": np.ones(9)}, "expected a 3x3 rotation matrix"),
    ],
)
def test_bad_camera_info(change, message):
    with pytest.raises(ValueError, match=message) as error:
        camera_info_to_camera(info(**change))
    assert "\n" not in str(error.value)


def test_image_of_another_size():
    camera = camera_info_to_camera(info())
    check_image_size(camera.raw, (120, 160, 3))
    with pytest.raises(ValueError, match="depth is 100x50, its camera_info 160x120"):
        check_image_size(camera.raw, (50, 100), "depth")
    with pytest.raises(ValueError, match="image is 160x50"):
        rectify_image(np.zeros((50, 160), np.uint8), camera)


def test_rectified_image_is_that_of_opencv():
    camera = camera_info_to_camera(info())
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 3)
    d = np.array(camera.distortion.coefficients)
    maps = cv2.initUndistortRectifyMap(
        camera.raw.matrix, d, np.eye(3), camera.rectified.matrix, (160, 120), cv2.CV_32FC1
    )
    expected = cv2.remap(image, *maps, cv2.INTER_LINEAR)
    np.testing.assert_allclose(rectify_image(image, camera).astype(int), expected.astype(int), atol=1)


def test_nearest_mixes_nothing():
    camera = camera_info_to_camera(info())
    mask = np.random.default_rng(0).choice(np.array([1, 200], np.uint8), (120, 160))
    assert set(np.unique(rectify_image(mask, camera, nearest=True))) <= {0, 1, 200}
    narrow = CameraModel(camera.raw, PinholeCamera(160, 120, 20.0, 20.0, 80.0, 60.0), camera.distortion)
    depth = rectify_image(np.ones((120, 160), np.float32), narrow, nearest=True)
    assert np.isnan(depth[0, 0])
    assert depth[60, 80] == 1


def test_nothing_to_rectify_costs_nothing():
    image = np.zeros((120, 160), np.uint8)
    ideal = CameraModel.ideal(PinholeCamera(160, 120, 100.0, 100.0, 80.0, 60.0))
    assert rectify_image(image, ideal) is image
    assert Distortion().is_none
