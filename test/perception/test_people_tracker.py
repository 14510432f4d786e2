from collections.abc import Iterator

import numpy as np
import pytest

from scene_understanding.perception.people_tracker import PeopleTracker, TrackerParameters
from scene_understanding.perception.skeletons import NOBODY, Skeletons

STANDING = np.array(
    [[0, -150], [0, -110], [-30, -105], [-40, -55], [-40, -10], [30, -105], [40, -55], [40, -10], [-18, -10], [-18, 70],
     [-18, 140], [18, -10], [18, 70], [18, 140], [-5, -155], [5, -155], [-12, -152], [12, -152]]
)  # fmt: skip
"""(18, 2) pixels of a person of 300 pixels around (0, 0)."""
HZ = 10


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


def people(*places: tuple[float, float], noise: float = 0.0, seed: int = 0) -> Skeletons:
    pixels = np.array(places).reshape(-1, 1, 2) + STANDING
    pixels = pixels + np.random.default_rng(seed).normal(0, noise, pixels.shape)
    count = len(pixels)
    return Skeletons(pixels.astype(np.float32), np.ones((count, 18), np.float32), np.ones(count, np.float32))


def in_space(skeletons: Skeletons, depth: list[float]) -> np.ndarray:
    """(N, 18, 3) joints of people that stand flat at `depth` metres from a camera of f = 554."""
    z = np.array(depth)[:, None, None] * np.ones((1, 18, 1))
    return np.concatenate([skeletons.pixels / 554 * z, z], axis=-1).astype(np.float32)


def ids_along(tracker: PeopleTracker, images: Iterator[tuple[float, Skeletons]]) -> list[list[int]]:
    return [tracker.update(skeletons, None, ns(time))[0].tolist() for time, skeletons in images]


def test_ids_begin_at_one_and_follow_people_in_any_order() -> None:
    tracker, rng = PeopleTracker(), np.random.default_rng(0)
    first, _, points = tracker.update(people((100, 240), (320, 240), (540, 240)), None, 0)
    assert first.dtype == np.uint32 and first.tolist() == [1, 2, 3] and points is None
    for i in range(1, 40):
        order = rng.permutation(3)
        places = np.array([(100 + 6 * i, 240), (320 - 3 * i, 240), (540, 240 + i)])
        ids, smooth, _ = tracker.update(people(*places, noise=2.5, seed=i)[order], None, ns(i / HZ))
        assert ids.tolist() == (order + 1).tolist()
        np.testing.assert_allclose(smooth.pixels.mean(1), (places + STANDING.mean(0))[order], atol=5)


def test_people_who_cross_keep_their_ids() -> None:
    """At 185 pixels a second, as a walker 3 m away."""
    images = ((i / HZ, people((40 + 18.5 * i, 240), (600 - 18.5 * i, 250), noise=2.5, seed=i)) for i in range(30))
    assert all(ids == [1, 2] for ids in ids_along(PeopleTracker(), images))


def test_people_who_are_at_the_same_place_in_the_image_are_told_by_depth() -> None:
    """Both stop where they meet, so that their ways do not tell who is who."""
    tracker = PeopleTracker()
    for i in range(20):
        both = people((320 - 4 * max(10 - i, 0), 240), (320 + 4 * max(10 - i, 0), 240), noise=3.0, seed=i)
        order = np.array([0, 1]) if i % 2 else np.array([1, 0])
        ids, _, _ = tracker.update(both[order], in_space(both, [2.0, 4.0])[order], ns(i / HZ))
        assert ids[order].tolist() == [2, 1]  # the first image has the second person first


def test_a_turning_camera_loses_nobody() -> None:
    """1 rad/s moves all by 55 pixels an image."""
    images = ((i / HZ, people(*((x + 55.0 * max(i - 5, 0), 240) for x in (-300, 0, 300)))) for i in range(20))
    assert all(ids == [1, 2, 3] for ids in ids_along(PeopleTracker(), images))


def test_a_newcomer_while_the_camera_turns_is_kept() -> None:
    tracker = PeopleTracker()
    for i in range(15):
        places = [(50.0 * i, 240)] + ([(50.0 * i - 300, 240)] if i >= 8 else [])
        ids, _, _ = tracker.update(people(*places), None, ns(i / HZ))
    assert ids.tolist() == [1, 2]


def test_gaps_are_bridged_up_to_the_age() -> None:
    tracker = PeopleTracker(TrackerParameters(max_age=1.0))
    before = ids_along(tracker, ((i / HZ, people((100 + 10 * i, 240))) for i in range(10)))
    assert before == [[1]] * 10
    assert tracker.update(NOBODY, None, ns(1.2))[0].shape == (0,)
    assert tracker.update(people((280, 240)), None, ns(1.8))[0].tolist() == [1]
    assert tracker.update(people((280, 240)), None, ns(2.9))[0].tolist() == [2]


