import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from scene_understanding.mapping.block_file import BlockFile
from scene_understanding.mapping.blocks import RECORD_BYTES, VOXELS, Blocks, MapError, pack

LIMIT = 2**20 - 1


def column(x: int, y: int, height: int = 2) -> np.ndarray:
    return np.array([(x, y, z) for z in range(height)], np.int32)


def filled(blocks: Blocks, coordinates: np.ndarray, value: int) -> None:
    blocks.occupancy[blocks.claim(coordinates)] = value


@settings(max_examples=50, deadline=None)
@given(arrays(np.int32, st.tuples(st.integers(0, 20), st.just(3)), elements=st.integers(-LIMIT, LIMIT)))
def test_every_block_has_a_number_of_its_own(coordinates: np.ndarray) -> None:
    assert len(set(pack(coordinates).tolist())) == len({tuple(c) for c in coordinates.tolist()})


def test_a_block_too_far_away_is_refused() -> None:
    with pytest.raises(MapError, match=r"a block at \[0, 2097152, 0\] is too far away"):
        pack(np.array([[0, 2**21, 0]]))


def test_blocks_that_went_away_come_back_as_they_were() -> None:
    blocks = Blocks(8)
    for x in range(3):
        filled(blocks, column(x, 0), x + 1)
        blocks.second_evidence[blocks.find(column(x, 0)), 7] = 0.5 * x
    assert len(blocks) == 6 and blocks.free == 2
    far = blocks.farthest(2, np.zeros(2), np.zeros((0, 3), int))
    assert set(map(tuple, blocks.coordinates[far].tolist())) == {(2, 0, 0), (2, 0, 1)}
    blocks.send_away(far)
    assert (len(blocks), blocks.away) == (4, 2) and (blocks.find(column(2, 0)) < 0).all()
    assert blocks.missing(np.array([[2, 0, 0], [5, 5, 5]])) == 3  # the column comes back as a whole
    slots = blocks.claim(column(2, 0))
    assert blocks.away == 0 and (blocks.occupancy[slots] == 3).all() and (blocks.second_evidence[slots, 7] == 1).all()


def test_slots_of_blocks_that_are_gone_are_empty_again() -> None:
    blocks = Blocks(2)
    filled(blocks, column(0, 0), 9)
    blocks.changed[:] = blocks.settled[:] = True
    blocks.send_away(blocks.slots)
    slots = blocks.claim(column(1, 1))
    assert not blocks.occupancy[slots].any() and not blocks.changed[slots].any() and not blocks.settled[slots].any()


def test_each_gives_blocks_in_memory_and_in_the_file() -> None:
    blocks = Blocks(64)
    for x in range(20):
        filled(blocks, column(x, -x), x)
    blocks.send_away(blocks.farthest(10, np.zeros(2), np.zeros((0, 3), int)))
    found = {tuple(at): set(values.tolist())
             for coordinates, fields in blocks.each(chunk=3)
             for at, values in zip(coordinates.tolist(), fields["occupancy"], strict=True)}  # fmt: skip
    assert found == {(x, -x, z): {x} for x in range(20) for z in range(2)}


def test_too_many_blocks_are_refused() -> None:
    with pytest.raises(MapError, match="2 more blocks do not fit"):
        Blocks(1).claim(column(0, 0))


def test_restored_blocks_fill_the_memory_and_then_the_file() -> None:
    coordinates = np.concatenate([column(x, 3, 4) for x in range(10)])
    occupancy = np.arange(40, dtype=np.int8)[:, None] * np.ones(VOXELS, np.int8)
    blocks = Blocks(32)
    zero = {"first": np.uint8, "second": np.uint8, "first_evidence": np.float16, "second_evidence": np.float16}
    fields = {"occupancy": occupancy, **{name: np.zeros((40, VOXELS), kind) for name, kind in zero.items()}}
    blocks.restore(coordinates, fields)
    assert (len(blocks), blocks.away) == (28, 12)
    blocks.send_away(blocks.farthest(20, np.array([9.5, 3.5]), np.zeros((0, 3), int)))
    slots = blocks.claim(coordinates[36:])
    np.testing.assert_array_equal(blocks.occupancy[slots], occupancy[36:])


def test_places_in_the_file_are_used_again() -> None:
    file, rng = BlockFile(RECORD_BYTES), np.random.default_rng(0)
    records = rng.integers(0, 256, (5, RECORD_BYTES)).astype(np.uint8)
    places = file.write(records)
    np.testing.assert_array_equal(file.take(places[1:3]), records[1:3])
    again = file.write(records[1:3])
    assert set(again) == set(places[1:3])
    np.testing.assert_array_equal(file.read([places[4], again[0]]), records[[4, 1]])
    file.close()
