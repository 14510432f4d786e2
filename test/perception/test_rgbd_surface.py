"""Views of surfaces whose truth is known in closed form."""

import multiprocessing

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from scene_understanding.geometry import PinholeCamera, Pose, orbit, random_viewpoint, snapnet_r_viewpoints
from scene_understanding.perception.rgbd_surface import (
    RgbdSurface,
    View,
    fill_holes,
    render_view,
    sharpen_depth,
    smooth_depth,
)

CAMERA = PinholeCamera(160, 120, 130.0, 130.0, 81.0, 62.0)
VIEWS = [orbit(2.5, *np.radians(angles)) for angles in ((10, 0), (-10, 0), (0, 20), (17, -5), (-12, 15))]
NEARER = orbit(2.5, 0.1, 0.1, 0.05, 0.8)
WALL, CARD = 1, 2


def plane_depth(camera: PinholeCamera, normal: np.ndarray, offset: float) -> np.ndarray:
    """Depth (H, W) float32 of the plane `normal @ x == offset`; NaN where no ray meets it ahead."""
    along = camera.rays.astype(np.float64) @ normal
    with np.errstate(divide="ignore"):
        depth = offset / along
    return np.where(depth > 0, depth, np.nan).astype(np.float32)


def seen_from(pose: Pose, normal: np.ndarray, offset: float) -> np.ndarray:
    turned = pose.rotation @ normal
    return plane_depth(CAMERA, turned, offset + turned @ pose.translation)


def colors(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (120, 160, 3), np.uint8)


def source_pixels(view: View) -> tuple[np.ndarray, np.ndarray]:
    return view.source % 160, view.source // 160


PLANES = [
    (np.array([0, 0, 1.0]), 2.5),
    (np.array([0.5, 0, 1.0]), 2.2),
    (np.array([-0.2, 0.7, 0.6]), 1.9),
]


@pytest.mark.parametrize("pose", [*VIEWS, NEARER])
@pytest.mark.parametrize(("normal", "offset"), PLANES)
def test_a_plane_is_a_plane_from_elsewhere(normal, offset, pose) -> None:
    depth = plane_depth(CAMERA, normal, offset)
    view = render_view(colors(), depth, CAMERA, pose)
    truth = seen_from(pose, normal, offset)
    seen = view.source >= 0
    assert np.isnan(view.depth[~seen]).all() and not view.rgb[~seen].any()

    # The plane's point at each pixel of the view, back in the source image: within it, or outside.
    pixel, _ = CAMERA.project(pose.inverse().apply(CAMERA.back_project(truth)))
    inside = ((pixel > 0.1) & (pixel < (158.9, 118.9))).all(-1)
    outside = ((pixel < -1.5) | (pixel > (160.5, 120.5))).any(-1)
    assert seen[inside].all() and not seen[outside].any()
    np.testing.assert_allclose(view.depth[inside], truth[inside], rtol=0.002)
    np.testing.assert_allclose(view.depth[seen], truth[seen], rtol=0.03)
    off = np.abs(pixel - np.stack(source_pixels(view), -1))
    assert off[inside].max() < 0.6 and off[seen].max() < 1.1


def test_colours_are_read_between_pixels_and_labels_are_not() -> None:
    rgb = np.repeat(np.arange(160, dtype=np.uint8)[None, :, None], 120, axis=0).repeat(3, axis=2)
    label = rgb[..., 0]
    normal, offset = PLANES[1]
    pose = VIEWS[0]
    view = render_view(rgb, plane_depth(CAMERA, normal, offset), CAMERA, pose, label)
    pixel, _ = CAMERA.project(pose.inverse().apply(CAMERA.back_project(seen_from(pose, normal, offset))))
    seen = (view.source >= 0) & (pixel[..., 0] > 1) & (pixel[..., 0] < 158)
    assert np.abs(view.rgb[seen][:, 0] - pixel[seen][:, 0]).max() < 1
    np.testing.assert_array_equal(view.label[seen], view.source[seen] % 160)
    assert (view.label[view.source < 0] == 255).all()


def card_before_wall() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth, label and whether it is the card: a card at 1.5 m before a wall at 3 m, both facing the camera."""
    card = np.zeros((120, 160), bool)
    card[40:90, 50:100] = True
    return np.where(card, np.float32(1.5), np.float32(3)), np.where(card, CARD, WALL).astype(np.uint8), card


def on_plane(pose: Pose, depth: float) -> np.ndarray:
    """(H, W, 2): place in the source image of what the view's rays meet on the plane z = depth of the source."""
    truth = seen_from(pose, np.array([0, 0, 1.0]), depth)
    return CAMERA.project(pose.inverse().apply(CAMERA.back_project(truth)))[0]


