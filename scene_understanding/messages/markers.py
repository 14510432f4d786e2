"""Markers for RViz."""

from __future__ import annotations

from collections.abc import Sequence
from colorsys import hsv_to_rgb

import numpy as np
from numpy.typing import NDArray

from scene_understanding.messages.header import ns_to_duration
from scene_understanding.messages.types import (
    ColorRGBA,
    CompressedImage,
    Header,
    Marker,
    MarkerArray,
    MeshFile,
    Point,
    PoseMessage,
    Quaternion,
    Vector3,
)

GOLDEN = 0.618
"""Of the circle of hues, from one group to the next: neighbours differ."""


def make_marker(header: Header, ns: str, index: int, kind: int, action: int, size: float, lifetime_ns: int) -> Marker:
    """A white marker of type `kind` at the frame's origin, `size` metres in every direction; 0 ns: it stays."""
    empty = np.empty(0, np.uint8)
    return Marker(
        header=header, ns=ns, id=index, type=kind, action=action,
        pose=PoseMessage(position=Point(0.0, 0.0, 0.0), orientation=Quaternion(0.0, 0.0, 0.0, 1.0)),
        scale=Vector3(size, size, size), color=ColorRGBA(1.0, 1.0, 1.0, 1.0), lifetime=ns_to_duration(lifetime_ns),
        frame_locked=False, points=[], colors=[], texture_resource="",
        texture=CompressedImage(header=header, format="", data=empty), uv_coordinates=[], text="", mesh_resource="",
        mesh_file=MeshFile(filename="", data=empty), mesh_use_embedded_materials=False,
    )  # fmt: skip


def groups_to_markers(groups: Sequence[NDArray[np.floating]], header: Header, size: float = 0.05) -> MarkerArray:
    """Groups of points (K, 2) on the floor, metres, each in a colour of its own, in the place of the last ones.

    A marker each ("groups"), after one that removes those of the last time.
    """
    markers = [make_marker(header, "", 0, Marker.POINTS, Marker.DELETEALL, 0.0, 0)]
    for i, points in enumerate(groups):
        marker = make_marker(header, "groups", i, Marker.POINTS, Marker.ADD, size, 0)
        red, green, blue = hsv_to_rgb(GOLDEN * i % 1, 0.85, 1.0)
        marker.color = ColorRGBA(red, green, blue, 1.0)
        marker.points = [Point(x, y, 0.0) for x, y in points.tolist()]
        markers.append(marker)
    return MarkerArray(markers=markers)
