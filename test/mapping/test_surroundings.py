import numpy as np
import pytest

from scene_understanding.geometry import Pose
from scene_understanding.mapping.frontiers import KnownGrid
from scene_understanding.mapping.path_follower import PathFollower
from scene_understanding.mapping.surroundings import ROOM, SLACK, Surroundings

HERE = Pose.from_yaw(2.0, 2.0, 0.0)
WAY = PathFollower(np.array([[2.0, 2.0], [4.0, 2.0]]))
NOBODY = np.zeros((0, 2))


@pytest.fixture
def known() -> KnownGrid:
    """A hall of 8 m by 4 m, a pillar that has a class in it."""
    occupancy = np.zeros((80, 160), np.int8)
    occupancy[60:64, 40:44] = 100
    return KnownGrid.of_occupancy((0.0, 0.0), 0.05, occupancy)


def around(known: KnownGrid, people=NOBODY, stood=0.0, obstacles=None, times: int = 1) -> Surroundings:
    made = Surroundings(0.2, 0.45)
    people = np.reshape(people, (-1, 2))
    for k in range(times):
        made.update_obstacles(obstacles)
        made.sort(0.1 * k, HERE.translation[:2], known, people, np.full(len(people), stood))
    return made


@pytest.mark.parametrize(("beside", "stood", "blocked"), [
    (0.45 - SLACK + 0.01, 5.0, ""), (0.45 - SLACK - 0.01, 5.0, "somebody"),
    (0.45 + ROOM + 0.01, 0.0, ""), (0.45 + ROOM - 0.01, 0.0, "somebody"),
])  # fmt: skip
def test_who_walks_is_given_more_room_than_who_stands(known, beside: float, stood: float, blocked: str) -> None:
    made = around(known, [2.8, 2.0 + beside], stood)
    assert made.blocked_by(HERE, WAY, 0.5, 1.0) == blocked


def test_nobody_behind_or_far_ahead_blocks(known) -> None:
    assert around(known, [[1.3, 2.0], [4.0, 2.0]]).blocked_by(HERE, WAY, 0.5, 1.0) == ""


def test_what_is_not_mapped_blocks_before_the_stop_and_what_is_mapped_at_the_rim(known) -> None:
    thing = np.array([[2.5, 2.1]])
    assert around(known, obstacles=thing).blocked_by(HERE, WAY, 0.8, 1.0) == "somebody"
    assert around(known, obstacles=thing + [1.0, 0.0]).blocked_by(HERE, WAY, 0.8, 1.0) == ""
    pillar = Pose.from_yaw(1.8, 3.1, 0.0)
    rim = np.array([[2.01, 3.1]])
    made = Surroundings(0.2, 0.45)
    made.update_obstacles(rim)
    made.sort(0.0, pillar.translation[:2], known, NOBODY, np.zeros(0))
    assert made.blocked_by(pillar, PathFollower(np.array([[1.8, 3.1], [1.8, 2.0]])), 0.0, 1.0) == "something"


def test_ways_are_planned_around_what_stays(known) -> None:
    thing = np.array([[2.9, 2.1]])
    assert len(around(known, obstacles=thing, times=5).things) == 0
    assert around(known, obstacles=thing, times=20).things.tolist() == thing.tolist()
    assert len(around(known, thing, 5.0, obstacles=thing, times=20).things) == 0, "that is somebody"
    assert around(known).things is None, "no sensor"


def test_a_place_may_be_taken_or_open(known) -> None:
    made = around(known, [[3.0, 2.0], [5.0, 2.0]], 5.0, obstacles=np.array([[2.0, 1.0]]))
    assert made.is_taken(np.array([3.3, 2.0])) and not made.is_taken(np.array([4.0, 2.0]))
    assert made.is_open(np.array([4.0, 2.0])) and not made.is_open(np.array([2.0, 1.2]))
