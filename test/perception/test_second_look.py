"""The second look: whom it looks at, what it shows the network, and when what it finds counts."""

import numpy as np

from scene_understanding.perception.second_look import look_again
from scene_understanding.perception.skeletons import NOBODY, Skeletons

RNG = np.random.default_rng(0)
BODY = RNG.uniform(0, 1, (18, 2)).astype(np.float32) * np.float32([20, 50])
"""Keypoints in a box of 20 x 50 pixels."""
COLOR = np.zeros((240, 320, 3), np.uint8)
COLOR[..., 0] = np.arange(240)[:, None]
COLOR[..., 1] = np.arange(320) // 2
"""Every pixel says where it is: red its row, green half of its column."""


def people(*places, score=0.5, scale=1.0) -> Skeletons:
    pixels = np.array([BODY * np.float32(scale) + np.float32(place) for place in places], np.float32).reshape(-1, 18, 2)
    return Skeletons(pixels, np.full(pixels.shape[:2], score, np.float32), np.full(len(pixels), score, np.float32))


class Estimator:
    """Finds in every cut the bodies at `places` of the image, a pixel lower, with `score`; remembers the cuts."""

    def __init__(self, *places, score: float = 0.9) -> None:
        self.places, self.score, self.cuts = places, score, []

    def __call__(self, color: np.ndarray) -> Skeletons:
        self.cuts.append(color)
        corner = np.array([2 * int(color[0, 0, 1]), int(color[0, 0, 0])])
        corner[0] += color[0, 1, 1] > color[0, 0, 1]  # an odd column
        return people(*(place - corner + np.array([0, 1]) for place in self.places), score=self.score)


def test_what_the_second_look_finds_is_put_back_where_it_was_cut_out() -> None:
    place = np.array([200, 100])
    estimator = Estimator(place)
    found = look_again(COLOR, people(place), estimator, most=4)
    np.testing.assert_allclose(found.pixels[0], BODY + place + [0, 1], atol=1e-4)
    assert found.score.tolist() == [np.float32(0.9)] and len(estimator.cuts) == 1
    height, width = estimator.cuts[0].shape[:2]
    assert 50 < height < 100 and 20 < width < 70, "the person and a margin, not the whole image"


def test_of_several_in_the_cut_the_one_it_is_for_counts() -> None:
    place = np.array([200, 100])
    found = look_again(COLOR, people(place), Estimator(place - 25, place, place + 25), most=4)
    np.testing.assert_allclose(found.pixels[0], BODY + place + [0, 1], atol=1e-4)


def test_who_is_large_is_not_looked_at() -> None:
    estimator = Estimator()
    first = people(np.array([10, 10]), scale=4.0)
    assert look_again(COLOR, first, estimator, most=4).pixels.tolist() == first.pixels.tolist()
    assert estimator.cuts == []


def test_only_so_many_are_looked_at_the_surest_first() -> None:
    places = [np.array([20 + 60 * k, 100]) for k in range(4)]
    first = people(*places)
    first.score[:] = (0.8, 0.7, 0.6, 0.5)
    estimator = Estimator(*places)
    found = look_again(COLOR, first, estimator, most=2)
    assert len(estimator.cuts) == 2
    assert found.score.tolist() == np.float32([0.9, 0.9, 0.6, 0.5]).tolist()


def test_the_first_look_stays_where_the_second_is_no_surer_or_shows_somebody_else() -> None:
    place = np.array([100, 100])
    for estimator in (Estimator(place, score=0.4), Estimator(place + 40), Estimator()):
        first = people(place)
        found = look_again(COLOR, first, estimator, most=4)
        np.testing.assert_array_equal(found.pixels, first.pixels)
        assert len(estimator.cuts) == 1


def test_people_are_sorted_anew_and_the_input_stays_as_it_was() -> None:
    large, small = people(np.array([5, 5]), scale=4.0), people(np.array([250, 150]))
    first = Skeletons(
        *(np.concatenate([getattr(s, of) for s in (large, small)]) for of in ("pixels", "confidence", "score"))
    )
    first.score[:] = (0.6, 0.5)
    before = first.pixels.copy()
    found = look_again(COLOR, first, Estimator(np.array([250, 150])), most=1)
    np.testing.assert_allclose(found.pixels[0], BODY + [250, 151], atol=1e-4)
    np.testing.assert_array_equal(found.pixels[1], before[0])
    np.testing.assert_array_equal(first.pixels, before)


def test_people_of_few_keypoints_and_nobody() -> None:
    first = people(np.array([100, 100]))
    first.pixels[0, 5:] = np.nan
    estimator = Estimator(np.array([100, 100]))
    assert len(look_again(COLOR, first, estimator, most=4)) == 1
    assert len(look_again(COLOR, NOBODY, estimator, most=4)) == 0


def test_two_parts_of_somebody_become_one_person() -> None:
    place = np.array([100, 100])
    parts = people(place, place)
    parts.pixels[0, 9:], parts.pixels[1, :9] = np.nan, np.nan
    parts.score[:] = (0.4, 0.3)
    found = look_again(COLOR, parts, Estimator(place), most=4)
    assert len(found) == 1
    np.testing.assert_allclose(found.pixels[0], BODY + place + [0, 1], atol=1e-4)
