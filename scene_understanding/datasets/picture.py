"""A contact sheet of a dataset: colour, depth and labels side by side, and a legend."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.labels import LabelSet

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""

TILE_WIDTH, GAP, LINE = 320, 6, 22
FONT, FONT_SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.45


def contact_sheet(samples: Sequence[RgbdSample], labels: LabelSet | None) -> Image:
    """Two samples a row, each as colour, depth (if any sample has it; near is blue, unknown black) and labels.

    Args:
        labels: of the samples' labels; None where they have none. The legend names the classes that occur.
    """
    depths = np.concatenate([sample.depth[np.isfinite(sample.depth)] for sample in samples])
    near, far = np.percentile(depths, (2, 98)) if depths.size else (0.0, 0.0)
    strips = []
    for sample in samples:
        tiles = [_titled(_tile(sample.rgb), sample.name)]
        if depths.size:
            tiles.append(_tile(depth_colours(sample.depth, near, far)))
        if labels is not None and sample.label is not None:
            tiles.append(_tile(labels.colorize(sample.label)))
        strips.append(_beside(tiles))
    rows = [_beside(strips[k : k + 2]) for k in range(0, len(strips), 2)]
    width = max(row.shape[1] for row in rows)
    title = f"depth: {near:.1f} m blue to {far:.1f} m red, black unknown" if depths.size else "no depth"
    return _below([*rows, *_legend(samples, labels, title, width)], width)


def depth_colours(depth: NDArray[np.float32], near: float, far: float) -> Image:
    """Depth (H, W) in metres from blue at `near` to red at `far`; black where it is unknown."""
    scaled = (np.nan_to_num(depth) - near) / max(far - near, 1e-6)
    bgr = cv2.applyColorMap((scaled.clip(0, 1) * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    colours: Image = np.array(bgr[..., ::-1], np.uint8)
    colours[~np.isfinite(depth)] = 0
    return colours


def _tile(image: Image) -> Image:
    """At the width of a tile; enlarged by repeating pixels, so that labels keep their colours."""
    height = round(image.shape[0] * TILE_WIDTH / image.shape[1])
    flag = cv2.INTER_AREA if image.shape[1] > TILE_WIDTH else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, (TILE_WIDTH, height), interpolation=flag), np.uint8)


def _titled(image: Image, title: str) -> Image:
    for colour, thickness in ((0, 3), (255, 1)):
        cv2.putText(image, title, (5, 15), FONT, FONT_SIZE, (colour,) * 3, thickness, cv2.LINE_AA)
    return image


def _beside(images: Sequence[Image]) -> Image:
    canvas = np.full((max(i.shape[0] for i in images), sum(i.shape[1] + GAP for i in images) - GAP, 3), 255, np.uint8)
    x = 0
    for image in images:
        canvas[: image.shape[0], x : x + image.shape[1]] = image
        x += image.shape[1] + GAP
    return canvas


def _below(images: Sequence[Image], width: int) -> Image:
    canvas = np.full((sum(i.shape[0] + GAP for i in images) - GAP, width, 3), 255, np.uint8)
    y = 0
    for image in images:
        canvas[y : y + image.shape[0], : image.shape[1]] = image
        y += image.shape[0] + GAP
    return canvas


def _legend(samples: Sequence[RgbdSample], labels: LabelSet | None, title: str, width: int) -> list[Image]:
    """Lines as wide as the sheet: a swatch and a name for every class that occurs, then the title."""
    entries: list[tuple[NDArray[np.uint8] | None, str]] = []
    if labels is not None:
        seen = set().union(*(np.unique(s.label).tolist() for s in samples if s.label is not None))
        named = zip(labels.ids, labels.names, labels.colours, strict=True)
        entries = [(colour, name) for class_id, name, colour in named if class_id in seen]
    entries.append((None, title))
    lines, x = [np.full((LINE, width, 3), 255, np.uint8)], GAP
    for colour, text in entries:
        (length, _), _ = cv2.getTextSize(text, FONT, FONT_SIZE, 1)
        if x > GAP and x + LINE + length > width:
            lines.append(np.full((LINE, width, 3), 255, np.uint8))
            x = GAP
        if colour is not None:
            lines[-1][4:-4, x : x + LINE - 8] = colour
            x += LINE - 4
        cv2.putText(lines[-1], text, (x, LINE - 7), FONT, FONT_SIZE, (0, 0, 0), 1, cv2.LINE_AA)
        x += length + 3 * GAP
    return lines
