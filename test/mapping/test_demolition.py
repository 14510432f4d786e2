import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scene_understanding.geometry import PointCloud
from scene_understanding.labels import load_label_set
from scene_understanding.mapping.demolition import (
    SCALE,
    DemolitionParameters,
    RubbleScore,
    class_probabilities,
    demolition_colors,
    demolition_map,
    rubble_score,
)
from scene_understanding.simulation.rubble import rubble_world
from scene_understanding.simulation.rubble_scan import Survey, scan_world

LABELS = load_label_set("rubble4")
BUILDING, RUBBLE, TERRAIN, VEGETATION = LABELS.ids
ALONE = DemolitionParameters(prior=0.0)


def cloud(cells):
    """Cell (row, column) of 1 m to the labels of the points in it."""
    xyz = [(c + 0.5, r + 0.5, 0.0) for (r, c), labels in cells.items() for _ in labels]
    label = [n for labels in cells.values() for n in labels]
    return PointCloud(np.array(xyz, np.float32), label=np.array(label, np.uint16))


def mapped(points, parameters=None):
    return demolition_map(points.xyz, class_probabilities(points, LABELS), LABELS, parameters)


def test_share_of_rubble_in_what_is_built():
    found = mapped(cloud({
        (0, 0): [BUILDING] * 6, (0, 1): [RUBBLE] * 6, (0, 2): [TERRAIN] * 6,
        (1, 0): [RUBBLE] * 2 + [BUILDING] * 6 + [VEGETATION] * 4, (1, 1): [RUBBLE] * 2 + [TERRAIN],
    }), ALONE)  # fmt: skip
    np.testing.assert_allclose(found.demolition, [[0, 1, np.nan], [0.25, np.nan, np.nan]])
    np.testing.assert_array_equal(found.label, [[BUILDING, RUBBLE, TERRAIN], [BUILDING, RUBBLE, 255]])
    np.testing.assert_array_equal(found.count, [[6, 6, 6], [12, 3, 0]])
    np.testing.assert_allclose(found.probability[1, 0], [0.5, 1 / 6, 0, 1 / 3], atol=1e-6)
    assert np.isnan(found.probability[1, 2]).all()


def test_little_debris_on_a_street_is_no_building():
    found = mapped(cloud({(0, 0): [RUBBLE] * 4 + [TERRAIN] * 26, (0, 1): [RUBBLE] * 4 + [TERRAIN] * 4}), ALONE)
    np.testing.assert_allclose(found.demolition, [[np.nan, 1]])


def test_few_points_lean_on_those_around():
    few = {(1, 1): [BUILDING] * 3} | {(r, c): [RUBBLE] * 30 for r in range(3) for c in range(3) if (r, c) != (1, 1)}
    many = few | {(1, 1): [BUILDING] * 60}
    middle = [float(mapped(cloud(cells)).demolition[1, 1]) for cells in (few, many)]
    assert middle[0] > 0.4 and middle[1] < 0.1
    assert mapped(cloud(few), ALONE).demolition[1, 1] == 0


points = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3), st.floats(0.3, 1)), min_size=1, max_size=80
)


@given(points)
@settings(max_examples=40, deadline=None)
def test_estimates_are_shares_and_rubble_mirrors_building(rows):
    x, y, label, confidence = (np.array(column) for column in zip(*rows, strict=True))
    xyz = np.stack([x, y, 0 * x], -1).astype(np.float32)
    given_ = PointCloud(xyz, label=label.astype(np.uint16), confidence=confidence.astype(np.float32))
    probability = class_probabilities(given_, LABELS)
    np.testing.assert_allclose(probability.sum(1), 1, atol=1e-5)
    one = demolition_map(xyz, probability, LABELS)
    order = np.random.default_rng(0).permutation(len(xyz))
    shuffled = demolition_map(xyz[order], probability[order], LABELS)
    mirrored = demolition_map(xyz, probability[:, [RUBBLE, BUILDING, TERRAIN, VEGETATION]], LABELS)
    known = np.isfinite(one.demolition)
    assert ((one.demolition[known] >= 0) & (one.demolition[known] <= 1)).all()
    np.testing.assert_allclose(one.demolition, shuffled.demolition, atol=1e-5)
    np.testing.assert_allclose(one.demolition, 1 - mirrored.demolition, atol=1e-5)
    assert one.count.sum() == len(xyz)


