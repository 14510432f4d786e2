import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from scene_understanding.labels import LabelSet, known_label_sets, load_label_set, mapping

SIZES = {
    "nyu13": 13, "nyu40": 40, "sunrgbd37": 37, "camvid11": 11, "cityscapes19": 19, "carla": 29, "semantic3d": 8,
    "oakland5": 5, "rubble4": 4,
}  # fmt: skip
FIRST_ID = {"nyu40": 1, "sunrgbd37": 1, "semantic3d": 1}
MAPPINGS = [
    ("nyu40", "nyu13"), ("sunrgbd37", "nyu13"), ("nyu40", "sunrgbd37"), ("sunrgbd37", "nyu40"),
    ("carla", "cityscapes19"), ("carla", "camvid11"), ("carla", "semantic3d"), ("cityscapes19", "camvid11"),
    ("camvid11", "cityscapes19"),
]  # fmt: skip


def test_all_sets_are_there():
    assert set(known_label_sets()) == set(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_ids_follow_each_other_and_colours_differ(name):
    label_set = load_label_set(name)
    first = FIRST_ID.get(name, 0)
    assert label_set.name == name
    assert label_set.ids == tuple(range(first, first + SIZES[name]))
    assert len(label_set) == SIZES[name]
    assert len(np.unique(label_set.colours, axis=0)) == len(label_set)


def test_order_of_the_networks():
    names = "bed books ceiling chair floor furniture objects picture sofa table tv wall window"
    assert load_label_set("nyu13").names == tuple(names.split())
    names = "sky building pole road pavement tree signsymbol fence car pedestrian bicyclist"
    assert load_label_set("camvid11").names == tuple(names.split())
    assert load_label_set("cityscapes19").names[0::6] == ("road", "traffic light", "rider", "bicycle")
    carla = load_label_set("carla")
    assert (carla.id_of("Car"), carla.id_of("Pedestrian"), carla.id_of("GuardRail")) == (14, 12, 28)
    assert carla.colours[14].tolist() == [0, 0, 142]


@pytest.mark.parametrize(("source", "target"), MAPPINGS)
def test_mapping_leads_from_classes_to_classes(source, target):
    table = mapping(source, target)
    assert table.shape == (256,)
    assert table.dtype == np.uint8
    assert set(table.tolist()) <= {*load_label_set(target).ids, 255}
    no_class = np.setdiff1d(np.arange(256), load_label_set(source).ids)
    assert (table[no_class] == 255).all()


def test_mapping_by_name():
    table = mapping("nyu40", "nyu13")
    nyu40, nyu13 = load_label_set("nyu40"), load_label_set("nyu13")
    assert table[nyu40.id_of("desk")] == nyu13.id_of("table")
    assert table[nyu40.id_of("door")] == nyu13.id_of("wall")
    assert table[0] == 255
    carla = mapping("carla", "cityscapes19")
    assert carla[24] == 0  # road lines are road
    assert carla[0] == carla[3 + 20] == 255  # unlabelled, water
    assert carla[1:20].tolist() == list(range(19))


def test_mapping_is_the_published_one():
    path = Path(__file__).resolve().parents[3] / "shared/data/nyuv2/classes.json"
    if not path.is_file():
        pytest.skip(f"no NYUv2 at {path}")
    published = json.loads(path.read_text())["map40to13"]
    table = mapping("nyu40", "nyu13")
    for source, target in published.items():  # there void is 0 and bed 1
        assert table[int(source)] == (target - 1 if target else 255)


@pytest.mark.parametrize("name", SIZES)
def test_mapping_to_itself(name):
    table, ids = mapping(name, name), list(load_label_set(name).ids)
    np.testing.assert_array_equal(table[ids], ids)
    assert (np.delete(table, ids) == 255).all()


def test_there_and_back():
    there, back = mapping("nyu40", "sunrgbd37"), mapping("sunrgbd37", "nyu40")
    np.testing.assert_array_equal(back[there][1:38], np.arange(1, 38))


def test_no_such_mapping():
    with pytest.raises(ValueError, match="no mapping from 'nyu13' to 'carla'; known: nyu40->nyu13,"):
        mapping("nyu13", "carla")


@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16, np.uint32]), (4, 5)), st.sampled_from(sorted(SIZES)))
@settings(deadline=None)
def test_colours_of_a_mask(mask, name):
    label_set = load_label_set(name)
    rgb = label_set.colorize(mask)
    assert rgb.shape == (4, 5, 3)
    assert rgb.dtype == np.uint8
    for pixel, colour in zip(mask.ravel().tolist(), rgb.reshape(-1, 3), strict=True):
        expected = label_set.colours[label_set.ids.index(pixel)] if pixel in label_set.ids else (0, 0, 0)
        np.testing.assert_array_equal(colour, expected)


