"""Votes of several views, on scenes whose truth is known, and with the shipped network."""

import numpy as np
import pytest

from scene_understanding.datasets.embedded import EmbeddedBuildings
from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.geometry import PinholeCamera, snapnet_r_viewpoints
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find
from scene_understanding.perception.segmenter import Segmenter
from scene_understanding.perception.snapnet_r import OWN_WEIGHT, SnapNetR, vote

CAMERA = PinholeCamera(160, 120, 130.0, 130.0, 81.0, 62.0)
CLASSES = 4


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(OnnxRuntimeNetwork(find("fusenet_embedded13"), "cpu", 1))


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour, depth and class: a card at 1.5 m (class 3) before a wall at 3 m of three colours (classes 0 to 2)."""
    label = np.repeat(np.arange(160) // 54, 120).reshape(160, 120).T
    label[40:90, 60:95] = 3
    depth = np.where(label == 3, np.float32(1.5), np.float32(3))
    return ((label + 1) * 60).astype(np.uint8)[..., None].repeat(3, -1), depth, label


def by_color(rgb: np.ndarray, depth: np.ndarray | None) -> np.ndarray:
    """The network for `scene`: each class's score falls with the distance from its colour."""
    return -np.abs(rgb[..., 0].astype(np.float32) - 60 * np.arange(1, 5, dtype=np.float32)[:, None, None]) / 4


def interior(label: np.ndarray, margin: int = 3) -> np.ndarray:
    """Pixels with the same label all around."""
    same = np.ones(label.shape, bool)
    for shift in range(1, margin + 1):
        for axis in (0, 1):
            same &= (np.roll(label, shift, axis) == label) & (np.roll(label, -shift, axis) == label)
    return same


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("fill", [False, True])
def test_five_views_agree_on_what_is_there(flip: bool, fill: bool) -> None:
    color, depth, label = scene()
    probability = vote(by_color, color, depth, CAMERA, flip=flip, fill=fill)
    assert probability.shape == (CLASSES, 120, 160) and probability.dtype == np.float32
    np.testing.assert_allclose(probability.sum(0), 1, atol=1e-5)
    sure = interior(label)
    np.testing.assert_array_equal(probability.argmax(0)[sure], label[sure])
    assert probability.max(0)[sure].min() > 0.95
    assert (probability.argmax(0) == label).mean() > 0.99


def test_only_views_that_see_a_pixel_vote_on_it() -> None:
    """A network that says class 1 of the image itself and class 0 of every other view counts the views."""
    color, depth, label = scene()

    def own_view(rgb: np.ndarray, _: np.ndarray | None) -> np.ndarray:
        scores = np.zeros((2, 120, 160), np.float32)
        scores[1 if rgb is color else 0] = 50
        return scores

    own = vote(own_view, color, depth, CAMERA)[1]  # OWN_WEIGHT of it and one of each other view
    votes = 1 + np.rint(OWN_WEIGHT * (1 / own - 1))
    assert votes.min() < 4 and votes.max() == 5
    # In closed form: where a view shows the pixel's point, and whether the card lies before it there.
    expected, doubtful = np.ones((120, 160)), ~interior(label, 2)
    points = CAMERA.back_project(depth)
    image = np.array([(-0.5, -0.5), (159.5, -0.5), (-0.5, 119.5), (159.5, 119.5)])
    for pose in snapnet_r_viewpoints(3.0)[1:]:
        pixel, _ = CAMERA.project(pose.apply(points))
        card, _ = CAMERA.project(pose.apply(points[[40, 40, 89, 89], [60, 94, 60, 94]]))
        expected += in_quad(pixel, image, 0) & ~((label != 3) & in_quad(pixel, card, 0))
        doubtful |= in_quad(pixel, image, 1) & ~in_quad(pixel, image, -1)
        doubtful |= (label != 3) & in_quad(pixel, card, 2) & ~in_quad(pixel, card, -2)
    assert (~doubtful).mean() > 0.7
    np.testing.assert_array_equal(votes[~doubtful], expected[~doubtful])
    assert set(np.unique(votes[(label != 3) & ~doubtful])) >= {2, 3, 4, 5}


