import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scene_understanding.geometry import PinholeCamera, Pose
from scene_understanding.perception.lifting import SKIN, lift_by_cloud, lift_by_depth
from scene_understanding.simulation.building import generate_building
from scene_understanding.simulation.crowd import Crowd
from scene_understanding.simulation.lidar import Lidar
from scene_understanding.simulation.people import L_WRIST, R_ANKLE, R_ELBOW, R_KNEE, R_WRIST
from scene_understanding.simulation.render import Renderer
from scene_understanding.simulation.sensors import DepthNoise, noisy_depth
from scene_understanding.simulation.simulator import people_truth
from scene_understanding.simulation.world import camera_pose

CAMERA = PinholeCamera(640, 480, 554.0, 554.0, 319.5, 239.5)
FACE = [0, 14, 15, 16, 17]


class View:
    """One person of a building from `distance` metres: what the sensors measure, and the truth."""

    def __init__(self, renderer: Renderer, crowd: Crowd, k: int, around: float, distance: float) -> None:
        xy = crowd.places()[k]
        place = xy + distance * np.array([np.cos(around), np.sin(around)])
        pose = camera_pose(np.array([*place, 1.0]), around + np.pi)
        frame = renderer.render(CAMERA, pose, crowd.times)
        truth = people_truth(crowd, frame, CAMERA, pose)
        self.points = pose.inverse().apply(truth.joints[k : k + 1])
        self.visible = truth.visible[k : k + 1]
        self.pixels = CAMERA.project(self.points)[0]
        self.depth = noisy_depth(frame.depth, CAMERA, DepthNoise(), np.random.default_rng(k))
        map_from_lidar = Pose.from_yaw(*place, around + np.pi, 0.9)
        lidar = Lidar(n_rings=32, lowest=-0.5, highest=0.4)
        self.cloud = lidar.scan(renderer, map_from_lidar, crowd.times).xyz
        self.camera_from_lidar = pose.inverse() @ map_from_lidar

    def seen(self, noise: float = 0.0) -> np.ndarray:
        """(1, 18, 2) keypoints as a network might find them, of what is visible."""
        noisy = self.pixels + np.random.default_rng(0).normal(0, noise, self.pixels.shape)
        return np.where(self.visible[..., None], noisy, np.nan).astype(np.float32)


@pytest.fixture(scope="module")
def views() -> list[View]:
    """Of everybody in a building at 1.5 to 4 m, where there is room and most of them is visible."""
    world = generate_building(4)
    renderer, crowd, result = Renderer(world), Crowd(world.people), []
    for k, xy in enumerate(crowd.places()):
        free = world.grid.ray_distance(xy, np.arange(8) * np.pi / 4, 4.5)
        for turn in np.argsort(-free)[:3]:
            view = View(renderer, crowd, k, float(turn) * np.pi / 4, min(float(free[turn]) - 0.4, 3.8))
            if view.visible.sum() >= 10:
                result.append(view)
    assert len(result) >= 5
    return result


def error(views: list[View], lifted: list[np.ndarray]) -> np.ndarray:
    """(V, 18) metres, NaN where not visible or unknown."""
    return np.concatenate(
        [np.where(v.visible, np.linalg.norm(p - v.points, axis=-1), np.nan) for v, p in zip(views, lifted, strict=True)]
    )


@pytest.mark.parametrize("noise", [0.0, 2.5])
def test_joints_of_the_simulator_by_depth(views, noise: float) -> None:
    lifted = [lift_by_depth(v.seen(noise), v.depth, CAMERA) for v in views]
    assert lifted[0].dtype == np.float32
    off, visible = error(views, lifted), np.concatenate([v.visible for v in views])
    assert np.isfinite(off[visible]).mean() > 0.95
    assert np.nanmedian(off) < 0.05
    assert np.nanquantile(np.delete(off, FACE, axis=1), 0.9) < 0.15


def test_joints_of_the_simulator_by_cloud(views) -> None:
    off = error(views, [lift_by_cloud(v.seen(2.5), v.cloud, v.camera_from_lidar, CAMERA) for v in views])
    visible = np.concatenate([v.visible for v in views])
    assert np.isfinite(off[visible]).mean() > 0.5
    assert np.nanmedian(off) < 0.06


def test_what_is_not_seen_is_unknown(views) -> None:
    view = views[0]
    pixels = view.seen()
    known = np.isfinite(lift_by_depth(pixels, view.depth, CAMERA)).all(-1)
    assert not known[np.isnan(pixels[..., 0])].any()
    assert np.isnan(lift_by_depth(np.full((2, 18, 2), np.nan), view.depth, CAMERA)).all()
    assert np.isnan(lift_by_cloud(np.full((2, 18, 2), np.nan), view.cloud, view.camera_from_lidar, CAMERA)).all()


