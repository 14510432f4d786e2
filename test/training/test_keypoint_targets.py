"""Heat maps and fields: where the keypoints are, as the paper defines them, whoever comes first."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from scene_understanding.labels.keypoints import PAF_CHANNELS, PAF_LIMBS
from scene_understanding.perception.keypoints import decode_single
from scene_understanding.perception.pose_estimator import STRIDE
from scene_understanding.training.keypoint_targets import SIGMA, WIDTH, fields, heat_maps, map_grid

SIZE = (12, 16)
WRIST, ELBOW = 4, 3
FOREARM = PAF_LIMBS.index((ELBOW, WRIST))


def random_people(people: int, seed: int = 0, missing: float = 0.2) -> NDArray[np.float32]:
    """(1, P, 18, 2) in and a little outside of the image of a map of `SIZE`."""
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(-10, (SIZE[1] * STRIDE + 10, SIZE[0] * STRIDE + 10), (1, people, 18, 2))
    keypoints[rng.random((1, people, 18)) < missing] = np.nan
    return keypoints.astype(np.float32)


def of_one(**points: tuple[float, float]) -> torch.Tensor:
    """(1, 1, 18, 2): the keypoints wrist and elbow alone."""
    keypoints = torch.full((1, 1, 18, 2), torch.nan)
    for name, point in points.items():
        keypoints[0, 0, {"wrist": WRIST, "elbow": ELBOW}[name]] = torch.tensor(point)
    return keypoints


def forearm(found: torch.Tensor) -> NDArray[np.float32]:
    """(2, h, w) of fields (1, 38, h, w)."""
    return found[0, PAF_CHANNELS[FOREARM].tolist()].numpy()


def by_the_paper(people: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Heat maps (19, h, w) and fields (38, h, w) of (P, 18, 2), cell by cell."""
    heat, field = np.zeros((19, *SIZE)), np.zeros((38, *SIZE))
    for row, column in np.ndindex(*SIZE):
        p = np.array([column, row]) * STRIDE + (STRIDE - 1) / 2
        for k in range(18):
            known = [x for x in people[:, k] if np.isfinite(x).all()]
            heat[k, row, column] = max((np.exp(-((p - x) ** 2).sum() / (2 * SIGMA**2)) for x in known), default=0)
        heat[18, row, column] = 1 - heat[:18, row, column].max()
        for limb, (a, b) in enumerate(PAF_LIMBS):
            on = []
            for start, end in zip(people[:, a], people[:, b], strict=True):
                length = np.linalg.norm(end - start)
                v = (end - start) / length
                along, beside = v @ (p - start), abs(v[0] * (p - start)[1] - v[1] * (p - start)[0])
                reach = WIDTH * STRIDE
                if -reach <= along <= length + reach and beside <= reach:
                    on.append(v)
            field[PAF_CHANNELS[limb], row, column] = np.mean(on, axis=0) if on else 0
    return heat, field


@pytest.mark.parametrize("people", [1, 2, 5])
def test_they_are_what_the_paper_defines(people: int) -> None:
    keypoints = random_people(people, seed=people)
    heat, field = by_the_paper(keypoints[0].astype(np.float64))
    np.testing.assert_allclose(heat_maps(torch.from_numpy(keypoints), SIZE)[0], heat, atol=1e-5)
    np.testing.assert_allclose(fields(torch.from_numpy(keypoints), SIZE)[0], field, atol=1e-4)


@pytest.mark.parametrize("point", [(51.5, 43.5), (51.5, 46.1), (49.0, 41.3), (53.9, 45.6)])
def test_the_peak_is_where_the_keypoint_is(point: tuple[float, float]) -> None:
    heat = heat_maps(of_one(wrist=point), SIZE)[0]
    x, y = (axis.numpy() for axis in map_grid(SIZE))
    row, column = np.unravel_index(int(heat[WRIST].argmax()), SIZE)
    assert (x[column], y[row]) == (51.5, 43.5)  # the middle of the cell that holds it
    distance = np.hypot(point[0] - 51.5, point[1] - 43.5)
    assert float(heat[WRIST].max()) == pytest.approx(np.exp(-(distance**2) / (2 * SIGMA**2)))
    np.testing.assert_allclose(decode_single(heat.numpy()).pixels[0, WRIST], point, atol=0.5)


def test_the_background_is_what_no_keypoint_is() -> None:
    heat = heat_maps(torch.from_numpy(random_people(3)), SIZE)[0]
    np.testing.assert_allclose(heat[18], 1 - heat[:18].amax(0))
    assert (heat_maps(torch.full((1, 2, 18, 2), torch.nan), SIZE)[0, 18] == 1).all()


def test_a_field_is_a_unit_vector_from_start_to_end_on_the_limb_alone() -> None:
    x, y = (axis.numpy() for axis in map_grid(SIZE))
    found = forearm(fields(of_one(elbow=(25.0, 20.0), wrist=(85.0, 65.0)), SIZE))
    length = np.linalg.norm(found, axis=0)
    on = length > 0
    np.testing.assert_allclose(length[on], 1, atol=1e-6)
    np.testing.assert_allclose(found[:, on], np.array([[0.8], [0.6]]) * np.ones(on.sum()), atol=1e-6)
    away = np.stack(np.meshgrid(x - 25, y - 20))
    beside, along = np.abs(0.8 * away[1] - 0.6 * away[0]), 0.8 * away[0] + 0.6 * away[1]
    np.testing.assert_array_equal(on, (beside <= STRIDE) & (along >= -STRIDE) & (along <= 75 + STRIDE))


def test_only_limbs_with_both_ends_have_a_field() -> None:
    both = of_one(elbow=(25.0, 20.0), wrist=(85.0, 65.0))
    found = fields(both, SIZE)[0]
    others = np.setdiff1d(np.arange(38), PAF_CHANNELS[FOREARM])
    assert found[PAF_CHANNELS[FOREARM].tolist()].any() and not found[others.tolist()].any()
    assert not fields(of_one(elbow=(25.0, 20.0)), SIZE).any()


def test_where_two_people_cross_the_field_is_their_mean() -> None:
    one, other = of_one(elbow=(11.5, 43.5), wrist=(91.5, 43.5)), of_one(elbow=(51.5, 11.5), wrist=(51.5, 83.5))
    found = forearm(fields(torch.cat([one, other], 1), SIZE))
    np.testing.assert_allclose(found[:, 5, 6], (0.5, 0.5))
    np.testing.assert_allclose(found[:, 5, 2], (1, 0))
    np.testing.assert_allclose(found[:, 2, 6], (0, 1))


def test_a_limb_without_length_has_no_direction() -> None:
    found = fields(of_one(elbow=(51.5, 43.5), wrist=(51.5, 43.5)), SIZE)
    assert not found.any()


def test_who_comes_first_and_who_is_nobody_changes_nothing() -> None:
    keypoints = torch.from_numpy(random_people(4))
    nobody = torch.full((1, 3, 18, 2), torch.nan)
    shuffled = torch.cat([nobody[:, :1], keypoints[:, [2, 0, 3, 1]], nobody], 1)
    for target in (heat_maps, fields):
        torch.testing.assert_close(target(shuffled, SIZE), target(keypoints, SIZE))


def test_images_of_a_batch_do_not_see_each_other() -> None:
    keypoints = torch.from_numpy(np.concatenate([random_people(2, seed=1), random_people(2, seed=2)]))
    for target in (heat_maps, fields):
        together = target(keypoints, SIZE)
        assert torch.isfinite(together).all()
        torch.testing.assert_close(together, torch.cat([target(keypoints[k : k + 1], SIZE) for k in (0, 1)]))
