"""The space that people take up."""

import numpy as np

from scene_understanding.mapping.people_volume import either, pillars

PLACES = np.array([[1.0, 2.0], [4.0, 0.0]])


def test_a_pillar_stands_on_the_floor_and_leaves_the_floor() -> None:
    volume = pillars(PLACES, 0.3, 1.0)
    points = np.array([[1.2, 2.0, 2.0], [1.4, 2.0, 2.0], [4, 0.1, 1.02], [4, 0.1, 1.2], [4, 0, 3.5]], np.float32)
    assert volume.contains(points).tolist() == [True, False, False, True, False]
    inside = points[volume.contains(points)]
    held = (inside[:, None] >= volume.low) & (inside[:, None] <= volume.high)
    assert held.all(-1).any(1).all()


def test_nobody_takes_up_nothing() -> None:
    volume = pillars(np.zeros((0, 2)), 0.3, 0.0)
    assert len(volume.low) == 0 and not volume.contains(np.zeros((4, 3), np.float32)).any()


def test_either_has_what_is_in_one_or_the_other() -> None:
    both = either(pillars(PLACES[:1], 0.2, 0.0), pillars(PLACES[1:], 0.3, 0.0))
    points = np.array([[1.25, 2, 1.2], [1.1, 2, 1.2], [4.25, 0, 1]], np.float32)
    assert both.contains(points).tolist() == [False, True, True] and len(both.low) == 2
