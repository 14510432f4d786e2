import numpy as np
import pytest

from scene_understanding.mapping.grid import OccupancyGrid
from scene_understanding.mapping.information import Sight, cast_rays, expected_information, visible_cells

MIDDLE = np.array([2.0, 2.0])


@pytest.fixture
def hall() -> OccupancyGrid:
    """4 m by 4 m, no walls."""
    return OccupancyGrid(np.zeros(2), 0.05, np.zeros((80, 80), bool))


def test_a_ray_ends_before_what_it_meets_and_at_the_edge(hall) -> None:
    hall.occupied[:, 60] = True
    rays = cast_rays(hall, MIDDLE[None], np.array([0.0, np.pi]), 5.0)
    reach = [rays.distance[open_].max() for open_ in rays.open[0]]
    assert reach == pytest.approx([1.0, 2.0], abs=0.03)
    assert not hall.occupied.ravel()[rays.cells[rays.open]].any()


def test_information_is_the_area_that_can_be_seen(hall) -> None:
    everything = np.ones(hall.occupied.shape, np.float32)
    known = np.zeros(hall.occupied.shape, bool)
    around, _ = expected_information(hall, everything, known, MIDDLE[None], Sight(2 * np.pi, 0.5, 1.5))
    assert around[0] == pytest.approx(np.pi * (1.5**2 - 0.5**2), rel=0.05)
    quarter, _ = expected_information(hall, everything, known, MIDDLE[None], Sight(np.pi / 2, 0.5, 1.5))
    assert quarter[0] == pytest.approx(around[0] / 4, rel=0.02)


@pytest.mark.parametrize("towards", [0.0, 1.0, 3.0, -2.0])
def test_the_heading_looks_at_what_is_worth_it(hall, towards) -> None:
    points = hall.centers(np.argwhere(np.ones_like(hall.occupied))).reshape(80, 80, 2) - MIDDLE
    off = np.angle(np.exp(1j * (np.arctan2(points[..., 1], points[..., 0]) - towards)))
    worth = (np.abs(off) < 0.4).astype(np.float32)
    _, heading = expected_information(hall, worth, worth > 0, MIDDLE[None], Sight(1.05, 0.0, 1.9))
    assert np.cos(heading[0] - towards) > np.cos(0.15)


def test_little_is_expected_far_behind_the_edge_of_the_known(hall) -> None:
    unknown = np.zeros(hall.occupied.shape, bool)
    unknown[:, 45:] = True
    values = [
        expected_information(hall, unknown.astype(np.float32), unknown, MIDDLE[None], Sight(1.05, 0.0, 1.9), depth)[0][
            0
        ]
        for depth in (0.3, 0.6, 5.0)
    ]
    assert values[0] < 0.6 * values[1] < 0.6 * values[2]


def test_walls_hide(hall) -> None:
    hall.occupied[:, 50] = True
    seen = visible_cells(hall, MIDDLE, 0.0, Sight(1.05, 0.2, 1.9))
    assert seen[:, 45:50].any() and not seen[:, 50:].any() and not seen[:, :40].any()
    assert visible_cells(hall, MIDDLE, np.pi, Sight(1.05, 0.2, 1.9))[:, :40].sum() > seen.sum()
