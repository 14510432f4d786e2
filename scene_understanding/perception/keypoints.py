"""Maps of a pose network to people (Cao et al., "Realtime Multi-Person 2D Pose Estimation", CVPR 2017).

Heat maps have a peak at every keypoint, and part affinity fields a unit vector along every limb. Peaks are joined to
limbs where the field points from one to the other, and limbs to people.

Quick by doing little: heat maps are only doubled, so that the peaks of two people near each other part, and a Gaussian
through its neighbours places a peak between cells; the fields stay as they are and are read where they are needed, for
all candidate pairs of all limbs at once. Most pairs join different people, which two cells between them tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.labels.keypoints import COCO18_NAMES, PAF_CHANNELS, PAF_LIMBS
from scene_understanding.perception.skeletons import NOBODY, Skeletons

Float32 = NDArray[np.float32]
Index = NDArray[np.intp]

_COUNT = len(COCO18_NAMES)
_FROM, _TO = np.array(PAF_LIMBS).T
_X = PAF_CHANNELS[:, 0]
"""(19,) channels of x; that of y is the next one."""
_TREE = _COUNT - 1
"""The first limbs lead from the neck outwards, on one way to every keypoint; the others close loops."""
_GLANCES = (np.float32(1 / 3), np.float32(2 / 3))
"""Where along a pair the fields are looked at first."""
_RIM = 4
"""Cells around enlarged maps: twice as many as cubic interpolation reaches, so that no map feels the next."""
_FALL = np.float32(np.exp(-((8 / 7) ** 2)))
"""By what a peak falls ever faster from cell to cell; beyond the border one of OpenPose's standard deviation, 7/8 of a
cell, is assumed to go on."""
_LOWEST = 0.05
"""What is next to a peak counts as no lower than this share of it: the logarithm of noise around 0 says nothing."""


@dataclass(frozen=True)
class DecodeParameters:
    """What counts as a keypoint, a limb and a person; defaults of Lightweight OpenPose (Osokin, 2018).

    Attributes:
        peak_threshold: a keypoint is where a heat map is higher than this, 0..1.
        max_peaks: of every heat map so many of the highest peaks count; what has more of them is noise.
        limb_samples: the fields are read at so many places along a limb.
        limb_threshold: a place speaks for the limb where the field along it is more than this, 0..1.
        limb_ratio: a limb is where more than this share of its places speak for it.
        min_keypoints: people with fewer are dropped.
        min_score: people are dropped whose keypoints and limbs are less sure than this on average, 0..1.
    """

    peak_threshold: float = 0.1
    max_peaks: int = 128
    limb_samples: int = 10
    limb_threshold: float = 0.05
    limb_ratio: float = 0.8
    min_keypoints: int = 3
    min_score: float = 0.2

    def __post_init__(self) -> None:
        if self.limb_samples < 2:
            raise ValueError(f"limb_samples is {self.limb_samples}; a limb has two ends at least")


DEFAULTS = DecodeParameters()


@dataclass(frozen=True, eq=False)
class _Peaks:
    """M peaks of heat maps.

    Attributes:
        keypoint: (M,) which heat map, ascending.
        xy: (2, M) float32, cells of the map; the middle of the top-left cell is 0.
        confidence: (M,) float32, 0..1, the height.
    """

    keypoint: Index
    xy: Float32
    confidence: Float32

    def __len__(self) -> int:
        return len(self.keypoint)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """K pairs of peaks that a limb might join.

    Attributes:
        limb: (K,) index of `PAF_LIMBS`.
        start, end: (K,) indices of the peaks.
        x, y: (K,) float32 cells, of the start, inside the map.
        right, down: (K,) float32 cells, the way from there to the end.
    """

    limb: Index
    start: Index
    end: Index
    x: Float32
    y: Float32
    right: Float32
    down: Float32

    def __getitem__(self, index: Index) -> _Pairs:
        ends = self.limb[index], self.start[index], self.end[index]
        return _Pairs(*ends, self.x[index], self.y[index], self.right[index], self.down[index])


@dataclass(frozen=True, eq=False)
class _Limbs:
    """L limbs between peaks.

    Attributes:
        limb: (L,) index of `PAF_LIMBS`.
        start, end: (L,) indices of the peaks that it joins.
        score: (L,) float32, 0..1.
    """

    limb: Index
    start: Index
    end: Index
    score: Float32

    def __getitem__(self, index: Any) -> _Limbs:
        return _Limbs(self.limb[index], self.start[index], self.end[index], self.score[index])


def decode(
    heat_maps: Float32, fields: Float32, stride: int = 8, parameters: DecodeParameters = DEFAULTS
) -> Skeletons:  # fmt: skip
    """The people in an image, in pixels of the network's input.

    A person's score is the mean of the heights of the 18 peaks and the scores of the 19 limbs, 0 for what is not
    found: who is seen whole comes before who is seen in part.

    Args:
        heat_maps: (19, h, w) float32, one map a keypoint, about 0..1, then that of the background, which is not used.
        fields: (38, h, w) float32, x and y of the limbs as in `PAF_CHANNELS`.
        stride: pixels in a cell of the maps; cell (i, j) has its middle at x = stride j + (stride - 1) / 2, y alike.

    What is not finite in the maps counts as 0.
    """
    peaks = _find_peaks(heat_maps, parameters)
    limbs = _one_to_one(_find_limbs(peaks, _finite(fields), parameters), len(peaks))
    return _people(peaks, limbs, _grouped(peaks, limbs), stride, parameters)


def decode_single(heat_maps: Float32, stride: int = 8) -> Skeletons:
    """The one person in an image that is known to show one: each keypoint where its heat map is highest.

    Arguments as of `decode`. A keypoint is not seen if its map is nowhere above 0, and nobody if all are so. The
    score is the mean confidence.
    """
    heat = _enlarged(heat_maps)
    inside = heat[:, _RIM:-_RIM, _RIM:-_RIM].reshape(_COUNT, -1)
    highest = inside.argmax(1)
    seen = np.flatnonzero(inside.max(1) > 0)
    y, x = np.divmod(highest[seen], heat.shape[2] - 2 * _RIM)
    peaks = _peaks_at(heat, np.ravel_multi_index((seen, y + _RIM, x + _RIM), heat.shape))
    if not len(peaks):
        return NOBODY
    return _skeletons(peaks, np.zeros(len(peaks), np.intp), peaks.confidence.sum(keepdims=True) / _COUNT, stride)


def _finite(maps: Float32) -> Float32:
    known = np.isfinite(maps)
    return maps if known.all() else np.where(known, maps, np.float32(0))


def _enlarged(heat_maps: Float32) -> Float32:
    """The keypoints' maps with cells of half the size and a rim around: (18, 2 h + 2 `_RIM`, 2 w + 2 `_RIM`)."""
    _, height, width = heat_maps.shape
    rim = _RIM // 2
    maps = np.empty((_COUNT, height + 2 * rim, width + 2 * rim), np.float32)
    maps[:, rim:-rim, rim:-rim] = _finite(heat_maps[:_COUNT])
    for side in maps[:, :, rim:-rim].transpose(1, 0, 2), maps.transpose(2, 0, 1):  # (h + 4, 18, w), (w + 4, 18, h + 4)
        edge, inner = np.maximum(side[[2, -3]], 0), np.maximum(side[[3, -4]], np.float32(1e-6))
        beyond = np.minimum(edge * edge / inner * _FALL, np.float32(0.999) * edge)  # peaks lie inside
        side[[1, -2]], side[[0, -1]] = beyond, beyond * _FALL
    rows = maps.reshape(-1, maps.shape[2])
    size = (2 * rows.shape[1], 2 * rows.shape[0])
    enlarged: Float32 = np.asarray(cv2.resize(rows, size, interpolation=cv2.INTER_CUBIC), np.float32)
    return enlarged.reshape(_COUNT, -1, size[0])


