import time

from scene_understanding.hosts.clock import SimulatedClock, SystemClock


def test_system_clock_is_wall_time() -> None:
    clock = SystemClock()
    assert abs(clock.now_ns - time.time_ns()) < 10**9
    assert 4.9 < clock.age(time.time_ns() - 5 * 10**9) < 5.5


def test_simulated_clock_is_zero_until_told_and_knows_when_it_went_backwards() -> None:
    clock = SimulatedClock()
    assert clock.now_ns == 0
    assert not clock.set(5)
    assert not clock.set(5)
    assert not clock.set(9)
    assert clock.set(3)
    assert clock.now_ns == 3


def test_age_is_real_time_since_the_clock_showed_the_stamp() -> None:
    clock = SimulatedClock()
    clock.set(1_000)
    time.sleep(0.05)
    clock.set(2_000)
    age = clock.age(1_500)
    assert age is not None and age < 0.04, "the clock first showed a time not before 1500 when it was set to 2000"
    older = clock.age(1_000)
    assert older is not None and older >= 0.05
    assert clock.age(9_000) == 0.0, "a stamp in the future"
    assert clock.age(500) is None, "before the clock was first told"
