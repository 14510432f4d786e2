"""Label sets and the mappings between them; the data are the YAML files in `data/`.

Masks hold class ids as the set defines them; 255 is unlabelled in every mask of 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

UNLABELLED = 255
"""The id of "no class" in masks, after every mapping, and in training."""

_DATA = Path(__file__).resolve().parent / "data"
_MAPPINGS = "mappings"


@dataclass(frozen=True, eq=False)
class LabelSet:
    """The classes that a mask can hold.

    Attributes:
        name: such as "nyu13".
        ids: the value of each class in a mask; ascending, 255 is never one.
        names: the name of each class; unique.
        colours: (N, 3) uint8 RGB.

    Raises:
        ValueError: fields of different length, an id that repeats, descends or is reserved, a name that repeats.
    """

    name: str
    ids: tuple[int, ...]
    names: tuple[str, ...]
    colours: NDArray[np.uint8]

    def __post_init__(self) -> None:
        n = len(self.ids)
        if n == 0 or len(self.names) != n or self.colours.shape != (n, 3):
            sizes = f"{n} ids, {len(self.names)} names, colours {self.colours.shape}"
            raise ValueError(f"label set {self.name!r} has {sizes}; expected as many of each, and at least one")
        if self.colours.dtype != np.uint8:
            raise ValueError(f"label set {self.name!r} has colours of {self.colours.dtype}; expected uint8")
        if any(b <= a for a, b in zip(self.ids, self.ids[1:], strict=False)) or self.ids[0] < 0 or self.ids[-1] > 65534:
            raise ValueError(f"label set {self.name!r} has ids {list(self.ids)}; expected ascending within 0..65534")
        if UNLABELLED in self.ids:
            raise ValueError(f"label set {self.name!r} gives id 255 to a class; it means unlabelled")
        if len(set(self.names)) != n:
            raise ValueError(f"label set {self.name!r} has a name twice: {', '.join(self.names)}")

    def __len__(self) -> int:
        return len(self.ids)

    def same_classes(self, other: LabelSet) -> bool:
        """Whether ids and names of the classes are the same; name of the set and colours do not count."""
        return (self.ids, self.names) == (other.ids, other.names)

    def id_of(self, name: str) -> int:
        """The id of a class.

        Raises:
            KeyError: no such class; the error names those that exist.
        """
        if name not in self.names:
            raise KeyError(f"label set {self.name!r} has no class {name!r}; it has: {', '.join(self.names)}")
        return self.ids[self.names.index(name)]

    def name_of(self, class_id: int) -> str:
        """The name of a class; "unlabelled" for every id that is none."""
        return self.names[self.ids.index(class_id)] if class_id in self.ids else "unlabelled"

    @cached_property
    def palette(self) -> NDArray[np.uint8]:
        """(256, 3) uint8 RGB by id (longer where an id is above 255), black where there is no class; read-only.

        The last row is black, for every id beyond.
        """
        palette = np.zeros((max(256, self.ids[-1] + 2), 3), np.uint8)
        palette[list(self.ids)] = self.colours
        palette.flags.writeable = False
        return palette

    def colorize(self, mask: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """(..., 3) uint8 RGB of class ids (...) of an unsigned dtype; ids that are no class are black."""
        if mask.dtype.kind != "u":
            raise ValueError(f"mask is {mask.dtype}; expected an unsigned integer, such as uint8")
        if mask.dtype.itemsize > 1:
            mask = np.minimum(mask, len(self.palette) - 1)
        return np.take(self.palette, mask, axis=0)


def known_label_sets() -> tuple[str, ...]:
    """Names of the label sets that are shipped."""
    return tuple(sorted(path.stem for path in _DATA.glob("*.yaml") if path.stem != _MAPPINGS))


def load_label_set(name_or_path: str | Path) -> LabelSet:
    """A shipped label set by name, or one's own from a YAML file of the same form.

    Raises:
        ValueError: an unknown name, or a file that is no label set.
        FileNotFoundError: a path that does not exist.
    """
    if isinstance(name_or_path, str) and not name_or_path.endswith((".yaml", ".yml")):
        if name_or_path not in known_label_sets():
            known = ", ".join(known_label_sets())
            raise ValueError(f"label set {name_or_path!r} is unknown; known: {known}; or give a .yaml file")
        return _load_label_set(_DATA / f"{name_or_path}.yaml")
    return _load_label_set(Path(name_or_path))


@cache
def _load_label_set(path: Path) -> LabelSet:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        classes = content["classes"]
        colours = np.array([c["colour"] for c in classes], np.uint8).reshape(-1, 3)
        names = tuple(str(c["name"]) for c in classes)
        ids = tuple(int(c["id"]) for c in classes)
        return LabelSet(str(content["name"]), ids, names, colours)
    except (yaml.YAMLError, KeyError, TypeError, OverflowError) as error:
        wanted = "name, and classes with id, name and colour [r, g, b]"
        raise ValueError(f"{path} is not a label set ({wanted}): {error!r}") from error


@cache
def _mappings() -> dict[str, dict[str, dict[str, list[str]]]]:
    return yaml.safe_load((_DATA / f"{_MAPPINGS}.yaml").read_text("utf-8"))


def mapping(source: str | LabelSet, target: str | LabelSet) -> NDArray[np.uint8]:
    """(256,) uint8 table: `mapping("nyu40", "nyu13")[mask]` regroups a mask; 255 where no class corresponds.

    From a set to itself it is the identity, with ids that are no class made 255.

    Raises:
        ValueError: no mapping between the two (the error names those that exist), two sets of one name with other
            classes, or ids above 255.
    """
    source, target = _as_label_set(source), _as_label_set(target)
    if max(source.ids[-1], target.ids[-1]) > 255:
        raise ValueError(f"{source.name!r} or {target.name!r} has ids above 255; a mapping is of masks of 8 bit")
    table = np.full(256, UNLABELLED, np.uint8)
    if source.name == target.name:
        if not source.same_classes(target):
            raise ValueError(f"two label sets are named {source.name!r} but have other classes; rename one of them")
        table[list(source.ids)] = source.ids
        return table
    groups = _mappings().get(source.name, {}).get(target.name)
    if groups is None:
        known = ", ".join(f"{a}->{b}" for a, targets in _mappings().items() for b in targets)
        raise ValueError(f"no mapping from {source.name!r} to {target.name!r}; known: {known}")
    for name, members in groups.items():
        table[[source.id_of(member) for member in members]] = target.id_of(name)
    return table


def _as_label_set(label_set: str | LabelSet) -> LabelSet:
    return label_set if isinstance(label_set, LabelSet) else load_label_set(label_set)
