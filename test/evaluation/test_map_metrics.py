import numpy as np
import pytest

from scene_understanding.evaluation.map_metrics import Surface, floor_coverage, left_by_people, voxel_scores
from scene_understanding.labels import load_label_set

LABELS = load_label_set("nyu13")
FLOOR, WALL, CHAIR = (LABELS.id_of(name) for name in ("floor", "wall", "chair"))
VOXEL = 0.1


@pytest.fixture(scope="module")
def surface() -> Surface:
    """A floor of 1 m by 1 m, and a wall of the same size at x = 1."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 1], [1, 1, 1]], np.float32)
    triangles = np.array([[0, 1, 2], [0, 2, 3], [1, 2, 5], [1, 5, 4]])
    return Surface.of_mesh(vertices, triangles, np.array([FLOOR, FLOOR, WALL, WALL], np.uint8))


def on(surface: Surface, label: int) -> np.ndarray:
    """(25, 3) centres of voxels on the floor or on the wall, away from where they meet."""
    a, b = (axis.ravel() for axis in np.meshgrid(np.linspace(0.1, 0.5, 5), np.linspace(0.1, 0.9, 5)))
    return np.stack([a, b, 0 * a] if label == FLOOR else [0 * a + 1, b, 1 - a], -1)


def test_coverage_is_the_share_of_places_in_known_cells() -> None:
    known = np.zeros((2, 4), bool)
    known[0, :3] = True
    places = np.array([[10.1, -4.9], [10.7, -4.9], [10.9, -4.9], [10.1, -4.7], [9.9, -4.9], [12.0, -4.9]])
    assert floor_coverage(known, (10.0, -5.0), 0.25, places) == pytest.approx(2 / 6)
    assert np.isnan(floor_coverage(known, (0, 0), 0.25, np.zeros((0, 2))))


def test_a_surface_has_points_by_area_with_their_labels(surface) -> None:
    points = surface.tree.data
    assert len(points) == pytest.approx(2 / 0.02**2, rel=0.01)
    assert (points[surface.label == FLOOR, 2] == 0).all()
    np.testing.assert_allclose(points[surface.label == WALL, 0], 1)
    assert np.histogram2d(*points[surface.label == FLOOR, :2].T, bins=4)[0].min() > 100


def test_scores_of_a_map_that_is_right(surface) -> None:
    xyz = np.concatenate([on(surface, FLOOR), on(surface, WALL)])
    label = np.repeat([FLOOR, WALL], 25).astype(np.uint16)
    scores = voxel_scores(xyz, label, VOXEL, surface, LABELS)
    assert scores["miou"] == 1 and scores["voxels"] == 50 and scores["off_surface"] == 0
    assert scores["iou"]["floor"] == scores["iou"]["wall"] == 1 and scores["iou"]["chair"] is None


def test_scores_by_hand(surface) -> None:
    xyz = np.concatenate([on(surface, FLOOR), on(surface, WALL), [[0.5, 0.5, 0.6]] * 5])
    label = np.repeat([FLOOR, WALL, FLOOR], (25, 25, 5)).astype(np.uint16)
    label[:10], label[25:30] = CHAIR, 255
    scores = voxel_scores(xyz, label, VOXEL, surface, LABELS)
    assert scores["iou"]["floor"] == pytest.approx(15 / 30) and scores["iou"]["wall"] == pytest.approx(20 / 25)
    assert scores["miou"] == pytest.approx((15 / 30 + 20 / 25) / 2)
    assert scores["off_surface"] == pytest.approx(5 / 55)


def test_an_empty_map_has_no_score(surface) -> None:
    scores = voxel_scores(np.zeros((0, 3)), np.zeros(0, np.uint16), VOXEL, surface, LABELS)
    assert np.isnan(scores["miou"]) and np.isnan(scores["off_surface"]) and scores["voxels"] == 0


def test_people_leave_what_is_off_all_surfaces_where_they_were(surface) -> None:
    xyz = np.array([
        [0.5, 0.5, 1.0],  # a body
        [0.5, 0.5, 0.05],  # the floor under it
        [0.5, 0.5, 2.5],  # above everybody
        [0.1, 0.9, 1.0],  # where nobody was
    ])  # fmt: skip
    left = left_by_people(xyz, VOXEL, surface, np.array([[0.45, 0.45], [0.5, 0.6]]))
    assert left.tolist() == [True, False, False, False]
    assert not left_by_people(xyz, VOXEL, surface, np.zeros((0, 2))).any()
    assert len(left_by_people(xyz[:0], VOXEL, surface, np.zeros((1, 2)))) == 0
