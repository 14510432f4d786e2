"""Pictures of depth, by matplotlib: an image with its errors, and what a predicted deviation is worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scene_understanding.evaluation.depth import Judged
from scene_understanding.evaluation.uncertainty import Uncertainty

DPI = 110
RELATIVE = 0.5
"""Relative error at which the scale of its picture ends."""


def write_errors(judged: Judged, path: Path) -> None:
    """Colour, true depth, predicted depth, relative error, and the deviation where there is one, side by side.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    sample, estimate = judged.sample, judged.estimate
    truth, found = sample.depth, estimate.depth
    low, high = np.nanpercentile(truth, (1, 99))
    panels = [
        (sample.rgb, "image", {}),
        (truth, "true depth, m", {"cmap": "turbo", "vmin": low, "vmax": high}),
        (found, "predicted depth, m", {"cmap": "turbo", "vmin": low, "vmax": high}),
        (np.abs(found - truth) / truth, "relative error", {"cmap": "magma", "vmin": 0, "vmax": RELATIVE}),
    ]
    if estimate.std is not None:
        panels.append((estimate.std, "predicted deviation, m", {"cmap": "magma", "vmin": 0}))
    height, width = truth.shape
    figure = Figure((3.4 * len(panels), 0.9 + 3.1 * height / width), layout="constrained")
    for axes, (image, title, options) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        shown = axes.imshow(image, interpolation="nearest", **options)
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
        if options:
            figure.colorbar(shown, ax=axes, shrink=0.75).ax.tick_params(labelsize=7)
    e = judged.errors
    figure.suptitle(f"{sample.name}: rel {e['rel']:.3f}, rms {e['rms']:.2f} m, delta 1 {e['d1']:.3f}", fontsize=10)
    figure.savefig(path, dpi=DPI)


def write_uncertainty(found: Uncertainty, title: str, path: Path) -> None:
    """Sparsification curves, and error against predicted deviation.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure((9.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    share = 100 * found.removed
    left.plot(share, found.by_deviation, color="tab:blue", label="by predicted deviation")
    left.plot(share, found.by_error, color="tab:gray", linestyle="--", label="by error: the best order")
    left.axhline(1, color="0.8", linewidth=0.8)
    left.fill_between(share, found.by_error, found.by_deviation, color="tab:blue", alpha=0.12)
    left.set(
        xlabel="pixels taken away, %", ylabel="mean error of the rest, relative", ylim=(0, 1.1),
        title=f"sparsification: area {found.ause:.3f} (random order {found.ause_random:.3f})",
    )  # fmt: skip
    right.plot(found.deviation, found.error, "o-", color="tab:red", markersize=4, label="bins of equal number")
    top = 1.05 * max(found.deviation.max(), found.error.max())
    right.plot((0, top), (0, top), color="0.8", linewidth=0.8, label="calibrated")
    right.set(
        xlabel="predicted deviation, m", ylabel="root mean square error, m", xlim=(0, 1.1 * found.deviation.max()),
        ylim=(0, top), title=f"calibration: rank correlation {found.correlation:.2f}",
    )  # fmt: skip
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8)
        axes.title.set_fontsize(10)
        axes.grid(alpha=0.3)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=DPI)
