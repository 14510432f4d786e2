"""Label sets (id, name, colour) as data, mappings between them, and the names of a skeleton's keypoints."""

from scene_understanding.labels.keypoints import (
    COCO18_COLOURS,
    COCO18_LIMBS,
    COCO18_MIRRORED,
    COCO18_NAMES,
    COCO18_SIGMAS,
    PAF_CHANNELS,
    PAF_LIMBS,
)
from scene_understanding.labels.label_set import UNLABELLED, LabelSet, known_label_sets, load_label_set, mapping

__all__ = [
    "COCO18_COLOURS", "COCO18_LIMBS", "COCO18_MIRRORED", "COCO18_NAMES", "COCO18_SIGMAS", "PAF_CHANNELS", "PAF_LIMBS",
    "UNLABELLED", "LabelSet", "known_label_sets", "load_label_set", "mapping",
]  # fmt: skip
