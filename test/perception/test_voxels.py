"""One point a voxel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from scene_understanding.perception.voxels import voxel_grid


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 300), size=st.floats(0.05, 3))
def test_each_voxel_keeps_the_point_nearest_to_its_centre(seed: int, count: int, size: float) -> None:
    xyz = np.random.default_rng(seed).uniform(-4, 4, (count, 3)).astype(np.float32)
    grid = voxel_grid(xyz, size)
    cell = np.floor(xyz.astype(np.float64) / size)
    off = np.linalg.norm(xyz / size - cell - 0.5, axis=1)
    members: dict[tuple[float, ...], list[int]] = {}
    for point, place in enumerate(cell):
        members.setdefault(tuple(place), []).append(point)
    assert len(grid) == len(members)
    for inside in members.values():
        (voxel,) = set(grid.voxel_of_point[inside])
        assert grid.kept[voxel] in inside
        assert off[grid.kept[voxel]] == pytest.approx(off[inside].min(), abs=1e-6)


@given(seed=st.integers(0, 2**32 - 1))
def test_order_of_the_points_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-40, 40, (500, 3)).astype(np.float32)
    shuffled = rng.permutation(500)
    one, other = voxel_grid(xyz, 5.0), voxel_grid(xyz[shuffled], 5.0)
    np.testing.assert_array_equal(xyz[one.kept], xyz[shuffled][other.kept])
    np.testing.assert_array_equal(one.voxel_of_point[shuffled], other.voxel_of_point)


def test_parts_of_a_cloud_share_its_voxels() -> None:
    xyz = np.random.default_rng(0).uniform(-10, 10, (4000, 3))
    whole = xyz[voxel_grid(xyz, 0.5).kept]
    part = xyz[xyz[:, 0] > 2.0]  # a side of voxels
    np.testing.assert_array_equal(
        sorted(map(tuple, part[voxel_grid(part, 0.5).kept])), sorted(map(tuple, whole[whole[:, 0] > 2.0]))
    )


def test_neighbours_in_order_are_near_each_other() -> None:
    xyz = np.random.default_rng(0).uniform(0, 60, (200_000, 3)) * (1, 1, 0.01)
    kept = xyz[voxel_grid(xyz, 0.1).kept]
    blocks = kept[: len(kept) // 256 * 256].reshape(-1, 256, 3)
    extent = np.median(np.linalg.norm(np.ptp(blocks, axis=1), axis=1))
    assert extent < 6


def test_no_points_have_no_voxels() -> None:
    grid = voxel_grid(np.zeros((0, 3), np.float32), 0.1)
    assert len(grid) == 0 and grid.voxel_of_point.shape == (0,)


@pytest.mark.parametrize(
    ("xyz", "size", "message"),
    [
        (np.zeros((4, 3)), 0.0, "voxel size is 0.0 m; it must be above 0"),
        (np.zeros((4, 3)), np.nan, "voxel size is nan m"),
        (np.zeros((4, 2)), 0.1, r"xyz has shape \(4, 2\); expected \(N, 3\)"),
        (np.array([[0, 0, np.nan]]), 0.1, "not finite; leave such points out"),
        (np.array([[0, 0, 0], [1e6, 1e6, 1e6]]), 0.001, "too many voxels of 0.001 m"),
    ],
)
def test_what_is_no_grid_is_told(xyz: np.ndarray, size: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        voxel_grid(xyz, size)
