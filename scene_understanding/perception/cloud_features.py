"""What the neighbourhood of each point of a cloud looks like: normal, noise, shape, height above the ground.

Normal and noise are those of SnapNet's first version (Boulch, Le Saux, Audebert, 3DOR 2017): plane regression and the
ratio of covariance eigenvalues. Linearity, planarity and scattering are those of Weinmann et al. (ISPRS Journal 2015).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.spatial import cKDTree

Float32 = NDArray[np.float32]

NOISIEST = 0.7
"""Ratio of smallest to largest eigenvalue that is taken for nothing but noise, as in the paper's code."""

SPACING_RANK = 4
"""The neighbour whose distance is taken for the spacing: on a square lattice four are equally near."""

CHUNK = 32768
"""Points that are worked on at a time, by each thread."""

LOW = 0.05
"""Share of a cell's points that may lie below its ground: what the scanner saw under the street by reflection."""

MOST_CELLS = 100_000_000


@dataclass(frozen=True, eq=False)
class CloudFeatures:
    """Of N points, all float32.

    Attributes:
        normal: (N, 3) unit normals of the plane through the neighbours, z at least 0.
        verticality: (N,) angle between normal and vertical, over 90 degrees: 0 on floors, 1 on walls.
        noise: (N,) smallest over largest eigenvalue of the neighbours' covariance, over 0.7, at most 1.
        linearity, planarity, scattering: (N,) (l1 - l2) / l1, (l2 - l3) / l1 and l3 / l1 of the eigenvalues
            l1 >= l2 >= l3; their sum is 1, or 0 where all neighbours are one point.
        height: (N,) metres above the ground near by.
        spacing: (N,) metres to the fourth neighbour: how far apart points are here.
    """

    normal: Float32
    verticality: Float32
    noise: Float32
    linearity: Float32
    planarity: Float32
    scattering: Float32
    height: Float32
    spacing: Float32


def cloud_features(
    xyz: Float32, neighbours: int = 30, *, cell: float = 1.0, window: float = 10.0, threads: int = 2
) -> CloudFeatures:
    """Features of a cloud, z up.

    Args:
        xyz: (N, 3) float32, metres, finite; voxels, that is evenly spread points, make features comparable.
        neighbours: points of a neighbourhood, itself among them.
        cell, window: as in `height_above_ground`.
        threads: that share the work.

    Raises:
        ValueError: fewer than 3 neighbours, or as in `height_above_ground`.
    """
    if neighbours < 3:
        raise ValueError(f"neighbours is {neighbours}; a plane needs at least 3")
    height = height_above_ground(xyz, cell, window)
    if not len(xyz):
        none = np.zeros(0, np.float32)
        return CloudFeatures(np.zeros((0, 3), np.float32), none, none, none, none, none, height, none)
    centred = xyz - xyz.mean(axis=0, dtype=np.float64)
    tree = cKDTree(centred, balanced_tree=False)
    count = min(neighbours, len(xyz))

    def of_chunk(chunk: slice) -> tuple[Float32, Float32, Float32]:
        distance, index = tree.query(centred[chunk], count)
        distance, index = distance.reshape(-1, count), index.reshape(-1, count)
        spread = centred[index]
        spread -= spread.mean(axis=1, keepdims=True)
        values, vectors = np.linalg.eigh(spread.transpose(0, 2, 1) @ spread / count)
        values = np.maximum(values, 0).astype(np.float32)
        return vectors[:, :, 0].astype(np.float32), values, distance[:, min(SPACING_RANK, count - 1)].astype(np.float32)

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(of_chunk, _chunks(len(xyz))))
    normal, values, spacing = (np.concatenate(part) for part in zip(*parts, strict=True))
    normal *= np.where(normal[:, 2:] < 0, np.float32(-1), np.float32(1))
    small, middle, large = values.T
    scale = np.divide(1, large, out=np.zeros_like(large), where=large > 0)
    return CloudFeatures(
        normal=normal,
        verticality=np.arccos(np.minimum(normal[:, 2], 1)) / np.float32(np.pi / 2),
        noise=np.minimum(small * scale / np.float32(NOISIEST), 1),
        linearity=(large - middle) * scale,
        planarity=(middle - small) * scale,
        scattering=small * scale,
        height=height,
        spacing=spacing,
    )


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, start + CHUNK) for start in range(0, count, CHUNK))


def height_above_ground(xyz: Float32, cell: float = 1.0, window: float = 10.0) -> Float32:
    """(N,) float32 metres above the ground, which is what remains of the lowest points after a morphological opening.

    What stands on the ground and is narrower than the window is not ground; slopes are, whatever is on them.

    Args:
        xyz: (N, 3) float32, metres, z up, finite.
        cell: side of the cells in which the lowest points are looked for, metres.
        window: side of the opening's square, metres; wider than what stands on the ground.

    Raises:
        ValueError: not 0 < cell <= window, or a cloud too wide for its cells.
    """
    if not 0 < cell <= window:
        raise ValueError(f"cell is {cell} m, window {window} m; expected 0 < cell <= window")
    if not len(xyz):
        return np.zeros(0, np.float32)
    place = np.floor(xyz[:, :2].astype(np.float64) / cell)
    place -= place.min(axis=0)
    width, depth = place.max(axis=0) + 1
    if not width * depth <= MOST_CELLS:
        raise ValueError(f"a cloud of {width * cell:g} x {depth * cell:g} m is too wide; cut it into tiles")
    number = (place[:, 0] * depth + place[:, 1]).astype(np.int64)
    z = xyz[:, 2]
    order = np.lexsort((z, number))
    start = np.flatnonzero(np.diff(number[order], prepend=-1))
    count = np.diff(start, append=len(order))
    lowest = np.full(int(width * depth), np.inf, np.float32)
    lowest[number[order[start]]] = z[order[start + (LOW * count).astype(np.int64)]]
    side = 2 * round(window / cell / 2) + 1
    cells = lowest.reshape(int(width), int(depth))
    eroded = minimum_filter(cells, side, mode="constant", cval=np.inf)
    # Only where there are points: else what hides the ground at the cloud's rim would be taken for it.
    eroded[np.isinf(cells)] = -np.inf
    ground = maximum_filter(eroded, side, mode="constant", cval=-np.inf)
    return z - ground.ravel()[number]
