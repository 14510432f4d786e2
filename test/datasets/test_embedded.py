import os
from itertools import islice

import numpy as np
import pytest

from scene_understanding.datasets.embedded import EmbeddedBuildings, EmbeddedStream, EmbeddedViews, render_building
from scene_understanding.datasets.rgbd import DatasetError


def test_views_are_kept_and_read_back(tmp_path) -> None:
    views = EmbeddedViews(tmp_path / "views", [3], 2)
    assert len(views) == 2
    sample = views[1]
    rgb, depth, label = sample.rgb, sample.depth, sample.label
    assert sample.name == "random00003_001" and sample.camera.shape == rgb.shape[:2]
    assert (rgb.shape, rgb.dtype) == ((240, 320, 3), np.uint8)
    assert (depth.shape, depth.dtype) == ((240, 320), np.float32)
    assert (label.shape, label.dtype) == ((240, 320), np.uint8)
    assert np.isnan(depth).any() and 0.4 <= np.nanmin(depth) and np.nanmax(depth) <= 8.01
    assert set(np.unique(label)) <= set(range(13)) | {255}
    again = EmbeddedViews(tmp_path / "views", [3], 2)
    np.testing.assert_array_equal(again[1].rgb, rgb)
    for kept, rendered in zip((views.rgb, views.depth_mm, views.label), render_building(3, 2), strict=True):
        np.testing.assert_array_equal(kept, rendered)


def test_a_folder_of_other_views_is_refused(tmp_path) -> None:
    views = EmbeddedViews(tmp_path, [3], 1)
    with pytest.raises(DatasetError, match="holds other views than"):
        EmbeddedViews(tmp_path, [4], 1)
    (tmp_path / "done.json").unlink()  # as another process sees it that began at the same time
    kept = (tmp_path / "rgb.npy").open("rb")
    again = EmbeddedViews(tmp_path, [3], 1)
    with kept:
        assert os.fstat(kept.fileno()).st_ino != (tmp_path / "rgb.npy").stat().st_ino  # mapped arrays stay whole
    np.testing.assert_array_equal(views[0].rgb, again[0].rgb)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["depth_mm.npy", "done.json", "label.npy", "rgb.npy"]


def test_a_tour_shows_other_views_of_the_same_building() -> None:
    rgb, depth_mm, label = render_building(3, 3, "tour")
    assert rgb.shape == (3, 240, 320, 3) and depth_mm.shape == label.shape == (3, 240, 320)
    assert (rgb[0] != rgb[2]).any()
    for again, before in zip(render_building(3, 3, "tour"), (rgb, depth_mm, label), strict=True):
        np.testing.assert_array_equal(again, before)


def test_buildings_are_those_of_the_folder(tmp_path) -> None:
    folder, buildings = EmbeddedViews(tmp_path, [4, 3], 1), EmbeddedBuildings([4, 3], 1)
    assert len(buildings) == len(folder) == 2
    for k in (0, 1, -1):
        assert buildings[k].name == folder[k].name
        np.testing.assert_array_equal(buildings[k].rgb, folder[k].rgb)
        np.testing.assert_array_equal(buildings[k].label, folder[k].label)
        np.testing.assert_allclose(buildings[k].depth, folder[k].depth, atol=5.1e-4)
    with pytest.raises(IndexError):
        buildings[2]


def test_stream_goes_on_and_begins_anew() -> None:
    stream = EmbeddedStream(3, step=2, views=1, label_set="nyu40")
    first, second = islice(stream, 2)
    assert (first.name, second.name) == ("random00003_000", "random00005_000")
    again = next(iter(stream))
    np.testing.assert_array_equal(again.rgb, first.rgb)
    np.testing.assert_array_equal(again.label, first.label)
    assert max(first.label.max(), second.label.max()) > 12


@pytest.mark.parametrize(("seeds", "arguments"), [([], {}), ([1], {"views": 0}), ([1], {"label_set": "camvid11"})])
def test_buildings_refuse(seeds, arguments) -> None:
    with pytest.raises(DatasetError, match="are none|no mapping from 'nyu40'"):
        EmbeddedBuildings(seeds, **arguments)
