"""Maps that are painted from skeletons give the skeletons back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

torch = pytest.importorskip("torch")

from scene_understanding.labels.keypoints import COCO18_LIMBS, COCO18_MIRRORED, COCO18_NAMES, PAF_CHANNELS, PAF_LIMBS  # noqa: E402
from scene_understanding.perception.keypoints import DEFAULTS, decode, decode_single  # noqa: E402
from scene_understanding.perception.skeletons import Skeletons  # noqa: E402
from scene_understanding.training import keypoint_targets  # noqa: E402

STRIDE = 8
SIZE = (64, 96)
"""(h, w) of the maps."""
BODY = np.array(
    [
        (0.0, -0.14), (0.0, 0.0), (-0.12, 0.02), (-0.2, 0.18), (-0.22, 0.34), (0.12, 0.02), (0.2, 0.18), (0.22, 0.34),
        (-0.07, 0.32), (-0.09, 0.57), (-0.1, 0.82), (0.07, 0.32), (0.09, 0.57), (0.1, 0.82),
        (-0.03, -0.17), (0.03, -0.17), (-0.07, -0.16), (0.07, -0.16),
    ]
)  # fmt: skip
"""(18, 2) somebody 1 high, seen from the front, the neck at the origin."""
APART = 2.5 * STRIDE


def somebody(rng: np.random.Generator, height: float) -> np.ndarray:
    """(18, 2) float32 pixels: a body in a pose of its own, leaning or mirrored, the neck at the origin."""
    body = BODY + rng.normal(0, 0.015, BODY.shape)
    if rng.random() < 0.5:
        body = (body * [-1, 1])[list(COCO18_MIRRORED)]
    lean = rng.uniform(-0.6, 0.6)
    turn = np.array([[np.cos(lean), np.sin(lean)], [-np.sin(lean), np.cos(lean)]])
    return (height * body @ turn).astype(np.float32)


def crowd(rng: np.random.Generator, most: int) -> np.ndarray:
    """(P, 18, 2) up to so many people in the image, nobody's joint within `APART` of anybody else's."""
    limit = np.array(SIZE[::-1]) * STRIDE - 1
    people: list[np.ndarray] = []
    for _ in range(20 * most):
        person = somebody(rng, rng.uniform(120, 260)) + rng.uniform((0, 0), limit)
        inside = ((person >= 0) & (person <= limit)).all()
        free = all(np.linalg.norm(person[:, None] - other, axis=-1).min() > APART for other in people)
        if inside and free and len(people) < most:
            people.append(person.astype(np.float32))
    return np.array(people, np.float32).reshape(-1, len(COCO18_NAMES), 2)


def incomplete(rng: np.random.Generator, people: np.ndarray) -> np.ndarray:
    """The people, each without some of the joints that no other joint is joined to the neck through."""
    ends = np.array([4, 7, 10, 13, 14, 15, 16, 17])
    people = people.copy()
    for person in people:
        person[rng.choice(ends, rng.integers(len(ends)), replace=False)] = np.nan
    return people


def paint(people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    everybody = torch.from_numpy(people)[None]
    return tuple(make(everybody, SIZE)[0].numpy() for make in (keypoint_targets.heat_maps, keypoint_targets.fields))


def assert_found(found: Skeletons, people: np.ndarray, within: float) -> None:
    """Holds that these people were found, in whatever order, with these joints and no others, so many pixels off."""
    assert len(found) == len(people)
    if len(people):
        off = np.linalg.norm(found.pixels[:, None] - people, axis=-1)
        whom = np.nanmean(np.where(np.isnan(off), 1e3, off), axis=2).argmin(0)
        assert len(set(whom)) == len(people)
        np.testing.assert_array_equal(np.isnan(found.pixels[whom]), np.isnan(people))
        assert np.nanmax(np.abs(found.pixels[whom] - people)) < within


def assert_same(one: Skeletons, other: Skeletons) -> None:
    for name in ("pixels", "confidence", "score"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 20))
def test_people_give_themselves_back(seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    people = incomplete(rng, crowd(rng, most))
    found = decode(*paint(people))
    assert_found(found, people, within=1.0)
    seen = np.isfinite(found.pixels[..., 0])
    assert (found.confidence[seen] > 0.9).all() and (found.confidence[~seen] == 0).all()
    assert (found.confidence <= 1).all() and (found.score <= 1).all() and (found.score > 0.2).all()
    assert (np.diff(found.score) <= 0).all()
    assert found.pixels.dtype == found.confidence.dtype == found.score.dtype == np.float32


@pytest.mark.parametrize("seed", range(5))
def test_one_person_alone_is_a_third_of_a_pixel_off_at_most(seed: int) -> None:
    people = crowd(np.random.default_rng(seed), 1)
    for found in decode(*paint(people)), decode_single(paint(people)[0]):
        assert_found(found, people, within=0.33)
    assert len(people) == 1


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**31))
def test_the_order_of_people_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = crowd(rng, 12)
    assert_same(decode(*paint(people)), decode(*paint(people[rng.permutation(len(people))])))


@pytest.mark.parametrize("seed", range(10))
def test_noise_moves_joints_by_little(seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = crowd(rng, 5)
    noisy = (maps + rng.normal(0, 0.03, maps.shape).astype(np.float32) for maps in paint(people))
    assert_found(decode(*noisy, parameters=replace(DEFAULTS, peak_threshold=0.25)), people, within=4.0)


@pytest.mark.parametrize("seed", range(10))
def test_who_is_cut_off_by_the_border_is_found_in_part(seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = crowd(rng, 1) * 0 + somebody(rng, 250) + rng.choice([[0.0, 200], [767, 200], [300, 30], [300, 420]])
    outside = ((people < -0.5) | (people > np.array(SIZE[::-1]) * STRIDE - 0.5)).any(-1)
    people[outside] = np.nan
    whole = decode(*paint(people))
    joints = np.isfinite(whole.pixels[..., 0]).sum()
    assert outside.any() and joints >= 3
    off = np.linalg.norm(whole.pixels - people, axis=-1)
    assert np.nanmax(off) < 1.0 and np.isnan(whole.pixels[:, outside[0]]).all()


@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_joints_on_the_border(corner: tuple[int, int]) -> None:
    """Half a cell outside of the middle of the last one, in a corner and along both sides."""
    ends = np.array([[-0.5, -0.5], np.array(SIZE[::-1]) * STRIDE - 0.5])
    at, inwards = np.array([ends[corner[0], 0], ends[corner[1], 1]]), 1 - 2 * np.array(corner)
    person = np.full((1, len(COCO18_NAMES), 2), np.nan, np.float32)
    person[0, :3] = at + inwards * np.array([(0, 100), (0, 0), (100, 0)])
    assert_found(decode(*paint(person)), person, within=0.33)
    assert_found(decode_single(paint(person)[0]), person, within=0.33)


def test_nobody() -> None:
    heat, fields = paint(np.empty((0, len(COCO18_NAMES), 2), np.float32))
    for found in decode(heat, fields), decode_single(heat), decode(heat - 1, fields):
        assert (found.pixels.shape, found.confidence.shape, found.score.shape) == ((0, 18, 2), (0, 18), (0,))


def test_a_joint_between_two_cells_is_one() -> None:
    """The highest two, or four, cells are equal."""
    person = np.full((1, len(COCO18_NAMES), 2), np.nan, np.float32)
    person[0, :3] = (8 * 20 - 0.5, 8 * 20 - 0.5), (8 * 20 - 0.5, 8 * 30 + 3.5), (8 * 10 + 3.5, 8 * 30 - 0.5)
    assert_found(decode(*paint(person)), person, within=0.1)


def test_a_head_apart_is_joined_by_the_shoulders() -> None:
    """Without nose the eyes and ears hang together by the limbs from shoulder to ear alone."""
    people = crowd(np.random.default_rng(1), 1)
    people[:, COCO18_NAMES.index("nose")] = np.nan
    assert_found(decode(*paint(people)), people, within=1.0)


def test_two_people_crossed_are_not_mixed() -> None:
    rng = np.random.default_rng(0)
    one = somebody(rng, 300) + np.array([300, 150], np.float32)
    people = np.stack([one, one + np.array([70, 25], np.float32)])
    assert_found(decode(*paint(people)), people, within=1.0)


def test_what_is_not_finite_counts_as_0() -> None:
    people = crowd(np.random.default_rng(3), 6)
    heat, fields = paint(people)
    rng = np.random.default_rng(0)
    holes = [rng.random(maps.shape) < 0.02 for maps in (heat, fields)]
    for value in (np.nan, np.inf, -np.inf):
        spoiled = [np.where(hole, np.float32(value), maps) for hole, maps in zip(holes, (heat, fields), strict=True)]
        zeroed = [np.where(hole, np.float32(0), maps) for hole, maps in zip(holes, (heat, fields), strict=True)]
        assert_same(decode(*spoiled), decode(*zeroed))
        assert_same(decode_single(spoiled[0]), decode_single(zeroed[0]))
        assert len(decode(np.full_like(heat, value), np.full_like(fields, value))) == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (5, 1)])
def test_maps_of_any_size(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    heat, fields = (rng.random((n, *size), np.float32) for n in (19, 38))
    for found in decode(heat, fields), decode_single(heat):
        limit = np.array(size[::-1]) * STRIDE
        assert (np.isnan(found.pixels) | ((found.pixels >= -STRIDE / 2) & (found.pixels <= limit + STRIDE / 2))).all()


def test_the_stride_scales_pixels() -> None:
    maps = paint(crowd(np.random.default_rng(2), 3))
    cells = (decode(*maps).pixels - 3.5) / 8
    np.testing.assert_allclose(decode(*maps, stride=4).pixels, cells * 4 + 1.5, atol=1e-3)
    np.testing.assert_allclose(
        decode_single(maps[0], stride=4).pixels, decode_single(maps[0]).pixels / 2 - 0.25, atol=1e-3
    )


def test_thresholds() -> None:
    """Peaks of 1 and fields of 1 are scaled, so that it is known what is under a threshold."""
    people = crowd(np.random.default_rng(4), 4)
    assert len(people) == 4
    heat, fields = paint(people)

    def count(heat_by: float = 1.0, field_by: float = 1.0, **changed: float) -> int:
        return len(decode(heat * np.float32(heat_by), fields * np.float32(field_by), 8, replace(DEFAULTS, **changed)))

    assert count(heat_by=0.3, peak_threshold=0.2) == 4
    assert count(heat_by=0.3, peak_threshold=0.35) == 0
    assert count(field_by=0.5, limb_threshold=0.3) == 4
    assert count(field_by=0.5, limb_threshold=0.55) == 0
    assert decode(2 * heat, fields).confidence.max() == 1
    assert count(min_keypoints=18) == 4
    assert count(min_keypoints=19) == 0
    assert count(heat_by=0.3, field_by=0.3, min_score=0.2) == 4
    assert count(heat_by=0.3, field_by=0.3, min_score=0.4) == 0


def test_a_limb_needs_its_share_of_the_field() -> None:
    """A limb from neck to hip whose field is too weak at one end, a third of it."""
    person = np.full((1, len(COCO18_NAMES), 2), np.nan, np.float32)
    for keypoint, at in (1, (200, 100)), (2, (150, 100)), (8, (200, 340)):
        person[0, keypoint] = at
    heat, fields = paint(person)
    fields[:2, 33:] *= 0.04  # of the limb from 1 to 8
    parameters = replace(DEFAULTS, min_keypoints=2)
    assert np.isnan(decode(heat, fields, 8, parameters).pixels[0, 8]).all()
    found = decode(heat, fields, 8, replace(parameters, limb_ratio=0.6))
    np.testing.assert_allclose(found.pixels[0, 8], (200, 340), atol=0.33)


def test_a_limb_across_the_image_needs_a_strong_field() -> None:
    person = np.full((1, len(COCO18_NAMES), 2), np.nan, np.float32)
    for keypoint, at in (1, (100, 100)), (2, (700, 100)), (8, (100, 300)), (11, (300, 100)):
        person[0, keypoint] = at
    heat, fields = paint(person)
    assert_found(decode(heat, fields), person, within=0.33)
    person[0, 2] = np.nan
    assert_found(decode(heat, fields * np.float32(0.4)), person, within=0.33)


def test_of_two_limbs_to_one_joint_the_surer_is_there() -> None:
    """Two necks and one shoulder, with a field to it from both."""
    people = np.full((2, len(COCO18_NAMES), 2), np.nan, np.float32)
    people[:, 1] = (100, 100), (100, 300)
    people[:, 2] = 300, 200
    people[:, 8], people[:, 11] = people[:, 1] - (60, 0), people[:, 1] + (0, 60)
    heat, fields = paint(people)
    fields[PAF_CHANNELS[0], :25] *= 0.8
    people[0, 2] = np.nan
    assert_found(decode(heat, fields), people, within=0.33)


def test_of_two_limbs_from_one_joint_the_surer_is_there() -> None:
    """One neck and two right arms, with a field to both."""
    people = np.full((2, len(COCO18_NAMES), 2), np.nan, np.float32)
    people[0, 1] = people[1, 1] = 300, 200
    people[:, 2] = (100, 100), (100, 300)
    people[:, 3], people[:, 4] = people[:, 2] - (0, 60), people[:, 2] - (60, 0)
    heat, fields = paint(people)
    fields[PAF_CHANNELS[0], :25] *= 0.8
    people[0, 1] = np.nan
    assert_found(decode(heat, fields), people, within=0.33)


def test_shoulder_and_ear_do_not_join_two_people() -> None:
    """A field from the shoulder of somebody without ear to the ear of somebody without shoulder; both have a nose."""
    people = crowd(np.random.default_rng(4), 2)
    people[0, [2, 3, 4]] = people[1, 16] = np.nan
    bridge = np.full((1, len(COCO18_NAMES), 2), np.nan, np.float32)
    bridge[0, 2], bridge[0, 16] = people[1, 2], people[0, 16]
    heat, fields = paint(people)
    channels = PAF_CHANNELS[PAF_LIMBS.index((2, 16))]
    fields[channels] = paint(bridge)[1][channels]
    assert_found(decode(heat, fields), people, within=1.0)


def test_of_too_many_peaks_the_highest_count() -> None:
    people = crowd(np.random.default_rng(4), 4)
    faint = [0, 3]
    parts = [paint(people[[k]])[0] * np.float32(0.5 if k in faint else 1) for k in range(4)]
    found = decode(np.maximum.reduce(parts), paint(people)[1], 8, replace(DEFAULTS, max_peaks=2))
    assert_found(found, np.delete(people, faint, axis=0), within=1.0)


def test_one_person_s_joints_are_the_highest_peaks() -> None:
    people = crowd(np.random.default_rng(5), 2)
    heat, _ = paint(people[:1])
    ghost, _ = paint(people[1:])
    found = decode_single(np.maximum(heat, 0.8 * ghost))
    assert_found(found, people[:1], within=1.0)
    assert found.score[0] == pytest.approx(found.confidence[0].mean())


def test_half_of_somebody_scores_half() -> None:
    people = crowd(np.random.default_rng(6), 1)
    whole = decode(*paint(people)).score[0]
    people[:, 8:14] = np.nan
    half = decode(*paint(people)).score[0]
    lost = 6 + sum(8 <= b <= 13 for _, b in COCO18_LIMBS)
    assert half / whole == pytest.approx(1 - lost / 37, abs=0.03)
