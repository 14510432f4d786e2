"""Depth of one image at a small, equal budget on NYUv2: which loss, how many images, what a synthetic start earns.

    python bench/ablation_depth.py --data nyuv2:DIR

Every row is a training of the same number of steps from the same seed at 160x120, validated on `val`. Its folder is
`runs/ablation_depth/ROW`; a row with a `result.json` is done and is not run again, one that was cut off goes on. After
each row the tables in `docs/depth.md` and the curve beside it are made again from the results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from ablation_nyu import between_markers, chosen, draw_curve, one_line, read_results, table, write_json

from scene_understanding.datasets.open import open_dataset
from scene_understanding.training.config import TrainingError
from scene_understanding.training.data import InMemory
from scene_understanding.training.depth import DepthRun
from scene_understanding.training.depth_config import DepthConfig
from scene_understanding.training.depth_data import without_label
from scene_understanding.training.presets import write_config

ROOT = Path(__file__).resolve().parents[1]
SIZE, BATCH, STEPS = (120, 160), 8, 522
FOCAL_LENGTH = 129.79
"""Of NYUv2's camera at that size."""

IMAGES = {"fit200": 200, "fit400": 400, "fit": 696}
SHOWN = {
    "rel": "rel",
    "log10": "log10",
    "rms": "rms",
    "rmslog": "rms log",
    "d1": "delta 1",
    "d2": "delta 2",
    "d3": "delta 3",
}
LOSS = {"log_l1": 1.0, "gradient": 0.5}


@dataclass(frozen=True)
class Row:
    """One training.

    Attributes:
        name: of its folder, and for --rows; title: in the tables.
        losses: as in `DepthConfig`; train: list of images.
        synthetic: whether it starts from the embedded world instead of ImageNet alone.
    """

    name: str
    title: str
    losses: dict[str, float] = field(default_factory=lambda: dict(LOSS))
    train: str = "fit"
    synthetic: bool = False


LOSS_ROWS = (
    Row("l1", "L1", {"l1": 1.0}),
    Row("l2", "L2", {"l2": 1.0}),
    Row("berhu", "berHu", {"berhu": 1.0}),
    Row("huber", "Huber", {"huber": 1.0}),
    Row("eigen", "Eigen, scale-invariant", {"eigen": 1.0}),
    Row("eigen_gradient", "Eigen with gradients", {"eigen_gradient": 1.0}),
    Row("l1_gan", "L1 + LS-GAN, 100 : 1", {"l1": 1.0, "lsgan": 0.01}),
    Row("fit", "L1 of logarithms with gradients, 1 : 0.5", LOSS),
)
CURVE_ROWS = (
    Row("fit200", "200 images", train="fit200"),
    Row("fit400", "400 images", train="fit400"),
    Row("fit200_synthetic", "200 images, synthetic start", train="fit200", synthetic=True),
    Row("fit400_synthetic", "400 images, synthetic start", train="fit400", synthetic=True),
    Row("fit_synthetic", "696 images, synthetic start", synthetic=True),
)
ROWS = (*LOSS_ROWS, *CURVE_ROWS)
STARTS = {
    "ImageNet": ("fit200", "fit400", "fit"),
    "ImageNet, then the embedded world": ("fit200_synthetic", "fit400_synthetic", "fit_synthetic"),
}