def test_probabilities_of_labels():
    given_ = PointCloud(
        np.zeros((3, 3), np.float32), label=np.array([1, 255, 3], np.uint16),
        confidence=np.array([0.7, 0.9, 0.4], np.float32),
    )  # fmt: skip
    expected = [[0.1, 0.7, 0.1, 0.1], [0, 0, 0, 0], [0.2, 0.2, 0.2, 0.4]]
    np.testing.assert_allclose(class_probabilities(given_, LABELS), expected, atol=1e-6)
    with pytest.raises(ValueError, match="no labels"):
        class_probabilities(PointCloud(given_.xyz), LABELS)


def test_cells_lie_where_the_points_are():
    given_ = PointCloud(np.array([[-3.2, 5.1, 0], [-1.4, 7.9, 0]], np.float32), label=np.array([0, 1], np.uint16))
    found = mapped(given_, DemolitionParameters(cell=0.5))
    np.testing.assert_allclose(found.origin, (-3.5, 5.0))
    assert found.count.shape == (6, 5) and found.count[0, 0] == found.count[5, 4] == 1


def test_score_counts_cells():
    truth = mapped(cloud({(0, c): [kind] * 9 for c, kind in enumerate((1, 1, 1, 0, 0, 2))}), ALONE)
    found = mapped(cloud({(0, c): [kind] * 9 for c, kind in enumerate((1, 1, 2, 1, 0, 2))}), ALONE)
    score = rubble_score(found, truth, LABELS)
    assert score == RubbleScore(hit=2, false=1, missed=1, error=1.0, judged=4, unjudged=1)
    assert score.precision == score.recall == 2 / 3 and score.mae == 0.25
    assert score + score == RubbleScore(4, 2, 2, 2.0, 8, 2)
    assert np.isnan(RubbleScore().precision) and np.isnan(RubbleScore().mae)
    with pytest.raises(ValueError, match="same points"):
        rubble_score(found, mapped(cloud({(0, 0): [1]})), LABELS)


def test_true_labels_tell_the_damage_of_the_buildings():
    world = rubble_world(2019)
    found = mapped(scan_world(world, Survey(lines=7, density=12.0), 2019))
    rows, columns = np.nonzero(np.isfinite(found.demolition))
    centers = found.origin + (np.stack([columns, rows], -1) + 0.5) * found.cell
    means = [
        found.demolition[rows, columns][plan.on_bays(plan.footprint, centers) > 0].mean()
        for plan in world.layout.buildings
    ]
    assert np.corrcoef(means, world.damage)[0, 1] > 0.9
    assert max(m for m, d in zip(means, world.damage, strict=True) if d == 0) < 0.3


def test_colours_run_from_blue_to_purple():
    colors = demolition_colors(np.array([0, 0.5, 1, np.nan], np.float32))
    np.testing.assert_array_equal(colors, [SCALE[0], SCALE[2], SCALE[4], (255, 255, 255)])


@pytest.mark.parametrize("wrong", [{"cell": 0.0}, {"least": 0.0}, {"prior": -1.0}, {"share": 1.5}, {"reach": -1.0}])
def test_wrong_parameters_are_told(wrong):
    with pytest.raises(ValueError, match="must be"):
        DemolitionParameters(**wrong)


@pytest.mark.parametrize("far", [1e7, 1e9, 1e30])
def test_a_stray_point_far_away_is_told(far):
    xyz = np.array([(0, 0, 0), (1, 1, 0), (far, -far, 0)], np.float32)
    with pytest.raises(ValueError, match="a cloud of 1e.* m is too wide for cells of 1 m; take stray points away"):
        demolition_map(xyz, np.ones((3, 4), np.float32), LABELS)


def test_wrong_arguments_are_told():
    with pytest.raises(KeyError, match="no class 'building'"):
        demolition_map(np.zeros((1, 3), np.float32), np.ones((1, 5), np.float32), load_label_set("nyu13"))
    with pytest.raises(ValueError, match="expected"):
        demolition_map(np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32), LABELS)
    with pytest.raises(ValueError, match="0 points"):
        demolition_map(np.zeros((0, 3), np.float32), np.ones((0, 4), np.float32), LABELS)
