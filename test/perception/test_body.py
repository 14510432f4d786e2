import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scene_understanding.geometry import Pose
from scene_understanding.labels.keypoints import COCO18_MIRRORED
from scene_understanding.perception import body
from scene_understanding.perception.body import capsules, heading, inside, stature, volume, yaw
from scene_understanding.simulation.building import generate_building
from scene_understanding.simulation.people import L_ANKLE, L_HIP, L_SHOULDER, NECK, NOSE, R_ANKLE, R_HIP, R_SHOULDER

TIMES = (0.0, 0.8, 3.3)


@pytest.fixture(scope="module")
def crowd():
    """Simulated people at some moments: person and time."""
    return [(p, t) for seed in (3, 4) for p in generate_building(seed).people for t in TIMES]


@pytest.fixture(scope="module")
def joints(crowd):
    return np.array([p.joints(t) for p, t in crowd])


def skin(person, time: float, count: int = 1500) -> np.ndarray:
    """(count, 3) random points of a person's mesh."""
    rng, (shape, _) = np.random.default_rng(0), person.mesh(time)
    a, b, c = np.moveaxis(shape.vertices[shape.triangles].astype(np.float64), 1, 0)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    k, share = rng.choice(len(area), count, p=area / area.sum()), rng.dirichlet(np.ones(3), count)
    return share[:, :1] * a[k] + share[:, 1:2] * b[k] + share[:, 2:] * c[k]


def test_stature_is_that_of_the_person(crowd, joints) -> None:
    np.testing.assert_allclose(stature(joints), [p.height for p, _ in crowd], atol=0.05)
    holed = joints.copy()
    holed[:, [R_HIP, L_ANKLE, NOSE]] = np.nan
    np.testing.assert_allclose(stature(holed), [p.height for p, _ in crowd], atol=0.1)
    np.testing.assert_array_equal(stature(np.full((1, 18, 3), np.nan)), [body.STATURE])


def test_the_heading_is_where_they_walk(crowd, joints) -> None:
    expected = np.array([p.place(t)[1] for p, t in crowd])
    np.testing.assert_allclose(np.angle(np.exp(1j * (yaw(joints) - expected))), 0, atol=1e-6)
    for unknown in ([R_HIP, L_HIP], [R_SHOULDER], [NOSE, NECK]):
        holed = joints.copy()
        holed[:, unknown] = np.nan
        np.testing.assert_allclose(np.angle(np.exp(1j * (yaw(holed) - expected))), 0, atol=1e-6)
    hidden = joints.copy()
    hidden[:, [R_HIP, L_SHOULDER]] = np.nan
    assert np.isnan(yaw(hidden)).all()


def test_right_and_left_mistaken_for_each_other_are_told_by_the_nose(joints) -> None:
    mirrored = joints[:, list(COCO18_MIRRORED)]
    np.testing.assert_allclose(heading(mirrored), heading(joints), atol=1e-9)
    mirrored[:, NOSE] = np.nan
    np.testing.assert_allclose(heading(mirrored), -heading(joints), atol=1e-9)


def test_the_heading_follows_any_up(joints) -> None:
    camera_from_map = Pose.from_quaternion([0.3, -0.5, 0.2, 0.7], [1, 2, 3])
    up = camera_from_map.rotation @ [0, 0, 1]
    turned = heading(camera_from_map.apply(joints), up)
    np.testing.assert_allclose(turned, heading(joints) @ camera_from_map.rotation.T, atol=1e-9)


def test_bodies_hold_nearly_all_of_the_skin(crowd, joints) -> None:
    for margin, share, least in ((0.05, 0.95, 0.85), (0.08, 0.99, 0.97)):
        held = [
            (inside(capsules(j[None]), skin(p, t), margin) == 0).mean() for j, (p, t) in zip(joints, crowd, strict=True)
        ]
        assert np.mean(held) > share and np.min(held) > least


