"""The embedded world through a DSLR's lens."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from scene_understanding.datasets.embedded_defocus import EmbeddedDefocusViews, compressed
from scene_understanding.datasets.onera_dfd import CAMERA, LENSES
from scene_understanding.datasets.rgbd import DatasetError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("defocus")
    EmbeddedDefocusViews(folder, [3], 2)
    return folder


def test_both_apertures_see_the_same(folder: Path) -> None:
    wide, narrow = EmbeddedDefocusViews(folder, [3], 2), EmbeddedDefocusViews(folder, [3], 2, "f8")
    assert len(wide) == len(narrow) == 2
    for k in (0, 1, -1):
        one, other = wide[k], narrow[k]
        assert one.name == other.name and one.camera == CAMERA and one.label is None
        assert (one.rgb.shape, one.rgb.dtype, one.depth.dtype) == ((432, 645, 3), np.uint8, np.float32)
        np.testing.assert_array_equal(one.depth, other.depth)
        assert 0.2 < np.nanmin(one.depth) and np.nanmax(one.depth) < 60
        np.testing.assert_allclose(one.rgb.mean((0, 1)), other.rgb.mean((0, 1)), atol=2)
    assert wide[0].name == "defocus00003_000" and wide[1].name == wide[-1].name
    assert (wide[0].depth != wide[1].depth).any()


def test_f2_8_is_blurred_where_the_lens_says(folder: Path) -> None:
    """Relative to f/8, sharpness falls with the predicted blur."""
    wide, narrow = EmbeddedDefocusViews(folder, [3], 2), EmbeddedDefocusViews(folder, [3], 2, "f8")
    sigma = np.concatenate([LENSES["f2_8"].blur_sigma(sample.depth).ravel() for sample in wide])
    detail = [np.concatenate([gradient(s.rgb).ravel() for s in samples]) for samples in (wide, narrow)]
    little, much = sigma < 0.4, sigma > 1.2
    assert little.sum() > 5000 and much.sum() > 5000
    kept = [detail[0][part].mean() / detail[1][part].mean() for part in (little, much)]
    assert kept[0] > 0.85 and kept[1] < 0.75 * kept[0]


def test_views_are_compressed_as_the_photographs_are(folder: Path) -> None:
    """What comes from a JPEG file hardly changes when it is compressed again; colour has half the size there."""
    for sample in (*EmbeddedDefocusViews(folder, [3], 2), *EmbeddedDefocusViews(folder, [3], 2, "f8")):
        assert np.abs(compressed(sample.rgb).astype(int) - sample.rgb).mean() < 0.5
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    assert np.abs(compressed(noise).astype(int) - noise).mean() > 20


def test_other_arguments_are_refused(folder: Path) -> None:
    with pytest.raises(DatasetError, match="holds other views than"):
        EmbeddedDefocusViews(folder, [3], 3)
    with pytest.raises(DatasetError, match="aperture is 'f4'; apertures are f2_8, f8"):
        EmbeddedDefocusViews(folder, [3], 2, "f4")


def gradient(rgb: np.ndarray) -> np.ndarray:
    return np.abs(cv2.Laplacian(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.CV_32F))
