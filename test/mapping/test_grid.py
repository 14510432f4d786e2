"""Shortest paths: against a plain search, and that robots fit through what they are told to drive."""

import numpy as np
import pytest

from scene_understanding.mapping.grid import OccupancyGrid


@pytest.fixture
def two_rooms() -> OccupancyGrid:
    """6 m by 3 m, a wall in the middle with a door of 0.8 m."""
    occupied = np.zeros((60, 120), bool)
    occupied[:2] = occupied[-2:] = occupied[:, :2] = occupied[:, -2:] = True
    occupied[:, 59:61] = True
    occupied[20:36, 59:61] = False
    return OccupancyGrid(np.array([-1.0, 2.0]), 0.05, occupied)


def test_a_path_leads_through_the_door_and_keeps_clear(two_rooms) -> None:
    start, goal = np.array([0.0, 4.5]), np.array([4.0, 2.6])
    way = two_rooms.shortest_path(start, goal, 0.25)
    np.testing.assert_array_equal(way[[0, -1]], [start, goal])
    assert all(two_rooms.line_is_clear(a, b, 0.24) for a, b in zip(way[:-1], way[1:], strict=True))
    assert two_rooms.shortest_path(start, goal, 0.45) is None


def test_one_search_gives_the_ways_to_everywhere(two_rooms) -> None:
    start = np.array([0.0, 4.5])
    paths = two_rooms.shortest_paths(start, 0.25)
    for goal in ([4.0, 2.6], [-0.5, 2.6], [0.0, 4.5]):
        way = paths.to(goal)
        np.testing.assert_array_equal(way, two_rooms.shortest_path(start, goal, 0.25))
        driven = np.linalg.norm(np.diff(way, axis=0), axis=1).sum()
        length = paths.length[tuple(two_rooms.cells(goal))]
        assert driven - 0.1 <= length <= 3.1 * driven + 0.1
    assert np.isinf(paths.length[0, 0]) and paths.to([-1.0, 2.0]) is None


def test_in_the_open_the_length_is_in_metres() -> None:
    grid = OccupancyGrid(np.zeros(2), 0.1, np.zeros((60, 60), bool))
    grid.occupied[0, 0] = True
    length = grid.shortest_paths([3.05, 3.05], 0.2).length
    assert length[30, 50] == pytest.approx(2.0) and length[50, 30] == pytest.approx(2.0)
    assert length[50, 50] == pytest.approx(2.0 * np.sqrt(2))


def test_points_beyond_the_edge_block_nothing(two_rooms) -> None:
    blocked = two_rooms.with_points(np.array([[0.02, 3.02], [-5.0, 3.0], [100.0, 3.0]]))
    assert blocked.occupied.sum() == two_rooms.occupied.sum() + 1
    assert blocked.occupied[tuple(two_rooms.cells([0.02, 3.02]))]


def test_points_grow_to_their_radius() -> None:
    empty = OccupancyGrid(np.zeros(2), 0.05, np.zeros((80, 80), bool))
    grown = empty.with_points([[1.0, 2.0], [3.0, 1.0]], 0.1)
    away = np.linalg.norm(grown.centers(np.argwhere(grown.occupied))[:, None] - [[1.0, 2.0], [3.0, 1.0]], axis=-1)
    assert (away.min(1) < 0.15).all() and grown.occupied.sum() >= 26


def test_clearance_of_discs_is_not_rounded_to_cells() -> None:
    empty = OccupancyGrid(np.zeros(2), 0.05, np.zeros((80, 80), bool))
    people = np.array([[1.013, 2.0], [3.0, 1.0]])
    grid = empty.with_discs(people, 0.22)
    centers = grid.centers(np.argwhere(np.ones((80, 80), bool)))
    rim = np.linalg.norm(centers[:, None] - people, axis=-1).min(1) - 0.22
    np.testing.assert_allclose(grid.clearance.reshape(-1), np.maximum(rim, 0), atol=1e-6, rtol=0.02)
    np.testing.assert_array_equal(grid.occupied.reshape(-1), rim < 0)
    assert empty.with_discs(np.zeros((0, 2)), 0.22) is empty
    assert np.isinf(grid.with_points([[2.0, 2.0]]).to_discs).sum() == 0, "discs stay"


def test_a_narrow_way_is_taken_where_there_is_no_other_and_else_a_wide_one(two_rooms) -> None:
    start, goal = np.array([0.0, 4.5]), np.array([4.0, 2.6])
    way = two_rooms.shortest_paths(start, 0.2, preferred=0.6).to(goal)  # the door leaves 0.4 m on either side
    points = np.concatenate([np.linspace(a, b, 50) for a, b in zip(way[:-1], way[1:], strict=True)])
    clearance = two_rooms.clearance_at(points)
    assert clearance[np.abs(points[:, 0] - 2.0) < 0.05].min() > 0.35
    assert (clearance > 0.55).mean() > 0.5
    assert two_rooms.shortest_paths(start, 0.45, preferred=0.6).to(goal) is None
