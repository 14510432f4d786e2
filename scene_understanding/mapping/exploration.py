"""Exploring: where to look next, the way there, and how to drive it without touching anything or anybody.

    look around once; then, again and again:
      plan:  ways       <- shortest paths from here over free floor, unknown floor and people kept away from
             places     <- a lattice of cells that can be reached, and those next to the frontiers
             value      <- information(place) exp(-discount (way + turning))
             goal       <- the best place; the old one unless another is worth much more
      drive: follow the way; stop for who or what is ahead, and step aside for who waits; back off and choose another
             goal when stuck
    until nothing that can be reached promises enough, after another look around too, and no way is merely shut

Frontiers as in Yamauchi (CIRA 1997), the value of a place as in González-Baños and Latombe (IJRR 2002). What a cell
promises sinks with every look at it that did not change it, so that exploring ends.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import Pose
from scene_understanding.mapping.exploration_plan import Goal, Planner, PlannerParameters
from scene_understanding.mapping.frontiers import Frontier, KnownGrid
from scene_understanding.mapping.path_follower import PathFollower, Velocity, angle_between, steer
from scene_understanding.mapping.surroundings import Surroundings

Float = NDArray[np.float64]
State = Literal["waiting for a map", "looking", "driving", "turning", "yielding", "recovering", "done"]
FACING = 0.15
"""Off the wanted heading by less, radians, the robot need not turn."""
STANDING = 0.1
"""Below this speed, m/s, turning does not throw the robot off its way."""
TURN_FIRST = 0.8
"""Radians off the way beyond which the robot turns on the spot: rarely, since that takes time."""
OFTEN = 3
"""Times as often plans are made while the robot waits: a way that opens may soon be shut again."""
SHUT = 60.0
"""Seconds for which the robot looks out for a way that people or things that are not mapped shut, when all others are
explored."""
ASIDE_AFTER, ASIDE_NEAR, ASIDE_FOR, ASIDE_AGAIN = 1.0, 1.5, 8.0, 10.0
"""Seconds of waiting after which the robot steps aside for somebody no more than so many metres away; seconds for which
it does at most, and until it does so again."""
PASSED = 1.8
"""Metres away from which on they have passed."""


@dataclass(frozen=True)
class ExplorerParameters:
    """Of the driving; those of the choice of goals are in `planner`.

    Attributes:
        speed, turn: highest, m/s and rad/s.
        look_turn: of looking around, rad/s.
        yield_distance: metres ahead at which somebody makes the robot stop.
        person_radius: what is kept clear around people, metres.
        replan: seconds between plans.
        patience: seconds of waiting after which another way is looked for.
        stuck: seconds without getting anywhere after which the robot backs off and gives the goal up.
        look_around: whether the robot turns once around at first, and before it says that it is done; without, whoever
            drives to the goals turns it only to their headings.
        step_aside: whether it makes way for people; not where somebody else drives to the goals.
    """

    planner: PlannerParameters = field(default_factory=PlannerParameters)
    speed: float = 0.8
    turn: float = 1.6
    look_turn: float = 1.2
    yield_distance: float = 1.0
    person_radius: float = 0.45
    replan: float = 1.0
    patience: float = 3.0
    stuck: float = 5.0
    look_around: bool = True
    step_aside: bool = True


@dataclass(frozen=True, eq=False)
class Decision:
    """What the robot shall do.

    Attributes:
        velocity: to drive with until the next decision.
        state: what it is at.
        goal: where it wants to get to, map_from_base, or None.
        way: (K, 2) float64, metres, what is left of the way there; K may be 0.
        frontiers: those of the last plan.
        planned: whether this decision made a plan.
    """

    velocity: Velocity
    state: State
    goal: Pose | None
    way: Float
    frontiers: list[Frontier]
    planned: bool

    @property
    def done(self) -> bool:
        return self.state == "done"


class Explorer:
    """Decides, from what it was told of map, obstacles and people, where the robot goes.

    Times are seconds of one clock. The same calls give the same decisions.
    """

    def __init__(self, parameters: ExplorerParameters | None = None) -> None:
        self.parameters = parameters or ExplorerParameters()
        self._planner = Planner(self.parameters.planner)
        self._state: State = "waiting for a map"
        self._goal: Goal | None = None
        self._follower = PathFollower()
        self._around = Surroundings(self.parameters.planner.radius, self.parameters.person_radius)
        self._to_turn, self._yaw = self._once_around, 0.0
        self._planned_at = self._waiting_since = self._back_until = self._aside_until = -np.inf
        self._for_somebody = False
        """Whether it waits for somebody, who may want to come by."""
        self._aside, self._stepped_aside = PathFollower(), False
        self._progress: tuple[float, Float, float] | None = None
        self._trail: deque[Float] = deque(maxlen=30)
        self._before: tuple[float, Float] | None = None
        self._speed = 0.0
        self._in_vain, self._in_vain_since = False, -np.inf

    @property
    def _once_around(self) -> float:
        return 2 * np.pi if self.parameters.look_around else 0.0

    @property
    def has_map(self) -> bool:
        return self.known is not None

    @property
    def frontiers(self) -> list[Frontier]:
        """Those of the last plan."""
        return self._planner.frontiers

    def update_map(self, known: KnownGrid) -> None:
        """The map as it is now."""
        self._planner.update_map(known)

    def update_obstacles(self, points: Float | None) -> None:
        """(M, 2) what a sensor sees in the way right now, in the map, metres, in the place of what it saw before; None
        when it sees no more."""
        self._around.update_obstacles(points)

    @property
    def known(self) -> KnownGrid | None:
        """The map, None before there is one."""
        return self._planner.known

    def decide(self, now: float, map_from_base: Pose, people: Float, stood: Float | None = None) -> Decision:
        """What to do until the next call.

        Args:
            people: (P, 2) where they are on the map.
            stood: (P,) seconds for which each has stood there, 0 for who walks; not given, they always have.
        """
        if (known := self._planner.known) is None:
            return self._decision(Velocity(), planned=False)
        xy, yaw = map_from_base.translation[:2], map_from_base.yaw
        self._around.sort(now, xy, known, people, np.full(len(people), np.inf) if stood is None else stood)
        self._remember(now, xy, yaw)
        turned, self._yaw = abs(angle_between(yaw, self._yaw)), yaw
        if self._state == "waiting for a map":
            self._state = "looking"
        elif self._state == "looking":
            self._to_turn -= turned
        if self._state == "looking" and self._to_turn > 0 and not self._in_vain:
            return self._decision(Velocity(0.0, self.parameters.look_turn), planned=False)
        if self._state == "done":
            return self._decision(Velocity(), planned=False)
        if now < self._back_until:
            return self._decision(self._back_off(xy, yaw), planned=False)
        if self._gives_way(now, xy):
            return self._decision(self._step_aside(map_from_base), planned=False)
        planned = self._needs_plan(now, xy)
        if planned:
            self._plan(now, xy, yaw)
        return self._decision(self._drive(now, map_from_base), planned)

    def _decision(self, velocity: Velocity, planned: bool) -> Decision:
        goal = None if self._goal is None else self._goal.pose
        way = np.zeros((0, 2)) if self._goal is None else self._follower.ahead(self._trail[-1])
        return Decision(velocity, self._state, goal, way, self._planner.frontiers, planned)

    def _remember(self, now: float, xy: Float, yaw: float) -> None:
        """Where the robot is, what it sees from there, and since when it has not got anywhere."""
        self._planner.look(xy, yaw)
        if self._before is not None and now > self._before[0]:
            self._speed = float(np.linalg.norm(xy - self._before[1])) / (now - self._before[0])
        self._before = now, xy
        if not self._trail or np.linalg.norm(self._trail[-1] - xy) > 0.05:
            self._trail.append(xy)
        idle = self._state in ("looking", "yielding", "done")
        if self._progress is None or idle or self._has_moved(self._progress, xy, yaw):
            self._progress = now, xy, yaw

    @staticmethod
    def _has_moved(since: tuple[float, Float, float], xy: Float, yaw: float) -> bool:
        return bool(np.linalg.norm(xy - since[1]) > 0.15) or abs(angle_between(yaw, since[2])) > 0.5

    # Plans

    def _needs_plan(self, now: float, xy: Float) -> bool:
        often = OFTEN if self._state == "yielding" else 1
        due = now - self._planned_at >= self.parameters.replan / often
        if due or self._in_vain:
            return due
        if self._goal is None:
            return True
        return not self._planner.way_is_clear(self._follower.ahead(xy), self._around.things)

    def _plan(self, now: float, xy: Float, yaw: float) -> None:
        p = self.parameters
        self._planned_at = now
        plan = self._planner.plan(now, xy, yaw, self._around.things, self._around.stay, p.person_radius, self._goal)
        if self._planner.cut_off:
            assert self._goal is not None
            if not self._around.is_taken(self._goal.place) and self._waits_for_way(now, plan is not None):
                self._follower = PathFollower()
                return
        if plan is not None:
            self._goal, self._follower, self._in_vain = plan.goal, PathFollower(plan.way), False
            return
        self._goal, self._follower = None, PathFollower()
        if not self._in_vain:
            self._state, self._to_turn, self._in_vain = "looking", self._once_around, True
            self._in_vain_since = now
        elif self._to_turn <= 0 and not self._planner.waits(now):
            shut = now - self._in_vain_since < SHUT and self._planner.is_shut(now, xy, yaw)
            self._state = "looking" if shut else "done"

    def _waits_for_way(self, now: float, has_another: bool) -> bool:
        """Whether the way to the goal, which is shut, may open again soon; when not, and there is no other goal, it is
        given up."""
        assert self._goal is not None
        if self._state != "yielding":
            self._state, self._waiting_since = "yielding", now
        self._for_somebody = True
        if now - self._waiting_since < self.parameters.patience:
            return True
        if not has_another:
            self._planner.give_up(self._goal, now, shut=True)
        return False

    # Driving

    def _drive(self, now: float, map_from_base: Pose) -> Velocity:
        p, goal = self.parameters, self._goal
        if goal is None:
            return Velocity(0.0, self.parameters.look_turn if self._state == "looking" else 0.0)
        xy, yaw = map_from_base.translation[:2], map_from_base.yaw
        assert self._progress is not None
        if now - self._progress[0] > p.stuck:
            return self._recover(now, xy, yaw)
        if not len(self._follower.way):
            return Velocity()
        wanted = self._steered(self._follower, xy, yaw)
        if self._follower.finished or np.linalg.norm(goal.place - xy) < 0.15:
            return self._face(goal, xy, yaw)
        if blocked := self._around.blocked_by(map_from_base, self._follower, self._speed, p.yield_distance):
            return self._yield(now, wanted, blocked)
        self._state, self._waiting_since = "driving", np.inf
        return wanted

    def _steered(self, follower: PathFollower, xy: Float, yaw: float) -> Velocity:
        p = self.parameters
        error = angle_between(follower.bearing(xy), yaw)
        room = self._planner.clearance_at(xy) - p.planner.radius
        return steer(error, follower.left(xy), room, p.speed * follower.straightness(xy), p.turn, TURN_FIRST)

    def _face(self, goal: Goal, xy: Float, yaw: float) -> Velocity:
        """At the goal: turn to where there is something to see; the next plan finds another goal."""
        error = angle_between(goal.heading, yaw)
        if abs(error) < FACING:
            self._planner.look_from_goal(xy, yaw)
            self._goal = None
            return Velocity()
        self._state = "turning"
        return self._turned(error)

    def _turned(self, error: float) -> Velocity:
        return Velocity(0.0, float(np.clip(2.5 * error, -self.parameters.turn, self.parameters.turn)))

    def _yield(self, now: float, wanted: Velocity, blocked: str) -> Velocity:
        """Stand, turning to where the way leads; after a while look for another way."""
        if self._state != "yielding":
            self._state, self._waiting_since = "yielding", now
        self._for_somebody = blocked == "somebody"
        if now - self._waiting_since > self.parameters.patience:
            assert self._goal is not None
            self._planner.give_up(self._goal, now, shut=self._for_somebody)
            self._goal, self._waiting_since = None, now
        return Velocity(0.0, wanted.angular if self._speed < STANDING else 0.0)

    def _gives_way(self, now: float, xy: Float) -> bool:
        """Whether the robot steps aside for somebody, until they have passed, or begins to: who wants to come the way
        that it wants to go waits for it, as it does for them."""
        if not self.parameters.step_aside:
            return False
        gap = np.linalg.norm(self._around.come - xy, axis=1)
        if self._stepped_aside:
            if gap.min(initial=np.inf) > PASSED or now >= self._aside_until:
                self._stepped_aside, self._aside_until, self._waiting_since = False, now, now
            return self._stepped_aside
        waits = self._state == "yielding" and self._for_somebody and now - self._waiting_since > ASIDE_AFTER
        if not waits or now - self._aside_until < ASIDE_AGAIN or gap.min(initial=np.inf) > ASIDE_NEAR:
            return False
        around, kept = self._around, self.parameters.person_radius
        way = self._planner.aside(xy, around.come[gap.argmin()], around.things, around.people, kept)
        self._stepped_aside = way is not None
        self._aside_until = now if way is None else now + ASIDE_FOR
        self._aside = PathFollower() if way is None else PathFollower(way)
        return self._stepped_aside

    def _step_aside(self, map_from_base: Pose) -> Velocity:
        """To the place aside, and there look at who comes."""
        xy, yaw = map_from_base.translation[:2], map_from_base.yaw
        wanted = self._steered(self._aside, xy, yaw)
        if self._aside.finished:
            come = self._around.come
            nearest = come[np.linalg.norm(come - xy, axis=1).argmin()]
            return self._turned(angle_between(float(np.arctan2(*(nearest - xy)[::-1])), yaw))
        blocked = self._around.blocked_by(map_from_base, self._aside, self._speed, self.parameters.yield_distance)
        return Velocity(0.0, wanted.angular) if blocked else wanted

    def _recover(self, now: float, xy: Float, yaw: float) -> Velocity:
        """Give the goal up and back off a little, over floor that was driven on."""
        assert self._goal is not None
        self._planner.give_up(self._goal, now)
        self._goal, self._state, self._progress = None, "recovering", (now, xy, yaw)
        self._back_until = now + 1.5
        return self._back_off(xy, yaw)

    def _back_off(self, xy: Float, yaw: float) -> Velocity:
        behind = xy - 0.3 * np.array([np.cos(yaw), np.sin(yaw)])
        known = min(float(np.linalg.norm(np.array(place) - behind)) for place in self._trail) < 0.15
        if known and self._around.is_open(behind):
            return Velocity(-0.2, 0.0)
        return Velocity(0.0, self.parameters.look_turn)
