"""Lists of images: which frames of a dataset make up a split, numbers or one name a line, in text files."""

from __future__ import annotations

from pathlib import Path

from scene_understanding.datasets.rgbd import DatasetError

SHIPPED = Path(__file__).resolve().parent / "splits"
"""Lists of ours, as DATASET_SPLIT.txt; docs/datasets.md says how they were chosen."""


def find_list(folder: Path, split: str | Path, dataset: str) -> Path:
    """The list file of a split: SPLIT.txt in the dataset's folder, else ours for the dataset, else a path.

    Args:
        dataset: as in the names of `SHIPPED`, such as "nyuv2".

    Raises:
        DatasetError: none of the three; the error names the lists that exist.
    """
    candidates = (folder / f"{split}.txt", SHIPPED / f"{dataset}_{split}.txt", Path(split).expanduser())
    for path in candidates:
        if path.is_file():
            return path
    known = ", ".join(known_lists(folder, dataset)) or "none"
    raise DatasetError(f"{dataset}: no list '{split}' for {folder}; known: {known}; or give the path of a list file")


def known_lists(folder: Path, dataset: str) -> list[str]:
    """Names of the splits that `find_list` finds without a path."""
    shipped = {path.stem.removeprefix(f"{dataset}_") for path in SHIPPED.glob(f"{dataset}_*.txt")}
    return sorted(shipped | {path.stem for path in folder.glob("*.txt") if _is_list(path)})


def _is_list(path: Path) -> bool:
    """Whether the first line is one word or whole numbers, as in lists; tables and prose have others."""
    with open(path, encoding="utf-8", errors="replace") as file:
        words = file.readline().split()
    return len(words) == 1 or (len(words) > 0 and all(word.isdecimal() for word in words))


def read_names(path: Path, what: str) -> list[str]:
    """The lines of a list file that are not empty; `what` names the dataset in the error.

    Raises:
        DatasetError: a file that cannot be read, or nothing in it.
    """
    try:
        lines = map(str.strip, path.read_text("utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"{what}: list {path} cannot be read: {reason}") from error
    names = [line for line in lines if line]
    if not names:
        raise DatasetError(f"{what}: list {path} is empty")
    return names


def read_numbers(path: Path, what: str) -> list[int]:
    """Image numbers of a list file, any number of them a line.

    Raises:
        DatasetError: as `read_names`, or something that is not a number.
    """
    words = [word for line in read_names(path, what) for word in line.split()]
    wrong = [word for word in words if not (word.isascii() and word.isdecimal())]
    if wrong:
        raise DatasetError(f"{what}: list {path} holds '{wrong[0]}', not a number")
    return [int(word) for word in words]
