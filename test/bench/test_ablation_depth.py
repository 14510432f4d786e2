"""The ablation of depth: rows are configs that can be, and tables hold what is done."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("typer")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import ablation_depth as ablation  # noqa: E402

from scene_understanding.training.config import TrainingError  # noqa: E402

RESULT = {
    "rel": 0.25, "sq_rel": 0.2, "log10": 0.1, "rms": 0.84, "rmslog": 0.28, "d1": 0.6, "d2": 0.87, "d3": 0.96,
    "images": 696, "seconds": 120,
}  # fmt: skip


def test_every_row_is_a_config_of_the_same_budget(tmp_path: Path) -> None:
    start, init = tmp_path / "start.safetensors", tmp_path / "best.pt"
    start.touch()
    init.touch()
    for row in ablation.ROWS:
        config = ablation.config_of(row, 522, str(start), str(init))
        steps = config.epochs * (ablation.IMAGES[row.train] // ablation.BATCH)
        assert abs(steps - 522) <= ablation.IMAGES[row.train] // ablation.BATCH / 2
        assert bool(config.init) == row.synthetic
    assert len({row.name for row in ablation.ROWS}) == len(ablation.ROWS)
    with pytest.raises(TrainingError, match="nowhere is missing; --start says where it is"):
        ablation.config_of(ablation.ROWS[0], 522, "nowhere", str(init))


def test_tables_hold_what_is_done(tmp_path: Path) -> None:
    for name in ("l1", "fit", "fit200"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps(RESULT))
    docs = tmp_path / "depth.md"
    docs.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
    ablation.write_docs(tmp_path, docs)
    text = docs.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| L1 | 0.250 | 0.100 | 0.840 | 0.280 | 0.600 | 0.870 | 0.960 | 120 |" in text and "berHu" not in text
    assert "| ImageNet | 0.250 / 0.600 |  | 0.250 / 0.600 |" in text
    assert (tmp_path / "depth_curve.png").read_bytes().startswith(b"\x89PNG")
