"""Clouds of the rubble world, scanned as they are asked for; seeds 2000 to 2039 train, 2040 to 2043 validate."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import SFC64, Generator

from scene_understanding.datasets.labelled_clouds import LabelledCloud
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.labels import LabelSet, load_label_set


class Rubble:
    """A cloud of each seed's block, as a small aircraft takes it, with rgb, labels of rubble4 and instances.

    Args:
        seeds: of blocks; the same seed gives the same cloud.

    Raises:
        DatasetError: no seeds.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        if not seeds:
            raise DatasetError("rubble: no seeds, so no blocks")
        self._seeds = tuple(seeds)

    @property
    def labels(self) -> LabelSet:
        """rubble4."""
        return load_label_set("rubble4")

    @property
    def names(self) -> tuple[str, ...]:
        """`rubble_SEED`."""
        return tuple(f"rubble_{seed}" for seed in self._seeds)

    def __len__(self) -> int:
        return len(self._seeds)

    def __getitem__(self, index: int) -> LabelledCloud:
        """Cloud by position (negative ones count from the end)."""
        from scene_understanding.simulation.rubble import rubble_world
        from scene_understanding.simulation.rubble_scan import Survey, scan_world

        seed = self._seeds[index]
        survey = Survey.drawn(Generator(SFC64([seed, 8])))
        return LabelledCloud(f"rubble_{seed}", scan_world(rubble_world(seed), survey, seed))
