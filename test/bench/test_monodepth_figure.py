"""The figure of left-right consistency, of a run of one epoch on pairs of noise."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import monodepth_figure as figure  # noqa: E402

from scene_understanding.datasets.kitti_stereo import KittiStereo  # noqa: E402
from scene_understanding.training.stereo import StereoRun  # noqa: E402
from scene_understanding.training.stereo_config import StereoConfig  # noqa: E402

SHIFT = 24
CALIBRATION = "70 0 30 0 0 70 10 0 0 0 1 0\n70 0 30 -35 0 70 10 0 0 0 1 0\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Walls of noise, `SHIFT` pixels further left in the right image: 2 pairs in fit, 10 in val."""
    rng, folder = np.random.default_rng(0), tmp_path / "data"
    for side in ("left", "right"):
        (folder / "seq1" / side).mkdir(parents=True)
    for i in range(14):
        wide = cv2.resize(rng.integers(0, 256, (4, 20), np.uint8), (320, 64), interpolation=cv2.INTER_CUBIC)
        for side, part in (("left", wide[:, :256]), ("right", wide[:, SHIFT : 256 + SHIFT])):
            cv2.imwrite(str(folder / "seq1" / side / f"{i:06d}.png"), part)
    (folder / "seq1" / "calib.txt").write_text(CALIBRATION)
    return folder


def test_a_run_is_judged_and_drawn(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = StereoConfig(
        network="monodepth", arguments={"width": 0.0625}, train="fit", val="val", size=(32, 128), epochs=1, batch=2,
        warmup_steps=0,
    )  # fmt: skip
    run = StereoRun(config, KittiStereo(data, "fit"), KittiStereo(data, "val"), tmp_path / "run")
    started = run.judge()
    ended = run.fit()
    figure.main(data, tmp_path / "run", tmp_path / "drawn.png")
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    for name, errors in (("untrained", started), ("trained", ended)):
        assert report[name]["epe"] == pytest.approx(errors["epe"], rel=0.02)
    assert report["median_map"]["epe"] < 1 and report["pairs"] == 10
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")
