"""`scene_understanding/People` to arrays and back, and skeletons as markers for RViz."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.labels.keypoints import COCO18_COLOURS, COCO18_LIMBS, COCO18_NAMES
from scene_understanding.messages.header import ns_to_duration
from scene_understanding.messages.types import (
    ColorRGBA,
    CompressedImage,
    Header,
    Keypoint,
    Marker,
    MarkerArray,
    MeshFile,
    People,
    Person,
    Point,
    PoseMessage,
    Quaternion,
    Vector3,
)

_COUNT = len(COCO18_NAMES)


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
    markers = [_marker(header, "", 0, Marker.SPHERE_LIST, Marker.DELETEALL, 0.0, lifetime_ns)]
    for i in range(len(people)):
        known = np.flatnonzero(~np.isnan(people.points[i]).any(axis=-1))
        limbs = [limb for limb in COCO18_LIMBS if set(limb) <= set(known.tolist())]
        joints = _marker(header, "joints", i, Marker.SPHERE_LIST, Marker.ADD, 0.06, lifetime_ns)
        lines = _marker(header, "limbs", i, Marker.LINE_LIST, Marker.ADD, 0.03, lifetime_ns)
        for marker, keypoints in (joints, known.tolist()), (lines, [k for limb in limbs for k in limb]):
            marker.points = [Point(*map(float, people.points[i, k])) for k in keypoints]
            marker.colors = [_colour(k) for k in keypoints]
        markers += [marker for marker in (joints, lines) if marker.points]
    return MarkerArray(markers=markers)


def _colour(keypoint: int) -> ColorRGBA:
    r, g, b = (COCO18_COLOURS[keypoint] / 255.0).tolist()
    return ColorRGBA(r=r, g=g, b=b, a=1.0)


def _marker(header: Header, ns: str, index: int, kind: int, action: int, size: float, lifetime_ns: int) -> Marker:
    empty = np.empty(0, np.uint8)
    return Marker(
        header=header, ns=ns, id=index, type=kind, action=action,
        pose=PoseMessage(position=Point(0.0, 0.0, 0.0), orientation=Quaternion(0.0, 0.0, 0.0, 1.0)),
        scale=Vector3(size, size, size), color=ColorRGBA(1.0, 1.0, 1.0, 1.0), lifetime=ns_to_duration(lifetime_ns),
        frame_locked=False, points=[], colors=[], texture_resource="",
        texture=CompressedImage(header=header, format="", data=empty), uv_coordinates=[], text="", mesh_resource="",
        mesh_file=MeshFile(filename="", data=empty), mesh_use_embedded_materials=False,
    )  # fmt: skip
