"""The choice of the next place to look from, and of the way there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import Pose
from scene_understanding.mapping.frontiers import Frontier, KnownGrid, find_frontiers
from scene_understanding.mapping.grid import OccupancyGrid, ShortestPaths, disc
from scene_understanding.mapping.information import Sight, expected_information, visible_cells
from scene_understanding.mapping.layers import UNSURE
from scene_understanding.mapping.path_follower import angle_between, angles_between

Float = NDArray[np.float64]
THINGS_NEAR = 1.2
"""Metres within which ways keep away from what a sensor sees and the map does not have, and not from what the map has
no class for and the sensor does not see; what is farther away may be elsewhere by then."""
SQUEEZES = (0.05, 0.0), (0.03, 0.0), (0.03, 0.02)
"""Metres that are kept from obstacles where there is no room for more, and by how much less from people than wanted;
each where those before leave no way."""
LEAST_MARGIN = SQUEEZES[-1][0]
BESIDE_OBSTACLES = np.float32(0.2)
"""Worth of unknown cells too near to obstacles for the robot: the inside of furniture, mostly."""
APART = 0.1
"""Metres that are kept from what is not in the map, beyond those from other obstacles: it may be somebody."""
SEEN_FROM_GOAL = 3
"""Looks that the one at a goal counts for: the robot stood there for it."""
ASIDE, ASIDE_REACH = 0.9, 3.0
"""Metres beside the line on which somebody comes that let them pass, and of the way to there at most."""
GAP = 0.6
"""Metres of unknown between known floor that is taken for floor: where somebody stood whenever it was looked at."""
AROUND = 1.5
"""Metres of unknown around the map in which places may be looked at."""
FRESH = 0.7
"""Share of its worth that a cell keeps when it was looked at and is still unknown, or still unsure."""
DRIVEN = 0.1
"""Metres between the places where the robot has been that are kept."""
LOOK_MOVE, LOOK_TURN = 0.25, 0.25
"""Metres or radians after which the robot sees from another place."""
SEEN_WELL = 1.5
"""Metres, from the nearest that the sensors see the floor at, within which a look at it should have shown it."""
HERE = 0.3
"""Metres from the robot within which a place is looked from without driving."""
NEAR_GOAL, TRIES = 1.0, 3
"""Metres around a goal that is left alone with it, and how often it is given up before it is so for ever."""


@dataclass(frozen=True)
class PlannerParameters:
    """Of the choice of goals.

    Attributes:
        radius: of the robot, metres.
        margin: kept from obstacles beyond it, metres, where there is room.
        unknown_margin: metres by which the robot's middle stays away from what is unknown.
        sight: what its sensors see of the floor.
        presumed: metres around the robot within which unknown floor in its sight is driven on, since sensors do not see
            the floor at its feet.
        discount: of information per metre of the way, 1/m.
        turn_cost: metres that turning by one radian counts.
        hysteresis: another goal must be worth so many times the present one.
        min_information: square metres below which a place is not worth going to.
        confidence_weight: worth of a square metre whose class is not known at all, of one that is unknown 1.
        unsure_weight: likewise of floor on which something may stand that was not seen.
        spacing: of the lattice of places, metres.
        give_up: seconds for which a goal is left alone that could not be reached.
    """

    radius: float = 0.2
    margin: float = 0.09
    unknown_margin: float = 0.15
    sight: Sight = field(default_factory=Sight)
    presumed: float = 2.2
    discount: float = 0.1
    turn_cost: float = 0.4
    hysteresis: float = 1.3
    min_information: float = 0.25
    confidence_weight: float = 0.2
    unsure_weight: float = 0.2
    spacing: float = 0.5
    give_up: float = 12.0


@dataclass(frozen=True, eq=False)
class Goal:
    """A place (2,) in the map, the heading to look along there, and the information expected, square metres."""

    place: Float
    heading: float
    information: float

    @property
    def pose(self) -> Pose:
        """map_from_base there."""
        return Pose.from_yaw(float(self.place[0]), float(self.place[1]), self.heading)


@dataclass(frozen=True, eq=False)
class Plan:
    """A goal and the way (K, 2) to it, metres."""

    goal: Goal
    way: Float


class Planner:
    """Remembers the map, how often each cell was looked at, and which goals were given up.

    Attributes:
        frontiers: of the last plan; cut_off: whether there was no way any more to the goal that the robot had.
    """

    def __init__(self, parameters: PlannerParameters) -> None:
        self.parameters = parameters
        self.frontiers: list[Frontier] = []
        self.cut_off = False
        self._known: KnownGrid | None = None
        self._looks, self._seen = np.zeros((0, 0), np.float32), np.zeros((0, 0), bool)
        self._looked_from: tuple[Float, float] | None = None
        self._driven: list[Float] = []
        """Where the robot has been, places `DRIVEN` metres apart."""
        self._given_up: list[tuple[float, Float, bool]] = []

    @property
    def known(self) -> KnownGrid | None:
        """The map, None before there is one."""
        return self._known

    @property
    def _map(self) -> KnownGrid:
        assert self._known is not None
        return self._known

    def update_map(self, known: KnownGrid) -> None:
        """The map as it is now; it may have grown."""
        new = known.padded(AROUND)
        if self._known is None:
            self._looks = np.zeros(new.occupancy.shape, np.float32)
            self._seen = np.zeros(new.occupancy.shape, bool)
        else:
            self._looks = _moved(self._looks + self._seen, self._known, new)
            self._seen = np.zeros(new.occupancy.shape, bool)
        self._known = new

    def clearance_at(self, xy: Float) -> float:
        """Metres from xy (2,) to the nearest obstacle of the map."""
        return float(self._map.obstacles.clearance_at(xy))

    def look(self, xy: Float, yaw: float) -> None:
        """The robot sees from xy (2,) along yaw; counts once a place and heading, and once between two maps."""
        if np.linalg.norm(np.reshape(self._driven, (-1, 2)) - xy, axis=1).min(initial=np.inf) > DRIVEN:
            self._driven.append(xy)
        if self._looked_from is not None:
            place, heading = self._looked_from
            if np.linalg.norm(xy - place) < LOOK_MOVE and abs(angle_between(yaw, heading)) < LOOK_TURN:
                return
        self._looked_from = xy, yaw
        sight = self.parameters.sight
        well = replace(sight, farthest=min(sight.farthest, sight.nearest + SEEN_WELL))
        self._seen |= visible_cells(self._map.obstacles, xy, yaw, well)

    def look_from_goal(self, xy: Float, yaw: float) -> None:
        """The robot has looked from its goal at xy (2,), along yaw; what is unknown still will hardly be seen there."""
        self._looks += SEEN_FROM_GOAL * visible_cells(self._map.obstacles, xy, yaw, self.parameters.sight)

    def way_is_clear(self, way: Float, obstacles: Float | None) -> bool:
        """Whether the robot still fits through along way (K, 2) from where it is, with obstacles as of `plan`."""
        grid = self._blocked(way[0], obstacles)
        least = self.parameters.radius + LEAST_MARGIN / 2
        return all(grid.line_is_clear(a, b, least) for a, b in zip(way[:-1], way[1:], strict=True))

    def give_up(self, goal: Goal, now: float, shut: bool = False) -> None:
        """Leave a goal alone for a while; the third time for ever, unless its way was merely `shut`."""
        times = 1 + sum(not was_shut and near(place, goal.place) for _, place, was_shut in self._given_up)
        final = not shut and times >= TRIES
        self._given_up.append((np.inf if final else now + self.parameters.give_up, goal.place, shut))

    def waits(self, now: float) -> bool:
        """Whether a goal that was given up will be tried again."""
        return any(now < until < np.inf for until, _, _ in self._given_up)

    def plan(
        self, now: float, xy: Float, yaw: float, obstacles: Float | None, people: Float, person_radius: float,
        present: Goal | None,
    ) -> Plan | None:  # fmt: skip
        """The best goal from xy (2,), heading yaw, and the way to it; None where nothing is worth it.

        Args:
            obstacles: (M, 2) what a sensor sees within `THINGS_NEAR`; None without one.
            people: (P, 2), kept away from by `person_radius`.
            present: the goal that the robot is on its way to.
        """
        p = self.parameters
        ground, plan = self._ground(xy, self._blocked(xy, obstacles)), None
        for least, closer in SQUEEZES:
            around_people = ground.with_discs(people, max(person_radius - closer - p.radius - least, 0.0))
            paths = self._paths(around_people, xy, least)
            self.cut_off = present is not None and not np.isfinite(paths.length[tuple(ground.cells(present.place))])
            best = self._best(now, paths, xy, yaw, present)
            if best is not None and not self.cut_off:
                return best
            plan = plan or best
        return plan

    def aside(
        self, xy: Float, person: Float, obstacles: Float | None, people: Float, person_radius: float
    ) -> Float | None:  # fmt: skip
        """The shortest way (K, 2) from xy (2,) to known floor beside the line on which a `person` (2,) comes, or None.
        The others as of `plan`."""
        p, known = self.parameters, self._map
        around_people = self._ground(xy, self._blocked(xy, obstacles)).with_discs(
            people, max(person_radius - p.radius - LEAST_MARGIN, 0.0)
        )
        paths = self._paths(around_people, xy, LEAST_MARGIN)
        cells = np.argwhere((paths.length < ASIDE_REACH) & (known.occupancy >= 0))
        x, y = (xy - person) / max(float(np.linalg.norm(xy - person)), 1e-6)
        beside = np.abs((around_people.centers(cells) - person) @ np.array([-y, x])) > ASIDE
        if not beside.any():
            return None
        row, column = cells[beside].T
        nearest = paths.length[row, column].argmin()
        return paths.to(known.obstacles.centers(cells[beside][nearest]))

    def is_shut(self, now: float, xy: Float, yaw: float) -> bool:
        """Whether there would be a goal if nobody, nothing that the map has no class for, and nothing that has come to
        where the robot drove, were in the way."""
        grid, driven = self._map.obstacles, np.zeros(self._map.occupancy.shape, np.uint8)
        for row, column in self._map.obstacles.cells(np.array(self._driven)).tolist():
            cv2.circle(driven, (column, row), round(1.5 * self.parameters.radius / grid.resolution), 1, -1)
        stays = replace(grid, occupied=grid.occupied & self._map.classed & (driven == 0))
        paths = self._paths(self._ground(xy, stays), xy, LEAST_MARGIN)
        return self._best(now, paths, xy, yaw, None) is not None

    def _paths(self, ground: OccupancyGrid, xy: Float, margin: float) -> ShortestPaths:
        """From xy (2,), with `margin` at least; where something is too close for that, from the nearest place within
        half a metre that has room."""
        p = self.parameters
        least = p.radius + margin
        if ground.clearance_at(xy) <= least:
            cells = np.argwhere(ground.clearance > least)
            distance = np.linalg.norm(ground.centers(cells) - xy, axis=1)
            if len(cells) and distance.min() < 0.5:
                xy = ground.centers(cells[distance.argmin()])
        return ground.shortest_paths(xy, least, p.radius + p.margin)

    def _blocked(self, xy: Float, obstacles: Float | None) -> OccupancyGrid:
        """The obstacles of the map, and what a sensor sees near the robot in the place of what has no class there."""
        known, grid = self._map, self._map.obstacles
        if obstacles is None:
            return grid
        row, column = grid.cells(xy).tolist()
        away = np.ones(known.classed.shape, np.uint8)
        cv2.circle(away, (column, row), round(THINGS_NEAR / known.resolution), 0, -1)
        still = replace(grid, occupied=grid.occupied & (known.classed | (away > 0)))
        return still.with_points(obstacles).with_points(obstacles[known.is_unmapped(obstacles)], APART)

    def _ground(self, xy: Float, blocked: OccupancyGrid) -> OccupancyGrid:
        """What the robot keeps away from by radius and margin: what is blocked, and the inside of the unknown."""
        p, known = self.parameters, self._map
        all_around = Sight(2 * np.pi, 0.0, p.presumed)
        unknown = known.unknown & ~visible_cells(blocked, xy, 0.0, all_around)
        shrink = max(0, round((p.radius + p.margin - p.unknown_margin) / known.resolution))
        inside = cv2.erode(unknown.astype(np.uint8), disc(shrink), borderValue=1) > 0
        inside &= ~self._between_floor()
        return OccupancyGrid(known.origin, known.resolution, blocked.occupied | inside)

    def _between_floor(self) -> NDArray[np.bool_]:
        """(rows, columns) bool: floor, and gaps in it that are no wider than `GAP`."""
        known = self._map
        floor = (known.occupancy >= 0) & (known.occupancy <= UNSURE)
        reach = disc(round(GAP / 2 / known.resolution))
        return cv2.morphologyEx(floor.astype(np.uint8), cv2.MORPH_CLOSE, reach) > 0

    def _best(self, now: float, paths: ShortestPaths, xy: Float, yaw: float, present: Goal | None) -> Plan | None:
        p, known = self.parameters, self._map
        reachable = np.isfinite(paths.length)
        self.frontiers = find_frontiers(known, cv2.dilate(reachable.astype(np.uint8), disc(6)) > 0)
        places = self._places(paths, reachable, xy)
        if present is not None and reachable[tuple(known.obstacles.cells(present.place))]:
            places = np.concatenate([places, present.place[None]])
        information, heading = expected_information(known.obstacles, self._worth(), known.unknown, places, p.sight)
        cells = known.obstacles.cells(places)
        length = paths.length[cells[:, 0], cells[:, 1]]
        ahead = places - xy
        here = np.hypot(*ahead.T) < HERE
        bearing = np.where(here, yaw, np.arctan2(*ahead.T[::-1]))
        if p.sight.all_around:  # wherever the robot looks it sees the same, and has seen it here
            heading, information = bearing, np.where(here, 0.0, information)
        turning = np.abs(angles_between(bearing, yaw)) + np.abs(angles_between(heading, bearing))
        value = information * np.exp(-p.discount * (length + p.turn_cost * turning))
        value[(information < p.min_information) | self._is_given_up(now, places)] = 0.0
        if present is not None and len(places) and np.array_equal(places[-1], present.place):
            value[-1] *= p.hysteresis
        for k in np.argsort(-value)[:5]:
            if value[k] > 0 and (way := paths.to(places[k])) is not None:
                return Plan(Goal(places[k], float(heading[k]), float(information[k])), way)
        return None

    def _places(self, paths: ShortestPaths, reachable: NDArray[np.bool_], xy: Float) -> Float:
        """(V, 2): the robot's own, a lattice, and the reachable cells nearest to the frontiers."""
        grid = self._map.obstacles
        step = max(1, round(self.parameters.spacing / grid.resolution))
        row, column = np.nonzero(reachable)
        lattice = (row % step == 0) & (column % step == 0)
        cells = np.stack([row, column], -1)
        centers = grid.centers(cells)
        nearest = [int(np.argmin(((centers - f.middle) ** 2).sum(1))) for f in self.frontiers if len(centers)]
        return np.concatenate([xy[None], centers[lattice], centers[nearest]])

    def _worth(self) -> NDArray[np.float32]:
        """(rows, columns) float32 of seeing each cell: unknown ones, most of all where the robot may get to; floor on
        which something may stand; cells whose class is not sure."""
        known, p = self._map, self.parameters
        worth = np.maximum(known.uncertainty, 0) * np.float32(p.confidence_weight / 100)
        worth[known.occupancy == UNSURE] = p.unsure_weight
        worth[known.occupancy < 0] = BESIDE_OBSTACLES
        worth[(known.occupancy < 0) & (known.obstacles.clearance > p.radius)] = 1
        return worth * np.float32(FRESH) ** self._looks

    def _is_given_up(self, now: float, places: Float) -> NDArray[np.bool_]:
        given_up = [place for until, place, _ in self._given_up if until > now]
        return np.any([near(places, place) for place in given_up], axis=0) if given_up else np.zeros(len(places), bool)


def near(places: Float, place: Float) -> NDArray[np.bool_]:
    """(...,) which of places (..., 2) are left alone with a place (2,) that is given up."""
    return np.asarray(np.linalg.norm(places - place, axis=-1) < NEAR_GOAL)


def _moved(values: NDArray[np.float32], old: KnownGrid, new: KnownGrid) -> NDArray[np.float32]:
    """`values` (rows, columns) of the old grid on the cells of the new one, 0 where it had none."""
    moved = np.zeros(new.occupancy.shape, values.dtype)
    shift = np.rint((old.origin - new.origin) / new.resolution).astype(int)[::-1]
    low, high = np.maximum(shift, 0), np.minimum(shift + values.shape, moved.shape)
    if (high > low).all():
        a, b = low - shift, high - shift
        moved[low[0] : high[0], low[1] : high[1]] = values[a[0] : b[0], a[1] : b[1]]
    return moved
