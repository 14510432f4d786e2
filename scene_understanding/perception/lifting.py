"""From keypoints in the image to joints in metres, by a depth image or a point cloud.

What is measured is the body's surface, and often that of something else: of who stands in front, of the wall beside an
arm, or nothing at all. Therefore, for each person:

1. The depth of the body is where most of the samples along its limbs are.
2. The surface at a joint is the nearest depth on which enough of the samples around it agree, within reach of the body.
   Where there is none, the same is asked a little farther along the limb. A joint that is mostly hidden by what is
   nearer than the person can reach is unknown.
3. The joint is below that surface, by the thickness of the body there, on the ray of its pixel.
4. A joint at the end of a limb that is too long for the person's stature is unknown.

What hides a joint from nearer by than the person can reach (a low table before the shins, half a metre away) is taken
for the person.

Steps and constants are our own design; the constants are those of adults, not of the simulator's bodies.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import PinholeCamera, Pose
from scene_understanding.labels.keypoints import COCO18_LIMBS
from scene_understanding.perception.body import LIMB_SHARES, STATURE, TALLEST, limb_lengths, stature

Float = NDArray[np.floating]
Sampler = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Depths (N, J, S), NaN where unknown, within radius (N, 1) pixels of places (N, J, 2)."""

SKIN = STATURE * np.array(
    [0.01, 0.045, 0.035, 0.026, 0.018, 0.035, 0.026, 0.018, 0.06, 0.034, 0.025, 0.06, 0.034, 0.025,
     0.015, 0.015, 0.025, 0.025]
)  # fmt: skip
"""(18,) metres from the surface that is seen to the joint behind it, half the thickness of the body there."""
REACH = np.array(
    [0.4, 0.3, 0.35, 0.55, 0.8, 0.35, 0.55, 0.8, 0.35, 0.6, 0.8, 0.35, 0.6, 0.8, 0.4, 0.4, 0.4, 0.4]
)  # fmt: skip
"""(18,) metres by which each joint may be nearer or farther than most of the body."""
TOWARDS = (1, 2, 3, 4, 3, 5, 6, 6, 9, 10, 9, 12, 13, 12, 0, 0, 14, 15)
"""For each joint, the other end of the limb on which its surface is looked for next."""
FARTHER = (0.15, 0.3)
"""Where along that limb, as shares of its length."""
THICKNESS = 0.5
"""Metres of depth among which most of a body is."""
HALF_WIDTH = 0.03
"""Metres around a joint that are looked at in a depth image; about half a forearm's width."""
HALF_WIDTH_SPARSE = 0.12
"""The same in a point cloud: about half the spacing of the rings of a 16-ring LiDAR 4 m away."""
AGREEING = 0.3
"""Share of the samples within reach that must agree on a surface."""
LONGEST = 1.4
"""How much longer than the person's stature says a limb may be."""

LEAST_JOINTS = 4
"""Joints that a point cloud must give of a person: fewer are mostly of what is behind a body that the rays miss."""
NEIGHBOURS = 8
"""Points of a cloud that are looked at around a joint."""

