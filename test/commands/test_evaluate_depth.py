"""`evaluate` of depth: figures by hand, Eigen's crop, uncertainty, twins, and wishes that cannot be met."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from scene_understanding.cli import main
from scene_understanding.commands.output import CommandError
from scene_understanding.commands.scoring import Wish, seen_through
from scene_understanding.datasets.onera_dfd import CAMERA
from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.evaluation.depth import evaluate, mirrored_mean
from scene_understanding.evaluation.timing import EvaluationError, TimedNetwork
from scene_understanding.geometry import PinholeCamera
from scene_understanding.inference.store import find
from scene_understanding.perception.depth_estimator import DepthEstimator


def call(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any], str]:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    out, err = capfd.readouterr()
    return int(done.value.code or 0), json.loads(out.splitlines()[-1]) if "--json" in arguments and out else {}, err


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Two scenes of onera_dfd: grey 100 and 200 at f/2.8, brighter at f/8, all of it at 1.5 m."""
    folder = tmp_path / "dfd/train"
    folder.mkdir(parents=True)
    for name, grey in (("000", 100), ("002", 200)):
        for aperture, more in (("f2_8", 0), ("f8", 50)):
            cv2.imwrite(str(folder / f"{name}.{aperture}.jpg"), np.full((*CAMERA.shape, 3), grey + more, np.uint8))
        cv2.imwrite(str(folder / f"{name}.depth.png"), np.full(CAMERA.shape, 1500, np.uint16))
    return tmp_path / "dfd"


