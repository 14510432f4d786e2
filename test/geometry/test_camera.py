import numpy as np
import pytest
from hypothesis import given, strategies as st

from scene_understanding.geometry import PinholeCamera

CAMERA = PinholeCamera(64, 48, 50.0, 52.0, 30.5, 22.0)


def test_back_project_and_project():
    depth = np.random.default_rng(0).uniform(0.5, 5, (48, 64)).astype(np.float32)
    depth[3, 4] = np.nan
    points = CAMERA.back_project(depth)
    assert points.dtype == np.float32
    uv, z = CAMERA.project(points)
    v, u = np.mgrid[0:48, 0:64]
    known = ~np.isnan(depth)
    np.testing.assert_allclose(uv[known], np.stack([u, v], axis=-1)[known], atol=1e-4)
    np.testing.assert_allclose(z[known], depth[known])
    assert np.isnan(points[3, 4]).all()


def test_behind_the_camera_is_nan():
    assert np.isnan(CAMERA.project(np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 0.0]]))[0]).all()


@given(st.integers(1, 200), st.integers(1, 200))
def test_resize_keeps_the_view(width, height):
    """The corners of the image, half a pixel outside of the corner pixels' centres, see the same rays."""
    resized = CAMERA.resized(width, height)
    for u, v in ((0, 0), (1, 1)):
        x = ((u * 64 - 0.5) - CAMERA.cx) / CAMERA.fx, ((v * 48 - 0.5) - CAMERA.cy) / CAMERA.fy
        y = ((u * width - 0.5) - resized.cx) / resized.fx, ((v * height - 0.5) - resized.cy) / resized.fy
        np.testing.assert_allclose(x, y, atol=1e-9)


def test_field_of_view():
    camera = PinholeCamera.from_fov(640, 480, np.pi / 2)
    assert camera.fx == pytest.approx(320)
    assert (camera.cx, camera.cy) == (319.5, 239.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"width": 0}, "camera size is 0x48"), ({"fx": 0.0}, "above 0"), ({"fy": -1.0}, "above 0"),
     ({"cx": np.nan}, "cx is nan"), ({"fx": np.inf}, "fx is inf")],
)  # fmt: skip
def test_bad_camera(change, message):
    good = {"width": 64, "height": 48, "fx": 50.0, "fy": 50.0, "cx": 32.0, "cy": 24.0}
    with pytest.raises(ValueError, match=message):
        PinholeCamera(**{**good, **change})


def test_depth_of_another_size():
    with pytest.raises(ValueError, match="depth is 8x8, the camera 64x48"):
        CAMERA.back_project(np.zeros((8, 8), np.float32))
