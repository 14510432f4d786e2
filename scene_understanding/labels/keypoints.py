"""The COCO-18 skeleton: COCO's 17 keypoints and a neck, in the order of OpenPose (Cao et al., CVPR 2017)."""

from __future__ import annotations

import numpy as np

COCO18_NAMES = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip

COCO18_LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
"""Pairs of keypoints joined by a bone, for drawing."""

PAF_LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17),
)  # fmt: skip
"""The 19 limbs (from, to) of the part affinity fields, in the order in which OpenPose assembles them: `COCO18_LIMBS`
and shoulder to ear on both sides."""

PAF_CHANNELS = np.array(
    [
        (12, 13), (20, 21), (14, 15), (16, 17), (22, 23), (24, 25), (0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11),
        (28, 29), (30, 31), (34, 35), (32, 33), (36, 37), (18, 19), (26, 27),
    ]
)  # fmt: skip
"""(19, 2): channels of x and y of each of `PAF_LIMBS` among the 38 of the fields, in the order of the public
checkpoints."""
PAF_CHANNELS.flags.writeable = False

COCO18_MIRRORED = (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16)
"""Which keypoint each one is in the mirrored image: left and right change places."""

COCO18_SIGMAS = np.array(
    [
        0.026, 0.079, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089, 0.107, 0.087, 0.089, 0.025, 0.025,
        0.035, 0.035,
    ]
)  # fmt: skip
"""(18,) how far annotators are apart on each keypoint, as a share of the square root of the person's area (COCO); the
neck, which COCO does not have, is taken as a shoulder."""
COCO18_SIGMAS.flags.writeable = False

COCO18_COLOURS = np.array(
    [
        (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85),
        (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255),
        (255, 0, 255), (255, 0, 170), (255, 0, 85),
    ],
    np.uint8,
)  # fmt: skip
"""(18, 3) uint8 RGB, one hue a keypoint; a limb has the colour of its second keypoint."""
COCO18_COLOURS.flags.writeable = False
