import numpy as np
import pytest

from scene_understanding.simulation.crowd import PATIENCE, Crowd
from scene_understanding.simulation.mesh import cushion
from scene_understanding.simulation.people import L_ANKLE, L_HIP, L_KNEE, NECK, NOSE, R_ANKLE, R_HIP, R_KNEE

TIMES = (0.0, 0.37, 1.1, 5.5)


@pytest.fixture(scope="module")
def walker(world):
    return next(p for p in world.people if p.walks)


def depth_in_body(shape, points):
    """(N,) metres under the skin of the deepest piece that a point is in; the pieces are convex. Negative: outside."""
    corners = (
        shape.vertices[shape.triangles].astype(float).reshape(-1, len(cushion((1, 1, 1), segments=12).triangles), 3, 3)
    )
    normals = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
    size = np.linalg.norm(normals, axis=-1, keepdims=True)
    outwards = np.sign(np.einsum("ptk,ptk->pt", normals, corners.mean(2) - corners.mean((1, 2))[:, None]))
    unit = normals / np.maximum(size, 1e-12) * outwards[..., None]
    heights = np.einsum("nptk,ptk->npt", points[:, None, None] - corners[None, :, :, 0], unit)
    return -np.where(size[..., 0] > 1e-9, heights, -np.inf).max(2).min(1)


def test_joints_are_inside_the_body(world):
    for person in world.people:
        for time in TIMES:
            depth = depth_in_body(person.mesh(time)[0], person.joints(time))
            assert depth.min() > -0.02
            assert (depth > 0).mean() > 0.8


def test_feet_are_on_the_floor(world):
    for person in world.people:
        for time in TIMES:
            low = person.mesh(time)[0].vertices[:, 2].min()
            assert -0.03 < low < 0.02
            ankles = person.joints(time)[[R_ANKLE, L_ANKLE], 2]
            assert ankles.min() < 0.1


def test_bones_keep_their_length(world):
    for person in world.people:
        lengths = []
        for time in TIMES:
            j = person.joints(time)
            lengths.append(
                [np.linalg.norm(j[a] - j[b]) for a, b in ((R_HIP, R_KNEE), (L_KNEE, L_ANKLE), (L_HIP, R_HIP))]
            )
        np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], (len(TIMES), 3)), atol=1e-9)
        assert person.joints(0.0)[NOSE, 2] > person.joints(0.0)[NECK, 2]


def test_left_is_left(walker):
    """Looking along the heading, the left shoulder is to the left."""
    j, (_, yaw, _) = walker.joints(0.5), walker.place(0.5)
    left = np.array([-np.sin(yaw), np.cos(yaw)])
    assert (j[5, :2] - j[2, :2]) @ left > 0.2
    assert (j[NOSE, :2] - (j[16, :2] + j[17, :2]) / 2) @ [np.cos(yaw), np.sin(yaw)] > 0.05


def test_walkers_keep_to_free_ground(world, walker):
    places = np.array([walker.place(t)[0] for t in np.arange(0, 60, 0.5)])
    assert world.grid.clearance_at(places).min() > 0.2
    speeds = np.linalg.norm(np.diff(places, axis=0), axis=1) / 0.5
    assert speeds.max() <= walker.speed * 1.001


def test_turning_back_stays_in_place(walker):
    for time in (0.0, 3.3, 17.2, 40.0):
        later = walker.turned_back(time)
        (a, yaw_a, _), (b, yaw_b, _) = walker.place(time), walker.place(later)
        assert later >= time
        np.testing.assert_allclose(a, b, atol=1e-6)
        assert abs(np.angle(np.exp(1j * (yaw_a - yaw_b)))) > 3.0


def test_people_wait_for_a_robot_and_then_turn_back(world, walker):
    crowd = Crowd((walker,))
    xy, yaw, _ = walker.place(0.0)
    robot = xy + 0.6 * np.array([np.cos(yaw), np.sin(yaw)])
    crowd.advance(0.5, robot)
    np.testing.assert_array_equal(crowd.times, 0)
    for _ in range(int(PATIENCE / 0.5) + 1):
        crowd.advance(0.5, robot)
    assert crowd.times[0] > 0
    crowd.advance(0.5, robot)
    assert np.linalg.norm(crowd.places()[0] - robot) > 0.6


def test_people_go_their_way_without_a_robot(world):
    crowd = Crowd(world.people)
    crowd.advance(2.0, np.array([-100.0, -100.0]))
    np.testing.assert_array_equal(crowd.times, 2.0)
    assert crowd.joints().shape == (len(world.people), 18, 3)
