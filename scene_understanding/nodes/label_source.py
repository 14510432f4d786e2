"""Labels of several sources in the classes of one label set."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry.point_cloud import PointCloud
from scene_understanding.labels import UNLABELLED, LabelSet, known_label_sets, load_label_set
from scene_understanding.messages.label_info import label_info_to_label_set


class LabelSource:
    """What the labels of one source mean, and which classes of the map they are.

    Attributes:
        labels: its label set; None before its label_info has come.
    """

    def __init__(self) -> None:
        self.labels: LabelSet | None = None
        self._info: Any = None
        self._translation: tuple[LabelSet, NDArray[np.uint16]] | None = None

    def take(self, info: Any) -> None:
        """A LabelInfo; one that came already costs nothing."""
        if info is not self._info:
            self._info, self._translation = info, None
            self.labels = with_own_colours(label_info_to_label_set(info))

    def translated(self, cloud: PointCloud, to: LabelSet) -> PointCloud:
        """The cloud with labels of another set, by name; what that has not is unlabelled."""
        assert self.labels is not None and cloud.label is not None
        if self.labels.same_classes(to):
            return cloud
        if self._translation is None or self._translation[0] is not to:
            table = np.full(1 << 16, UNLABELLED, np.uint16)
            for class_id, name in zip(self.labels.ids, self.labels.names, strict=True):
                if name in to.names:
                    table[class_id] = to.id_of(name)
            self._translation = to, table
        return replace(cloud, label=self._translation[1][cloud.label])


def with_classes(cloud: PointCloud, labels: LabelSet, names: Collection[str]) -> PointCloud:
    """The cloud with its labels, which are of `labels`, of classes of these names; all others are unlabelled."""
    assert cloud.label is not None
    kept = [class_id for class_id, name in zip(labels.ids, labels.names, strict=True) if name in names]
    return replace(cloud, label=np.where(np.isin(cloud.label, kept), cloud.label, np.uint16(UNLABELLED)))


def with_own_colours(labels: LabelSet) -> LabelSet:
    """The shipped label set of the same classes, whose colours LabelInfo does not tell, or else the one given."""
    shipped = (load_label_set(name) for name in known_label_sets())
    return next((known for known in shipped if known.same_classes(labels)), labels)