def test_mask_must_be_unsigned():
    with pytest.raises(ValueError, match="mask is int64; expected an unsigned integer"):
        load_label_set("nyu13").colorize(np.zeros((2, 2), np.int64))


def test_names_and_ids():
    label_set = load_label_set("nyu40")
    assert label_set.name_of(label_set.id_of("bed")) == "bed"
    assert label_set.name_of(0) == label_set.name_of(255) == "unlabelled"
    with pytest.raises(KeyError, match="has no class 'bett'; it has: wall, floor"):
        label_set.id_of("bett")


def test_unknown_set():
    with pytest.raises(ValueError, match="label set 'nyu14' is unknown; known: camvid11, carla"):
        load_label_set("nyu14")


def test_own_file(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(
        "name: own\nclasses:\n  - {id: 2, name: a, colour: [1, 2, 3]}\n  - {id: 300, name: b, colour: [4, 5, 6]}\n"
    )
    own = load_label_set(path)
    assert own.ids == (2, 300)
    np.testing.assert_array_equal(
        own.colorize(np.array([2, 300, 255, 9999], np.uint16)), [[1, 2, 3], [4, 5, 6], [0] * 3, [0] * 3]
    )
    with pytest.raises(ValueError, match="'own' or 'own' has ids above 255"):
        mapping(own, own)
    path2 = tmp_path / "bad.yaml"
    path2.write_text("name: bad\nclasses:\n  - {id: 2, name: a}\n")
    with pytest.raises(ValueError, match=r"bad.yaml is not a label set \(name, and classes"):
        load_label_set(str(path2))
    with pytest.raises(FileNotFoundError):
        load_label_set(tmp_path / "none.yaml")


def test_two_sets_of_one_name_must_have_the_same_classes():
    colours = np.zeros((2, 3), np.uint8)
    a, b = LabelSet("own", (0, 1), ("wall", "floor"), colours), LabelSet("own", (0, 1), ("floor", "wall"), colours)
    assert mapping(a, a)[:3].tolist() == [0, 1, 255]
    with pytest.raises(ValueError, match="two label sets are named 'own' but have other classes"):
        mapping(a, b)


@pytest.mark.parametrize(
    ("ids", "names", "message"),
    [((0, 0), ("a", "b"), "ascending"), ((1, 0), ("a", "b"), "ascending"), ((0, 255), ("a", "b"), "means unlabelled"),
     ((0, 1), ("a", "a"), "a name twice"), ((0,), ("a", "b"), "as many of each"), ((-1, 0), ("a", "b"), "within 0")],
)  # fmt: skip
def test_bad_label_set(ids, names, message):
    with pytest.raises(ValueError, match=message):
        LabelSet("x", ids, names, np.zeros((len(ids), 3), np.uint8))


def test_same_classes_are_those_of_the_same_ids_and_names():
    colours = np.zeros((2, 3), np.uint8)
    own = LabelSet("own", (1, 2), ("wall", "floor"), colours)
    assert own.same_classes(LabelSet("other", (1, 2), ("wall", "floor"), colours + 9))
    assert not own.same_classes(LabelSet("own", (1, 3), ("wall", "floor"), colours))
    assert not own.same_classes(LabelSet("own", (1, 2), ("floor", "wall"), colours))
    assert not own.same_classes(LabelSet("own", (1, 2, 3), ("wall", "floor", "door"), np.zeros((3, 3), np.uint8)))