def in_quad(pixel: np.ndarray, corners: np.ndarray, grown: float) -> np.ndarray:
    """Whether pixels (..., 2) lie in the quad of corners (top left, top right, bottom left, bottom right)."""
    a, b, c, d = corners
    inside = np.ones(pixel.shape[:-1], bool)
    for start, end in ((a, b), (b, d), (d, c), (c, a)):
        side = (end - start) / np.linalg.norm(end - start)
        inside &= side[0] * (pixel[..., 1] - start[1]) - side[1] * (pixel[..., 0] - start[0]) > -grown
    return inside


def test_pixels_without_depth_are_judged_by_their_own_view() -> None:
    color, depth, _ = scene()
    depth[10:30, 10:30] = np.nan
    alone, together = vote(by_color, color, depth, CAMERA, views=1), vote(by_color, color, depth, CAMERA)
    np.testing.assert_array_equal(together[:, 10:30, 10:30], alone[:, 10:30, 10:30])


def test_scores_of_another_size_are_read_where_they_belong() -> None:
    color, depth, label = scene()

    def half(rgb: np.ndarray, depth: np.ndarray | None) -> np.ndarray:
        return by_color(rgb, depth)[:, ::2, ::2]

    sure = interior(label, 6)
    sure[:6], sure[-6:], sure[:, :6], sure[:, -6:] = False, False, False, False
    assert (vote(half, color, depth, CAMERA).argmax(0) == label)[sure].mean() > 0.999


def test_one_view_is_the_plain_segmenter(segmenter: Segmenter) -> None:
    rng = np.random.default_rng(0)
    color, depth = rng.integers(0, 256, (96, 128, 3), np.uint8), rng.uniform(1, 4, (96, 128)).astype(np.float32)
    plain, one = segmenter(color, depth), SnapNetR(segmenter, views=1)(color, depth)
    np.testing.assert_array_equal(one.label, plain.label)
    np.testing.assert_array_equal(one.confidence, plain.confidence)


@pytest.fixture(scope="module")
def building() -> list[RgbdSample]:
    """Views of a building that the shipped network was not trained on."""
    return list(EmbeddedBuildings([90_001], views=4, kind="tour"))


def test_five_views_with_the_shipped_network(segmenter: Segmenter, building: list[RgbdSample]) -> None:
    snapnet_r = SnapNetR(segmenter)
    right = {"plain": 0, "voted": 0, "pixels": 0}
    for sample in building:
        plain = segmenter(sample.rgb, sample.depth)
        voted = snapnet_r(sample.rgb, sample.depth, sample.camera)
        assert voted.label.shape == voted.confidence.shape == sample.label.shape
        assert voted.label.dtype == voted.confidence.dtype == np.uint8
        scored = sample.label != 255
        right["plain"] += (plain.label == sample.label)[scored].sum()
        right["voted"] += (voted.label == sample.label)[scored].sum()
        right["pixels"] += scored.sum()
    # It has not learnt from such views, so they need not help; they must not spoil it.
    assert right["voted"] > 0.95 * right["plain"] > 0.6 * right["pixels"]


def test_the_result_has_the_size_of_the_image(segmenter: Segmenter, building: list[RgbdSample]) -> None:
    sample = building[0]
    small = SnapNetR(segmenter, views=2)(sample.rgb, sample.depth, sample.camera)
    rgb, depth = (image.repeat(2, 0).repeat(2, 1) for image in (sample.rgb, sample.depth))
    large = SnapNetR(segmenter, views=2)(rgb, depth, sample.camera.resized(640, 480))
    np.testing.assert_array_equal(large.label, small.label.repeat(2, 0).repeat(2, 1))


def test_what_is_missing_is_said(segmenter: Segmenter) -> None:
    color, depth, _ = scene()
    snapnet_r = SnapNetR(segmenter)
    with pytest.raises(ValueError, match="5 views needs the camera's intrinsics"):
        snapnet_r(color, depth)
    with pytest.raises(ValueError, match="needs depth"):
        snapnet_r(color, None, CAMERA)
    with pytest.raises(ValueError, match="the camera is 160x120, the colour image 80x60"):
        snapnet_r(color[::2, ::2], depth[::2, ::2], CAMERA)
    with pytest.raises(ValueError, match="no known pixel"):
        snapnet_r(color, np.full_like(depth, np.nan), CAMERA)


@pytest.mark.parametrize("views", [0, 6])
def test_there_are_one_to_five_views(segmenter: Segmenter, views: int) -> None:
    with pytest.raises(ValueError, match=f"views is {views}; SnapNet-R has 1 to 5"):
        SnapNetR(segmenter, views)
