"""Maps of a pose network to people (Cao et al., "Realtime Multi-Person 2D Pose Estimation", CVPR 2017).

Heat maps have a peak at every keypoint, and part affinity fields a unit vector along every limb. Peaks are joined to
limbs where the field points from one to the other, and limbs to people.

Nothing is enlarged, which is what takes long elsewhere: peaks are placed between the cells of the maps by a Gaussian
through their neighbours, and the fields are read where they are needed, for all candidate pairs of all limbs at once.
Most pairs join different people, and two cells between them are enough to tell.
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
_TREE = _COUNT - 1
"""The first limbs lead from the neck outwards, on one way to every keypoint; the others close loops."""
_GLANCE = np.array([[1 / 3], [2 / 3]], np.float32)
"""Where along a pair the fields are looked at first."""
_LOWEST = 0.05
"""What is next to a peak counts as no lower than this share of it: the logarithm of noise around 0 says nothing."""


@dataclass(frozen=True)
class DecodeParameters:
    """What counts as a keypoint, a limb and a person; defaults of Lightweight OpenPose (Osokin, 2018).

    Attributes:
        peak_threshold: a keypoint is where a heat map is higher than this, 0..1.
        sigma: of the peaks, cells of the map; used at its border only, where a peak has no neighbour on one side.
        limb_samples: the fields are read at so many places along a limb.
        limb_threshold: a place speaks for the limb where the field along it is more than this, 0..1.
        limb_ratio: a limb is where more than this share of its places speak for it.
        min_keypoints: people with fewer are dropped.
        min_score: people are dropped whose keypoints and limbs are less sure than this on average, 0..1.
    """

    peak_threshold: float = 0.1
    sigma: float = 7 / 8
    limb_samples: int = 10
    limb_threshold: float = 0.05
    limb_ratio: float = 0.8
    min_keypoints: int = 3
    min_score: float = 0.2


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

    Arguments as of `decode`. A keypoint is not seen if its map is nowhere above 0. The score is the mean confidence.
    """
    heat = _padded(heat_maps)
    highest = heat.reshape(_COUNT, -1).argmax(1) + np.arange(_COUNT) * heat[0].size
    peaks = _peaks_at(heat, highest[heat.reshape(-1)[highest] > 0], DEFAULTS.sigma)
    return _skeletons(peaks, np.zeros(len(peaks), np.intp), peaks.confidence.sum(keepdims=True) / _COUNT, stride)


def _finite(maps: Float32) -> Float32:
    known = np.isfinite(maps)
    return maps if known.all() else np.where(known, maps, np.float32(0))


def _padded(heat_maps: Float32) -> Float32:
    """(18, h + 2, w + 2) the keypoints' maps, finite and with zeros around them, which keep them apart in memory."""
    _, height, width = heat_maps.shape
    padded = np.zeros((_COUNT, height + 2, width + 2), np.float32)
    padded[:, 1:-1, 1:-1] = _finite(heat_maps[:_COUNT])
    return padded


def _find_peaks(heat_maps: Float32, parameters: DecodeParameters) -> _Peaks:
    """Where a map is above the threshold and no lower than all around; of equal neighbours the first."""
    heat = _padded(heat_maps)
    rows = heat.reshape(-1, heat.shape[2])
    top = (rows >= cv2.dilate(rows, np.ones((3, 3), np.uint8))) & (rows > parameters.peak_threshold)
    at = np.flatnonzero(top)
    before = rows.reshape(-1)[at[:, None] - (np.array([1, -1, 0, 1]) + [0, rows.shape[1], rows.shape[1], rows.shape[1]])]
    return _peaks_at(heat, at[(before < rows.reshape(-1)[at, None]).all(1)], parameters.sigma)


def _peaks_at(heat: Float32, at: Index, sigma: float) -> _Peaks:
    """Peaks between cells, from heat (18, h + 2, w + 2), padded, and the flat indices (M,) of the highest cells.

    A Gaussian's sums over rows and columns are Gaussians of its place and width, and their logarithms parabolas.
    """
    _, height, width = heat.shape
    windows = heat.reshape(-1)[at + (np.array([[-width], [0], [width]]) + [-1, 0, 1])[..., None]]  # (3, 3, M)
    windows = np.maximum(windows, 0)
    sums = np.stack([windows.sum(0), windows.sum(1)])  # (2, 3, M): along x, along y
    low, here, high = np.log(np.maximum(sums, _LOWEST * sums[:, 1:2])).transpose(1, 0, 2)
    keypoint, y, x = np.unravel_index(at, heat.shape)
    xy = np.stack([x, y]) - 1
    fall = np.float32(1 / sigma**2)
    low = np.where(xy == 0, 2 * here - high - fall, low)
    high = np.where(xy == [[width - 3], [height - 3]], 2 * here - low - fall, high)
    bend = np.maximum(2 * here - low - high, np.float32(1e-3))
    step = np.clip((high - low) / (2 * bend), -0.5, 0.5)
    tops = windows[1, 1] * np.exp((bend * step**2).sum(0) / 2)
    return _Peaks(keypoint, (xy + step).astype(np.float32), np.minimum(tops, 1))