def test_ids_are_never_used_again() -> None:
    tracker = PeopleTracker()
    given: list[int] = []
    for i in range(5):
        given += tracker.update(people((100, 240), (500, 240)), None, ns(10.0 * i))[0].tolist()
    given += tracker.update(people((100, 240)), None, 0)[0].tolist()
    assert given == list(range(1, 12))


def test_time_that_goes_back_forgets_everybody() -> None:
    tracker = PeopleTracker()
    tracker.update(people((100, 240)), None, ns(100))
    again = people((130, 240))
    ids, smooth, _ = tracker.update(again, None, ns(50))
    assert ids.tolist() == [2]
    np.testing.assert_array_equal(smooth.pixels, again.pixels)
    assert tracker.update(people((130, 240)), None, ns(50.1))[0].tolist() == [2]


def test_an_image_at_the_same_time_changes_nothing() -> None:
    tracker = PeopleTracker()
    _, first, _ = tracker.update(people((100, 240)), None, ns(1))
    ids, second, _ = tracker.update(people((104, 240)), None, ns(1))
    assert ids.tolist() == [1]
    np.testing.assert_array_equal(first.pixels, second.pixels)
    _, third, _ = tracker.update(people((104, 240)), None, ns(1.1))
    assert np.isfinite(third.pixels).all() and (third.pixels[..., 0] > first.pixels[..., 0]).all()


def test_unknown_stays_unknown_and_comes_back() -> None:
    tracker = PeopleTracker()
    for i in range(12):
        seen = people((100, 240), noise=2.0, seed=i)
        points = in_space(seen, [2.0])
        if i in (4, 5, 6):
            seen.pixels[0, :4] = np.nan
        if i > 5:
            points[0, 8:] = np.nan
        ids, smooth, lifted = tracker.update(seen, points, ns(i / HZ))
        assert ids.tolist() == [1] and lifted is not None
        np.testing.assert_array_equal(np.isnan(smooth.pixels), np.isnan(seen.pixels))
        np.testing.assert_array_equal(np.isnan(lifted), np.isnan(points))
        assert smooth.pixels.dtype == lifted.dtype == np.float32


def test_a_few_keypoints_are_enough_and_two_are_not() -> None:
    for count, expected in ((3, [1]), (2, [2])):
        tracker = PeopleTracker()
        tracker.update(people((100, 240)), None, 0)
        part = people((102, 240))
        part.pixels[0, count:] = np.nan
        assert tracker.update(part, None, ns(0.1))[0].tolist() == expected


def errors(speed: float, hz: float) -> tuple[float, float, float, float]:
    """In a walk of `speed` m/s at 3 m: root mean squares in pixels and metres, before and after smoothing."""
    tracker, rng, raw, smoothed = PeopleTracker(), np.random.default_rng(0), [], []
    for i in range(int(6 * hz)):
        truth = people((100 + speed * 554 / 3 * i / hz, 240))
        noisy = Skeletons(
            truth.pixels + rng.normal(0, 2.5, (1, 18, 2)).astype(np.float32), truth.confidence, truth.score
        )
        space = in_space(truth, [3.0])
        measured = space + rng.normal(0, 0.03, space.shape).astype(np.float32)
        ids, smooth, points = tracker.update(noisy, measured, ns(i / hz))
        assert ids.tolist() == [1] and points is not None
        if i > hz:
            raw.append((np.square(noisy.pixels - truth.pixels).mean(), np.square(measured - space).mean()))
            smoothed.append((np.square(smooth.pixels - truth.pixels).mean(), np.square(points - space).mean()))
    return *np.sqrt(np.mean(raw, 0)), *np.sqrt(np.mean(smoothed, 0))


@pytest.mark.parametrize("hz", [10, 20])
def test_smoothing_takes_jitter_from_who_stands(hz: float) -> None:
    pixels, metres, smooth_pixels, smooth_metres = errors(0.0, hz)
    assert smooth_pixels < 0.75 * pixels
    assert smooth_metres < 0.75 * metres


@pytest.mark.parametrize("hz", [10, 20])
def test_smoothing_lags_little_behind_who_walks(hz: float) -> None:
    pixels, metres, smooth_pixels, smooth_metres = errors(1.0, hz)
    assert smooth_pixels < 1.15 * pixels
    assert smooth_metres < 1.15 * metres


def test_nobody_at_all() -> None:
    tracker = PeopleTracker()
    ids, smooth, points = tracker.update(NOBODY, np.empty((0, 18, 3), np.float32), 0)
    assert len(ids) == len(smooth) == 0 and points is not None and points.shape == (0, 18, 3)
