"""What a keypoint training reads: people as tensors, datasets side by side, the largest of a crowd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scene_understanding.datasets.people import PeopleSample
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.training.config import TrainingError
from scene_understanding.training.keypoint_config import KeypointConfig
from scene_understanding.training.keypoint_data import MOST, PeopleTensors, Pictures, load_data
from scene_understanding.training.presets import find_config

CONFIG = KeypointConfig(
    network="openpose", arguments={"stages": 2, "width": 0.02}, data="lsp", train="fit", val="val", epochs=2,
    size=(160, 240), augmentation={"crop": [96, 80]},
)  # fmt: skip
STILL = {"crop": [160, 160], "scale": [1.0, 1.0], "turn": 0, "shift": 0, "flip": False, "color_noise": 0}


def crowd(areas: list[float]) -> PeopleSample:
    """An image of 160x160 with somebody for every area, whose nose and neck are one pixel further each time."""
    pixels = np.full((len(areas), 18, 2), np.nan, np.float32)
    pixels[:, :2] = 70 + np.arange(len(areas))[:, None, None]
    rgb = np.zeros((160, 160, 3), np.uint8)
    return PeopleSample("crowd", rgb, pixels, np.isfinite(pixels[..., 0]), np.array(areas, np.float32))


def test_a_sample_is_tensors_of_the_crop(tiny_people: Callable[..., PeopleSample]) -> None:
    labelled = np.arange(18) < 14
    sample = replace(tiny_people((8, 3), (20, 4)), labelled=labelled)
    color, keypoints, known = PeopleTensors([[sample]], CONFIG)[0]
    assert color.shape == (3, 96, 80) and color.dtype == torch.uint8 and color.is_contiguous()
    assert keypoints.shape == (MOST, 18, 2) and keypoints.dtype == torch.float32
    assert torch.isfinite(keypoints[:2]).any() and torch.isnan(keypoints[2:]).all()
    assert known.dtype == torch.bool and (known.numpy() == labelled).all()


def test_of_a_large_crowd_the_smallest_are_left_out() -> None:
    areas = [float(10 + k) for k in range(MOST + 3)]
    areas[5] = float("nan")
    config = replace(CONFIG, augmentation=STILL)
    _, keypoints, _ = PeopleTensors([[crowd(areas)]], config)[0]
    noses = keypoints[:, 0, 0].numpy()
    assert np.isfinite(noses).all()
    assert (np.diff(noses) < 0).all()  # the largest first; they stand one behind the other
    np.testing.assert_allclose(noses[0] - noses, [k for k in range(MOST + 1) if k != MOST - 3], atol=1e-3)


def test_epoch_and_place_decide_and_nothing_else(tiny_people: Callable[..., PeopleSample]) -> None:
    parts = [[tiny_people((8, 3)), tiny_people((12, 4))]]
    one, other = PeopleTensors(parts, CONFIG), PeopleTensors(parts, CONFIG)
    other[1]
    for a, b in zip(one[0], other[0], strict=True):
        torch.testing.assert_close(a, b, equal_nan=True)
    other.epoch = 1
    assert not torch.equal(one[0][0], other[0][0])
    assert not torch.equal(PeopleTensors(parts, replace(CONFIG, seed=3))[0][0], one[0][0])


def test_half_of_the_samples_are_of_what_is_beside(tiny_people: Callable[..., PeopleSample]) -> None:
    first = [replace(tiny_people((8, 3)), labelled=np.zeros(18, bool))] * 3
    second = [tiny_people((12, 4))] * 50
    tensors = PeopleTensors([first, second], replace(CONFIG, repeats=2))
    assert len(tensors) == 2 * 3 * 2
    assert [bool(tensors[k][2].all()) for k in range(len(tensors))] == [False, True] * 6


def test_data_without_samples_is_one_line() -> None:
    with pytest.raises(TrainingError, match="a split of the data has no samples"):
        PeopleTensors([[]], CONFIG)


def test_pictures_are_read_once(tiny_people: Callable[..., PeopleSample]) -> None:
    asked = []

    class Slow(list):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    pictures = Pictures(Slow([tiny_people((8, 3)), tiny_people((12, 4))]))
    assert [len(pictures), pictures[1] is pictures[1], asked] == [2, True, [0, 1]]


def test_places_that_hold_no_people_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="data is 'lsp'; people are in embedded, and in lsp: give --data lsp:PLACE"):
        load_data(CONFIG, tmp_path)
    with pytest.raises(TrainingError, match="data is 'nyuv2:x'"):
        load_data(replace(CONFIG, data="nyuv2:x"), tmp_path)
    with pytest.raises(DatasetError, match="joints.mat is missing"):
        load_data(replace(CONFIG, data=f"lsp:{tmp_path}"), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": ()}, r"size is \[\]; expected \[height, width\], multiples of 8"),
        ({"size": (100, 96)}, r"size is \[100, 96\]; expected \[height, width\], multiples of 8"),
        ({"data": "embedded"}, "views is 0; the embedded world has nothing to show"),
        ({"beside": "1000-1001"}, "views is 0; the embedded world has nothing to show"),
        ({"tour_views": 3}, "tour_views means nothing for keypoints; leave it out"),
        ({"repeats": 0}, "repeats is 0; it must be above 0"),
        ({"augmentation": {"scale": [0, 1]}}, "augmentation: scale is"),
        ({"augmentation": {"holes": 3}}, "augmentation: .*unexpected keyword argument 'holes'"),
        ({"network": "d3net"}, "network is 'd3net'; it can be lightweight_openpose, openpose"),
        ({"start": "a.safetensors"}, "start and frozen_stages are for lightweight_openpose; openpose starts from"),
    ],
)
def test_configs_that_cannot_be_are_one_line(change: dict, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        replace(CONFIG, **change)


def test_shipped_ones_say_where_their_people_are() -> None:
    config = find_config("openpose_embedded")
    assert isinstance(config, KeypointConfig) and config.data == "embedded" and config.views > 0
    config = find_config("openpose")
    assert isinstance(config, KeypointConfig) and config.data == "lsp" and config.beside
