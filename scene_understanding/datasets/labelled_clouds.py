"""Labelled point clouds by index, whatever they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import PointCloud
from scene_understanding.labels import LabelSet


@dataclass(frozen=True, eq=False)
class LabelledCloud:
    """One cloud, z up.

    Attributes:
        name: for reports and lists.
        cloud: (N,) points; `label` holds ids of the dataset's label set, 255 where unlabelled; `rgb` may be None.
    """

    name: str
    cloud: PointCloud

    @property
    def label(self) -> NDArray[np.uint16]:
        """(N,) uint16.

        Raises:
            ValueError: the cloud has no labels.
        """
        if self.cloud.label is None:
            raise ValueError(f"cloud '{self.name}' has no labels")
        return self.cloud.label


class CloudDataset(Protocol):
    """Clouds of one kind with one label set; the same index gives the same cloud."""

    @property
    def labels(self) -> LabelSet:
        """What the labels mean."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the clouds, in order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> LabelledCloud: ...
