import numpy as np
import pytest

from scene_understanding.mapping.people_memory import PeopleMemory


def walk(memory: PeopleMemory, speed: float, seconds: float = 2.0) -> None:
    for t in np.arange(0.0, seconds + 1e-9, 0.2):
        memory.update(np.array([7]), np.array([[speed * t, 1.0]]), t)


def test_who_walks_is_expected_further_on_and_soon_forgotten() -> None:
    memory = PeopleMemory(keep=2.0)
    walk(memory, 0.8)
    np.testing.assert_allclose(memory.places(3.0), [[2.4, 1.0]], atol=0.05)
    assert len(memory.places(3.9)) == 1 and len(memory.places(4.1)) == 0


@pytest.mark.parametrize(("seconds", "kept"), [(1.0, 4.0), (3.0, 12.0), (8.0, 20.0)])
def test_who_stands_is_kept_the_longer_they_have_stood(seconds: float, kept: float) -> None:
    memory = PeopleMemory(keep=2.0, keep_standing=20.0)
    walk(memory, 0.0, seconds)
    np.testing.assert_allclose(memory.places(seconds + kept - 0.1), [[0.0, 1.0]])
    assert len(memory.places(seconds + kept + 0.1)) == 0


def test_who_waits_a_moment_is_soon_forgotten() -> None:
    memory = PeopleMemory(keep=2.0, keep_standing=20.0)
    for t in np.arange(0.0, 4.01, 0.2):  # walks, and stops for 1.5 s
        memory.update(np.array([7]), np.array([[0.8 * min(t, 2.5), 1.0]]), t)
    assert 0 < memory.stood(4.0) < 1.5 and len(memory.places(8.5)) == 0


def test_a_jump_is_no_speed_of_a_person() -> None:
    memory = PeopleMemory()
    memory.update(np.array([1]), np.array([[0.0, 0.0]]), 0.0)
    memory.update(np.array([1]), np.array([[10.0, 0.0]]), 0.1)
    assert memory.places(1.1)[0, 0] < 10 + 2.0


def test_untracked_people_last_until_the_next_look_and_unplaced_ones_not_at_all() -> None:
    memory = PeopleMemory()
    memory.update(np.array([0, 0, 3]), np.array([[1.0, 1.0], [2.0, 2.0], [np.nan, 0.0]]), 0.0)
    assert len(memory.places(0.1)) == 2
    memory.update(np.zeros(0, int), np.zeros((0, 2)), 0.2)
    assert len(memory.places(0.3)) == 0


def test_who_stands_stays_where_they_are_however_they_are_measured() -> None:
    memory, rng = PeopleMemory(), np.random.default_rng(0)
    for t in np.arange(0.0, 6.0, 0.2):
        memory.update(np.array([7]), np.array([[1.0, 2.0]]) + 0.1 * rng.standard_normal((1, 2)), t)
    assert memory.stood(6.0) > 2.0
    np.testing.assert_allclose(memory.places(12.0), [[1.0, 2.0]], atol=0.15)


def test_who_walks_does_not_stand() -> None:
    memory = PeopleMemory()
    walk(memory, 0.8)
    assert memory.stood(2.0).tolist() == [0.0] and memory.stood(9.0).tolist() == []


def test_who_gets_another_id_stays_one() -> None:
    memory = PeopleMemory()
    walk(memory, 0.5)
    memory.update(np.array([8]), np.array([[1.1, 1.0]]), 2.2)
    np.testing.assert_allclose(memory.places(2.2), [[1.1, 1.0]], atol=0.05)
    memory.update(np.array([8, 9]), np.array([[1.2, 1.0], [1.4, 1.3]]), 2.4)
    assert len(memory.places(2.4)) == 2


NOTHING = np.zeros((0, 2))


def look(memory: PeopleMemory, time: float, points=NOTHING, unmapped=None, free: bool = True, at=(0.0, 0.0)) -> None:
    """What a sensor sees, all of it unmapped unless given."""
    unmapped = points if unmapped is None else unmapped
    memory.look(points, unmapped, np.full(len(unmapped), free), np.array(at), 3.0, time)


def body(middle: tuple[float, float]) -> np.ndarray:
    """(20, 2) of the front of somebody who is seen from the origin."""
    angles = np.linspace(-1.2, 1.2, 20) + np.arctan2(-middle[1], -middle[0])
    return np.array(middle) + 0.15 * np.stack([np.cos(angles), np.sin(angles)], -1)


def test_who_is_gone_is_forgotten_where_a_sensor_sees_that_nobody_is_there() -> None:
    there, before, beside = (np.array([place]) for place in ([0.2, 1.1], [0.0, 0.5], [0.5, 0.2]))
    for points, left in ((NOTHING, 0), (beside, 0), (there, 1), (before, 1)):
        memory = PeopleMemory()
        walk(memory, 0.0)  # stands at (0, 1)
        look(memory, 2.5, points)
        assert len(memory.places(2.5)) == 1, "seen half a second ago"
        look(memory, 4.0, points)
        assert len(memory.places(4.0)) == left
    memory = PeopleMemory()
    walk(memory, 0.0)
    look(memory, 4.0, at=(0.0, -3.0))
    assert len(memory.places(4.0)) == 1, "too far away to tell"
    look(memory, 4.0, there, NOTHING)
    assert len(memory.places(4.0)) == 0, "what is there is something of the map"


