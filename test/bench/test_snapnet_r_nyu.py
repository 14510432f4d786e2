"""SnapNet-R's experiments: which rows and views they are, and what views add; the rows are those of `ablation_nyu`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from scene_understanding.datasets.nyuv2 import NYUv2Folder
from scene_understanding.evaluation.segmentation_metrics import summary
from scene_understanding.labels import load_label_set

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import ablation_nyu  # noqa: E402
import snapnet_r_nyu as bench  # noqa: E402

NAMES = load_label_set("nyu13").names


def confusions(right: float, images: int = 20) -> np.ndarray:
    """(N, 13, 14) of 1000 pixels a class, of which this share is right and the others are taken for the next class."""
    one = np.zeros((13, 14), np.int64)
    one[range(13), range(13)] = round(1000 * right)
    one[range(13), np.roll(range(13), -1)] = 1000 - round(1000 * right)
    return np.repeat(one[None], images, axis=0)


def test_the_experiments_are_those_of_the_paper() -> None:
    """Table 1: three trainings, each tested on images, after preproc, and on views too."""
    assert [number for number, _, _ in bench.EXPERIMENTS] == [str(n) for n in range(1, 10)]
    assert bench.EXPERIMENTS[2] == ("3", "image", "preproc_views")
    assert bench.EXPERIMENTS[6] == ("7", "preproc_views", "image")
    assert bench.EXPERIMENTS == tuple(
        (number, {"sum": "image"}.get(name, name), way) for number, name, way in ablation_nyu.EXPERIMENTS[:9]
    )


def test_training_and_test_are_the_official_images_in_their_order(tmp_path: Path) -> None:
    for part in ("rgb", "depth"):
        (tmp_path / part).mkdir()
    train, test = (NYUv2Folder(tmp_path, split).numbers for split in (bench.TRAIN, bench.TEST))
    assert (len(train), len(test)) == (bench.IMAGES, 100)
    whole = train + test
    assert whole == sorted(set(whole)) and set(map(int, NYUv2Folder(tmp_path, "fit").numbers)) < set(whole)


def test_rows_have_the_budget_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "start").touch()
    for row in bench.ROWS:
        config = bench.config_of_row(row, 2000, 16, str(tmp_path / "start"))
        assert abs(config.epochs * (bench.IMAGES // 16) - 2000) <= 22
        assert (config.train, config.val, config.validate_every) == ("first695", "last100", config.epochs)


def test_a_gain_has_the_deviation_of_other_images() -> None:
    same = bench.gain(confusions(0.8), confusions(0.9), NAMES)
    assert same["oa"] == (pytest.approx(0.1), pytest.approx(0, abs=1e-9))
    mixed = np.concatenate([confusions(0.7, 10), confusions(0.9, 10)])
    value, deviation = bench.gain(confusions(0.8), mixed, NAMES)["oa"]
    assert value == pytest.approx(0, abs=1e-9)
    assert deviation == pytest.approx(0.1 / 20**0.5, rel=0.15)


def test_tables_show_what_is_done(tmp_path: Path) -> None:
    tests = {"image": confusions(0.8), "preproc": confusions(0.7), "preproc_views": confusions(0.75)}
    (tmp_path / "preproc_views").mkdir()
    np.savez(tmp_path / "preproc_views" / ablation_nyu.TESTS, **tests)
    figures = {"tests": {way: summary(one.sum(0), NAMES) for way, one in tests.items()}}
    (tmp_path / "preproc_views" / ablation_nyu.RESULT).write_text(json.dumps(figures))
    text = bench.tables(tmp_path, ablation_nyu.read_results(tmp_path, bench.ROWS))
    assert "| 9 | preproc, views | preproc, views | 75.0 | 75.0 |" in text
    assert "| views in training too (9 - 8) | +5.0 ± 0.0 | +5.0 ± 0.0 |" in text
    assert "| 1 |" not in text and "6 - 5" not in text


def test_shipped_page_has_the_markers() -> None:
    ablation_nyu.between_markers((ROOT / "docs" / "ablation.md").read_text("utf-8"), "", bench.MARKERS)
