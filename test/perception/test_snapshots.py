"""What virtual cameras see of a cloud."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from scene_understanding.geometry import PinholeCamera, Pose, cone_viewpoints
from scene_understanding.perception.cloud_features import CloudFeatures, cloud_features
from scene_understanding.perception.snapshots import (
    CHANNELS,
    SIDES,
    SPLAT,
    TALL,
    Snapshot,
    SplatCloud,
    pictures,
    take_snapshot,
)

CAMERA = PinholeCamera.from_fov(64, 48, np.radians(60))
DOWN = np.diag([1.0, -1.0, -1.0])
"""Rotation of a camera that looks straight down, the top of its image to the north."""


def plane(z: float, half: float = 5.0, step: float = 0.1) -> NDArray[np.float32]:
    side = np.arange(-half, half, step) + step / 2
    x, y = np.meshgrid(side, side)
    return np.stack([x, y, np.full_like(x, z)], -1).reshape(-1, 3).astype(np.float32)


def from_above(height: float) -> Pose:
    return Pose.from_rotation_translation(DOWN, (0, 0, height))


def brute_force(
    xyz: NDArray[np.float32], camera: PinholeCamera, pose: Pose, spacing: float, near: float, far: float,
    shift: tuple[float, float],
) -> NDArray[np.int32]:  # fmt: skip
    """Point by point, each square, shifted by so many pixels, pixel by pixel; the nearest wins."""
    point = np.full(camera.shape, -1, np.int32)
    depth = np.full(camera.shape, np.inf)
    pixels, z = camera.project(pose.inverse().apply(xyz.astype(np.float64)))
    for i, ((u, v), d) in enumerate(zip(pixels + shift, z, strict=True)):
        if not near < d < far:
            continue
        side = SIDES[min(np.searchsorted(SIDES, SPLAT * spacing * camera.fx / d), len(SIDES) - 1)]
        for row in range(max(int(np.ceil(v - side / 2)), 0), min(int(np.ceil(v + side / 2)), camera.height)):
            for column in range(max(int(np.ceil(u - side / 2)), 0), min(int(np.ceil(u + side / 2)), camera.width)):
                if d < depth[row, column]:
                    point[row, column], depth[row, column] = i, d
    return point


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 400), spacing=st.floats(0.02, 0.6))
def test_every_pixel_has_the_nearest_point_that_covers_it(seed: int, count: int, spacing: float) -> None:
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-4, 4, (count, 3)).astype(np.float32)
    (pose,) = cone_viewpoints(rng, xyz[0], (rng.uniform(2, 9),), (-90, 90))
    snapshot = take_snapshot(xyz, CAMERA, pose, spacing, 0.8, 10.0)
    # In float32 the side of a square may fall on the other side of a pixel's centre.
    shifts = (0, 0), (1e-3, 1e-3), (1e-3, -1e-3), (-1e-3, 1e-3), (-1e-3, -1e-3)
    expected = np.array([brute_force(xyz, CAMERA, pose, spacing, 0.8, 10.0, shift) for shift in shifts])
    assert (snapshot.point == expected).any(axis=0).all()
    assert (snapshot.point == expected[0]).mean() > 0.95
    np.testing.assert_array_equal(np.isnan(snapshot.depth), snapshot.point < 0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_point_of_a_pixel_is_within_its_square(seed: int) -> None:
    rng = np.random.default_rng(seed)
    xyz = (rng.uniform(-6, 6, (3000, 3)) + (4000, -2000, 100)).astype(np.float32)
    spacing = rng.uniform(0.05, 0.5, 3000).astype(np.float32)
    (pose,) = cone_viewpoints(rng, xyz[0], (8.0,), (0, 90))
    snapshot = take_snapshot(xyz, CAMERA, pose, spacing)
    row, column = np.nonzero(snapshot.point >= 0)
    point = snapshot.point[row, column]
    pixel, depth = CAMERA.project(pose.inverse().apply(xyz[point].astype(np.float64)))
    np.testing.assert_allclose(snapshot.depth[row, column], depth, atol=2e-3)
    width = SPLAT * spacing[point] * CAMERA.fx / depth
    reach = np.minimum(1.3 * width + 1, SIDES[-1]) / 2 + 0.05  # the next wider square
    assert (np.abs(pixel - np.column_stack([column, row])) <= reach[:, None]).all()


@pytest.mark.parametrize("height", [3.0, 5.0, 10.0, 20.0, 60.0])
def test_a_plane_hides_what_is_behind_it(height: float) -> None:
    """At any distance, with points anywhere in their voxels."""
    rng = np.random.default_rng(0)
    front = plane(0.0) + np.float32(0.05) * rng.uniform(-1, 1, (10_000, 3)).astype(np.float32)
    behind = plane(-2.0, 4.0)
    snapshot = take_snapshot(np.concatenate([front, behind]), CAMERA, from_above(height), 0.1, 1.0, 100.0)
    x, y = np.moveaxis(CAMERA.rays[..., :2] * height, -1, 0)
    on_plane = np.maximum(np.abs(x), np.abs(y)) < 4.5
    seen = snapshot.point[on_plane]
    assert (seen >= 0).all() and (seen < len(front)).all()


def test_the_image_is_the_right_way_up() -> None:
    xyz = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    snapshot = take_snapshot(xyz, CAMERA, from_above(5.0), 0.05)
    middle, east, north = (np.argwhere(snapshot.point == k).mean(axis=0) for k in range(3))
    assert east[1] > middle[1] and east[0] == middle[0] and north[0] < middle[0] and north[1] == middle[1]
    # The middle is at (23.5, 31.5): its square of two pixels is centred there.
    np.testing.assert_allclose(middle, (23.5, 31.5))


def test_the_nearer_point_wins_whatever_the_order() -> None:
    xyz = np.array([[0, 0, 1], [0, 0, 0], [0, 0, 2]], np.float32)
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        snapshot = take_snapshot(xyz[order], CAMERA, from_above(5.0), 0.1)
        assert order[snapshot.point[24, 32]] == 2
        assert snapshot.depth[24, 32] == pytest.approx(3.0)


def test_near_and_far_are_limits() -> None:
    xyz = np.array([[0, 0, z] for z in (4.5, 3.0, -6.0)], np.float32)
    assert set(np.unique(take_snapshot(xyz, CAMERA, from_above(5.0), 0.1, 1.0, 10.0).point)) == {-1, 1}
    assert set(np.unique(take_snapshot(xyz[2:], CAMERA, from_above(5.0), 0.1, 1.0, 10.0).point)) == {-1}
    assert set(np.unique(take_snapshot(xyz, CAMERA, from_above(5.0), 0.1, 0.1, 10.0).point)) == {-1, 0}


def test_order_of_the_points_changes_their_numbers_alone() -> None:
    rng = np.random.default_rng(2)
    xyz = rng.uniform(-3, 3, (5000, 3)).astype(np.float32)
    shuffled = rng.permutation(5000)
    pose = from_above(7.0)
    one, other = take_snapshot(xyz, CAMERA, pose, 0.1), take_snapshot(xyz[shuffled], CAMERA, pose, 0.1)
    seen = other.point >= 0
    np.testing.assert_array_equal(one.point >= 0, seen)
    np.testing.assert_array_equal(one.point[seen], shuffled[other.point[seen]])


def test_blocks_out_of_sight_change_nothing() -> None:
    rng = np.random.default_rng(3)
    near = np.sort(rng.uniform(-2, 2, (2000, 3)), axis=0).astype(np.float32)
    far = near + np.float32(50)
    cloud = SplatCloud(np.concatenate([near, far]), 0.1)
    for pose in (from_above(8.0), *cone_viewpoints(rng, (0, 0, 0), (3.0, 6.0), (0, 40))):
        np.testing.assert_array_equal(
            cloud.snapshot(CAMERA, pose, 1.0, 20.0).point, take_snapshot(near, CAMERA, pose, 0.1, 1.0, 20.0).point
        )


def test_threads_may_share_a_cloud() -> None:
    cloud = SplatCloud(plane(0.0), 0.1)
    poses = [p for k in range(8) for p in cone_viewpoints(np.random.default_rng(k), (0, 0, 0), (3.0, 6.0))]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pose: cloud.snapshot(CAMERA, pose), poses))
    for snapshot, pose in zip(together, poses, strict=True):
        np.testing.assert_array_equal(snapshot.point, cloud.snapshot(CAMERA, pose).point)


def test_an_empty_cloud_shows_nothing() -> None:
    snapshot = take_snapshot(np.zeros((0, 3), np.float32), CAMERA, from_above(5.0), 0.1)
    assert (snapshot.point == -1).all() and np.isnan(snapshot.depth).all()
    nothing = cloud_features(np.zeros((0, 3), np.float32))
    assert not any(image.any() for image in pictures(snapshot, nothing).values())


@pytest.mark.parametrize(
    ("xyz", "spacing", "message"),
    [
        (np.zeros((4, 2), np.float32), 0.1, r"xyz is \(4, 2\), spacing \(\)"),
        (np.zeros((4, 3), np.float32), np.ones(3, np.float32), r"spacing \(3,\); expected \(N, 3\), and a number or"),
        (np.full((4, 3), np.nan, np.float32), 0.1, "xyz must be finite"),
        (np.zeros((4, 3), np.float32), 0.0, "spacing above 0"),
    ],
)
def test_what_cannot_be_drawn_is_told(xyz: NDArray[np.float32], spacing: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SplatCloud(xyz, spacing)


def test_limits_in_the_wrong_order_are_told() -> None:
    with pytest.raises(ValueError, match="near is 5 m, far 2 m; expected 0 < near < far"):
        take_snapshot(plane(0.0), CAMERA, from_above(3.0), 0.1, 5, 2)


def test_pictures_are_of_the_points_that_are_seen() -> None:
    share = np.array([0.0, 0.2, 0.5, 1.0], np.float32)
    features = CloudFeatures(
        np.zeros((4, 3), np.float32), share, share[::-1], share, 1 - share, share, np.float32(TALL) * 2 * share, share
    )
    point = np.array([[0, 1, 2], [3, -1, 3]], np.int32)
    depth = np.array([[2.0, 3.0, 4.0], [6.0, np.nan, 6.0]], np.float32)
    rgb = np.arange(12, dtype=np.uint8).reshape(4, 3)
    images = pictures(Snapshot(point, depth, CAMERA, Pose.identity()), features, rgb)
    assert images.keys() == CHANNELS.keys()
    assert all(image.dtype == np.uint8 and not image[1, 1].any() for image in images.values())
    composite, shape = images["composite"], images["shape"]
    np.testing.assert_array_equal(composite[..., 0], [[255, 192, 128], [1, 0, 1]])
    np.testing.assert_array_equal(composite[..., 1], [[0, 51, 128], [255, 0, 255]])
    np.testing.assert_array_equal(composite[..., 2], [[255, 128, 51], [0, 0, 0]])
    np.testing.assert_array_equal(shape[0, :, 0], [0, 51, 128])
    np.testing.assert_array_equal(shape[0, :, 1], [255, 204, 128])
    np.testing.assert_array_equal(shape[..., 2], [[0, 102, 255], [255, 0, 255]])
    np.testing.assert_array_equal(images["color"][0], rgb[:3])
    assert "color" not in pictures(Snapshot(point, depth, CAMERA, Pose.identity()), features)
