"""Exploration node: the map's occupancy in; velocities or goals out, until there is nothing left to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scene_understanding.geometry import Pose, TransformError
from scene_understanding.mapping.exploration import Decision, Explorer, ExplorerParameters, State
from scene_understanding.mapping.exploration_plan import PlannerParameters
from scene_understanding.mapping.frontiers import Frontier, KnownGrid
from scene_understanding.mapping.information import Sight
from scene_understanding.mapping.path_follower import Velocity
from scene_understanding.mapping.people_memory import PeopleMemory
from scene_understanding.messages.header import make_header, stamp_to_ns
from scene_understanding.messages.markers import groups_to_markers
from scene_understanding.messages.occupancy_grid import GridArrays, array_to_path, occupancy_grid_to_array
from scene_understanding.messages.odometry import arrays_to_twist
from scene_understanding.messages.people import people_to_arrays
from scene_understanding.messages.point_cloud import measured, point_cloud2_to_cloud
from scene_understanding.messages.transforms import pose_to_pose_stamped
from scene_understanding.messages.types import message_type
from scene_understanding.nodes.lidar_scan import points_at_rest
from scene_understanding.nodes.node import (
    LATCHED,
    RELIABLE,
    ConfigurationError,
    Context,
    Input,
    InputError,
    Node,
    Output,
)
from scene_understanding.nodes.parameters import parameter

GRID, PEOPLE, CLOUD = "nav_msgs/msg/OccupancyGrid", "scene_understanding/msg/People", "sensor_msgs/msg/PointCloud2"
TOO_OLD_NS = 1_000_000_000
"""Without a pose for so long the robot stands; and until it has known its pose for as long."""
OBSTACLES_KEPT = 0.5
"""Seconds for which a scan of the LiDAR counts."""
NEAR = 3.0
"""Metres around the robot within which the LiDAR's points are looked at."""
STANDS: tuple[State, ...] = ("looking", "yielding", "recovering", "done")
"""Where nobody may drive the robot on to the last goal."""
_E, _P = ExplorerParameters(), PlannerParameters()


@dataclass(frozen=True)
class Parameters:
    """Parameters of the exploration node."""

    drive: str = parameter(
        "cmd_vel", "how the robot is moved: velocities, or goals for Nav2 on goal_pose", choices=("cmd_vel", "goal")
    )
    control_rate: float = parameter(10.0, "decisions a second", bounds=(0.5, 100.0))
    map_frame: str = parameter("map", "fixed frame, that of the occupancy grid")
    base_frame: str = parameter("base_link", "frame of the robot: on the floor, x forward")
    robot_radius: float = parameter(_P.radius, "of the robot, metres", bounds=(0.05, 2.0))
    margin: float = parameter(_P.margin, "kept from obstacles beyond the radius, metres", bounds=(0.05, 2.0))
    speed: float = parameter(_E.speed, "highest, m/s", bounds=(0.05, 5.0))
    turn: float = parameter(_E.turn, "highest, rad/s", bounds=(0.1, 10.0))
    field_of_view: float = parameter(
        1.0472, "within which what is to be explored is seen, that of the camera, radians", bounds=(0.2, 6.2832)
    )
    nearest: float = parameter(
        1.6, "distance from which on the camera sees the floor, metres; level and 0.9 m high: 2", bounds=(0.0, 20.0)
    )
    farthest: float = parameter(4.0, "distance up to which the floor is seen, metres", bounds=(0.5, 50.0))
    min_information: float = parameter(
        _P.min_information, "square metres to be seen below which a place is not worth going to", bounds=(0.01, 100.0)
    )
    confidence_weight: float = parameter(
        _P.confidence_weight, "worth of seeing again what has a class of confidence 0; of seeing what is unknown: 1",
        bounds=(0.0, 1.0),
    )  # fmt: skip
    person_radius: float = parameter(_E.person_radius, "kept clear around people, metres", bounds=(0.1, 5.0))
    yield_distance: float = parameter(
        _E.yield_distance, "the robot waits for people up to so far ahead on its way, metres", bounds=(0.1, 10.0)
    )
    map_timeout: float = parameter(3.0, "the robot stands when the map is older than this, s", bounds=(0.1, 3600.0))
    people_memory: float = parameter(2.0, "people are remembered so long after they were seen, s", bounds=(0.1, 60.0))
    use_lidar: bool = parameter(True, "subscribe to points, for what is in the way and not in the map")
    sweep: float = parameter(
        0.1, "seconds that a revolution of the LiDAR takes that ends at the stamp, for clouds without times of their "
        "points; 0: all points are of the stamp", bounds=(0.0, 1.0),
    )  # fmt: skip
    low: float = parameter(0.1, "points of the LiDAR are in the way from this height over the floor on", bounds=(0, 2))
    high: float = parameter(1.3, "and up to this one, metres", bounds=(0.1, 5.0))

    def check(self) -> None:
        """Raises ConfigurationError where parameters contradict each other."""
        for lower, upper in (("low", "high"), ("nearest", "farthest")):
            a, b = getattr(self, lower), getattr(self, upper)
            if a >= b:
                raise ConfigurationError(f"parameters: {lower} is {a:g}, {upper} {b:g}; {lower} must be below {upper}")

    @property
    def exploring(self) -> ExplorerParameters:
        sight = Sight(self.field_of_view, self.nearest, self.farthest)
        planner = PlannerParameters(
            radius=self.robot_radius, margin=self.margin, sight=sight, min_information=self.min_information,
            confidence_weight=self.confidence_weight,
        )  # fmt: skip
        return ExplorerParameters(
            planner, speed=self.speed, turn=self.turn, person_radius=self.person_radius,
            yield_distance=self.yield_distance, look_around=self.drive == "cmd_vel", step_aside=self.drive == "cmd_vel",
        )  # fmt: skip


