"""People in poses of every kind: bodies that can be, on the floor, before the camera."""

from __future__ import annotations

import numpy as np
import pytest

from scene_understanding.geometry import PinholeCamera, Pose
from scene_understanding.simulation.people import (
    ANKLE_HEIGHT,
    L_ANKLE,
    L_ELBOW,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    L_WRIST,
    NECK,
    NOSE,
    R_ANKLE,
    R_ELBOW,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    R_WRIST,
    Person,
)
from scene_understanding.simulation.posed import NEAREST_APART, PosedPerson, Stance, crowd_views
from scene_understanding.simulation.world import World

PEOPLE, VIEWS = 5, 24
CAMERA = PinholeCamera(160, 120, 138.5, 138.5, 79.5, 59.5)
BONES = (
    (R_SHOULDER, R_ELBOW), (R_ELBOW, R_WRIST), (L_SHOULDER, L_ELBOW), (L_ELBOW, L_WRIST), (R_HIP, R_KNEE),
    (R_KNEE, R_ANKLE), (L_HIP, L_KNEE), (L_KNEE, L_ANKLE), (R_HIP, L_HIP), (R_SHOULDER, L_SHOULDER),
    (NECK, R_SHOULDER), (NECK, L_SHOULDER), (NECK, NOSE),
)  # fmt: skip
TIMES = [float(k) for k in range(VIEWS)]


@pytest.fixture(scope="module")
def crowd() -> tuple[World, list[Pose]]:
    return crowd_views(4, PEOPLE, VIEWS, CAMERA)


@pytest.fixture(scope="module")
def people(crowd: tuple[World, list[Pose]]) -> list[PosedPerson]:
    return [person for person in crowd[0].people if isinstance(person, PosedPerson)]


def test_guests_change_nothing_but_the_people(crowd: tuple[World, list[Pose]], world: World) -> None:
    guests, _ = crowd
    assert len(guests.people) == PEOPLE and not any(isinstance(person, PosedPerson) for person in world.people)
    assert sorted(person.instance for person in guests.people) == [
        int(world.instance.max()) + 1 + k for k in range(PEOPLE)
    ]
    for name in ("vertices", "triangles"):
        np.testing.assert_array_equal(getattr(guests.shape, name), getattr(world.shape, name))
    np.testing.assert_array_equal(guests.instance, world.instance)
    np.testing.assert_array_equal(guests.label, world.label)
    np.testing.assert_array_equal(guests.grid.clearance, world.grid.clearance)
    np.testing.assert_array_equal(guests.start.translation, world.start.translation)


def test_bones_keep_their_length(people: list[PosedPerson]) -> None:
    assert len(people) == PEOPLE
    for person in people:
        joints = np.stack([person.joints(time) for time in TIMES])
        lengths = np.stack([np.linalg.norm(joints[:, a] - joints[:, b], axis=1) for a, b in BONES], 1)
        neck_to_face = joints[:, [14, 15, 16, 17]] - joints[:, [14]]
        lengths = np.column_stack([lengths[:, :-1], np.linalg.norm(neck_to_face, axis=-1)])
        np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], lengths.shape), atol=1e-9)


def test_one_foot_is_on_the_floor_and_nothing_is_under_it(people: list[PosedPerson]) -> None:
    for person in people:
        for time in TIMES:
            joints = person.joints(time)
            assert joints[[R_ANKLE, L_ANKLE], 2].min() == pytest.approx(ANKLE_HEIGHT * person.height)


def test_shoes_of_who_stands_upright_are_on_the_floor(people: list[PosedPerson]) -> None:
    upright = 0
    for person in people:
        for time, stance in zip(TIMES, person.stances, strict=True):
            if abs(stance.trunk[0]) < 0.15:
                assert -0.05 < person.mesh(time)[0].vertices[:, 2].min() < 0.03
                upright += 1
    assert upright > 10


def test_the_mesh_follows_the_joints(people: list[PosedPerson]) -> None:
    """A body is around its joints and nowhere else, and no two stances are alike."""
    for person in people[:2]:
        before = None
        for time in TIMES[:6]:
            vertices, joints = person.mesh(time)[0].vertices.astype(float), person.joints(time)
            near = np.linalg.norm(vertices[:, None] - joints, axis=-1)
            assert near.min(0).max() < 0.25 and near.min(1).max() < 0.45
            assert (joints > vertices.min(0) - 0.02).all() and (joints < vertices.max(0) + 0.02).all()
            assert before is None or np.abs(vertices - before).max() > 0.1
            before = vertices


