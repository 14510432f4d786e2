"""People: a body around the 18 joints of OpenPose's COCO set, standing or walking there and back on a path.

Joint order: nose, neck, right shoulder, elbow, wrist, left shoulder, elbow, wrist, right hip, knee,
ankle, left hip, knee, ankle, right eye, left eye, right ear, left ear.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scene_understanding.simulation.materials import Materials
from scene_understanding.simulation.mesh import Shape, cushion, joined, rotation_about

Float = NDArray[np.float64]
NOSE, NECK, R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST = range(8)
R_HIP, R_KNEE, R_ANKLE, L_HIP, L_KNEE, L_ANKLE, R_EYE, L_EYE, R_EAR, L_EAR = range(8, 18)
ANKLE_HEIGHT = 0.045
"""Height of the ankle over the sole, as a share of the body height."""


@dataclass(frozen=True)
class Clothes:
    """Material indices of a person."""

    skin: int
    hair: int
    top: int
    trousers: int
    shoes: int
    long_sleeves: bool
    long_trousers: bool
    long_hair: bool


@dataclass(frozen=True, eq=False)
class Person:
    """One person; everything about them follows from the time.

    Attributes:
        path: (K, 2) float64, metres in the map: way points walked there and back; (1, 2) for one who stands.
        yaw: heading of one who stands.
        height: metres. girth: 1 is average. speed: m/s. phase: radians, offset of the gait.
        arms: (2, 3) float64: right and left arm of one who stands: swing, spread and elbow bend, radians.
        instance: id in the instance image.
    """

    path: Float
    yaw: float
    height: float
    girth: float
    speed: float
    phase: float
    arms: Float
    clothes: Clothes
    instance: int

    @property
    def walks(self) -> bool:
        return len(self.path) > 1

    def place(self, time: float) -> tuple[Float, float, float]:
        """Ground point (2,), heading and metres walked so far at `time` seconds."""
        if not self.walks:
            return self.path[0], self.yaw, 0.0
        steps = np.linalg.norm(np.diff(self.path, axis=0), axis=1)
        ends = np.concatenate([[0], np.cumsum(steps)])
        total = float(ends[-1])
        walked = self.speed * time + self.phase / (2 * np.pi) * 2 * total
        s = walked % (2 * total)
        forth, s = s <= total, min(s, 2 * total - s)
        xy = np.array([np.interp(s, ends, self.path[:, k]) for k in range(2)])
        ahead, behind = (np.clip(s + d, 0, total) for d in (0.3, -0.3))
        step = np.array([np.interp(ahead, ends, p) - np.interp(behind, ends, p) for p in self.path.T])
        if not forth:
            step = -step
        return xy, float(np.arctan2(step[1], step[0])), walked

    def joints(self, time: float) -> Float:
        """(18, 3) float64 joints in the map, metres."""
        xy, yaw, walked = self.place(time)
        body = self._walking(walked) if self.walks else self._standing(time)
        joints = body @ rotation_about("z", yaw).T
        joints[:, :2] += xy
        return joints

    def _walking(self, walked: float) -> Float:
        """Joints (18, 3) over the ground point, looking to +x, in mid-stride."""
        stride = 0.8 * self.height
        cycle = 2 * np.pi * walked / stride
        legs, arms = [], []
        for side in (0.0, np.pi):
            swing = 0.42 * np.sin(cycle + side)
            bend = 0.12 + 0.85 * max(0.0, np.cos(cycle + side)) ** 2
            legs.append((swing, bend))
            arms.append((-0.75 * swing, 0.08, 0.45 - 0.4 * swing))
        return self._skeleton(legs, np.array(arms), 0.04)

    def _standing(self, time: float) -> Float:
        sway = 0.012 * np.sin(0.9 * time + self.phase)
        arms = self.arms + np.array([0.06 * np.sin(0.7 * time + self.phase), 0, 0.05 * np.sin(1.1 * time)])
        return self._skeleton([(0.02, 0.03), (-0.02, 0.03)], arms, sway)

    def _skeleton(self, legs: list[tuple[float, float]], arms: Float, lean: float) -> Float:
        """Forward kinematics in the body frame; legs are (swing, knee bend), arms (swing, spread, elbow bend)."""
        h, out = self.height, np.zeros((18, 3))
        hip, shoulder, torso = 0.055 * h * self.girth**0.3, 0.112 * h, 0.29 * h
        lowest = np.inf
        for k, (swing, bend) in enumerate(legs):
            base, side = (R_HIP, -1) if k == 0 else (L_HIP, 1)
            out[base] = (0, side * hip, 0)
            out[base + 1] = out[base] + 0.245 * h * np.array([np.sin(swing), 0, -np.cos(swing)])
            shin = swing - bend
            out[base + 2] = out[base + 1] + 0.235 * h * np.array([np.sin(shin), 0, -np.cos(shin)])
            lowest = min(lowest, out[base + 2, 2])
        up = np.array([np.sin(lean), 0, np.cos(lean)])
        out[NECK] = torso * up
        for k, (swing, spread, bend) in enumerate(arms):
            base, side = (R_SHOULDER, -1) if k == 0 else (L_SHOULDER, 1)
            out[base] = out[NECK] + (0, side * shoulder, -0.012 * h)
            out[base + 1] = out[base] + 0.165 * h * _limb(swing, side * spread)
            out[base + 2] = out[base + 1] + 0.145 * h * _limb(swing + bend, side * spread * 0.3)
        head = out[NECK] + (0.01 * h, 0, 0.105 * h)
        face = h * np.array([[0.055, 0, -0.005], [0.047, -0.019, 0.014], [0.047, 0.019, 0.014], [0, -0.042, 0.004],
                             [0, 0.042, 0.004]])  # fmt: skip
        out[[NOSE, R_EYE, L_EYE, R_EAR, L_EAR]] = head + face
        out[:, 2] += ANKLE_HEIGHT * h - lowest
        return out

    def mesh(self, time: float) -> tuple[Shape, NDArray[np.int32]]:
        """The body in the map, and per triangle (T,) the material."""
        joints = self.joints(time)
        pieces = self._pieces(joints, self.place(time)[1])
        shapes = [piece[0] for piece in pieces]
        materials = np.repeat([piece[1] for piece in pieces], [len(s.triangles) for s in shapes])
        return joined(shapes), materials.astype(np.int32)

    def _pieces(self, j: Float, yaw: float) -> list[tuple[Shape, int]]:
        h, c, g = self.height, self.clothes, self.girth
        turn = rotation_about("z", yaw)
        forward = turn[:, 0]
        hips, neck = (j[R_HIP] + j[L_HIP]) / 2, j[NECK]
        up = neck - hips
        sleeve = c.top if c.long_sleeves else c.skin
        leg = c.trousers if c.long_trousers else c.skin
        head = (j[R_EAR] + j[L_EAR]) / 2
        pieces = [
            (_blob((0.15 * h * g, 0.275 * h * g**0.5, 0.36 * h), 0.65, turn, hips + 0.52 * up), c.top),
            (_blob((0.14 * h * g, 0.21 * h * g, 0.16 * h), 0.7, turn, hips - (0, 0, 0.01 * h)), c.trousers),
            (_bone(neck - (0, 0, 0.03 * h), head, 0.034 * h, 0.03 * h), c.skin),
            (_blob((0.118 * h, 0.092 * h, 0.135 * h), 1.0, turn, head + 0.012 * h * forward), c.skin),
            (_blob((0.12 * h, 0.1 * h, 0.125 * h), 1.0, turn, head - 0.012 * h * forward + (0, 0, 0.02 * h)), c.hair),
            (_blob((0.022 * h, 0.018 * h, 0.02 * h), 1.0, turn, j[NOSE] + 0.008 * h * forward), c.skin),
        ]
        if c.long_hair:
            back = head - 0.035 * h * forward - (0, 0, 0.05 * h)
            pieces.append((_blob((0.06 * h, 0.11 * h, 0.2 * h), 0.8, turn, back), c.hair))
        for shoulder, hip in ((R_SHOULDER, R_HIP), (L_SHOULDER, L_HIP)):
            elbow, wrist, knee, ankle = j[shoulder + 1], j[shoulder + 2], j[hip + 1], j[hip + 2]
            hand = wrist + (wrist - elbow) * 0.28
            foot = ankle + 0.045 * h * forward
            foot = np.array([foot[0], foot[1], ankle[2] - 0.022 * h])
            pieces += [
                (_bone(j[shoulder], elbow, 0.034 * h * g**0.5, 0.026 * h), c.top),
                (_bone(elbow, wrist, 0.026 * h, 0.019 * h), sleeve),
                (_bone(wrist, hand, 0.02 * h, 0.016 * h), c.skin),
                (_bone(j[hip], knee, 0.05 * h * g**0.7, 0.034 * h), c.trousers),
                (_bone(knee, ankle, 0.034 * h, 0.025 * h), leg),
                (_blob((0.15 * h, 0.056 * h, 0.046 * h), 0.6, turn, foot), c.shoes),
            ]
        return pieces


def _limb(swing: float, spread: float) -> Float:
    """Unit direction of a hanging limb swung forwards and spread sideways."""
    return np.array([np.sin(swing) * np.cos(spread), np.sin(spread), -np.cos(swing) * np.cos(spread)])


@lru_cache(maxsize=8)
def _sphere(roundness: float) -> Shape:
    return cushion((1, 1, 1), roundness=roundness, segments=12)


def _blob(size: tuple[float, float, float], roundness: float, turn: Float, center: Float) -> Shape:
    """A turned superellipsoid of full `size`, shaded as smooth."""
    unit, s = _sphere(roundness), np.array(size)
    normals = unit.normals / s.astype(np.float32)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    stretched = Shape((unit.vertices * s).astype(np.float32), unit.triangles, unit.uv * np.float32(s.max()), normals)
    return stretched.moved(turn, center)


def _bone(a: Float, b: Float, radius_a: float, radius_b: float) -> Shape:
    """A capsule from a (3,) to b (3,) whose radius tapers."""
    unit = _sphere(1.0)
    axis = b - a
    length = float(np.linalg.norm(axis))
    z = axis / length
    x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0, 0], z)
    x /= np.linalg.norm(x)
    frame = np.stack([x, np.cross(z, x), z], axis=1)
    share = np.clip(unit.vertices[:, 2] * 3 + 0.5, 0, 1)[:, None]
    radius = radius_a + (radius_b - radius_a) * share
    vertices = unit.vertices * 2 * radius
    vertices[:, 2] += (share * length)[:, 0]
    shape = Shape(vertices.astype(np.float32), unit.triangles, unit.uv * np.float32(length), unit.normals)
    return shape.moved(frame, a)


def dress(m: Materials) -> Clothes:
    """Random clothes, skin and hair."""
    rng = m.rng
    return Clothes(
        m.skin(), m.hair(), m.cloth(0.35), m.trousers() if rng.random() < 0.8 else m.cloth(0.1), m.leather(),
        bool(rng.random() < 0.6), bool(rng.random() < 0.85), bool(rng.random() < 0.4),
    )  # fmt: skip


def random_person(m: Materials, path: Float, instance: int) -> Person:
    """A person of random build and clothes on `path` (K, 2)."""
    rng = m.rng
    poses = np.array([[0.05, 0.12, 0.15], [0.3, 0.1, 1.6], [-0.3, 0.6, 1.5], [0.6, 0.05, 1.9], [0.1, 0.1, 0.9]])
    arms = poses[rng.integers(len(poses), size=2)] + rng.normal(0, 0.06, (2, 3))
    return Person(
        path, rng.uniform(-np.pi, np.pi), rng.uniform(1.5, 1.92), rng.uniform(0.85, 1.3), rng.uniform(0.6, 1.2),
        rng.uniform(0, 2 * np.pi), arms, dress(m), instance,
    )  # fmt: skip
