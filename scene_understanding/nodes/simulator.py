"""Simulator node: a robot in the embedded world, its sensors, and the truth behind them. Owns /clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from scene_understanding.geometry import PinholeCamera, Pose
from scene_understanding.geometry.point_cloud import PointCloud
from scene_understanding.labels import load_label_set, mapping
from scene_understanding.messages.camera_info import camera_to_camera_info
from scene_understanding.messages.header import make_header, ns_to_stamp
from scene_understanding.messages.image import array_to_image
from scene_understanding.messages.label_info import label_set_to_label_info
from scene_understanding.messages.odometry import OdometryState, state_to_odometry, twist_to_arrays
from scene_understanding.messages.people import PeopleArrays, arrays_to_people
from scene_understanding.messages.point_cloud import cloud_to_point_cloud2
from scene_understanding.messages.transforms import tf_message
from scene_understanding.messages.types import Clock
from scene_understanding.nodes.node import LATCHED, RELIABLE, SENSOR, Context, Input, Node, Output
from scene_understanding.nodes.parameters import parameter
from scene_understanding.simulation.robot import Command, RobotLimits

if TYPE_CHECKING:
    from scene_understanding.simulation.simulator import EmbeddedSimulator, Observation

IMAGE, ODOMETRY = "sensor_msgs/msg/Image", "nav_msgs/msg/Odometry"
MAP, ODOM, BASE, CAMERA, LIDAR = "map", "odom", "base_link", "camera_optical_frame", "lidar"
START_NS = 1_000_000_000
"""Simulated time of the first tick; zero means "no time yet" in ROS."""
CONTROL_PERIOD = 0.05
"""Longest step of the driver and the wheels, seconds; between two pictures there may be several."""
COMMAND_TIMEOUT = 0.5
"""Seconds after which a velocity command is no longer followed, as in the drivers of real bases."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of the simulator node."""

    seed: int = parameter(
        5, "of the building; 900 to 1179 are those of the shipped network's training", bounds=(0, 2**31)
    )
    rate: float = parameter(10.0, "pictures a second of simulated time", bounds=(0.1, 60.0))
    speed: float = parameter(1.0, "simulated seconds a real one, if the machine can", bounds=(0.01, 100.0))
    width: int = parameter(320, "of the camera, pixels", bounds=(16, 4096))
    height: int = parameter(240, "of the camera, pixels", bounds=(16, 4096))
    horizontal_fov: float = parameter(1.0472, "of the camera, radians", bounds=(0.2, 2.5))
    camera_pitch: float = parameter(
        0.0, "by which the camera looks down, radians: level, it does not see the floor within two metres",
        bounds=(-0.8, 1.2),
    )  # fmt: skip
    label_set: str = parameter("nyu13", "of the ground truth masks", choices=("nyu13", "nyu40"))
    lidar: bool = parameter(True, "the robot has a spinning LiDAR")
    wander: bool = parameter(True, "drives from room to room by itself whenever no cmd_vel comes", runtime=True)


