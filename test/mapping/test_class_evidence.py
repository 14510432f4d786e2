"""The fusion of classes against the full Bayesian one, which keeps an evidence for every class."""

import numpy as np
from hypothesis import given, settings, strategies as st

from scene_understanding.mapping.class_evidence import Evidence, confidence, fused, log_likelihood_ratio

K, LIMIT = 5, 1e6
votes = st.lists(st.tuples(st.integers(1, K), st.floats(0.01, 3.0)), min_size=1, max_size=30)


def nothing(count: int = 1) -> Evidence:
    zero = np.zeros(count, np.uint8)
    return Evidence(zero, zero, np.zeros(count, np.float32), np.zeros(count, np.float32))


def after(said: list[tuple[int, float]], limit: float = LIMIT) -> Evidence:
    evidence = nothing()
    for number, weight in said:
        evidence = fused(evidence, np.array([number], np.uint8), np.array([weight], np.float32), limit)
    return evidence


def full(said: list[tuple[int, float]]) -> np.ndarray:
    """(K + 1,) log evidences, the first of no class."""
    return np.bincount([number for number, _ in said], [weight for _, weight in said], K + 1)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([2, 4]), st.floats(0.01, 3.0)), min_size=1, max_size=30))
def test_two_classes_are_the_full_bayesian_fusion(said) -> None:
    evidence, exact = after(said), full(said)[1:]
    posterior = np.exp(exact - exact.max()) / np.exp(exact - exact.max()).sum()
    np.testing.assert_allclose(confidence(evidence, K), posterior.max(), rtol=1e-3)
    if np.ptp(full(said)[[2, 4]]) > 1e-3:
        assert evidence.first[0] == posterior.argmax() + 1


@settings(max_examples=100, deadline=None)
@given(votes)
def test_a_class_with_more_than_half_of_all_evidence_wins(said) -> None:
    exact = full(said)
    if exact.max() > 0.51 * exact.sum():
        assert after(said).first[0] == exact.argmax()


@settings(max_examples=100, deadline=None)
@given(votes)
def test_a_class_with_more_than_a_third_is_never_lost(said) -> None:
    evidence, exact = after(said), full(said)
    kept = {int(evidence.first[0]), int(evidence.second[0])}
    assert {int(k) for k in np.flatnonzero(exact > 0.34 * exact.sum())} <= kept


@settings(max_examples=50, deadline=None)
@given(votes, st.floats(0.5, 10.0))
def test_evidence_stays_in_order_and_within_its_limit(said, limit: float) -> None:
    _, _, a, b = after(said, limit)
    assert 0 <= b[0] <= a[0] <= limit * (1 + 1e-6)


def test_what_changed_is_believed_soon() -> None:
    chair, table = 1, 2
    evidence = after([(chair, 1.0)] * 1000 + [(table, 1.0)] * 9, limit=8.0)
    assert evidence.first[0] == table


def test_a_ratio_is_that_of_the_likelihoods() -> None:
    np.testing.assert_allclose(log_likelihood_ratio(np.array([0.2, 0.1, 0.5]), K), [0, 0, np.log(4)], atol=1e-6)
    assert (log_likelihood_ratio(np.array([0.0, 1.0]), 1) >= 0).all()


def test_nothing_said_is_no_confidence() -> None:
    assert confidence(nothing(3), K).tolist() == [0, 0, 0]
