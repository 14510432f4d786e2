"""What commands print: a table for people, or one JSON object for programs."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

Emit = Callable[[Mapping[str, Any], str], None]


class CommandError(ValueError):
    """A wish that cannot be met: one line for the user."""


@contextmanager
def results(as_json: bool) -> Iterator[Emit]:
    """Yields `emit(report, text)`: prints the text, or with `as_json` the report as the last line of standard output.

    With `as_json` whatever else is written to standard output meanwhile, from native libraries too, goes to standard
    error.
    """
    if not as_json:
        yield lambda report, text: print(text)
        return
    reports: list[Mapping[str, Any]] = []
    sys.stdout.flush()
    standard_output = os.dup(1)
    os.dup2(2, 1)
    try:
        yield lambda report, text: reports.append(report)
    finally:
        sys.stdout.flush()
        os.dup2(standard_output, 1)
        os.close(standard_output)
    for report in reports:
        print(json.dumps(plain(report), allow_nan=False), flush=True)


def plain(value: Any) -> Any:
    """The value in JSON's types; NaN and infinities become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns aligned with spaces: numbers to the right, other things to the left."""
    cells = [list(header), *([cell_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    numeric = [bool(rows) and all(row[i] is None or isinstance(row[i], (int, float)) for row in rows)
               for i in range(len(header))]  # fmt: skip
    lines = (
        "  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True))
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def cell_text(value: object) -> str:
    """ "-" for None and NaN; floats with three decimals where they are small."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return str(value)


def new_file(path: Path, overwrite: bool) -> Path:
    """The path, user's home expanded, if a file can be made there; its folder is made, so that work is not in vain.

    Raises:
        CommandError: it exists and may not be overwritten, or is a folder; or its folder cannot be made.
    """
    path = path.expanduser()
    if path.is_dir():
        raise CommandError(f"{path} is a folder; name a file in it")
    if path.exists() and not overwrite:
        raise CommandError(f"{path} exists; --force overwrites it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{path.parent} is no folder, and cannot be made: {error.strerror}") from error
    return path