def stance(**changes: object) -> Stance:
    plain = {
        "place": np.array([2.0, 3.0]), "yaw": 0.0, "trunk": (0.0, 0.0), "head": (0.0, 0.0), "arms": np.zeros((2, 4)),
        "legs": np.zeros((2, 3)),
    }  # fmt: skip
    return Stance(**(plain | changes))  # type: ignore[arg-type]


def joints_of(person: Person, **changes: object) -> np.ndarray:
    values = {name: getattr(person, name) for name in Person.__dataclass_fields__}
    return PosedPerson(**values, stances=(stance(**changes),)).joints(0.0)


def test_angles_are_what_they_say(people: list[PosedPerson]) -> None:
    """In the frame of a body that looks to +x, its left at +y."""
    person, quarter = people[0], np.pi / 2
    plain = joints_of(person)
    assert plain[L_SHOULDER, 1] > plain[R_SHOULDER, 1] and plain[NOSE, 0] > plain[NECK, 0]
    np.testing.assert_allclose((plain[L_HIP, :2] + plain[R_HIP, :2]) / 2, (2, 3))
    arm = plain[R_SHOULDER, 2] - plain[R_WRIST, 2]
    arms = np.array([[quarter, 0, 0, 0], [0, quarter, 0, 0]])
    raised = joints_of(person, arms=arms)
    np.testing.assert_allclose(raised[R_WRIST] - raised[R_SHOULDER], (arm, 0, 0), atol=1e-9)  # forwards
    np.testing.assert_allclose(raised[L_WRIST] - raised[L_SHOULDER], (0, arm, 0), atol=1e-9)  # to the left
    bent = joints_of(person, arms=np.array([[0, 0, quarter, 0], [0, 0, quarter, 0]]))
    assert bent[R_WRIST, 0] - bent[R_ELBOW, 0] > 0.1 and bent[R_WRIST, 2] == pytest.approx(bent[R_ELBOW, 2])
    kneeling = joints_of(person, legs=np.array([[0, 0, quarter], [0, 0, 0]]))
    assert kneeling[R_ANKLE, 0] < kneeling[R_KNEE, 0] - 0.2  # heels go back
    forwards = joints_of(person, trunk=(0.5, 0.0))
    assert forwards[NECK, 0] - 2 > 0.1 and forwards[NECK, 1] == pytest.approx(3)
    aside = joints_of(person, trunk=(0.0, 0.5))
    assert aside[NECK, 1] - 3 > 0.1 and aside[NECK, 0] == pytest.approx(2)
    turned = joints_of(person, yaw=quarter)
    np.testing.assert_allclose(turned[NOSE, :2] - turned[NECK, :2], (0, plain[NOSE, 0] - plain[NECK, 0]), atol=1e-9)
    looking = joints_of(person, head=(quarter, 0.0))
    assert looking[NOSE, 1] - looking[NECK, 1] > 0.05
    nodding = joints_of(person, head=(0.0, 0.5))
    assert nodding[NOSE, 2] < plain[NOSE, 2]


def test_everybody_is_before_the_camera_and_apart(crowd: tuple[World, list[Pose]]) -> None:
    world, poses = crowd
    assert len(poses) == VIEWS
    for time, pose in zip(TIMES, poses, strict=True):
        places = np.stack([person.place(time)[0] for person in world.people])
        pixels, depth = CAMERA.project(pose.inverse().apply(np.column_stack([places, np.full(PEOPLE, 1.0)])))
        before = (depth > 0.5) & (pixels[:, 0] > -20) & (pixels[:, 0] < CAMERA.width + 20)
        assert before.mean() > 0.5
        apart = np.linalg.norm(places[before, None] - places[before], axis=-1)
        assert apart[~np.eye(len(apart), dtype=bool)].min(initial=np.inf) > 0.9 * NEAREST_APART * 0.8
        assert (world.grid.clearance_at(places[before]) > 0.15).all()
        assert np.isfinite(pose.translation).all() and 0.4 < pose.translation[2] < 1.8
    assert np.mean([len(p.stances) for p in world.people]) == VIEWS  # type: ignore[attr-defined]