def test_a_sensor_that_sees_all_around_follows_who_left_the_picture() -> None:
    memory = PeopleMemory(keep_standing=20.0)
    walk(memory, 0.0)  # stands at (0, 1)
    for t in np.arange(2.2, 8.0, 0.2):
        look(memory, t, body((0.0, 1.0)))
    np.testing.assert_allclose(memory.places(8.0), [[0.0, 1.0]], atol=0.05)
    assert memory.stood(8.0) > 6
    for t in np.arange(8.0, 30.01, 0.2):
        look(memory, t, body((0.5 * (t - 8) % 1.5, 1.0)))
    assert len(memory.places(30.0)) == 1 and memory.stood(30.0) == 0
    for t in np.arange(30.0, 40.0, 0.2):
        look(memory, t, body((0.5, 1.0)))
    assert len(memory.places(40.0)) == 0, "by now it may be a chair"


def test_who_showed_a_skeleton_for_long_is_no_chair() -> None:
    for seconds, left in ((1.2, 0), (4.0, 1)):
        memory = PeopleMemory(keep_standing=60.0)
        walk(memory, 0.0, seconds)
        for t in np.arange(seconds, seconds + 20.0, 0.2):
            look(memory, t, body((0.0, 1.0)))
        assert len(memory.places(seconds + 20.0)) == left


@pytest.mark.parametrize(("seconds", "stays"), [(8.0, True), (0.8, False)])
def test_who_has_stood_for_long_is_there_while_anything_is(seconds: float, stays: bool) -> None:
    memory = PeopleMemory(keep_standing=1.0)
    walk(memory, 0.0, seconds)
    for t in np.arange(seconds, seconds + 6.0, 0.5):
        look(memory, t, body((0.0, 1.0)), free=False)
    assert len(memory.places(seconds + 6.0)) == stays


def test_an_arm_that_reaches_into_the_picture_does_not_move_who_is_known() -> None:
    memory = PeopleMemory()
    walk(memory, 0.0)  # stands at (0, 1)
    for t in np.arange(2.2, 30.0, 0.2):
        memory.update(np.array([7]), np.array([[0.4, 1.0]]), t, np.array([False]))
    np.testing.assert_allclose(memory.places(30.0), [[0.0, 1.0]], atol=1e-9)
    memory.update(np.array([9]), np.array([[2.0, 2.0]]), 30.0, np.array([False]))
    assert len(memory.places(30.0)) == 2, "who is not known is placed by it"


def test_who_comes_over_free_floor_needs_no_skeleton() -> None:
    for speed, free, known in ((0.8, True, 1), (0.8, False, 0), (0.0, True, 0)):
        memory = PeopleMemory()
        for t in np.arange(0.0, 2.0, 0.1):
            look(memory, t, body((speed * t - 1.0, 1.0)), free=free)
        assert len(memory.places(2.0)) == known


def test_a_skeleton_takes_over_who_was_known_without() -> None:
    memory = PeopleMemory()
    for t in np.arange(0.0, 2.0, 0.1):
        look(memory, t, body((0.8 * t - 1.0, 1.0)))
    memory.update(np.array([5]), np.array([[0.92, 1.0]]), 2.0)
    assert len(memory.places(2.0)) == 1


def test_who_came_back_is_still_somebody_and_who_left_is_forgotten() -> None:
    memory = PeopleMemory()
    for t in np.arange(0.0, 4.0, 0.1):
        look(memory, t, body((1.2 - abs(0.8 * t - 1.6), 1.0)))
    assert len(memory.places(4.0)) == 1
    look(memory, 10.0)
    assert not memory._seen


def test_who_walks_by_somebody_who_stands_does_not_take_them_along() -> None:
    memory, start = PeopleMemory(), np.array([[0.0, 1.5], [-1.6, 1.0]])
    for t in np.arange(0.0, 1.2, 0.2):
        memory.update(np.array([1, 2]), start + [[0.0, 0.0], [0.8 * t, 0.0]], t)
    for t in np.arange(1.2, 4.01, 0.1):
        look(memory, t, np.concatenate([body((0.0, 1.5)), body((0.8 * t - 1.6, 1.0))]))
    places = memory.places(4.0)
    np.testing.assert_allclose(places[places[:, 0].argsort()], [[0.0, 1.5], [1.6, 1.0]], atol=0.15)


def test_two_tracks_of_one_are_one_person() -> None:
    memory = PeopleMemory()
    for t in np.arange(0.0, 2.0, 0.2):
        memory.update(np.array([7, 8, 9]), np.array([[0.0, 1.0], [0.2, 1.0], [2.0, 1.0]]), t)
    np.testing.assert_allclose(np.sort(memory.places(2.0)[:, 0]), [0.0, 2.0], atol=0.11)
