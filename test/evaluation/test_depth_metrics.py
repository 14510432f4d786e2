import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from scene_understanding.evaluation.depth_metrics import ERRORS, depth_errors, eigen_crop, mean_errors

DEPTHS = arrays.arrays(np.float32, (4, 5), elements=st.floats(0.5, 9.5, width=32))


def test_errors_of_known_figures() -> None:
    truth = np.array([[1.0, 2.0, 4.0, np.nan]], np.float32)
    predicted = np.array([[1.1, 1.0, 8.0, 5.0]], np.float32)
    errors = depth_errors(predicted, truth)
    logs = np.log([1.1, 0.5, 2.0])
    assert errors == pytest.approx(
        {
            "rel": (0.1 + 0.5 + 1.0) / 3,
            "sq_rel": (0.01 / 1 + 1 / 2 + 16 / 4) / 3,
            "log10": np.abs(logs / np.log(10)).mean(),
            "rms": np.sqrt((0.01 + 1 + 16) / 3),
            "rmslog": np.sqrt((logs**2).mean()),
            "d1": 1 / 3,
            "d2": 1 / 3,
            "d3": 1 / 3,
        },
        rel=1e-6,
    )


@pytest.mark.parametrize("unknown", [np.nan, 0.0, -1.0, np.inf, 10.5])
def test_pixels_without_truth_do_not_count(unknown: float) -> None:
    truth = np.full((4, 5), 2.0, np.float32)
    predicted = np.full((4, 5), 2.2, np.float32)
    expected = depth_errors(predicted, truth)
    truth[1, 1:3], predicted[1, 1:3] = unknown, (9.0, np.nan)
    assert depth_errors(predicted, truth) == pytest.approx(expected)


@pytest.mark.parametrize(("predicted", "clipped"), [(-1.0, 0.5), (0.0, 0.5), (100.0, 8.0)])
def test_predictions_are_cut_to_the_range(predicted: float, clipped: float) -> None:
    truth = np.full((2, 2), 4.0, np.float32)
    found, expected = (
        depth_errors(np.full((2, 2), value, np.float32), truth, smallest=0.5, largest=8.0)
        for value in (predicted, clipped)
    )
    assert found == expected


@settings(deadline=None)
@given(DEPTHS)
def test_what_is_right_has_no_error(truth: np.ndarray) -> None:
    errors = depth_errors(truth, truth)
    assert errors == {name: float(name in ("d1", "d2", "d3")) for name in ERRORS}


@settings(deadline=None)
@given(DEPTHS, DEPTHS, st.floats(0.2, 5.0))
def test_relative_errors_do_not_know_the_unit(a: np.ndarray, b: np.ndarray, unit: float) -> None:
    first, second = (depth_errors(a * k, b * k, 1e-3, 100.0) for k in (np.float32(1), np.float32(unit)))
    for name in ("rel", "log10", "rmslog"):
        assert first[name] == pytest.approx(second[name], rel=1e-4, abs=1e-6)
    assert second["rms"] == pytest.approx(first["rms"] * unit, rel=1e-4, abs=1e-5)
    assert first["d1"] <= first["d2"] <= first["d3"]


def test_the_eigen_crop_of_nyuv2_and_of_its_half() -> None:
    assert eigen_crop((480, 640)) == (slice(20, 459), slice(24, 615))
    assert eigen_crop((240, 320)) == (slice(10, 230), slice(12, 308))


def test_means_are_over_images_not_pixels() -> None:
    truth = np.full((2, 10), 1.0, np.float32)
    sparse = truth.copy()
    sparse[0] = np.nan
    sparse[1, 1:] = np.nan
    images = [depth_errors(truth * 2, truth), depth_errors(truth, sparse)]
    assert mean_errors(images)["rel"] == pytest.approx(0.5)


def test_images_without_truth_are_left_out_and_predictions_that_are_no_number_are_not() -> None:
    truth = np.full((2, 2), 1.0, np.float32)
    good, blind = depth_errors(truth * 2, truth), depth_errors(truth, truth * np.nan)
    assert all(np.isnan(list(blind.values())))
    assert mean_errors([good, blind]) == good
    broken = mean_errors([good, depth_errors(truth * np.nan, truth)])
    assert np.isnan(broken["rel"]) and broken["d1"] == 0
    for nothing in ([], [blind]):
        means = mean_errors(nothing)
        assert tuple(means) == ERRORS and all(np.isnan(list(means.values())))
