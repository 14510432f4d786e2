"""A cloud cut into tiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from scene_understanding.perception.tiles import tiles


@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(1, 400), side=st.floats(5, 200), share=st.floats(0, 0.5),
    extent=st.tuples(st.floats(0, 100), st.floats(0, 100)),
)  # fmt: skip
def test_every_point_is_in_one_tile_with_all_that_is_around(
    seed: int, count: int, side: float, share: float, extent: tuple[float, float]
) -> None:
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(0, 1, (count, 3)) * (*extent, 5) + (-20, 300, 0)
    margin = share * side / 2
    found = list(tiles(xyz, side, margin))
    np.testing.assert_array_equal(np.sort(np.concatenate([tile.own for tile in found])), np.arange(count))
    for tile in found:
        assert not np.intersect1d(tile.own, tile.around).size
        own, rest = xyz[tile.own, :2], np.setdiff1d(np.arange(count), tile.own)
        assert (np.ptp(own, axis=0) <= 1.5 * side + 1e-6).all()
        if not len(rest):
            continue
        away = np.abs(xyz[rest, None, :2] - own).max(axis=2).min(axis=1)
        assert np.isin(rest[away < margin - 1e-6], tile.around).all()


def test_small_clouds_are_one_tile() -> None:
    xyz = np.random.default_rng(0).uniform(0, 100, (50, 3))
    (tile,) = tiles(xyz, 100.0, 15.0)
    np.testing.assert_array_equal(tile.own, np.arange(50))
    assert not tile.around.size
    assert not list(tiles(xyz[:0], 100.0, 15.0))


@pytest.mark.parametrize(("side", "margin"), [(0.0, 0.0), (10.0, -1.0), (10.0, 6.0), (np.inf, 1.0)])
def test_tiles_that_are_none_are_told(side: float, margin: float) -> None:
    with pytest.raises(ValueError, match="expected 0 <= margin <= side / 2, side above 0"):
        list(tiles(np.zeros((1, 3)), side, margin))
