import numpy as np
import pytest

from scene_understanding.training.augment import augment, drop_depth, flip, zoom


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    depth = np.full((48, 64), 2.0, np.float32)
    return rng.integers(0, 256, (48, 64, 3), np.uint8), depth, rng.integers(0, 13, (48, 64)).astype(np.uint8)


def test_flip_twice_is_nothing(sample) -> None:
    for a, b in zip(flip(flip(sample)), sample, strict=True):
        np.testing.assert_array_equal(a, b)


def test_zooming_in_brings_the_scene_nearer_and_keeps_pixels_together(sample) -> None:
    rgb, depth, label = zoom(sample, 2.0, (0.0, 0.0))
    np.testing.assert_array_equal(depth, 1.0)
    np.testing.assert_array_equal(label[:46:2, :62:2], sample[2][:23, :31])


def test_zooming_out_pads_with_void_and_unknown_depth(sample) -> None:
    _, depth, label = zoom(sample, 0.5, (0.5, 0.5))
    np.testing.assert_array_equal(label == 255, depth == 0)
    assert 0.7 < (label == 255).mean() < 0.78
    assert depth.max() == 4.0


def test_dropped_depth_is_unknown_and_the_rest_untouched(sample) -> None:
    dropped = drop_depth(sample[1], np.random.default_rng(3))
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert (sample[1] == 2).all()


def test_the_same_seed_gives_the_same_sample(sample) -> None:
    first, second = (augment(sample, np.random.default_rng(5)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
