"""Metrics of keypoints: average precision as pycocotools has it, and by hand; right joints; joints in space."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scene_understanding.datasets.people import PeopleSample
from scene_understanding.evaluation.keypoint_metrics import (
    OKS_STEPS,
    average_precision,
    joint_errors,
    joints_right,
    match,
    matching,
    of_partners,
    partners,
    pck,
    similarity,
    torso,
    uncounted,
)
from scene_understanding.labels.keypoints import COCO18_NAMES, COCO18_SIGMAS
from scene_understanding.perception.skeletons import NOBODY, Skeletons

NOSE, NECK = COCO18_NAMES.index("nose"), COCO18_NAMES.index("neck")
BODY = np.array(
    [(0, -80), (0, -60), (-20, -60), (-30, -30), (-30, 0), (20, -60), (30, -30), (30, 0), (-12, 0), (-12, 40),
     (-12, 80), (12, 0), (12, 40), (12, 80), (-4, -84), (4, -84), (-9, -82), (9, -82)], np.float32
)  # fmt: skip
"""(18, 2) pixels around the middle of the hips of somebody 164 px tall who looks at us."""


def people_at(*places: tuple[float, float], area: float = 5000.0) -> PeopleSample:
    pixels = BODY + np.array(places, np.float32).reshape(-1, 1, 2)
    areas = np.full(len(places), area, np.float32)
    return PeopleSample("people", np.zeros((4, 4, 3), np.uint8), pixels, np.ones(pixels.shape[:2], bool), areas)


def found_at(*pixels: np.ndarray, score: tuple[float, ...] = ()) -> Skeletons:
    stacked = np.array(pixels, np.float32).reshape(-1, 18, 2)
    known = np.isfinite(stacked).all(-1).astype(np.float32)
    return Skeletons(stacked, known, np.array(score or np.linspace(1, 0.5, len(stacked)), np.float32))


def random_scenes(seed: int, images: int = 12) -> list[tuple[PeopleSample, Skeletons]]:
    """People of all sizes, partly or not at all seen; found well, badly, twice or not, and where nobody is."""
    rng = np.random.default_rng(seed)
    scenes = []
    for k in range(images):
        count = int(rng.integers(0, 7))
        scale, places = rng.uniform(15, 150, (count, 1, 1)), rng.uniform(0, 640, (count, 1, 2))
        pixels = places + rng.normal(0, 0.4, (count, 18, 2)) * scale
        seen = rng.random((count, 18)) < rng.choice([0.0, 0.1, 0.6, 0.95], (count, 1))
        area = scale[:, 0, 0] ** 2 * rng.uniform(0.3, 2, count)
        who = np.sort(np.concatenate([np.flatnonzero(rng.random(count) < share) for share in (0.8, 0.3)]))
        off = scale[who] * rng.choice([0.01, 0.05, 0.1, 0.2, 0.3], (len(who), 1, 1))
        false = rng.uniform(0, 640, (int(rng.integers(0, 4)), 1, 2)) + rng.normal(0, 40, (1, 18, 2))
        found = np.concatenate([pixels[who] + rng.normal(0, 1, (len(who), 18, 2)) * off, false])
        score = np.round(rng.random(len(found)), int(rng.choice([1, 6])))
        sample = PeopleSample(
            str(k), np.zeros((4, 4, 3), np.uint8), pixels.astype(np.float32), seen, area.astype(np.float32)
        )
        scenes.append((sample, found_at(*found, score=tuple(score))))
    return scenes


BY_PYCOCOTOOLS = {
    (0, 3): [0.25928218, 0.25928218, 0.25928218, 0.25928218, 0.22029703,
             0.2189866, 0.2189866, 0.1980198, 0.15181518, 0.15181518],
    (1, 20): [0.40096528, 0.30725576, 0.29179632, 0.29179632, 0.2430613,
              0.16356175, 0.16356175, 0.08051068, 0.02187399, 0.02187399],
    (2, 100): [0.11826451, 0.1015136, 0.1015136, 0.08354672, 0.06906048,
               0.06058463, 0.06058463, 0.06058463, 0.05563413, 0.04620462],
}  # fmt: skip
"""AP at each of `OKS_STEPS` by seed of the scenes and by how many people count in an image: COCOeval of pycocotools
2.0.11 with COCO-18's sigmas, `num_keypoints` 0 of who does not count, and one range of areas."""


