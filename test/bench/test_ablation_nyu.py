"""The ablation's rows and tables; its trainings are those of `training`, tested there."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from scene_understanding.datasets.nyuv2 import NYUv2Folder
from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.geometry import PinholeCamera, Pose
from scene_understanding.models.mobile_fusenet import MobileFuseNet
from scene_understanding.training.config import TrainingError
from scene_understanding.training.presets import read_run_config, write_config

ROOT = Path(__file__).resolve().parents[2]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ablation_nyu", ROOT / "bench" / "ablation_nyu.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


ablation = load()
ROWS = {row.name: row for row in ablation.ROWS}


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Starting weights, as far as a config looks at them."""
    for name in ("start", "init"):
        (tmp_path / name).touch()
    return str(tmp_path / "start"), str(tmp_path / "init")


def figures(miou: float, images: int = 696, **more: Any) -> dict[str, Any]:
    return {"oa": 0.7, "ma": 0.6512, "miou": miou, "images": images, "seconds": 90, **more}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_every_row_is_a_config_of_the_same_budget(row: Any, files: tuple[str, str], tmp_path: Path) -> None:
    config = ablation.config_of(row, 696, *files)
    steps = config.epochs * (ablation.IMAGES[config.train] // config.batch)
    assert abs(steps - 696) <= 4
    assert config.validate_every == config.epochs and config.warmup_steps == 69
    assert config.init_parts == row.synthetic if row.synthetic else not config.init
    MobileFuseNet(13, **config.arguments)
    write_config(config, tmp_path)
    assert read_run_config(tmp_path) == config


def test_rows_have_names_of_their_own_and_tables_name_rows() -> None:
    assert len(ROWS) == len(ablation.ROWS)
    named = {name for names in (*ablation.TABLES.values(), *ablation.STARTS.values()) for name in names}
    named |= {name for _, name, _ in ablation.EXPERIMENTS}
    assert named == set(ROWS)
    assert all(ROWS[name].tested and way in ablation.WAYS for _, name, way in ablation.EXPERIMENTS)
    assert all(len(names) == len(ablation.IMAGES) for names in ablation.STARTS.values())


@pytest.mark.parametrize("split", ablation.IMAGES)
def test_lists_have_the_images_that_the_budget_counts_with(split: str, tmp_path: Path) -> None:
    for part in ("rgb", "depth"):
        (tmp_path / part).mkdir()
    assert len(NYUv2Folder(tmp_path, split)) == ablation.IMAGES[split]


def test_a_budget_below_an_epoch_takes_the_first_images(files: tuple[str, str]) -> None:
    assert ablation.images_of(ROWS["sum"], 6) == 48
    assert ablation.config_of(ROWS["sum"], 6, *files).epochs == 1


def test_missing_weights_are_asked_for_only_where_a_row_needs_them(files: tuple[str, str]) -> None:
    ablation.config_of(ROWS["sum"], 696, files[0], "absent")
    with pytest.raises(TrainingError, match="absent is missing; --init says where it is"):
        ablation.config_of(ROWS["synthetic_depth"], 696, files[0], "absent")
    with pytest.raises(TrainingError, match="absent is missing; --start"):
        ablation.config_of(ROWS["sum"], 696, "absent", files[1])


def test_rows_are_chosen_by_name_in_their_own_order() -> None:
    assert ablation.chosen("") == list(ablation.ROWS)
    assert [row.name for row in ablation.chosen("gated,sum")] == ["sum", "gated"]
    with pytest.raises(TrainingError, match="no row 'sums'; there are sum, synthetic_depth"):
        ablation.chosen("sums")


def test_tables_show_what_is_done(tmp_path: Path) -> None:
    tests = {way: figures(0.3 + 0.01 * i) for i, way in enumerate(ablation.WAYS)}
    for name, content in (
        ("sum", figures(0.45, tests=tests)), ("gated", figures(0.46)), ("synthetic_fit100", figures(0.3, 100)),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps(content))
    results = ablation.read_results(tmp_path)
    assert set(results) == {"sum", "gated", "synthetic_fit100"}
    text = ablation.tables(results)
    assert "| gated sum after each stage | 70.0 | 65.1 | 46.0 | 90 |\n" in text
    assert "| ImageNet |  |  |  | 45.0 |\n| synthetic depth | 30.0 |  |  |  |\n" in text
    assert "| 3 | image | preproc, views | 70.0 | 65.1 | 33.0 |\n" in text
    assert "### Parts" not in text and "RGB only" not in text
    assert {line.count("|") for line in text.splitlines() if line.startswith("| gated")} == {6}


def test_documents_keep_their_text_around_the_tables(tmp_path: Path) -> None:
    docs = tmp_path / "page.md"
    docs.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
    (tmp_path / "sum").mkdir()
    (tmp_path / "sum" / "result.json").write_text(
        json.dumps(figures(0.45, tests={w: figures(0.4) for w in ablation.WAYS}))
    )
    for _ in range(2):
        ablation.write_docs(tmp_path, docs)
    text = docs.read_text()
    assert text.startswith("before\n<!-- results -->\n\n### Streams") and text.endswith(
        "<!-- end of results -->\nafter\n"
    )
    assert text.count("### Streams") == 1 and "old" not in text
    assert (tmp_path / "page_curve.png").stat().st_size > 1000
    with pytest.raises(TrainingError, match="lacks the lines"):
        ablation.between_markers("nothing", "")


def test_shipped_page_has_the_markers() -> None:
    ablation.between_markers((ROOT / "docs" / "ablation.md").read_text("utf-8"), "")


def test_the_3d_step_at_the_own_viewpoint_fills_holes_and_moves_nothing() -> None:
    rng = np.random.default_rng(0)
    depth = np.full((24, 32), 2.0, np.float32)
    depth[8:12, 10:16] = np.nan
    rgb, label = rng.integers(0, 256, (24, 32, 3), np.uint8), rng.integers(1, 41, (24, 32)).astype(np.uint8)
    sample = RgbdSample("one", rgb, depth, PinholeCamera(32, 24, 26.0, 26.0, 15.5, 11.5), label)
    seen = ablation.filled_view(sample, Pose.identity())
    known = np.isfinite(depth)
    np.testing.assert_allclose(seen.depth, 2.0, atol=1e-4)
    np.testing.assert_array_equal(seen.rgb[known], rgb[known])
    np.testing.assert_array_equal(seen.label, np.where(known, label, 255))


def test_views_with_filled_holes_are_an_augmentation() -> None:
    depth = np.linspace(1.5, 3, 40 * 48, dtype=np.float32).reshape(40, 48)
    sample = RgbdSample(
        "one", np.full((40, 48, 3), 90, np.uint8), depth, PinholeCamera(48, 40, 40.0, 40.0, 23.5, 19.5),
        np.full((40, 48), 3, np.uint8),
    )  # fmt: skip
    augmentation = ablation.FilledViews(elsewhere=1.0, holes=0, scale=(1.3, 1.3))
    first, second = (replace(augmentation, crop=None)(sample, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first.depth, second.depth)
    assert np.isfinite(first.depth).all() and (first.rgb > 0).all()
    assert first.label is not None and set(np.unique(first.label)) <= {3, 255}


def test_samples_are_seen_from_the_papers_viewpoints_or_from_random_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    depth = np.linspace(1.5, 3, 40 * 48, dtype=np.float32).reshape(40, 48)
    camera = PinholeCamera(48, 40, 40.0, 40.0, 23.5, 19.5)
    sample = RgbdSample("one", np.full((40, 48, 3), 90, np.uint8), depth, camera, np.full((40, 48), 3, np.uint8))
    seen: list[Pose] = []
    filled = ablation.filled_view
    monkeypatch.setattr(ablation, "filled_view", lambda sample, pose: seen.append(pose) or filled(sample, pose))
    for fixed in (1.0, 0.0):
        for seed in range(40):
            ablation.FilledViews(elsewhere=1.0, fixed=fixed)(sample, np.random.default_rng(seed))
    places = [{tuple(pose.translation.round(6)) for pose in part} for part in (seen[:40], seen[40:])]
    paper = {tuple(p.translation.round(6)) for p in ablation.snapnet_r_viewpoints(ablation.median_depth(depth))[1:]}
    assert places[0] == paper and len(places[1]) == 40
