"""From samples to batches and targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scene_understanding.datasets.rgbd import DatasetError, RgbdSample, resized
from scene_understanding.geometry import PinholeCamera
from scene_understanding.labels import load_label_set
from scene_understanding.training.augment import Augmentation
from scene_understanding.training.config import TrainingError
from scene_understanding.training.data import InMemory, TrainingSet
from scene_understanding.training.segmentation_config import SegmentationConfig
from scene_understanding.training.segmentation_data import (
    THING,
    check_segmentation_data,
    labelled,
    load_data,
    mark_things,
    target,
    tensors,
)


def test_samples_in_memory_are_those_that_were_read(tiny_set: list[RgbdSample]) -> None:
    depth = tiny_set[0].depth.copy()
    depth[:3], depth[3, :3] = np.nan, (0.0006, 1.2346, 70)
    held = InMemory([replace(tiny_set[0], depth=depth), tiny_set[1]])
    assert len(held) == 2
    depth[3, 2] = np.nan  # beyond 16 bits of millimetres
    np.testing.assert_allclose(held[0].depth, depth, atol=0.00051)
    np.testing.assert_array_equal(held[1].rgb, tiny_set[1].rgb)
    np.testing.assert_array_equal(held[1].label, tiny_set[1].label)


def test_samples_that_do_not_fit_are_one_line(tiny_set: list[RgbdSample]) -> None:
    with pytest.raises(TrainingError, match="sample 1 is 32x24, those before 64x48; `size:"):
        InMemory([tiny_set[0], resized(tiny_set[1], 32, 24)])
    InMemory([tiny_set[0], resized(tiny_set[1], 32, 24)], (48, 64))
    with pytest.raises(TrainingError, match="sample 1 has no labels"):
        InMemory([tiny_set[0], replace(tiny_set[1], label=None)], prepare=labelled)
    with pytest.raises(TrainingError, match="no samples"):
        InMemory([])


def test_a_sample_does_not_depend_on_the_order(tiny_set: list[RgbdSample], tiny_config: SegmentationConfig) -> None:
    config = replace(tiny_config, crop_epochs=1, augmentation={"crop": [24, 32]})
    samples = TrainingSet(tiny_set, config, tensors, Augmentation(**config.augmentation))
    first, second = samples[3], (samples[5], samples[3])[1]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert first[0].shape == (3, 24, 32) and first[1].shape == (2, 24, 32) and first[2].shape == (24, 32)
    samples.epoch = 1
    assert samples[3][2].shape == (48, 64)


def sample_with(label: np.ndarray) -> RgbdSample:
    height, width = label.shape
    camera = PinholeCamera.from_fov(width, height, 1.0)
    return RgbdSample("0", np.zeros((height, width, 3), np.uint8), np.ones((height, width), np.float32), camera, label)


def test_rare_classes_weigh_more_up_to_the_limit(tiny_config: SegmentationConfig) -> None:
    label = np.zeros((10, 10), np.uint8)
    label[0, 0], label[1:5], label[9] = 1, 2, 255
    found = target([sample_with(label)], tiny_config, "nyu13", "nyu13")
    assert found.weights[1] == tiny_config.max_class_weight == 4.0
    torch.testing.assert_close(found.weights[2], torch.tensor(1.0))
    torch.testing.assert_close(found.weights[0], torch.tensor((40 / 49) ** 0.5))
    milder = target([sample_with(label)], replace(tiny_config, class_weight_power=0.2), "nyu13", "nyu13")
    torch.testing.assert_close(milder.weights[:3], torch.tensor([40 / 49, 40.0, 1.0]) ** 0.2)
    assert found.unseen == tuple(range(3, 13))
    assert found.of[:13].tolist() == list(range(13)) and (found.of[13:] == 255).all()


def test_a_coarser_head_learns_from_finer_labels(tiny_config: SegmentationConfig) -> None:
    nyu13, nyu40 = load_label_set("nyu13"), load_label_set("nyu40")
    label = np.full((10, 10), nyu40.id_of("cabinet"), np.uint8)
    label[0], label[1] = 0, THING
    coarse = target([sample_with(label)], tiny_config, "nyu13", "nyu40", things="objects")
    fine = target([sample_with(label)], tiny_config, "nyu40", "nyu40")
    assert nyu13.names[coarse.of[label[5, 5]]] == "furniture" and nyu13.names[coarse.of[THING]] == "objects"
    assert nyu40.names[fine.of[label[5, 5]]] == "cabinet" and fine.of[THING] == 255
    assert coarse.of[0] == fine.of[0] == 255
    assert set(nyu13.ids) - set(coarse.unseen) == {nyu13.id_of("furniture"), nyu13.id_of("objects")}


def test_targets_that_cannot_be_are_one_line(tiny_config: SegmentationConfig) -> None:
    sample = sample_with(np.zeros((10, 10), np.uint8))
    with pytest.raises(TrainingError, match="no mapping from 'nyu13' to 'nyu40'"):
        target([sample], tiny_config, "nyu40", "nyu13")
    with pytest.raises(TrainingError, match="no class 'thing'; it has: bed"):
        target([sample], tiny_config, "nyu13", "nyu13", things="thing")
    with pytest.raises(TrainingError, match="no pixel of the training samples is in a class of nyu40"):
        target([sample], tiny_config, "nyu40", "nyu40")


def test_thick_regions_of_void_are_things() -> None:
    label = np.full((100, 120), 5, np.uint8)
    label[:, 40:43] = 255  # a seam
    label[20:40, 60:80] = 255  # a thing
    label[:6] = 255  # the border
    marked = mark_things(label)
    assert (marked[22:38, 62:78] == THING).all()
    assert (marked[:, 40:43][8:] == 255).all() and (marked[:6] == 255).all()
    assert (marked[label != 255] == 5).all()
    label[20:90, 45:115] = 255  # too large for a thing
    assert not (mark_things(label) == THING).any()


def test_data_needs_a_place(tiny_config: SegmentationConfig, tmp_path: Path) -> None:
    for data, error, message in (
        ("nyuv2", TrainingError, "names nyuv2 but not where it is: give --data nyuv2:PLACE"),
        ("nyu", DatasetError, "'nyu' is not KIND:PLACE"),
        ("nyuv2:/nowhere", DatasetError, "/nowhere does not exist"),
        ("embedded", TrainingError, "views and tour_views are both 0"),
    ):
        config = replace(tiny_config, data=data, train="1-2", val="3-4")
        with pytest.raises(error, match=message):
            load_data(config, tmp_path)


def test_the_embedded_world_is_as_it_is(tiny_config: SegmentationConfig) -> None:
    config = replace(tiny_config, data="embedded", train="1-2", val="3-4", views=1)
    check_segmentation_data(replace(config, size=(240, 320)))
    for change, message in (
        ({"size": (120, 160)}, r"size is \[120, 160\]; views of the embedded world are \[240, 320\]: leave it out"),
        ({"void_things": "objects"}, "void_things is for labels that leave things out"),
    ):
        with pytest.raises(TrainingError, match=message):
            check_segmentation_data(replace(config, **change))


def test_a_share_of_a_folder_is_that_share(own: Path, tiny_config: SegmentationConfig) -> None:
    config = replace(tiny_config, data=f"folder:{own}", label_set="", train="0-80%", val="80-100%")
    train, val, _ = load_data(config, own)
    assert (len(train), len(val)) == (13, 3)
    for share in ("0-180%", "80-80%", "60-20%"):
        with pytest.raises(TrainingError, match=f"'{share}' is no share of the samples; expected one as 0-80%"):
            load_data(replace(config, train=share), own)


def test_an_error_in_a_dataset_is_no_end_of_it(tiny_set: list[RgbdSample]) -> None:
    class Broken:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> RgbdSample:
            return tiny_set[[0, 1][index]]

    with pytest.raises(IndexError):
        InMemory(Broken())