class ExplorationNode(Node):
    """Drives a robot through a building that it does not know until the map shows all that it can get to.

    The robot stands when its pose is older than a second, its map than `map_timeout`, or when deciding fails. `~/done`
    is latched, and true once there is nothing left to see: then the robot is told to stand once, and nothing more, so
    that somebody else can drive it. In /diagnostics: `state`, and how many `frontiers` there are.

    Raises:
        ConfigurationError: parameters that contradict each other.
    """

    name = "exploration"
    parameters_type = Parameters
    uses_transforms = True

    def __init__(self, parameters: Parameters | None = None) -> None:
        super().__init__(parameters)
        p = self.parameters
        p.check()
        self.period = 1 / p.control_rate
        lidar = (Input("points", "points", CLOUD),) if p.use_lidar else ()
        self.inputs = (
            Input("occupancy", "semantic_map/occupancy", GRID, LATCHED),
            Input("uncertainty", "semantic_map/uncertainty", GRID, LATCHED, latched=True, required=False),
            Input("people", "keypoints/people", PEOPLE, RELIABLE),
            *lidar,
        )
        moved = {
            "cmd_vel": Output("cmd_vel", "cmd_vel", "geometry_msgs/msg/Twist"),
            "goal": Output("goal_pose", "goal_pose", "geometry_msgs/msg/PoseStamped"),
        }
        self.outputs = (
            moved[p.drive],
            Output("path", "~/path", "nav_msgs/msg/Path"),
            Output("frontiers", "~/frontiers", "visualization_msgs/msg/MarkerArray"),
            Output("done", "~/done", "std_msgs/msg/Bool", LATCHED),
        )
        self.reset()

    def reset(self) -> None:
        """Time jumped: the exploration begins anew."""
        self._explorer = Explorer(self.parameters.exploring)
        self._people = PeopleMemory(self.parameters.people_memory)
        self._map_ns = 0
        self._scan_ns = -(2**62)
        self._here: Pose | None = None
        self._goal: Pose | None = None
        self._stands = False
        self._done: bool | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is left to see."""
        return self._done is True

    @property
    def frontiers(self) -> list[Frontier]:
        """Those of the last plan."""
        return self._explorer.frontiers

    def process(self, messages: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
        if "occupancy" in messages:
            self._explorer.update_map(known_grid(messages["occupancy"], messages.get("uncertainty")))
            self._map_ns = context.now_ns
        elif "people" in messages:
            self._see_people(messages["people"], context)
        else:
            self._see_obstacles(messages["points"], context)
        return {}

    def _see_people(self, message: Any, context: Context) -> None:
        people, stamp_ns = people_to_arrays(message), stamp_to_ns(message.header.stamp)
        pose = context.transforms.lookup(self.parameters.map_frame, message.header.frame_id, stamp_ns)
        self._people.update(people.ids, pose.apply(people.trunks)[:, :2], stamp_ns * 1e-9, people.has_trunk)

    def _see_obstacles(self, message: Any, context: Context) -> None:
        """What the LiDAR sees near the robot, between the floor and its top."""
        p, stamp_ns = self.parameters, stamp_to_ns(message.header.stamp)
        xyz = point_cloud2_to_cloud(message).xyz

        def map_from_lidar(at_ns: int) -> Pose:
            return context.transforms.lookup(p.map_frame, message.header.frame_id, at_ns)

        points = points_at_rest(message, xyz, measured(xyz), p.sweep, map_from_lidar)
        robot = context.transforms.lookup(p.map_frame, p.base_frame, stamp_ns).translation
        x, y, height = (points - robot).T
        distance = np.hypot(x, y)
        chosen = (height > p.low) & (height < p.high) & (distance < NEAR) & (distance > p.robot_radius)
        obstacles = points[chosen, :2].astype(np.float64)
        self._explorer.update_obstacles(obstacles)
        self._scan_ns = stamp_ns
        if (known := self._explorer.known) is not None:
            unmapped = obstacles[known.is_unmapped(obstacles)]
            self._people.look(obstacles, unmapped, known.is_free(unmapped), robot[:2], NEAR, stamp_ns * 1e-9)

    def tick(self, context: Context) -> Mapping[str, Any]:
        if self.done:
            return {}
        now_ns = context.now_ns
        header = make_header(now_ns, self.parameters.map_frame)
        try:
            self._here = pose = self._pose(now_ns, context)
        except TransformError as error:
            context.warn(f"the robot stands: {error}")
            return self._standing(header)
        if self._explorer.has_map and (now_ns - self._map_ns) * 1e-9 > self.parameters.map_timeout:
            context.warn(f"the robot stands: no map for {(now_ns - self._map_ns) * 1e-9:.1f} s (see map_timeout)")
            return self._standing(header)
        if (now_ns - self._scan_ns) * 1e-9 > OBSTACLES_KEPT:
            self._explorer.update_obstacles(None)
        try:
            with context.stage("decide"):
                now = now_ns * 1e-9
                decision = self._explorer.decide(now, pose, self._people.places(now), self._people.stood(now))
        except Exception as error:  # whatever it is, the base must not go on with its last velocity
            context.warn(f"the robot stands: deciding failed: {type(error).__name__}: {error}")
            return self._standing(header)
        context.report(state=decision.state, frontiers=len(decision.frontiers))
        return self._encoded(decision, header, context)

    def _pose(self, now_ns: int, context: Context) -> Pose:
        """The newest map_from_base.

        Raises:
            TransformError: there is none, or it is older than `TOO_OLD_NS`.
        """
        p = self.parameters
        context.transforms.lookup(p.map_frame, p.base_frame, now_ns - TOO_OLD_NS)
        return context.transforms.lookup(p.map_frame, p.base_frame)

    def _driven(self, decision: Decision, header: Any) -> dict[str, Any]:
        if self.parameters.drive == "cmd_vel":
            return {"cmd_vel": _twist(decision.velocity)}
        if decision.state in STANDS:
            return self._standing(header)
        goal = decision.goal
        if goal is None or (self._goal is not None and np.array_equal(goal.matrix, self._goal.matrix)):
            return {}
        self._goal, self._stands = goal, False
        return {"goal_pose": pose_to_pose_stamped(goal, header)}

    def _standing(self, header: Any) -> dict[str, Any]:
        """No velocity; or, once, the place where the robot is as the goal in place of the last one."""
        if self.parameters.drive == "cmd_vel":
            return {"cmd_vel": _twist(Velocity())}
        if self._stands or self._here is None:
            return {}
        self._goal, self._stands = self._here, True
        return {"goal_pose": pose_to_pose_stamped(self._here, header)}

    def _encoded(self, decision: Decision, header: Any, context: Context) -> dict[str, Any]:
        out = self._driven(decision, header)
        if decision.planned and context.wanted("path"):
            out["path"] = array_to_path(decision.way, header)
        if decision.planned and context.wanted("frontiers"):
            out["frontiers"] = groups_to_markers([f.points for f in decision.frontiers], header)
        if decision.done != self._done:
            self._done = decision.done
            out["done"] = message_type("std_msgs/msg/Bool")(data=decision.done)
        return out


def known_grid(occupancy: Any, uncertainty: Any | None) -> KnownGrid:
    """The messages' grid; uncertainty of another shape or place, of a moment before, is left out.

    Raises:
        InputError: an occupancy grid that is none.
    """
    try:
        cells = occupancy_grid_to_array(occupancy)
        unsure = None if uncertainty is None else occupancy_grid_to_array(uncertainty)
    except ValueError as error:
        raise InputError(str(error)) from error
    if unsure is None or not _alike(cells, unsure):
        return KnownGrid.of_occupancy(cells.origin, cells.resolution, cells.values)
    return KnownGrid(cells.origin, cells.resolution, cells.values, unsure.values)


def _twist(velocity: Velocity) -> Any:
    return arrays_to_twist(np.array([velocity.linear, 0, 0]), np.array([0, 0, velocity.angular]))


def _alike(a: GridArrays, b: GridArrays) -> bool:
    return a.values.shape == b.values.shape and bool(np.allclose(a.origin, b.origin)) and a.resolution == b.resolution
