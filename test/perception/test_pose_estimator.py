"""Images of any size before a pose network, and its people back in their pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scene_understanding.datasets.people import PeopleSample
from scene_understanding.inference.card import ModelError
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find
from scene_understanding.perception.keypoints import DecodeParameters
from scene_understanding.perception.pose_estimator import PADDING, PoseEstimator, fit_scale, in_image, letterboxed
from scene_understanding.perception.skeletons import NOBODY, Skeletons


@pytest.fixture
def estimator(tiny_keypoint_model: Callable[..., Path]) -> PoseEstimator:
    return PoseEstimator(OnnxRuntimeNetwork(find(tiny_keypoint_model()), "cpu", threads=1))


def somebody_at(*points: tuple[float, float]) -> Skeletons:
    pixels = np.full((1, 18, 2), np.nan, np.float32)
    pixels[0, : len(points)] = points
    return Skeletons(pixels, np.isfinite(pixels[..., 0]).astype(np.float32), np.ones(1, np.float32))


@pytest.mark.parametrize("inside", [(160, 240), (368, 496)])
@pytest.mark.parametrize("size", [(160, 240), (481, 643), (97, 211), (333, 50), (1, 7), (1080, 1920)])
def test_an_image_keeps_its_aspect_and_grey_fills_the_rest(size: tuple[int, int], inside: tuple[int, int]) -> None:
    image = np.full((*size, 3), 200, np.uint8)
    boxed = letterboxed(image, inside)
    assert boxed.shape == (*inside, 3) and boxed.dtype == np.uint8
    height, width = (max(1, round(side * fit_scale(size, inside))) for side in size)
    assert (boxed[:height, :width] == 200).all() and (height == inside[0] or width == inside[1])
    assert (boxed[height:] == PADDING).all() and (boxed[:, width:] == PADDING).all()


def test_an_image_of_the_size_itself_is_not_touched() -> None:
    image = np.zeros((160, 240, 3), np.uint8)
    assert letterboxed(image, (160, 240)) is image


@pytest.mark.parametrize("size", [(160, 240), (481, 643), (97, 211), (333, 150), (720, 1281)])
def test_what_is_found_in_the_box_is_there_in_the_image(size: tuple[int, int]) -> None:
    """A dot in the image, looked for in the box, comes back to where it was."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    for point in ((0.3 * width, 0.7 * height), (0.8 * width, 0.2 * height)):
        spread = max(2.0, 0.02 * max(size))
        dot = 255 * np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * spread**2))
        boxed = letterboxed(np.repeat(np.rint(dot)[..., None], 3, 2).astype(np.uint8), (160, 240))[..., 0].astype(float)
        boxed[boxed == PADDING] = 0
        rows, columns = np.mgrid[:160, :240]
        place = (float((columns * boxed).sum() / boxed.sum()), float((rows * boxed).sum() / boxed.sum()))
        back = in_image(somebody_at(place), (*size, 3), (160, 240))
        np.testing.assert_allclose(back.pixels[0, 0], point, atol=max(0.3, 0.2 / fit_scale(size, (160, 240))))
        assert np.isnan(back.pixels[0, 1:]).all()


@pytest.mark.parametrize("size", [(481, 643), (97, 211), (160, 240)])
def test_the_corners_of_the_picture_are_those_of_the_image(size: tuple[int, int]) -> None:
    scale = fit_scale(size, (160, 240))
    height, width = (round(side * scale) for side in size)
    back = in_image(somebody_at((-0.5, -0.5), (width - 0.5, height - 0.5)), size, (160, 240))
    np.testing.assert_allclose(back.pixels[0, :2], [(-0.5, -0.5), (size[1] - 0.5, size[0] - 0.5)], atol=1e-3)


def test_people_are_where_they_are(estimator: PoseEstimator, tiny_people: Callable[..., PeopleSample]) -> None:
    sample = tiny_people((6, 3), (20, 4))
    found = estimator(sample.rgb)
    assert len(found) == 2
    order = np.argsort(found.pixels[:, 0, 0])
    np.testing.assert_allclose(found.pixels[order], sample.pixels, atol=0.6)


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("size", [(160, 240), (160, 176), (152, 240)])
def test_people_in_images_of_other_sizes(
    estimator: PoseEstimator, tiny_people: Callable[..., PeopleSample], times: int, size: tuple[int, int]
) -> None:
    """Cut at the right or below, so that the box has grey there, and enlarged."""
    sample = tiny_people((8, 3))
    found = estimator(np.ascontiguousarray(sample.rgb[: size[0], : size[1]].repeat(times, 0).repeat(times, 1)))
    assert len(found) == 1
    np.testing.assert_allclose(found.pixels, (sample.pixels + 0.5) * times - 0.5, atol=0.6 * times)


def test_the_one_person_of_an_image(estimator: PoseEstimator, tiny_people: Callable[..., PeopleSample]) -> None:
    sample = tiny_people((8, 3))
    outputs = estimator.infer(estimator.prepare(sample.rgb))
    assert outputs["heat_maps"].shape == (1, 19, 20, 30) and outputs["fields"].shape == (1, 38, 20, 30)
    found = estimator.decide_single(outputs, sample.rgb.shape)
    np.testing.assert_allclose(found.pixels, sample.pixels, atol=0.6)


def test_nobody_is_no_mistake(estimator: PoseEstimator) -> None:
    found = estimator(np.zeros((90, 70, 3), np.uint8))
    assert len(found) == 0 and found.pixels.shape == NOBODY.pixels.shape


def test_parameters_decide_who_is_there(
    tiny_keypoint_model: Callable[..., Path], tiny_people: Callable[..., PeopleSample]
) -> None:
    network = OnnxRuntimeNetwork(find(tiny_keypoint_model()), "cpu", threads=1)
    half = tiny_people((8, 3)).rgb
    half[80:] = 0  # hips and legs
    assert len(PoseEstimator(network)(half)) == 1
    assert len(PoseEstimator(network, DecodeParameters(min_keypoints=13))(half)) == 0


def test_large_images_are_averaged_not_picked(estimator: PoseEstimator) -> None:
    stripes = np.zeros((640, 960, 3), np.uint8)
    stripes[::2] = 200
    color = estimator.prepare(stripes)["color"]
    assert color.shape == (1, 3, 160, 240) and color.dtype == np.float32
    np.testing.assert_allclose(color, 100, atol=1)


def test_other_networks_say_so(tiny_model: Callable[..., Path], tiny_depth_model: Callable[..., Path]) -> None:
    for name, model in (("tiny", tiny_model()), ("tiny_depth", tiny_depth_model())):
        with pytest.raises(ModelError, match=f"model '{name}' is for .*; needed is keypoints: color in, heat_maps and"):
            PoseEstimator(OnnxRuntimeNetwork(find(model), "cpu"))
