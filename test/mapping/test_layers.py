import numpy as np
import pytest

from scene_understanding.geometry import OPTICAL_FROM_BODY, PinholeCamera, PointCloud, Pose
from scene_understanding.labels import load_label_set
from scene_understanding.mapping.layers import ROUGH_COST, UNSURE, GridLayers, GridParameters
from scene_understanding.mapping.voxel_map import SemanticMap

LABELS = load_label_set("nyu13")
FLOOR, WALL, CHAIR = (LABELS.id_of(name) for name in ("floor", "wall", "chair"))
POSE = Pose.from_rotation_translation(OPTICAL_FROM_BODY.T, (0.0, 0.0, 0.9))
CAMERA = PinholeCamera.from_fov(320, 240, np.deg2rad(70))
CHAIR_BOX = ((1.5, -0.3, 0.0), (1.9, 0.3, 0.6), "chair")


def mapped(cloud: PointCloud, times: int = 4, **grid) -> SemanticMap:
    semantic_map = SemanticMap(LABELS, grid=GridParameters(**grid))
    for _ in range(times):
        semantic_map.integrate(cloud, POSE)
    return semantic_map


def at(layers: GridLayers, x: float, y: float) -> tuple[int, int]:
    row, column = np.floor((np.array([y, x]) - layers.origin[::-1]) / layers.resolution).astype(int)
    return int(row), int(column)


def points(xyz, label: int, semantic_map: SemanticMap, times: int = 3) -> None:
    """Puts single points (N, 3), metres in the map, into the map."""
    place = np.asarray(xyz, np.float32).reshape(-1, 3)
    cloud = PointCloud(place, label=np.full(len(place), label, np.uint16))
    for _ in range(times):
        semantic_map.integrate(cloud, Pose.identity())


def test_walls_are_closed_and_the_floor_is_free(scene) -> None:
    layers = mapped(scene(camera=CAMERA)).layers()
    row, column = at(layers, 3.01, 0.0)
    across = slice(at(layers, 0, -1.5)[0], at(layers, 0, 1.5)[0])
    assert (layers.occupancy[across, column] == 100).all()
    floor = layers.occupancy[
        at(layers, 0, -0.8)[0] : at(layers, 0, 0.8)[0], at(layers, 2.0, 0)[1] : at(layers, 2.8, 0)[1]
    ]
    assert floor.size > 400 and (floor == 0).all()
    assert (layers.occupancy[:, column + 2 :] == -1).all()
    assert layers.label[row, column] == WALL and layers.label[at(layers, 2.0, 0.0)] == FLOOR


def test_things_are_in_the_way_with_their_height_and_class(scene) -> None:
    layers = mapped(scene(CHAIR_BOX, camera=CAMERA)).layers()
    cell = at(layers, 1.52, 0.0)
    assert layers.occupancy[cell] == 100 and layers.label[cell] == CHAIR
    assert layers.obstacle[cell] == pytest.approx(0.6, abs=0.06)
    assert np.isnan(layers.obstacle[at(layers, 2.3, 0.6)]) and layers.floor[at(layers, 2.3, 0.6)] == pytest.approx(
        0, abs=0.01
    )
    assert layers.uncertainty[cell] < 50 and layers.uncertainty[at(layers, 1.97, 0.0)] == -1


@pytest.mark.parametrize(("low", "free"), [(0.03, False), (1.35, True), (1.0, False)])
def test_what_is_low_or_high_is_not_in_the_way(scene, low: float, free: bool) -> None:
    """A beam across, 10 cm thick, at that height above the floor."""
    beam = ((2.2, -2.0, low), (2.3, 2.0, low + 0.1), "table")
    layers = mapped(scene(beam, camera=CAMERA), 8).layers()
    assert (layers.occupancy[at(layers, 2.22, 0.0)] < 100) == free


@pytest.mark.parametrize("name", ["floor", "books"])
@pytest.mark.parametrize("low", [0.07, 0.2])
def test_what_lies_flat_is_in_the_way_whatever_it_is_taken_for(scene, name: str, low: float) -> None:
    slab = ((1.9, -0.2, 0.0), (2.2, 0.2, 0.045), name)
    layers = mapped(scene(slab, camera=CAMERA), 8, low=low).layers()
    cell = at(layers, 2.02, 0.0)
    assert layers.occupancy[cell] == 100 and layers.obstacle[cell] == pytest.approx(0.05, abs=0.01)
    assert layers.occupancy[at(layers, 2.02, 0.6)] == layers.occupancy[at(layers, 2.6, 0.0)] == 0


def test_a_platform_is_no_bump_and_neither_is_a_voxel_of_noise_over_the_floor(scene) -> None:
    platform = ((1.7, -1.0, 0.0), (3.0, 1.0, 0.045), "floor")
    layers = mapped(scene(platform, camera=CAMERA), 8).layers()
    assert layers.occupancy[at(layers, 2.1, 0.0)] == 0
    semantic_map = SemanticMap(LABELS)
    x, y = np.meshgrid(np.arange(1, 2, 0.02), np.arange(-0.5, 0.5, 0.02))
    points(np.stack([x, y, 0 * x], -1), FLOOR, semantic_map)
    noise = x.shape[0] // 2, slice(20, 30)
    points(np.stack([x[noise], y[noise], 0 * x[noise] + 0.05], -1), FLOOR, semantic_map)
    assert (semantic_map.layers().occupancy != 100).all()


def test_a_floor_under_what_was_never_seen_is_not_sure(scene) -> None:
    board = ((1.6, -0.6, 0.88), (2.8, 0.6, 0.92), "table")  # at the height of the eye: its top cannot be seen
    layers = mapped(scene(board, camera=CAMERA), 6).layers()
    under = layers.occupancy[at(layers, 2.3, 0.0)]
    assert under == UNSURE
    assert layers.occupancy[at(layers, 2.3, 1.2)] == 0


