"""Wheel odometry that drifts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scene_understanding.geometry import Pose


@dataclass(frozen=True)
class OdometryNoise:
    """Faults of wheel odometry.

    Attributes:
        scale: deviation of the constant error of the distance, relative: wheel radius.
        turn_scale: deviation of the constant error of the turn, relative: wheel base.
        slip: deviation of the distance per root of a metre driven, metres.
        turn_slip: deviation of the turn per root of a radian turned, radians.
        veer: deviation of the turn per root of a metre driven, radians.
    """

    scale: float = 0.01
    turn_scale: float = 0.015
    slip: float = 0.004
    turn_slip: float = 0.01
    veer: float = 0.008


class WheelOdometry:
    """Adds up what the wheels report; starts at the origin of the odom frame."""

    def __init__(self, noise: OdometryNoise, seed: int) -> None:
        self._noise = noise
        self._rng = np.random.default_rng([seed, 0x0D0])
        self._gain = 1 + self._rng.normal(0, noise.scale)
        self._turn_gain = 1 + self._rng.normal(0, noise.turn_scale)
        self._x, self._y, self._yaw = 0.0, 0.0, 0.0

    def update(self, before: Pose, after: Pose) -> None:
        """Take in a true motion, from `map_from_base` before to that after, of one short step."""
        step = before.inverse() @ after
        forward, turn = float(step.translation[0]), step.yaw
        slip, turn_slip, veer = self._rng.standard_normal(3)
        length = abs(forward)
        forward = forward * self._gain + self._noise.slip * np.sqrt(length) * slip
        turn = turn * self._turn_gain + self._noise.turn_slip * np.sqrt(abs(turn)) * turn_slip
        turn += self._noise.veer * np.sqrt(length) * veer
        self._x += forward * np.cos(self._yaw + turn / 2)
        self._y += forward * np.sin(self._yaw + turn / 2)
        self._yaw += turn

    @property
    def odom_from_base(self) -> Pose:
        return Pose.from_yaw(self._x, self._y, self._yaw)
