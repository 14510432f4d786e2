"""The rolling cloud: what it keeps, forgets and remembers, against a dictionary of voxels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scene_understanding.perception.rolling_cloud import RollingCloud, RollingCloudParameters

SECOND = 10**9
HERE = (0.0, 0.0, 0.0)
PARAMETERS = RollingCloudParameters(voxel=0.5, seconds=2.0, radius=4.0)


def points(*xyz: tuple[float, float, float]) -> np.ndarray:
    return np.array(xyz, np.float32).reshape(-1, 3)


def test_one_point_a_voxel_the_newest() -> None:
    cloud = RollingCloud(3, PARAMETERS)
    voxel = cloud.add(points((0.1, 0.1, 0.1), (1.1, 0, 0), (0.2, 0.2, 0.2)), SECOND, HERE)
    assert len(cloud) == 2 and voxel[0] == voxel[2] != voxel[1]
    np.testing.assert_array_equal(cloud.xyz[voxel[1:]], points((1.1, 0, 0), (0.2, 0.2, 0.2)))
    voxel = cloud.add(points((0.3, 0.3, 0.3)), 2 * SECOND, HERE)
    np.testing.assert_array_equal(cloud.xyz[voxel], points((0.3, 0.3, 0.3)))
    assert len(cloud) == 2


def test_what_is_not_measured_again_is_forgotten() -> None:
    cloud = RollingCloud(3, PARAMETERS)
    wall, somebody = points((1, 0, 0)), points((2, 0, 0))
    cloud.add(np.concatenate([wall, somebody]), 0, HERE)
    for k in range(1, 4):
        cloud.add(wall, k * SECOND, HERE)
        assert len(cloud) == (2 if k <= 2 else 1)
    np.testing.assert_array_equal(cloud.xyz, wall)


def test_what_the_robot_left_behind_is_forgotten() -> None:
    cloud = RollingCloud(3, PARAMETERS)
    assert cloud.add(points((3, 0, 0), (5, 0, 0)), 0, HERE).tolist() == [0, -1]
    cloud.add(points((3, 0, 0)), SECOND, (-1.5, 0, 0))  # 4.5 m away now
    assert len(cloud) == 0


def test_the_oldest_go_where_there_are_too_many() -> None:
    cloud = RollingCloud(1, RollingCloudParameters(voxel=0.5, max_points=3))
    for k in range(6):
        cloud.add(points((k, 0, 0)), k * SECOND, HERE)
    assert sorted(cloud.xyz[:, 0]) == [3, 4, 5]


def test_voxels_that_are_measured_again_are_not_too_many() -> None:
    """600 of at most 1000, again and again: no vote gets lost."""
    cloud = RollingCloud(1, RollingCloudParameters(max_points=1000))
    scan = np.stack(np.meshgrid(np.arange(30), np.arange(20), [0]), -1).reshape(-1, 3).astype(np.float32) / 5
    for k in range(5):
        voxel = cloud.add(scan, k * SECOND, HERE)
        cloud.vote(voxel, np.zeros(600, int), np.ones(600))
    assert cloud.count.tolist() == [5] * 600


def test_a_scan_of_more_than_there_may_be_loses_what_is_far() -> None:
    cloud = RollingCloud(1, RollingCloudParameters(max_points=100))
    cloud.add(points((0.05, 3, 0)), 0, HERE)
    y, x = np.mgrid[-3:3:0.1, -3:3:0.1].reshape(2, -1) + 0.05
    scan = np.stack([x, y, 0 * x], -1).astype(np.float32)
    voxel = cloud.add(scan, 2 * SECOND, HERE)
    assert len(cloud) == 100 and np.unique(voxel[voxel >= 0]).tolist() == list(range(100))
    distance = np.hypot(x, y)
    assert distance[voxel >= 0].max() <= distance[voxel < 0].min() + 1e-6


@pytest.mark.parametrize("place", [(448_200.0, 5_411_900.0, 151.0), (0.0, 0.0, -6e5)])
def test_points_without_a_number_for_their_voxel_are_refused(place: tuple[float, float, float]) -> None:
    cloud = RollingCloud(1, PARAMETERS)
    cloud.add(points((1, 0, 0)), 0, HERE)
    with pytest.raises(ValueError, match=r"m from the origin, .* 524288 m; choose a fixed_frame near the robot"):
        cloud.add(points(place), 10 * SECOND, place)
    assert len(cloud) == 1


def test_votes_stay_with_their_voxel_while_others_come_and_go() -> None:
    cloud = RollingCloud(3, PARAMETERS)
    voxel = cloud.add(points((1, 0, 0), (0, 1, 0)), 0, HERE)
    cloud.vote(voxel, np.array([2, 1]), np.array([0.5, 1.0]))
    cloud.add(points((-3, -3, 0), (3, 0.6, 0), (1, 0, 0)), SECOND, HERE)
    column, confidence = cloud.recall(points((1.05, 0, 0), (0, 1.1, 0), (-3, -3, 0)), 0.3)
    assert column.tolist() == [2, 1, -1] and confidence.tolist() == pytest.approx([0.5, 1.0, 0.0])


def test_most_probable_wins() -> None:
    cloud = RollingCloud(3, PARAMETERS)
    voxel = cloud.add(points((1, 0, 0)), 0, HERE)
    for column, probability in ((0, 0.5), (0, 0.5), (2, 0.9)):
        cloud.vote(voxel, np.array([column]), np.array([probability]))
    column, confidence = cloud.recall(points((1, 0, 0)), 0.3)
    assert column.tolist() == [0] and confidence.tolist() == pytest.approx([1.0 / 3])
    cloud.vote_all(voxel, np.array([[0.0, 0.2, 0.8]]))
    assert cloud.recall(points((1, 0, 0)), 0.3)[0].tolist() == [2]


def test_a_vote_may_weigh_less() -> None:
    cloud = RollingCloud(2, PARAMETERS)
    voxel = cloud.add(points((1, 0, 0)), 0, HERE)
    cloud.vote(voxel, np.array([0]), np.array([1.0]))
    cloud.vote_all(voxel, np.array([[0.0, 1.0]]), 0.25)
    column, confidence = cloud.recall(points((1, 0, 0)), 0.3)
    assert column.tolist() == [0] and confidence.tolist() == pytest.approx([0.8])


def test_many_votes_do_not_last_for_ever() -> None:
    cloud = RollingCloud(2, RollingCloudParameters(max_votes=4.0))
    for column, times in ((0, 1000), (1, 6)):
        for _ in range(times):
            voxel = cloud.add(points((1, 0, 0)), 0, HERE)
            cloud.vote(voxel, np.array([column]), np.array([1.0]))
    assert cloud.count.tolist() == [4] and cloud.recall(points((1, 0, 0)), 0.3)[0].tolist() == [1]


def test_several_votes_at_once_count_each() -> None:
    cloud = RollingCloud(2, PARAMETERS)
    voxel = cloud.add(points((1, 0, 0), (1.1, 0, 0), (1.2, 0, 0)), 0, HERE)
    cloud.vote(voxel, np.array([1, 0, 1]), np.ones(3))
    assert cloud.count.tolist() == [3] and cloud.votes.tolist() == [[1, 2]]


def test_nothing_is_near() -> None:
    cloud = RollingCloud(2, PARAMETERS)
    for xyz in (np.empty((0, 3), np.float32), points((1, 0, 0))):
        column, confidence = cloud.recall(xyz, 1.0)
        assert (column == -1).all() and column.shape == confidence.shape == (len(xyz),)
    voxel = cloud.add(points((1, 0, 0)), 0, HERE)
    cloud.vote(voxel, np.array([1]), np.ones(1))
    assert cloud.recall(points((1.4, 0, 0), (1, 0.2, 0)), 0.3)[0].tolist() == [-1, 1]
    cloud.clear()
    assert len(cloud) == 0 and cloud.recall(points((1, 0, 0)), 0.3)[0].tolist() == [-1]


@given(st.integers(0, 2**32 - 1), st.sampled_from([8, 60, 150_000]))
@settings(max_examples=60, deadline=None)
def test_as_a_dictionary_of_voxels(seed: int, most: int) -> None:
    """Of each voxel its newest point, when that was, and how many votes it has."""
    rng = np.random.default_rng(seed)
    cloud, kept = RollingCloud(1, replace(PARAMETERS, max_points=most)), {}
    for k in range(12):
        stamp_ns, center = k * SECOND // 2, rng.uniform(-3, 3, 3)
        xyz = (rng.uniform(-2, 2, (rng.integers(0, 40), 3)) * (2, 2, 0.2)).astype(np.float32)
        voxel = cloud.add(xyz, stamp_ns, center)
        away = lambda p, c=center: float(((p - c.astype(np.float32)) ** 2).sum())  # noqa: E731
        keys = [tuple(np.floor(p / np.float32(0.5)).astype(int)) for p in xyz]
        coming = {key: p for key, p in zip(keys, xyz, strict=True) if away(p) <= 16}
        coming = {key: coming[key] for key in sorted(coming, key=lambda key: away(coming[key]))[:most]}
        kept = {key: of for key, of in kept.items() if away(of[0]) <= 16 and stamp_ns - of[1] <= 2 * SECOND}
        others = sorted(kept.keys() - coming.keys(), key=lambda key: (kept[key][1], key))
        for key in others[: max(0, len(others) + len(coming) - most)]:
            del kept[key]
        kept |= {key: (p, stamp_ns, kept[key][2] if key in kept else 0) for key, p in coming.items()}
        for key, p, at in zip(keys, xyz, voxel, strict=True):
            assert (at >= 0) == (away(p) <= 16 and key in coming)
            if at >= 0:
                assert np.array_equal(cloud.xyz[at], coming[key])
        seen = np.unique(voxel[voxel >= 0])
        cloud.vote(seen, np.zeros(len(seen), int), np.ones(len(seen)))
        kept |= {key: (*kept[key][:2], kept[key][2] + 1) for key in coming}
        assert len(cloud) <= most and cloud.xyz.shape == (len(cloud), 3)
        found = {tuple(p): (v, c) for p, (v,), c in zip(cloud.xyz, cloud.votes, cloud.count, strict=True)}
        assert found == {tuple(p): (votes, votes) for p, _, votes in kept.values()}


def test_memory_stays_bounded_on_a_long_way() -> None:
    rng = np.random.default_rng(0)
    cloud = RollingCloud(2, RollingCloudParameters(voxel=0.1, seconds=5.0, radius=10.0))
    sizes = []
    for k in range(300):
        center = np.array([0.5 * k, 0, 0])
        cloud.add((center + rng.uniform(-8, 8, (500, 3))).astype(np.float32), k * SECOND // 10, center)
        sizes.append(len(cloud))
    assert max(sizes[100:]) < 1.1 * max(sizes[50:100])