def test_a_single_voxel_alone_is_noise_and_three_are_none() -> None:
    semantic_map = SemanticMap(LABELS)
    x, y = np.meshgrid(np.arange(1, 2, 0.02), np.arange(-0.5, 0.5, 0.02))
    points(np.stack([x, y, 0 * x], -1), FLOOR, semantic_map)
    points([1.51, 0.01, 0.3], CHAIR, semantic_map)
    points([[1.21, 0.01, 0.3], [1.26, 0.01, 0.3], [1.31, 0.01, 0.3]], CHAIR, semantic_map)
    layers = semantic_map.layers()
    assert layers.occupancy[at(layers, 1.51, 0.01)] != 100
    assert all(layers.occupancy[at(layers, x, 0.01)] == 100 for x in (1.21, 1.26, 1.31))


def test_small_holes_of_the_floor_are_filled() -> None:
    semantic_map = SemanticMap(LABELS, grid=GridParameters(unseen=2.0))
    x, y = np.meshgrid(np.arange(1.025, 2, 0.05), np.arange(-0.475, 0.5, 0.05))
    kept = np.random.default_rng(0).random(x.shape) > 0.1
    points(np.stack([x, y, 0 * x], -1)[kept], FLOOR, semantic_map)
    occupancy = semantic_map.layers().occupancy
    inner = occupancy[at(semantic_map.layers(), 1.1, -0.4)[0] :][:, at(semantic_map.layers(), 1.1, 0)[1] :]
    assert (inner[:14, :14] == 0).all() and (~kept).sum() > 20


def test_the_floor_is_where_the_robot_is(scene) -> None:
    up = Pose.from_rotation_translation(POSE.rotation, POSE.translation + (0, 0, 3.2))
    storey = SemanticMap(LABELS)
    for _ in range(4):
        storey.integrate(scene(camera=CAMERA), up, ground=3.2)
    layers = storey.layers()
    assert layers.occupancy[at(layers, 2.3, 0.0)] == 0 and layers.floor[at(layers, 2.3, 0.0)] == pytest.approx(
        3.2, abs=0.03
    )


def test_a_floor_that_is_too_high_is_a_step() -> None:
    semantic_map = SemanticMap(LABELS)
    x, y = np.meshgrid(np.arange(1, 2, 0.02), np.arange(-0.5, 0.5, 0.02))
    points(np.stack([x, y, np.where(x > 1.5, 0.2, 0.0)], -1), FLOOR, semantic_map)
    layers = semantic_map.layers()
    assert layers.occupancy[at(layers, 1.71, 0.01)] == 100


def test_where_the_robot_stands_is_free_until_something_is_there() -> None:
    semantic_map = SemanticMap(LABELS)
    semantic_map.stand((0.0, 0.0), 0.2)
    layers = semantic_map.layers()
    free = np.argwhere(layers.occupancy == 0)
    assert 0.9 < len(free) * 0.05**2 / (np.pi * 0.2**2) < 1.1
    points([[0.01, 0.01, z] for z in (0.2, 0.25, 0.3)], CHAIR, semantic_map)
    assert (semantic_map.layers().occupancy == 100).sum() == 1


def test_rough_ground_costs_and_unknown_classes_are_no_floor(scene) -> None:
    rough = mapped(scene(camera=CAMERA), traversable=(), rough=("floor",)).layers()
    neither = mapped(scene(camera=CAMERA), traversable=(), rough=()).layers()
    assert rough.occupancy[at(rough, 2.3, 0.0)] == ROUGH_COST
    assert (neither.occupancy[at(neither, 2.3, 0.0)]) == -1


def test_unlabelled_points_are_in_the_way_but_no_floor(scene) -> None:
    cloud = scene(CHAIR_BOX, camera=CAMERA)
    layers = mapped(PointCloud(cloud.xyz)).layers()
    assert layers.occupancy[at(layers, 1.52, 0.0)] == 100 and layers.occupancy[at(layers, 2.3, 0.6)] == -1
    assert layers.uncertainty[at(layers, 1.52, 0.0)] == 100


def test_what_lies_deep_below_is_not_uncertain() -> None:
    semantic_map = SemanticMap(LABELS)
    points([[1.01, 0.01, z] for z in (-0.39, -0.34)], CHAIR, semantic_map)  # the lowest voxel that is looked at
    assert len(semantic_map.cloud().xyz) == 2 and (semantic_map.layers().uncertainty == -1).all()


def test_only_what_changed_is_worked_out_again(scene, monkeypatch) -> None:
    semantic_map = mapped(scene(camera=CAMERA))
    semantic_map.layers()
    asked = []
    monkeypatch.setattr(semantic_map.columns, "update", lambda blocks, columns: asked.append(len(columns)))
    semantic_map.layers()
    assert not asked
    points([[1.51, 0.01, 0.3]], CHAIR, semantic_map, times=1)
    semantic_map.layers()
    assert asked and asked[0] < 10


def test_a_window_shows_the_same_cells(scene) -> None:
    semantic_map = mapped(scene(camera=CAMERA))
    whole, window = semantic_map.layers(), semantic_map.layers(around=(2.0, 0.0), extent=2.0)
    assert window.occupancy.shape[0] <= 48 and window.occupancy.shape[1] <= 48
    row, column = at(whole, *(window.origin + 1e-6))
    height, width = window.occupancy.shape
    np.testing.assert_array_equal(window.floor, whole.floor[row : row + height, column : column + width])


def test_a_robot_without_height_is_refused() -> None:
    with pytest.raises(ValueError, match="obstacles from 1.0 to 0.5 m"):
        GridParameters(low=1.0, high=0.5)
