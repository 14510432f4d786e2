"""Skeletons over images: colours where limbs are, black around them, nothing elsewhere, and no change of the input."""

from __future__ import annotations

import numpy as np

from scene_understanding.labels.keypoints import COCO18_COLOURS, COCO18_NAMES
from scene_understanding.perception.skeleton_drawing import NARROWEST, WIDEST, draw_skeletons, line_width
from scene_understanding.perception.skeletons import NOBODY, Skeletons

NECK, SHOULDER, ELBOW, ANKLE = (COCO18_NAMES.index(n) for n in ("neck", "right_shoulder", "right_elbow", "left_ankle"))
GROUND = np.full((120, 160, 3), 90, np.uint8)


def people(*keypoints: dict[int, tuple[float, float]]) -> Skeletons:
    pixels = np.full((len(keypoints), 18, 2), np.nan, np.float32)
    for person, known in enumerate(keypoints):
        for k, place in known.items():
            pixels[person, k] = place
    seen = np.isfinite(pixels).all(-1).astype(np.float32)
    return Skeletons(pixels, seen, np.linspace(1, 0.5, len(pixels), dtype=np.float32))


def test_a_limb_has_the_colour_of_its_second_keypoint() -> None:
    out = draw_skeletons(GROUND, people({NECK: (30, 40), SHOULDER: (90, 40), ANKLE: (50, 100)}))
    assert (out[40, 60] == COCO18_COLOURS[SHOULDER]).all() and (out[40, 30] == COCO18_COLOURS[NECK]).all()
    assert (out[100, 50] == COCO18_COLOURS[ANKLE]).all()
    above, below = out[30:40, 60], out[41:51, 60]
    assert above.min() < 20 and below.min() < 20  # black edges
    assert (out[70] == 90).all() and (GROUND == 90).all()  # no limb to an ankle without a knee


def test_the_surest_person_is_on_top() -> None:
    sure, other = {NECK: (30.0, 60.0), SHOULDER: (130.0, 60.0)}, {SHOULDER: (80.0, 10.0), ELBOW: (80.0, 110.0)}
    assert (draw_skeletons(GROUND, people(sure, other))[60, 80] == COCO18_COLOURS[SHOULDER]).all()
    assert (draw_skeletons(GROUND, people(other, sure))[60, 80] == COCO18_COLOURS[ELBOW]).all()


def test_nobody_and_who_has_no_keypoints() -> None:
    for nothing in (NOBODY, people({})):
        out = draw_skeletons(GROUND, nothing)
        assert (out == GROUND).all() and out is not GROUND


def test_beyond_the_image() -> None:
    out = draw_skeletons(GROUND, people({NECK: (-500.0, 60.0), SHOULDER: (500.0, 60.0)}))
    assert (out[60, [0, 80, 159]] == COCO18_COLOURS[SHOULDER]).all()


def test_lines_are_as_wide_as_suits_the_size() -> None:
    widths = [line_width(people({NECK: (10, 10), ANKLE: (10, 10 + d)}).pixels[0]) for d in (0, 200, 300, 2000)]
    assert widths[0] == NARROWEST < widths[1] < widths[2] < widths[3] == WIDEST