def _find_peaks(heat_maps: Float32, parameters: DecodeParameters) -> _Peaks:
    """Where a map is above the threshold and no lower than all around; of equal neighbours the first."""
    heat = _enlarged(heat_maps)
    _, height, width = heat.shape
    flat = heat.reshape(-1)
    inner = flat[width + 1 : -width - 1]
    top = inner > parameters.peak_threshold
    top &= inner > flat[width : -width - 2]
    top &= inner >= flat[width + 2 : -width]
    at = np.flatnonzero(top) + (width + 1)
    for step in width, width - 1, width + 1:
        at = at[flat[at] > flat[at - step]]
        at = at[flat[at] >= flat[at + step]]
    _, y, x = np.unravel_index(at, heat.shape)
    at = at[(y >= _RIM) & (y < height - _RIM) & (x >= _RIM) & (x < width - _RIM)]
    keypoint = at // heat[0].size
    if np.bincount(keypoint, minlength=1).max() > parameters.max_peaks:
        order = np.lexsort((-flat[at], keypoint))  # map by map, the highest first
        rank = np.arange(len(at)) - np.searchsorted(keypoint, keypoint)
        at = at[np.sort(order[rank < parameters.max_peaks])]
    return _peaks_at(heat, at)


def _peaks_at(heat: Float32, at: Index) -> _Peaks:
    """Peaks between cells, from `_enlarged` maps and the flat indices (M,) of their highest cells.

    A Gaussian summed over rows or columns is one of the same place and width, and its logarithm a parabola.
    """
    width = heat.shape[2]
    windows = heat.reshape(-1)[at + (np.array([[-width], [0], [width]]) + [-1, 0, 1])[..., None]]  # (3, 3, M)
    windows = np.maximum(windows, 0)
    sums = np.stack([windows.sum(0), windows.sum(1)])  # (2, 3, M): along x, along y
    low, here, high = np.log(np.maximum(sums, _LOWEST * sums[:, 1:2])).transpose(1, 0, 2)
    bend = np.maximum(2 * here - low - high, np.float32(1e-3))
    step = np.minimum(np.maximum((high - low) / (2 * bend), np.float32(-0.5)), np.float32(0.5))
    tops = windows[1, 1] * np.exp((bend * step**2).sum(0) / 2)
    keypoint, y, x = np.unravel_index(at, heat.shape)
    xy = (np.stack([x, y]) - _RIM + step + 0.5) / 2 - 0.5
    return _Peaks(keypoint, xy.astype(np.float32), np.minimum(tops, 1).astype(np.float32))


