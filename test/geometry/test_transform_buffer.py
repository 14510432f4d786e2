import threading

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scene_understanding.geometry import ExtrapolationError, Pose, TransformBuffer, TransformError

SECOND = 10**9


def chain():
    """map <- odom (moving) <- base (moving) <- camera (fixed), and map <- beacon (fixed)."""
    buffer = TransformBuffer(10.0)
    for i in range(51):
        stamp = SECOND + i * SECOND // 10
        buffer.add("map", "odom", stamp, Pose.from_yaw(i / 10, 0, 0))
        buffer.add("odom", "base", stamp, Pose.from_yaw(0, i / 10, 0))
    buffer.add("base", "camera", 0, Pose.from_yaw(0, 0, np.pi / 2, 1.5), static=True)
    buffer.add("map", "beacon", 0, Pose.from_yaw(5, 5, 0), static=True)
    return buffer


def test_chain_is_composed_at_the_stamp():
    pose = chain().lookup("map", "camera", SECOND + 2_050_000_000)
    np.testing.assert_allclose(pose.translation, [2.05, 2.05, 1.5], atol=1e-12)
    assert pose.yaw == pytest.approx(np.pi / 2)


def test_across_the_common_parent_and_back():
    buffer = chain()
    stamp = 2 * SECOND
    expected = buffer.lookup("map", "beacon", stamp).inverse() @ buffer.lookup("map", "camera", stamp)
    np.testing.assert_allclose(buffer.lookup("beacon", "camera", stamp).matrix, expected.matrix, atol=1e-12)
    np.testing.assert_allclose(buffer.lookup("camera", "beacon", stamp).matrix, expected.inverse().matrix, atol=1e-12)


def test_frames_above_the_common_parent_do_not_matter():
    """base and camera are rigid: their transform is known at any time, whatever odom knows."""
    assert chain().can_transform("base", "camera", 10**15)


def test_newest_common_time():
    buffer = chain()
    buffer.add("odom", "base", 100 * SECOND, Pose.from_yaw(0, 9, 0))
    np.testing.assert_allclose(buffer.lookup("map", "odom").translation, [5, 0, 0])
    assert buffer.lookup("map", "beacon").translation[0] == 5
    assert buffer.lookup("x", "/x").matrix.tolist() == np.eye(4).tolist()


def test_newest_is_the_oldest_of_the_newest():
    buffer = TransformBuffer()
    for stamp in (1, 2, 3):
        buffer.add("a", "b", stamp * SECOND, Pose.from_yaw(stamp, 0, 0))
    for stamp in (1, 2):
        buffer.add("b", "c", stamp * SECOND, Pose.from_yaw(0, stamp, 0))
    np.testing.assert_allclose(buffer.lookup("a", "c").translation, [2, 2, 0])


@pytest.mark.parametrize(
    ("target", "source", "stamp", "error", "message"),
    [
        ("map", "lidar", SECOND, TransformError, "no frame 'lidar'; known: base, beacon, camera, map, odom"),
        ("map", "base", SECOND - 1, ExtrapolationError, "at 0.999999999 s: 0.000 s before the oldest known 'base' in"),
        ("map", "base", 8 * SECOND, ExtrapolationError, "at 8.000000000 s: 2.000 s after the newest known 'base' in"),
    ],
)
def test_errors_say_what_is_missing(target, source, stamp, error, message):
    with pytest.raises(error, match=f"no transform from {source!r} to {target!r}.*{message}") as caught:
        chain().lookup(target, source, stamp)
    assert isinstance(caught.value, LookupError)
    assert "\n" not in str(caught.value)
    assert not chain().can_transform(target, source, stamp)


def test_two_trees():
    buffer = chain()
    buffer.add("world", "robot", 0, Pose.identity(), static=True)
    with pytest.raises(TransformError, match="two trees, under 'world' and under 'map'"):
        buffer.lookup("base", "robot", SECOND)


def test_loop_is_an_error_not_a_hang():
    buffer = TransformBuffer()
    buffer.add("a", "b", 0, Pose.identity())
    buffer.add("b", "a", 0, Pose.identity())
    buffer.add("x", "y", 0, Pose.identity())
    with pytest.raises(TransformError, match="loop: a -> b -> a"):
        buffer.lookup("x", "a", 0)


