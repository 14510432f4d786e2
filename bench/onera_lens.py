"""The lens of ONERA's images, measured: where it is in focus, how its blur grows, and what kind of blur that is.

    python bench/onera_lens.py --data DIR

The f/8 image of a scene is aligned to the one at f/2.8. In windows with texture and little depth, the blur of f/8 is
sought that explains f/2.8 best, its contrast and brightness left free; a thin lens is fitted to these blurs against
depth. All that for three kinds of blur (`MODELS`), on the windows that each of them explains. A table of the blur
against depth, and one JSON line; two minutes of one core.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from scipy.optimize import least_squares

from scene_understanding.datasets.onera_dfd import LENSES, OneraDfd
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.simulation.defocus import GAMMA, ThinLens, blurred_by

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

MODELS = {"grey": (1.0, "gaussian"), "light": (GAMMA, "gaussian"), "disk": (GAMMA, "disk")}
"""Power of the grey levels that is blurred, and the kernel."""

SIGMAS = np.concatenate([[0.0], np.geomspace(0.3, 5.0, 34)])
"""Deviations that are tried, pixels; steps of 9 %."""

WINDOW, STRIDE = 40, 12
DEPTH_RATIO, TEXTURE, CLIPPED, UNEXPLAINED = 1.08, 4.0, 0.02, 0.05
"""Of a window: the most of far over near depth, the least rms of its fine detail in grey levels, the most of the share
of its pixels that are nearly black or white, and of the share of its variance that a model leaves unexplained."""

LIMITS, ROBUST, FLOOR = (0.8, 2.5), 0.2, 0.3
"""Blurs where the models are compared, and the error from which a window counts less; start of the fit. Pixels."""


@dataclass(frozen=True)
class Windows:
    """Windows of all scenes, n of them.

    Attributes:
        scene: (n,) int; depth: (n,) median in metres.
        sigma: of each model, (n,) deviation of the best blur in pixels; unexplained: (n,) share of the variance.
    """

    scene: NDArray[np.intp]
    depth: Float64
    sigma: dict[str, Float64]
    unexplained: dict[str, Float64]


def align(sharp: Float32, blurred: Float32) -> tuple[Float32, float]:
    """`sharp` (H, W) moved onto `blurred` by the affine map of the highest correlation; pixels of shift in the middle.

    Source: ECC, Evangelidis and Psarakis, PAMI 2008.
    """
    start, stop = np.eye(2, 3, dtype=np.float32), (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 200, 1e-6)
    like = cv2.GaussianBlur(sharp, (0, 0), 1.2)
    _, affine = cv2.findTransformECC(blurred, like, start, cv2.MOTION_AFFINE, stop, np.ones(sharp.shape, np.uint8), 5)
    size = sharp.shape[::-1]
    middle = (np.array(size) - 1) / 2
    flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(sharp, affine, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.clip(moved, 0, 1), float(np.hypot(*(affine[:, :2] @ middle + affine[:, 2] - middle)))


def centres(sharp: Float32, blurred: Float32, depth: Float32) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the windows with texture and little depth, none of which reaches the border."""
    known = np.nan_to_num(depth)
    square = np.ones((WINDOW, WINDOW), np.uint8)
    detail = mean_of(np.square(sharp - cv2.GaussianBlur(sharp, (0, 0), 2.0))) * 255**2
    clipped = mean_of(((np.maximum(sharp, blurred) > 0.96) | (sharp < 0.03)).astype(np.float32))
    good = (cv2.dilate(known, square) < DEPTH_RATIO * cv2.erode(known, square)) & (clipped < CLIPPED)
    good &= detail > TEXTURE**2
    grid, edge = np.zeros_like(good), WINDOW // 2 + 5
    grid[edge:-edge:STRIDE, edge:-edge:STRIDE] = True
    rows, columns = np.nonzero(good & grid)
    return rows, columns


def mean_of(image: Float32) -> Float32:
    """Over the window around each pixel."""
    return np.asarray(cv2.blur(image, (WINDOW, WINDOW)), np.float32)


def best_blur(sharp: Float32, blurred: Float32, kernel: str, at: Any) -> tuple[Float64, Float64]:
    """Deviation of the blur of `sharp` that leaves least of `blurred` unexplained in the windows `at`, and that share.

    With contrast and brightness free, the share is 1 - r^2, r the correlation in the window.
    """

    def covariance(one: Float32, other: Float32) -> Float64:
        return np.float64(mean_of(one * other)[at]) - np.float64(mean_of(one)[at]) * mean_of(other)[at]

    variance, shares = covariance(blurred, blurred), []
    for sigma in SIGMAS:
        tried = blurred_by(sharp, sigma, kernel)
        shares.append(1 - covariance(tried, blurred) ** 2 / (covariance(tried, tried) * variance))
    return SIGMAS[np.argmin(shares, 0)], np.min(shares, 0)


