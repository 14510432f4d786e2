"""People from image to image: who is who, and joints without jitter.

1. Tracks are moved on at their own velocity to the time of the image.
2. People and tracks are matched one to one, so that the sum of their similarities is greatest (Kuhn 1955). Similarity
   is that of the keypoints known in both (`similarity_in_common`), and of the joints in metres where both have them.
   The tolerance grows with the time that a track was not seen.
3. Whoever matches no track begins one. Tracks end `max_age` after they were last seen.
4. Keypoints and joints go through one-euro filters (Casiez, Roussel and Vogel, CHI 2012).

Lightweight OpenPose's tracker (Osokin 2018) counts keypoints whose similarity is above one half, matches those with at
least three of them greedily, and neither predicts nor uses depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from scene_understanding.labels.keypoints import COCO18_NAMES
from scene_understanding.perception.keypoint_similarity import area_of_keypoints, similarity_in_common
from scene_understanding.perception.skeletons import Skeletons

Float = NDArray[np.float64]


@dataclass(frozen=True)
class TrackerParameters:
    """How people are told apart and smoothed.

    Attributes:
        max_age: seconds a track lives without being seen.
        least_similarity: 0..1, below which a person is not the one of a track.
        least_common: keypoints that both must have.
        drift: how far somebody strays from the predicted way, in roots of their area a second; a camera that begins to
            turn by 1 rad/s moves people who are 5 m away by about 10.
        drift_metres: the same in metres a second.
        drift_age: seconds after which that grows no more: who is away for longer must come back near where they went.
        nearness: metres, the deviation of the mean distance between the joints of the same person.
        min_cutoff: Hz, of the filters while nothing moves; higher jitters more, lower lags more.
        beta_pixels: Hz by which the cutoff rises with a keypoint's speed, per root of the person's area a second.
        beta_points: Hz by which the cutoff rises with a joint's speed, per m/s.
        derivative_cutoff: Hz, of the filters of the speeds.
    """

    max_age: float = 1.0
    least_similarity: float = 0.2
    least_common: int = 3
    drift: float = 8.0
    drift_metres: float = 3.0
    drift_age: float = 0.2
    nearness: float = 0.2
    min_cutoff: float = 1.0
    beta_pixels: float = 10.0
    beta_points: float = 5.0
    derivative_cutoff: float = 2.0


@dataclass(frozen=True, eq=False)
class _Signal:
    """What one-euro filters know of T x 18 points in D dimensions.

    Attributes:
        value: (T, 18, D) filtered, NaN where never seen.
        speed: (T, 18, D) filtered, a second; NaN until seen twice.
        stamp_ns: (T, 18) int64, when each was last seen.
    """

    value: Float
    speed: Float
    stamp_ns: NDArray[np.int64]

    @classmethod
    def unseen(cls, count: int, dimensions: int) -> _Signal:
        shape = (count, len(COCO18_NAMES))
        unknown = np.full((*shape, dimensions), np.nan)
        return cls(unknown, unknown, np.zeros(shape, np.int64))

    def __getitem__(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> _Signal:
        return _Signal(self.value[index], self.speed[index], self.stamp_ns[index])

    def joined(self, other: _Signal) -> _Signal:
        return _Signal(
            np.concatenate([self.value, other.value]),
            np.concatenate([self.speed, other.speed]),
            np.concatenate([self.stamp_ns, other.stamp_ns]),
        )

    def with_rows(self, rows: NDArray[np.intp], other: _Signal) -> _Signal:
        """With `rows` replaced by those of `other`."""
        result = _Signal(self.value.copy(), self.speed.copy(), self.stamp_ns.copy())
        result.value[rows], result.speed[rows], result.stamp_ns[rows] = other.value, other.speed, other.stamp_ns
        return result

    def predicted(self, stamp_ns: int) -> Float:
        """(T, 18, D) where they are at a time if each person moves as a whole, at the median speed of the joints seen
        last. Who has been seen only once moves as the others do: when the camera turns, all move."""
        age = (stamp_ns - self.stamp_ns) * 1e-9
        fresh = self.stamp_ns == self.stamp_ns.max(1, keepdims=True, initial=0)
        speed = _median(np.where(fresh[..., None], self.speed, np.nan))
        speed = np.where(np.isnan(speed), np.nan_to_num(_median(speed[None])), speed)
        return self.value + speed[:, None] * age[..., None]

    def filtered(
        self, measured: Float, stamp_ns: int, beta: Float, min_cutoff: float, derivative_cutoff: float
    ) -> _Signal:
        """After `measured` (T, 18, D), NaN where not seen; `beta` (T, 1).

        One at the same time as the last one changes nothing but what was never seen.
        """
        seen, ever = np.isfinite(measured[..., 0]), np.isfinite(self.value[..., 0])
        old = np.where(ever[..., None], self.value, measured)
        dt = np.where(ever, (stamp_ns - self.stamp_ns) * 1e-9, 0.0)
        rate = (measured - old) / np.where(dt > 0, dt, np.inf)[..., None]
        speed = self.speed + _weight(dt, np.full_like(dt, derivative_cutoff)) * (rate - self.speed)
        speed = np.where(np.isnan(self.speed) & (dt > 0)[..., None], rate, speed)
        cutoff = min_cutoff + beta * np.nan_to_num(np.linalg.norm(speed, axis=-1))
        value = old + _weight(dt, cutoff) * (measured - old)
        kept = ~seen[..., None]
        return _Signal(
            np.where(kept, self.value, value),
            np.where(kept, self.speed, speed),
            np.where(seen, stamp_ns, self.stamp_ns),
        )


def _median(values: Float) -> Float:
    """(T, D) medians (the lower of two) of those of `values` (T, K, D) that are known; NaN where none is."""
    ordered = np.sort(np.pad(values, ((0, 0), (0, 1), (0, 0)), constant_values=np.nan), axis=1)
    count = np.isfinite(ordered).sum(1, keepdims=True)
    return np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, 1)[:, 0]


def _weight(dt: Float, cutoff: Float) -> Float:
    """(T, 18, 1) of the new value in exponential smoothing with a cutoff in Hz, `dt` seconds (T, 18) after the old."""
    turns = 2 * np.pi * dt * cutoff
    return np.nan_to_num(turns / (1 + turns))[..., None]


class PeopleTracker:
    """Gives people ids that stay, and smooths their keypoints and joints.

    Joints in metres may be in the frame of the camera; of one that turns fast, a frame that does not (odom) is better.
    """

    def __init__(self, parameters: TrackerParameters | None = None) -> None:
        self.parameters = parameters or TrackerParameters()
        self._next_id = 1
        self._forget()

    def _forget(self) -> None:
        self._ids, self._seen_ns = np.empty(0, np.uint32), np.empty(0, np.int64)
        self._pixels, self._points = _Signal.unseen(0, 2), _Signal.unseen(0, 3)
        self._now_ns: int | None = None

    def update(
        self, skeletons: Skeletons, points: NDArray[np.floating] | None, stamp_ns: int
    ) -> tuple[NDArray[np.uint32], Skeletons, NDArray[np.float32] | None]:
        """Takes in the people of the next image. If time goes backwards everything but the ids in use is forgotten.

        Args:
            skeletons: N people.
            points: (N, 18, 3) their joints, metres, NaN where unknown; None where depth is not known at all.
            stamp_ns: of the image.

        Returns:
            ids (N,) uint32, from 1, never used again for somebody else.
            the same people, keypoints smoothed.
            joints (N, 18, 3) float32 smoothed, or None without `points`. What is NaN stays NaN.
        """
        if self._now_ns is not None and stamp_ns < self._now_ns:
            self._forget()
        self._now_ns = stamp_ns
        self._keep(stamp_ns - self._seen_ns <= self.parameters.max_age * 1e9)
        pixels = skeletons.pixels.astype(np.float64)
        joints = np.full((len(skeletons), len(COCO18_NAMES), 3), np.nan) if points is None else points.astype(float)
        track = self._match(pixels, joints, stamp_ns)
        track = self._with_newcomers(track)
        self._seen_ns[track] = stamp_ns
        self._smooth(track, pixels, joints, stamp_ns)
        smooth = Skeletons(_of(self._pixels, track, pixels), skeletons.confidence, skeletons.score)
        return self._ids[track], smooth, None if points is None else _of(self._points, track, joints)

    def _keep(self, alive: NDArray[np.bool_]) -> None:
        self._ids, self._seen_ns = self._ids[alive], self._seen_ns[alive]
        self._pixels, self._points = self._pixels[alive], self._points[alive]

    def _match(self, pixels: Float, joints: Float, stamp_ns: int) -> NDArray[np.intp]:
        """(N,) the track of each person, -1 for newcomers."""
        similarity = self._similarity(pixels, joints, stamp_ns)
        likely = similarity >= self.parameters.least_similarity
        person, track = linear_sum_assignment(np.where(likely, similarity, 0.0), maximize=True)
        result = np.full(len(pixels), -1, np.intp)
        result[person] = np.where(likely[person, track], track, -1)
        return result

    def _similarity(self, pixels: Float, joints: Float, stamp_ns: int) -> Float:
        """(N, T), 0..1, of people and tracks: the geometric mean of those in the image and in space."""
        p = self.parameters
        age = np.minimum((stamp_ns - self._seen_ns) * 1e-9, p.drift_age)
        predicted = self._pixels.predicted(stamp_ns)
        area = area_of_keypoints(predicted)
        seen = similarity_in_common(pixels, predicted, area, p.least_common, p.drift * age)
        offset = joints[:, None] - self._points.predicted(stamp_ns)
        distance = np.linalg.norm(offset, axis=-1)
        common = np.isfinite(distance).sum(-1)
        mean = np.nan_to_num(distance).sum(-1) / np.maximum(common, 1)
        near = np.exp(-(mean**2) / (2 * (p.nearness**2 + (p.drift_metres * age) ** 2)))
        return np.where(common >= p.least_common, np.sqrt(seen * near), seen)

    def _with_newcomers(self, track: NDArray[np.intp]) -> NDArray[np.intp]:
        """(N,) the track of each person, those of newcomers begun."""
        new = np.flatnonzero(track < 0)
        track = track.copy()
        track[new] = len(self._ids) + np.arange(len(new))
        ids = np.arange(self._next_id, self._next_id + len(new), dtype=np.uint32)
        self._next_id += len(new)
        self._ids = np.concatenate([self._ids, ids])
        self._seen_ns = np.concatenate([self._seen_ns, np.zeros(len(new), np.int64)])
        self._pixels = self._pixels.joined(_Signal.unseen(len(new), 2))
        self._points = self._points.joined(_Signal.unseen(len(new), 3))
        return track

    def _smooth(self, track: NDArray[np.intp], pixels: Float, joints: Float, stamp_ns: int) -> None:
        p = self.parameters
        beta = p.beta_pixels / np.sqrt(area_of_keypoints(pixels))[:, None]
        cutoffs = p.min_cutoff, p.derivative_cutoff
        of_pixels = self._pixels[track].filtered(pixels, stamp_ns, beta, *cutoffs)
        of_points = self._points[track].filtered(joints, stamp_ns, np.full_like(beta, p.beta_points), *cutoffs)
        self._pixels = self._pixels.with_rows(track, of_pixels)
        self._points = self._points.with_rows(track, of_points)


def _of(signal: _Signal, track: NDArray[np.intp], measured: Float) -> NDArray[np.float32]:
    """Filtered values of the people, NaN where they were not measured."""
    return np.where(np.isfinite(measured), signal.value[track], np.nan).astype(np.float32)
