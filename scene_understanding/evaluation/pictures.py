"""Pictures of an evaluation, by matplotlib: the confusion matrix, and images with what went wrong in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.picture import depth_colours
from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.evaluation.segmentation import Evaluation, Judged
from scene_understanding.labels import UNLABELLED, LabelSet

if TYPE_CHECKING:  # an extra, and slow to load
    from matplotlib.axes import Axes

WRONG, TINT = (235, 20, 20), 0.65
"""Colour of wrong pixels, and how much of it."""

DPI = 110
FEW = 20
"""Up to so many classes every cell of the confusion matrix has its number; beyond, those that matter."""

LINES = 18
"""Of a legend's column."""


def write_confusion(evaluation: Evaluation, title: str, path: Path) -> None:
    """The confusion matrix, each row in per cent of the pixels of its true class; classes without pixels are blank.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    counts, names = evaluation.confusion, evaluation.classes.names
    columns = [*names, "none"] if counts[:, -1].any() else list(names)
    pixels = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, pixels, out=np.full(counts.shape, np.nan), where=pixels > 0)[:, : len(columns)]
    cell = 0.5 if len(names) <= FEW else 0.31
    figure = Figure((3.0 + cell * len(columns), 2.4 + cell * len(names)), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    small = 9 if len(names) <= FEW else 7.5
    weight = 100 * pixels[:, 0] / max(pixels.sum(), 1)
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=small)
    rows = [f"{name}  {w:.1f} %" if w else name for name, w in zip(names, weight, strict=True)]
    axes.set_yticks(range(len(names)), rows, fontsize=small)
    least = 0.005 if len(names) <= FEW else 0.05
    for row, column in np.argwhere(np.nan_to_num(share) >= least):
        value = share[row, column]
        colour = "white" if value > 0.5 else "#1b2a41"
        axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=small - 1.5, color=colour)
    axes.set_xticks(np.arange(len(columns)) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names)) - 0.5, minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.6)
    axes.tick_params(which="both", length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true, with its share of the pixels")
    axes.set_title(f"{title}\nper cent of the pixels of the true class", fontsize=10)
    figure.savefig(path, dpi=DPI)


def write_judged(judged: Judged, classes: LabelSet, labels: LabelSet, path: Path) -> None:
    """Colour, depth and legend above truth, prediction and wrong pixels.

    Args:
        classes: what is scored, of `labels`, whose colours are shown.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    sample, truth = judged.sample, judged.sample.label
    assert truth is not None
    height, width = truth.shape
    figure = Figure((12.6, 0.8 + 8.4 * height / width), layout="constrained")
    grid = figure.subplots(2, 3)
    known = sample.depth[np.isfinite(sample.depth)]
    if known.size:
        near, far = np.percentile(known, (2, 98))
        depth = depth_colours(sample.depth, near, far)
        depth_title = f"depth, {near:.1f} m blue to {far:.1f} m red"
    else:
        depth, depth_title = np.zeros_like(sample.rgb), "no depth"
    scored = np.isin(truth, classes.ids)
    panels = (
        (grid[0, 0], sample.rgb, f"image {sample.name}"),
        (grid[0, 1], depth, depth_title),
        (grid[1, 0], labels.colorize(truth), "truth"),
        (grid[1, 1], labels.colorize(judged.label), "prediction"),
        (grid[1, 2], wrong_pixels(sample, judged.label, scored), f"wrong: {100 * (1 - judged.accuracy):.0f} %"),
    )
    for axes, image, heading in panels:
        axes.imshow(image, interpolation="nearest")
        axes.set_title(heading, fontsize=11)
        axes.set_axis_off()
    _legend(grid[0, 2], judged, labels)
    figure.savefig(path, dpi=DPI)


def wrong_pixels(sample: RgbdSample, label: NDArray[np.uint8], scored: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: the image in grey, tinted red where it is wrong, black where it is not scored."""
    picture = np.repeat(sample.rgb.mean(axis=2, keepdims=True), 3, axis=2)
    wrong = scored & (label != sample.label)
    picture[wrong] += TINT * (np.array(WRONG) - picture[wrong])
    picture[~scored] = 0
    return picture.astype(np.uint8)


def _legend(axes: Axes, judged: Judged, labels: LabelSet) -> None:
    """A line for every class that is true or predicted somewhere, with its shares of the image, largest first."""
    truth = judged.sample.label
    assert truth is not None
    true, found = (np.bincount(image.ravel(), minlength=256) / image.size for image in (truth, judged.label))
    order = sorted((i for i in labels.ids if true[i] or found[i]), key=lambda i: -max(true[i], found[i]))
    rows = [(labels.palette[i] / 255, labels.name_of(i), _percent(true[i]), _percent(found[i])) for i in order]
    if true[UNLABELLED]:
        rows.append((np.zeros(3), "unlabelled", _percent(true[UNLABELLED]), ""))
    columns = -(-len(rows) // LINES)
    axes.set(xlim=(0, max(columns, 1)), ylim=(LINES + 1, 0))
    axes.set_axis_off()
    axes.set_title("per cent of the image", fontsize=11)
    for k in range(columns):
        axes.text(k + 0.66, 0.5, "true", fontsize=8, ha="right", va="center", color="#555555")
        axes.text(k + 0.86, 0.5, "found", fontsize=8, ha="right", va="center", color="#555555")
        for line, (colour, name, *shares) in enumerate(rows[k * LINES : (k + 1) * LINES], start=1):
            axes.fill([k, k + 0.08, k + 0.08, k], [line + 0.15, line + 0.15, line + 0.85, line + 0.85], color=colour)
            axes.text(k + 0.11, line + 0.5, name, fontsize=9, va="center")
            for x, share in zip((0.66, 0.86), shares, strict=True):
                axes.text(k + x, line + 0.5, share, fontsize=9, ha="right", va="center")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.01 else "<1" if share else "-"
