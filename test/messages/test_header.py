import pytest
from hypothesis import given, strategies as st

from scene_understanding.messages.header import copy_header, make_header, ns_to_duration, ns_to_stamp, stamp_to_ns


@given(st.integers(-(2**31) * 10**9, 2**31 * 10**9 - 1))
def test_stamp_round_trip(ns):
    stamp = ns_to_stamp(ns)
    assert stamp_to_ns(stamp) == ns
    assert 0 <= stamp.nanosec < 10**9
    assert stamp_to_ns(ns_to_duration(ns)) == ns


@pytest.mark.parametrize("ns", [2**31 * 10**9, -(2**31) * 10**9 - 1])
def test_stamp_beyond_the_message(ns):
    with pytest.raises(ValueError, match="ROS stamp holds seconds"):
        ns_to_stamp(ns)


def test_copy_is_independent():
    header = make_header(1_500_000_000, "camera")
    copy = copy_header(header, "map")
    copy.stamp.sec = 7
    assert (header.stamp.sec, header.stamp.nanosec, header.frame_id) == (1, 500_000_000, "camera")
    assert copy.frame_id == "map"
    assert copy_header(header) == header
