import numpy as np
import pytest

from scene_understanding.mapping.exploration_plan import TRIES, Goal, Planner, PlannerParameters
from scene_understanding.mapping.frontiers import KnownGrid
from scene_understanding.mapping.information import Sight

NOBODY = NOTHING = np.zeros((0, 2))
START = np.array([1.0, 1.0])
CELL = 0.05


def two_rooms(door_cells: int) -> KnownGrid:
    """Rooms of 2 m by 2 m and 3 m by 2 m, known but for the corner of the right one that a wall hides from the door."""
    occupancy = np.zeros((40, 102), np.int8)
    occupancy[:, 40:42] = 100
    low = 20 - door_cells // 2
    occupancy[low : low + door_cells, 40:42] = 0
    occupancy[:25, 70:72] = 100
    occupancy[:18, 72:] = -1
    occupancy[[0, -1]], occupancy[:, [0, -1]] = 100, 100
    return KnownGrid.of_occupancy((0.0, 0.0), CELL, occupancy)


def planner(known: KnownGrid, **parameters) -> Planner:
    made = Planner(PlannerParameters(sight=Sight(2 * np.pi, 0.0, 4.0), **parameters))
    made.update_map(known)
    return made


def plan(of: Planner, now: float = 0.0, xy=START, present=None):
    return of.plan(now, xy, 0.0, NOTHING, NOBODY, 0.45, present)


def test_the_goal_shows_what_is_unknown_and_the_way_keeps_away_from_walls() -> None:
    known = two_rooms(17)
    found = plan(planner(known))
    assert found is not None and found.goal.place[0] > 2.1 and found.goal.information > 0.3
    np.testing.assert_allclose(found.way[[0, -1]], [START, found.goal.place])
    points = np.concatenate([np.linspace(a, b, 50) for a, b in zip(found.way[:-1], found.way[1:], strict=True)])
    assert known.obstacles.clearance_at(points).min() > 0.25


def test_a_known_floor_gives_no_goal() -> None:
    known = KnownGrid.of_occupancy((0.0, 0.0), CELL, np.pad(np.zeros((40, 40), np.int8), 2, constant_values=100))
    assert plan(planner(known)) is None


def test_a_robot_smaller_than_what_it_keeps_from_the_unknown() -> None:
    assert plan(planner(two_rooms(17), radius=0.05, margin=0.05)) is not None


def test_a_goal_behind_a_narrow_door_is_kept() -> None:
    one = planner(two_rooms(11))
    first = plan(one)
    assert first is not None and first.goal.place[0] > 2.1
    again = plan(one, 1.0, START + (0.2, 0.0), first.goal)
    assert again is not None
    np.testing.assert_allclose(again.goal.place, first.goal.place)


def test_no_way_through_a_door_that_is_too_narrow_or_shut_by_somebody() -> None:
    assert plan(planner(two_rooms(5))) is None
    somebody = np.array([[2.05, 1.0]])
    assert planner(two_rooms(13)).plan(0.0, START, 0.0, NOTHING, somebody, 0.45, None) is None


def test_a_goal_that_was_given_up_is_left_alone_for_a_while_and_at_last_for_ever() -> None:
    one = planner(two_rooms(17), give_up=30.0)
    goal = plan(one).goal
    for k in range(TRIES):
        now = 40.0 * k
        assert not one.waits(now)
        before = plan(one, now, present=goal)
        assert np.linalg.norm(before.goal.place - goal.place) < 1.0, f"not tried again before {k}"
        one.give_up(goal, now)
        after = plan(one, now + 29.0, present=goal)
        assert after is None or np.linalg.norm(after.goal.place - goal.place) >= 1.0
        assert one.waits(now + 29.0) == (k < TRIES - 1)
    last = plan(one, 1e6, present=goal)
    assert last is None or np.linalg.norm(last.goal.place - goal.place) >= 1.0


def test_looks_that_show_nothing_new_make_a_goal_worthless() -> None:
    one = planner(two_rooms(17))
    goal = plan(one).goal
    for _ in range(3):
        one.look_from_goal(goal.place, goal.heading)
    later = plan(one, xy=goal.place)
    assert later is None or later.goal.information < goal.information / 2


