"""The points of a cloud that people are made of: marked as such, or taken out of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry.point_cloud import PointCloud
from scene_understanding.labels.label_set import UNLABELLED
from scene_understanding.perception.body import Capsules, inside

Float = NDArray[np.floating]
NOBODY = -1


def owners(bodies: Capsules, xyz: Float, margin: float) -> NDArray[np.intp]:
    """(...) which person each of points (..., 3), in the frame of the bodies, is of, or `NOBODY`; as `body.inside`."""
    return inside(bodies, xyz.reshape(-1, 3), margin).reshape(xyz.shape[:-1])


def with_people_marked(
    cloud: PointCloud, owner: NDArray[np.intp], ids: NDArray[np.uint32], score: NDArray[np.float32], person: int
) -> PointCloud:
    """Coordinates and colours of a cloud, with labels, confidences and instances that tell people from all else.

    Args:
        owner: (...) position of somebody in `ids` and `score`, or `NOBODY`.
        ids, score: (N,) of the people: their instance and confidence.
        person: the label of people; all else is unlabelled, with confidence and instance 0.
    """
    anybody = owner != NOBODY
    return PointCloud(
        cloud.xyz,
        cloud.rgb,
        label=np.where(anybody, person, UNLABELLED).astype(np.uint16),
        confidence=np.append(score, np.float32(0))[owner],  # `NOBODY` is the last
        instance=np.append(ids, np.uint32(0))[owner],
    )


def without_people(cloud: PointCloud, owner: NDArray[np.intp]) -> PointCloud:
    """A cloud without the points (...) of people: NaN where it is organised, left out where it is not."""
    nobody = owner == NOBODY
    if cloud.xyz.ndim == 3:
        return replace(cloud, xyz=np.where(nobody[..., None], cloud.xyz, np.float32(np.nan)))
    columns = (cloud.rgb, cloud.label, cloud.confidence, cloud.instance)
    return PointCloud(cloud.xyz[nobody], *(None if column is None else column[nobody] for column in columns))
