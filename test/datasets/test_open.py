"""Datasets by the spelling of the command line."""

from __future__ import annotations

import pytest

from scene_understanding.datasets.embedded import EmbeddedBuildings
from scene_understanding.datasets.open import open_dataset, parse_seeds
from scene_understanding.datasets.rgbd import DatasetError


def test_embedded_by_seed_and_by_seeds() -> None:
    one, several = open_dataset("embedded:5"), open_dataset("embedded_tour:900-911", label_set="nyu40")
    assert isinstance(one, EmbeddedBuildings) and isinstance(several, EmbeddedBuildings)
    assert (one.seeds, one.kind, one.label_set) == (range(5, 6), "random", "nyu13")
    assert (several.seeds, several.kind, several.label_set) == (range(900, 912), "tour", "nyu40")


@pytest.mark.parametrize(
    ("spec", "arguments", "message"),
    [
        ("nyuv2", {}, "'nyuv2' is not KIND:PLACE; kinds are nyuv2, "),
        ("kitti:/tmp", {}, "kinds are nyuv2, .*folder, .*embedded"),
        ("nyuv2:", {}, "is not KIND:PLACE"),
        ("nyuv2:/nowhere", {}, "folder /nowhere does not exist"),
        ("folder:/nowhere", {}, "folder /nowhere does not exist"),
        ("7scenes:/nowhere", {}, "does not exist"),
        ("seven_scenes:/nowhere", {"split": "train"}, "7scenes has no lists of images"),
        ("7scenes:/nowhere", {"label_set": "nyu13"}, "7scenes has no labels"),
        ("onera_dfd:/nowhere", {}, "folder /nowhere does not exist"),
        ("onera_dfd_f8:/nowhere", {"label_set": "nyu13"}, "onera_dfd_f8 has no labels"),
        ("embedded:5", {"split": "val"}, "embedded has no lists of images, so no split 'val'"),
        ("embedded:5", {"label_set": "camvid11"}, "no mapping from 'nyu40' to 'camvid11'"),
        ("embedded:5", {"label_set": "mine"}, "label set 'mine' is unknown"),
    ],
)
def test_refuses_with_one_line(spec: str, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        open_dataset(spec, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["x", "5-", "-5", "9-5", "5-6-7", "1.5", "²"])
def test_seeds_refused(text: str) -> None:
    with pytest.raises(DatasetError, match="has no seed"):
        parse_seeds(text)
