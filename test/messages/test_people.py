import numpy as np
import pytest

from scene_understanding.geometry import Pose
from scene_understanding.labels import COCO18_LIMBS, COCO18_NAMES
from scene_understanding.messages.header import make_header
from scene_understanding.messages.people import (
    PeopleArrays,
    arrays_to_people,
    bodies_to_markers,
    headings_to_markers,
    people_to_arrays,
    people_to_marker_array,
)
from scene_understanding.messages.types import Keypoint, MarkerArray, People, deserialize, serialize

HEADER = make_header(5, "camera")


def random_people(n, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 18, 3)).astype(np.float32)
    points[rng.random((n, 18)) < 0.3] = np.nan
    return PeopleArrays(
        pixels=rng.uniform(0, 640, (n, 18, 2)).astype(np.float32),
        points=points,
        confidence=rng.random((n, 18), np.float32),
        score=rng.random(n, np.float32),
        ids=rng.integers(0, 2**32, n).astype(np.uint32),
    )


@pytest.mark.parametrize("n", [0, 1, 5])
def test_round_trip(n):
    people = random_people(n)
    msg = deserialize(serialize(arrays_to_people(people, HEADER)), People)
    assert msg.header == HEADER
    assert len(msg.people) == n
    back = people_to_arrays(msg)
    for name in ("pixels", "points", "confidence", "score", "ids"):
        np.testing.assert_array_equal(getattr(back, name), getattr(people, name))
        assert getattr(back, name).dtype == getattr(people, name).dtype


def test_constants_are_the_names():
    for index, name in enumerate(COCO18_NAMES):
        assert getattr(Keypoint, name.upper()) == index


def test_position_is_the_median_of_what_is_known():
    points = np.full((3, 18, 3), np.nan, np.float32)
    points[0, [2, 5, 9]] = [(0, 0, 1), (1, 5, 2), (9, 1, 3)]
    points[1, [2, 5]] = [(0, 0, 1), (1, 5, 2)]
    points[1, 7] = (np.nan, 5, 5)
    people = random_people(3)
    people = PeopleArrays(people.pixels, points, people.confidence, people.score, people.ids)
    np.testing.assert_array_equal(people.positions, np.array([(1, 1, 2), (0.5, 2.5, 1.5), [np.nan] * 3], np.float32))
    full = random_people(1)
    full = PeopleArrays(full.pixels, np.nan_to_num(full.points), full.confidence, full.score, full.ids)
    np.testing.assert_allclose(full.positions[0], np.median(full.points[0], axis=0))


def test_markers():
    people = random_people(2)
    people.points[1] = np.nan
    msg = deserialize(serialize(people_to_marker_array(people, HEADER)), MarkerArray)
    kinds = [(m.ns, m.type, m.action) for m in msg.markers]
    assert kinds == [("", 7, 3), ("joints", 7, 0), ("limbs", 5, 0)]
    known = ~np.isnan(people.points[0]).any(axis=-1)
    assert len(msg.markers[1].points) == known.sum()
    limbs = [limb for limb in COCO18_LIMBS if known[list(limb)].all()]
    assert len(msg.markers[2].points) == 2 * len(limbs) == len(msg.markers[2].colors)
    first = msg.markers[2].points[0]
    np.testing.assert_allclose([first.x, first.y, first.z], people.points[0, limbs[0][0]])


def test_bodies_are_ellipsoids_along_what_they_stand_for():
    rng = np.random.default_rng(0)
    start, end, radius = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4, 3)), rng.uniform(0.1, 0.2, (2, 4))
    end[0, 0], end[1, 1], start[1, 2] = np.nan, start[1, 1], end[1, 2] + (0, 0, 1)
    markers = bodies_to_markers(start, end, radius, HEADER)
    assert [m.id for m in deserialize(serialize(MarkerArray(markers=markers)), MarkerArray).markers] == list(range(7))
    for marker, (n, c) in zip(markers, [(0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3)], strict=True):
        p, q, s = marker.pose.position, marker.pose.orientation, marker.scale
        along = Pose.from_quaternion((q.x, q.y, q.z, q.w)).apply(np.array([0, 0, s.z / 2]))
        assert np.hypot(np.hypot(q.x, q.y), np.hypot(q.z, q.w)) == pytest.approx(1)
        np.testing.assert_allclose((p.x, p.y, p.z), (start[n, c] + end[n, c]) / 2)
        assert (s.x, s.y) == pytest.approx((2 * radius[n, c],) * 2)
        length = np.linalg.norm(end[n, c] - start[n, c])
        assert s.z == pytest.approx(length + 2 * radius[n, c])
        assert abs(along @ (end[n, c] - start[n, c])) == pytest.approx(length * s.z / 2)


def test_headings_are_arrows_of_whom_they_are_known():
    origin, heading = (
        np.array([(1.0, 2, 3), (0, 0, 1), (np.nan,) * 3]),
        np.array([(0, 0, -1.0), (np.nan,) * 3, (1, 0, 0)]),
    )
    (arrow,) = headings_to_markers(origin, heading, HEADER)
    ends = [(p.x, p.y, p.z) for p in arrow.points]
    assert (arrow.ns, arrow.id, arrow.type) == ("heading", 0, 0)
    np.testing.assert_allclose(ends, [(1, 2, 3), (1, 2, 2.4)])


def test_wrong_shape():
    good = random_people(2)
    with pytest.raises(ValueError, match=r"people: confidence has shape \(18,\); expected \(2, 18\)"):
        PeopleArrays(good.pixels, good.points, good.confidence[0], good.score, good.ids)


def test_a_trunk_is_in_the_middle_of_what_is_known_of_both_sides():
    points = np.full((3, 18, 3), np.nan, np.float32)
    points[0, [1, 8, 11]] = [(0, 0, 1), (-1, 0, 1), (1, 0, 3)]
    points[0, 4] = (9, 9, 9)
    points[1, [2, 4]] = [(1, 2, 3), (3, 2, 1)]
    people = random_people(3)
    people = PeopleArrays(people.pixels, points, people.confidence, people.score, people.ids)
    np.testing.assert_array_equal(people.has_trunk, [True, False, False])
    np.testing.assert_array_equal(people.trunks, np.array([(0, 0, 1.5), (2, 2, 2), [np.nan] * 3], np.float32))
