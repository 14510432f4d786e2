import numpy as np

from scene_understanding.messages.header import make_header
from scene_understanding.messages.markers import groups_to_markers
from scene_understanding.messages.types import Marker, deserialize, serialize

GROUPS = [np.array([[1.0, 2.0], [3.0, -4.0]]), np.array([[0.5, 0.25]])]


def test_groups_come_back_from_the_wire_each_in_its_colour() -> None:
    message = groups_to_markers(GROUPS, make_header(5, "map"), size=0.07)
    first, *rest = deserialize(serialize(message), "visualization_msgs/msg/MarkerArray").markers
    assert first.action == Marker.DELETEALL
    for marker, points in zip(rest, GROUPS, strict=True):
        assert (marker.action, marker.type, marker.header.frame_id) == (Marker.ADD, Marker.POINTS, "map")
        np.testing.assert_allclose([(p.x, p.y, p.z) for p in marker.points], np.pad(points, ((0, 0), (0, 1))))
        assert marker.scale.x == marker.scale.y == 0.07 and marker.color.a == 1
    colours = {(m.color.r, m.color.g, m.color.b) for m in rest}
    assert len(colours) == 2 and len({(m.ns, m.id) for m in rest}) == 2


def test_no_groups_remove_the_last_ones() -> None:
    (marker,) = groups_to_markers([], make_header(5, "map")).markers
    assert marker.action == Marker.DELETEALL