def within(pixel: np.ndarray, grown: float) -> np.ndarray:
    """Whether places (..., 2) in the source image lie on the card, grown by so many pixels."""
    return ((pixel > (49.5 - grown, 39.5 - grown)) & (pixel < (99.5 + grown, 89.5 + grown))).all(-1)


@pytest.mark.parametrize("pose", VIEWS)
def test_what_is_hidden_and_what_nobody_saw(pose) -> None:
    depth, label, _ = card_before_wall()
    view = render_view(colors(), depth, CAMERA, pose, label)
    at_card, at_wall = on_plane(pose, 1.5), on_plane(pose, 3.0)
    in_image = ((at_wall > 0.5) & (at_wall < (158.5, 118.5))).all(-1)
    card = within(at_card, -1.5)
    assert (view.label[card] == CARD).all()
    no_card = ~within(at_card, 1.5)
    wall = no_card & in_image & ~within(at_wall, 1.5)
    assert (view.label[wall] == WALL).all()
    # The wall behind the card was never seen: a hole, not a guess.
    unknown = no_card & within(at_wall, -1.5)
    assert unknown.sum() > 50 and (view.source[unknown] == -1).all() and (view.label[unknown] == 255).all()
    np.testing.assert_allclose(view.depth[card], seen_from(pose, np.array([0, 0, 1.0]), 1.5)[card], rtol=0.015)


known_depth = st.one_of(st.floats(0.25, 9, width=32), st.sampled_from([1.0, 1.04, 2.0, np.nan, 0.0]))


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(np.float32, (13, 17), elements=known_depth), st.integers(0, 99))
def test_from_its_own_viewpoint_an_image_is_itself(depth, seed) -> None:
    camera = PinholeCamera(17, 13, 15.0, 15.0, 8.2, 6.1)
    rng = np.random.default_rng(seed)
    rgb, label = rng.integers(0, 256, (13, 17, 3), np.uint8), rng.integers(0, 13, (13, 17)).astype(np.uint8)
    view = render_view(rgb, depth, camera, Pose.identity(), label)
    known = depth > 0
    np.testing.assert_array_equal(view.source, np.where(known, np.arange(13 * 17).reshape(13, 17), -1))
    np.testing.assert_array_equal(view.rgb, rgb * known[..., None])
    np.testing.assert_array_equal(view.label, np.where(known, label, 255))
    np.testing.assert_array_equal(np.isnan(view.depth), ~known)


@settings(deadline=None, max_examples=40)
@given(
    hnp.arrays(np.float32, (12, 16), elements=st.floats(-1, 12, width=32)),
    st.integers(0, 2**32), st.floats(0.3, 5),
)  # fmt: skip
def test_any_depth_from_anywhere_gives_a_consistent_view(depth, seed, distance) -> None:
    camera = PinholeCamera(16, 12, 14.0, 13.0, 7.0, 6.0)
    label = np.arange(192, dtype=np.uint8).reshape(12, 16)
    rgb = label[..., None].repeat(3, -1)
    pose = random_viewpoint(np.random.default_rng(seed), distance, azimuth=(-60, 60), factor=(0.3, 3))
    view = render_view(rgb, depth, camera, pose, label)
    seen = view.source >= 0
    assert (depth.ravel()[view.source[seen]] > 0).all()
    np.testing.assert_array_equal(view.label, np.where(seen, label.ravel()[view.source], 255))
    np.testing.assert_array_equal(np.isfinite(view.depth), seen)
    assert (view.depth[seen] > 0).all() and not view.rgb[~seen].any()


def test_a_floor_is_not_torn_to_the_horizon() -> None:
    """1.3 m below a level camera, up to 12 m away: 84 degrees from its normal."""
    floor = plane_depth(CAMERA, np.array([0, 1.0, 0]), 1.3)
    floor[floor > 12] = np.nan
    rows = np.isfinite(floor).any(1).sum()
    assert rows > 40
    pose = orbit(3, 0.1, 0.1)
    view = render_view(colors(), floor, CAMERA, pose)
    truth = seen_from(pose, np.array([0, 1.0, 0]), 1.3)
    pixel, depth = CAMERA.project(pose.inverse().apply(CAMERA.back_project(truth)))
    inside = ((pixel > (1, 0)) & (pixel < (158, 118))).all(-1) & (depth < 11)
    assert inside.sum() > 5000 and (view.source[inside] >= 0).all()
    np.testing.assert_allclose(view.depth[inside], truth[inside], rtol=0.01)


STEEPEST = np.tan(np.radians(86)) / CAMERA.fx


