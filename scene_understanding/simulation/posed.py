"""People in poses of every kind, placed before a camera: what a pose network learns from and is measured on."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scene_understanding.geometry import PinholeCamera, Pose
from scene_understanding.simulation.building import generate_building
from scene_understanding.simulation.mesh import rotation_about
from scene_understanding.simulation.people import (
    ANKLE_HEIGHT,
    FACE,
    FACE_SHAPE,
    L_ANKLE,
    L_ELBOW,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    L_WRIST,
    NECK,
    R_ANKLE,
    R_ELBOW,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    R_WRIST,
    Person,
    limb,
)
from scene_understanding.simulation.world import World, camera_pose

Float = NDArray[np.float64]
NEAREST, NEAREST_AIMED, FARTHEST = 1.4, 2.0, 8.0
"""From the camera to a person's place on the floor, metres."""
MIDDLE = 0.95
"""Height of the middle of a person, metres."""
FARTHEST_APART, NEAREST_APART = 1.2, 0.45
"""Between two people, metres: as far as the room allows."""


@dataclass(frozen=True, eq=False)
class Stance:
    """Where and how somebody is at one moment; angles in radians.

    Attributes:
        place: (2,) metres in the map; yaw: heading.
        trunk: bend forwards and to the left; head: turn to the left and nod.
        arms: (2, 4) right and left: swing forwards, spread, bend of the elbow, turn of the forearm about the upper arm.
        legs: (2, 3) right and left: swing forwards, spread, bend of the knee.
    """

    place: Float
    yaw: float
    trunk: tuple[float, float]
    head: tuple[float, float]
    arms: Float
    legs: Float


@dataclass(frozen=True, eq=False)
class PosedPerson(Person):
    """A person whose `time` counts stances: at 3.0 they are as the fourth says."""

    stances: tuple[Stance, ...] = ()

    def place(self, time: float) -> tuple[Float, float, float]:
        stance = self.stances[int(time)]
        return stance.place, stance.yaw, 0.0

    def orientation(self, time: float) -> Float:
        stance = self.stances[int(time)]
        return rotation_about("z", stance.yaw) @ _trunk(stance)

    def joints(self, time: float) -> Float:
        """(18, 3) float64 joints in the map, metres: forward kinematics from the middle of the hips."""
        stance, h, out = self.stances[int(time)], self.height, np.zeros((18, 3))
        trunk, hip, shoulder = _trunk(stance), 0.055 * self.height * self.girth**0.3, 0.112 * self.height
        for (hip_joint, knee, ankle), side, leg in zip(
            ((R_HIP, R_KNEE, R_ANKLE), (L_HIP, L_KNEE, L_ANKLE)), (-1, 1), stance.legs, strict=True
        ):
            out[hip_joint] = (0, side * hip, 0)
            thigh, shin = _two_bones(leg[0], side * leg[1], -leg[2], 0.0)
            out[knee] = out[hip_joint] + 0.245 * h * thigh
            out[ankle] = out[knee] + 0.235 * h * shin
        out[NECK] = 0.29 * h * trunk[:, 2]
        for (shoulder_joint, elbow, wrist), side, arm in zip(
            ((R_SHOULDER, R_ELBOW, R_WRIST), (L_SHOULDER, L_ELBOW, L_WRIST)), (-1, 1), stance.arms, strict=True
        ):
            out[shoulder_joint] = out[NECK] + trunk @ (0, side * shoulder, -0.012 * h)
            upper, fore = _two_bones(arm[0], side * arm[1], arm[2], side * arm[3])
            out[elbow] = out[shoulder_joint] + 0.165 * h * trunk @ upper
            out[wrist] = out[elbow] + 0.145 * h * trunk @ fore
        head = trunk @ rotation_about("z", stance.head[0]) @ rotation_about("y", stance.head[1])
        middle = out[NECK] + trunk @ (0.01 * h, 0, 0.105 * h)
        out[FACE] = middle + h * FACE_SHAPE @ head.T
        out[:, 2] += ANKLE_HEIGHT * h - out[[R_ANKLE, L_ANKLE], 2].min()
        out = out @ rotation_about("z", stance.yaw).T
        out[:, :2] += stance.place
        return out


def _trunk(stance: Stance) -> Float:
    """(3, 3) of the trunk in the body frame, which looks to +x."""
    return rotation_about("y", stance.trunk[0]) @ rotation_about("x", -stance.trunk[1])


