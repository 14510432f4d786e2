"""How good a map of a simulated world is: how much of the floor it knows, its classes, and what people left in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from scene_understanding.evaluation.segmentation_metrics import class_iou, confusion_matrix
from scene_understanding.labels import LabelSet

SPACING = 0.02
"""Metres between the points of a true surface."""
NEAR_SURFACE, OFF_SURFACE = 1.5, 2.0
"""Voxels: a voxel no farther from a true surface is one of it; one that is farther has nothing to do with it."""
NEAR_PERSON = 0.4
"""Metres from where somebody stood within which they can have left something."""


def floor_coverage(
    known: NDArray[np.bool_], origin: ArrayLike, resolution: float, places: NDArray[np.float64]
) -> float:
    """Share of `places` (N, 2) on the floor, metres in the map, that lie in cells that are known; NaN without places.

    Args:
        known: (rows, columns) bool, rows along y. origin: (2,) outer corner of cell (0, 0), metres.
    """
    if not len(places):
        return float("nan")
    cells = np.floor((places - np.asarray(origin, np.float64)) / resolution).astype(int)[:, ::-1]
    inside = ((cells >= 0) & (cells < known.shape)).all(1)
    return float(known[tuple(cells[inside].T)].sum() / len(places))


@dataclass(frozen=True, eq=False)
class Surface:
    """Points on the static surfaces of a world.

    Attributes:
        tree: of their places, metres.
        label: (N,) uint8 or uint16, the class of each.
    """

    tree: cKDTree
    label: NDArray[np.integer]

    @classmethod
    def of_mesh(
        cls,
        vertices: NDArray[np.floating],
        triangles: NDArray[np.integer],
        label: NDArray[np.integer],
        spacing: float = SPACING,
    ) -> Surface:
        """Of triangles (T, 3) over vertices (V, 3), metres, with a label each (T,): on average a point a square of
        `spacing`, at least one a triangle; the same mesh gives the same points."""
        corners = vertices[triangles].astype(np.float64)
        edges = corners[:, 1:] - corners[:, :1]
        area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
        count = np.maximum(np.ceil(area / spacing**2), 1).astype(int)
        triangle = np.repeat(np.arange(len(triangles)), count)
        share = np.random.default_rng(0).random((len(triangle), 2))
        beyond = share.sum(1) > 1  # the other half of the parallelogram, folded back
        share[beyond] = 1 - share[beyond]
        points = corners[triangle, 0] + (share[..., None] * edges[triangle]).sum(1)
        return cls(cKDTree(points), label[triangle])


def voxel_scores(
    xyz: NDArray[np.floating], label: NDArray[np.integer], voxel: float, surface: Surface, labels: LabelSet
) -> dict[str, Any]:
    """`miou` over the classes that are truly there, `iou` by name, `voxels`, and the share of them `off_surface`.

    The truth of a voxel is the nearest surface within `NEAR_SURFACE` of its centre; without one it is wrong for the
    class that it has. Classes of the surface that `labels` does not have do not count.

    Args:
        xyz: (N, 3) centres, metres; label: (N,) class ids, 255 unlabelled. voxel: edge, metres.
    """
    distance, nearest = surface.tree.query(xyz, distance_upper_bound=NEAR_SURFACE * voxel)
    found = np.isfinite(distance)
    classes = len(labels)
    number = np.full(1 << 16, 1 << 15, np.int64)  # beyond all classes: does not count as truth, is wrong as label
    number[list(labels.ids)] = np.arange(classes)
    truth = np.full(len(xyz), classes)  # one more class: nothing
    truth[found] = number[surface.label[nearest[found]]]
    predicted = np.where(number[label] < classes, number[label], classes + 1)
    confusion = confusion_matrix(truth, predicted, classes + 1)
    iou, present = class_iou(confusion)[:classes], confusion[:classes].sum(1) > 0
    return {
        "miou": float(iou[present].mean()) if present.any() else float("nan"),
        "iou": {name: float(v) if p else None for name, v, p in zip(labels.names, iou, present, strict=True)},
        "voxels": len(xyz),
        "off_surface": float(1 - found.mean()) if len(xyz) else float("nan"),
    }


def left_by_people(
    xyz: NDArray[np.floating], voxel: float, surface: Surface, places: NDArray[np.floating], tallest: float = 2.1
) -> NDArray[np.bool_]:
    """(N,) bool: voxels with centres (N, 3) that are no part of a surface, where somebody was at some time.

    Args:
        places: (M, 2) everywhere that anybody has been, metres.
    """
    if not len(places) or not len(xyz):
        return np.zeros(len(xyz), bool)
    distance, _ = surface.tree.query(xyz, distance_upper_bound=OFF_SURFACE * voxel)
    gap, _ = cKDTree(places).query(xyz[:, :2], distance_upper_bound=NEAR_PERSON)
    return ~np.isfinite(distance) & np.isfinite(gap) & (xyz[:, 2] < tallest)