_LIMBS_ON_BODY = np.array(COCO18_LIMBS[:13])
"""(13, 2), those from the nose down."""
_ALONG = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Where on a limb the depth of the body is looked for."""


def lift_by_depth(pixels: Float, depth: NDArray[np.float32], camera: PinholeCamera) -> NDArray[np.float32]:
    """Joints (N, 18, 3) float32, metres, in the optical frame; NaN where unknown.

    Args:
        pixels: (N, 18, 2) COCO-18 keypoints, NaN where not seen.
        depth: (H, W) float32, metres along z; NaN or not above 0 where unknown.
        camera: of both.
    """
    window = _disc(3)

    def sample(places: NDArray[np.float64], radius: NDArray[np.float64]) -> NDArray[np.float64]:
        return _read(depth, places[:, :, None] + radius[..., None, None] * window)

    return _lift(pixels, camera, sample, HALF_WIDTH, least=len(window) // 7)


def lift_by_cloud(pixels: Float, cloud: Float, camera_from_lidar: Pose, camera: PinholeCamera) -> NDArray[np.float32]:
    """Joints (N, 18, 3) float32, metres, in the optical frame; NaN where unknown.

    Args:
        pixels: (N, 18, 2) COCO-18 keypoints, NaN where not seen.
        cloud: (M, 3) metres, in the LiDAR's frame, taken when the image was.
    """
    places, z = camera.project(camera_from_lidar.apply(cloud))
    ahead = np.isfinite(places).all(-1)
    measured, z = places[ahead], z[ahead]

    def sample(places: NDArray[np.float64], radius: NDArray[np.float64]) -> NDArray[np.float64]:
        result = np.full((*places.shape[:2], NEIGHBOURS), np.nan)
        for n, of_person in enumerate(places):
            result[n] = _nearest(measured, z, of_person, float(radius[n, 0]))
        return result

    joints = _lift(pixels, camera, sample, HALF_WIDTH_SPARSE, least=1)
    joints[np.isfinite(joints[..., 2]).sum(1) < LEAST_JOINTS] = np.nan
    return joints


def _lift(
    keypoints: Float, camera: PinholeCamera, sample: Sampler, half_width: float, least: int
) -> NDArray[np.float32]:
    """As above; `least` samples must be within reach of the body for there to be a surface."""
    pixels = keypoints.astype(np.float64)
    body = _body_depth(pixels, sample, _farthest(pixels, camera))[:, None]
    radius = np.maximum(camera.fx * half_width / body, 2.0)
    surface, hidden = _surface(sample(pixels, radius), body - REACH, body + REACH, least)
    for share in FARTHER:
        places = pixels + share * (pixels[:, TOWARDS] - pixels)
        beside, _ = _surface(sample(places, radius), body - REACH, body + REACH, least)
        surface = np.where(np.isnan(surface) & ~hidden, beside, surface)
    return _plausible(_below(surface, pixels, camera)).astype(np.float32)


def _farthest(pixels: NDArray[np.float64], camera: PinholeCamera) -> NDArray[np.float64]:
    """(N,) metres: the depth beyond which at least three limbs would be too long for the tallest; NaN without three."""
    x, y = pixels[..., 0] / camera.fx, pixels[..., 1] / camera.fy
    at_one_metre = limb_lengths(np.stack([x, y, np.zeros_like(x)], axis=-1))[:, :13]
    limits = LONGEST * TALLEST * LIMB_SHARES[:13] / np.where(at_one_metre > 0, at_one_metre, np.nan)
    return np.sort(limits, axis=1)[:, 2]


def _body_depth(pixels: NDArray[np.float64], sample: Sampler, farthest: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) metres: the median of the `THICKNESS` in which most samples along the limbs are, of those up to `farthest`
    (N,), metres, where that is known; NaN without samples."""
    start, end = pixels[:, _LIMBS_ON_BODY[:, 0]], pixels[:, _LIMBS_ON_BODY[:, 1]]
    places = np.concatenate([pixels, *(start + share * (end - start) for share in _ALONG)], axis=1)
    known = np.isfinite(pixels)
    size = (np.where(known, pixels, -np.inf).max(1) - np.where(known, pixels, np.inf).min(1)).max(1)
    size[~known.any((1, 2))] = np.nan
    result = np.full(len(pixels), np.nan)
    for n, samples in enumerate(sample(places, 0.02 * size[:, None])):
        row = np.sort(samples[np.isfinite(samples) & ~(samples > farthest[n])])
        if len(row):
            agreeing = np.searchsorted(row, row + THICKNESS, side="right") - np.arange(len(row))
            first = int(np.argmax(agreeing))
            result[n] = row[first + agreeing[first] // 2]
    return result


def _surface(
    samples: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], least: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Of samples (N, J, S) of depth: that of the nearest surface (N, J) from `low` to `high` (N, J) on which enough of
    them agree, NaN without one; and whether it is hidden (N, J), which is when most of them are nearer than `low`."""
    known = np.isfinite(samples)
    hidden = (samples < low[..., None]).sum(-1) > known.sum(-1) / 2
    reached = np.sort(np.where((samples >= low[..., None]) & (samples <= high[..., None]), samples, np.nan), axis=-1)
    count = np.isfinite(reached).sum(-1)
    enough = np.maximum(np.ceil(AGREEING * count).astype(int), 1)[..., None]
    behind = reached[..., None, :] - reached[..., :, None]
    # Noise and the steps of depth cameras grow with the square of the distance.
    tolerance = 0.06 + 0.004 * np.nan_to_num(reached) ** 2
    agreeing = ((behind >= 0) & (behind <= tolerance[..., None])).sum(-1)
    first = np.argmax(agreeing >= enough, axis=-1)[..., None]
    middle = first + np.take_along_axis(agreeing, first, -1) // 2
    found = np.take_along_axis(reached, np.minimum(middle, samples.shape[-1] - 1), -1)[..., 0]
    agreed = (agreeing >= enough).any(-1)
    return np.where(agreed & (count >= least) & ~hidden, found, np.nan), hidden


def _below(surface: NDArray[np.float64], pixels: NDArray[np.float64], camera: PinholeCamera) -> NDArray[np.float64]:
    """Joints (N, 18, 3) that are `SKIN` farther away than the surface (N, 18), a depth, at pixels (N, 18, 2)."""
    x = (pixels[..., 0] - camera.cx) / camera.fx
    y = (pixels[..., 1] - camera.cy) / camera.fy
    rays = np.stack([x, y, np.ones_like(x)], axis=-1)
    return rays * (surface + SKIN / np.linalg.norm(rays, axis=-1))[..., None]


def _plausible(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Joints (N, 18, 3) without those at the far end, as seen from the neck, of a limb that is too long."""
    too_long = limb_lengths(points) > LONGEST * stature(points)[:, None] * LIMB_SHARES + 0.1
    points = points.copy()
    for k, (_, far) in enumerate(COCO18_LIMBS):
        points[too_long[:, k], far] = np.nan
    return points


def _disc(radius: int) -> NDArray[np.float64]:
    """(S, 2) offsets of a grid of 2 radius + 1 points across in the unit disc."""
    line = np.linspace(-1, 1, 2 * radius + 1)
    grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    return grid[np.linalg.norm(grid, axis=1) <= 1.05]


def _read(depth: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Depth (...) at the pixels nearest to places (..., 2); NaN where it is unknown and outside the image."""
    height, width = depth.shape
    column, row = np.rint(places[..., 0]), np.rint(places[..., 1])
    within = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    value = depth[np.where(within, row, 0).astype(int), np.where(within, column, 0).astype(int)]
    return np.where(within & (value > 0) & (value < np.inf), value, np.nan).astype(np.float64)


def _nearest(
    measured: NDArray[np.float64], z: NDArray[np.float64], places: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    """Depths (J, NEIGHBOURS) of those of `measured` (M, 2) with depth `z` (M,) that are nearest to places (J, 2) and
    within `radius` pixels; NaN where there are fewer."""
    result = np.full((len(places), NEIGHBOURS), np.nan)
    known = places[np.isfinite(places).all(-1)]
    if np.isnan(radius) or not len(known):
        return result
    near = ((measured >= known.min(0) - radius) & (measured <= known.max(0) + radius)).all(-1)
    measured, z = measured[near], z[near]
    distance = np.linalg.norm(places[:, None] - measured, axis=-1)
    order = np.argsort(distance, axis=1)[:, :NEIGHBOURS]
    distance = np.take_along_axis(distance, order, 1)
    result[:, : order.shape[1]] = np.where(distance <= radius, z[order], np.nan)
    return result
