"""Rolling clouds of the embedded world: what is in them, that they are the same every time, and kept on disk."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

from scene_understanding.datasets.embedded_lidar import HEIGHT, EmbeddedLidar, scans
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.labels import load_label_set
from scene_understanding.perception.rolling_cloud import RollingCloudParameters
from scene_understanding.simulation import building
from scene_understanding.simulation.classes import Nyu40
from scene_understanding.simulation.simulator import EmbeddedSimulator

SHORT = RollingCloudParameters(seconds=0.8)
SEED = 5


@pytest.fixture(scope="module", autouse=True)
def generated() -> Iterator[Any]:
    """Buildings, each generated once: a drive leaves them as they are."""
    once = cache(building.generate_building)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "generate_building", once)
        yield once


@pytest.fixture(scope="module")
def clouds(generated) -> list:
    dataset = EmbeddedLidar([SEED], windows=2, rolling=SHORT)
    return [dataset[0], dataset[1]]


def test_clouds_of_a_building(clouds, generated) -> None:
    dataset = EmbeddedLidar([SEED, 7], windows=2, rolling=SHORT)
    assert dataset.names == ("building_5_0", "building_5_1", "building_7_0", "building_7_1") and len(dataset) == 4
    assert dataset.labels.names == load_label_set("nyu13").names
    corners = generated(SEED).shape.vertices
    for sample, name in zip(clouds, dataset.names[:2], strict=True):
        cloud = sample.cloud
        assert sample.name == name and cloud.xyz.dtype == np.float32 and sample.label.dtype == np.uint16
        assert 1000 < len(cloud.xyz) < SHORT.max_points and np.isfinite(cloud.xyz).all()
        assert (cloud.xyz >= corners.min(0) - 0.1).all() and (cloud.xyz <= corners.max(0) + 0.1).all()
        voxels = np.floor(cloud.xyz / SHORT.voxel)
        assert len(np.unique(voxels, axis=0)) == len(voxels)
        assert set(np.unique(sample.label)) <= {*dataset.labels.ids, 255}
        assert {"floor", "wall"} <= {dataset.labels.name_of(int(i)) for i in np.unique(sample.label)}


def test_labels_are_those_of_the_places(clouds) -> None:
    labels = load_label_set("nyu13")
    for sample in clouds:
        z = sample.cloud.xyz[:, 2]
        assert np.percentile(np.abs(z[sample.label == labels.id_of("floor")]), 95) < 0.05
        assert np.median(z[sample.label == labels.id_of("wall")]) > 0.3


def test_people_are_unlabelled() -> None:
    _, _, measured, _ = next(scans(SEED))
    assert (measured == Nyu40.PERSON).sum() > 100
    label = EmbeddedLidar([SEED], windows=1, label_set="nyu40", rolling=SHORT)[0].label
    assert (label == 255).sum() > 30 and not (label == Nyu40.PERSON).any()


def test_the_same_every_time(clouds, generated) -> None:
    generated.cache_clear()
    again = EmbeddedLidar([3, SEED], windows=2, rolling=SHORT)[-1]
    np.testing.assert_array_equal(again.cloud.xyz, clouds[1].cloud.xyz)
    np.testing.assert_array_equal(again.label, clouds[1].label)
    assert len(clouds[0].cloud.xyz) != len(clouds[1].cloud.xyz)


def test_kept_on_disk(tmp_path, clouds, monkeypatch) -> None:
    folder = tmp_path / "clouds"
    EmbeddedLidar([SEED], windows=2, rolling=SHORT, folder=folder)[0]
    assert [path.name for path in folder.iterdir()] == ["building_5.npz"]
    monkeypatch.setattr(EmbeddedLidar, "_drive", None)  # nothing is made again
    kept = EmbeddedLidar([SEED], windows=2, rolling=SHORT, folder=folder)
    for index, sample in enumerate(clouds):
        np.testing.assert_array_equal(kept[index].cloud.xyz, sample.cloud.xyz)
        np.testing.assert_array_equal(kept[index].label, sample.label)
    with pytest.raises(DatasetError, match="was made with .*choose another folder"):
        EmbeddedLidar([SEED], windows=3, rolling=SHORT, folder=folder)[0]


def test_the_lidar_is_where_that_of_the_simulator_is(generated) -> None:
    assert EmbeddedSimulator(SEED, world=generated(SEED)).base_from_lidar.translation.tolist() == [0, 0, HEIGHT]


def test_what_there_is_none_of() -> None:
    for seeds, windows in (([], 1), ([4], 0)):
        with pytest.raises(DatasetError, match="are none"):
            EmbeddedLidar(seeds, windows)
    with pytest.raises(DatasetError, match="no mapping from 'nyu40' to 'cityscapes19'"):
        EmbeddedLidar([4], label_set="cityscapes19")
    with pytest.raises(IndexError):
        EmbeddedLidar([4], 2)[2]
