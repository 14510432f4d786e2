import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from scene_understanding.mapping.frontiers import KnownGrid, find_frontiers
from scene_understanding.mapping.layers import UNSURE

EVERYWHERE = np.ones((20, 30), bool)


def known_grid(occupancy: np.ndarray, origin: tuple[float, float] = (1.0, -2.0)) -> KnownGrid:
    return KnownGrid.of_occupancy(origin, 0.1, occupancy.astype(np.int8))


@pytest.fixture
def half_known() -> np.ndarray:
    """Free left of column 12, unknown beyond; a wall in rows 8 and 9 divides the edge."""
    occupancy = np.full((20, 30), -1)
    occupancy[:, :12] = 0
    occupancy[8:10, :13] = 100
    return occupancy


def test_frontiers_are_the_free_cells_beside_the_unknown_in_clusters(half_known) -> None:
    frontiers = find_frontiers(known_grid(half_known), EVERYWHERE)
    assert [len(f.points) for f in frontiers] == [10, 8]
    np.testing.assert_allclose(frontiers[0].points[:, 0], 1.0 + 11.5 * 0.1)
    np.testing.assert_allclose(sorted(frontiers[0].points[:, 1]), -2.0 + 0.1 * np.arange(10.5, 20))
    assert frontiers[1].middle.tolist() in frontiers[1].points.tolist()
    assert abs(frontiers[1].middle[1] - (-2.0 + 0.1 * 4)) <= 0.051


def test_unmapped_is_what_the_map_has_no_class_for_and_arrived_what_is_over_free_floor(half_known) -> None:
    known = known_grid(half_known, (0.0, 0.0))
    wall, beside, floor, unknown = (0.55, 0.85), (0.55, 1.05), (0.55, 1.55), (2.5, 1.55)
    points = np.array([wall, beside, floor, unknown])
    assert known.is_unmapped(points).tolist() == [False, False, True, True]
    assert known.is_free(points).tolist() == [False, True, True, False]
    no_class = KnownGrid(known.origin, 0.1, known.occupancy, np.where(known.occupancy > 50, 100, 0).astype(np.int8))
    assert no_class.is_unmapped(points).all()
    assert known.is_unmapped(points[:0]).shape == known.is_free(points[:0]).shape == (0,)


def test_small_and_unreachable_ones_are_left_out(half_known) -> None:
    known = known_grid(half_known)
    assert len(find_frontiers(known, EVERYWHERE, min_cells=9)) == 1
    below = EVERYWHERE.copy()
    below[10:] = False
    assert [len(f.points) for f in find_frontiers(known, below)] == [8]


def test_floor_under_something_unseen_is_not_known(half_known) -> None:
    half_known[:, 5:12] = UNSURE
    half_known[8:10, 5:12] = 100
    frontiers = find_frontiers(known_grid(half_known), EVERYWHERE)
    assert {round(float(x), 2) for f in frontiers for x in f.points[:, 0]} == {1.45}


@settings(max_examples=30, deadline=None)
@given(arrays(np.int8, (9, 11), elements=st.sampled_from([-1, 0, 30, UNSURE, 100])))
def test_a_frontier_cell_is_free_and_has_an_unknown_neighbour(occupancy) -> None:
    known = KnownGrid.of_occupancy((0.0, 0.0), 1.0, occupancy)
    found = {(int(y), int(x)) for f in find_frontiers(known, np.ones(occupancy.shape, bool), 1) for x, y in f.points}
    around = np.pad(known.unknown, 1)
    expected = {(i, j) for i, j in np.argwhere(known.free).tolist() if around[i : i + 3, j : j + 3].any()}
    assert found == expected


def test_padding_keeps_places(half_known) -> None:
    known = known_grid(half_known)
    padded = known.padded(0.25)
    assert padded.occupancy.shape == (26, 36) and (padded.occupancy[:3] == -1).all()
    point = np.array([1.55, -1.15])
    assert (
        padded.occupancy[tuple(padded.obstacles.cells(point))] == known.occupancy[tuple(known.obstacles.cells(point))]
    )


def test_layers_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"occupancy is \(2, 3\), uncertainty \(3, 3\)"):
        KnownGrid(np.zeros(2), 0.1, np.zeros((2, 3), np.int8), np.zeros((3, 3), np.int8))