def _two_bones(swing: float, spread: float, bend: float, turn: float) -> tuple[Float, Float]:
    """Unit directions (3,) of a hanging limb's two bones; the second one is bent forwards, `turn` about the first."""
    first = limb(swing, spread)
    ahead = np.array([np.cos(swing), 0.0, np.sin(swing)])  # square to `first`
    aside = np.cross(first, ahead)
    ahead = np.cos(turn) * ahead + np.sin(turn) * aside
    return first, np.cos(bend) * first + np.sin(bend) * ahead


def random_stance(rng: Generator, place: Float, camera_yaw: float) -> Stance:
    """Somebody who stands, walks, reaches, bends, crouches, sits or exercises; half of them look to the camera."""
    towards = rng.random() < 0.5
    yaw = camera_yaw + np.pi + rng.normal(0, 0.6) if towards else rng.uniform(-np.pi, np.pi)
    arms = np.column_stack([rng.normal(0.1, 0.35, 2), rng.uniform(0.02, 0.4, 2), rng.uniform(0.1, 1.2, 2),
                            rng.normal(-0.4, 0.5, 2)])  # fmt: skip
    legs = np.column_stack([rng.normal(0.03, 0.08, 2), rng.uniform(0.0, 0.12, 2), rng.uniform(0.02, 0.15, 2)])
    trunk = rng.normal((0.05, 0.0), (0.1, 0.05))
    for k in range(2):
        kind = rng.random()
        if kind < 0.2:  # reaches or points
            arms[k] = rng.uniform((0.6, 0.0, 0.0, -1.5), (2.0, 0.9, 1.0, 0.5))
        elif kind < 0.35:  # raised, or out to the side
            arms[k] = rng.uniform((-0.5, 0.8, 0.0, -1.5), (0.8, 2.6, 1.8, 1.5))
        elif kind < 0.5:  # at the face, on a phone, folded
            arms[k] = rng.uniform((0.1, 0.0, 1.5, -1.4), (0.9, 0.3, 2.4, 0.3))
    pose = rng.random()
    if pose < 0.25:  # in mid-stride
        stride = rng.uniform(0.2, 0.7) * rng.choice((-1, 1))
        legs[:, 0], legs[:, 2] = (stride, -stride), rng.uniform(0.05, 0.9, 2)
        arms[:, 0] -= 0.6 * legs[:, 0]
    elif pose < 0.35:  # crouches
        depth = rng.uniform(0.6, 1.5)
        legs[:] = np.column_stack(
            [depth + rng.normal(0, 0.15, 2), rng.uniform(0.05, 0.5, 2), 2 * depth + rng.normal(0, 0.2, 2)]
        )
        legs[:, 2] = legs[:, 2].clip(0, 2.5)
        trunk[0] += rng.uniform(0.1, 0.7)
    elif pose < 0.45:  # sits
        legs[:] = np.column_stack([rng.normal(1.45, 0.12, 2), rng.uniform(0.0, 0.35, 2), rng.normal(1.45, 0.25, 2)])
    elif pose < 0.55:  # bends down
        trunk[0] += rng.uniform(0.4, 1.5)
    elif pose < 0.7:  # exercises: kicks, lunges, stands astride
        legs[:] = rng.uniform((-0.8, 0.0, 0.0), (1.4, 0.9, 1.6), (2, 3))
        trunk += rng.normal(0, (0.3, 0.25))
    return Stance(
        place, float(yaw), (float(trunk[0]), float(trunk[1])), (rng.normal(0, 0.35), rng.normal(0.05, 0.2)), arms, legs
    )  # fmt: skip


def crowd_views(
    seed: int, people: int, views: int, camera: PinholeCamera, aimed: bool = False
) -> tuple[World, list[Pose]]:
    """A building with so many people, and cameras before which they are: at the time k all are in sight of camera k.

    Where there is no room for everybody the people left over are out of sight.

    Args:
        aimed: cameras are tilted so that people are in the middle, and people keep two metres away; else cameras look
            along the floor, so that a low one cuts off the heads of those near it.
    """
    world = generate_building(seed, guests=people)
    rng = np.random.default_rng([seed, people, 3])
    empty = replace(world, people=())
    poses, stances = [], []
    for _ in range(views):
        pose, places = _view_with_room(rng, empty, people, camera, NEAREST_AIMED if aimed else NEAREST)
        pose = _tilted(pose, places) if aimed else pose
        yaw = float(np.arctan2(pose.rotation[1, 2], pose.rotation[0, 2]))
        stances.append([random_stance(rng, place, yaw) for place in places])
        poses.append(pose)
    guests = tuple(
        PosedPerson(**{f.name: getattr(person, f.name) for f in fields(Person)}, stances=tuple(taken))
        for person, taken in zip(world.people, zip(*stances, strict=True), strict=True)
    )
    return replace(world, people=guests), poses


