"""`convert`: a dataset to a bag."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scene_understanding.commands.output import CommandError, new_file, table
from scene_understanding.datasets.convert import RATES, Stamped, dataset_messages, select
from scene_understanding.datasets.open import open_dataset, split_spec
from scene_understanding.hosts.mcap_writer import McapWriter
from scene_understanding.messages.types import serialize
from scene_understanding.nodes.node import LATCHED, RELIABLE


@dataclass(frozen=True)
class Conversion:
    """What the user asks for; see the options of the command."""

    source: str
    out: Path
    split: str | None = None
    last: int | None = None
    indices: str | None = None
    rate: float | None = None
    float_depth: bool = False
    force: bool = False


def convert(wish: Conversion) -> dict[str, Any]:
    """Writes the bag and reports what is in it.

    Raises:
        CommandError, DatasetError: the wish cannot be met.
    """
    if wish.rate is not None and not (wish.rate > 0 and math.isfinite(wish.rate)):
        raise CommandError(f"rate is {wish.rate}; it must be finite and above 0")
    if wish.out.suffix != ".mcap":
        raise CommandError(f"{wish.out} does not end in .mcap")
    dataset = open_dataset(wish.source, wish.split)
    positions = select(len(dataset), wish.indices, wish.last)
    rate = wish.rate or RATES.get(split_spec(wish.source)[0], 1.0)
    dataset[positions[0]]  # what is wrong with the dataset shows before a file is made
    counts: Counter[str] = Counter()
    with _whole_or_none(new_file(wish.out, wish.force)) as part, McapWriter(part, overwrite=True) as writer:
        topics: dict[str, int] = {}
        frames = dataset_messages(dataset, positions, rate, wish.float_depth)
        for frame in tqdm(frames, total=len(positions), unit="frame", desc=str(wish.out), disable=None):
            for stamped in frame:
                if stamped.topic not in topics:
                    topics[stamped.topic] = _announce(writer, stamped)
                writer.write(topics[stamped.topic], stamped.stamp_ns, serialize(stamped.message))
                counts[stamped.topic] += 1
    return {
        "out": str(wish.out),
        "frames": len(positions),
        "rate": rate,
        "label_set": dataset.label_set,
        "messages": dict(counts),
    }


@contextmanager
def _whole_or_none(path: Path) -> Iterator[Path]:
    """Where to write what becomes `path` at the end; an error leaves nothing, and what was at `path` as it was."""
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _announce(writer: McapWriter, stamped: Stamped) -> int:
    return writer.add_topic(stamped.topic, stamped.message.__msgtype__, [LATCHED if stamped.latched else RELIABLE])


def text(report: dict[str, Any]) -> str:
    """For people."""
    counts = table(("topic", "messages"), list(report["messages"].items()))
    labels = f", labels {report['label_set']}" if report["label_set"] else ", no labels"
    return f"{report['out']}: {report['frames']} frames at {report['rate']:g} Hz{labels}\n{counts}"
