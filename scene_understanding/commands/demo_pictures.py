"""Pictures of the demo: the map from above, and a strip of what the camera saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.hosts.bus import Bus, Delivery
from scene_understanding.labels import UNLABELLED, LabelSet, load_label_set
from scene_understanding.mapping.frontiers import Frontier
from scene_understanding.mapping.layers import UNSURE, GridLayers
from scene_understanding.messages.image import image_to_array
from scene_understanding.nodes.node import SENSOR
from scene_understanding.nodes.segmentation import IMAGE

Image = NDArray[np.uint8]
SCALE = 4
"""Pixels a cell of the map."""
BACKGROUND, PERSON, PATH, START, FRONTIER, INK = (
    (235, 235, 235), (150, 90, 190), (200, 30, 30), (20, 140, 40), (255, 120, 0), (40, 40, 40)
)  # fmt: skip
PALE = 0.45
"""Share of its colour that floor keeps, so that what stands on it is seen."""
PICTURED = {"color": "/rgb/image_rect_color", "overlay": "/segmentation/overlay", "truth": "/ground_truth/mask"}
STRIP = 6
"""Columns of the strip."""


def draw_map(
    path: Path,
    layers: GridLayers,
    labels: LabelSet,
    robot: NDArray[np.float64],
    people: NDArray[np.float64],
    frontiers: Sequence[Frontier],
) -> None:
    """The floor plan in class colours, where the robot (T, 2) and people (T, P, 2) went, and what is left to see."""
    picture = _plan(layers, labels)

    def pixels(points: NDArray[np.float64]) -> NDArray[np.int32]:
        return np.rint((points - layers.origin) / layers.resolution * SCALE).astype(np.int32)

    tracks = picture.copy()
    for k in range(people.shape[1]):
        cv2.polylines(tracks, [pixels(people[:, k])], False, PERSON, 2 * SCALE, cv2.LINE_AA)
    picture = cv2.addWeighted(picture, 0.7, tracks, 0.3, 0)  # type: ignore[assignment]
    for frontier in frontiers:
        for x, y in pixels(frontier.points).tolist():
            cv2.circle(picture, (x, y), SCALE // 2, FRONTIER, -1)
    cv2.polylines(picture, [pixels(robot)], False, PATH, 2, cv2.LINE_AA)
    cv2.circle(picture, tuple(pixels(robot[0]).tolist()), 2 * SCALE, START, -1, cv2.LINE_AA)
    upright = np.ascontiguousarray(picture[::-1])
    seen = np.unique(layers.label[layers.label != UNLABELLED])
    entries = [(labels.names[labels.ids.index(i)], labels.colours[labels.ids.index(i)].tolist()) for i in seen.tolist()]
    drawn = [("way", PATH), ("start", START), ("frontier", FRONTIER), ("people", PERSON)]
    whole = np.hstack([upright, _legend([*entries, *drawn], len(upright))])
    cv2.imwrite(str(path), np.ascontiguousarray(whole[..., ::-1]))


def _plan(layers: GridLayers, labels: LabelSet) -> Image:
    """Cells in class colours, floor pale, unknown grey; y up is row down."""
    colour = labels.colorize(layers.label).astype(np.float32)
    known = layers.occupancy >= 0
    floor = known & (layers.occupancy <= UNSURE)
    colour[floor] = 255 - PALE * (255 - colour[floor])
    colour[~known] = BACKGROUND
    cells = colour.astype(np.uint8)
    return np.repeat(np.repeat(cells, SCALE, 0), SCALE, 1)


def _legend(entries: Sequence[tuple[str, Sequence[int]]], height: int) -> Image:
    legend = np.full((max(height, 24 * len(entries) + 20), 150, 3), 255, np.uint8)
    for i, (name, colour) in enumerate(entries):
        y = 12 + 24 * i
        cv2.rectangle(legend, (12, y), (28, y + 16), tuple(colour), -1)
        cv2.putText(legend, name, (36, y + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
    return legend[:height]


class Strip:
    """Image, overlay and ground truth one above the other, at `STRIP` moments of the drive."""

    def __init__(self, bus: Bus, seconds: float) -> None:
        """Listens on the bus for what is seen within so many seconds of simulated time."""
        self._every = max(seconds / STRIP, 1.0)
        self._palette = load_label_set("nyu13")
        self._columns: dict[int, dict[str, Image]] = defaultdict(dict)
        for row, topic in PICTURED.items():
            bus.subscribe(topic, IMAGE, SENSOR, "", partial(self._add, row))

    def _add(self, row: str, delivery: Delivery) -> None:
        moment = int((delivery.stamp_ns or 0) * 1e-9 / self._every)
        if row in self._columns[moment]:
            return
        picture = image_to_array(delivery.message())
        picture = self._palette.colorize(picture) if row == "truth" else picture
        self._columns[moment][row] = np.ascontiguousarray(picture[..., ::-1])

    def write(self, path: Path) -> None:
        """The strip so far."""
        columns = [np.vstack([c[row] for row in PICTURED]) for c in self._columns.values() if len(c) == len(PICTURED)]
        if columns:
            cv2.imwrite(str(path), np.hstack(columns[:STRIP]))