def _view_with_room(
    rng: Generator, world: World, people: int, camera: PinholeCamera, nearest: float
) -> tuple[Pose, Float]:
    """map_from_camera, and (P, 2) places of which as many as can be found are before it, far apart where they can be.

    Of as many random views as there are people the one that sees most of the floor is taken.
    """
    half = float(np.arctan2(camera.width / 2, camera.fx))
    views = [_look_along(rng, world, half) for _ in range(1 + people)]
    floors = [_floor_in_sight(world, pose, half, nearest) for pose in views]
    widest = int(np.argmax([len(floor) for floor in floors]))
    pose, floor = views[widest], floors[widest]
    apart = FARTHEST_APART
    places = _places(rng, floor, pose.translation[:2], people, apart, nearest)
    while len(places) < people and apart > NEAREST_APART:
        apart *= 0.8
        places = _places(rng, floor, pose.translation[:2], people, apart, nearest)
    behind = pose.translation[:2] - 3.0 * pose.rotation[:2, 2]
    return pose, np.concatenate([places, np.broadcast_to(behind, (people - len(places), 2))])


def _tilted(pose: Pose, places: Float) -> Pose:
    """map_from_camera, turned about the camera's x so that those who stand at `places` (P, 2) are as high as low."""
    middles = pose.inverse().apply(np.column_stack([places, np.full(len(places), MIDDLE)]))
    before = middles[middles[:, 2] > 0]
    down = float(np.median(np.arctan2(before[:, 1], before[:, 2]))) if len(before) else 0.0
    return Pose.from_rotation_translation(pose.rotation @ rotation_about("x", -down), pose.translation)


def _look_along(rng: Generator, world: World, half: float) -> Pose:
    """map_from_camera of a robot, or of somebody with a camera, who looks where a room is widest.

    Args:
        half: of the horizontal field of view, radians.
    """
    origin, headings = world.sample_point(rng), rng.uniform(-np.pi, np.pi, 8)
    rays = headings[:, None] + np.linspace(-half, half, 9)
    open_to = np.median(world.grid.ray_distance(origin, rays.ravel(), FARTHEST).reshape(rays.shape), axis=1)
    pitch, roll = rng.normal((0.05, 0.0), (0.12, 0.03))
    height = rng.uniform(0.5, 1.7)
    return camera_pose(np.array([*origin, height]), float(headings[np.argmax(open_to)]), float(pitch), float(roll))


def _floor_in_sight(world: World, pose: Pose, half: float, nearest: float) -> Float:
    """(K, 2) places before a camera, `nearest` metres away or more, where somebody can stand."""
    origin, axis = pose.translation[:2], pose.rotation[:2, 2]
    free = world.grid.centers(np.argwhere(world.grid.clearance > 0.2))
    way = free - origin
    distance = np.linalg.norm(way, axis=1)
    angle = np.arctan2(axis[0] * way[:, 1] - axis[1] * way[:, 0], way @ axis)
    rays = np.linspace(-half, half, 64)
    sight = world.grid.ray_distance(origin, np.arctan2(axis[1], axis[0]) + rays, FARTHEST)
    near = (distance > nearest) & (np.abs(angle) < half)
    return np.asarray(free[near & (distance < np.interp(angle, rays, sight))], np.float64)


def _places(rng: Generator, floor: Float, origin: Float, people: int, apart: float, nearest: float) -> Float:
    """(K, 2) of `floor` (F, 2), K up to `people`; half of them anywhere, half at any distance, which is nearer."""
    distance = np.linalg.norm(floor - origin, axis=1)
    places: list[Float] = []
    while len(floor) and len(places) < people:
        near = np.abs(distance - rng.uniform(nearest, distance.max())) < 0.5
        pool = np.flatnonzero(near) if near.any() and rng.random() < 0.5 else np.arange(len(floor))
        places.append(floor[pool[rng.integers(len(pool))]])
        left = np.linalg.norm(floor - places[-1], axis=1) > apart
        floor, distance = floor[left], distance[left]
    return np.array(places).reshape(-1, 2)
