"""`data check`, `data picture` and `data prepare`, as users and programs see them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from scene_understanding.cli import main
from scene_understanding.datasets.open import open_dataset
from scene_understanding.datasets.picture import contact_sheet, depth_colours
from scene_understanding.labels import load_label_set

NUMBERS = range(1, 6)


def call(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in ("data", *arguments)])
    out, err = capfd.readouterr()
    return int(exit_.value.code or 0), out, err


def call_json(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    code, out, err = call(capfd, *arguments, "--json")
    assert out, err
    (line,) = out.splitlines()
    return code, json.loads(line)


@pytest.fixture()
def nyu(tmp_path: Path) -> Path:
    """Five images: wall above, floor below, a strip without label; 2 m deep, a hole; image 2 with a bed."""
    folder = tmp_path / "nyu"
    for part in ("rgb", "depth", "labels40"):
        (folder / part).mkdir(parents=True)
    for number in NUMBERS:
        rgb = np.zeros((240, 320, 3), np.uint8)
        rgb[:, :160] = (250, 10, 120)  # BGR
        cv2.imwrite(str(folder / f"rgb/{number:04d}.jpg"), rgb)
        depth = np.full((240, 320), 2000, np.uint16)
        depth[:24] = 0
        cv2.imwrite(str(folder / f"depth/{number:04d}.png"), depth)
        label = np.ones((240, 320), np.uint8)
        label[120:], label[:24] = 2, 0
        if number == 2:
            label[180:] = 4
        cv2.imwrite(str(folder / f"labels40/{number:04d}.png"), label)
    (folder / "train.txt").write_text("1 2 3\n")
    (folder / "val.txt").write_text("4 5\n")
    np.savetxt(folder / "camera_rotations_NYU.txt", np.tile(np.eye(3), (5, 1)))
    return folder


def test_check_counts(nyu: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, report = call_json(capfd, "check", f"nyuv2:{nyu}", "--split", "train")
    assert code == 0
    assert (report["frames"], report["good"], report["errors"]) == (3, 3, [])
    assert report["sizes"] == {"320x240": 3}
    assert report["depth"] == pytest.approx(
        {"known": 0.9, "min": 2.0, "p1": 2.0, "median": 2.0, "p99": 2.0, "max": 2.0}
    )
    assert (report["label_set"], report["unlabelled"]) == ("nyu13", pytest.approx(0.1))
    assert report["classes"]["wall"] == {"share": pytest.approx(96 / 216), "images": 3}
    assert report["classes"]["bed"] == {"share": pytest.approx(60 / 216 / 3), "images": 1}
    assert report["classes"]["tv"] == {"share": 0, "images": 0}
    code, out, _ = call(capfd, "check", f"nyuv2:{nyu}", "--label-set", "nyu40")
    assert code == 0
    assert "3 frames: 3 of 320x240" in out and "labels nyu40, 10.0 % unlabelled" in out and "no errors" in out


def test_check_names_every_fault_and_goes_on(nyu: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (nyu / "depth/0001.png").unlink()
    cv2.imwrite(str(nyu / "rgb/0003.jpg"), np.zeros((24, 32, 3), np.uint8))
    code, report = call_json(capfd, "check", f"nyuv2:{nyu}")
    assert (code, report["frames"], report["good"]) == (1, 3, 1)
    assert [error.split("/")[-1] for error in report["errors"]] == [
        "0001.png is missing", "0003.jpg is 32x24; expected 320x240",
    ]  # fmt: skip
    assert report["classes"]["bed"]["images"] == 1
    cv2.imwrite(str(nyu / "labels40/0002.png"), np.full((240, 320), 41, np.uint8))
    code, out, _ = call(capfd, "check", f"nyuv2:{nyu}")
    assert code == 1
    assert (
        "3 errors" in out and "none could be read" in out and "no depth" in out and "ids that are no class: 41" in out
    )


def test_prepared_is_the_same_but_for_its_size(nyu: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    code, report = call_json(
        capfd, "prepare", f"nyuv2:{nyu}", out, "--split", "train", "--split", "val", "--size", "160x120"
    )
    assert code == 0
    assert (report["frames"], report["lists"], report["label_set"]) == (5, {"train": 3, "val": 2}, "nyu13")
    assert not (tmp_path / "out.part").exists()
    for split in ("train", "val"):
        before, after = open_dataset(f"nyuv2:{nyu}", split), open_dataset(f"folder:{out}", split)
        assert (len(after), after.label_set) == (len(before), "nyu13")
        for k in range(len(before)):
            a, b = before[k], after[k]
            assert (a.name, a.camera.resized(160, 120)) == (b.name, b.camera)
            assert a.label is not None and b.label is not None
            np.testing.assert_array_equal(a.label[1::2, 1::2], b.label)
            np.testing.assert_array_equal(a.depth[1::2, 1::2], b.depth)
            np.testing.assert_allclose(a.rgb[1::2, 1:140:2], b.rgb[:, :70], atol=3)
            assert a.map_from_camera is not None and b.map_from_camera is not None
            np.testing.assert_allclose(a.map_from_camera.matrix, b.map_from_camera.matrix, atol=1e-6)
    assert call(capfd, "check", f"folder:{out}")[0] == 0


def test_prepared_without_depth_and_with_cameras_that_differ(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "own", tmp_path / "out"
    (source / "rgb").mkdir(parents=True)
    for name, size in (("a", (6, 8)), ("b", (60, 80))):
        cv2.imwrite(str(source / f"rgb/{name}.png"), np.zeros((*size, 3), np.uint8))
    code, report = call_json(capfd, "prepare", f"folder:{source}", out)
    assert (code, report["frames"], report["lists"], report["label_set"]) == (0, 2, {}, None)
    assert sorted(path.name for path in out.iterdir()) == ["camera", "camera.yaml", "rgb"]
    before, after = open_dataset(f"folder:{source}"), open_dataset(f"folder:{out}")
    for k in range(2):
        assert before[k].camera == after[k].camera and after[k].label is None


def test_a_fault_leaves_nothing_behind(nyu: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (nyu / "labels40/0003.png").unlink()
    code, out, err = call(capfd, "prepare", f"nyuv2:{nyu}", tmp_path / "out")
    assert (code, out) == (2, "") and "labels40/0003.png is missing" in err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["nyu"]


def test_what_lies_there_is_never_touched(nyu: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("out", "other.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious.txt").write_text("mine")
    for name, found in (("out", "out"), ("other", "other.part")):
        code, out, err = call(capfd, "prepare", f"nyuv2:{nyu}", tmp_path / name)
        assert (code, out) == (2, "") and f"{tmp_path / found} is there already" in err
        assert [path.name for path in (tmp_path / found).iterdir()] == ["precious.txt"]


def test_names_with_spaces_are_listed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "own", tmp_path / "out"
    (source / "rgb").mkdir(parents=True)
    for name in ("my photo", "b"):
        cv2.imwrite(str(source / f"rgb/{name}.png"), np.zeros((6, 8, 3), np.uint8))
    (source / "train.txt").write_text("my photo\r\n\nb\n")
    code, report = call_json(capfd, "prepare", f"folder:{source}", out, "--split", "train")
    assert (code, report["lists"]) == (0, {"train": 2})
    prepared = open_dataset(f"folder:{out}", "train")
    assert [prepared[k].name for k in range(2)] == ["my photo", "b"]


def test_picture(nyu: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "sheet.png"
    code, report = call_json(capfd, "picture", f"nyuv2:{nyu}", "--out", out, "--count", 3)
    assert code == 0 and report["frames"] == ["0001", "0002", "0003"]
    image = cv2.imread(str(out))
    assert list(image.shape[1::-1]) == report["size"]
    np.testing.assert_allclose(image[100, 100], (250, 10, 120), atol=3)
    assert (image[5, 400] == 0).all()  # unknown depth
    palette = load_label_set("nyu13").palette[:, ::-1]
    nyu13 = load_label_set("nyu13")
    assert image[60, 700].tolist() == palette[nyu13.id_of("wall")].tolist()
    assert image[200, 1700].tolist() == palette[nyu13.id_of("bed")].tolist()  # image 2 is on the right
    assert call(capfd, "picture", f"nyuv2:{nyu}", "--out", out)[0] == 2
    assert call(capfd, "picture", f"nyuv2:{nyu}", "--out", out, "--force")[0] == 0


def test_picture_without_depth_and_labels(tmp_path: Path) -> None:
    (tmp_path / "rgb").mkdir()
    cv2.imwrite(str(tmp_path / "rgb/a.png"), np.full((6, 8, 3), 90, np.uint8))
    sheet = contact_sheet([open_dataset(f"folder:{tmp_path}")[0]], None)
    assert sheet.shape[1] == 320 and (sheet[200, 200] == 90).all()


def test_depth_colours() -> None:
    colours = depth_colours(np.array([[1.0, 3.0, np.nan, 9.0]], np.float32), 1, 3)[0]
    assert colours[0, 2] > colours[0, 0] and colours[1, 0] > colours[1, 2]  # near blue, far red
    assert not colours[2].any() and (colours[3] == colours[1]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "nyuv2:/nowhere"], "folder /nowhere does not exist"),
        (["check", "kitti:/x"], "kinds are nyuv2"),
        (["check", "{nyu}", "--split", "test"], "no list 'test' for .*known: .*fit, .*train, val"),
        (["check", "{nyu}", "--label-set", "camvid11"], "no mapping from 'nyu40' to 'camvid11'"),
        (["picture", "{nyu}", "--out", "x.bmp"], "x.bmp does not end in .png or .jpg"),
        (["picture", "{nyu}", "--out", "x.png", "--count", "0"], "count is 0"),
        (["prepare", "{nyu}", "out", "--size", "320"], "size is '320'; expected WIDTHxHEIGHT"),
        (["prepare", "{nyu}", "out", "--size", "0x5"], "size is '0x5'"),
        (["prepare", "{nyu}", "out", "--split", "val", "--split", "val"], "two splits would get one list: val, val"),
        (["prepare", "{nyu}", "."], "is there already; choose another folder"),
    ],
)
def test_mistakes_are_one_line_and_code_2(
    nyu: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, err = call(capfd, *(argument.replace("{nyu}", f"nyuv2:{nyu}") for argument in arguments))
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert re.search(message, line), line
