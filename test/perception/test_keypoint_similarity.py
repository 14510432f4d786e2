import numpy as np
import pytest
from hypothesis import given, strategies as st

from scene_understanding.labels.keypoints import COCO18_SIGMAS
from scene_understanding.perception.keypoint_similarity import (
    AREA_OF_BOX,
    NARROWEST,
    area_of_keypoints,
    oks,
    similarity_in_common,
)

AREA = np.array([10_000.0, 2500.0])


def people(seed: int = 0, count: int = 2) -> np.ndarray:
    """(count, 18, 2) float32 keypoints, each person 400 pixels to the right of the one before."""
    rng = np.random.default_rng(seed)
    return (rng.uniform(0, 200, (count, 18, 2)) + 400 * np.arange(count)[:, None, None] * (1, 0)).astype(np.float32)


def test_the_same_people_are_alike_and_others_not() -> None:
    for similarity in (oks(people(), people(), AREA), similarity_in_common(people(), people(), AREA)):
        np.testing.assert_allclose(similarity, np.eye(2), atol=1e-6)


def test_a_keypoint_as_far_away_as_annotators_are_counts_as_coco_says() -> None:
    """At a distance of k s, with k twice the sigma, each counts exp(-1/2)."""
    labelled = people()
    found = labelled + (2 * COCO18_SIGMAS * np.sqrt(AREA)[:, None])[..., None] * (0.6, 0.8)
    np.testing.assert_allclose(np.diag(oks(found, labelled, AREA)), np.exp(-0.5), rtol=1e-4)


def test_what_is_not_labelled_does_not_count_and_what_is_not_found_counts_zero() -> None:
    found, labelled = people(), people()
    labelled[0, 9:] = np.nan
    found[0, 12:] = np.nan
    assert oks(found, labelled, AREA)[0, 0] == pytest.approx(1)
    found[0, :3] = np.nan
    assert oks(found, labelled, AREA)[0, 0] == pytest.approx(6 / 9)
    assert similarity_in_common(found, labelled, AREA)[0, 0] == pytest.approx(1)
    labelled[1] = np.nan
    assert np.isnan(oks(found, labelled, AREA)[:, 1]).all()
    np.testing.assert_array_equal(similarity_in_common(found, labelled, AREA)[:, 1], 0)


def test_too_few_in_common_are_not_alike() -> None:
    found, known = people(), people()
    found[0, 2:] = np.nan
    assert similarity_in_common(found, known, AREA)[0, 0] == 0
    assert similarity_in_common(found, known, AREA, least=2)[0, 0] == pytest.approx(1)


def test_slack_forgives_a_shift_of_all() -> None:
    moved = people() + np.float32([20, 0])
    strict, loose = (np.diag(similarity_in_common(moved, people(), AREA, slack=s)) for s in (0.0, np.array([0.5, 1.0])))
    assert (loose > 0.7).all() and (loose > strict + 0.2).all()


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2**31), st.floats(0, 1))
def test_any_number_of_people_with_any_keypoints(n: int, m: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = people(seed, n), people(seed + 1, m)
    for pixels in (a, b):
        pixels[rng.random(pixels.shape[:2]) < share] = np.nan
    area = area_of_keypoints(b)
    assert area.shape == (m,) and (area >= 1).all()
    similarity, common = oks(a, b, area), similarity_in_common(a, b, area)
    assert similarity.shape == common.shape == (n, m)
    assert (np.isnan(similarity) | (similarity >= 0) & (similarity <= 1 + 1e-9)).all()
    assert ((common >= 0) & (common <= 1 + 1e-9)).all()


def test_the_area_is_that_of_the_box_of_what_is_known() -> None:
    pixels = np.full((3, 18, 2), np.nan, np.float32)
    pixels[0, :4] = (10, 10), (60, 110), (30, 50), (20, 20)
    pixels[1, :2] = (10, 10), (10, 110)  # from the side: a line
    np.testing.assert_allclose(area_of_keypoints(pixels), [AREA_OF_BOX * 5000, AREA_OF_BOX * NARROWEST * 100**2, 1])
