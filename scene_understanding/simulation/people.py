"""People: a body around the 18 joints of OpenPose's COCO set, standing or walking there and back on a path.

Joint order: nose, neck, right shoulder, elbow, wrist, left shoulder, elbow, wrist, right hip, knee,
ankle, left hip, knee, ankle, right eye, left eye, right ear, left ear.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scene_understanding.simulation.materials import Materials
from scene_understanding.simulation.mesh import Shape, cushion, rotation_about

Float = NDArray[np.float64]
NOSE, NECK, R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST = range(8)
R_HIP, R_KNEE, R_ANKLE, L_HIP, L_KNEE, L_ANKLE, R_EYE, L_EYE, R_EAR, L_EAR = range(8, 18)
FACE = [NOSE, R_EYE, L_EYE, R_EAR, L_EAR]
FACE_SHAPE = np.array(
    [[0.055, 0, -0.005], [0.047, -0.019, 0.014], [0.047, 0.019, 0.014], [0, -0.042, 0.004], [0, 0.042, 0.004]]
)
"""(5, 3) from the middle of the head, which looks to +x, as shares of the body height."""
FACE_SHAPE.flags.writeable = False
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
        ends, total = self._ends, float(self._ends[-1])
        walked = self.speed * time + self.phase / (2 * np.pi) * 2 * total
        s = walked % (2 * total)
        forth, s = s <= total, min(s, 2 * total - s)
        xy = np.array([np.interp(s, ends, self.path[:, k]) for k in range(2)])
        ahead, behind = (np.clip(s + d, 0, total) for d in (0.3, -0.3))
        step = np.array([np.interp(ahead, ends, p) - np.interp(behind, ends, p) for p in self.path.T])
        if not forth:
            step = -step
        return xy, float(np.arctan2(step[1], step[0])), walked

    @cached_property
    def _ends(self) -> Float:
        """(K,) metres along the path to each way point."""
        return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(self.path, axis=0), axis=1))])

    def turned_back(self, time: float) -> float:
        """The first later time at which a walker is in the same place, going the other way."""
        total = float(self._ends[-1])
        walked = (self.speed * time + self.phase / np.pi * total) % (2 * total)
        return time + ((2 * total - 2 * walked) % (2 * total)) / self.speed

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
            out[base + 1] = out[base] + 0.165 * h * limb(swing, side * spread)
            out[base + 2] = out[base + 1] + 0.145 * h * limb(swing + bend, side * spread * 0.3)
        head = out[NECK] + (0.01 * h, 0, 0.105 * h)
        out[FACE] = head + h * FACE_SHAPE
        out[:, 2] += ANKLE_HEIGHT * h - lowest
        return out

    def orientation(self, time: float) -> Float:
        """(3, 3) the trunk's rotation in the map: its columns are forward, left and up."""
        return rotation_about("z", self.place(time)[1])

    def mesh(self, time: float) -> tuple[Shape, NDArray[np.int32]]:
        """The body in the map, and per triangle (T,) the material."""
        body = self._body
        rotations, origins = self._frames(self.joints(time), self.orientation(time))
        turned = rotations.transpose(0, 2, 1).astype(np.float32)
        vertices = body.vertices @ turned + origins[:, None].astype(np.float32)
        normals = (body.normals @ turned)[:, _SPHERE_CORNERS]
        shape = Shape(vertices.reshape(-1, 3), body.triangles, body.uv, normals.reshape(-1, 3, 3))
        return shape, body.material

    @cached_property
    def _body(self) -> _Body:
        """The pieces, each in its own frame: blobs first, then bones."""
        blobs, bones = self._blobs(), self._bones()
        _, starts, ends = self._layout(self.joints(0.0), self.orientation(0.0))
        lengths = np.linalg.norm(ends - starts, axis=1)
        local = [_blob(size, roundness) for size, roundness, _ in blobs]
        local += [_bone(float(n), a, b) for n, (a, b, _) in zip(lengths, bones, strict=True)]
        vertices, normals, stretch = zip(*local, strict=True)
        first = np.arange(len(local))[:, None, None] * len(vertices[0])
        triangles = (_SPHERE_CORNERS + first).reshape(-1, 3).astype(np.int32)
        uv = np.concatenate([_SPHERE[1.0].uv * np.float32(s) for s in stretch])
        material = np.repeat([piece[-1] for piece in (*blobs, *bones)], len(_SPHERE_CORNERS)).astype(np.int32)
        return _Body(np.stack(vertices), np.stack(normals), triangles, uv, material)

    def _blobs(self) -> list[tuple[tuple[float, float, float], float, int]]:
        """Full size, roundness and material: chest, hips, head, hair, nose, feet, long hair."""
        h, g, c = self.height, self.girth, self.clothes
        foot = ((0.15 * h, 0.056 * h, 0.046 * h), 0.6, c.shoes)
        blobs = [
            ((0.15 * h * g, 0.275 * h * g**0.5, 0.36 * h), 0.65, c.top),
            ((0.14 * h * g, 0.21 * h * g, 0.16 * h), 0.7, c.trousers),
            ((0.118 * h, 0.092 * h, 0.135 * h), 1.0, c.skin),
            ((0.12 * h, 0.1 * h, 0.125 * h), 1.0, c.hair),
            ((0.022 * h, 0.018 * h, 0.02 * h), 1.0, c.skin),
            foot,
            foot,
        ]
        return [*blobs, ((0.06 * h, 0.11 * h, 0.2 * h), 0.8, c.hair)] if c.long_hair else blobs

    def _bones(self) -> list[tuple[float, float, int]]:
        """Radius at both ends and material: neck, then per side upper arm, forearm, hand, thigh, shin."""
        h, g, c = self.height, self.girth, self.clothes
        side = [
            (0.034 * h * g**0.5, 0.026 * h, c.top),
            (0.026 * h, 0.019 * h, c.top if c.long_sleeves else c.skin),
            (0.02 * h, 0.016 * h, c.skin),
            (0.05 * h * g**0.7, 0.034 * h, c.trousers),
            (0.034 * h, 0.025 * h, c.trousers if c.long_trousers else c.skin),
        ]
        return [(0.034 * h, 0.03 * h, c.skin), *side, *side]

    def _layout(self, j: Float, orientation: Float) -> tuple[Float, Float, Float]:
        """Middles of the blobs (B, 3), starts and ends (K, 3) of the bones, for joints (18, 3)."""
        h, forward, up = self.height, orientation[:, 0], self.height * orientation[:, 2]
        hips, neck, head = (j[R_HIP] + j[L_HIP]) / 2, j[NECK], (j[R_EAR] + j[L_EAR]) / 2
        feet = j[[R_ANKLE, L_ANKLE]] + 0.045 * h * forward - 0.022 * up
        blobs = [
            hips + 0.52 * (neck - hips), hips - 0.01 * up, head + 0.012 * h * forward,
            head - 0.012 * h * forward + 0.02 * up, j[NOSE] + 0.008 * h * forward, *feet,
        ]  # fmt: skip
        if self.clothes.long_hair:
            blobs.append(head - 0.035 * h * forward - 0.05 * up)
        hands = j[[R_WRIST, L_WRIST]] * 1.28 - j[[R_ELBOW, L_ELBOW]] * 0.28
        starts = [neck - 0.03 * up, *j[[R_SHOULDER, R_ELBOW, R_WRIST, R_HIP, R_KNEE]],
                  *j[[L_SHOULDER, L_ELBOW, L_WRIST, L_HIP, L_KNEE]]]  # fmt: skip
        ends = [head, *j[[R_ELBOW, R_WRIST]], hands[0], *j[[R_KNEE, R_ANKLE]], *j[[L_ELBOW, L_WRIST]], hands[1],
                *j[[L_KNEE, L_ANKLE]]]  # fmt: skip
        return np.array(blobs), np.array(starts), np.array(ends)

    def _frames(self, joints: Float, orientation: Float) -> tuple[Float, Float]:
        """Rotation (P, 3, 3) and origin (P, 3) of every piece in the map."""
        blobs, starts, ends = self._layout(joints, orientation)
        z = (ends - starts) / np.linalg.norm(ends - starts, axis=1, keepdims=True)
        x = np.cross([[0.0, 1.0, 0.0]], z)
        flat = np.linalg.norm(x, axis=1) < 0.3
        x[flat] = np.cross([[1.0, 0.0, 0.0]], z[flat])
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        turned = np.broadcast_to(orientation, (len(blobs), 3, 3))
        return np.concatenate([turned, np.stack([x, np.cross(z, x), z], axis=2)]), np.concatenate([blobs, starts])


