"""How demolished a block is, cell by cell, from the classes of a cloud: 0 where it stands, 1 where it is debris.

Own design. That SnapNet's classes lead to a map from intact (blue) to debris (purple) is known of the INACHUS pilot in
Lyon; how it was done was not published. Here the points of a cell vote with their class probabilities, and the estimate
is the share of rubble in what people built, (rubble + k m) / (rubble + building + k): the mean of a beta distribution
whose prior is worth k points and has the mean m of the cells around it, so that few points say little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from scene_understanding.geometry import PointCloud
from scene_understanding.labels import UNLABELLED, LabelSet

MOST_CELLS = 4_000_000
"""Of a map; a stray point far away would ask for more memory than there is."""

Float32 = NDArray[np.float32]
Votes = NDArray[np.floating | np.integer]

SCALE = np.array([(45, 90, 220), (60, 180, 190), (245, 215, 90), (230, 95, 60), (140, 30, 150)], np.float64)
"""RGB of the estimate at 0, 1/4, ... 1: blue stands for intact, purple for debris."""


@dataclass(frozen=True)
class DemolitionParameters:
    """How points become cells.

    Attributes:
        cell: side of a cell, metres.
        least: points that a cell must have to be judged; for the estimate, points of building or rubble.
        share: of a cell's points that must be building or rubble for an estimate.
        prior: points that the surroundings are worth.
        reach: deviation of the Gaussian that weighs the surroundings, metres.

    Raises:
        ValueError: a value out of range.
    """

    cell: float = 1.0
    least: float = 3.0
    share: float = 0.4
    prior: float = 4.0
    reach: float = 1.0

    def __post_init__(self) -> None:
        if not (self.cell > 0 and self.least > 0 and 0 <= self.share <= 1 and self.prior >= 0 and self.reach >= 0):
            raise ValueError(f"{self}: cell and least must be above 0, share 0 to 1, prior and reach at least 0")


@dataclass(frozen=True, eq=False)
class DemolitionMap:
    """Cells over the ground; rows along y, columns along x.

    Attributes:
        origin: (2,) float64 x and y of the outer corner of cell (0, 0), metres.
        cell: side of a cell, metres.
        count: (R, C) int32 points with a class.
        probability: (R, C, K) float32 mean class probabilities of a cell's points; NaN where there are none.
        label: (R, C) uint16 id of the class with the most votes; 255 where there are too few points.
        demolition: (R, C) float32, 0 intact to 1 debris; NaN where hardly anything is building or rubble.
    """

    origin: NDArray[np.float64]
    cell: float
    count: NDArray[np.int32]
    probability: Float32
    label: NDArray[np.uint16]
    demolition: Float32


def class_probabilities(cloud: PointCloud, labels: LabelSet) -> Float32:
    """(N, K) float32 of a cloud (N,): its confidence for its label, the rest shared by the other classes.

    A cloud without confidence is sure. Rows are 0 where a label is no class of the set.

    Raises:
        ValueError: the cloud has no labels.
    """
    if cloud.label is None:
        raise ValueError("the cloud has no labels, so no class probabilities")
    k = len(labels)
    index = np.searchsorted(labels.ids, cloud.label).clip(max=k - 1)
    known = np.asarray(labels.ids)[index] == cloud.label
    confidence = np.ones(len(index), np.float32) if cloud.confidence is None else cloud.confidence
    probability = np.repeat(((1 - confidence) / max(k - 1, 1))[:, None], k, axis=1).astype(np.float32)
    probability[np.arange(len(index)), index] = confidence
    return probability * known[:, None]


def demolition_map(
    xyz: Float32, probability: Float32, labels: LabelSet, parameters: DemolitionParameters | None = None
) -> DemolitionMap:
    """The map of a cloud.

    Args:
        xyz: (N, 3) float32, metres, finite, z up; the same points always make the same cells.
        probability: (N, K) of the classes of `labels`, 0 in rows of points that have none.
        labels: with the classes building and rubble.
        parameters: the defaults unless told.

    Raises:
        KeyError: the label set lacks one of the two classes.
        ValueError: no points, probabilities of another shape, or as `check_extent`.
    """
    p = parameters or DemolitionParameters()
    building, rubble = (labels.ids.index(labels.id_of(name)) for name in ("building", "rubble"))
    if not len(xyz) or probability.shape != (len(xyz), len(labels)):
        raise ValueError(f"{len(xyz)} points, probabilities {probability.shape}; expected (N, {len(labels)}), N > 0")
    check_extent(xyz, p.cell)
    place = np.floor(xyz[:, :2].astype(np.float64) / p.cell).astype(np.int64)
    first = place.min(axis=0)
    column, row = (place - first).T
    shape = (int(row.max()) + 1, int(column.max()) + 1)
    index, cells = row * shape[1] + column, shape[0] * shape[1]
    votes = np.stack([np.bincount(index, weights.astype(np.float64), cells) for weights in probability.T], axis=1)
    count = np.bincount(index, probability.any(axis=1), cells).astype(np.int32)
    share = np.divide(votes, count[:, None], out=np.full(votes.shape, np.nan), where=count[:, None] > 0)
    label = np.where(count >= p.least, np.asarray(labels.ids, np.uint16)[votes.argmax(axis=1)], UNLABELLED)
    votes = votes.reshape(*shape, -1)
    count = count.reshape(shape)
    demolition = _demolition(votes[..., building], votes[..., rubble], p)
    built = votes[..., building] + votes[..., rubble]
    demolition[built < np.maximum(p.least, p.share * count)] = np.nan
    return DemolitionMap(
        first * p.cell, p.cell, count, share.reshape(votes.shape).astype(np.float32),
        label.reshape(shape).astype(np.uint16), demolition,
    )  # fmt: skip


def check_extent(xyz: Float32, cell: float) -> None:
    """Raises ValueError where a map of points (N, 3), N > 0, would have more than `MOST_CELLS` cells."""
    width, depth = np.ptp(xyz[:, :2].astype(np.float64), axis=0)
    if not (width / cell + 1) * (depth / cell + 1) <= MOST_CELLS:
        raise ValueError(
            f"a cloud of {width:g} x {depth:g} m is too wide for cells of {cell:g} m; take stray points away, cut the "
            "cloud, or make the cells larger"
        )


def _demolition(building: Votes, rubble: Votes, p: DemolitionParameters) -> Float32:
    """(R, C) float32 mean of the beta distribution, from votes (R, C)."""
    reach = p.reach / p.cell
    around = gaussian_filter(building + rubble, reach, mode="constant")
    mean = np.divide(gaussian_filter(rubble, reach, mode="constant"), around, out=around * 0, where=around > 0)
    return ((rubble + p.prior * mean) / np.maximum(building + rubble + p.prior, 1e-9)).astype(np.float32)


def demolition_colors(demolition: Float32) -> NDArray[np.uint8]:
    """(..., 3) uint8 RGB of estimates (...): blue for 0, over green, yellow and red, to purple for 1; white for NaN."""
    known = np.isfinite(demolition)
    stops = np.linspace(0, 1, len(SCALE))
    value = np.where(known, demolition, 0)
    color = np.stack([np.interp(value, stops, channel) for channel in SCALE.T], axis=-1)
    return np.where(known[..., None], np.rint(color), 255).astype(np.uint8)


@dataclass(frozen=True)
class RubbleScore:
    """How well the cells of rubble were found: counts of cells, and the error of the demolition estimate.

    Attributes:
        hit, false, missed: cells called rubble that are, that are not, and rubble called something else.
        error: sum of |estimate - truth| over cells that have both.
        judged: number of those cells.
        unjudged: cells with a true degree of demolition and no estimate.
    """

    hit: int = 0
    false: int = 0
    missed: int = 0
    error: float = 0.0
    judged: int = 0
    unjudged: int = 0

    @property
    def precision(self) -> float:
        """hit / (hit + false); NaN if nothing was called rubble."""
        return _ratio(self.hit, self.hit + self.false)

    @property
    def recall(self) -> float:
        """hit / (hit + missed); NaN if there is no rubble."""
        return _ratio(self.hit, self.hit + self.missed)

    @property
    def mae(self) -> float:
        """Mean error of the demolition estimate; NaN without cells that have both."""
        return _ratio(self.error, self.judged)

    def __add__(self, other: RubbleScore) -> RubbleScore:
        return RubbleScore(
            self.hit + other.hit, self.false + other.false, self.missed + other.missed,
            self.error + other.error, self.judged + other.judged, self.unjudged + other.unjudged,
        )  # fmt: skip


def rubble_score(estimate: DemolitionMap, truth: DemolitionMap, labels: LabelSet) -> RubbleScore:
    """An estimate against the map of the same points with true labels; cells that the truth leaves open do not count.

    Raises:
        ValueError: maps of different cells.
    """
    if estimate.label.shape != truth.label.shape or not np.array_equal(estimate.origin, truth.origin):
        raise ValueError(
            f"maps of {estimate.label.shape} and {truth.label.shape} cells; they must be of the same points"
        )
    rubble = labels.id_of("rubble")
    scored = truth.label != UNLABELLED
    called, true = (estimate.label == rubble)[scored], (truth.label == rubble)[scored]
    degree = np.isfinite(truth.demolition)
    both = degree & np.isfinite(estimate.demolition)
    error = np.abs(estimate.demolition[both].astype(np.float64) - truth.demolition[both])
    return RubbleScore(
        int((called & true).sum()), int((called & ~true).sum()), int((~called & true).sum()),
        float(error.sum()), int(both.sum()), int((degree & ~both).sum()),
    )  # fmt: skip


def _ratio(a: float, b: float) -> float:
    return a / b if b else float("nan")