def test_steps_of_quantised_depth_become_slopes() -> None:
    truth, step = plane_depth(CAMERA, *PLANES[2]), 0.039
    stairs = (np.round(truth / step) * step).astype(np.float32)
    smooth = smooth_depth(stairs, STEEPEST)
    assert np.abs(smooth - stairs).max() <= 0.0211
    error = lambda depth: np.sqrt(np.mean((depth - truth)[8:-8, 8:-8] ** 2))  # noqa: E731
    assert error(smooth) < error(stairs) / 4
    view = render_view(colors(), stairs, CAMERA, VIEWS[0])
    seen = view.source >= 0
    np.testing.assert_allclose(view.depth[seen], seen_from(VIEWS[0], *PLANES[2])[seen], rtol=0.03)


def test_smoothing_leaves_planes_jumps_and_unknown_pixels() -> None:
    plane = plane_depth(CAMERA, *PLANES[1])
    np.testing.assert_allclose(smooth_depth(plane, STEEPEST), plane, rtol=1e-4)
    depth, _, _ = card_before_wall()
    depth[5, 5] = 0
    smooth = smooth_depth(depth, STEEPEST)
    np.testing.assert_allclose(smooth, depth, rtol=1e-5)


def test_pixels_on_the_slope_of_a_jump_go_to_one_of_its_ends() -> None:
    depth = np.full((20, 30), 3.0, np.float32)
    depth[:, :12] = 1.5
    depth[:, 12:15] = (1.8, 2.2, 2.8)
    sharp = sharpen_depth(depth, 0.05)
    np.testing.assert_array_equal(np.unique(sharp), [1.5, 3.0])
    np.testing.assert_array_equal(sharp[:, 11:16], np.full((20, 5), (1.5, 1.5, 1.5, 3.0, 3.0)))
    slope = np.tile(1.5 * 1.05 ** np.arange(30, dtype=np.float32), (20, 1))
    np.testing.assert_array_equal(sharpen_depth(slope, 0.0501), slope)


def test_filled_holes_lie_within_what_is_known_and_labels_stay_void() -> None:
    depth, label, _ = card_before_wall()
    rgb = colors().clip(60, 180)
    view = render_view(rgb, depth, CAMERA, VIEWS[0], label)
    filled = fill_holes(view)
    seen = view.source >= 0
    assert not seen.all()
    np.testing.assert_array_equal(filled.rgb[seen], view.rgb[seen])
    np.testing.assert_array_equal(filled.depth[seen], view.depth[seen])
    assert filled.rgb.min() >= 60 and filled.rgb.max() <= 180 and filled.rgb.dtype == np.uint8
    assert np.nanmin(view.depth) <= filled.depth.min() and filled.depth.max() <= np.nanmax(view.depth)
    assert filled.depth.dtype == np.float32
    np.testing.assert_array_equal(filled.label, view.label)
    np.testing.assert_array_equal(filled.source, view.source)


def test_a_small_hole_takes_the_colour_around_it() -> None:
    rgb = np.zeros((24, 32, 3), np.uint8)
    rgb[:, :16], rgb[:, 16:] = (200, 100, 50), (20, 10, 5)
    depth = np.full((24, 32), 2.0, np.float32)
    depth[10:12, 6:9] = np.nan
    camera = PinholeCamera(32, 24, 30, 30, 16, 12)
    filled = fill_holes(render_view(rgb, depth, camera, Pose.identity()))
    np.testing.assert_allclose(filled.rgb[10:12, 6:9], np.broadcast_to((200, 100, 50), (2, 3, 3)), atol=1)
    np.testing.assert_allclose(filled.depth[10:12, 6:9], 2, atol=1e-4)


def test_a_view_of_nothing_stays_one() -> None:
    view = render_view(colors(), np.full((120, 160), np.nan, np.float32), CAMERA, VIEWS[0])
    assert (view.source == -1).all() and fill_holes(view) is view


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="depth is 80x60, the camera 160x120"):
        RgbdSurface(colors(), np.ones((60, 80), np.float32), CAMERA)
    with pytest.raises(ValueError, match="label is 161x120"):
        RgbdSurface(colors(), np.ones((120, 160), np.float32), CAMERA, np.zeros((120, 161), np.uint8))


def _rendered(pose: Pose) -> list[np.ndarray]:
    depth, label, _ = card_before_wall()
    view = fill_holes(render_view(colors(), depth, CAMERA, pose, label))
    return [view.rgb, view.depth, view.source, view.label]


def test_a_forked_worker_renders_the_same() -> None:
    """As a data loader's worker does, after its parent has used OpenCV."""
    poses = snapnet_r_viewpoints(2.0)
    own = [_rendered(pose) for pose in poses]
    with multiprocessing.get_context("fork").Pool(1) as pool:
        others = pool.map_async(_rendered, poses).get(timeout=120)
    for mine, other in zip(own, others, strict=True):
        for a, b in zip(mine, other, strict=True):
            np.testing.assert_array_equal(a, b)
