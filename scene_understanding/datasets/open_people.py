"""Datasets of people by the spelling of the command line: `KIND:PLACE`, such as lsp:data/lsp or embedded:900."""

from __future__ import annotations

from scene_understanding.datasets.embedded_people import EmbeddedPeople
from scene_understanding.datasets.lsp import Lsp
from scene_understanding.datasets.open import PEOPLE_KINDS, parse_seeds
from scene_understanding.datasets.people import PeopleDataset
from scene_understanding.datasets.rgbd import DatasetError

PEOPLE = 5
"""In each view of the embedded world, unless told otherwise."""


def open_people(spec: str, split: str | None = None, people: int | None = None) -> PeopleDataset:
    """The dataset that `spec` names.

    Args:
        split: of lsp: fit, val or all (the default).
        people: in each view of the embedded world.

    Raises:
        DatasetError: an unknown kind, a place that is not such a dataset, or a split or people that it does not have.
    """
    kind, _, place = spec.partition(":")
    if kind not in PEOPLE_KINDS:
        raise DatasetError(f"'{kind}' is no dataset with people; those are {', '.join(PEOPLE_KINDS)}")
    if not place:
        raise DatasetError(f"'{spec}' is not KIND:PLACE; expected {kind}: and a {PEOPLE_KINDS[kind]}")
    if kind == "lsp":
        if people is not None:
            raise DatasetError("lsp shows one person an image; the number of people is for embedded")
        return Lsp(place, split or "all")
    if split is not None:
        raise DatasetError(f"{kind} has no lists of images, so no split '{split}'")
    return EmbeddedPeople(parse_seeds(place), PEOPLE if people is None else people)
