"""Labelled point clouds by the spelling of the command line: `KIND:PLACE`, such as oakland3d:data/oakland3d."""

from __future__ import annotations

from scene_understanding.datasets.embedded_lidar import EmbeddedLidar
from scene_understanding.datasets.labelled_clouds import CloudDataset
from scene_understanding.datasets.oakland3d import Oakland3d
from scene_understanding.datasets.open import CLOUD_KINDS, parse_seeds
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.datasets.rubble import Rubble


def open_clouds(spec: str, split: str | None = None) -> CloudDataset:
    """The dataset that `spec` names.

    Args:
        split: of oakland3d: fit, val, all (the default), or the path of a list.

    Raises:
        DatasetError: an unknown kind, a place that is not such a dataset, or a split that it does not have.
    """
    kind, _, place = spec.partition(":")
    if kind not in CLOUD_KINDS:
        raise DatasetError(f"'{kind}' is no dataset of point clouds; those are {', '.join(CLOUD_KINDS)}")
    if not place:
        raise DatasetError(f"'{spec}' is not KIND:PLACE; expected {kind}: and a {CLOUD_KINDS[kind]}")
    if kind == "oakland3d":
        return Oakland3d(place, split or "all")
    if split is not None:
        raise DatasetError(f"{kind} has no lists of clouds, so no split '{split}'")
    return EmbeddedLidar(parse_seeds(place)) if kind == "embedded_lidar" else Rubble(parse_seeds(place))