class SimulatorNode(Node):
    """An RGB-D camera, a LiDAR and wheel odometry on a robot that obeys `cmd_vel` or wanders by itself."""

    name = "simulator"
    parameters_type = Parameters
    drives_clock = True
    inputs = (Input("cmd_vel", "cmd_vel", "geometry_msgs/msg/Twist", RELIABLE),)
    outputs = (
        Output("clock", "/clock", "rosgraph_msgs/msg/Clock"),
        Output("tf", "/tf", "tf2_msgs/msg/TFMessage"),
        Output("tf_static", "/tf_static", "tf2_msgs/msg/TFMessage", LATCHED),
        Output("camera_info", "rgb/camera_info", "sensor_msgs/msg/CameraInfo", SENSOR),
        Output("color", "rgb/image_rect_color", IMAGE, SENSOR),
        Output("depth", "depth_registered/image_rect", IMAGE, SENSOR),
        Output("points", "points", "sensor_msgs/msg/PointCloud2", SENSOR),
        Output("odom", "odom", ODOMETRY),
        Output("truth_labels", "ground_truth/label_info", "vision_msgs/msg/LabelInfo", LATCHED),
        Output("truth_mask", "ground_truth/mask", IMAGE),
        Output("truth_depth", "ground_truth/depth", IMAGE),
        Output("truth_people", "ground_truth/people", "scene_understanding/msg/People"),
        Output("truth_odom", "ground_truth/odom", ODOMETRY),
    )

    def __init__(self, parameters: Parameters | None = None) -> None:
        super().__init__(parameters)
        self.period = 1 / self.parameters.rate / self.parameters.speed
        self._step = 1 / self.parameters.rate
        self._time_ns = START_NS - round(self._step * 1e9)
        self._command, self._command_ns = Command(), -(2**62)
        self._announced = False

    def configure(self, context: Context) -> None:
        # Here, because they load Open3D, which takes seconds that listing the nodes should not take.
        from scene_understanding.simulation.lidar import Lidar
        from scene_understanding.simulation.simulator import EmbeddedSimulator, camera_mount
        from scene_understanding.simulation.wander import Wander

        p = self.parameters
        limits = RobotLimits()
        self._simulator = EmbeddedSimulator(
            p.seed, camera=PinholeCamera.from_fov(p.width, p.height, p.horizontal_fov),
            base_from_camera=camera_mount(p.camera_pitch), limits=limits, lidar=Lidar() if p.lidar else None,
        )  # fmt: skip
        self._wander = Wander(self._simulator.world, limits, p.seed)
        self._id_of_nyu40 = mapping("nyu40", p.label_set)
        context.report(building=p.seed, rooms=len(self._simulator.world.rooms))

    @property
    def embedded(self) -> EmbeddedSimulator:
        """The world behind the node, once it is configured."""
        return self._simulator

    def process(self, messages: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
        linear, angular = twist_to_arrays(messages["cmd_vel"])
        self._command, self._command_ns = Command(float(linear[0]), float(angular[2])), self._time_ns
        return {}

    def tick(self, context: Context) -> Mapping[str, Any]:
        self._time_ns += round(self._step * 1e9)
        parts = ceil(self._step / CONTROL_PERIOD)
        with context.stage("drive"):
            for _ in range(parts):
                self._simulator.advance(self._step / parts, self._next_command(self._step / parts))
        context.report(collisions=self._simulator.robot.collisions)
        out = self._always()
        if context.wanted("camera_info"):
            out["camera_info"] = camera_to_camera_info(self._simulator.camera, make_header(self._time_ns, CAMERA))
        if any(context.wanted(name) for name in ("color", "depth", "points", *TRUTH_OF_CAMERA)):
            with context.stage("render"):
                observation = self._simulator.observe()
            with context.stage("encode"):
                out |= self._seen(observation, context)
        self._announced = True  # not before: what is latched would be lost with a tick that fails
        return out

    def _next_command(self, dt: float) -> Command:
        if (self._time_ns - self._command_ns) * 1e-9 <= COMMAND_TIMEOUT:
            return self._command
        if not self.parameters.wander:
            return Command()
        simulator = self._simulator
        return self._wander.command(simulator.robot.map_from_base, simulator.crowd.places(), dt)

    def _always(self) -> dict[str, Any]:
        """Clock, transforms and odometry; until a tick succeeds also what is latched. The clock goes first."""
        simulator, stamp_ns = self._simulator, self._time_ns
        map_from_base, odom_from_base = simulator.robot.map_from_base, simulator.odom_from_base
        map_from_odom = map_from_base @ odom_from_base.inverse()
        out: dict[str, Any] = {"clock": Clock(clock=ns_to_stamp(stamp_ns))}
        if not self._announced:
            out |= self._announcement()
        transforms = [(MAP, ODOM, stamp_ns, map_from_odom), (ODOM, BASE, stamp_ns, odom_from_base)]
        out["tf"] = tf_message(transforms)
        speed = simulator.robot.speed
        for name, frame, pose in (("odom", ODOM, odom_from_base), ("truth_odom", MAP, map_from_base)):
            out[name] = state_to_odometry(odometry_state(pose, speed), make_header(stamp_ns, frame), BASE)
        return out

    def _announcement(self) -> dict[str, Any]:
        mounts = [(BASE, CAMERA, self._time_ns, self._simulator.base_from_camera)]
        if self.parameters.lidar:
            mounts.append((BASE, LIDAR, self._time_ns, self._simulator.base_from_lidar))
        header = make_header(self._time_ns, CAMERA)
        labels = label_set_to_label_info(load_label_set(self.parameters.label_set), header)
        return {"tf_static": tf_message(mounts), "truth_labels": labels}

    def _seen(self, o: Observation, context: Context) -> dict[str, Any]:
        header = make_header(self._time_ns, CAMERA)
        make = {
            "color": lambda: array_to_image(o.rgb, "rgb8", header),
            "depth": lambda: array_to_image(o.depth, "32FC1", header),
            "truth_mask": lambda: array_to_image(self._id_of_nyu40[o.truth.label], "mono8", header),
            "truth_depth": lambda: array_to_image(o.truth.depth, "32FC1", header),
            "truth_people": lambda: arrays_to_people(people_in_view(o), header),
        }
        if o.scan is not None:
            labels = self._id_of_nyu40[o.scan.label].astype(np.uint16)
            cloud = PointCloud(o.scan.xyz, label=labels, instance=o.scan.instance)
            make["points"] = lambda: cloud_to_point_cloud2(cloud, make_header(self._time_ns, LIDAR))
        return {name: message() for name, message in make.items() if context.wanted(name)}


TRUTH_OF_CAMERA = ("truth_mask", "truth_depth", "truth_people")


def odometry_state(pose: Pose, speed: Command) -> OdometryState:
    """Of a robot that moves in its own x and turns about its z."""
    return OdometryState(pose, np.array([speed.linear, 0.0, 0.0]), np.array([0.0, 0.0, speed.angular]))


def people_in_view(o: Observation) -> PeopleArrays:
    """The people of whom the camera sees a joint; joints that it does not see are NaN with confidence 0."""
    seen = o.people.visible.any(axis=1)
    visible = o.people.visible[seen]
    camera_from_map = (o.map_from_base @ o.base_from_camera).inverse()
    points = camera_from_map.apply(o.people.joints[seen])
    points[~visible] = np.nan
    pixels, _ = o.camera.project(points)
    return PeopleArrays(
        pixels.astype(np.float32), points.astype(np.float32), visible.astype(np.float32),
        np.ones(len(points), np.float32), o.people.instance[seen],
    )  # fmt: skip
