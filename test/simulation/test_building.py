import numpy as np
import pytest

from scene_understanding.simulation.building import generate_building
from scene_understanding.simulation.classes import Nyu40

NYU13 = {
    "bed": (4,), "books": (23,), "ceiling": (22,), "chair": (5,), "floor": (2, 20),
    "furniture": (3, 10, 12, 15, 17, 24, 32, 39),
    "objects": (18, 19, 21, 26, 27, 29, 30, 34, 35, 37, 40), "picture": (11,), "sofa": (6,), "table": (7, 14),
    "television": (25,), "wall": (1, 8), "window": (9, 13, 16),
}  # fmt: skip


@pytest.fixture(scope="module")
def floors(world):
    return [generate_building(0), world, generate_building(9)]


def test_same_seed_same_world(world, floors):
    again = generate_building(4)
    np.testing.assert_array_equal(world.shape.vertices, again.shape.vertices)
    np.testing.assert_array_equal(world.materials.images, again.materials.images)
    np.testing.assert_array_equal(world.grid.occupied, again.grid.occupied)
    assert floors[0].shape.vertices.shape != world.shape.vertices.shape


def test_floors_have_every_kind_of_thing(floors):
    """A floor may lack one kind, all together lack none."""
    present = [{name for name, ids in NYU13.items() if np.isin(floor.label, ids).any()} for floor in floors]
    assert set.union(*present) == set(NYU13)
    assert min(map(len, present)) >= len(NYU13) - 1


def test_every_room_can_be_reached(floors):
    for floor in floors:
        assert 4 <= len(floor.rooms) <= 9
        assert 2 <= len(floor.people) <= 6
        reachable = floor.grid.reachable(floor.start.translation[:2], 0.28)
        points = floor.grid.centers(np.argwhere(reachable))
        assert all(room.contains(points).any() for room in floor.rooms)


def test_what_a_robot_touches_is_the_mesh_to_the_centimetre(floors):
    for floor in floors:
        grid, contact = floor.grid, floor.contact
        places = grid.centers(np.argwhere(grid.clearance > 0.1))
        assert (np.abs(contact.clearance_at(places) - grid.clearance_at(places)) < 0.06).all()
        assert contact.resolution == 0.01 and contact.occupied.mean() < grid.occupied.mean()
        corners = floor.shape.vertices[floor.shape.triangles]
        solid = (corners[..., 2].max(1) > 0.04) & (corners[..., 2].min(1) < 1.3)
        middles = corners[solid].mean(1)[:, :2]
        inside = (contact.clearance_at(middles) == 0) | (contact.cells(middles) == 0).any(-1)
        assert inside.mean() > 0.9, "all but what lies flat on the walls"


def test_an_instance_has_one_thing_of_one_kind(world):
    """Parts of other classes are allowed only where a thing is made of both, as a counter with its cupboards."""
    pairs = np.unique(np.stack([world.instance, world.label]), axis=1)
    ids, counts = np.unique(pairs[0], return_counts=True)
    several = set(world.label[np.isin(world.instance, ids[counts > 1])].tolist())
    made_of_several = {Nyu40.COUNTER, Nyu40.CABINET, Nyu40.SINK, Nyu40.WINDOW, Nyu40.CURTAIN, Nyu40.BLINDS,
                       Nyu40.OTHER_PROP, Nyu40.TELEVISION}  # fmt: skip
    assert several <= made_of_several


def test_views_are_sane(world):
    rng = np.random.default_rng(0)
    for _ in range(20):
        pose = world.sample_view(rng)
        x, y, z = pose.translation
        assert 0.4 <= z <= 1.7
        assert world.grid.clearance_at((x, y)) > 0.28
        assert abs(pose.rotation[2, 2]) < 0.75  # the optical axis is not far from the horizontal
        assert pose.rotation[2, 1] < -0.6  # the image's down is down


def test_shortest_path_keeps_its_distance(world):
    rng = np.random.default_rng(3)
    a, b = world.sample_point(rng), world.sample_point(rng)
    path = world.grid.shortest_path(a, b, 0.27)
    np.testing.assert_allclose(path[[0, -1]], [a, b])
    for p, q in zip(path[:-1], path[1:], strict=True):
        assert world.grid.line_is_clear(p, q, 0.25)


def test_no_path_through_walls(world):
    outside = world.grid.origin + 0.1
    assert world.grid.shortest_path(world.start.translation[:2], outside, 0.2) is None