def test_empty_buffer():
    with pytest.raises(TransformError, match="no frame 'base'; known: none"):
        TransformBuffer().lookup("map", "base", 0)


def test_memory_is_bounded():
    buffer = TransformBuffer(1.0)
    for i in range(5000):
        buffer.add("a", "b", i * SECOND // 100, Pose.identity())
    assert len(buffer._edges["b"].stamps) < 150
    flood = TransformBuffer(1.0)
    for i in range(30_000):
        flood.add("a", "b", i, Pose.identity())
    assert len(flood._edges["b"].stamps) <= 25_000


def test_the_whole_duration_is_kept():
    buffer = TransformBuffer(1.0)
    for i in range(5000):
        buffer.add("a", "b", i * SECOND // 30, Pose.from_yaw(i, 0, 0))
    newest = 4999 * SECOND // 30
    assert buffer.can_transform("a", "b", newest - SECOND)


def test_late_and_repeated_transforms():
    buffer = TransformBuffer()
    for stamp, x in ((0, 0.0), (4, 4.0), (2, 7.0), (2, 2.0), (1, 1.0)):
        buffer.add("a", "b", stamp, Pose.from_yaw(x, 0, 0))
    assert buffer._edges["b"].stamps == [0, 1, 2, 4]
    for stamp in range(5):
        assert buffer.lookup("a", "b", stamp).translation[0] == pytest.approx(stamp)


def test_clock_that_jumps_back():
    buffer = chain()
    for i in range(3):
        buffer.add("odom", "base", i * 1000, Pose.from_yaw(i, 0, 0))
    buffer.clear()
    assert buffer.frames() == {"camera": "base", "beacon": "map"}
    buffer = TransformBuffer(10.0)
    for stamp in (100 * SECOND, 101 * SECOND, SECOND, 2 * SECOND):  # a bag that starts again, nobody called clear
        buffer.add("a", "b", stamp, Pose.from_yaw(stamp / SECOND, 0, 0))
    assert buffer.lookup("a", "b").translation[0] == 2
    with pytest.raises(ExtrapolationError, match="99.000 s after the newest"):
        buffer.lookup("a", "b", 101 * SECOND)


def test_new_parent_starts_anew():
    buffer = chain()
    buffer.add("map", "base", 2 * SECOND, Pose.from_yaw(9, 9, 0))
    assert buffer.frames()["base"] == "map"
    assert buffer.lookup("map", "base").translation[0] == 9


@pytest.mark.parametrize(("parent", "child"), [("a", "a"), ("", "b"), ("a", ""), ("/a", "a")])
def test_bad_names(parent, child):
    with pytest.raises(ValueError, match="expected two different names"):
        TransformBuffer().add(parent, child, 0, Pose.identity())


@pytest.mark.parametrize("duration", [0, -1, float("nan")])
def test_bad_duration(duration):
    with pytest.raises(ValueError, match="must be above 0"):
        TransformBuffer(duration)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=30, unique=True), st.floats(0, 1), st.randoms())
@settings(deadline=None)
def test_interpolation_whatever_the_order(stamps, t, random):
    buffer = TransformBuffer()
    random.shuffle(stamps)
    for stamp in stamps:
        buffer.add("a", "b", stamp, Pose.from_yaw(stamp / 1000, 0, 0))
    stamp = int(min(stamps) + t * (max(stamps) - min(stamps)))
    assert buffer.lookup("a", "b", stamp).translation[0] == pytest.approx(stamp / 1000, abs=1e-9)


def test_several_threads():
    buffer = TransformBuffer(0.001)
    faults = []

    def write(child):
        for i in range(2000):
            buffer.add("map", child, i * 1000, Pose.from_yaw(i, 0, 0))

    def read():
        for _ in range(1000):
            try:
                buffer.lookup("a", "b")
            except TransformError:
                pass
            except Exception as error:  # what a race would bring
                faults.append(error)

    threads = [
        threading.Thread(target=f, args=a) for f, a in ((write, ("a",)), (write, ("b",)), (read, ()), (read, ()))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert buffer.lookup("map", "a").translation[0] == 1999
