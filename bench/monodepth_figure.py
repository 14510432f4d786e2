"""What left-right consistency learnt from stereo pairs without depth: a finished run against its untrained network.

    python bench/monodepth_figure.py --data DIR [--run runs/monodepth_kitti]

One JSON line: errors on the run's validation pairs against the classical matcher, of the network as it starts, of the
trained one, of that with the mirrored image too (`trained_flip`), and of `median_map`: the matcher's median disparity
of each pixel over the training pairs, which is what can be said without looking at the image. And `docs/monodepth.png`:
loss and error over the training, and for two pairs the disparity of the matcher, of the trained and of the untrained
network. Photographs are not shown: KITTI's are CC BY-NC-SA 3.0.
"""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import nn

from scene_understanding.datasets.kitti_stereo import KittiStereo, StereoSample
from scene_understanding.evaluation.stereo import Predictor, disparity_errors, in_pixels, matched, post_processed
from scene_understanding.training.networks import build, read_state
from scene_understanding.training.presets import read_run_config
from scene_understanding.training.stereo import resized
from scene_understanding.training.stereo_config import StereoConfig

ROOT = Path(__file__).resolve().parents[1]
Disparity = NDArray[np.float32]
SMOOTHED = 50
"""Steps over which the drawn loss is averaged."""


def predictor_of(network: nn.Module, config: StereoConfig) -> Predictor:
    """The network as a function of a left image of any size."""
    network.eval()

    def predict(image: NDArray[np.uint8]) -> Disparity:
        color = torch.from_numpy(resized(image, config.size)).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            return in_pixels(network(color)[0, 0].numpy(), image.shape[:2])

    return predict


def median_map(samples: list[StereoSample]) -> Disparity:
    """(H, W) the matcher's median over pairs of one size; over all pixels where it knows none."""
    disparities = np.stack([matched(sample) for sample in samples])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of pixels that no pair knows
        median = np.nanmedian(disparities, axis=0)
    return np.where(np.isfinite(median), median, np.nanmedian(disparities)).astype(np.float32)


def mean_errors(predictor: Predictor, samples: list[StereoSample], references: list[Disparity]) -> dict[str, float]:
    """`epe` and `bad` as in the run's log.csv."""
    errors = [disparity_errors(predictor(s.left), r) for s, r in zip(samples, references, strict=True)]
    return {key: round(float(np.mean([e[key] for e in errors])), 4) for key in ("epe", "bad")}


def read_columns(file: Path) -> dict[str, NDArray[np.float64]]:
    with file.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    return {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}


def draw(
    run: Path,
    report: Mapping[str, Any],
    shown: list[StereoSample],
    references: list[Disparity],
    predictors: Mapping[str, Predictor],
    file: Path,
) -> None:
    """Curves above, disparities below; `shown` with the `references` of them."""
    from matplotlib.figure import Figure

    steps, log = read_columns(run / "steps.csv"), read_columns(run / "log.csv")
    figure = Figure((11, 3.2 + 1.25 * len(shown)), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(3.0, 1.25 * len(shown)))
    loss_axes, error_axes = above.subplots(1, 2)
    window = min(SMOOTHED, len(steps["loss"]))
    smooth = np.convolve(steps["loss"], np.full(window, 1 / window), "valid")
    loss_axes.plot(steps["epoch"], steps["loss"], color="0.85", linewidth=0.6)
    loss_axes.plot(steps["epoch"][window - 1 :], smooth, color="tab:blue", label=f"mean of {window} steps")
    loss_axes.set(xlabel="epoch", ylabel="left-right loss", ylim=(0, 1.05 * smooth.max()))
    error_axes.plot(log["epoch"], log["epe"], "o-", color="tab:red", markersize=3, label="trained")
    for name, style in (("untrained", "-"), ("median_map", ":")):
        error_axes.axhline(report[name]["epe"], color="0.4", linestyle=style, label=name.replace("_", " "))
    error_axes.set(xlabel="epoch", ylabel="error on val, pixels", ylim=(0, None))
    for axes in (loss_axes, error_axes):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    rows = below.subplots(len(shown), 1 + len(predictors), squeeze=False)
    for axes, sample, reference in zip(rows, shown, references, strict=True):
        panels = {"matcher": reference, **{name: predict(sample.left) for name, predict in predictors.items()}}
        for ax, (title, disparity) in zip(axes, panels.items(), strict=True):
            image = ax.imshow(disparity, cmap="turbo", vmin=0, vmax=np.nanpercentile(reference, 99))
            ax.set_xticks([])
            ax.set_yticks([])
            ax.set_title(f"{sample.name}: {title}", fontsize=8)
        below.colorbar(image, ax=axes, shrink=0.8, label="pixels").ax.tick_params(labelsize=7)
    figure.savefig(file, dpi=100)


def main(
    data: Annotated[Path, typer.Option(help="folder of kitti_stereo")],
    run: Annotated[Path, typer.Option(help="folder of the training")] = ROOT / "runs" / "monodepth_kitti",
    out: Annotated[Path, typer.Option(help="the picture")] = ROOT / "docs" / "monodepth.png",
) -> None:
    """Judges and draws a run."""
    config = read_run_config(run)
    if not isinstance(config, StereoConfig):
        raise SystemExit(f"monodepth_figure: {run} is a training of {config.task}, not of stereo")
    datasets = (KittiStereo(data, split) for split in (config.train, config.val))
    train, val = ([dataset[i] for i in range(len(dataset))] for dataset in datasets)
    references = [matched(sample) for sample in val]
    torch.manual_seed(config.seed)
    untrained, trained = build(config), build(config)
    trained.load_state_dict(read_state(run / "best.pt"))
    predictors = {"trained": predictor_of(trained, config), "untrained": predictor_of(untrained, config)}
    prior = median_map(train)
    ways = {**predictors, "trained_flip": post_processed(predictors["trained"]), "median_map": lambda image: prior}
    report: dict[str, Any] = {"bench": "monodepth_figure", "run": run.name, "pairs": len(val)}
    report["matcher_knows"] = round(float(np.mean([np.isfinite(r).mean() for r in references])), 3)
    report |= {name: mean_errors(predict, val, references) for name, predict in ways.items()}
    print(json.dumps(report))
    shown = [0, len(val) - 1]
    draw(run, report, [val[i] for i in shown], [references[i] for i in shown], predictors, out)


if __name__ == "__main__":
    typer.run(main)
