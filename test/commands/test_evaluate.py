"""`scene-understanding evaluate` as users see it, on a network whose every answer is known."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from scene_understanding.cli import main
from scene_understanding.commands.evaluate import text
from scene_understanding.commands.evaluate_segmentation import ON_CARD
from scene_understanding.commands.scoring import Wish, card_entry, default_split
from scene_understanding.inference.store import find

SIZE = (24, 32)
COLOURS = {1: (200, 0, 0), 2: (0, 200, 0), 4: (0, 0, 200)}
"""RGB in which the network finds a class."""
NYU = Path(__file__).resolve().parents[3] / "shared/data/nyuv2"

Images = dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]


def call(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", "--threads", "1", *map(str, arguments)])
    out, err = capfd.readouterr()
    return int(exit_.value.code or 0), out, err


def call_json(capfd: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code, out, err = call(capfd, *arguments, "--json")
    assert code == 0, err
    (line,) = out.splitlines()
    report: dict[str, Any] = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    return report


def write_folder(folder: Path, labels: Path, images: Images, depth: bool = True) -> Path:
    """A dataset in which the network finds the first and the second is true."""
    for part in ("rgb", "label", *(["depth"] if depth else [])):
        (folder / part).mkdir(parents=True)
    (folder / "labels.yaml").write_text(labels.read_text())
    camera = {"width": SIZE[1], "height": SIZE[0], "fx": 30.0, "fy": 30.0, "cx": 15.5, "cy": 11.5}
    (folder / "camera.yaml").write_text(yaml.safe_dump(camera))
    for name, (found, truth) in images.items():
        rgb = np.zeros((*SIZE, 3), np.uint8)
        for class_id, colour in COLOURS.items():
            rgb[found == class_id] = colour
        cv2.imwrite(str(folder / f"rgb/{name}.png"), rgb[..., ::-1])
        cv2.imwrite(str(folder / f"label/{name}.png"), truth)
        if depth:
            cv2.imwrite(str(folder / f"depth/{name}.png"), np.full(SIZE, 2000, np.uint16))
    return folder


@pytest.fixture
def folder(tmp_path: Path, tiny_labels: Path) -> Path:
    """Two images: one right but for a row of 32 pixels, one with half of its 768 pixels wrong and a void column."""
    right, wrong = np.full(SIZE, 1, np.uint8), np.full(SIZE, 2, np.uint8)
    truth_right, truth_wrong = right.copy(), wrong.copy()
    truth_right[0] = 2
    truth_wrong[:12] = 1
    truth_wrong[:, 0] = 255
    return write_folder(tmp_path / "data", tiny_labels, {"a": (right, truth_right), "b": (wrong, truth_wrong)})


@pytest.fixture
def model(tiny_model: Callable[..., Path]) -> Path:
    return tiny_model(SIZE, depth=True)


def test_the_report(capfd: pytest.CaptureFixture[str], model: Path, folder: Path) -> None:
    report = call_json(capfd, model, "--data", f"folder:{folder}")
    red, green = 23 * 32, 12 * 31  # true and found; 12 * 31 red were found green, 32 green red
    assert report["iou"] == {
        "red": pytest.approx(red / (red + 12 * 31 + 32)),
        "green": pytest.approx(green / (green + 12 * 31 + 32)),
        "blue": None,
    }
    assert report["oa"] == pytest.approx((red + green) / (768 + 24 * 31))
    assert report["ma"] == pytest.approx((red / (red + 12 * 31) + green / (green + 32)) / 2)
    assert report["miou"] == pytest.approx((report["iou"]["red"] + report["iou"]["green"]) / 2)
    assert report["share"]["red"] + report["share"]["green"] == pytest.approx(1)
    assert 0 < report["ms"] <= report["ms_p95"] and report["ms"] < report["ms_total"]
    known = {"images": 2, "scored": 3, "unscored": [], "model": "tiny", "data": f"folder:{folder}", "split": None,
             "views": 1, "flip": False, "threads": 1, "provider": "cpu", "out": None}  # fmt: skip
    assert report | known == report
    assert "cores" in report["hardware"]


def test_the_table_for_people(capfd: pytest.CaptureFixture[str], tiny_model: Callable[..., Path], folder: Path) -> None:
    code, out, _ = call(capfd, tiny_model(SIZE, unscored=[4]), "--data", f"folder:{folder}")
    assert code == 0
    assert "2 images, one view" in out and "\ngreen " in out and "\nblue" not in out
    assert "not scored, for lack of training pixels: blue" in out
    assert "ms in the network" in out


def test_a_class_without_training_pixels(
    capfd: pytest.CaptureFixture[str], tiny_model: Callable[..., Path], folder: Path
) -> None:
    report = call_json(capfd, tiny_model(SIZE, unscored=[2]), "--data", f"folder:{folder}")
    assert (report["scored"], report["unscored"], list(report["iou"])) == (2, ["green"], ["red", "blue"])
    assert report["oa"] == report["iou"]["red"] == pytest.approx(23 * 32 / (23 * 32 + 12 * 31))


def test_views_and_flip(capfd: pytest.CaptureFixture[str], model: Path, folder: Path) -> None:
    one = call_json(capfd, model, "--data", f"folder:{folder}", "--limit", 1)
    five = call_json(capfd, model, "--data", f"folder:{folder}", "--limit", 1, "--views", 5, "--flip")
    assert (five["images"], five["views"], five["flip"]) == (1, 5, True)
    assert five["oa"] == pytest.approx(one["oa"], abs=0.05)
    assert five["ms"] > one["ms"]


def test_out_folder(capfd: pytest.CaptureFixture[str], model: Path, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    arguments = (model, "--data", f"folder:{folder}", "--out", tmp_path / "out")
    report = call_json(capfd, *arguments)
    kept = json.loads((tmp_path / "out/report.json").read_text())
    assert kept["confusion"] == {
        "classes": ["red", "green", "blue", "none"], "rows": "true",
        "counts": [[23 * 32, 12 * 31, 0, 0], [32, 12 * 31, 0, 0], [0, 0, 0, 0]],
    }  # fmt: skip
    assert [worst["image"] for worst in kept["worst"]] == ["b", "a"]
    assert {key: kept[key] for key in report if key != "out"} == {k: v for k, v in report.items() if k != "out"}
    with open(tmp_path / "out/per_class.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["red", "green", "blue"]
    assert float(rows[0]["iou"]) == pytest.approx(report["iou"]["red"]) and rows[2]["iou"] == ""
    assert (tmp_path / "out/confusion.png").is_file()
    assert sorted(path.name for path in (tmp_path / "out/failures").iterdir()) == ["01_b.png", "02_a.png"]

    code, _, err = call(capfd, *arguments)
    assert (code, "holds an evaluation; --force overwrites it" in err) == (2, True)
    call_json(capfd, *arguments, "--limit", 1, "--force")
    assert sorted(path.name for path in (tmp_path / "out/failures").iterdir()) == ["01_a.png"]


def test_figures_on_the_card(capfd: pytest.CaptureFixture[str], model: Path, folder: Path) -> None:
    (folder / "val.txt").write_text("b\n")
    call_json(capfd, model, "--data", f"folder:{folder}", "--card", "val")
    report = call_json(capfd, model, "--data", f"folder:{folder}", "--views", 5, "--card", "val_views5")
    metrics = yaml.safe_load((model / "model.yaml").read_text())["metrics"]
    assert set(metrics) == {"val", "val_views5"}
    kept = metrics["val_views5"]
    assert kept["miou"] == pytest.approx(report["miou"], abs=1e-4) and kept["iou"]["blue"] is None
    assert (kept["images"], kept["split"], kept["views"]) == (1, "val", 5)
    assert kept["command"] == ("scene-understanding evaluate tiny --data folder:DIR --split val --views 5 --threads 1")
    assert str(folder) not in (model / "model.yaml").read_text()
    with pytest.raises(SystemExit):
        main(["models", "show", str(model)])
    assert "IoU by class    val  val_views5\n" in capfd.readouterr().out


def test_a_card_names_the_processor_and_no_path_of_this_machine() -> None:
    report: dict[str, Any] = dict.fromkeys(("oa", "ma", "miou", "ms", "ms_p95", "ms_total"), 0.123456)
    report |= {"iou": {"wall": math.pi}, "images": 9, "views": 1, "flip": False, "scored": 1, "threads": 2,
               "hardware": "a CPU, 2 cores", "provider": "cpu", "model": "m", "split": "/home/me/mine.txt"}  # fmt: skip
    entry = card_entry(Wish("m", "nyuv2:/home/me/nyu", "/home/me/mine.txt"), report, ON_CARD)
    assert entry["hardware"] == "a CPU, 2 cores, 2 threads"
    assert (entry["oa"], entry["iou"]["wall"], entry["split"]) == (0.1235, 3.1416, "mine.txt")
    assert entry["command"] == "scene-understanding evaluate m --data nyuv2:DIR --split mine.txt"
    assert card_entry(Wish("m", "embedded:5"), {**report, "split": None}, ON_CARD)["data"] == "embedded:5"


def test_default_splits(folder: Path) -> None:
    assert default_split(f"nyuv2:{folder}") == default_split("camvid:/x") == "val"
    assert default_split(f"folder:{folder}") is None and default_split("embedded:5") is None
    (folder / "val.txt").write_text("a\n")
    assert default_split(f"folder:{folder}") == "val"


def test_limit_spreads_over_the_split(capfd: pytest.CaptureFixture[str], model: Path, folder: Path) -> None:
    (folder / "val.txt").write_text("a\na\nb\nb\n")
    half = call_json(capfd, model, "--data", f"folder:{folder}", "--limit", 2)
    assert half["oa"] == pytest.approx(call_json(capfd, model, "--data", f"folder:{folder}")["oa"])


def colour_only(tmp_path: Path, tiny_labels: Path) -> Path:
    image = np.full(SIZE, 1, np.uint8)
    return write_folder(tmp_path / "colour", tiny_labels, {"a": (image, image)}, depth=False)


def test_colour_alone(
    capfd: pytest.CaptureFixture[str], tiny_model: Callable[..., Path], tmp_path: Path, tiny_labels: Path
) -> None:
    data = f"folder:{colour_only(tmp_path, tiny_labels)}"
    assert call_json(capfd, tiny_model(SIZE), "--data", data)["oa"] == 1
    assert "5 views need" in call(capfd, tiny_model(SIZE), "--data", data, "--views", 5)[2]
    code, out, err = call(capfd, tiny_model(SIZE, depth=True), "--data", data)
    assert (code, out) == (2, "") and "image a has no depth, which model 'tiny' needs" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "folder:{folder}", "--split", "night"], "no list 'night'"),
        (["--data", "folder:/nowhere"], "/nowhere does not exist"),
        (["--data", "nyuv2"], "is not KIND:PLACE"),
        (["--data", "embedded:5"], "no mapping from 'nyu40' to 'tiny'"),
        (["--data", "7scenes:{folder}"], "7scenes has no labels"),
        (["--data", "folder:{folder}", "--views", "6"], "--views"),
        (["--data", "folder:{folder}", "--limit", "0"], "--limit"),
        (["--data", "folder:{folder}", "--provider", "abacus"], "--provider"),
        (["--data", "folder:{folder}", "--limit", "1", "--card", "val"], "leave --limit out"),
        ([], "--data"),
    ],
)
def test_mistakes_are_one_line_and_code_2(
    capfd: pytest.CaptureFixture[str], model: Path, folder: Path, arguments: list[str], message: str
) -> None:
    code, out, err = call(capfd, model, *(a.format(folder=folder) for a in arguments))
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert message in err


def test_models_that_cannot_be_scored(
    capfd: pytest.CaptureFixture[str], tiny_model: Callable[..., Path], folder: Path
) -> None:
    data = ("--data", f"folder:{folder}")
    assert "no model 'fusenet_mars'" in call(capfd, "fusenet_mars", *data)[2]
    assert "depth and std out" in call(capfd, tiny_model(task="depth", focal_length=10.0), *data)[2]
    assert "is for pose; only segmentation, depth, stereo, keypoints" in call(capfd, tiny_model(task="pose"), *data)[2]
    assert "unscored ids [9] are no classes of tiny" in call(capfd, tiny_model(SIZE, unscored=[9]), *data)[2]
    code, _, err = call(capfd, tiny_model(SIZE, unscored=["blue"]), *data)
    assert code == 2 and "unscored is ['blue']; expected class ids" in err


def test_other_classes_of_the_same_name(capfd: pytest.CaptureFixture[str], model: Path, folder: Path) -> None:
    content = yaml.safe_load((folder / "labels.yaml").read_text())
    content["classes"][0]["name"] = "pink"
    (folder / "labels.yaml").write_text(yaml.safe_dump(content))
    code, _, err = call(capfd, model, "--data", f"folder:{folder}")
    assert code == 2 and "two label sets are named 'tiny' but have other classes" in err


def test_views_need_a_camera(capfd: pytest.CaptureFixture[str], model: Path, folder: Path) -> None:
    (folder / "camera.yaml").unlink()
    assert call(capfd, model, "--data", f"folder:{folder}")[0] == 0
    code, _, err = call(capfd, model, "--data", f"folder:{folder}", "--views", 5)
    assert code == 2 and "has no camera.yaml; 5 views need it" in err


def test_without_torch_and_matplotlib(model: Path, folder: Path, tmp_path: Path) -> None:
    """As on a robot."""
    code = (
        "import sys; sys.modules.update(torch=None, matplotlib=None)\n"
        "from scene_understanding.cli import main\nmain(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, "evaluate", str(model), "--data", f"folder:{folder}", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 2
    done = subprocess.run([*command, "--out", str(tmp_path / "out")], capture_output=True, text=True)
    assert done.returncode == 2 and "pip install 'scene_understanding[view]'" in done.stderr


def test_the_shipped_network_in_the_embedded_world(capfd: pytest.CaptureFixture[str]) -> None:
    report = call_json(capfd, "fusenet_embedded13", "--data", "embedded:5", "--limit", 4)
    assert (report["images"], report["scored"], report["split"]) == (4, 13, None)
    assert report["oa"] > 0.8
    assert "13 classes" not in text(report)  # four images do not show all of them
    assert f"mean of {sum(v is not None for v in report['iou'].values())} classes" in text(report)


@pytest.mark.skipif(not NYU.is_dir(), reason="NYUv2 is not beside the repository (shared/data/nyuv2)")
@pytest.mark.parametrize("name", ["fusenet_nyu13", "fusenet_nyu40"])
def test_the_shipped_networks_are_as_good_as_their_cards_say(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    report, said = call_json(capfd, name, "--data", f"nyuv2:{NYU}"), find(name).metrics["val"]
    assert (report["images"], report["split"]) == (74, "val")
    assert report["unscored"] == (["otherprop"] if name == "fusenet_nyu40" else [])
    for key in ("oa", "ma", "miou"):
        assert report[key] == pytest.approx(said[key], abs=2e-3)
