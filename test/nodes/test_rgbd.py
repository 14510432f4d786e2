"""Topics by transport, and the calibration that is made once."""

import numpy as np
import pytest

from scene_understanding.geometry import PinholeCamera
from scene_understanding.messages.camera_info import camera_to_camera_info
from scene_understanding.messages.header import make_header
from scene_understanding.messages.image import array_to_image
from scene_understanding.nodes.node import InputError
from scene_understanding.nodes.rgbd import COMPRESSED, IMAGE, Calibration, RgbdImages, calibration_key

CAMERA = PinholeCamera(16, 12, 20.0, 20.0, 7.5, 5.5)


def camera_info(camera: PinholeCamera = CAMERA, stamp_ns: int = 1):
    return camera_to_camera_info(camera, make_header(stamp_ns, "camera"))


def test_topics_and_types_by_transport() -> None:
    raw, compressed = RgbdImages("raw"), RgbdImages("compressed")
    assert [(i.topic, i.type) for i in (raw.color_input(), raw.depth_input(required=True))] == [
        ("rgb/image_rect_color", IMAGE), ("depth_registered/image_rect", IMAGE),
    ]  # fmt: skip
    assert [(i.topic, i.type) for i in (compressed.color_input(), compressed.depth_input(required=True))] == [
        ("rgb/image_rect_color/compressed", COMPRESSED), ("depth_registered/image_rect/compressedDepth", COMPRESSED),
    ]  # fmt: skip
    assert raw.color_input().required and not raw.depth_input(required=False).required


def test_depth_is_of_the_size_of_the_colour_image() -> None:
    message = array_to_image(np.full((12, 16), 1500, np.uint16), "16UC1", make_header(1, "camera"))
    np.testing.assert_allclose(RgbdImages("raw").depth(message, (12, 16, 3)), 1.5)
    with pytest.raises(InputError, match="depth is 16x12, colour 32x24; depth must be registered"):
        RgbdImages("raw").depth(message, (24, 32, 3))


def test_a_calibration_is_made_once_until_it_changes() -> None:
    calibration = Calibration(rectified=True)
    rays = calibration.rays(camera_info(), (12, 16, 3))
    np.testing.assert_array_equal(rays, CAMERA.rays)
    assert calibration.rays(camera_info(stamp_ns=2), (12, 16)) is rays
    other = PinholeCamera(16, 12, 30.0, 30.0, 7.5, 5.5)
    assert calibration.camera(camera_info(other), (12, 16)) == other
    np.testing.assert_array_equal(calibration.rays(camera_info(other), (12, 16)), other.rays)


def test_raw_and_rectified_images_have_cameras_of_their_own() -> None:
    info = camera_info()
    info.p = np.array([40.0, 0, 8, 0, 0, 40.0, 6, 0, 0, 0, 1, 0])
    found = [Calibration(rectified).camera(info, (12, 16)) for rectified in (True, False)]
    assert found == [PinholeCamera(16, 12, 40.0, 40.0, 8.0, 6.0), CAMERA]


def test_pixels_without_the_lens() -> None:
    """They lie on the rays of the image, with the intrinsics of the camera."""
    info = camera_info()
    info.d, info.distortion_model = np.array([-0.2, 0.05, 0.0, 0.0, 0.0]), "plumb_bob"
    pixels = np.array([[0, 0], [7, 5], [15, 2], [np.nan, np.nan]], np.float32)
    raw, rectified = Calibration(rectified=False), Calibration(rectified=True)
    straight = raw.straight(info, (12, 16), pixels)
    rays = np.stack([raw.rays(info, (12, 16))[y, x, :2] for x, y in ((0, 0), (7, 5), (15, 2))])
    np.testing.assert_allclose(straight[:3], rays * 20 + (7.5, 5.5), rtol=1e-4)
    assert np.isnan(straight[3]).all() and straight.dtype == np.float32
    assert rectified.straight(info, (12, 16), pixels) is pixels


@pytest.mark.parametrize("wrong", [lambda i: setattr(i, "k", np.zeros(9)), lambda i: setattr(i, "width", 32)])
def test_what_is_wrong_is_told_every_time_and_the_next_one_works(wrong) -> None:
    calibration, info = Calibration(rectified=True), camera_info()
    wrong(info)
    for _ in range(2):
        with pytest.raises(ValueError, match="not calibrated|images are 16x12, camera_info is of 32x12"):
            calibration.camera(info, (12, 16))
    assert calibration.camera(camera_info(), (12, 16)) == CAMERA


@pytest.mark.parametrize("name", ["width", "binning_x", "distortion_model", "d", "k", "r", "p"])
def test_the_key_is_of_everything_but_the_header(name: str) -> None:
    info, changed = camera_info(), camera_info()
    assert calibration_key(info) == calibration_key(camera_info(stamp_ns=7))
    value = getattr(changed, name)
    setattr(changed, name, "equidistant" if isinstance(value, str) else value + 1)
    assert calibration_key(info) != calibration_key(changed)
