"""The simulator that a robot's software runs against: the protocol, and the embedded world behind it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import OPTICAL_FROM_BODY, PinholeCamera, Pose
from scene_understanding.geometry.pose import interpolate
from scene_understanding.simulation.building import generate_building
from scene_understanding.simulation.crowd import Crowd
from scene_understanding.simulation.lidar import Lidar, LidarScan
from scene_understanding.simulation.mesh import rotation_about
from scene_understanding.simulation.odometry import OdometryNoise, WheelOdometry
from scene_understanding.simulation.render import Frame, Renderer
from scene_understanding.simulation.robot import Command, Robot, RobotLimits
from scene_understanding.simulation.sensors import RgbdNoise
from scene_understanding.simulation.world import World


@dataclass(frozen=True, eq=False)
class PeopleTruth:
    """The people of a world at one moment; P of them.

    Attributes:
        joints: (P, 18, 3) float64, COCO-18, metres in the map.
        visible: (P, 18) bool: seen by the camera, not hidden by anything nor by the own body.
        instance: (P,) uint32 ids in the instance image.
    """

    joints: NDArray[np.float64]
    visible: NDArray[np.bool_]
    instance: NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Observation:
    """What the robot gets at one moment, and the truth behind it.

    Attributes:
        time_ns: of the simulator's clock.
        rgb: (H, W, 3) uint8 as the camera sees it.
        depth: (H, W) float32, metres, NaN where the sensor has none.
        truth: the frame of an ideal camera.
        camera: its intrinsics.
        map_from_base: where the robot is; odom_from_base: where its wheels say it is; base_from_camera: the mount.
        people: who is there.
        collisions: how often the robot has run into something.
        scan: the LiDAR's returns, in its own frame, or None without one.
        base_from_lidar: its mount, or None without one.
    """

    time_ns: int
    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    truth: Frame
    camera: PinholeCamera
    map_from_base: Pose
    odom_from_base: Pose
    base_from_camera: Pose
    people: PeopleTruth
    collisions: int
    scan: LidarScan | None = None
    base_from_lidar: Pose | None = None


class Simulator(Protocol):
    """A world in lockstep with whoever drives: nothing moves but in `step`."""

    @property
    def time_ns(self) -> int:
        """The simulator's clock, nanoseconds since its beginning."""

    def reset(self) -> Observation:
        """Back to the beginning."""

    def step(self, dt: float, command: Command) -> Observation:
        """Let `dt` seconds go by while the robot follows `command`."""


def people_truth(crowd: Crowd, frame: Frame, camera: PinholeCamera, map_from_camera: Pose) -> PeopleTruth:
    """Everybody's joints, and which of them `frame`, taken at `map_from_camera`, shows."""
    joints = crowd.joints()
    ids = np.array([p.instance for p in crowd.people], np.uint32)
    pixels, depth = camera.project(map_from_camera.inverse().apply(joints))
    own, surface = on_own_body(pixels, ids, frame)
    return PeopleTruth(joints, own & (surface > depth - 0.2), ids)


