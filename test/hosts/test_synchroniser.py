from collections import Counter

import pytest
from hypothesis import given, strategies as st

from scene_understanding.hosts.synchroniser import ALIVE_NS, Synchroniser

NAMES = ("color", "depth", "info")


@st.composite
def streams(draw: st.DrawFn, names: tuple[str, ...] = NAMES) -> list[tuple[str, int]]:
    """Arrivals (name, stamp) of inputs whose stamps ascend, in any interleaving."""
    stamps = {name: sorted(draw(st.lists(st.integers(0, 200), unique=True, max_size=25))) for name in names}
    order = draw(st.permutations([name for name, s in stamps.items() for _ in s]))
    waiting = {name: iter(s) for name, s in stamps.items()}
    return [(name, next(waiting[name])) for name in order]


@given(streams(), st.integers(0, 40), st.integers(1, 30))
def test_sets_match_ascend_and_account_for_every_message(arrivals: list, slop: int, capacity: int) -> None:
    synchroniser: Synchroniser[int] = Synchroniser(NAMES, slop, capacity=capacity)
    used: Counter[str] = Counter()
    last = dict.fromkeys(NAMES, -1)
    for name, stamp in arrivals:
        found = synchroniser.add(name, stamp, stamp)
        assert sum(map(len, synchroniser._waiting.values())) <= capacity * len(NAMES)
        if found is not None:
            assert set(found) == set(NAMES)
            assert max(found.values()) - min(found.values()) <= slop
            assert all(found[n] > last[n] for n in NAMES), "used twice, or an older set after a newer one"
            last = dict(found)
            used.update(NAMES)
    received = Counter(name for name, _ in arrivals)
    for name in NAMES:
        assert received[name] == used[name] + synchroniser.unmatched[name] + len(synchroniser._waiting[name])
    assert synchroniser.matches * len(NAMES) == sum(used.values())
    assert synchroniser.jumps == 0


@given(streams())
def test_exact_matching_finds_every_common_stamp(arrivals: list) -> None:
    synchroniser: Synchroniser[int] = Synchroniser(NAMES, 0)
    sets = [found["color"] for name, stamp in arrivals if (found := synchroniser.add(name, stamp, stamp)) is not None]
    common = set.intersection(*({stamp for n, stamp in arrivals if n == name} for name in NAMES))
    assert sets == sorted(common)


@given(streams(("color", "depth")), st.integers(0, 20))
def test_messages_alone_within_the_slop_find_each_other(arrivals: list, slop: int) -> None:
    """Where every message has exactly one possible partner, it gets that one whatever the order of arrival."""
    stamps = {n: [s for name, s in arrivals if name == n] for n in ("color", "depth")}
    everything = sorted(stamps["color"] + stamps["depth"])
    pairs = {(c, d) for c in stamps["color"] for d in stamps["depth"] if abs(c - d) <= slop}
    lonely = all(
        sum(abs(s - other) <= 2 * slop + 1 for other in everything) == 2 for pair in pairs for s in pair
    )  # fmt: skip
    if not lonely:
        return
    synchroniser: Synchroniser[int] = Synchroniser(("color", "depth"), slop)
    found = {tuple(f.values()) for n, s in arrivals if (f := synchroniser.add(n, s, s)) is not None}
    assert {(f[0], f[1]) for f in found} == pairs


def test_nearest_partner_is_chosen() -> None:
    synchroniser: Synchroniser[str] = Synchroniser(("color", "depth"), 20)
    for stamp in (0, 30, 60):
        assert synchroniser.add("color", stamp, f"c{stamp}") is None
    assert synchroniser.add("depth", 35, "d35") == {"color": "c30", "depth": "d35"}
    assert synchroniser.unmatched == {"color": 1, "depth": 0}
    assert synchroniser.add("depth", 62, "d62") == {"color": "c60", "depth": "d62"}


def test_a_stamp_that_goes_backwards_clears_all() -> None:
    synchroniser: Synchroniser[int] = Synchroniser(("color", "depth"), 0)
    synchroniser.add("color", 100, 1)
    synchroniser.add("color", 110, 2)
    assert synchroniser.add("color", 10, 3) is None
    assert synchroniser.jumps == 1 and synchroniser.unmatched["color"] == 2
    assert synchroniser.add("depth", 100, 4) is None, "its partner is of the time before the jump"
    assert synchroniser.add("depth", 10, 5) is None, "backwards again: this too is a jump, and clears"
    assert synchroniser.jumps == 2
    synchroniser.add("color", 20, 6)
    assert synchroniser.add("depth", 20, 7) == {"color": 6, "depth": 7}


@pytest.mark.parametrize("start", [0, 10**18])
def test_an_optional_input_is_waited_for_only_while_it_lives(start: int) -> None:
    synchroniser: Synchroniser[str] = Synchroniser(("color", "depth"), 0, optional=("depth",))
    assert synchroniser.add("color", start, "c") == {"color": "c"}, "depth has never been heard"
    second = start + 33_000_000
    assert synchroniser.add("depth", second, "d") is None
    assert synchroniser.add("color", second, "c") == {"color": "c", "depth": "d"}
    third = start + 66_000_000
    assert synchroniser.add("color", third, "c") is None, "depth lives: it is waited for"
    assert synchroniser.add("depth", third, "d") == {"color": "c", "depth": "d"}
    late = third + ALIVE_NS
    assert synchroniser.add("color", late, "c") == {"color": "c"}, "depth has died"


def test_an_optional_input_of_one_hertz_lives() -> None:
    """Recordings of single images a second are common, and their colour may come first."""
    synchroniser: Synchroniser[str] = Synchroniser(("color", "depth"), 0, optional=("depth",))
    synchroniser.add("color", 0, "c")
    synchroniser.add("depth", 0, "d")
    for second in range(1, 4):
        assert synchroniser.add("color", second * 10**9, "c") is None
        assert synchroniser.add("depth", second * 10**9, "d") == {"color": "c", "depth": "d"}
