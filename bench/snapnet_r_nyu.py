"""SnapNet-R against FuseNet: experiments 1 to 9 of its Table 1 (Guerry et al., ICCV-W 3DRMS 2017), in small.

    python bench/snapnet_r_nyu.py --data nyuv2:DIR

Three trainings of one network from one seed on the first 695 of NYUv2's official training images: on the images as they
are, after the 3D step at their own viewpoint (`preproc`), and after it from other viewpoints too: four of five samples,
half of them from the paper's other four, half from random ones. Each is tested once, after its last step, on the last
100 images in three ways. Its folder is `runs/snapnet_r/ROW`; rows go on or are left as in `ablation_nyu.py`. The table
goes into `docs/ablation.md`, and beside it what views in the test are worth, with bootstrap deviations over images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from ablation_nyu import (
    LABELS,
    ROOT,
    SIZE,
    TESTS,
    Row,
    between_markers,
    carry_out,
    chosen,
    config_of,
    one_line,
    read_results,
    table,
    table_of_views,
)
from numpy.typing import NDArray

from scene_understanding.datasets.open import open_dataset
from scene_understanding.evaluation.segmentation_metrics import summary
from scene_understanding.labels import load_label_set
from scene_understanding.training.data import InMemory
from scene_understanding.training.segmentation_config import SegmentationConfig
from scene_understanding.training.segmentation_data import labelled

TRAIN, TEST, IMAGES = "first695", "last100", 695
STEPS, BATCH = 2000, 16
ROWS = (
    Row("image", "image", tested=True),
    Row("preproc", "preproc", elsewhere=0.0, tested=True),
    Row("preproc_views", "preproc, views", elsewhere=0.8, fixed=0.5, tested=True),
)
WAYS = ("image", "preproc", "preproc_views")
EXPERIMENTS = tuple(
    (str(number), row.name, way) for number, (row, way) in enumerate(((r, w) for r in ROWS for w in WAYS), start=1)
)
VIEWS = (
    ("views in neither (experiment 3 - 2)", "image"),
    ("holes filled in training (6 - 5)", "preproc"),
    ("views in training too (9 - 8)", "preproc_views"),
)
"""Training, and its row: what views in the test add to preproc alone."""

DRAWS = 1000
MARKERS = "SnapNet-R"


def config_of_row(row: Row, steps: int, batch: int, start: str) -> SegmentationConfig:
    """As many epochs as come nearest to `steps`, of batches of `batch`; else as in `ablation_nyu`.

    Raises:
        TrainingError: no starting weights.
    """
    epochs = max(1, round(steps / (IMAGES // batch)))
    return replace(
        config_of(row, steps, start, ""), name=f"snapnet_r_{row.name}", train=TRAIN, val=TEST, batch=batch,
        epochs=epochs, validate_every=epochs,
    )  # fmt: skip


def gain(one: NDArray[np.int64], other: NDArray[np.int64], names: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """By how much `other` is better than `one`, confusion matrices (N, K, K + 1) of the same images: oa, ma and miou,
    each with its standard deviation where the images are drawn anew (bootstrap, in pairs)."""
    draws = np.random.default_rng(0).integers(0, len(one), (DRAWS, len(one)))
    keys = ("oa", "ma", "miou")

    def difference(images: NDArray[np.intp]) -> list[float]:
        was, now = (summary(matrices[images].sum(0), names) for matrices in (one, other))
        return [now[key] - was[key] for key in keys]

    drawn = np.array([difference(images) for images in draws]).std(axis=0)
    whole = difference(np.arange(len(one)))
    return {key: (value, float(deviation)) for key, value, deviation in zip(keys, whole, drawn, strict=True)}


def tables(runs: Path, results: Mapping[str, Any]) -> str:
    """Markdown of the experiments and of what views add; rows that are not done are left out."""
    names = load_label_set("nyu13").names
    rows = []
    for what, name in VIEWS:
        if name in results:
            with np.load(runs / name / TESTS) as tests:
                found = gain(tests["preproc"], tests["preproc_views"], names)
            rows.append((what, *(f"{100 * value:+.1f} ± {100 * deviation:.1f}" for value, deviation in found.values())))
    experiments = table_of_views("Experiments 1 to 9", results, EXPERIMENTS, {row.name: row.title for row in ROWS})
    return f"{experiments}\n{table('Five views in the test instead of one', ('', 'OA', 'MA', 'mIoU'), rows)}"


def main(
    data: Annotated[str, typer.Option(help="nyuv2:DIR")],
    rows: Annotated[str, typer.Option(help="names with commas; all if empty")] = "",
    start: Annotated[Path, typer.Option(help="ImageNet weights")] = Path("weights/mobilenet_v2.safetensors"),
    runs: Annotated[Path, typer.Option(help="folder of the trainings")] = ROOT / "runs" / "snapnet_r",
    docs: Annotated[Path, typer.Option(help="where the tables go")] = ROOT / "docs" / "ablation.md",
    steps: Annotated[int, typer.Option(help="of the optimizer, a row", min=1)] = STEPS,
    batch: Annotated[int, typer.Option(min=1)] = BATCH,
    threads: Annotated[int, typer.Option(help="0: as many as there are cores")] = 0,
) -> None:
    """Runs the rows that are not done, in their order, and writes the tables."""
    if threads:
        torch.set_num_threads(threads)

    @cache
    def sets() -> tuple[InMemory, InMemory]:
        train, test = (InMemory(open_dataset(data, split, LABELS), SIZE, labelled) for split in (TRAIN, TEST))
        return train, test

    with one_line():
        configs = [(row, config_of_row(row, steps, batch, str(start))) for row in chosen(rows, ROWS)]
        between_markers(docs.read_text("utf-8"), "", MARKERS)
        for row, config in configs:
            carry_out(row, config, runs / row.name, sets, WAYS)
        text = tables(runs, read_results(runs, ROWS))
        docs.write_text(between_markers(docs.read_text("utf-8"), text, MARKERS), "utf-8")


if __name__ == "__main__":
    typer.run(main)
