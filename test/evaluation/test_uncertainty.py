"""Sparsification and calibration on errors whose uncertainty is known."""

import numpy as np
import pytest

from scene_understanding.evaluation.uncertainty import judge_uncertainty


def test_a_deviation_that_is_the_error_is_perfect() -> None:
    error = np.random.default_rng(0).exponential(size=5000)
    found = judge_uncertainty(error, 3 * error)
    assert found.ause == pytest.approx(0, abs=1e-12) and found.correlation == pytest.approx(1)
    assert found.by_deviation[0] == 1 and (np.diff(found.by_deviation) < 0).all()


def test_a_deviation_that_knows_nothing_leaves_the_error_as_it_is() -> None:
    rng = np.random.default_rng(0)
    found = judge_uncertainty(rng.exponential(size=20000), rng.random(20000))
    np.testing.assert_allclose(found.by_deviation, 1, atol=0.1)
    assert found.ause == pytest.approx(found.ause_random, abs=0.03) and abs(found.correlation) < 0.03


def test_the_opposite_is_worse_than_nothing() -> None:
    error = np.random.default_rng(0).exponential(size=5000)
    found = judge_uncertainty(error, -error)
    assert found.ause > 2 * found.ause_random and found.correlation == pytest.approx(-1)


def test_a_true_deviation_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    deviation = rng.uniform(0.1, 1, 50000)
    found = judge_uncertainty(np.abs(rng.normal(0, deviation)), deviation)
    np.testing.assert_allclose(found.error, found.deviation, rtol=0.05)
    assert 0 < found.ause < found.ause_random


def test_no_error_and_no_pixels() -> None:
    assert judge_uncertainty(np.zeros(10), np.arange(10.0)).ause == 0
    with pytest.raises(ValueError, match="no pixels"):
        judge_uncertainty(np.empty(0), np.empty(0))