def figure(z: float = 3.0, wall: float = 3.4) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (1, 18, 2) of a person of cardboard, arms stretched aside, and the depth of it in front of a wall."""
    metres = np.array(
        [[0, -0.75], [0, -0.5], [-0.2, -0.5], [-0.5, -0.5], [-0.75, -0.5], [0.2, -0.5], [0.5, -0.5], [0.75, -0.5],
         [-0.1, 0], [-0.1, 0.4], [-0.1, 0.8], [0.1, 0], [0.1, 0.4], [0.1, 0.8],
         [-0.03, -0.78], [0.03, -0.78], [-0.07, -0.77], [0.07, -0.77]]
    )  # fmt: skip
    pixels = metres * 554 / z + (CAMERA.cx, CAMERA.cy)
    depth = np.full(CAMERA.shape, np.float32(wall))
    boxes = ((-0.18, -0.55, 0.18, 0.05), (-0.8, -0.53, 0.8, -0.47), (-0.15, 0, 0.15, 0.85), (-0.1, -0.85, 0.1, -0.5))
    for low_x, low_y, high_x, high_y in boxes:
        left, right = (int(x * 554 / z + CAMERA.cx) for x in (low_x, high_x))
        top, bottom = (int(y * 554 / z + CAMERA.cy) for y in (low_y, high_y))
        depth[top : bottom + 1, left : right + 1] = z
    return pixels[None], depth


def surface(points: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(1, 18) depth of the skin in front of joints."""
    rays = np.concatenate([(pixels - (CAMERA.cx, CAMERA.cy)) / 554, np.ones((*pixels.shape[:2], 1))], axis=-1)
    return points[..., 2] - SKIN / np.linalg.norm(rays, axis=-1)


def test_joints_are_under_the_skin_on_the_rays_of_their_pixels() -> None:
    pixels, depth = figure()
    points = lift_by_depth(pixels, depth, CAMERA)
    np.testing.assert_allclose(surface(points, pixels), 3.0, atol=1e-5)
    np.testing.assert_allclose(CAMERA.project(points)[0], pixels, atol=1e-3)


def test_a_keypoint_beside_a_thin_arm_is_not_on_the_wall() -> None:
    pixels, depth = figure()
    pixels[0, [R_WRIST, L_WRIST], 1] += (7, -7)  # just off the forearm, which is 11 pixels wide
    np.testing.assert_allclose(surface(lift_by_depth(pixels, depth, CAMERA), pixels), 3.0, atol=1e-5)


def test_holes_are_bridged_along_the_limb() -> None:
    pixels, depth = figure()
    for joint in (R_WRIST, R_KNEE):
        x, y = pixels[0, joint].astype(int)
        depth[y - 9 : y + 10, x - 9 : x + 10] = np.nan if joint == R_KNEE else 0
    np.testing.assert_allclose(surface(lift_by_depth(pixels, depth, CAMERA), pixels), 3.0, atol=1e-5)
    depth[:] = np.nan
    assert np.isnan(lift_by_depth(pixels, depth, CAMERA)).all()


def test_what_something_else_hides_is_unknown() -> None:
    pixels, depth = figure()
    depth[int(pixels[0, R_KNEE, 1]) - 20 :] = 1.2
    points = lift_by_depth(pixels, depth, CAMERA)
    hidden = pixels[..., 1] >= pixels[0, R_KNEE, 1]
    np.testing.assert_array_equal(np.isnan(points[..., 2]), hidden)


def test_a_limb_that_is_too_long_is_unknown() -> None:
    pixels, depth = figure(wall=3.0)  # what is on the wall looks as far away as the body
    pixels[0, R_ANKLE] = (30, 30)
    points = lift_by_depth(pixels, depth, CAMERA)
    assert np.isnan(points[0, R_ANKLE]).all()
    assert np.isfinite(points[0, [R_KNEE, R_ELBOW]]).all()


def test_keypoints_outside_the_image_are_unknown() -> None:
    pixels, depth = figure()
    pixels[0, R_ANKLE] = (-50, 1000)
    points = lift_by_depth(pixels, depth, CAMERA)
    assert np.isnan(points[0, R_ANKLE]).all() and np.isfinite(points[0, R_KNEE]).all()


def test_a_cloud_that_misses_the_body_says_nothing() -> None:
    """Only the wall behind is hit, so far behind that the person would be a giant there."""
    pixels, depth = figure(wall=9.0)
    wall = CAMERA.back_project(np.full(CAMERA.shape, np.float32(9.0)))[::9, ::9].reshape(-1, 3)
    assert np.isnan(lift_by_cloud(pixels, wall, Pose.identity(), CAMERA)).all()
    body = CAMERA.back_project(depth)[::9, ::3].reshape(-1, 3)
    points = lift_by_cloud(pixels, body, Pose.identity(), CAMERA)
    known = np.isfinite(points[..., 2])
    assert known.mean() > 0.9
    np.testing.assert_allclose(surface(points, pixels)[known], 3.0, atol=1e-5)
    assert np.isnan(lift_by_cloud(pixels, np.empty((0, 3), np.float32), Pose.identity(), CAMERA)).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3), st.integers(0, 2**31), st.floats(0, 1))
def test_any_keypoints_on_any_depth(count: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(-1, 6, CAMERA.shape).astype(np.float32)
    depth[rng.random(depth.shape) < share] = np.nan
    pixels = rng.uniform(-100, 700, (count, 18, 2))
    pixels[rng.random((count, 18)) < share] = np.nan
    for points in (
        lift_by_depth(pixels, depth, CAMERA),
        lift_by_cloud(pixels, rng.normal(0, 3, (200, 3)), Pose.identity(), CAMERA),
    ):
        assert points.shape == (count, 18, 3) and points.dtype == np.float32
        assert (np.isnan(points[..., 2]) | (points[..., 2] > 0)).all()
        assert not np.isfinite(points[np.isnan(pixels[..., 0])]).any()
