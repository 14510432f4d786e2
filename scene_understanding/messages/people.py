"""`scene_understanding/People` to arrays and back, and skeletons as markers for RViz."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.labels.keypoints import COCO18_COLOURS, COCO18_LIMBS, COCO18_NAMES
from scene_understanding.messages.markers import make_marker
from scene_understanding.messages.types import (
    ColorRGBA,
    Header,
    Keypoint,
    Marker,
    MarkerArray,
    People,
    Person,
    Point,
    Quaternion,
    Vector3,
)

_COUNT = len(COCO18_NAMES)
_SIDES, _PAIRS = ("right", "left"), ("shoulder", "hip", "knee", "ankle")
BODY_COLOUR = 0.3, 0.7, 1.0, 0.3
"""Red, green, blue and opacity of bodies."""
ARROW = 0.6
"""Metres: the length of an arrow that shows a heading."""


@dataclass(frozen=True, eq=False)
class PeopleArrays:
    """N people with their COCO-18 keypoints (order of OpenPose, `labels.COCO18_NAMES`).

    Attributes:
        pixels: (N, 18, 2) float32; x right, y down; NaN where not seen.
        points: (N, 18, 3) float32, metres, optical frame of the image; NaN where unknown.
        confidence: (N, 18) float32, 0..1; 0 where not seen.
        score: (N,) float32, 0..1.
        ids: (N,) uint32; 0 where not tracked.

    Raises:
        ValueError: an array of another shape.
    """

    pixels: NDArray[np.float32]
    points: NDArray[np.float32]
    confidence: NDArray[np.float32]
    score: NDArray[np.float32]
    ids: NDArray[np.uint32]

    def __post_init__(self) -> None:
        n = len(self.ids)
        shapes = {"pixels": (n, _COUNT, 2), "points": (n, _COUNT, 3), "confidence": (n, _COUNT), "score": (n,)}
        for name, expected in {**shapes, "ids": (n,)}.items():
            if getattr(self, name).shape != expected:
                raise ValueError(f"people: {name} has shape {getattr(self, name).shape}; expected {expected}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def positions(self) -> NDArray[np.float32]:
        """(N, 3) float32, metres: median of the known points of each person; NaN where none is known."""
        known: NDArray[np.bool_] = np.asarray(np.isfinite(self.points).all(axis=-1))
        ascending = np.sort(np.where(known[..., None], self.points, np.nan), axis=1)  # NaN comes last
        count = np.count_nonzero(known, axis=1)
        person = np.arange(len(self))
        return (ascending[person, np.maximum(count - 1, 0) // 2] + ascending[person, count // 2 % _COUNT]) / 2

    @property
    def trunks(self) -> NDArray[np.float32]:
        """(N, 3) float32, metres: where the middles of their bodies are: the mean of neck and middles between right and
        left, of what is known; without any of these `positions`, which lies beside where half a body is seen."""
        middles, known = self._middles()
        mean = np.where(known[..., None], middles, 0).sum(1) / np.maximum(known.sum(1), 1)[:, None]
        return np.where(self.has_trunk[:, None], mean, self.positions).astype(np.float32)

    @property
    def has_trunk(self) -> NDArray[np.bool_]:
        """(N,) whether `trunks` is the middle of the body, and not of what is seen of it."""
        return np.asarray(self._middles()[1].any(1))

    def _middles(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(N, K, 3) neck and middles between right and left, and (N, K) which of them are known."""
        right, left = (self.points[:, [COCO18_NAMES.index(f"{side}_{name}") for name in _PAIRS]] for side in _SIDES)
        middles = np.concatenate([self.points[:, [COCO18_NAMES.index("neck")]], (right + left) / 2], axis=1)
        return middles, np.asarray(np.isfinite(middles).all(axis=-1))


def arrays_to_people(people: PeopleArrays, header: Header) -> Any:
    """`scene_understanding/People`; the header is the image's."""
    positions = people.positions.tolist()
    pixels, points = people.pixels.tolist(), people.points.tolist()
    confidence, score, ids = people.confidence.tolist(), people.score.tolist(), people.ids.tolist()
    persons = [
        Person(
            id=ids[i],
            score=score[i],
            keypoints=[
                Keypoint(x=x, y=y, confidence=c, position=Point(*p))
                for (x, y), c, p in zip(pixels[i], confidence[i], points[i], strict=True)
            ],
            position=Point(*positions[i]),
        )
        for i in range(len(people))
    ]
    return People(header=header, people=persons)


