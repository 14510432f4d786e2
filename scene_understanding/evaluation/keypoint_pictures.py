"""Pictures of people as they are and as they were found, by matplotlib."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.evaluation.keypoints import Judged
from scene_understanding.perception.skeleton_drawing import draw_skeletons
from scene_understanding.perception.skeletons import Skeletons

DPI = 110
HEIGHT = 480
"""Smaller images are enlarged to so many rows, so that limbs are thin beside what they lie on."""


def write_people(judged: Judged, path: Path) -> None:
    """The image with the true joints, hidden ones too, beside it with those found.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    sample, summary = judged.sample, judged.judgement.summary
    labelled = np.isfinite(sample.pixels[..., 0]).astype(np.float32)
    truth = Skeletons(sample.pixels, labelled, np.ones(len(labelled), np.float32))
    height, width = sample.rgb.shape[:2]
    figure = Figure((2 * 4.6 * width / max(height, 0.75 * width), 4.4), layout="constrained")
    panels = ((truth, f"labelled: {len(truth)}"), (judged.found, f"found: {len(judged.found)}"))
    for axes, (people, title) in zip(figure.subplots(1, 2), panels, strict=True):
        axes.imshow(_drawn(sample.rgb, people))
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    figure.suptitle(
        f"{sample.name}: {summary['found']} of {summary['people']} found, {summary['false']} false, "
        f"{100 * summary['pck']:.0f} % of joints right",
        fontsize=10,
    )
    figure.savefig(path, dpi=DPI)


def _drawn(rgb: NDArray[np.uint8], people: Skeletons) -> NDArray[np.uint8]:
    """The image, enlarged if it is small, with skeletons over it."""
    scale = max(1.0, HEIGHT / len(rgb))
    large = np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
    return draw_skeletons(large, replace(people, pixels=(people.pixels + 0.5) * np.float32(scale) - 0.5))
