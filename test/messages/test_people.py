import numpy as np
import pytest

from scene_understanding.labels import COCO18_LIMBS, COCO18_NAMES
from scene_understanding.messages.header import make_header
from scene_understanding.messages.people import (
    PeopleArrays,
    arrays_to_people,
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


def test_wrong_shape():
    good = random_people(2)
    with pytest.raises(ValueError, match=r"people: confidence has shape \(18,\); expected \(2, 18\)"):
        PeopleArrays(good.pixels, good.points, good.confidence[0], good.score, good.ids)