def test_what_was_looked_at_stays_so_when_the_map_grows() -> None:
    known = two_rooms(17)
    one = planner(known)
    goal = plan(one).goal
    one.look_from_goal(goal.place, goal.heading)
    before = plan(one).goal.information
    grown = KnownGrid.of_occupancy(known.origin - 0.5, CELL, np.pad(known.occupancy, 10, constant_values=np.int8(-1)))
    one.update_map(grown)
    assert plan(one).goal.information == pytest.approx(before, rel=0.05)


def test_a_way_is_clear_until_something_stands_on_it() -> None:
    one = planner(two_rooms(17))
    way = plan(one).way
    assert one.way_is_clear(way, NOTHING)
    assert not one.way_is_clear(way, np.array([[2.05, 1.0]]))


def test_near_the_robot_what_has_no_class_is_where_a_sensor_sees_it() -> None:
    known = two_rooms(17)
    known.occupancy[18:22, 26:29] = 100
    unsure = np.where(known.occupancy > 50, 20, 0).astype(np.int8)
    unsure[18:22, 26:29] = 100  # somebody was there
    one = planner(KnownGrid(known.origin, CELL, known.occupancy, unsure))
    through = np.array([[1.0, 1.0], [1.8, 1.0]])
    assert not one.way_is_clear(through, None) and one.way_is_clear(through, NOTHING)
    assert not one.way_is_clear(through, np.array([[1.4, 1.0]]))


def test_a_goal_is_cut_off_only_where_the_narrowest_way_is_shut() -> None:
    one = planner(two_rooms(11))
    goal = plan(one).goal
    assert plan(one, present=goal) is not None and not one.cut_off
    one.plan(0.0, START, 0.0, NOTHING, np.array([[2.05, 1.0]]), 0.45, goal)
    assert one.cut_off


def test_a_place_aside_is_beside_the_line_on_which_somebody_comes() -> None:
    person = np.array([[1.0, 0.3]])
    way = planner(two_rooms(17)).aside(START, person[0], NOTHING, person, 0.45)
    assert abs(way[-1, 0] - 1.0) > 0.89 and np.linalg.norm(way - person, axis=1).min() > 0.44
    narrow = two_rooms(17)
    narrow.occupancy[:, 35:40] = narrow.occupancy[:, 1:12] = 100
    assert planner(narrow).aside(START, person[0], NOTHING, person, 0.45) is None


@pytest.mark.parametrize(("columns", "shut"), [(10, False), (30, True)])
def test_a_small_gap_in_the_known_floor_is_driven_over_and_a_large_one_is_not(columns: int, shut: bool) -> None:
    known = two_rooms(17)
    known.occupancy[1:-1, 50 : 50 + columns] = -1
    one = planner(KnownGrid.of_occupancy(known.origin, CELL, known.occupancy), presumed=0.5)
    beyond = Goal(np.array([4.2, 1.6]), 0.0, 1.0)
    plan(one, present=beyond)
    assert one.cut_off == shut


def test_more_room_is_left_for_what_the_map_has_not() -> None:
    post = np.array([[1.5, 1.05]])
    for obstacles, least in ((NOTHING, 0.0), (post, 0.3)):
        way = planner(two_rooms(17)).plan(0.0, START, 0.0, obstacles, NOBODY, 0.45, None).way
        points = np.concatenate([np.linspace(a, b, 50) for a, b in zip(way[:-1], way[1:], strict=True)])
        assert np.linalg.norm(points - post, axis=1).min() > least


@pytest.mark.parametrize("yaw", [0.0, np.pi])
def test_what_is_ahead_is_looked_at_before_what_is_behind(yaw: float) -> None:
    occupancy = np.zeros((60, 160), np.int8)
    occupancy[:, :30] = occupancy[:, 130:] = -1
    one = Planner(PlannerParameters(sight=Sight(1.0, 0.0, 4.0)))
    one.update_map(KnownGrid.of_occupancy((0.0, 0.0), CELL, occupancy))
    goal = one.plan(0.0, np.array([4.0, 1.5]), yaw, NOTHING, NOBODY, 0.45, None).goal
    assert np.cos(goal.heading - yaw) > 0.7 and np.cos(yaw) * (goal.place[0] - 4.0) > -0.3