def on_own_body(
    pixels: NDArray[np.float64], ids: NDArray[np.uint32], frame: Frame
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Whether each joint's pixel (P, 18, 2), NaN behind the camera, shows its own person, of instance `ids` (P,); and
    the depth (P, 18) that it shows, which is of another pixel where it is outside of the frame."""
    height, width = frame.instance.shape
    column, row = (np.nan_to_num(np.rint(pixels[..., k]), nan=-1.0) for k in range(2))
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    at = (np.where(inside, row, 0).astype(int), np.where(inside, column, 0).astype(int))
    return inside & (frame.instance[at] == ids[:, None]), frame.depth[at]


def camera_mount(pitch: float = 0.0) -> Pose:
    """`base_from_camera` of a camera 0.9 m high that looks ahead, and down by `pitch` radians."""
    return Pose.from_rotation_translation(rotation_about("y", pitch) @ OPTICAL_FROM_BODY.T, (0.12, 0, 0.9))


class EmbeddedSimulator:
    """A procedural building with a robot in it, all from a seed.

    Attributes:
        world: the world.
        robot: the robot.
        crowd: the people, who make way for it.
        camera: its intrinsics.
        base_from_camera, base_from_lidar: where the sensors are on it.
    """

    def __init__(
        self,
        seed: int,
        world: World | None = None,
        camera: PinholeCamera | None = None,
        base_from_camera: Pose | None = None,
        noise: RgbdNoise | None = None,
        odometry: OdometryNoise | None = None,
        limits: RobotLimits | None = None,
        lidar: Lidar | None = None,
    ) -> None:
        """`world` defaults to the building of `seed`, the camera to 320x240 pixels at 0.9 m; no LiDAR by default."""
        self.world = generate_building(seed) if world is None else world
        self._seed = seed
        self.camera = camera or PinholeCamera.from_fov(320, 240, np.deg2rad(65))
        self.base_from_camera = camera_mount() if base_from_camera is None else base_from_camera
        self.base_from_lidar = Pose.from_rotation_translation(np.eye(3), (0, 0, 0.45))
        self._noise = noise or RgbdNoise(seed)
        self._odometry_noise, self._limits = odometry or OdometryNoise(), limits or RobotLimits()
        self._lidar = lidar
        self._renderer = Renderer(self.world)
        self._restart()

    def _restart(self) -> None:
        self._time_ns, self._index = 0, 0
        self.robot = Robot(self.world.contact, self.world.start, self._limits)
        self.crowd = Crowd(self.world.people)
        self._odometry = WheelOdometry(self._odometry_noise, self._seed)
        self._trail = deque([(0, self.robot.map_from_base)])  # times and poses of the LiDAR's last revolution

    @property
    def time_ns(self) -> int:
        return self._time_ns

    @property
    def odom_from_base(self) -> Pose:
        """Where the wheels say that the robot is."""
        return self._odometry.odom_from_base

    def reset(self) -> Observation:
        """Back to the beginning."""
        self._restart()
        return self.observe()

    def step(self, dt: float, command: Command) -> Observation:
        """Let `dt` seconds go by while the robot follows `command`, then look."""
        self.advance(dt, command)
        return self.observe()

    def advance(self, dt: float, command: Command) -> None:
        """Let `dt` seconds go by without looking.

        Raises:
            ValueError: time does not go forward.
        """
        if not dt > 0:
            raise ValueError(f"a step of {dt} s; it must be above 0")
        self._time_ns += round(dt * 1e9)
        self._index += 1
        before = self.robot.map_from_base
        self.crowd.advance(dt, before.translation[:2])
        self.robot.step(command, dt, self.crowd.places())
        self._odometry.update(before, self.robot.map_from_base)
        self._trail.append((self._time_ns, self.robot.map_from_base))
        while len(self._trail) > 1 and self._trail[1][0] <= self._sweep_start_ns():
            self._trail.popleft()

    def observe(self) -> Observation:
        """Read all sensors."""
        map_from_base = self.robot.map_from_base
        pose = map_from_base @ self.base_from_camera
        frame = self._renderer.render(self.camera, pose, self.crowd.times)
        rgb, depth = self._noise.apply(frame.rgb, frame.depth, self.camera, self._index)
        return Observation(
            self._time_ns, rgb, depth, frame, self.camera, map_from_base, self._odometry.odom_from_base,
            self.base_from_camera, people_truth(self.crowd, frame, self.camera, pose),
            self.robot.collisions, self._scan(), None if self._lidar is None else self.base_from_lidar,
        )  # fmt: skip

    def _scan(self) -> LidarScan | None:
        if self._lidar is None:
            return None
        start, end = (pose @ self.base_from_lidar for pose in (self._sweep_start(), self.robot.map_from_base))
        return self._lidar.scan(self._renderer, start, self.crowd.times, end, self._seed, self._index)

    def _sweep_start_ns(self) -> int:
        """When the LiDAR's revolution that ends now began."""
        return self._time_ns - (0 if self._lidar is None else round(self._lidar.period * 1e9))

    def _sweep_start(self) -> Pose:
        """map_from_base at that time; the robot stood still before the simulation began."""
        begin_ns = self._sweep_start_ns()
        first_ns, first = self._trail[0]
        if begin_ns <= first_ns:
            return first
        next_ns, following = self._trail[1]
        return interpolate(first, following, (begin_ns - first_ns) / (next_ns - first_ns))