@pytest.mark.parametrize(("seed", "most"), BY_PYCOCOTOOLS)
def test_average_precision_is_that_of_pycocotools(seed: int, most: int) -> None:
    images = [matching(sample, found, most, fewest=1) for sample, found in random_scenes(seed)]
    np.testing.assert_allclose(average_precision(images), BY_PYCOCOTOOLS[seed, most], atol=1e-8)


def test_similarity_by_hand() -> None:
    """Twice sigma times the root of the area away a joint counts exp(-1/2); one not found counts nothing."""
    sample = people_at((100, 100))
    sample.seen[0, 2:] = False
    pixels = sample.pixels[0].copy()
    pixels[NOSE, 0] += 2 * COCO18_SIGMAS[NOSE] * np.sqrt(5000)
    assert similarity(sample, pixels[None])[0, 0] == pytest.approx((np.exp(-0.5) + 1) / 2, rel=1e-5)
    pixels[NECK] = np.nan
    assert similarity(sample, pixels[None])[0, 0] == pytest.approx(np.exp(-0.5) / 2, rel=1e-5)
    assert similarity(sample, NOBODY.pixels).shape == (0, 1)


def test_the_area_of_who_has_none_is_that_of_the_keypoints() -> None:
    sample = people_at((100, 100), area=float("nan"))
    box = np.ptp(sample.pixels[0], 0)
    assert not uncounted(sample).any()
    off = sample.pixels + np.float32(6)
    assert similarity(sample, off) == pytest.approx(similarity(replace(sample, area=0.7 * box.prod()[None]), off))


def test_precision_by_hand() -> None:
    """Of two people one is found first, then somebody who is not there, then the other one: precision 1, then 2/3."""
    sample = people_at((100, 100), (300, 100))
    found = found_at(sample.pixels[0], sample.pixels[0] + 1000, sample.pixels[1], score=(0.9, 0.8, 0.7))
    by_hand = (51 * 1 + 50 * 2 / 3) / 101  # recalls from 0 to 0.5, and beyond
    np.testing.assert_allclose(average_precision([matching(sample, found)]), by_hand)
    np.testing.assert_allclose(average_precision([matching(sample, found, most=2)]), 51 / 101)
    assert average_precision([matching(sample, NOBODY)]).tolist() == [0.0] * len(OKS_STEPS)


def test_nobody_to_find_has_no_precision() -> None:
    nobody, small = people_at(), people_at((50, 50), area=1000.0)
    for sample in (nobody, small):
        assert np.isnan(average_precision([matching(sample, found_at(BODY + 50))])).all()
    assert np.isnan(average_precision([])).all()
    beside = [matching(people_at((100, 100)), found_at(BODY + 100)), matching(nobody, found_at(BODY, score=(0.5,)))]
    np.testing.assert_allclose(average_precision(beside), 1.0)  # found before the false one


def test_who_does_not_count_is_no_mistake() -> None:
    """Small people, and in a region around hidden ones, as large as three times their box."""
    sample = people_at((100, 100), (400, 100), (700, 100))
    sample.area[1], sample.seen[2] = 1000.0, False
    hidden = sample.pixels[2] + np.array([55, 150], np.float32)  # box 60 x 164: all of it is in the region
    first = matching(sample, found_at(*sample.pixels[:2], hidden, score=(0.1, 0.9, 0.8)))
    assert first.people == 1 and first.hit.tolist() == [[False, False, True]] * 10
    assert first.ignored.tolist() == [[True, True, False]] * 10
    np.testing.assert_allclose(average_precision([first]), 1.0)
    beyond = matching(sample, found_at(sample.pixels[2] + np.array([130, 0], np.float32)))
    assert not beyond.ignored.any() and not beyond.hit.any()
    twice = matching(sample, found_at(sample.pixels[1], sample.pixels[1]))
    assert twice.ignored.tolist() == [[True, False]] * 10  # once only


