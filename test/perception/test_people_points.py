"""Points of people: whose they are, marked and taken out, in organised clouds and in others."""

import numpy as np
import pytest

from scene_understanding.geometry import PointCloud
from scene_understanding.perception.body import capsules
from scene_understanding.perception.people_points import NOBODY, owners, with_people_marked, without_people

IDS, SCORE = np.array([7, 9], np.uint32), np.array([0.5, 0.75], np.float32)


def cloud(*shape: int) -> PointCloud:
    rng = np.random.default_rng(0)
    return PointCloud(
        rng.normal(size=(*shape, 3)).astype(np.float32), rng.integers(0, 256, (*shape, 3), np.uint8),
        label=np.arange(np.prod(shape), dtype=np.uint16).reshape(shape),
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_marked(shape: tuple[int, ...]) -> None:
    before, owner = cloud(*shape), np.array([0, NOBODY, 1, NOBODY, 0, NOBODY]).reshape(shape)
    after = with_people_marked(before, owner, IDS, SCORE, person=31)
    assert after.xyz is before.xyz and after.rgb is before.rgb
    assert after.label is not None and after.confidence is not None and after.instance is not None
    assert after.label.ravel().tolist() == [31, 255, 31, 255, 31, 255] and after.label.dtype == np.uint16
    assert after.confidence.ravel().tolist() == [0.5, 0, 0.75, 0, 0.5, 0] and after.confidence.dtype == np.float32
    assert after.instance.ravel().tolist() == [7, 0, 9, 0, 7, 0] and after.instance.dtype == np.uint32


def test_taken_out() -> None:
    owner = np.array([0, NOBODY, 1, NOBODY, 0, NOBODY])
    rows, image = cloud(6), cloud(2, 3)
    left = without_people(rows, owner)
    assert left.label is not None and left.label.tolist() == [1, 3, 5] and left.confidence is None
    np.testing.assert_array_equal(left.xyz, rows.xyz[1::2])
    there = without_people(image, owner.reshape(2, 3))
    assert there.label is image.label and there.xyz.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(there.xyz).any(-1), owner.reshape(2, 3) != NOBODY)


def test_owners_keep_the_shape_of_the_cloud() -> None:
    joints = np.full((2, 18, 3), np.nan)
    joints[0, 2:4], joints[1, 2:4] = [(0, 0, 2), (0.3, 0, 2)], [(0, 0, 4), (0.3, 0, 4)]
    xyz = np.array([[(0.1, 0, 4), (0.1, 0, 3)], [(0.1, 0.1, 2), (np.nan,) * 3]], np.float32)
    bodies = capsules(joints)
    assert owners(bodies, xyz, margin=0.0).tolist() == [[1, NOBODY], [NOBODY, NOBODY]]
    assert owners(bodies, xyz, margin=0.1).tolist() == [[1, NOBODY], [0, NOBODY]]
    assert owners(capsules(joints[:0]), xyz, margin=0.1).tolist() == [[NOBODY] * 2] * 2
