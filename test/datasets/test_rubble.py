import numpy as np
import pytest

from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.datasets.rubble import Rubble
from scene_understanding.labels import load_label_set


@pytest.fixture(scope="module")
def dataset():
    return Rubble(range(2050, 2053))


@pytest.fixture(scope="module")
def sample(dataset):
    return dataset[-1]


def test_clouds_by_seed(dataset, sample):
    assert len(dataset) == 3 and dataset.names == ("rubble_2050", "rubble_2051", "rubble_2052")
    assert dataset.labels is load_label_set("rubble4")
    assert dataset.labels.names == ("building", "rubble", "terrain", "vegetation")
    assert dataset.labels.ids == (0, 1, 2, 3)
    assert sample.name == "rubble_2052"
    cloud = sample.cloud
    assert cloud.xyz.dtype == np.float32 and cloud.rgb.dtype == np.uint8 and cloud.label.dtype == np.uint16
    assert np.isfinite(cloud.xyz).all() and 40_000 < len(cloud.xyz) <= 300_000
    assert set(np.unique(cloud.label)) == {0, 1, 2, 3}


def test_the_same_seed_gives_the_same_cloud(sample):
    one, two = sample.cloud, Rubble([3, 2052])[1].cloud
    np.testing.assert_array_equal(one.xyz, two.xyz)
    np.testing.assert_array_equal(one.rgb, two.rgb)


def test_no_seeds():
    with pytest.raises(DatasetError, match="no seeds"):
        Rubble([])
    with pytest.raises(IndexError):
        Rubble([1])[1]