def test_the_room_is_outside() -> None:
    world = generate_building(4)
    bodies = capsules(np.array([p.joints(0.0) for p in world.people]))
    a, b, c = np.moveaxis(world.shape.vertices[world.shape.triangles].astype(np.float64), 1, 0)
    middles = (a + b + c) / 3
    standing = middles[:, 2] > 0.1  # the floor under the soles is within the margin of the feet
    assert (inside(bodies, middles[standing], 0.05) >= 0).mean() < 1e-3


def test_volume_is_that_of_a_person(joints) -> None:
    joints = joints[:: len(TIMES)]
    cubic_metres = volume(capsules(joints))
    assert 0.06 < np.median(cubic_metres) < 0.09
    shape = stature(joints) ** 3
    np.testing.assert_allclose(cubic_metres / shape, np.median(cubic_metres / shape), rtol=0.15)
    finer = volume(capsules(joints[:1]), step=0.015)
    np.testing.assert_allclose(finer, cubic_metres[:1], rtol=0.02)


def test_what_is_unknown_has_no_part(joints) -> None:
    legless = joints[:1].copy()
    legless[:, 8:14] = np.nan
    bodies = capsules(legless)
    assert 0 < bodies.known.sum() < len(body.PARTS)
    ankles = joints[0, [R_ANKLE, L_ANKLE]]
    np.testing.assert_array_equal(inside(bodies, ankles, 0.05), -1)
    np.testing.assert_array_equal(inside(capsules(joints[:1]), ankles, 0.05), 0)
    assert volume(bodies)[0] < volume(capsules(joints[:1]))[0]
    nobody = capsules(np.full((1, 18, 3), np.nan))
    assert np.isnan(volume(nobody)).all() and not nobody.known.any()
    np.testing.assert_array_equal(inside(nobody, ankles), -1)


def test_a_missing_neck_is_between_the_shoulders(joints) -> None:
    neckless = joints[:1].copy()
    neckless[:, NECK] = np.nan
    np.testing.assert_allclose(volume(capsules(neckless)), volume(capsules(joints[:1])), rtol=0.05)


def test_a_point_between_two_belongs_to_the_nearer(joints) -> None:
    pair = np.stack([joints[0], joints[0] + [0.3, 0, 0]])
    owners = inside(capsules(pair), np.concatenate([pair[0, 2:14] - [0.02, 0, 0], pair[1, 2:14] + [0.02, 0, 0]]), 0.05)
    assert (owners[:12] == 0).mean() > 0.7 and (owners[12:] == 1).mean() > 0.7


def test_boxes_around_the_parts_leave_nothing_out(joints) -> None:
    """The same as the distance of every point to every capsule, of two people side by side."""
    bodies = capsules(np.stack([joints[0], joints[0] + (0.31, 0.17, 0.05)]))
    points = np.random.default_rng(0).normal(joints[0].mean(0), 0.5, (5000, 3))
    offset, along = points[:, None, None] - bodies.start, bodies.end - bodies.start
    share = ((offset * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12)).clip(0, 1)
    clearance = (np.linalg.norm(offset - share[..., None] * along, axis=-1) - bodies.radius).min(-1)
    expected = np.where(clearance.min(1) <= 0.1, clearance.argmin(1), -1)
    np.testing.assert_array_equal(inside(bodies, points, 0.1), expected)
    assert 0 < (expected >= 0).mean() < 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3), st.integers(0, 2**31), st.floats(0, 1))
def test_any_joints_may_be_unknown(count: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 0.4, (count, 18, 3)).astype(np.float32)
    points[rng.random((count, 18)) < share] = np.nan
    forward = heading(points)
    assert (np.isnan(forward) | (np.abs(np.linalg.norm(forward, axis=-1, keepdims=True) - 1) < 1e-9)).all()
    bodies = capsules(points)
    assert bodies.radius.shape == (count, len(body.PARTS)) and (bodies.radius > 0).all()
    assert inside(bodies, rng.normal(size=(10, 3)), 0.1).max(initial=-1) < count