def _all_pairs(peaks: _Peaks, size: tuple[int, int]) -> _Pairs:
    """Every start with every end of every limb; size (h, w) of the maps."""
    count = np.bincount(peaks.keypoint, minlength=_COUNT)
    first = np.cumsum(count) - count
    pairs = count[_FROM] * count[_TO]
    limb = np.repeat(np.arange(len(PAF_LIMBS)), pairs)
    within = np.arange(len(limb)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    start, end = np.divmod(within, np.repeat(count[_TO], pairs))
    start += np.repeat(first[_FROM], pairs)
    end += np.repeat(first[_TO], pairs)
    inside = np.minimum(np.maximum(peaks.xy, 0), np.array([[size[1] - 1], [size[0] - 1]], np.float32))
    x, y = inside.take(start, axis=1)
    right, down = inside.take(end, axis=1)
    return _Pairs(limb, start, end, x, y, right - x, down - y)


def _find_limbs(peaks: _Peaks, fields: Float32, parameters: DecodeParameters) -> _Limbs:
    """Pairs of peaks with the field along them (equations 10 and 11 of the paper), not much longer than likely."""
    _, height, width = fields.shape
    pairs = _all_pairs(peaks, (height, width))
    pairs = pairs[_at_a_glance(fields, pairs, parameters.limb_threshold)]
    along = _along(fields, pairs, parameters.limb_samples)
    speak = (along > parameters.limb_threshold).sum(0)
    score = along.sum(0) / np.float32(len(along)) + np.minimum(0.5 * height / _length(pairs) - 1, 0)
    good = (speak > parameters.limb_ratio * parameters.limb_samples) & (score > 0)
    return _Limbs(pairs.limb, pairs.start, pairs.end, np.minimum(score, 1))[good]


def _length(pairs: _Pairs) -> Float32:
    """(K,) cells, above 0."""
    return np.maximum(np.hypot(pairs.right, pairs.down), np.float32(1e-6))


def _at_a_glance(fields: Float32, pairs: _Pairs, threshold: float) -> Index:
    """Which pairs have more field along them than the threshold in the cells nearest to all of `_GLANCES`."""
    _, height, width = fields.shape
    flat, area = fields.reshape(-1), height * width
    channel = (_X * area).take(pairs.limb)
    x, y = pairs.x + np.float32(0.5), pairs.y + np.float32(0.5)
    least = np.float32(threshold) * np.hypot(pairs.right, pairs.down)
    seen = np.ones(len(least), bool)
    for way in _GLANCES:
        at = channel + (y + way * pairs.down).astype(np.int32) * width + (x + way * pairs.right).astype(np.int32)
        seen &= flat.take(at) * pairs.right + flat.take(at + area) * pairs.down > least
    return np.flatnonzero(seen)


def _along(fields: Float32, pairs: _Pairs, samples: int) -> Float32:
    """(samples, K) float32, the field along every pair, evenly from end to end, bilinear."""
    _, height, width = fields.shape
    flat, area = fields.reshape(-1), height * width
    way = np.arange(samples, dtype=np.float32)[:, None] / np.float32(samples - 1)
    x, y = pairs.x + way * pairs.right, pairs.y + way * pairs.down
    left, top = x.astype(np.int32), y.astype(np.int32)
    of_right, of_bottom = x - left.astype(np.float32), y - top.astype(np.float32)
    length = _length(pairs)
    x_unit, y_unit = pairs.right / length, pairs.down / length
    corner = (_X * area).take(pairs.limb) + top * width + left
    total = np.zeros(x.shape, np.float32)
    for row, of_row in (0, 1 - of_bottom), (width, of_bottom):
        for column, of_column in (0, 1 - of_right), (1, of_right):
            at = corner + (row + column)  # may leave the map where it weighs nothing
            field = flat.take(at, mode="clip") * x_unit + flat.take(at + area, mode="clip") * y_unit
            total += field * (of_row * of_column)
    return total


def _one_to_one(limbs: _Limbs, peaks: int) -> _Limbs:
    """Of limbs of one kind that share a peak the surest, in that order.

    In rounds: what is the surest of its kind at both ends is kept, and what shares an end with it goes.
    """
    limbs = limbs[np.argsort(-limbs.score, kind="stable")]
    ends = np.stack([limbs.limb * peaks + end for end in (limbs.start, limbs.end)])
    kept, surest = np.zeros(len(limbs.score), bool), np.empty(len(PAF_LIMBS) * peaks, np.intp)
    left = np.arange(len(limbs.score))
    while len(left):
        last_to_first = left[::-1]
        for end in ends:
            surest[end[last_to_first]] = last_to_first  # the last one written stays
        best = left[(surest[ends[0, left]] == left) & (surest[ends[1, left]] == left)]
        kept[best] = True
        taken = np.zeros(len(surest), bool)
        taken[ends[:, best]] = True
        left = left[~taken[ends[:, left]].any(0)]
    return limbs[np.flatnonzero(kept)]


def _grouped(peaks: _Peaks, limbs: _Limbs) -> Index:
    """(M,) the person of every peak, as the index of one of the peaks of the same person.

    The limbs of the tree are at most one of a kind at every peak, so that whatever they join has no keypoint twice.
    The others join two groups, the surest first, unless both have the same keypoint.
    """
    tree = limbs.limb < _TREE
    group = np.arange(len(peaks))
    group[limbs.end[tree]] = limbs.start[tree]
    for _ in range(2):  # no keypoint is further than four limbs from the root of its tree
        group = group[group]
    has = np.bincount(group, 2.0**peaks.keypoint, len(peaks)).astype(np.int64)  # a bit a keypoint
    for k in np.flatnonzero(group[limbs.start] != group[limbs.end]):
        one, other = group[limbs.start[k]], group[limbs.end[k]]
        if not has[one] & has[other]:
            has[one] |= has[other]
            group[group == other] = one
    return group


def _people(peaks: _Peaks, limbs: _Limbs, group: Index, stride: int, parameters: DecodeParameters) -> Skeletons:
    """The groups (M,) of peaks that are people."""
    own = group[limbs.start] == group[limbs.end]
    keypoints = np.bincount(group, minlength=len(peaks))
    parts = keypoints + np.bincount(group[limbs.start[own]], minlength=len(peaks))
    total = np.bincount(group, peaks.confidence, len(peaks))
    total += np.bincount(group[limbs.start[own]], limbs.score[own], len(peaks))
    people = np.flatnonzero((keypoints >= parameters.min_keypoints) & (total >= parameters.min_score * parts))
    people = people[np.argsort(-total[people], kind="stable")]
    person = np.full(len(peaks), -1)
    person[people] = np.arange(len(people))
    return _skeletons(peaks, person[group], total[people] / (_COUNT + len(PAF_LIMBS)), stride)


def _skeletons(peaks: _Peaks, person: Index, score: NDArray[Any], stride: int) -> Skeletons:
    """Everybody's peaks; person (M,) is -1 for those of nobody."""
    at = np.flatnonzero(person >= 0)
    pixels = np.full((len(score), _COUNT, 2), np.nan, np.float32)
    pixels[person[at], peaks.keypoint[at]] = peaks.xy[:, at].T * stride + (stride - 1) / 2
    confidence = np.zeros((len(score), _COUNT), np.float32)
    confidence[person[at], peaks.keypoint[at]] = peaks.confidence[at]
    return Skeletons(pixels, confidence, score.astype(np.float32))
