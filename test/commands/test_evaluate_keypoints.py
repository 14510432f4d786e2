"""`evaluate` of keypoints: LSP and the embedded world, files, the card, and wishes that cannot be met."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from scipy.io import savemat

from scene_understanding.cli import main
from scene_understanding.commands import evaluate_keypoints
from scene_understanding.commands.scoring import default_split
from scene_understanding.datasets.lsp import COCO18_OF_LSP
from scene_understanding.datasets.people import PeopleSample

JOINTS = {"shoulder", "elbow", "wrist", "hip", "knee", "ankle", "neck"}


def call(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any], str]:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in ("evaluate", *arguments)])
    out, err = capfd.readouterr()
    return int(done.value.code or 0), json.loads(out.splitlines()[-1]) if "--json" in arguments and out else {}, err


@pytest.fixture
def lsp(tmp_path: Path, tiny_people: Callable[..., PeopleSample]) -> Path:
    """Five images, as PNG in spite of their names; in the last one, which is `val`, the left wrist is elsewhere."""
    folder = tmp_path / "lsp"
    (folder / "images").mkdir(parents=True)
    joints = np.zeros((3, 14, 5))
    for k in range(5):
        sample = tiny_people((8 + 2 * k, 3))
        rgb = cv2.imencode(".png", sample.rgb)[1]
        (folder / f"images/im{k + 1:04d}.jpg").write_bytes(rgb.tobytes())
        joints[:2, :13, k] = sample.pixels[0, COCO18_OF_LSP, :].T
    joints[1, 11, 4] += 60
    savemat(folder / "joints.mat", {"joints": joints})
    return folder


@pytest.fixture
def world(tiny_people: Callable[..., PeopleSample], monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Instead of views of the embedded world, two images that the model understands; what is asked of it."""
    asked: list[tuple[object, ...]] = []

    def open_people(*arguments: object) -> list[PeopleSample]:
        asked.append(arguments)
        lost = tiny_people((6, 3), (20, 4), name="lost")
        lost.rgb[:, :100] = 0
        return [tiny_people((6, 3), (15, 4), name="clear"), lost]

    monkeypatch.setattr(evaluate_keypoints, "open_people", open_people)
    return asked


def test_one_person_an_image(
    tiny_keypoint_model: Callable[..., Path], lsp: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tiny_keypoint_model()
    assert default_split("lsp:somewhere") == "val"
    code, report, err = call(capfd, model, "--data", f"lsp:{lsp}", "--threads", 1, "--json")
    assert code == 0, err
    assert report["split"] == "val" and report["images"] == report["people"] == report["people_per_image"] == 1
    assert report["pck"] == pytest.approx(12 / 13) and report["decoding"] == "one person"
    assert set(report["pck_by_joint"]) == JOINTS and report["pck_by_joint"]["wrist"] == 0.5
    assert "joint_error_m" not in report and 0.5 < report["oks_ap"] <= 1
    assert 0 < report["ms"] <= report["ms_p95"] and report["ms"] < report["ms_total"]
    code, report, _ = call(capfd, model, "--data", f"lsp:{lsp}", "--split", "all", "--json")
    assert code == 0 and report["images"] == 5 and report["pck"] == pytest.approx(64 / 65)


def test_several_people(
    tiny_keypoint_model: Callable[..., Path],
    world: list[tuple[object, ...]],
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    pytest.importorskip("matplotlib")
    model, out = tiny_keypoint_model(), tmp_path / "out"
    code, report, err = call(capfd, model, "--data", "embedded:5", "--people", 2, "--out", out, "--json")
    assert code == 0, err
    assert world == [("embedded:5", None, 2)] and report["people_per_image"] == 2
    assert report["people"] == 4 and report["images"] == 2 and report["decoding"] == "several people"
    assert report["pck"] == pytest.approx(3 / 4) and report["ap50"] == report["ap75"] == pytest.approx(76 / 101)
    assert 0 < report["joint_error_m"] < 0.15 and report["joints_placed"] == 1
    rows = list(csv.DictReader((out / "per_image.csv").read_text().splitlines()))
    assert [(row["image"], row["people"], row["found"], row["false"]) for row in rows] == [
        ("clear", "2", "2", "0"),
        ("lost", "2", "1", "0"),
    ]
    kept = json.loads((out / "report.json").read_text())
    assert [image["image"] for image in kept["worst"]] == ["lost", "clear"]
    assert sorted(path.name for path in (out / "worst").iterdir()) == ["01_lost.png", "02_clear.png"]


def test_for_people(
    tiny_keypoint_model: Callable[..., Path], world: list[tuple[object, ...]], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", str(tiny_keypoint_model()), "--data", "embedded:5"])
    out, _ = capfd.readouterr()
    assert "2 images, 4 people, decoded as several people" in out and "PCK@0.2" in out and "PCK by joint" in out
    assert "joints within 4 m: off by 0." in out and "100 % of those seen have a place" in out


def test_figures_go_on_the_card(
    tiny_keypoint_model: Callable[..., Path], world: list[tuple[object, ...]], capfd: pytest.CaptureFixture[str]
) -> None:
    model = tiny_keypoint_model()
    call(capfd, model, "--data", "embedded:5", "--people", 7, "--card", "crowd")
    entry = yaml.safe_load((model / "model.yaml").read_text())["metrics"]["crowd"]
    assert entry["pck"] == 0.75 and entry["people"] == 4 and entry["pck_by_joint"]["neck"] == 0.75
    assert entry["command"].endswith("evaluate tiny_keypoints --data embedded:5 --people 7")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--flip",), "--flip is not for models of keypoints"),
        (("--views", 3), "--views is not for models of keypoints"),
        (("--people", 3), "lsp shows one person an image"),
        (("--people", 0), "--people"),
        (("--split", "train"), "lsp has no split 'train'; it has fit, val, all"),
        (("--aperture", "f8"), "lsp has no apertures"),
    ],
)
def test_options_that_mean_nothing(
    tiny_keypoint_model: Callable[..., Path], lsp: Path, capfd: pytest.CaptureFixture[str], more: tuple, message: str
) -> None:
    code, _, err = call(capfd, tiny_keypoint_model(), "--data", f"lsp:{lsp}", *more)
    assert code == 2 and message in err


def test_other_models_take_no_people(tiny_depth_model: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capfd, tiny_depth_model(), "--data", "embedded:5", "--people", 3)
    assert code == 2 and "--people is not for models of depth" in err


def test_data_without_people(tiny_keypoint_model: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capfd, tiny_keypoint_model(), "--data", "nyuv2:somewhere")
    assert code == 2 and "'nyuv2' is no dataset with people; those are lsp, embedded" in err


@pytest.mark.slow
def test_a_crowd_of_the_embedded_world(
    tiny_keypoint_model: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    """The model finds nobody there, which is no mistake of the command."""
    code, report, err = call(
        capfd, tiny_keypoint_model(), "--data", "embedded:5", "--people", 20, "--limit", 2, "--json"
    )
    assert code == 0, err
    assert report["images"] == 2 and report["people"] > 4 and report["oks_ap"] == report["pck"] == 0
