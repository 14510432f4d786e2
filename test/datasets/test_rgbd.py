import numpy as np
import pytest

from scene_understanding.datasets.rgbd import RgbdSample, millimetres, resized
from scene_understanding.geometry import PinholeCamera


@pytest.fixture
def sample() -> RgbdSample:
    """Wall of 1 m and class 3 on the left, of 3 m and class 11 on the right, the first column unknown."""
    depth, label = np.ones((48, 64), np.float32), np.full((48, 64), 3, np.uint8)
    depth[:, 32:], label[:, 32:], depth[:, 0] = 3, 11, np.nan
    rgb = np.tile(np.arange(64, dtype=np.uint8)[:, None], (48, 1, 3))
    return RgbdSample("0", rgb, depth, PinholeCamera.from_fov(64, 48, 1.0), label)


@pytest.mark.parametrize(("width", "height"), [(32, 24), (128, 96), (96, 24), (21, 16)])
def test_a_resized_sample_shows_the_same_scene(sample: RgbdSample, width: int, height: int) -> None:
    small = resized(sample, width, height)
    assert small.label is not None
    assert small.rgb.shape == (height, width, 3)
    assert small.depth.shape == small.label.shape == small.camera.shape == (height, width)
    known = np.isfinite(small.depth)
    assert set(np.unique(small.depth[known])) == {1, 3}  # no mixture at the edge
    np.testing.assert_array_equal((small.depth[known] > 2) * 8 + 3, small.label[known])
    # Where a pixel of the result looks, by its camera, and what the source has within half a pixel of there.
    ray = (np.arange(width) - small.camera.cx) / small.camera.fx
    column = ray * sample.camera.fx + sample.camera.cx
    np.testing.assert_allclose(small.rgb[0, :, 0], column.clip(0, 63), atol=1)
    clear = np.abs(column - 31.5) > 0.51
    np.testing.assert_array_equal(small.label[0][clear], np.where(column > 31.5, 11, 3)[clear])


def test_a_sample_of_the_size_stays_as_it_is(sample: RgbdSample) -> None:
    assert resized(sample, 64, 48) is sample


def test_millimetres_are_rounded_and_the_unknown_is_0() -> None:
    depth = np.array([[1.234, 1.2346, 0.0004, np.nan, -1, np.inf, 65.535, 65.6]], np.float32)
    assert millimetres(depth).tolist() == [[1234, 1235, 0, 0, 0, 0, 65535, 0]]