def measure(wide: OneraDfd, narrow: OneraDfd) -> tuple[Windows, list[float]]:
    """Windows of all scenes that every model explains, and each scene's shift between the exposures in pixels."""
    parts, shifts = [], []
    for k in range(len(wide)):
        sharp, blurred = (cv2.cvtColor(d[k].rgb, cv2.COLOR_RGB2GRAY) / np.float32(255) for d in (narrow, wide))
        sharp, shift = align(sharp, blurred)
        depth = wide[k].depth
        at = centres(sharp, blurred, depth)
        found = [best_blur(sharp**g, blurred**g, kernel, at) for g, kernel in MODELS.values()]
        parts.append(np.stack([np.full(len(at[0]), k), depth[at], *(row for pair in found for row in pair)]))
        shifts.append(shift)
    table = np.concatenate(parts, 1)
    sigma, unexplained = table[2::2], table[3::2]
    table = table[:, ((unexplained < UNEXPLAINED) & (sigma < SIGMAS[-1])).all(0)]
    by_model = [dict(zip(MODELS, table[i::2], strict=True)) for i in (2, 3)]
    return Windows(table[0].astype(np.intp), table[1], *by_model), shifts


def blur_between(lens: ThinLens, other: ThinLens, floor: float, depth: Float64) -> Float64:
    """Deviation, pixels, of the blur that makes an image of `lens` of one by `other`; `floor` is that at the focus."""
    squares = [np.square(one.signed_sigma(depth.astype(np.float32)), dtype=np.float64) for one in (lens, other)]
    return np.sqrt(floor**2 + squares[0] - squares[1])


def fit(depth: Float64, sigma: Float64, weight: Float64) -> Float64:
    """Focus in metres, rho, and blur at the focus in pixels, of the lens at f/2.8 and f/8; weighted pseudo-Huber."""

    def residuals(parameters: Float64) -> Float64:
        focus, rho, floor = parameters
        wide, narrow = (replace(LENSES[aperture], focus=focus, rho=rho) for aperture in ("f2_8", "f8"))
        error = (blur_between(wide, narrow, floor, depth) - sigma) / ROBUST
        return np.sqrt(weight) * error * np.sqrt(2 / (np.sqrt(1 + error**2) + 1))

    lens = LENSES["f2_8"]
    bounds = ((0.1, 0.01, 0.0), (20.0, 2.0, 3.0))
    # A lens takes float32 depths: steps of the derivative must stand above their rounding.
    return least_squares(residuals, (lens.focus, lens.rho, FLOOR), bounds=bounds, diff_step=1e-3).x


def lens_of(windows: Windows, model: str, resamples: int) -> dict[str, float]:
    """The fit with every scene of one weight, and the deviation of its values by bootstrap over the scenes."""
    scenes, which, counts = np.unique(windows.scene, return_inverse=True, return_counts=True)
    rng, n = np.random.default_rng(0), len(scenes)

    def fitted(times: NDArray[np.int64]) -> Float64:
        return fit(windows.depth, windows.sigma[model], (times / counts)[which])

    values = fitted(np.ones(n, np.int64))
    deviations = np.std([fitted(rng.multinomial(n, np.full(n, 1 / n))) for _ in range(resamples)], 0)
    named = zip(("focus", "rho", "floor"), values, deviations, strict=True)
    return {k: round(float(v), 3) for name, value, std in named for k, v in ((name, value), (f"{name}_std", std))}


def compare(windows: Windows, model: str, other: str) -> dict[str, float]:
    """Median shares unexplained by two models, and how often the second is better, where its blur is in `LIMITS`."""
    low, high = LIMITS
    blur = (windows.sigma["light"] > low) & (windows.sigma["light"] < high)
    one, two = (windows.unexplained[name][blur] for name in (model, other))
    medians = {name: round(float(np.median(share)), 4) for name, share in ((model, one), (other, two))}
    return medians | {f"{other}_better": round(float(np.mean(two < one)), 2), "windows": int(blur.sum())}


def print_blur(windows: Windows) -> None:
    """Quartiles of the blur against depth, as the model `light` finds it."""
    print("| depth, m | windows | scenes | blur, pixels: quarter | median | three quarters |")
    print("|---|---|---|---|---|---|")
    edges = np.geomspace(0.7, 9.0, 20)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        within = (windows.depth >= low) & (windows.depth < high)
        if within.sum() >= 10:
            quartiles = np.percentile(windows.sigma["light"][within], (25, 50, 75))
            scenes = len(np.unique(windows.scene[within]))
            cells = (f"{low:.2f} to {high:.2f}", within.sum(), scenes, *(f"{q:.2f}" for q in quartiles))
            print("|", " | ".join(map(str, cells)), "|")


def main(
    data: Annotated[Path, typer.Option(help="folder of onera_dfd")],
    split: Annotated[str, typer.Option()] = "train",
    resamples: Annotated[int, typer.Option(help="of the scenes, for the deviations", min=2)] = 50,
) -> None:
    """Measures the lens on the scenes of a split."""
    cv2.setNumThreads(1)
    try:
        windows, shifts = measure(*(OneraDfd(data, split, aperture) for aperture in ("f2_8", "f8")))
    except (DatasetError, OSError) as error:
        raise SystemExit(f"onera_lens: {error}") from error
    print_blur(windows)
    report: dict[str, Any] = {"bench": "onera_lens", "split": split, "scenes": len(shifts)}
    report |= {"shift_median": round(float(np.median(shifts)), 1), "shift_max": round(max(shifts), 1)}
    report |= {"windows": len(windows.depth)} | {name: lens_of(windows, name, resamples) for name in MODELS}
    report["grey_or_light"] = compare(windows, "grey", "light")
    report["gaussian_or_disk"] = compare(windows, "light", "disk")
    print(json.dumps(report))


if __name__ == "__main__":
    typer.run(main)