def config_of(row: Row, steps: int, start: str, init: str) -> DepthConfig:
    """As many epochs of the row's images as come nearest to `steps`; `start` and `init` as in `Config`.

    Raises:
        TrainingError: no such file.
    """
    epochs = max(1, round(steps / (IMAGES[row.train] // BATCH)))
    files = {"start": start, **({"init": init} if row.synthetic else {})}
    for key, file in files.items():
        if not Path(file).is_file():
            raise TrainingError(f"{file} is missing; --{key} says where it is")
    return DepthConfig(
        name=f"ablation_depth_{row.name}", network="mobile_d3net", arguments={"dropout": 0.2}, data="nyuv2",
        train=row.train, val="val", size=SIZE, focal_length=FOCAL_LENGTH, losses=row.losses, crop="eigen",
        epochs=epochs, validate_every=epochs, batch=BATCH, warmup_steps=steps // 10, schedule="cosine",
        learning_rate=1e-3, encoder_factor=0.5, ema=0.99, augmentation={"scale": [1.0, 1.5], "turn": 4.0}, **files,
    )  # fmt: skip


def tables(results: Mapping[str, dict[str, Any]]) -> str:
    """Markdown of all tables; rows that are not done are left out."""
    losses = [(row.title, *figures(results[row.name])) for row in LOSS_ROWS if row.name in results]
    both = {name: f"{result['rel']:.3f} / {result['d1']:.3f}" for name, result in results.items()}
    curve = [
        (start, *(both.get(name, "") for name in names))
        for start, names in STARTS.items()
        if any(name in results for name in names)
    ]  # fmt: skip
    parts = (
        table("Losses", ("loss", *SHOWN.values(), "s"), losses),
        table("Images: rel / delta 1", ("start", *map(str, IMAGES.values())), curve),
    )
    return "\n".join(filter(None, parts))


def figures(result: Mapping[str, Any]) -> tuple[str, ...]:
    return (*(f"{result[key]:.3f}" for key in SHOWN), str(result["seconds"]))


def main(
    data: Annotated[str, typer.Option(help="nyuv2:DIR")],
    rows: Annotated[str, typer.Option(help="names with commas; all if empty")] = "",
    start: Annotated[Path, typer.Option(help="ImageNet weights")] = Path("weights/mobilenet_v2.safetensors"),
    init: Annotated[Path, typer.Option(help="best.pt of d3net_embedded")] = Path("runs/d3net_embedded/best.pt"),
    runs: Annotated[Path, typer.Option(help="folder of the trainings")] = ROOT / "runs" / "ablation_depth",
    docs: Annotated[Path, typer.Option(help="where the tables go")] = ROOT / "docs" / "depth.md",
    steps: Annotated[int, typer.Option(help="of the optimizer, a row", min=1)] = STEPS,
    threads: Annotated[int, typer.Option(help="0: as many as there are cores")] = 0,
) -> None:
    """Runs the rows that are not done, in their order, and writes the tables."""
    if threads:
        torch.set_num_threads(threads)

    @cache
    def samples(split: str) -> InMemory:
        return InMemory(open_dataset(data, split), SIZE, without_label)

    with one_line():
        configs = [(row, config_of(row, steps, str(start), str(init))) for row in chosen(rows, ROWS)]
        between_markers(docs.read_text("utf-8"), "")
        for row, config in configs:
            folder = runs / row.name
            if (folder / "result.json").exists():
                write_config(config, folder)  # refuses another one
                continue
            train, val = (samples(split) for split in (config.train, config.val))
            print(f"{row.name}: {row.title}", flush=True)
            run = DepthRun(config, train, val, folder)
            result = {"images": len(train), "steps": run.steps, **run.fit(), "seconds": round(run.seconds)}
            write_json(result, folder / "result.json")
            (folder / "checkpoint.pt").unlink()
            print(f"{row.name}: {', '.join(figures(result))}", flush=True)
            write_docs(runs, docs)
        write_docs(runs, docs)


def write_docs(runs: Path, docs: Path) -> None:
    results = read_results(runs, ROWS)
    docs.write_text(between_markers(docs.read_text("utf-8"), tables(results)), "utf-8")
    if any(name in results for names in STARTS.values() for name in names):
        picture = docs.with_name(f"{docs.stem}_curve.png")
        draw_curve(results, picture, STARTS, list(IMAGES.values()), lambda r: r["rel"], ("rel on val", "start"))


if __name__ == "__main__":
    typer.run(main)
