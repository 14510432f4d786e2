"""What a run writes, so that a kill at any moment leaves it whole: checkpoints, logs, curves."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)


def replace_file(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Lets `write` write a new file, brings it to the disk and puts it in the place of `path`: all of it or nothing."""
    part = path.with_name(f"{path.name}.part")
    with open(part, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Table:
    """A CSV file that grows by a row at a time; the first column is a number that grows.

    Args:
        last: rows beyond it are cut off, as is a last line that was not finished: what was done after the checkpoint
            that a run goes on from is done again.
    """

    def __init__(self, path: Path, columns: Sequence[str], last: int) -> None:
        self.path = path
        rows = [row for row in read_rows(path) if float(row[columns[0]]) <= last]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        replace_file(path, lambda file: file.write(text.getvalue().encode()))
        self._file = open(path, "a", buffering=1, newline="")  # noqa: SIM115 (held as long as the run)
        self._writer = csv.writer(self._file, lineterminator="\n")

    def append(self, row: Sequence[Any]) -> None:
        """Adds a row; None is an empty cell. It survives the end of this process, after `sync` that of the machine."""
        self._writer.writerow(row)

    def sync(self) -> None:
        os.fsync(self._file.fileno())


def read_rows(path: Path) -> list[dict[str, str]]:
    """The finished rows of a CSV file by column; none where there is no file."""
    if not path.exists():
        return []
    whole, _, _ = path.read_text("utf-8").rpartition("\n")
    return list(csv.DictReader(io.StringIO(whole)))


def draw_curves(folder: Path, curves: Mapping[str, str]) -> None:
    """Makes curves.png of steps.csv and the columns `curves` (with their labels) of log.csv.

    Without matplotlib only says that it is missing, once.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        _say_once("no curves.png: matplotlib is not installed (pip install 'scene_understanding[view]')")
        return
    rows, steps = read_rows(folder / "log.csv"), read_rows(folder / "steps.csv")
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    if steps:
        epoch, loss = _column(steps, "epoch"), _column(steps, "loss")
        left.plot(epoch, loss, color="0.85", linewidth=0.6, label="step")
        window = max(1, len(loss) // 200)
        whole = len(loss) // window * window
        smooth = [values[:whole].reshape(-1, window).mean(1) for values in (epoch, loss)]
        left.plot(*smooth, color="tab:blue", label=f"mean of {window}" if window > 1 else None)
        left.set_ylim(0, 1.1 * np.nanpercentile(loss, 99))
    left.plot(_column(rows, "epoch"), _column(rows, "loss"), "o-", color="tab:orange", markersize=3, label="epoch")
    for (key, label), color in zip(curves.items(), ("tab:gray", "tab:green", "tab:red"), strict=False):
        share = 100 * _column(rows, key)
        right.plot(_column(rows, "epoch"), share, "o-", color=color, markersize=3, label=f"{label} {share[-1]:.1f}")
    for axes, title in ((left, "training loss"), (right, "validation, %")):
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    replace_file(folder / "curves.png", lambda file: figure.savefig(file, format="png", dpi=110))


def _column(rows: Sequence[Mapping[str, str]], key: str) -> NDArray[np.float64]:
    return np.array([float(row[key] or "nan") for row in rows])


@cache
def _say_once(line: str) -> None:
    log.warning(line)