def people_to_arrays(msg: Any) -> PeopleArrays:
    """The arrays of a `scene_understanding/People`."""
    rows = [
        [(k.x, k.y, k.confidence, k.position.x, k.position.y, k.position.z) for k in person.keypoints]
        for person in msg.people
    ]
    with np.errstate(over="ignore"):
        values = np.array(rows, np.float32).reshape(-1, _COUNT, 6)
    return PeopleArrays(
        pixels=values[..., :2],
        points=values[..., 3:],
        confidence=values[..., 2],
        score=np.array([person.score for person in msg.people], np.float32),
        ids=np.array([person.id for person in msg.people], np.uint32),
    )


def people_to_marker_array(people: PeopleArrays, header: Header, lifetime_ns: int = 500_000_000) -> MarkerArray:
    """Skeletons in space: spheres at the known joints, lines between those that are joined; metres.

    Two markers a person ("joints" and "limbs"), after one that removes those of the last image.
    """
    markers = [make_marker(header, "", 0, Marker.SPHERE_LIST, Marker.DELETEALL, 0.0, lifetime_ns)]
    for i in range(len(people)):
        known = np.flatnonzero(~np.isnan(people.points[i]).any(axis=-1))
        limbs = [limb for limb in COCO18_LIMBS if set(limb) <= set(known.tolist())]
        joints = make_marker(header, "joints", i, Marker.SPHERE_LIST, Marker.ADD, 0.06, lifetime_ns)
        lines = make_marker(header, "limbs", i, Marker.LINE_LIST, Marker.ADD, 0.03, lifetime_ns)
        for marker, keypoints in (joints, known.tolist()), (lines, [k for limb in limbs for k in limb]):
            marker.points = [Point(*map(float, people.points[i, k])) for k in keypoints]
            marker.colors = [_colour(k) for k in keypoints]
        markers += [marker for marker in (joints, lines) if marker.points]
    return MarkerArray(markers=markers)


def bodies_to_markers(
    start: NDArray[np.floating],
    end: NDArray[np.floating],
    radius: NDArray[np.floating],
    header: Header,
    lifetime_ns: int = 500_000_000,
) -> list[Marker]:
    """An ellipsoid, translucent, in the place of each capsule: a marker each ("bodies").

    Args:
        start, end: (N, C, 3) metres, NaN where not known; radius: (N, C) metres.
    """
    markers: list[Marker] = []
    for n, c in np.argwhere(np.isfinite(start + end).all(-1)).tolist():
        width = 2 * float(radius[n, c])
        marker = make_marker(header, "bodies", len(markers), Marker.SPHERE, Marker.ADD, width, lifetime_ns)
        along = end[n, c] - start[n, c]
        length = float(np.linalg.norm(along))
        marker.pose.position = Point(*((start[n, c] + end[n, c]) / 2).tolist())
        marker.pose.orientation = _turned_from_z(along / max(length, 1e-9))
        marker.scale.z += length
        marker.color = ColorRGBA(*BODY_COLOUR)
        markers.append(marker)
    return markers


def headings_to_markers(
    origin: NDArray[np.floating],
    heading: NDArray[np.floating],
    header: Header,
    lifetime_ns: int = 500_000_000,
) -> list[Marker]:
    """Arrows of `ARROW` metres, a marker each ("heading"), of unit vectors `heading` (N, 3) at `origin` (N, 3), metres;
    none where one is NaN."""
    markers: list[Marker] = []
    for n in np.flatnonzero(np.isfinite(origin + heading).all(-1)).tolist():
        marker = make_marker(header, "heading", n, Marker.ARROW, Marker.ADD, 0.1, lifetime_ns)
        marker.points = [Point(*origin[n].tolist()), Point(*(origin[n] + ARROW * heading[n]).tolist())]
        marker.scale = Vector3(0.04, 0.1, 0.0)  # shaft and head across; the head as long as is usual
        markers.append(marker)
    return markers


def _turned_from_z(direction: NDArray[np.floating]) -> Quaternion:
    """That turns z into a unit vector (3,) or its opposite, whichever is nearer: of what looks alike either way; the
    identity for zero."""
    x, y, z = (direction if direction[2] >= 0 else -direction).tolist()
    norm = hypot(x, y, 1 + z)
    return Quaternion(-y / norm, x / norm, 0.0, (1 + z) / norm)


def _colour(keypoint: int) -> ColorRGBA:
    r, g, b = (COCO18_COLOURS[keypoint] / 255.0).tolist()
    return ColorRGBA(r=r, g=g, b=b, a=1.0)
