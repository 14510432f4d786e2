"""A folder of one's own: what it gives, and one clear line for everything that can be wrong with it."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from scene_understanding.datasets.folder import FolderDataset, read_camera, write_camera, write_label_set
from scene_understanding.datasets.open import open_dataset
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.geometry import PinholeCamera
from scene_understanding.labels import LabelSet, load_label_set

CAMERA = PinholeCamera(8, 6, 10.0, 11.0, 3.5, 2.5)
NAMES = ("b", "a", "c.1")
LABELS = """\
name: shelf
classes:
  - {id: 1, name: shelf, colour: [255, 0, 0]}
  - {id: 7, name: bottle, colour: [0, 255, 0]}
"""


def write_folder(folder: Path) -> Path:
    for part in ("rgb", "depth", "label"):
        (folder / part).mkdir(parents=True)
    for name in NAMES:
        cv2.imwrite(str(folder / f"rgb/{name}.png"), np.full((6, 8, 3), (3, 2, 1), np.uint8))
        depth = np.full((6, 8), 1500, np.uint16)
        depth[0, :2] = 0, 65535
        cv2.imwrite(str(folder / f"depth/{name}.png"), depth)
        label = np.full((6, 8), 7, np.uint8)
        label[0, :2] = 1, 255
        cv2.imwrite(str(folder / f"label/{name}.png"), label)
    (folder / "labels.yaml").write_text(LABELS)
    write_camera(folder / "camera.yaml", CAMERA)
    (folder / "train.txt").write_text("c.1\na\n")
    return folder


def test_samples_are_what_the_files_hold(tmp_path: Path) -> None:
    dataset = open_dataset(f"folder:{write_folder(tmp_path)}")
    assert [sample.name for sample in (dataset[0], dataset[1], dataset[-1])] == ["a", "b", "c.1"]
    sample = dataset[0]
    assert sample.rgb.dtype == np.uint8 and tuple(sample.rgb[0, 0]) == (1, 2, 3)
    assert sample.depth.dtype == np.float32
    assert np.isnan(sample.depth[0, :2]).all() and (sample.depth[1:] == 1.5).all()
    assert sample.label is not None and sample.label.dtype == np.uint8
    assert sample.label[0, :3].tolist() == [1, 255, 7]
    assert sample.camera == CAMERA and sample.map_from_camera is None
    assert dataset.label_set == str(tmp_path / "labels.yaml")
    assert load_label_set(dataset.label_set).names == ("shelf", "bottle")


def test_a_list_has_its_own_order(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    assert FolderDataset(folder, "train").names == ["c.1", "a"]
    (tmp_path / "mine.list").write_text("b")
    assert FolderDataset(folder, tmp_path / "mine.list").names == ["b"]


def test_labels_of_a_known_set_are_regrouped(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    write_label_set(folder / "labels.yaml", load_label_set("nyu40"))
    label = FolderDataset(folder, label_set="nyu13")[0].label
    nyu13 = load_label_set("nyu13")
    assert label is not None and [nyu13.name_of(int(i)) for i in label[0, :3]] == ["wall", "unlabelled", "table"]
    assert FolderDataset(folder).label_set == "nyu40"
    (folder / "labels.yaml").unlink()  # then the files are said to be in the set that is wished for
    dataset = FolderDataset(folder, label_set="nyu40")
    assert dataset.label_set == "nyu40"
    np.testing.assert_array_equal(dataset[0].label[0, :3], [1, 255, 7])


def test_depth_labels_and_camera_are_optional(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_folder(tmp_path)
    for part in ("depth", "label"):
        shutil.rmtree(folder / part)
    (folder / "camera.yaml").unlink()
    cv2.imwrite(str(folder / "rgb/b.png"), np.zeros((60, 80, 3), np.uint8))  # sizes may differ then
    with caplog.at_level(logging.WARNING):
        dataset = FolderDataset(folder)
    assert "a camera of 60 degrees across is assumed" in caplog.text
    assert dataset.label_set is None
    with pytest.raises(DatasetError, match="has no label folder, so no labels in 'nyu13'"):
        FolderDataset(folder, label_set="nyu13")
    for sample, width in ((dataset[0], 8), (dataset[1], 80)):
        assert sample.label is None and np.isnan(sample.depth).all()
        assert sample.camera == PinholeCamera.from_fov(width, width * 3 // 4, np.radians(60))


def test_a_frame_may_have_a_camera_and_a_pose(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    for part in ("camera", "pose"):
        (folder / part).mkdir()
    other = PinholeCamera(8, 6, 20.0, 20.0, 4.0, 3.0)
    write_camera(folder / "camera/b.yaml", other)
    pose = np.eye(4)
    pose[:3, 3] = 1, 2, 3
    for name in NAMES:
        np.savetxt(folder / f"pose/{name}.txt", pose)
    dataset = FolderDataset(folder)
    assert (dataset[0].camera, dataset[1].camera) == (CAMERA, other)
    assert dataset[0].map_from_camera is not None
    np.testing.assert_allclose(dataset[0].map_from_camera.matrix, pose)


def test_strangers_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_folder(tmp_path)
    shutil.copy(folder / "label/a.png", folder / "label/z.png")
    with caplog.at_level(logging.WARNING):
        FolderDataset(folder)
    assert "1 files have no image of their name in rgb, the first is z.png" in caplog.text


def test_camera_and_label_set_survive_their_files(tmp_path: Path) -> None:
    for camera in (PinholeCamera(320, 240, 259.43, 1 / 3, 162, -1.5), PinholeCamera.from_fov(320, 240, 1.0)):
        write_camera(tmp_path / "camera.yaml", camera)
        assert read_camera(tmp_path / "camera.yaml") == camera
    own = LabelSet("mine", (0, 3), ("yes", "no"), np.array([[1, 2, 3], [4, 5, 6]], np.uint8))
    write_label_set(tmp_path / "labels.yaml", own)
    read = load_label_set(tmp_path / "labels.yaml")
    assert (read.name, read.ids, read.names) == (own.name, own.ids, own.names)
    np.testing.assert_array_equal(read.colours, own.colours)


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def rename_labels(folder: Path) -> None:
    for path in (folder / "label").iterdir():
        path.rename(path.with_name(f"{path.stem}_label.png"))


def damage(folder: Path, what: str) -> None:
    image, label, depth = (folder / name for name in ("rgb/a.png", "label/a.png", "depth/a.png"))
    {
        "no folder": lambda: folder.rename(folder.with_name("elsewhere")),
        "no rgb folder": lambda: (folder / "rgb").rename(folder / "images"),
        "no images": lambda: empty(folder / "rgb"),
        "no labels": lambda: empty(folder / "label"),
        "one name twice": lambda: shutil.copy(image, folder / "rgb/a.jpg"),
        "names that do not fit": lambda: rename_labels(folder),
        "label missing": label.unlink,
        "depth missing": depth.unlink,
        "label of another size": lambda: cv2.imwrite(str(label), np.ones((12, 16), np.uint8)),
        "depth of another size": lambda: cv2.imwrite(str(depth), np.ones((12, 16), np.uint16)),
        "image of another size": lambda: cv2.imwrite(str(image), np.ones((12, 16, 3), np.uint8)),
        "depth of 8 bit": lambda: cv2.imwrite(str(depth), np.ones((6, 8), np.uint8)),
        "label in colours": lambda: cv2.imwrite(str(label), np.ones((6, 8, 3), np.uint8)),
        "unknown ids": lambda: cv2.imwrite(str(label), np.tile(np.uint8([[1, 2, 9, 7]]), (6, 2))),
        "broken image": lambda: image.write_bytes(image.read_bytes()[:30]),
        "no label set": (folder / "labels.yaml").unlink,
        "no such label set": lambda: (folder / "labels.yaml").write_text("name: x\nclasses: [{id: 1}]"),
        "a known name": lambda: (folder / "labels.yaml").write_text(LABELS.replace("shelf", "nyu13", 1)),
        "id 255": lambda: (folder / "labels.yaml").write_text(LABELS.replace("7", "255")),
        "big ids": lambda: (folder / "labels.yaml").write_text(LABELS.replace("7", "700")),
        "no camera": lambda: (folder / "camera.yaml").write_text("width: 8\nheight: 6\nfx: 1\nfy: 1\n"),
        "a wrong camera": lambda: (folder / "camera.yaml").write_text(
            "{width: 8, height: 6, fx: 0, fy: 1, cx: 1, cy: 1}"
        ),
        "no yaml": lambda: (folder / "camera.yaml").write_text("{"),
        "no list": (folder / "train.txt").unlink,
        "empty list": lambda: (folder / "train.txt").write_text(" \n"),
        "list of others": lambda: (folder / "train.txt").write_text("a\nx\ny"),
    }[what]()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no folder", "folder: folder .*own does not exist"),
        ("no rgb folder", "own/rgb does not exist"),
        ("no images", "own/rgb holds no .png or .jpg"),
        ("no labels", "own/label holds no .png"),
        ("one name twice", "a.png and a.jpg have one name"),
        ("names that do not fit", "no name of .*own/label is in rgb: a_label.png beside a.png"),
        ("label missing", "label/a.png is missing"),
        ("depth missing", "depth/a.png is missing"),
        ("label of another size", "label/a.png is 16x12; expected 8x6"),
        ("depth of another size", "depth/a.png is 16x12; expected 8x6"),
        ("image of another size", "rgb/a.png is 16x12; expected 8x6"),
        ("depth of 8 bit", r"depth/a.png holds uint8\(6, 8\); expected uint16"),
        ("label in colours", r"label/a.png holds uint8\(6, 8, 3\); expected uint8, 1 channel"),
        ("unknown ids", r"label/a.png holds ids that are no class: 2 \(12 pixels\), 9 \(12 pixels\)"),
        ("broken image", "rgb/a.png is damaged"),
        ("no label set", "labels.yaml is missing; add it, or choose the label set of the labels: .*nyu13"),
        ("no such label set", "is not a label set"),
        ("a known name", "is named nyu13 but has other classes"),
        ("id 255", "gives id 255 to a class"),
        ("big ids", "ids above 255"),
        ("no camera", "camera.yaml is no camera .*: 'cx'"),
        ("a wrong camera", "camera.yaml is no camera .*focal length"),
        ("no yaml", "camera.yaml is no camera"),
        ("no list", "no list 'train' for .*own; known: none; or give the path"),
        ("empty list", "train.txt is empty"),
        ("list of others", "train.txt names x and 1 more, not in .*own/rgb"),
    ],
)
def test_what_is_wrong_is_one_clear_line(tmp_path: Path, what: str, message: str) -> None:
    folder = write_folder(tmp_path / "own")
    damage(folder, what)
    with pytest.raises(DatasetError, match=message) as caught:
        FolderDataset(folder, "train" if "list" in what else None)[0]
    assert "\n" not in str(caught.value)


def test_no_mapping_to_the_label_set_that_is_wished_for(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no mapping from 'shelf' to 'nyu13'"):
        FolderDataset(write_folder(tmp_path), label_set="nyu13")
