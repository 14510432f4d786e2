"""Blur of a thin lens: its size, and what layers do at edges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scene_understanding.simulation.defocus import GAMMA, KERNELS, ThinLens, defocused

DSLR = ThinLens(focal_length=0.035, f_number=2.5, focus=1.7, pixel_pitch=36e-6)
WIDE = replace(DSLR, f_number=1.0)
SHAPE = (96, 128)
both_kernels = pytest.mark.parametrize("kernel", KERNELS)


def plane(depth: float, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return np.full(shape, depth, np.float32)


def texture(seed: int = 0, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.uint8)


def light(rgb: np.ndarray) -> np.ndarray:
    return (rgb / 255.0) ** GAMMA


def halves(near: float, far: float) -> np.ndarray:
    """The left half of the image `near`, the right `far`."""
    return np.where(np.arange(SHAPE[1]) < SHAPE[1] // 2, near, far)[None].repeat(SHAPE[0], 0).astype(np.float32)


def test_sigma_by_hand() -> None:
    # v = 1 / (1 / 0.035 - 1 / 1.7) = 35.7357 mm. At 4 m: 1/f - 1/4 - 1/v = 1/1.7 - 1/4 = 0.338235 per metre;
    # circle of confusion 14 mm * 35.7357 mm * 0.338235 / m = 169.22 um = 4.7005 pixels, of which 0.3.
    np.testing.assert_allclose(DSLR.blur_sigma(plane(4.0)), 1.41015, rtol=1e-4)
    np.testing.assert_allclose(DSLR.blur_sigma(np.float32([1.7, 1.0])), [0, 1.71664], rtol=1e-4, atol=1e-6)


@given(st.floats(0.3, 10), st.floats(0.3, 10))
def test_sigma_grows_away_from_the_focus_and_with_the_aperture(one: float, other: float) -> None:
    near, far = DSLR.blur_sigma(np.float32(sorted((one, other))))
    if max(one, other) <= DSLR.focus:
        assert near >= far
    if min(one, other) >= DSLR.focus:
        assert near <= far
    smaller = replace(DSLR, f_number=8.0).blur_sigma(np.float32([one, other]))
    np.testing.assert_allclose(smaller * 8.0, DSLR.blur_sigma(np.float32([one, other])) * 2.5, rtol=1e-5)


@both_kernels
def test_what_is_in_focus_stays(kernel: str) -> None:
    rgb = texture()
    assert np.abs(defocused(rgb, plane(DSLR.focus), DSLR, kernel).astype(int) - rgb).max() <= 1
    beside = defocused(rgb, halves(DSLR.focus, 6.0), DSLR, kernel)
    middle = SHAPE[1] // 2
    assert np.abs(beside[:, :middle].astype(int) - rgb[:, :middle]).max() <= 1  # also at the edge: it is the near side
    assert beside[:, middle + 2 :].std() < 0.5 * rgb[:, middle + 2 :].std()


@both_kernels
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), grey=st.integers(0, 255))
def test_a_constant_image_stays_constant(kernel: str, seed: int, grey: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = rng.uniform(0.4, 8, (4, 6)).astype(np.float32).repeat(12, 0).repeat(10, 1)
    blocks[rng.random(blocks.shape) < 0.2] = np.nan
    rgb = np.full((*blocks.shape, 3), grey, np.uint8)
    np.testing.assert_array_equal(defocused(rgb, blocks, WIDE, kernel), rgb)


@both_kernels
@pytest.mark.parametrize("depth", [0.9, 1.3, 3.0, 7.0])
def test_a_point_spreads_by_sigma(kernel: str, depth: float) -> None:
    rgb = np.zeros((65, 65, 3), np.uint8)
    rgb[31:34, 31:34] = 255
    spread = light(defocused(rgb, plane(depth, (65, 65)), WIDE, kernel))[..., 1]
    at = np.arange(65) - 32.0
    variance = (spread.sum(0) * at**2).sum() / spread.sum()
    sigma = float(WIDE.blur_sigma(np.float32(depth)))
    assert 1 < sigma < 6
    np.testing.assert_allclose(np.sqrt(variance - 2 / 3), sigma, rtol=0.06)  # 2/3: of the 3 pixels themselves
    np.testing.assert_allclose(spread.sum(), 9, rtol=0.06)  # no light is lost


@both_kernels
def test_sharpness_falls_on_both_sides_of_the_focus(kernel: str) -> None:
    rgb = texture(1)
    left = [defocused(rgb, plane(z), DSLR, kernel).std() for z in (0.6, 0.9, 1.2, 1.7)]
    right = [defocused(rgb, plane(z), DSLR, kernel).std() for z in (1.7, 2.2, 3.0, 6.0)]
    assert (np.diff(left) > 0).all() and (np.diff(right) < 0).all()
    narrow = replace(DSLR, f_number=8.0)
    assert all(defocused(rgb, plane(z), narrow, kernel).std() > s for z, s in ((0.6, left[0]), (6.0, right[-1])))


@both_kernels
@pytest.mark.parametrize(("near", "far"), [(1.7, 5.0), (0.8, 1.7), (0.8, 5.0)])
def test_an_edge_has_no_halo(kernel: str, near: float, far: float) -> None:
    """A grey thing before a white wall: levels go from one to the other, and only within the blur of the near edge."""
    depth = halves(near, far)
    rgb = np.where(depth == np.float32(near), 60, 200).astype(np.uint8)[..., None].repeat(3, 2)
    row = defocused(rgb, depth, WIDE, kernel)[SHAPE[0] // 2, :, 1].astype(int)
    assert row.min() >= 59 and row.max() <= 201
    assert (np.diff(row) >= -1).all()
    radius = int(np.ceil(4 * float(WIDE.blur_sigma(np.float32(near))))) + 1
    middle = SHAPE[1] // 2
    np.testing.assert_allclose(row[: middle - radius], 60, atol=1)
    np.testing.assert_allclose(row[middle + radius :], 200, atol=1)
    if near == 1.7:
        np.testing.assert_array_equal(row[middle - 1 : middle + 1], [60, 200])  # sharp before a blurred wall


@both_kernels
def test_a_blurred_near_thing_lets_the_sharp_background_through(kernel: str) -> None:
    depth, rgb = plane(DSLR.focus), np.full((*SHAPE, 3), 180, np.uint8)
    rgb[::2] = 220  # a wall with lines, in focus
    depth[:, 60:70], rgb[:, 60:70] = 0.7, 30  # a post before it
    out = defocused(rgb, depth, WIDE, kernel)
    lines = np.abs(np.diff(out[20:40, :, 0].astype(int), axis=0)).mean(0)
    np.testing.assert_allclose(lines[:30], 40, atol=1)
    assert 5 < lines[58] < 40  # dimmed beside the post, not blurred away
    assert out[21, 65, 0] > 40  # the post is thinner than its blur
    assert out.min() >= 29 and out.max() <= 221


def test_a_thing_between_does_not_show_where_it_is_not() -> None:
    """A near thing before a far wall, beside another in the middle: its edge shows only what is near that edge."""
    depth = plane(6.0)
    rgb = np.full((*SHAPE, 3), 200, np.uint8)
    depth[:, :20], rgb[:, :20] = 2.5, (200, 0, 0)
    depth[:, 80:], rgb[:, 80:] = 0.8, 200
    out = defocused(rgb, depth, DSLR)
    np.testing.assert_allclose(out[:, 40:], 200, atol=1)


@both_kernels
def test_a_slope_is_blurred_as_its_parts_are(kernel: str) -> None:
    ramp = np.linspace(1.0, 5.0, SHAPE[1], dtype=np.float32)[None].repeat(SHAPE[0], 0)
    rgb = texture(2)
    out = defocused(rgb, ramp, DSLR, kernel).astype(float)
    for column in (20, 48, 64, 100):
        alone = defocused(rgb, plane(float(ramp[0, column])), DSLR, kernel)
        near = slice(column - 2, column + 3)
        np.testing.assert_allclose(out[:, near].std(), alone[:, near].std(), rtol=0.12)
        assert np.abs(out[:, column] - alone[:, column]).mean() < 6


def test_unknown_depth_is_that_of_the_nearest_known() -> None:
    rgb, depth = texture(3), halves(0.9, 5.0)
    holes = depth.copy()
    holes[30:40, 10:20] = np.nan
    holes[:, 100:] = np.nan
    np.testing.assert_array_equal(defocused(rgb, holes, DSLR), defocused(rgb, depth, DSLR))


@pytest.mark.parametrize(
    ("depth", "kernel", "message"),
    [
        (plane(1.0), "box", "kernel is 'box'; kernels are gaussian, disk"),
        (plane(1.0, (5, 6)), "disk", "depth is 6x5, the image 128x96"),
        (plane(np.nan), "disk", "no pixel of the depth is known"),
        (plane(0.0), "disk", "depth is 0.0 m somewhere"),
    ],
)
def test_refuses(depth: np.ndarray, kernel: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        defocused(texture(), depth, DSLR, kernel)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("f_number", 0.0, "lens f_number is 0.0; it must be above 0"),
        ("rho", float("nan"), "lens rho is nan"),
        ("focus", 0.03, "focus is 0.03 m; it must be beyond the focal length"),
    ],
)
def test_lens_refuses(name: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(DSLR, **{name: value})
