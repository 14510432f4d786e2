"""A picture of a cloud and of what went wrong in it, by matplotlib."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scene_understanding.evaluation.clouds import JudgedCloud
from scene_understanding.evaluation.pictures import DPI, WRONG
from scene_understanding.labels import UNLABELLED, LabelSet

PALE = (225, 225, 225)
"""Colour of points that are right, or not labelled."""

PIXELS = 700
"""Of the longer side of the cloud, at most: fewer where they would be more than twice as many as the points."""


def write_cloud(judged: JudgedCloud, labels: LabelSet, path: Path) -> None:
    """The cloud from above and from the side: true classes, predicted ones, and wrong points.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    truth = judged.sample.label
    wrong = (truth != UNLABELLED) & (judged.label != truth)
    colours = {
        "truth": np.where((truth == UNLABELLED)[:, None], np.array(PALE, np.uint8), labels.colorize(truth)),
        "found": labels.colorize(judged.label),
        "wrong": np.where(wrong[:, None], np.array(WRONG, np.uint8), np.array(PALE, np.uint8)),
    }
    figure = Figure((15, 10), layout="constrained")
    for column, (title, colour) in enumerate(colours.items()):
        last = wrong if title == "wrong" else np.zeros(len(wrong), bool)
        for row, axes in enumerate(((0, 1, 2), (0, 2, 1))):
            plot = figure.add_subplot(2, 3, 1 + column + 3 * row)
            plot.imshow(_seen_along(judged.sample.cloud.xyz, colour, axes, last), interpolation="nearest")
            plot.set_axis_off()
            plot.set_title(f"{title}, from {'above' if row == 0 else 'the side'}", fontsize=10)
    right = np.trace(judged.confusion) / max(judged.confusion.sum(), 1)
    figure.suptitle(f"{judged.sample.name}: {100 * right:.1f} % of {judged.confusion.sum()} labelled points are right")
    legend = [Patch(color=c / 255, label=name) for name, c in zip(labels.names, labels.colours, strict=True)]
    figure.legend(handles=legend, loc="outside lower center", ncols=min(len(legend), 8), frameon=False)
    figure.savefig(path, dpi=DPI)


def _seen_along(
    xyz: NDArray[np.float32], colour: NDArray[np.uint8], axes: tuple[int, int, int], last: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Points as pixels, right and up along the first two axes; of those in one, the one farthest along the third.

    Args:
        last: (N,) points that are drawn over all others.
    """
    right, up, towards = xyz[:, axes].astype(np.float64).T
    scale = min(PIXELS, np.sqrt(2 * len(xyz))) / max(np.ptp(right), np.ptp(up), 1e-6)
    column, row = (scale * np.array([right - right.min(), up.max() - up])).astype(np.int64)
    image = np.full((row.max() + 1, column.max() + 1, 3), 255, np.uint8)
    order = np.lexsort((towards, last))
    image[row[order], column[order]] = colour[order]
    return image
