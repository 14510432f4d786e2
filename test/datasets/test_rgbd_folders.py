"""NYUv2 and 7-Scenes folders: small ones written here, and the real ones where they are."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from scene_understanding.datasets.nyuv2 import CAMERA, CAMERA_HEIGHT, NYUv2Folder
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.datasets.seven_scenes import SevenScenesFolder
from scene_understanding.geometry import OPTICAL_FROM_BODY
from scene_understanding.labels import load_label_set

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def write_nyuv2(folder: Path, numbers: tuple[int, ...] = (3, 7)) -> Path:
    rng = np.random.default_rng(0)
    for part in ("rgb", "depth", "labels40"):
        (folder / part).mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"rgb/{number:04d}.jpg"), np.full((240, 320, 3), (200, 100, 50), np.uint8))
        depth = rng.integers(800, 5000, (240, 320)).astype(np.uint16)
        depth[0, 0] = 0
        cv2.imwrite(str(folder / f"depth/{number:04d}.png"), depth)
        label = np.full((240, 320), 2, np.uint8)
        label[:10] = (0, 255, 1, 40, 31)[number % 5]
        cv2.imwrite(str(folder / f"labels40/{number:04d}.png"), label)
    (folder / "train.txt").write_text("".join(f"{number:04d}\n" for number in numbers))
    return folder


def write_seven_scenes(folder: Path, numbers: tuple[int, ...] = (10, 0)) -> Path:
    folder.mkdir(parents=True)
    for number in numbers:
        stem = str(folder / f"frame-{number:06d}")
        cv2.imwrite(f"{stem}.color.png", np.full((480, 640, 3), (0, 0, 255), np.uint8))
        depth = np.full((480, 640), 1500, np.uint16)
        depth[0], depth[1] = 0, 65535
        cv2.imwrite(f"{stem}.depth.png", depth)
        pose = np.eye(4)
        pose[:3, 3] = number, 2, 3
        np.savetxt(f"{stem}.pose.txt", pose)
    return folder


def test_nyuv2_sample(tmp_path: Path) -> None:
    dataset = NYUv2Folder(write_nyuv2(tmp_path / "nyu"))
    sample = dataset[1]
    assert (len(dataset), sample.name, dataset[-1].name) == (2, "0007", "0007")
    assert sample.rgb.shape == (240, 320, 3)
    np.testing.assert_allclose(sample.rgb[100, 100], (50, 100, 200), atol=3)  # RGB, not BGR
    assert sample.depth.dtype == np.float32
    assert np.isnan(sample.depth[0, 0])
    assert np.isfinite(sample.depth[1:]).all()
    assert 0.8 <= np.nanmin(sample.depth) < np.nanmax(sample.depth) < 5
    nyu13 = load_label_set("nyu13")
    assert sample.label is not None
    assert nyu13.name_of(int(sample.label[100, 0])) == "floor"
    assert nyu13.name_of(int(sample.label[0, 0])) == "wall"
    assert sample.map_from_camera is None


def test_nyuv2_unlabelled_and_ignored_are_255(tmp_path: Path) -> None:
    dataset = NYUv2Folder(write_nyuv2(tmp_path / "nyu", (5, 6)), label_set="nyu40")
    for k in range(2):
        label = dataset[k].label
        assert label is not None
        assert set(np.unique(label[:10])) == {255}
        assert set(np.unique(label[10:])) == {2}


def test_nyuv2_without_labels_and_with_rotations(tmp_path: Path) -> None:
    folder = write_nyuv2(tmp_path / "nyu")
    for path in (folder / "labels40").iterdir():
        path.unlink()
    (folder / "labels40").rmdir()
    np.savetxt(folder / "camera_rotations_NYU.txt", np.tile(np.eye(3), (7, 1)))
    dataset = NYUv2Folder(folder)
    sample = dataset[0]
    assert sample.label is None and dataset.label_set is None
    assert sample.map_from_camera is not None
    np.testing.assert_allclose(sample.map_from_camera.rotation, OPTICAL_FROM_BODY.T)
    np.testing.assert_allclose(sample.map_from_camera.translation, (0, 0, CAMERA_HEIGHT))


def test_nyuv2_list_of_ones_own(tmp_path: Path) -> None:
    folder = write_nyuv2(tmp_path / "nyu")
    (tmp_path / "mine.txt").write_text("7")
    assert NYUv2Folder(folder, tmp_path / "mine.txt").numbers == [7]


def test_nyuv2_list_in_the_folder_comes_before_ours(tmp_path: Path) -> None:
    folder = write_nyuv2(tmp_path / "nyu", (3, 19))
    assert NYUv2Folder(folder, "val").numbers[:2] == [19, 20]
    (folder / "val.txt").write_text("3")
    assert NYUv2Folder(folder, "val").numbers == [3]


def test_nyuv2_parts_of_ours_share_nothing_with_val(tmp_path: Path) -> None:
    folder = write_nyuv2(tmp_path / "nyu")
    parts = {
        name: NYUv2Folder(folder, name).numbers for name in ("val", "holdout", "fit", "fit100", "fit200", "fit400")
    }
    assert {name: len(numbers) for name, numbers in parts.items()} == {
        "val": 74, "holdout": 99, "fit": 696, "fit100": 100, "fit200": 200, "fit400": 400,
    }  # fmt: skip
    sets = {name: set(numbers) for name, numbers in parts.items()}
    assert sets["fit100"] < sets["fit200"] < sets["fit400"] < sets["fit"]
    assert sets["val"] < sets["holdout"] and not sets["fit"] & sets["holdout"]
    # Neighbours in a run of numbers are of one scene at times: an image held out has never a neighbour in fit.
    assert not {number + step for number in sets["holdout"] for step in (-1, 1)} & sets["fit"]


def test_seven_scenes_sample(tmp_path: Path) -> None:
    dataset = SevenScenesFolder(write_seven_scenes(tmp_path / "scene"))
    assert dataset.numbers == [0, 10]
    sample = dataset[1]
    assert tuple(sample.rgb[0, 0]) == (255, 0, 0)
    assert np.isnan(sample.depth[:2]).all()
    assert sample.depth[2, 0] == pytest.approx(1.5)
    assert sample.map_from_camera is not None
    np.testing.assert_allclose(sample.map_from_camera.translation, (10, 2, 3))
    assert (sample.camera.fx, sample.camera.cx) == (585, 320)


def damage(folder: Path, what: str) -> None:
    if what == "no folder":
        (folder / "train.txt").unlink()
        folder.rename(folder.parent / "elsewhere")
    elif what == "no list":
        (folder / "train.txt").unlink()
    elif what == "words in list":
        (folder / "train.txt").write_text("0003 three")
    elif what == "empty list":
        (folder / "train.txt").write_text("\n")
    elif what == "no image":
        (folder / "rgb/0003.jpg").unlink()
    elif what == "half an image":
        path = folder / "depth/0003.png"
        path.write_bytes(path.read_bytes()[:40])
    elif what == "empty image":
        (folder / "depth/0003.png").write_bytes(b"")
    elif what == "wrong size":
        cv2.imwrite(str(folder / "rgb/0003.jpg"), np.zeros((480, 640, 3), np.uint8))
    elif what == "wrong depth":
        cv2.imwrite(str(folder / "depth/0003.png"), np.zeros((240, 320), np.uint8))
    elif what == "short rotations":
        np.savetxt(folder / "camera_rotations_NYU.txt", np.tile(np.eye(3), (2, 1)))
    elif what == "no rotations":
        (folder / "camera_rotations_NYU.txt").write_text("1 2\n")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no folder", "nyu does not exist"),
        ("no list", "no list 'train' for .*nyu; known: first695, fit, .*, holdout, last100, val; or give the path"),
        ("words in list", "holds 'three', not a number"),
        ("empty list", "is empty"),
        ("no image", "0003.jpg is missing"),
        ("half an image", "0003.png is damaged"),
        ("empty image", "0003.png is damaged"),
        ("wrong size", "0003.jpg is 640x480; expected 320x240"),
        ("wrong depth", "expected uint16"),
        ("short rotations", "2 rotations, none for image 3"),
        ("no rotations", "does not hold rotations"),
    ],
)
def test_nyuv2_damage_is_one_clear_line(tmp_path: Path, what: str, message: str) -> None:
    folder = write_nyuv2(tmp_path / "nyu")
    damage(folder, what)
    with pytest.raises(DatasetError, match=message) as caught:
        NYUv2Folder(folder)[0]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("frame-000000.pose.txt", "1 2 3", "4x4"),
        ("frame-000000.pose.txt", "1 0 0 x", "x"),
        ("frame-000000.pose.txt", " ".join(["nan"] * 16), "finite"),
        ("frame-000000.pose.txt", " ".join(["2 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"]), "no rotation"),
        ("frame-000000.pose.txt", None, "No such file"),
        ("camera-intrinsics.txt", "0 0 320 0 0 240 0 0 1", "focal length"),
    ],
)
def test_seven_scenes_damage_is_one_clear_line(tmp_path: Path, file: str, content: str | None, message: str) -> None:
    folder = write_seven_scenes(tmp_path / "scene")
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    with pytest.raises(DatasetError, match=re.escape(message)) as caught:
        SevenScenesFolder(folder)[0]
    assert "\n" not in str(caught.value)


def test_seven_scenes_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no frame-NNNNNN"):
        SevenScenesFolder(tmp_path)


@pytest.mark.skipif(not (DATA / "nyuv2").is_dir(), reason="NYUv2 is not beside the repository (shared/data/nyuv2)")
def test_real_nyuv2_floors_are_level() -> None:
    """Pixels labelled floor lie in a level plane below the camera: depth, labels, intrinsics and rotations agree."""
    dataset = NYUv2Folder(DATA / "nyuv2")
    assert len(dataset) == 795
    floor = load_label_set("nyu13").id_of("floor")
    tilts, heights = [], []
    for k in range(0, 795, 40):
        sample = dataset[k]
        assert sample.label is not None and sample.map_from_camera is not None
        points = CAMERA.back_project(sample.depth)[sample.label == floor].astype(np.float64)
        if len(points) > 4000:
            points = sample.map_from_camera.apply(points)
            normal = np.linalg.svd(points - points.mean(0), full_matrices=False)[2][2]
            tilts.append(np.degrees(np.arccos(abs(normal[2]))))
            heights.append(points[:, 2].mean())
    assert len(tilts) >= 5
    assert np.median(tilts) < 10
    assert abs(np.median(heights)) < 0.25


@pytest.mark.skipif(not (DATA / "nyuv2").is_dir(), reason="NYUv2 is not beside the repository (shared/data/nyuv2)")
def test_real_nyuv2_holdout_and_fit_are_the_official_training_images() -> None:
    train, holdout, fit = (NYUv2Folder(DATA / "nyuv2", split).numbers for split in ("train", "holdout", "fit"))
    assert sorted([*holdout, *fit]) == train
    runs = np.split(train, np.flatnonzero(np.diff(train) > 1) + 1)
    assert [number for run in runs[2::7] for number in run.tolist()] == holdout


@pytest.mark.skipif(not (DATA / "rgbd_7scenes").is_dir(), reason="7-Scenes is not beside the repository")
def test_real_seven_scenes_frames_see_the_same_room() -> None:
    """Points of one frame, taken to another by the poses, lie on what that frame measured."""
    dataset = SevenScenesFolder(DATA / "rgbd_7scenes")
    assert len(dataset) == 100
    a, b = dataset[20], dataset[21]
    assert a.map_from_camera is not None and b.map_from_camera is not None
    b_from_a = b.map_from_camera.inverse() @ a.map_from_camera
    points = b_from_a.apply(a.camera.back_project(a.depth)[::8, ::8].reshape(-1, 3).astype(np.float64))
    pixels, depth = b.camera.project(points)
    inside = np.isfinite(pixels).all(1) & (pixels >= 0).all(1) & (pixels < (639.4, 479.4)).all(1)
    u, v = np.rint(pixels[inside]).astype(int).T
    residual = np.abs(b.depth[v, u] - depth[inside])
    assert np.nanmedian(residual) < 0.03
