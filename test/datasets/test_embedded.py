import numpy as np
import pytest

from scene_understanding.datasets.embedded import EmbeddedViews, render_building


def test_views_are_kept_and_read_back(tmp_path) -> None:
    views = EmbeddedViews(tmp_path / "views", [3], 2)
    assert len(views) == 2
    rgb, depth, label = views[1]
    assert (rgb.shape, rgb.dtype) == ((240, 320, 3), np.uint8)
    assert (depth.shape, depth.dtype) == ((240, 320), np.float32)
    assert (label.shape, label.dtype) == ((240, 320), np.uint8)
    assert depth.min() == 0 and 0.4 <= depth[depth > 0].min() and depth.max() <= 8.01
    assert set(np.unique(label)) <= set(range(13)) | {255}
    again = EmbeddedViews(tmp_path / "views", [3], 2)
    np.testing.assert_array_equal(again[1][0], rgb)
    for kept, rendered in zip((views.rgb, views.depth_mm, views.label), render_building(3, 2), strict=True):
        np.testing.assert_array_equal(kept, rendered)


def test_a_folder_of_other_views_is_refused(tmp_path) -> None:
    EmbeddedViews(tmp_path, [3], 1)
    with pytest.raises(ValueError, match="holds other views than"):
        EmbeddedViews(tmp_path, [4], 1)


def test_a_tour_shows_other_views_of_the_same_building() -> None:
    rgb, depth_mm, label = render_building(3, 3, "tour")
    assert rgb.shape == (3, 240, 320, 3) and depth_mm.shape == label.shape == (3, 240, 320)
    assert (rgb[0] != rgb[2]).any()
    for again, before in zip(render_building(3, 3, "tour"), (rgb, depth_mm, label), strict=True):
        np.testing.assert_array_equal(again, before)
