"""Virtual viewpoints: of an RGB-D image (SnapNet-R) and of a cloud (SnapNet).

SnapNet-R (Guerry et al., ICCV-W 3DRMS 2017, section 3) has a camera that orbits what it sees. The paper gives the
angles and says "from above"; pivot and axes are ours. The pivot is the point of the optical axis at the image's median
depth. Azimuth turns about the vertical through the pivot, elevation about the horizontal that lies across the line of
sight. Each pose is `view_from_source`: from the optical frame of the real camera to that of the virtual one.

SnapNet (Boulch et al., 3DOR 2017) looks down on a point of the cloud, several times along one ray: `cone_viewpoints`.
There the point is a random one; `least_seen` chooses it by what the views before have missed. Poses are
`map_from_camera`, map z up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scene_understanding.geometry.camera import Float
from scene_understanding.geometry.pose import Pose

IMAGE_UP = (0.0, -1.0, 0.0)
"""Up in the optical frame of a level camera."""

SNAPNET_R_ANGLES = ((0.0, 0.0), (10.0, 0.0), (-10.0, 0.0), (0.0, 10.0), (0.0, 20.0))
"""Azimuth and elevation of the paper's five views in degrees: the image itself, both sides, twice from above."""

Range = tuple[float, float]


def median_depth(depth: Float) -> float:
    """Median of the known pixels of depth (H, W), metres, NaN or 0 where unknown.

    Raises:
        ValueError: no pixel is known.
    """
    known = depth[np.isfinite(depth) & (depth > 0)]
    if not known.size:
        raise ValueError("depth has no known pixel, so there is no surface to look at from elsewhere")
    return float(np.median(known))


def orbit(
    distance: float, azimuth: float = 0.0, elevation: float = 0.0, roll: float = 0.0, factor: float = 1.0,
    up: ArrayLike = IMAGE_UP,
) -> Pose:  # fmt: skip
    """`view_from_source` of a camera moved about the point `distance` metres ahead on the optical axis.

    Args:
        azimuth: radians; positive moves the camera to its right, about `up`.
        elevation: radians; positive raises the camera, which then looks down more.
        roll: radians about the line of sight; positive turns the camera clockwise as it looks.
        factor: of the distance to the pivot; below 1 is nearer.
        up: (3,) the upward direction in the source's optical frame, of any length.

    Raises:
        ValueError: distance or factor not above 0, or `up` without a direction.
    """
    if not (distance > 0 and factor > 0):
        raise ValueError(f"orbit distance is {distance} m, factor {factor}; both must be above 0")
    vertical = np.asarray(up, np.float64)
    length = np.linalg.norm(vertical)
    if vertical.shape != (3,) or not length > 1e-9:
        raise ValueError(f"up is {vertical.tolist()}; it must be a direction (x, y, z) in the optical frame")
    vertical = vertical / length
    forward = np.array([0.0, 0.0, 1.0])
    across = np.cross(forward, vertical)
    # Straight up or down every horizontal lies across the line of sight: the image's own is taken.
    across = across / np.linalg.norm(across) if np.linalg.norm(across) > 1e-3 else np.array([1.0, 0.0, 0.0])
    rotation = rotation_about(vertical, azimuth) @ rotation_about(across, -elevation) @ rotation_about(forward, roll)
    pivot = distance * forward
    source_from_view = Pose.from_rotation_translation(rotation, pivot - rotation @ (factor * pivot))
    return source_from_view.inverse()


def snapnet_r_viewpoints(distance: float, up: ArrayLike = IMAGE_UP) -> tuple[Pose, ...]:
    """The five viewpoints of the paper, the image's own first; arguments as in `orbit`."""
    return tuple(orbit(distance, np.radians(a), np.radians(e), up=up) for a, e in SNAPNET_R_ANGLES)


def random_viewpoint(
    rng: np.random.Generator, distance: float, up: ArrayLike = IMAGE_UP, *,
    azimuth: Range = (-20.0, 20.0), elevation: Range = (-5.0, 25.0), roll: Range = (-3.0, 3.0),
    factor: Range = (0.8, 1.25),
) -> Pose:  # fmt: skip
    """A viewpoint drawn anew for each sample, the stronger form of the paper's fixed ones.

    Args:
        azimuth, elevation, roll: ranges in degrees, drawn evenly.
        factor: range of the distance factor, drawn evenly in its logarithm.
        distance, up: as in `orbit`.
    """
    turned, raised, rolled = (np.radians(rng.uniform(*limits)) for limits in (azimuth, elevation, roll))
    nearer = float(np.exp(rng.uniform(*np.log(factor))))
    return orbit(distance, turned, raised, rolled, nearer, up)


def cone_viewpoints(
    rng: np.random.Generator, target: ArrayLike, distances: Sequence[float], elevation: Range = (70.0, 90.0)
) -> tuple[Pose, ...]:
    """`map_from_camera` of the cameras on one ray that look at a point, the top of their images upwards.

    The azimuth of the ray is drawn evenly, as is its elevation.

    Args:
        target: (3,) the point in the map, metres.
        distances: from the point to each camera, metres.
        elevation: range in degrees above the horizon; 90 is straight down.

    Raises:
        ValueError: a distance not above 0, or elevations that are none.
    """
    lowest, highest = elevation
    if not -90 <= lowest <= highest <= 90:
        raise ValueError(f"elevation is {lowest} to {highest} degrees; expected -90 <= lowest <= highest <= 90")
    if not min(distances, default=0) > 0:
        raise ValueError(f"distances are {list(distances)} m; expected one or more above 0")
    turned, raised = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(lowest, highest))
    sine, cosine = np.sin(turned), np.cos(turned)
    forward = -np.array([np.cos(raised) * cosine, np.cos(raised) * sine, np.sin(raised)])
    right = np.array([-sine, cosine, 0.0])  # of the azimuth alone, so there is one straight down too
    rotation = np.column_stack([right, np.cross(forward, right), forward])
    place = np.asarray(target, np.float64)
    return tuple(Pose.from_rotation_translation(rotation, place - distance * forward) for distance in distances)


def least_seen(rng: np.random.Generator, seen: NDArray[np.integer[Any]]) -> int:
    """Index of a point to look at next, drawn among those that were seen the fewest times.

    Args:
        seen: (N,) in how many views each point was seen, N at least 1.
    """
    return int(rng.choice(np.flatnonzero(seen == seen.min())))


def rotation_about(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """(3, 3) rotation by `angle` radians about the unit vector `axis` (3,), right-handed (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
