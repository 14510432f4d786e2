"""`label`, as users and programs see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_understanding.cli import main
from scene_understanding.datasets.cloud_files import read_cloud, read_located_cloud, write_cloud
from scene_understanding.geometry import PointCloud
from scene_understanding.perception.snapnet import SnapNet, SnapNetParameters

PARAMETERS = SnapNetParameters(voxel=0.2, neighbours=12, distances=(4.0, 8.0), size=48, views=1000)
ORIGIN = np.array([448_200.0, 5_411_900.0, 151.0])


def call(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in ("label", *arguments)])
    out, err = capfd.readouterr()
    return int(exit_.value.code or 0), out, err


@pytest.fixture
def model(tiny_model: Callable[..., Path]) -> Path:
    """Gives every pixel the class of its strongest colour."""
    return tiny_model((48, 48), task="cloud_segmentation", snapnet=PARAMETERS.as_card())


@pytest.fixture
def lawn(tmp_path: Path) -> Path:
    """A street of red and green halves in map coordinates."""
    xyz = np.random.default_rng(0).uniform(0, 8, (4000, 3)) * (1, 1, 0)
    rgb = np.where(xyz[:, :1] < 4, (200, 0, 0), (0, 200, 0)).astype(np.uint8)
    path = tmp_path / "lawn.las"
    write_cloud(path, PointCloud(xyz.astype(np.float32), rgb), ORIGIN)
    return path


def report_of(capfd: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code, out, err = call(capfd, *arguments, "--json")
    assert code == 0, err
    (line,) = out.splitlines()
    return json.loads(line)


def test_label_writes_the_cloud_in_class_colours(
    model: Path, lawn: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.ply"
    report = report_of(capfd, lawn, "--model", model, "--out", out)
    assert report["points"] == sum(report["classes"].values()) == 4000
    assert report["classes"]["blue"] == report["unlabelled"] == 0
    assert report["points_per_s"] == pytest.approx(4000 / report["seconds"])
    assert (report["label_set"], report["views"], report["provider"]) == ("tiny", 1000, "cpu")
    before, _ = read_located_cloud(lawn)
    after, origin = read_located_cloud(out)
    np.testing.assert_allclose(after.xyz + origin, before.xyz + ORIGIN, atol=0.0011)
    assert after.label is not None and after.rgb is not None and before.rgb is not None
    assert (after.label == np.where(before.rgb[:, 0] > 0, 1, 2)).mean() > 0.97
    np.testing.assert_array_equal(after.rgb[after.label == 1], np.tile([255, 0, 0], (report["classes"]["red"], 1)))
    assert after.confidence is not None
    assert report["confidence"] == pytest.approx(float(after.confidence.mean()), abs=1e-5)


def test_other_files_keep_their_colours(
    model: Path, lawn: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for ending in ("las", "npz"):
        report_of(capfd, lawn, "--model", model, "--out", tmp_path / f"out.{ending}", "--views", 300)
        before, after = read_cloud(lawn), read_cloud(tmp_path / f"out.{ending}")
        np.testing.assert_array_equal(after.rgb, before.rgb)
        assert after.label is not None and set(np.unique(after.label)) <= {1, 2}


def test_the_folder_of_the_result_is_made_before_the_work(
    model: Path, lawn: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    report_of(capfd, lawn, "--model", model, "--out", tmp_path / "new/deep/out.ply")
    assert len(read_cloud(tmp_path / "new/deep/out.ply").xyz) == 4000
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(SnapNet, "__call__", None)  # it is not asked
    code, _, err = call(capfd, lawn, "--model", model, "--out", tmp_path / "file/out.ply")
    assert code == 2 and "file is no folder, and cannot be made" in err.splitlines()[-1]


def test_for_people(model: Path, lawn: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capfd, lawn, "--model", model, "--out", tmp_path / "out.pcd")
    assert code == 0 and "out.pcd: 4000 points in" in out and "a second" in out
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["red", "green", "blue", "unlabelled"]


def test_wishes_that_cannot_be_met(
    model: Path, lawn: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], tiny_model: Callable[..., Path]
) -> None:
    (tmp_path / "there.ply").write_text("mine")
    write_cloud(tmp_path / "grey.ply", PointCloud(np.zeros((5, 3), np.float32)))
    for cloud, out, message in (
        (lawn, "there.ply", "there.ply exists; --force overwrites it"),
        (lawn, "out.bin", "no cloud that can be written"),
        (tmp_path / "none.ply", "out.ply", "none.ply is missing"),
        (tmp_path / "there.ply", "out.ply", "there.ply is no PLY file"),
        (tmp_path / "grey.ply", "out.ply", "grey.ply has no colour, which model"),
    ):
        code, stdout, err = call(capfd, cloud, "--model", model, "--out", tmp_path / out)
        assert (code, stdout) == (2, "") and message in err.splitlines()[-1], message
    assert (tmp_path / "there.ply").read_text() == "mine" and not (tmp_path / "out.ply").exists()
    code, _, err = call(capfd, lawn, "--model", tiny_model(), "--out", tmp_path / "out.ply")
    assert code == 2 and "is for segmentation; label wants one for cloud_segmentation" in err.splitlines()[-1]
