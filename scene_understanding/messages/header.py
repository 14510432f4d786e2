"""Stamps and headers. Time is integer nanoseconds everywhere outside the messages."""

from __future__ import annotations

from scene_understanding.messages.types import Duration, Header, Time

_SECOND = 1_000_000_000


def stamp_to_ns(stamp: Time) -> int:
    """Nanoseconds of a `builtin_interfaces/Time` (or `Duration`)."""
    return stamp.sec * _SECOND + stamp.nanosec


def ns_to_stamp(stamp_ns: int) -> Time:
    """`builtin_interfaces/Time` of nanoseconds.

    Raises:
        ValueError: beyond the 32-bit seconds of the message.
    """
    return Time(*_split(stamp_ns))


def ns_to_duration(duration_ns: int) -> Duration:
    """`builtin_interfaces/Duration` of nanoseconds; nanosec counts up from sec, also below zero."""
    return Duration(*_split(duration_ns))


def _split(ns: int) -> tuple[int, int]:
    sec, nanosec = divmod(int(ns), _SECOND)
    if not -(2**31) <= sec < 2**31:
        raise ValueError(f"{ns} ns is {sec} s; a ROS stamp holds seconds from -2**31 to 2**31 - 1")
    return sec, nanosec


def make_header(stamp_ns: int, frame_id: str) -> Header:
    """Header of nanoseconds and a frame name."""
    return Header(stamp=ns_to_stamp(stamp_ns), frame_id=frame_id)


def copy_header(header: Header, frame_id: str | None = None) -> Header:
    """A copy, of another frame where `frame_id` is given; the stamp stays."""
    stamp = Time(header.stamp.sec, header.stamp.nanosec)
    return Header(stamp=stamp, frame_id=header.frame_id if frame_id is None else frame_id)
