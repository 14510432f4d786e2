"""NYUv2 and SUN RGB-D as they are published: small files of that layout, written here."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from scene_understanding.datasets.nyuv2_mat import CAMERA, NYUv2Mat
from scene_understanding.datasets.open import open_dataset
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.datasets.sunrgbd import SunRgbd, decode_depth
from scene_understanding.labels import load_label_set

h5py = pytest.importorskip("h5py", reason="h5py is not installed (extra: data)")


def matlab_73(path: Path) -> h5py.File:
    """An HDF5 file with the block of 512 bytes that MATLAB puts before it."""
    return h5py.File(path, "w", userblock_size=512)


def write_nyuv2_mat(folder: Path, count: int = 20) -> Path:
    """Image i (1-based) is red i, 2 m deep but for a hole, floor (11) with strips of wall (21) and unlabelled."""
    folder.mkdir(parents=True, exist_ok=True)
    with matlab_73(folder / "nyu_depth_v2_labeled.mat") as mat:
        images = mat.create_dataset("images", (count, 3, 640, 480), "u1", chunks=(1, 3, 640, 480), compression=1)
        depths = mat.create_dataset("depths", (count, 640, 480), "f4", chunks=(1, 640, 480), compression=1)
        labels = mat.create_dataset("labels", (count, 640, 480), "u2", chunks=(1, 640, 480), compression=1)
        depth, label = np.full((640, 480), 2, np.float32), np.full((640, 480), 11, np.uint16)
        depth[5, 7] = 0  # column 5, row 7
        label[:, :10], label[:, 10:20] = 21, 0
        for i in range(count):
            images[i, 0] = i + 1
            depths[i], labels[i] = depth, label
    map_class = np.full((1, 894), 40, np.uint8)
    map_class[0, 10], map_class[0, 20] = 2, 1
    savemat(folder / "classMapping40.mat", {"mapClass": map_class})
    savemat(
        folder / "splits.mat", {"trainNdxs": np.array([[3], [4]], np.uint16), "testNdxs": np.array([[1]], np.uint16)}
    )
    return folder


def test_nyuv2_mat_sample(tmp_path: Path) -> None:
    dataset = open_dataset(f"nyuv2_mat:{write_nyuv2_mat(tmp_path) / 'nyu_depth_v2_labeled.mat'}")
    assert isinstance(dataset, NYUv2Mat)
    assert (dataset.numbers, dataset.label_set) == ([3, 4], "nyu13")
    sample = dataset[1]
    assert (sample.name, sample.camera) == ("0004", CAMERA)
    assert sample.rgb.shape == (480, 640, 3) and tuple(sample.rgb[100, 100]) == (4, 0, 0)
    assert sample.depth.shape == (480, 640) and np.isnan(sample.depth[7, 5]) and np.nanmin(sample.depth) == 2
    nyu13 = load_label_set("nyu13")
    assert sample.label is not None and sample.label.dtype == np.uint8
    assert [nyu13.name_of(int(i)) for i in sample.label[[0, 15, 400], 0]] == ["wall", "unlabelled", "floor"]
    fine = NYUv2Mat(tmp_path, label_set="nyu40")[0].label
    assert fine is not None and fine[[0, 15, 400], 0].tolist() == [1, 255, 2]


def test_nyuv2_mat_lists(tmp_path: Path) -> None:
    folder = write_nyuv2_mat(tmp_path)
    assert NYUv2Mat(folder, "test").numbers == [1]
    (folder / "mine.txt").write_text("7 9")
    assert NYUv2Mat(folder, "mine").numbers == [7, 9]
    (folder / "splits.mat").unlink()
    with pytest.raises(DatasetError, match="no list 'train' .*known: .*fit.*; splits.mat would give train and test"):
        NYUv2Mat(folder)
    with pytest.raises(DatasetError, match="list 'val' names image 92; .* has 1 to 20"):
        NYUv2Mat(folder, "val")


def test_nyuv2_mat_damage_is_one_clear_line(tmp_path: Path) -> None:
    folder = write_nyuv2_mat(tmp_path)
    whole = folder / "nyu_depth_v2_labeled.mat"
    with h5py.File(whole, "r+") as mat:
        mat["labels"][2, 0, 0] = 900
    with pytest.raises(DatasetError, match="image 3 has label 900, beyond"):
        NYUv2Mat(folder)[0]
    savemat(folder / "classMapping40.mat", {"mapClass": np.full((1, 894), 41, np.uint8)})
    with pytest.raises(DatasetError, match=r"mapClass \(894,\) has values 41 to 41"):
        NYUv2Mat(folder)
    savemat(folder / "classMapping40.mat", {"other": 1})
    with pytest.raises(DatasetError, match="classMapping40.mat has no variable mapClass"):
        NYUv2Mat(folder)
    (folder / "classMapping40.mat").write_bytes(b"no" * 100)
    with pytest.raises(DatasetError, match="classMapping40.mat is damaged"):
        NYUv2Mat(folder)
    (folder / "classMapping40.mat").unlink()
    with pytest.raises(DatasetError, match="classMapping40.mat is missing"):
        NYUv2Mat(folder)
    with matlab_73(whole) as mat:
        mat["images"] = np.zeros((1, 3, 64, 48), np.uint8)
    with pytest.raises(DatasetError, match="has no depths; it has images"):
        NYUv2Mat(folder)
    with matlab_73(whole) as mat:
        mat["images"] = np.zeros((1, 3, 64, 48), np.uint8)
        mat["depths"] = mat["labels"] = np.zeros((1, 64, 48))
    with pytest.raises(DatasetError, match="expected 640x480"):
        NYUv2Mat(folder)
    whole.write_bytes(b"half")
    with pytest.raises(DatasetError, match="damaged or not a MATLAB file of version 7.3"):
        NYUv2Mat(folder)
    with pytest.raises(DatasetError, match="nyu_depth_v2_labeled.mat is missing"):
        NYUv2Mat(folder / "elsewhere" / "nyu_depth_v2_labeled.mat")


def test_without_h5py_the_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)  # as if it were not installed
    with pytest.raises(DatasetError, match=r"needs h5py: pip install 'scene_understanding\[data\]'"):
        NYUv2Mat(tmp_path)


FRAMES = {"kv1/NYUdata/NYU0001": (40, 30), "kv2/kinect2data/0002": (50, 40), "xtion/sun3ddata/a/b/0003": (40, 30)}
DISK = "/n/fs/sun3d/data/SUNRGBD"


def rotated(millimetres: int) -> int:
    """16 bits of `millimetres` rotated left by three, as the dataset stores them."""
    return (millimetres << 3 | millimetres >> 13) & 0xFFFF


def write_sunrgbd(folder: Path) -> Path:
    """Each frame: wall (1) with a floor (2) and an unlabelled corner; depth 1.234 m, 9 m in a row and a hole."""
    tool = folder / "SUNRGBDtoolbox"
    for part in ("Metadata", "traintestSUNRGBD"):
        (tool / part).mkdir(parents=True)
    meta = np.zeros((1, len(FRAMES)), [(name, object) for name in ("depthpath", "rgbpath", "sensorType", "K")])
    with matlab_73(tool / "Metadata/SUNRGBD2Dseg.mat") as mat:
        references = mat.create_dataset("SUNRGBD2Dseg/seglabel", (len(FRAMES), 1), h5py.ref_dtype)
        for k, (frame, (width, height)) in enumerate(FRAMES.items()):
            place = folder / "SUNRGBD" / frame
            for part in ("image", "depth_bfx"):
                (place / part).mkdir(parents=True)
            cv2.imwrite(str(place / f"image/{k}.jpg"), np.full((height, width, 3), (0, 0, 200), np.uint8))
            depth = np.full((height, width), rotated(1234), np.uint16)
            depth[0], depth[1, 0] = rotated(9000), 0
            cv2.imwrite(str(place / f"depth_bfx/{k}_abs.png"), depth)
            (place / "intrinsics.txt").write_text(f"{500 + k} 0 20 0 501 15 0 0 1")
            label = np.ones((width, height), np.uint8)
            label[:, height // 2 :], label[0, 0] = 2, 0
            mat[f"#refs#/{k}"] = label
            references[k, 0] = mat[f"#refs#/{k}"].ref
            meta[0, k] = (f"{DISK}/{frame}/depth/{k}_abs.png", f"{DISK}/{frame}/image/{k}.jpg", "kv1", np.eye(3))
    savemat(tool / "Metadata/SUNRGBDMeta.mat", {"SUNRGBDMeta": meta})
    cells = np.empty((1, 2), object)
    cells[0, :] = [f"{DISK}/{frame}" for frame in list(FRAMES)[::2]]
    one = np.empty((1, 1), object)
    one[0, 0] = f"{DISK}/{list(FRAMES)[1]}/"
    savemat(tool / "traintestSUNRGBD/allsplit.mat", {"alltrain": cells, "alltest": one})
    return folder


def test_sunrgbd_sample(tmp_path: Path) -> None:
    dataset = open_dataset(f"sunrgbd:{write_sunrgbd(tmp_path)}")
    assert (len(dataset), dataset.label_set) == (2, "sunrgbd37")
    sample = dataset[1]
    assert sample.name == "xtion_sun3ddata_a_b_0003"
    assert sample.rgb.shape == (30, 40, 3)
    np.testing.assert_allclose(sample.rgb[5, 5], (200, 0, 0), atol=3)
    assert (sample.camera.fx, sample.camera.fy, sample.camera.shape) == (502, 501, (30, 40))
    assert (sample.depth[0] == 8).all() and np.isnan(sample.depth[1, 0])
    np.testing.assert_allclose(sample.depth[2:], 1.234)
    assert sample.label is not None
    assert sample.label[[0, 1, 20], 0].tolist() == [255, 1, 2]
    assert dataset[0].name == "kv1_NYUdata_NYU0001"


def test_sunrgbd_splits_and_label_sets(tmp_path: Path) -> None:
    folder = write_sunrgbd(tmp_path)
    test = SunRgbd(folder, "test", "nyu13")
    assert test.frames == ["kv2/kinect2data/0002"] and test[0].rgb.shape == (40, 50, 3)
    nyu13, label = load_label_set("nyu13"), test[0].label
    assert label is not None and [nyu13.name_of(int(i)) for i in label[[1, 30], 0]] == ["wall", "floor"]
    (folder / "mine.txt").write_text("kv2/kinect2data/0002\nkv1/NYUdata/NYU0001/\n")
    assert SunRgbd(folder, "mine").frames == ["kv2/kinect2data/0002", "kv1/NYUdata/NYU0001"]


def test_depth_is_rotated_by_three_bits() -> None:
    values = np.array([0, 1, 1234, 7999, 8001, 65535], np.uint16)
    raw = np.array([[rotated(int(value)) for value in values]], np.uint16)
    np.testing.assert_allclose(decode_depth(raw)[0], [np.nan, 0.001, 1.234, 7.999, 8, 8])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no SUNRGBD", "SUNRGBD does not exist"),
        ("no meta", "SUNRGBDMeta.mat is missing"),
        ("other meta", "SUNRGBDMeta has not the published fields"),
        ("no splits", "allsplit.mat is missing"),
        ("no labels", "SUNRGBD2Dseg.mat is missing"),
        ("other labels", "has no SUNRGBD2Dseg/seglabel"),
        ("unknown ids", r"label of kv1/NYUdata/NYU0001 holds ids that are no class: 38 \(1 pixels\)"),
        ("label of another size", r"label of kv1/NYUdata/NYU0001 is \(3, 2\), its image \(40, 30\)"),
        ("no depth", "depth_bfx/0_abs.png is missing"),
        ("depth of another size", "0_abs.png is 8x8; expected 40x30"),
        ("no intrinsics", "intrinsics.txt: No such file"),
        ("short intrinsics", "does not hold 3x3 finite numbers"),
    ],
)
def test_sunrgbd_damage_is_one_clear_line(tmp_path: Path, what: str, message: str) -> None:
    folder = write_sunrgbd(tmp_path / "sun")
    tool, frame = folder / "SUNRGBDtoolbox", folder / "SUNRGBD/kv1/NYUdata/NYU0001"
    labels = tool / "Metadata/SUNRGBD2Dseg.mat"
    if what == "no SUNRGBD":
        (folder / "SUNRGBD").rename(folder / "images")
    elif what == "no meta":
        (tool / "Metadata/SUNRGBDMeta.mat").unlink()
    elif what == "other meta":
        savemat(tool / "Metadata/SUNRGBDMeta.mat", {"SUNRGBDMeta": {"x": 1}})
    elif what == "no splits":
        (tool / "traintestSUNRGBD/allsplit.mat").unlink()
    elif what == "no labels":
        labels.unlink()
    elif what == "other labels":
        with matlab_73(labels) as mat:
            mat["x"] = 1
    elif what in ("unknown ids", "label of another size"):
        with h5py.File(labels, "r+") as mat:
            if what == "unknown ids":
                mat["#refs#/0"][3, 3] = 38
            else:
                del mat["#refs#/0"]
                mat["#refs#/0"] = np.ones((3, 2), np.uint8)
                mat["SUNRGBD2Dseg/seglabel"][0, 0] = mat["#refs#/0"].ref
    elif what == "no depth":
        (frame / "depth_bfx/0_abs.png").unlink()
    elif what == "depth of another size":
        cv2.imwrite(str(frame / "depth_bfx/0_abs.png"), np.ones((8, 8), np.uint16))
    elif what == "no intrinsics":
        (frame / "intrinsics.txt").unlink()
    elif what == "short intrinsics":
        (frame / "intrinsics.txt").write_text("1 2 3")
    with pytest.raises(DatasetError, match=message) as caught:
        SunRgbd(folder)[0]
    assert "\n" not in str(caught.value)
