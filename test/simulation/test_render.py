import numpy as np

from scene_understanding.geometry import Pose
from scene_understanding.simulation.building import generate_building
from scene_understanding.simulation.classes import Nyu40
from scene_understanding.simulation.render import Renderer
from scene_understanding.simulation.world import camera_pose


def test_same_seed_same_pixels(camera, frames):
    again = Renderer(generate_building(4))
    for pose, frame in frames[:2]:
        other = again.render(camera, pose, 2.5)
        for name in ("rgb", "depth", "label", "instance"):
            np.testing.assert_array_equal(getattr(frame, name), getattr(other, name))


def test_shapes_and_types(camera, frames):
    for _, frame in frames:
        assert frame.rgb.shape == (camera.height, camera.width, 3) and frame.rgb.dtype == np.uint8
        for name, dtype in (("depth", np.float32), ("label", np.uint8), ("instance", np.uint32)):
            assert getattr(frame, name).shape == (camera.height, camera.width)
            assert getattr(frame, name).dtype == dtype


def test_pictures_are_neither_dark_nor_burnt_out(frames):
    for _, frame in frames:
        assert 40 < frame.rgb.mean() < 215
        assert frame.rgb.std() > 15


def test_floors_and_ceilings_are_where_depth_puts_them(world, camera, frames):
    seen = 0
    for pose, frame in frames:
        points = pose.apply(camera.back_project(frame.depth))
        floor, ceiling = frame.label == Nyu40.FLOOR, frame.label == Nyu40.CEILING
        np.testing.assert_allclose(points[floor][:, 2], 0, atol=0.02)
        np.testing.assert_allclose(points[ceiling][:, 2], world.rooms[0].height, atol=0.02)
        seen += floor.sum() + ceiling.sum()
    assert seen > 500


def test_walls_are_where_the_plan_has_them(world, camera, frames):
    for pose, frame in frames:
        points = pose.apply(camera.back_project(frame.depth))[frame.label == Nyu40.WALL]
        gaps = [np.abs(points[:, None, axis] - room.polygon[None, :, axis]) for room in world.rooms for axis in (0, 1)]
        assert np.concatenate(gaps, axis=1).min(1).max(initial=0) < 0.03


def test_instances_belong_to_their_labels(world, frames):
    pairs = set(zip(world.instance.tolist(), world.label.tolist(), strict=True))
    pairs |= {(p.instance, int(Nyu40.PERSON)) for p in world.people}
    for _, frame in frames:
        seen = np.unique(np.stack([frame.instance.ravel(), frame.label.ravel()]), axis=1)
        assert set(map(tuple, seen.T.tolist())) <= pairs | {(0, 0)}


def test_outside_there_is_nothing(renderer, camera):
    frame = renderer.render(camera, camera_pose(np.array([-50.0, -50.0, 1.0]), np.pi), 0.0)
    assert np.isnan(frame.depth).all()
    assert not frame.label.any() and not frame.instance.any() and not frame.rgb.any()


def test_a_person_is_seen_where_they_stand(world, renderer, camera):
    person, time = world.people[0], 1.0
    xy, heading, _ = person.place(time)
    neck = person.joints(time)[1]
    ahead = np.array([np.cos(heading), np.sin(heading)])
    distance = 0.9
    pose = camera_pose(np.array([*(xy + distance * ahead), neck[2]]), heading + np.pi)
    frame = renderer.render(camera, pose, time)
    middle = (camera.height // 2, camera.width // 2)
    assert frame.label[middle] == Nyu40.PERSON and frame.instance[middle] == person.instance
    assert abs(frame.depth[middle] - distance) < 0.25


def test_each_person_may_have_a_time_of_their_own(world, renderer, camera):
    pose = Pose(world.start.matrix @ camera_pose(np.array([0, 0, 1.0]), 0.0).matrix)
    one = renderer.render(camera, pose, 3.0)
    each = renderer.render(camera, pose, [3.0] * len(world.people))
    np.testing.assert_array_equal(one.rgb, each.rgb)


def test_light_is_finite_everywhere(frames):
    assert all((frame.rgb.reshape(-1, 3).max(1) > 0).mean() > 0.98 for _, frame in frames)
