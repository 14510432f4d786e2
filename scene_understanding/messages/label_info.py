"""`vision_msgs/LabelInfo` to label sets and back: what the ids in a mask mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from scene_understanding.labels.label_set import LabelSet
from scene_understanding.messages.types import Header, LabelInfo, VisionClass


def label_set_to_label_info(label_set: LabelSet, header: Header, threshold: float = 0.0) -> Any:
    """`vision_msgs/LabelInfo`; `threshold` (0..1) is the confidence below which pixels are left unlabelled."""
    pairs = zip(label_set.ids, label_set.names, strict=True)
    class_map = [VisionClass(class_id=class_id, class_name=name) for class_id, name in pairs]
    return LabelInfo(header=header, class_map=class_map, threshold=float(threshold))


def label_info_to_label_set(msg: Any, name: str = "label_info") -> LabelSet:
    """A label set of the ids and names of a message.

    The message holds no colours: they are spread over the hues by id. The entry of id 255 (65535 in masks of 16 bit),
    which vision_msgs gives to "unlabelled", is left out.

    Raises:
        ValueError: no class, or an id or a name twice.
    """
    classes = sorted((c.class_id, c.class_name) for c in msg.class_map if c.class_id not in (255, 65535))
    ids = tuple(class_id for class_id, _ in classes)
    return LabelSet(name, ids, tuple(class_name for _, class_name in classes), _spread_colours(np.array(ids, int)))


def _spread_colours(ids: np.ndarray) -> np.ndarray:
    """(N, 3) uint8 RGB: hues a golden section apart, so that neighbouring ids differ."""
    hue = (ids * 0.61803399 % 1.0)[:, None]
    wave = np.abs((hue * 6.0 + np.array([0.0, 4.0, 2.0])) % 6.0 - 3.0) - 1.0
    return np.round(255 * (0.25 + 0.75 * np.clip(wave, 0.0, 1.0))).astype(np.uint8)
