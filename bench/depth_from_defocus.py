"""Does defocus tell depth? The network of f/2.8 against its twin of f/8 (nearly all sharp), on ONERA's scenes.

    python bench/depth_from_defocus.py --data DIR [--split val]

One JSON line: errors of both, everywhere and on areas of low texture alone, with their predicted deviation: in metres
and as a share of the depth, and its two parts in metres: of the `passes` of dropout, and `expected` by the network, 0
where it has not learnt that. And `docs/defocus.png`: for some scenes the measured depth, the depth and the deviation of
both networks. `--photographs` shows the images too, which may not be passed on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from scene_understanding.datasets.onera_dfd import OneraDfd
from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.evaluation.depth_metrics import depth_errors, mean_errors
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find
from scene_understanding.perception.depth_estimator import EXPECTED, DepthEstimate, DepthEstimator

ROOT = Path(__file__).resolve().parents[1]
WINDOW, FLAT = 15, 2.5
"""Low texture: grey levels deviate by less than this in a window of so many pixels of the sharp image."""


def low_texture(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W) bool."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean, square = (cv2.blur(image, (WINDOW, WINDOW)) for image in (grey, grey * grey))
    return np.sqrt(np.maximum(square - mean * mean, 0)) < FLAT


@dataclass(frozen=True, eq=False)
class Look:
    """What a network made of an image, and the deviations (H, W) that its own is of, metres."""

    estimate: DepthEstimate
    passes: NDArray[np.float32]
    expected: NDArray[np.float32]


def look(estimator: DepthEstimator, sample: RgbdSample) -> Look:
    """At an image of the network's own camera and size."""
    outputs = estimator.infer(estimator.prepare(sample.rgb))
    passes = outputs["std"][0, 0]
    expected = outputs[EXPECTED][0, 0] if EXPECTED in outputs else np.zeros_like(passes)
    return Look(estimator.decide(outputs, sample.camera, sample.camera.shape), passes, expected)


def on_part(found: list[Look], truth: list[RgbdSample], parts: list[NDArray[np.bool_]]) -> dict[str, float]:
    """Mean errors on parts of the images, and the mean predicted deviations there."""
    errors, deviations = [], []
    for seen, sample, part in zip(found, truth, parts, strict=True):
        known = part & np.isfinite(sample.depth)
        if known.sum() < 100:
            continue
        depth, std = seen.estimate.depth, seen.estimate.std
        assert std is not None
        errors.append(depth_errors(depth, np.where(known, sample.depth, np.float32(np.nan))))
        means_of = [float(x[known].mean()) for x in (std, std / depth, seen.passes, seen.expected)]
        deviations.append([*means_of, *(float(np.median(x[known])) for x in (std, seen.passes))])
    means = mean_errors(errors)
    names = ("std", "std_rel", "passes", "expected", "std_median", "passes_median")
    named = zip(names, np.mean(deviations, axis=0).tolist(), strict=True)
    return {key: round(value, 4) for key, value in (*((k, means[k]) for k in ("rel", "rms", "d1")), *named)}


def draw(scenes: list[int], samples: Any, found: Any, photographs: bool, file: Path) -> None:
    from matplotlib.figure import Figure

    columns = [*(("f/8", "f/2.8") if photographs else ()), "measured depth", "depth from f/8", "depth from f/2.8",
               "deviation, f/8", "deviation, f/2.8"]  # fmt: skip
    figure = Figure((2.5 * len(columns), 1.75 * len(scenes) + 0.3), layout="constrained")
    rows = figure.subplots(len(scenes), len(columns), squeeze=False)
    for i, (axes, scene) in enumerate(zip(rows, scenes, strict=True)):
        truth = samples["f8"][scene].depth
        low, high = np.nanpercentile(truth, (2, 98))
        estimates = [found[aperture][scene].estimate for aperture in ("f8", "f2_8")]
        top = max(np.percentile(estimate.std, 98) for estimate in estimates)
        images = [samples[a][scene].rgb for a in ("f8", "f2_8")] if photographs else []
        depths = [truth, *(estimate.depth for estimate in estimates)]
        panels: list[tuple[Any, dict[str, Any]]] = [(image, {}) for image in images]
        panels += [(depth, {"cmap": "turbo", "vmin": low, "vmax": high}) for depth in depths]
        panels += [(estimate.std, {"cmap": "magma", "vmin": 0, "vmax": top}) for estimate in estimates]
        for ax, (image, options), title in zip(axes, panels, columns, strict=True):
            shown = ax.imshow(image, **options)
            ax.set_xticks([])
            ax.set_yticks([])
            if i == 0:
                ax.set_title(title, fontsize=10)
            if title in (columns[-3], columns[-1]):
                figure.colorbar(shown, ax=ax, shrink=0.8, label="m").ax.tick_params(labelsize=7)
        axes[0].set_ylabel(f"scene {samples['f8'][scene].name}", fontsize=9)
    figure.savefig(file, dpi=100)


def main(
    data: Annotated[Path, typer.Option(help="folder of onera_dfd")],
    split: Annotated[str, typer.Option()] = "val",
    model: Annotated[str, typer.Option(help="with a twin for f8")] = "d3net_dfd",
    passes: Annotated[int, typer.Option(min=2)] = 16,
    out: Annotated[Path, typer.Option(help="the picture")] = ROOT / "docs" / "defocus.png",
    photographs: Annotated[bool, typer.Option("--photographs")] = False,
) -> None:
    """Compares the two networks on the scenes of a split."""
    card = find(model)
    models = {"f2_8": card, "f8": find(card.folder.parent / card.twins["f8"])}
    samples: dict[str, list[RgbdSample]] = {}
    found: dict[str, list[Look]] = {}
    for aperture, own in models.items():
        scenes = OneraDfd(data, split, aperture)
        estimator = DepthEstimator(OnnxRuntimeNetwork(own, "cpu"), passes)
        samples[aperture] = [scenes[i] for i in range(len(scenes))]
        found[aperture] = [look(estimator, sample) for sample in samples[aperture]]
    flat = [low_texture(sample.rgb) for sample in samples["f8"]]
    report: dict[str, Any] = {"bench": "depth_from_defocus", "split": split, "scenes": len(flat), "passes": passes}
    report["low_texture_share"] = round(float(np.mean([part.mean() for part in flat])), 3)
    for aperture in models:
        everywhere = [np.ones_like(part) for part in flat]
        report[aperture] = {
            "all": on_part(found[aperture], samples[aperture], everywhere),
            "low_texture": on_part(found[aperture], samples[aperture], flat),
            "textured": on_part(found[aperture], samples[aperture], [~part for part in flat]),
        }
    print(json.dumps(report))
    chosen = list(range(0, len(flat), max(1, len(flat) // 4)))[:4]
    draw(chosen, samples, found, photographs, out)


if __name__ == "__main__":
    typer.run(main)