def test_figures_are_those_by_hand(
    tiny_depth_model: Callable[..., Path], scenes: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The model says grey / 100 metres of a camera that has the focal length of this one at its input."""
    model = tiny_depth_model((432, 645), focal_length=CAMERA.fx)
    arguments = ("evaluate", model, "--data", f"onera_dfd:{scenes}", "--split", "train", "--json")
    code, report, _ = call(capfd, *arguments)
    assert code == 0 and report["images"] == 2 and report["crop"] == "none" and report["averaging"] == "per image"
    assert report["rel"] == pytest.approx(1 / 3, rel=1e-3) and report["rms"] == pytest.approx(0.5, rel=1e-3)
    assert report["d1"] == 0 and report["d2"] == 1 and report["ms"] > 0  # ratios 1.5 and 1.33
    pytest.importorskip("matplotlib")
    code, report, _ = call(capfd, *arguments, "--passes", 8, "--flip", "--out", tmp_path / "out")
    assert code == 0 and 0 <= report["ause"] and report["passes"] == 8
    rows = list(csv.DictReader((tmp_path / "out/per_image.csv").read_text().splitlines()))
    assert [row["image"] for row in rows] == ["000", "002"]
    names = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"report.json", "uncertainty.png", "01_000.png", "02_002.png"} <= names or "01_002.png" in names
    assert cv2.imread(str(tmp_path / "out/uncertainty.png")) is not None


def test_the_twin_sees_the_images_that_it_learnt_from(
    tiny_depth_model: Callable[..., Path], scenes: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tiny_depth_model((54, 80), twins={"f8": "tiny_depth_model"})
    wish = Wish(str(model), f"onera_dfd:{scenes}", "train")
    seen = seen_through(replace(wish, aperture="f8"))
    assert (seen.data, Path(seen.model)) == (f"onera_dfd_f8:{scenes}", model)
    assert seen_through(replace(wish, aperture="f2_8")) == wish
    code, report, _ = call(
        capfd, "evaluate", model, "--data", wish.data, "--split", "train", "--aperture", "f8", "--json"
    )
    assert code == 0 and report["data"] == f"onera_dfd_f8:{scenes}"
    for change, message in (
        ({"aperture": "f4"}, "onera_dfd has no aperture 'f4'; it has f2_8, f8"),
        ({"aperture": "f8", "data": "embedded:5"}, "embedded has no apertures; --aperture is for onera_dfd"),
        ({"aperture": "f8", "model": str(tiny_depth_model((54, 80)))}, "has no twin that learnt from images of f8"),
    ):
        with pytest.raises(CommandError, match=message):
            seen_through(replace(wish, **change))


@pytest.fixture
def network(tiny_depth_model: Callable[..., Path]) -> TimedNetwork:
    return TimedNetwork(find(tiny_depth_model((48, 64))), threads=1)


def sample(grey: int, depth: np.ndarray) -> RgbdSample:
    camera = PinholeCamera(64, 48, 10.0, 10.0, 31.5, 23.5)
    return RgbdSample(str(grey), np.full((48, 64, 3), grey, np.uint8), depth.astype(np.float32), camera)


def test_only_the_crop_counts(network: TimedNetwork) -> None:
    depth = np.full((48, 64), 8.0)
    depth[2:46, 2:62] = 1.0  # rows 20 to 459 of 480, columns 24 to 615 of 640
    assert evaluate(network, [sample(100, depth)], crop="eigen").errors["100"]["rel"] == pytest.approx(0, abs=1e-6)
    assert evaluate(network, [sample(100, depth)]).errors["100"]["rel"] > 0.05


def test_images_are_averaged_and_what_is_far_or_unknown_does_not_count(network: TimedNetwork) -> None:
    one, other = np.full((48, 64), 1.0), np.full((48, 64), 2.0)
    one[:, 32:], other[0] = np.nan, 12.0
    done = evaluate(network, [sample(100, one), sample(100, other)])
    assert [e["rel"] for e in done.errors.values()] == [pytest.approx(0.5)]  # of one name, the later one
    done = evaluate(network, [sample(100, one), sample(150, other)])
    assert done.errors["100"]["rel"] == pytest.approx(0, abs=1e-6)
    assert done.errors["150"]["rel"] == pytest.approx(0.25)
    assert [judged.sample.name for judged in done.worst] == ["150", "100"] and done.uncertainty is None


def test_mirroring_a_symmetric_network_changes_nothing(network: TimedNetwork) -> None:
    rng = np.random.default_rng(0)
    image = replace(sample(0, np.ones((48, 64))), rgb=rng.integers(0, 256, (48, 64, 3), np.uint8))
    estimator = DepthEstimator(network)
    np.testing.assert_allclose(
        mirrored_mean(estimator, image).depth, estimator(image.rgb, image.camera).depth, rtol=1e-5
    )


def test_nothing_to_score_is_one_line(network: TimedNetwork) -> None:
    with pytest.raises(EvaluationError, match="image 5 has no depth"):
        evaluate(network, [sample(5, np.full((48, 64), np.nan))])
    with pytest.raises(EvaluationError, match="the dataset has no images"):
        evaluate(network, [])
    with pytest.raises(EvaluationError, match="no image has depth of 0.001 to 10 m"):
        evaluate(network, [sample(5, np.full((48, 64), 30.0))], passes=4)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--views", 5), "--views is not for models of depth"),
        (("--card", "val", "--limit", 1), "a card holds figures of a whole split"),
    ],
)
def test_options_that_mean_nothing(
    tiny_depth_model: Callable[..., Path], scenes: Path, capfd: pytest.CaptureFixture[str], more: tuple, message: str
) -> None:
    data = f"onera_dfd:{scenes}"
    code, _, err = call(capfd, "evaluate", tiny_depth_model((54, 80)), "--data", data, "--split", "train", *more)
    assert code == 2 and message in err


def test_metres_of_an_assumed_camera_are_refused(
    tiny_depth_model: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for part, image in (("rgb", np.full((48, 64, 3), 100, np.uint8)), ("depth", np.full((48, 64), 900, np.uint16))):
        (tmp_path / "mine" / part).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "mine" / part / "a.png"), image)
    arguments = ("evaluate", tiny_depth_model((48, 64)), "--data", f"folder:{tmp_path / 'mine'}")
    code, _, err = call(capfd, *arguments)
    assert code == 2 and "has no camera.yaml; depth of colour images needs the focal length" in err
    camera = {"width": 64, "height": 48, "fx": 10.0, "fy": 10.0, "cx": 31.5, "cy": 23.5}
    (tmp_path / "mine/camera.yaml").write_text(yaml.safe_dump(camera))
    code, report, _ = call(capfd, *arguments, "--json")
    assert code == 0 and report["rel"] == pytest.approx(1 / 9, rel=1e-3)


def test_figures_go_on_the_card(
    tiny_depth_model: Callable[..., Path], scenes: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tiny_depth_model((54, 80))
    call(capfd, "evaluate", model, "--data", f"onera_dfd:{scenes}", "--split", "train", "--passes", 4, "--card", "mine")
    entry = yaml.safe_load((model / "model.yaml").read_text())["metrics"]["mine"]
    assert entry["crop"] == "none" and entry["passes"] == 4 and 0 <= entry["rel"] and "ause" in entry
    assert entry["command"].endswith("--data onera_dfd:DIR --split train --passes 4")
