"""Clouds by the spelling of the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scene_understanding.datasets.open import CLOUD_KINDS, open_dataset
from scene_understanding.datasets.open_clouds import open_clouds
from scene_understanding.datasets.rgbd import DatasetError


def test_clouds_that_are_made_from_seeds() -> None:
    rubble, lidar = open_clouds("rubble:2040-2043"), open_clouds("embedded_lidar:900")
    assert (len(rubble), rubble.labels.name) == (4, "rubble4")
    assert lidar.labels.name == "nyu13" and len(lidar) == len(set(lidar.names)) > 1


def test_every_kind_is_opened_or_says_what_is_wrong(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", xyz=np.zeros((1, 3), np.float32), label=np.full(1, 1203, np.uint16))
    places = {"oakland3d": str(tmp_path), "embedded_lidar": "900", "rubble": "2040"}
    assert places.keys() == CLOUD_KINDS.keys()
    for kind, place in places.items():
        assert len(open_clouds(f"{kind}:{place}").names) >= 1
        with pytest.raises(DatasetError, match=f"{kind} holds point clouds; it is for networks of clouds"):
            open_dataset(f"{kind}:{place}")


@pytest.mark.parametrize(
    ("spec", "split", "message"),
    [
        ("rubble:2040", "val", "rubble has no lists of clouds, so no split 'val'"),
        ("embedded_lidar:900", "val", "embedded_lidar has no lists of clouds, so no split 'val'"),
        ("rubble:x", None, "has no seed such as 5"),
        ("rubble:", None, "'rubble:' is not KIND:PLACE; expected rubble: and a seed of a block"),
        ("camvid:x", None, "'camvid' is no dataset of point clouds; those are oakland3d, embedded_lidar, rubble"),
    ],
)
def test_what_cannot_be_opened_is_said(spec: str, split: str | None, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_clouds(spec, split)
