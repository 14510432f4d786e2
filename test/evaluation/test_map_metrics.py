import numpy as np
import pytest

from scene_understanding.evaluation.map_metrics import Surface, floor_coverage, left_by_people, voxel_scores
from scene_understanding.labels import load_label_set

LABELS = load_label_set("nyu13")
FLOOR, WALL = LABELS.id_of("floor"), LABELS.id_of("wall")
VOXEL = 0.05


@pytest.fixture(scope="module")
def room() -> Surface:
    """A floor of 2 m by 2 m at z = 0 and a wall of 2 m by 1 m at x = 2."""
    vertices = np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0], [2, 0, 1], [2, 2, 1]], np.float32)
    triangles = np.array([[0, 1, 2], [0, 2, 3], [1, 2, 5], [1, 5, 4]])
    return Surface.of_mesh(vertices, triangles, np.array([FLOOR, FLOOR, WALL, WALL], np.uint8))


def voxels(x: tuple[float, float], y: tuple[float, float], z: float) -> np.ndarray:
    axes = [np.arange(low + VOXEL / 2, high, VOXEL) for low, high in (x, y)]
    return np.stack([*(a.ravel() for a in np.meshgrid(*axes)), np.full(len(axes[0]) * len(axes[1]), z)], -1)


def test_points_cover_the_mesh_evenly_and_stay_on_it(room) -> None:
    points = room.tree.data
    assert (np.abs(points[room.label == FLOOR, 2]) < 1e-6).all()
    assert (np.abs(points[room.label == WALL, 0] - 2) < 1e-6).all()
    assert (room.label == FLOOR).mean() == pytest.approx(4 / 6, abs=0.01)
    probes = np.random.default_rng(1).uniform(0, 2, (500, 2))
    gap, _ = room.tree.query(np.pad(probes, ((0, 0), (0, 1))))
    assert gap.max() < 0.075


def test_a_map_that_is_right(room) -> None:
    xyz = np.concatenate([voxels((0, 1.9), (0, 2), 0.0), [[2.0, y, 0.5] for y in np.arange(0.1, 2, 0.05)]])
    label = np.where(xyz[:, 2] > 0.1, WALL, FLOOR)
    scores = voxel_scores(xyz, label, VOXEL, room, LABELS)
    assert scores["miou"] == 1 and scores["off_surface"] == 0 and scores["voxels"] == len(xyz)
    assert {name for name, iou in scores["iou"].items() if iou is not None} == {"floor", "wall"}


def test_wrong_unlabelled_and_floating_voxels_cost(room) -> None:
    xyz = voxels((0, 1.9), (0, 2), 0.0)
    n = len(xyz)
    half = np.where(np.arange(n) < n // 2, FLOOR, WALL)
    assert voxel_scores(xyz, half, VOXEL, room, LABELS)["iou"]["floor"] == pytest.approx(0.5, abs=0.01)
    nothing = np.where(np.arange(n) < n // 2, FLOOR, 255)
    assert voxel_scores(xyz, nothing, VOXEL, room, LABELS)["iou"]["floor"] == pytest.approx(0.5, abs=0.01)
    floating = np.concatenate([xyz, xyz + (0, 0, 0.5)])
    scores = voxel_scores(floating, np.full(2 * n, FLOOR), VOXEL, room, LABELS)
    assert scores["off_surface"] == pytest.approx(0.5, abs=0.02)
    assert scores["iou"]["floor"] == pytest.approx(0.5, abs=0.02)


def test_what_the_classes_of_the_map_do_not_name_does_not_count(room) -> None:
    other = Surface(room.tree, np.where(room.label == WALL, 255, room.label))
    xyz = np.array([[1.0, 1.0, 0.0], [2.0, 1.0, 0.5]])
    assert voxel_scores(xyz, np.array([FLOOR, FLOOR]), VOXEL, other, LABELS)["miou"] == 1


def test_an_empty_map_has_no_score(room) -> None:
    scores = voxel_scores(np.zeros((0, 3)), np.zeros(0, int), VOXEL, room, LABELS)
    assert np.isnan(scores["miou"]) and scores["voxels"] == 0


def test_what_people_leave_is_off_every_surface_and_where_they_were(room) -> None:
    walk = np.stack([np.linspace(0.3, 1.2, 20), np.full(20, 1.0)], -1)
    xyz = np.array([[1.0, 1.0, 0.9], [1.0, 1.3, 1.0], [1.0, 1.5, 0.9], [1.0, 1.0, 0.02], [1.0, 1.0, 2.4]])
    assert left_by_people(xyz, VOXEL, room, walk).tolist() == [True, True, False, False, False]
    assert not left_by_people(xyz, VOXEL, room, np.zeros((0, 2))).any()


def test_coverage_counts_places_in_known_cells() -> None:
    known = np.zeros((4, 6), bool)
    known[:, :3] = True
    places = np.array([[1.05, 2.05], [1.25, 2.35], [1.35, 2.05], [9.0, 9.0]])
    assert floor_coverage(known, (1.0, 2.0), 0.1, places) == 0.5
    assert np.isnan(floor_coverage(known, (1.0, 2.0), 0.1, np.zeros((0, 2))))
