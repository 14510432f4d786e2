"""The measurement of a lens gives back the lens through which scenes were rendered."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("typer")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import onera_lens  # noqa: E402

from scene_understanding.datasets.onera_dfd import CAMERA, LENSES  # noqa: E402
from scene_understanding.simulation.defocus import defocused  # noqa: E402

FOCUS, RHO = 2.0, 0.25
DEPTHS = ((0.9, 1.1, 1.4, 1.8, 2.4, 4.0), (5.0, 3.0, 2.1, 1.6, 1.2, 1.0))
LENS = {aperture: replace(lens, focus=FOCUS, rho=RHO) for aperture, lens in LENSES.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two scenes of upright walls with a random texture; the camera moved by (3, -2) pixels before f/8."""
    part, rng = tmp_path / "train", np.random.default_rng(0)
    part.mkdir()
    for name, walls in enumerate(DEPTHS):
        noise = sum(
            cv2.resize(rng.normal(0, 20, (h, w, 3)), CAMERA.shape[::-1], interpolation=cv2.INTER_CUBIC)
            for h, w in ((432, 645), (144, 215), (48, 72))
        )
        rgb = np.clip(128 + noise, 20, 235).astype(np.uint8)
        depth = np.broadcast_to(np.repeat(walls, 108)[: CAMERA.width], CAMERA.shape).astype(np.float32)
        images = {aperture: defocused(rgb, depth, lens) for aperture, lens in LENS.items()}
        images["f8"] = np.roll(images["f8"], (-2, 3), (0, 1))
        for aperture, image in images.items():
            cv2.imwrite(str(part / f"{name}.{aperture}.jpg"), image, (cv2.IMWRITE_JPEG_QUALITY, 98))
        cv2.imwrite(str(part / f"{name}.depth.png"), np.rint(depth * 1000).astype(np.uint16))
    return tmp_path


def test_gives_back_the_lens(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onera_lens.main(folder, "train", resamples=2)
    *table, line = capsys.readouterr().out.splitlines()
    report = json.loads(line)
    assert len(table) > 6 and report["scenes"] == 2 and report["windows"] > 300
    assert report["shift_max"] == pytest.approx(np.hypot(3, 2), abs=0.2)
    light = report["light"]
    assert light["focus"] == pytest.approx(FOCUS, abs=0.04) and light["rho"] == pytest.approx(RHO, abs=0.01)
    assert report["grey_or_light"]["light_better"] > 0.9 and report["gaussian_or_disk"]["disk_better"] < 0.1


def test_fit_is_not_moved_by_a_few_wrong_windows() -> None:
    rng, depth = np.random.default_rng(0), np.geomspace(0.8, 8.0, 200)
    sigma = onera_lens.blur_between(LENS["f2_8"], LENS["f8"], 0.4, depth)
    sigma[rng.choice(200, 20, replace=False)] = 4.0
    focus, rho, floor = onera_lens.fit(depth, sigma, np.ones(200))
    assert (focus, rho, floor) == pytest.approx((FOCUS, RHO, 0.4), rel=0.06)


def test_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="onera_lens: .*nowhere does not exist"):
        onera_lens.main(tmp_path / "nowhere")
