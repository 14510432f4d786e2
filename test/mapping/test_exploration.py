"""A robot in a small plan that follows the decisions exactly, sees all around, and maps what it sees."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from scene_understanding.geometry import Pose
from scene_understanding.mapping.exploration import Decision, Explorer, ExplorerParameters
from scene_understanding.mapping.exploration_plan import PlannerParameters
from scene_understanding.mapping.frontiers import KnownGrid
from scene_understanding.mapping.grid import OccupancyGrid
from scene_understanding.mapping.information import Sight, visible_cells

NOBODY = np.zeros((0, 2))
SIGHT = Sight(2 * np.pi, 0.0, 3.0)
STEP = 0.1
PARAMETERS = ExplorerParameters(PlannerParameters(sight=SIGHT))


def two_rooms() -> OccupancyGrid:
    """2.5 m by 3 m and 2.4 m by 3 m, with a door of 0.9 m between."""
    occupied = np.zeros((64, 104), bool)
    occupied[:2], occupied[-2:], occupied[:, :2], occupied[:, -2:] = True, True, True, True
    occupied[:, 52:54] = True
    occupied[40:58, 52:54] = False
    return OccupancyGrid(np.zeros(2), 0.05, occupied)


class Run:
    """An explorer, and the robot that does what it says."""

    def __init__(self, parameters: ExplorerParameters = PARAMETERS) -> None:
        self.explorer, self.truth = Explorer(parameters), two_rooms()
        self.occupancy = np.full(self.truth.occupied.shape, -1, np.int8)
        self.pose, self.time, self.held = Pose.from_yaw(0.8, 1.0, 0.3), 0.0, False
        self.clearance: list[float] = []

    def step(self, people=NOBODY, stood=None) -> Decision:
        if round(self.time / STEP) % 5 == 0:
            self._see()
        decision = self.explorer.decide(self.time, self.pose, people, stood)
        v = decision.velocity
        if not self.held:
            self.pose = self.pose @ Pose.from_yaw(v.linear * STEP, 0.0, v.angular * STEP)
        self.clearance.append(float(self.truth.clearance_at(self.pose.translation[:2])))
        self.time += STEP
        return decision

    def until(self, fulfilled: Callable[[Decision], bool], seconds: float, people=NOBODY) -> Decision:
        end = self.time + seconds
        while not fulfilled(decision := self.step(people)):
            assert self.time < end, f"still {decision.state} after {seconds} s"
        return decision

    def _see(self) -> None:
        seen = visible_cells(self.truth, self.pose.translation[:2], 0.0, SIGHT)
        self.occupancy[seen] = 0
        beside = cv2.dilate(seen.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        self.occupancy[beside & self.truth.occupied] = 100
        self.explorer.update_map(
            KnownGrid.of_occupancy(self.truth.origin, self.truth.resolution, self.occupancy.copy())
        )

    @property
    def ahead(self) -> np.ndarray:
        """(1, 2) half a metre before the robot."""
        return self.pose.apply(np.array([[0.5, 0.0, 0.0]]))[:, :2]


def driving(decision: Decision) -> bool:
    return decision.state == "driving" and decision.velocity.linear > 0.2


@pytest.mark.parametrize("look_around", [True, False])
def test_two_rooms_are_seen_and_nothing_is_touched(look_around: bool) -> None:
    run = Run(ExplorerParameters(PARAMETERS.planner, look_around=look_around))
    first = run.step()
    assert (first.state == "looking") == look_around
    last = run.until(lambda d: d.done, 90.0)
    floor = run.truth.reachable((0.8, 1.0), 0.0)
    assert (run.occupancy[floor] == 0).mean() > 0.97
    assert min(run.clearance) > PARAMETERS.planner.radius
    assert last.velocity == (0.0, 0.0) and last.goal is None and len(last.way) == 0
    assert run.step().done


def test_nothing_moves_without_a_map() -> None:
    decision = Explorer().decide(0.0, Pose.identity(), NOBODY)
    assert decision.state == "waiting for a map" and decision.velocity == (0.0, 0.0)


def test_it_stops_for_somebody_ahead_and_goes_on_when_the_way_is_free() -> None:
    run = Run()
    run.until(driving, 30.0)
    decision = run.step(run.ahead)
    assert decision.state == "yielding" and decision.velocity.linear == 0
    run.until(driving, 10.0)


def test_it_stops_for_what_only_the_sensor_sees() -> None:
    run = Run()
    run.until(driving, 30.0)
    run.explorer.update_obstacles(run.pose.apply(np.array([[0.3, 0.0, 0.0]]))[:, :2])
    decision = run.step()
    assert decision.velocity.linear == 0
    run.explorer.update_obstacles(NOBODY)
    run.until(driving, 10.0)


def test_who_stays_in_front_of_it_makes_it_give_the_goal_up() -> None:
    run = Run()
    goal = run.until(driving, 30.0).goal
    others = 0
    for _ in range(200):
        decision = run.step(run.ahead)
        assert decision.velocity.linear <= 0
        others += decision.goal is None or np.linalg.norm(decision.goal.translation - goal.translation) > 0.9
    assert others


DOOR = np.array([[2.65, 2.45]])


def to_the_door() -> Run:
    """On the way to a place behind the door, more than a metre before it."""
    run = Run()
    run.until(lambda d: d.goal is not None and d.goal.translation[0] > 2.7, 60.0)
    assert np.linalg.norm(run.pose.translation[:2] - DOOR) > 1.2
    return run


def test_it_steps_aside_for_who_wants_to_come_by() -> None:
    run = to_the_door()
    somebody, nearest = run.ahead, np.inf
    line = run.pose.translation[:2] - somebody[0]
    for _ in range(100):
        decision = run.step(somebody, np.array([0.0]))
        offset = run.pose.translation[:2] - somebody[0]
        nearest = min(nearest, float(np.linalg.norm(offset)))
        if abs(line[0] * offset[1] - line[1] * offset[0]) / np.linalg.norm(line) > 0.8:
            break
    assert decision.state == "yielding" and nearest > 0.41
    run.until(driving, 10.0)


def test_who_walks_through_a_door_does_not_shut_it_and_who_stands_there_does() -> None:
    walker, stander = to_the_door(), to_the_door()
    for _ in range(12):
        passing = walker.step(DOOR, np.array([0.0]))
        shut = stander.step(DOOR, np.array([10.0]))
        if np.linalg.norm(walker.pose.translation[:2] - DOOR) < 1.2:
            break
        assert passing.goal.translation[0] > 2.7
    assert shut.velocity.linear == 0 or shut.goal.translation[0] < 2.6


def test_it_is_not_done_while_a_door_is_merely_shut() -> None:
    run = to_the_door()
    shut = [run.step(DOOR, np.array([10.0])) for _ in range(550)]
    assert not any(decision.done for decision in shut)
    run.until(lambda d: d.done, 90.0)
    assert (run.occupancy[run.truth.reachable((0.8, 1.0), 0.0)] == 0).mean() > 0.97
    left = to_the_door()
    left.until(lambda d: d.done, 120.0, DOOR)


def test_stuck_it_backs_off_over_floor_that_it_came_from() -> None:
    run = Run()
    for _ in range(8):
        run.until(driving, 30.0)
    goal = run.explorer.decide(run.time, run.pose, NOBODY).goal
    run.held = True
    decision = run.until(lambda d: d.state == "recovering", 12.0)
    assert decision.velocity.linear < 0 and decision.goal is None
    run.held = False
    found = run.until(driving, 20.0)
    assert np.linalg.norm(found.goal.translation[:2] - goal.translation[:2]) > 0.9


def test_the_same_calls_give_the_same_decisions() -> None:
    a, b = Run(), Run()
    for _ in range(150):
        assert a.step().velocity == b.step().velocity