def _pairs(peaks: _Peaks) -> tuple[Index, Index, Index]:
    """(K,) limb, start and end of all pairs of peaks that a limb might join."""
    count = np.bincount(peaks.keypoint, minlength=_COUNT)
    first = np.cumsum(count) - count
    pairs = count[_FROM] * count[_TO]
    limb = np.repeat(np.arange(len(PAF_LIMBS)), pairs)
    within = np.arange(len(limb)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    start, end = np.divmod(within, np.repeat(count[_TO], pairs))
    return limb, start + np.repeat(first[_FROM], pairs), end + np.repeat(first[_TO], pairs)


def _find_limbs(peaks: _Peaks, fields: Float32, parameters: DecodeParameters) -> _Limbs:
    """Pairs of peaks with the field along them (equations 10 and 11 of the paper)."""
    limb, start, end = _pairs(peaks)
    _, height, width = fields.shape
    xy = np.clip(peaks.xy, 0, np.array([[width - 1], [height - 1]], np.float32))
    x, y = xy.take(start, axis=1)
    right, down = xy.take(end, axis=1)
    right -= x
    down -= y
    near = _glance(fields, limb, (x, y, right, down), parameters)
    limb, start, end, x, y, right, down = (values[near] for values in (limb, start, end, x, y, right, down))
    length = np.maximum(np.hypot(right, down), np.float32(1e-6))
    places = np.linspace(0, 1, parameters.limb_samples, dtype=np.float32)[:, None]
    along = _bilinear(fields, limb, x + places * right, y + places * down, right / length, down / length)
    speaks = np.count_nonzero(along > parameters.limb_threshold, axis=0)
    score = along.mean(0) + np.minimum(0.5 * height / length - 1, 0)
    good = (speaks > parameters.limb_ratio * parameters.limb_samples) & (score > 0)
    return _Limbs(limb, start, end, np.minimum(score, 1))[good]

MODE="both"
def _glance(fields, limb, pair, parameters):
    _, height, width = fields.shape
    flat = fields.reshape(-1)
    x, y, right, down = pair
    base = (PAF_CHANNELS[:, 0] * (height * width)).take(limb)
    x, y = x + np.float32(0.5), y + np.float32(0.5)
    least = np.float32(parameters.limb_threshold) * np.hypot(right, down)
    ok = []
    for t in (np.float32(1 / 3), np.float32(2 / 3)):
        at = base + (y + t * down).astype(np.int32) * width + (x + t * right).astype(np.int32)
        ok.append(flat.take(at) * right + flat.take(at + height * width) * down)
    if MODE == "both":
        return np.flatnonzero((ok[0] > least) & (ok[1] > least))
    if MODE == "any":
        return np.flatnonzero((ok[0] > least) | (ok[1] > least))
    if MODE == "mean":
        return np.flatnonzero((ok[0] + ok[1]) > 2 * least)


def _bilinear(fields, limb, x, y, ux, uy):
    """(S, K)"""
    _, height, width = fields.shape
    flat = fields.reshape(-1)
    left, top = x.astype(np.int32), y.astype(np.int32)
    fx, fy = x - left.astype(np.float32), y - top.astype(np.float32)
    at = (PAF_CHANNELS[:, 0] * (height * width)).take(limb) + top * width + left
    total = np.zeros(x.shape, np.float32)
    for down, of_row in (0, 1 - fy), (width, fy):
        for across, of_column in (0, 1 - fx), (1, fx):
            i = at + (down + across)
            total += (flat.take(i, mode="clip") * ux + flat.take(i + height * width, mode="clip") * uy) * (of_row * of_column)
    return total


def _one_to_one(limbs: _Limbs, peaks: int) -> _Limbs:
    """Of limbs of one kind that share a peak the surest, in that order."""
    limbs = limbs[np.argsort(-limbs.score, kind="stable")]
    taken: set[int] = set()
    kept = []
    ends = [(limbs.limb * peaks + end).tolist() for end in (limbs.start, limbs.end)]
    for k, (one, other) in enumerate(zip(*ends, strict=True)):
        if one not in taken and other not in taken:
            taken |= {one, other}
            kept.append(k)
    return limbs[kept]


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
