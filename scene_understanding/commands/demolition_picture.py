"""The picture of `demolition`: classes from above, true and found, and the demolition map with its legend."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import PointCloud
from scene_understanding.labels import LabelSet
from scene_understanding.mapping.demolition import DemolitionMap, demolition_colors

Image = NDArray[np.uint8]
PIXEL, SIDE, EDGE, LINE = 0.3, 460, 14, 30
"""Metres that a pixel from above is wide; in pixels the side of a panel, the space between them, a line's height."""

INK, PAPER, GROUND = (35, 40, 50), 255, (226, 226, 226)


def from_above(cloud: PointCloud, color: Image) -> Image:
    """(H, W, 3) uint8, x to the right and y upwards: colours (N, 3) of the highest points; small gaps are closed."""
    place = np.floor((cloud.xyz[:, :2] - cloud.xyz[:, :2].min(axis=0)) / PIXEL).astype(np.int64)
    columns, rows = place.max(axis=0) + 1
    order = np.argsort(cloud.xyz[:, 2], kind="stable")
    top = np.full((rows, columns), -1, np.int64)
    top[rows - 1 - place[order, 1], place[order, 0]] = order
    seen = top >= 0
    _, nearest = cv2.distanceTransformWithLabels(
        (~seen).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(int(nearest.max()) + 1, np.int64)
    owner[nearest[seen]] = top[seen]
    filled = cv2.dilate(seen.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=2) > 0
    return np.where(filled[..., None], color[owner[nearest]], np.uint8(PAPER))


def map_image(found: DemolitionMap) -> Image:
    """(R, C, 3) uint8, x to the right and y upwards: degrees of demolition, grey where there is nothing built."""
    color = demolition_colors(found.demolition)
    color[~np.isfinite(found.demolition) & (found.count > 0)] = GROUND
    return np.ascontiguousarray(color[::-1])


def picture(rows: Sequence[tuple[str, dict[str, Image]]], labels: LabelSet) -> Image:
    """All rows, each a name and its panels by title, above the legend."""
    parts = []
    for name, panels in rows:
        drawn = [_titled(_fitted(image), title) for title, image in panels.items()]
        parts += [_line(name, sum(p.shape[1] for p in drawn)), np.hstack(drawn)]
    width = max(part.shape[1] for part in parts)
    parts.append(_legend(labels, width))
    return np.vstack([_padded(part, width) for part in parts])


def _fitted(image: Image) -> Image:
    """On a square of `SIDE`, enlarged without blur."""
    scale = SIDE / max(image.shape[:2])
    size = [max(round(n * scale), 1) for n in image.shape[1::-1]]
    square = np.full((SIDE, SIDE, 3), PAPER, np.uint8)
    square[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)
    return square


def _padded(image: Image, width: int) -> Image:
    return np.pad(image, ((0, 0), (0, width - image.shape[1]), (0, 0)), constant_values=PAPER)


def _line(text: str, width: int, scale: float = 0.6) -> Image:
    line = np.full((LINE, width, 3), PAPER, np.uint8)
    cv2.putText(line, text, (EDGE, LINE - 9), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA)
    return line


def _titled(image: Image, title: str) -> Image:
    framed = cv2.copyMakeBorder(image, 0, EDGE, EDGE, EDGE, cv2.BORDER_CONSTANT, value=(PAPER,) * 3)
    return np.vstack([_line(title, framed.shape[1], 0.5), framed])


def _legend(labels: LabelSet, width: int) -> Image:
    """Colours of the classes, and the scale from intact to debris."""
    legend = np.full((LINE, width, 3), PAPER, np.uint8)
    for i, (name, color) in enumerate(zip(labels.names, labels.colours.tolist(), strict=True)):
        left, top = EDGE + 135 * i, 6
        cv2.rectangle(legend, (left, top), (left + 18, top + 16), color, cv2.FILLED)
        cv2.putText(legend, name, (left + 25, top + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
    bar = min(SIDE - 140, width // 3)
    left = width - EDGE - 65 - bar
    scale = demolition_colors(np.tile(np.linspace(0, 1, bar, dtype=np.float32), (18, 1)))
    legend[6:24, left : left + bar] = scale
    for text, x in (("intact", left - 58), ("debris", left + bar + 8)):
        cv2.putText(legend, text, (x, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
    return legend