@dataclass(frozen=True)
class _Body:
    """Pieces of a person: vertices and normals (P, V, 3) in each one's frame; of the whole, as in `Shape`:
    triangles (T, 3), uv (T, 3, 2), material (T,)."""

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    triangles: NDArray[np.int32]
    uv: NDArray[np.float32]
    material: NDArray[np.int32]


def limb(swing: float, spread: float) -> Float:
    """Unit direction of a hanging limb swung forwards and spread sideways."""
    return np.array([np.sin(swing) * np.cos(spread), np.sin(spread), -np.cos(swing) * np.cos(spread)])


_SPHERE = {roundness: cushion((1, 1, 1), roundness=roundness, segments=12) for roundness in (0.6, 0.65, 0.7, 0.8, 1.0)}
_SPHERE_CORNERS = _SPHERE[1.0].triangles
"""Unit superellipsoids by roundness; all have the same triangles."""


def _vertex_normals(roundness: float) -> NDArray[np.float32]:
    """(V, 3) normals at the vertices of a unit superellipsoid."""
    unit = _SPHERE[roundness]
    normals = np.empty_like(unit.vertices)
    normals[unit.triangles] = unit.normals
    return normals


def _blob(size: tuple[float, float, float], roundness: float) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Vertices (V, 3), normals (V, 3) and texture stretch of a superellipsoid of full `size`."""
    s = np.array(size, np.float32)
    normals = _vertex_normals(roundness) / s
    return _SPHERE[roundness].vertices * s, normals / np.linalg.norm(normals, axis=1, keepdims=True), float(s.max())


def _bone(length: float, radius_a: float, radius_b: float) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Vertices (V, 3), normals (V, 3) and texture stretch of a capsule along z whose radius tapers."""
    unit = _SPHERE[1.0].vertices
    share = np.clip(unit[:, 2:] * 3 + 0.5, 0, 1)
    vertices = unit * 2 * (radius_a + (radius_b - radius_a) * share)
    vertices[:, 2:] += share * length
    return vertices.astype(np.float32), _vertex_normals(1.0), length


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
