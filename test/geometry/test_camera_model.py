import cv2
import numpy as np
import pytest

from scene_understanding.geometry import CameraModel, Distortion, PinholeCamera

RAW = PinholeCamera(160, 120, 100.0, 102.0, 80.5, 58.0)
RECTIFIED = PinholeCamera(160, 120, 90.0, 91.0, 79.0, 60.0)


@pytest.fixture(params=["plumb_bob", "equidistant"])
def model(request):
    coefficients = {"plumb_bob": [-0.2, 0.05, 1e-3, -1e-3, 0.0], "equidistant": [0.02, -0.01, 0.003, -0.0006]}
    rotation = cv2.Rodrigues(np.array([0.02, -0.05, 0.01]))[0]
    return CameraModel(RAW, RECTIFIED, Distortion.of(request.param, coefficients[request.param]), rotation)


def test_points_go_to_and_fro(model):
    uv = np.random.default_rng(0).uniform((5, 5), (155, 115), (50, 2))
    np.testing.assert_allclose(model.rectify_points(model.unrectify_points(uv)), uv, atol=1e-5)


def test_maps_are_the_points(model):
    map_x, map_y = model.rectify_maps
    v, u = np.mgrid[0:120:17, 0:160:13]
    raw = model.unrectify_points(np.stack([u, v], axis=-1))
    np.testing.assert_allclose(np.stack([map_x[v, u], map_y[v, u]], axis=-1), raw, atol=1e-3)
    assert model.rectify_maps[0] is map_x


def test_a_rectified_point_projects_by_the_rectified_camera(model):
    """A point in the raw camera's frame: through the lens and rectified, or straight through the ideal camera."""
    points = np.random.default_rng(1).uniform((-0.5, -0.4, 1.0), (0.5, 0.4, 3.0), (40, 3))
    through_lens = model.distortion.distort(points[:, :2] / points[:, 2:]) * (RAW.fx, RAW.fy) + (RAW.cx, RAW.cy)
    ideal = RECTIFIED.project(points @ model.rectified_from_raw.T)[0]
    np.testing.assert_allclose(model.rectify_points(through_lens), ideal, atol=1e-5)


def test_ideal():
    model = CameraModel.ideal(RAW)
    assert model.is_rectified
    assert not CameraModel(RAW, RECTIFIED).is_rectified
    np.testing.assert_allclose(model.rectify_maps[0][3], np.arange(160), atol=1e-4)


def test_rotation_must_be_one():
    with pytest.raises(ValueError, match="expected a 3x3 rotation matrix"):
        CameraModel(RAW, RAW, rectified_from_raw=np.zeros((3, 3)))
