"""Labels of LiDAR points by a camera's mask: which points are seen, what hides them, how certain it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scene_understanding.geometry import PinholeCamera, Pose
from scene_understanding.perception.camera_labels import CameraLabelParameters, label_from_camera

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
DATA = Path(__file__).resolve().parents[3] / "shared/data/kitti_object"


def ids() -> np.ndarray:
    """(H, W): left half 1, right half 2."""
    mask = np.full(CAMERA.shape, 1, np.uint8)
    mask[:, 32:] = 2
    return mask


def at(u, v, z) -> np.ndarray:
    """Points (N, 3) that the camera sees at pixels."""
    u, v, z = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, np.float64)) for x in (u, v, z)))
    return np.stack([(u - CAMERA.cx) / CAMERA.fx * z, (v - CAMERA.cy) / CAMERA.fy * z, z], axis=-1)


def wall(z: float, step: int = 2) -> np.ndarray:
    """Points (N, 3) of a wall across the image."""
    v, u = np.mgrid[: CAMERA.height : step, : CAMERA.width : step].reshape(2, -1)
    return at(u, v, z)


def test_points_take_the_class_of_their_pixel() -> None:
    label, confidence = label_from_camera(at([5, 50], [10, 40], 3.0), CAMERA, ids())
    assert label.tolist() == [1, 2] and label.dtype == np.uint16
    assert confidence.tolist() == [1, 1] and confidence.dtype == np.float32


@pytest.mark.parametrize("depth", [None, np.full(CAMERA.shape, 3.0, np.float32)])
def test_what_is_not_in_the_image_has_no_class(depth) -> None:
    points = np.concatenate([at([-1, 64, 10, 10], [10, 10, -1, 48], 3.0), -at(10, 10, 3.0), [[np.nan] * 3, [0, 0, 0]]])
    label, confidence = label_from_camera(points, CAMERA, ids(), None, depth)
    assert (label == 255).all() and (confidence == 0).all()


def test_the_outer_half_of_border_pixels_counts() -> None:
    inside = at([-0.49, 63.49], [-0.49, 47.49], 3.0)
    assert label_from_camera(inside, CAMERA, ids())[0].tolist() == [1, 2]


def test_no_points_is_no_labels() -> None:
    label, confidence = label_from_camera(
        np.empty((0, 3), np.float32), CAMERA, ids(), None, np.ones(CAMERA.shape, "f4")
    )
    assert label.shape == confidence.shape == (0,)


def test_depth_hides_what_is_behind_and_what_is_before() -> None:
    depth = np.full(CAMERA.shape, 3.0, np.float32)
    label, _ = label_from_camera(at(10, 10, [2.0, 2.9, 3.0, 3.1, 4.0]), CAMERA, ids(), None, depth)
    assert label.tolist() == [255, 1, 1, 1, 255]


def test_far_depths_may_differ_by_more() -> None:
    depth = np.full(CAMERA.shape, 10.0, np.float32)
    label, _ = label_from_camera(at(10, 10, [9.6, 10.4, 11.0]), CAMERA, ids(), None, depth)
    assert label.tolist() == [1, 1, 255]


def test_a_point_beside_an_edge_finds_the_pixel_of_its_depth() -> None:
    depth = np.full(CAMERA.shape, 5.0, np.float32)
    depth[:, :32] = 2.0  # class 1 is near, class 2 is far
    label, confidence = label_from_camera(at([31, 32, 34, 29], 20, [5.0, 2.0, 2.0, 5.0]), CAMERA, ids(), None, depth)
    assert label.tolist() == [2, 1, 255, 255]
    assert confidence[:2].tolist() == [0.5, 0.5]  # mask and depth may be out of step here


def test_a_border_between_classes_on_one_surface_is_certain_where_depth_is_known() -> None:
    points = at([31, 32], 20, 3.0)
    depth = np.full(CAMERA.shape, 3.0, np.float32)
    assert label_from_camera(points, CAMERA, ids(), None, depth)[1].tolist() == [1, 1]
    assert label_from_camera(points, CAMERA, ids())[1].tolist() == [0.5, 0.5]


def test_confidence_is_that_of_the_mask() -> None:
    certainty = np.full(CAMERA.shape, 51, np.uint8)
    np.testing.assert_allclose(label_from_camera(at(10, 10, 3.0), CAMERA, ids(), certainty)[1], 0.2)


def test_unlabelled_pixels_label_nothing() -> None:
    mask = np.full(CAMERA.shape, 255, np.uint8)
    label, confidence = label_from_camera(wall(3.0), CAMERA, mask)
    assert (label == 255).all() and (confidence == 0).all()


def test_points_hide_each_other_where_no_depth_is_known() -> None:
    near = at(*np.meshgrid(np.arange(10, 30, 2), np.arange(10, 30, 2)), 2.0).reshape(-1, 3)
    far = wall(6.0)
    depth = np.full(CAMERA.shape, np.nan, np.float32)
    for image in (None, depth):
        label, _ = label_from_camera(np.concatenate([near, far]), CAMERA, ids(), None, image)
        u, v = CAMERA.project(far)[0].T
        behind = (u > 10) & (u < 28) & (v > 10) & (v < 28)
        clear = (u < 4) | (u > 36) | (v < 4) | (v > 36)
        assert (label[: len(near)] == 1).all()
        assert (label[len(near) :][behind] == 255).all() and (label[len(near) :][clear] != 255).all()


def test_a_surface_seen_at_a_slant_does_not_hide_itself() -> None:
    v, u = np.mgrid[26:48:2, 0:64:2].reshape(2, -1)
    floor = at(u, v, CAMERA.fy * 0.6 / (v - CAMERA.cy))  # 0.6 m below the camera, to 14 m
    label, _ = label_from_camera(floor, CAMERA, ids())
    assert (label[floor[:, 2] < 4] != 255).all()


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_order_of_points_does_not_matter(seed: int, with_depth: bool) -> None:
    rng = np.random.default_rng(seed)
    points = at(rng.uniform(-5, 70, 300), rng.uniform(-5, 55, 300), rng.uniform(-1, 8, 300))
    depth = rng.uniform(0.5, 8, CAMERA.shape).astype(np.float32) if with_depth else None
    if depth is not None:
        depth[rng.random(CAMERA.shape) < 0.5] = np.nan
    order = rng.permutation(300)
    for one, other in zip(
        label_from_camera(points, CAMERA, ids(), None, depth),
        label_from_camera(points[order], CAMERA, ids(), None, depth), strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(one[order], other)


def test_no_test_of_occlusion_labels_all_of_the_image() -> None:
    depth = np.full(CAMERA.shape, 1.0, np.float32)
    blind = replace(CameraLabelParameters(), tolerance=np.inf)
    points = np.concatenate([wall(3.0), wall(6.0)])
    assert (label_from_camera(points, CAMERA, ids(), None, depth, blind)[0] != 255).all()
    assert (label_from_camera(points, CAMERA, ids(), None, None, blind)[0] != 255).all()


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="mask is 32x24, the camera 64x48"):
        label_from_camera(wall(3.0), CAMERA, ids()[::2, ::2])
    with pytest.raises(ValueError, match="depth is 32x24, the camera 64x48"):
        label_from_camera(wall(3.0), CAMERA, ids(), None, np.ones((24, 32), np.float32))


@pytest.mark.skipif(not DATA.is_dir(), reason="KITTI is not beside the repository (shared/data/kitti_object)")
@pytest.mark.parametrize(("name", "kind"), [("000000", "Pedestrian"), ("000002", "Misc"), ("000002", "Car")])
def test_real_objects_do_not_bleed_onto_what_is_behind_them(name: str, kind: str) -> None:
    lines = (DATA / f"{name}.calib.txt").read_text().splitlines()
    calib = {key: np.array(values.split(), float) for key, _, values in (line.partition(":") for line in lines if line)}
    p, rectify, velo = calib["P2"].reshape(3, 4), calib["R0_rect"].reshape(3, 3), calib["Tr_velo_to_cam"].reshape(3, 4)
    camera = PinholeCamera(1242, 375, p[0, 0], p[1, 1], p[0, 2], p[1, 2])
    camera_from_lidar = Pose.from_rotation_translation(
        rectify @ velo[:, :3], rectify @ velo[:, 3] + [p[0, 3] / p[0, 0], p[1, 3] / p[1, 1], p[2, 3]]
    )
    xyz = camera_from_lidar.apply(np.fromfile(DATA / f"{name}.velodyne.bin", np.float32).reshape(-1, 4)[:, :3])
    box = next(line.split() for line in (DATA / f"{name}.label_2.txt").read_text().splitlines() if kind in line)
    height, width, length, x, y, z, turn = map(float, box[8:])
    axes = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    offset = (xyz - [x + p[0, 3] / p[0, 0], y, z]) @ axes
    inside = (np.abs(offset[:, [0, 2]]) < (length / 2, width / 2)).all(1)
    inside &= (offset[:, 1] < -0.1) & (offset[:, 1] > -height)  # a tenth of a metre above the ground
    uv, depth = camera.project(xyz)
    column, row = np.clip(np.nan_to_num(np.rint(uv)), 0, (camera.width - 1, camera.height - 1)).astype(int).T
    silhouette = np.zeros(camera.shape, np.uint8)
    silhouette[row[inside], column[inside]] = 1
    silhouette = cv2.dilate(silhouette, np.ones((5, 5), np.uint8))
    behind = (silhouette[row, column] == 1) & (depth > z + length / 2 + 2) & (row > 0) & (column > 0)
    label, _ = label_from_camera(xyz, camera, cv2.dilate(silhouette, np.ones((9, 9), np.uint8)))
    assert inside.sum() > 50 and behind.sum() > 5
    assert (label[inside] == 1).mean() > 0.95
    assert (label[behind] == 255).mean() > 0.9
