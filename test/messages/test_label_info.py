import numpy as np
import pytest

from scene_understanding.labels import known_label_sets, load_label_set
from scene_understanding.messages.header import make_header
from scene_understanding.messages.label_info import label_info_to_label_set, label_set_to_label_info
from scene_understanding.messages.types import LabelInfo, VisionClass, deserialize, serialize

HEADER = make_header(1, "camera")


@pytest.mark.parametrize("name", known_label_sets())
def test_round_trip(name):
    label_set = load_label_set(name)
    msg = deserialize(serialize(label_set_to_label_info(label_set, HEADER, 0.25)), LabelInfo)
    assert msg.threshold == 0.25
    back = label_info_to_label_set(msg, name)
    assert (back.name, back.ids, back.names) == (name, label_set.ids, label_set.names)
    assert len(np.unique(back.colours, axis=0)) == len(back)


def test_unlabelled_entries_are_left_out():
    classes = [VisionClass(255, "UNLABELED"), VisionClass(3, "b"), VisionClass(65535, "x"), VisionClass(1, "a")]
    back = label_info_to_label_set(LabelInfo(HEADER, classes, 0.0))
    assert (back.ids, back.names) == ((1, 3), ("a", "b"))


def test_bad_label_info():
    with pytest.raises(ValueError, match="at least one"):
        label_info_to_label_set(LabelInfo(HEADER, [], 0.0))
    with pytest.raises(ValueError, match="ascending"):
        label_info_to_label_set(LabelInfo(HEADER, [VisionClass(1, "a"), VisionClass(1, "b")], 0.0))