def test_the_surest_one_takes_whom_it_is_most_like() -> None:
    alike = np.array([[0.6, 0.7, 0.9], [0.8, 0.95, 0.0]])
    free = np.zeros(3, bool)
    steps = np.array([0.5, 0.75, 0.92])
    assert match(alike, np.array([0.9, 0.8]), free, steps).tolist() == [[2, 1], [2, 1], [-1, 1]]
    assert match(alike, np.array([0.8, 0.9]), np.array([False, True, True]), steps).tolist() == [
        [2, 0],
        [2, 0],
        [-1, 1],
    ]
    assert match(np.zeros((2, 0)), np.ones(2), np.zeros(0, bool), steps).tolist() == [[-1, -1]] * 3


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000))
def test_the_order_of_people_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenes, turned = [], []
    for sample, found in random_scenes(seed, 3):
        sample.seen[:, 0] = True  # in regions around hidden ones there are equals
        found = replace(found, score=rng.random(len(found), np.float32))
        scenes.append((sample, found))
        order, back = rng.permutation(len(sample.pixels)), rng.permutation(len(found))
        changed = replace(sample, pixels=sample.pixels[order], seen=sample.seen[order], area=sample.area[order])
        turned.append((changed, found[back]))
    one, other = (average_precision([matching(s, f) for s, f in images]) for images in (scenes, turned))
    np.testing.assert_allclose(one, other)


def test_partners() -> None:
    sample = people_at((100, 100), (300, 100), (500, 100))
    sample.area[2] = 1000.0
    found = found_at(
        sample.pixels[2], sample.pixels[1] + 4, BODY + 900, sample.pixels[0] + 30, score=(0.9, 0.8, 0.7, 0.6)
    )
    pairs = partners(sample, found)
    assert pairs.tolist() == [-1, 1, 0]
    taken = of_partners(found.pixels, pairs)
    assert np.isnan(taken[0]).all() and (taken[1] == found.pixels[1]).all() and (taken[2] == found.pixels[0]).all()
    assert partners(sample, NOBODY).tolist() == [-1] * 3 and np.isnan(of_partners(NOBODY.pixels, pairs * 0 - 1)).all()


def test_joints_are_right_within_a_fifth_of_the_torso() -> None:
    truth = people_at((100, 100)).pixels
    size = np.hypot(20 + 12, 60)
    assert torso(truth) == pytest.approx(size)
    found = truth.copy()
    found[0, 4] += (0.19 * size, 0)
    found[0, 7] += (0, 0.21 * size)
    found[0, 10] = np.nan
    counted = np.ones((1, 18), bool)
    counted[0, 16:] = False
    right, judged = joints_right(truth, found, counted)
    assert (judged == counted).all()
    assert np.flatnonzero((judged & ~right)[0]).tolist() == [7, 10]


def test_a_torso_that_is_labelled_on_one_side_only() -> None:
    truth = people_at((100, 100), (300, 100), (500, 100)).pixels
    truth[0, COCO18_NAMES.index("right_hip")] = np.nan
    truth[1, [COCO18_NAMES.index(name) for name in ("right_hip", "left_hip")]] = np.nan
    right, judged = joints_right(truth, truth, np.ones((3, 18), bool))
    assert (right == judged).all() and judged.sum(1).tolist() == [17, 0, 18]


def test_shares_of_right_joints() -> None:
    """Means over joints, of which those without truth are left out, not over everything that is judged."""
    judged, right = np.zeros(18, int), np.zeros(18, int)
    for name, n, k in (("neck", 10, 10), ("left_wrist", 10, 5), ("right_wrist", 2, 0), ("left_knee", 4, 1)):
        judged[COCO18_NAMES.index(name)], right[COCO18_NAMES.index(name)] = n, k
    mean, by_joint = pck(right, judged)
    assert mean == pytest.approx((1 + 0.5 + 0 + 0.25) / 4)
    assert by_joint == {"neck": 1.0, "wrist": 0.25, "knee": 0.25}
    nothing, by_nothing = pck(right * 0, judged * 0)
    assert np.isnan(nothing) and by_nothing == {}


def test_joints_in_space() -> None:
    truth = np.full((2, 18, 3), np.nan, np.float32)
    truth[0], truth[1, 0], truth[1, 1] = (0, 0, 2), (0, 3, 3), (0, 0, 3.9)
    found = truth + np.array((0, 0.3, 0.4), np.float32)
    found[0, 5:] = np.nan
    errors = joint_errors(truth, found, reach=4.0)
    expected = np.full((2, 18), np.nan)
    expected[0, :5], expected[1, 1] = 0.5, 0.5  # the other one is 4.24 m away
    np.testing.assert_allclose(errors, expected, rtol=1e-5)
