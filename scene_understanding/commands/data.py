"""`data`: what is in a dataset, how it looks, and writing it as a folder that is quick to read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from scene_understanding.commands.output import CommandError, new_file, table
from scene_understanding.datasets.open import open_dataset
from scene_understanding.datasets.picture import contact_sheet
from scene_understanding.datasets.prepare import prepare as write_folder
from scene_understanding.datasets.rgbd import RgbdDataset
from scene_understanding.datasets.survey import survey
from scene_understanding.labels import load_label_set


def check(spec: str, split: str | None = None, label_set: str | None = None) -> dict[str, Any]:
    """Reads every sample; see `survey` for what is in the report.

    Raises:
        DatasetError: the dataset cannot be opened.
    """
    dataset = open_dataset(spec, split, label_set)
    positions = tqdm(range(len(dataset)), desc=spec, unit="frame", disable=None)
    return {"data": spec, "split": split, **survey(dataset, positions)}


def check_text(report: dict[str, Any]) -> str:
    """For people."""
    split = f" {report['split']}" if report["split"] else ""
    sizes = ", ".join(f"{n} of {size}" for size, n in report["sizes"].items()) or "none could be read"
    depth, errors = report["depth"], report["errors"]
    lines = [f"{report['data']}{split}: {report['frames']} frames: {sizes}"]
    if depth:
        share = f"known at {100 * depth['known']:.1f} % of the pixels"
        lines.append(
            f"depth {share}, {depth['min']:.2f} to {depth['max']:.2f} m, median {depth['median']:.2f}, "
            f"99 % below {depth['p99']:.2f}"
        )
    else:
        lines.append("no depth")
    if report["label_set"]:
        lines.append(f"labels {report['label_set']}, {100 * report['unlabelled']:.1f} % unlabelled")
        rows = [(name, 100 * c["share"], c["images"]) for name, c in report["classes"].items()]
        lines.append(table(("class", "% of pixels", "images"), rows))
    else:
        lines.append("no labels")
    return "\n".join([*lines, f"{len(errors)} errors" if errors else "no errors", *errors])


def picture(
    spec: str,
    out: Path,
    split: str | None = None,
    label_set: str | None = None,
    count: int = 8,
    force: bool = False,
) -> dict[str, Any]:
    """Writes a contact sheet of `count` samples spread over the dataset.

    Raises:
        CommandError, DatasetError: the wish cannot be met.
    """
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise CommandError(f"{out} does not end in .png or .jpg")
    if count < 1:
        raise CommandError(f"count is {count}; it must be at least 1")
    out = new_file(out, force)
    dataset = open_dataset(spec, split, label_set)
    count = min(count, len(dataset))
    samples = [dataset[k * len(dataset) // count] for k in range(count)]
    sheet = contact_sheet(samples, load_label_set(dataset.label_set) if dataset.label_set else None)
    out.write_bytes(cv2.imencode(out.suffix, cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes())
    return {"out": str(out), "frames": [sample.name for sample in samples], "size": list(sheet.shape[1::-1])}


def prepare(
    spec: str, out: Path, splits: Sequence[str] = (), label_set: str | None = None, size: str | None = None
) -> dict[str, Any]:
    """Writes the splits, or without any what the dataset opens by default, as a folder of one's own.

    Raises:
        CommandError, DatasetError: the wish cannot be met.
    """
    wanted = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", size) if size is not None else None
    if size is not None and wanted is None:
        raise CommandError(f"size is '{size}'; expected WIDTHxHEIGHT, such as 320x240")
    names = [Path(split).stem for split in splits]
    if len(set(names)) < len(names):
        raise CommandError(f"two splits would get one list: {', '.join(names)}")
    parts: list[tuple[str | None, RgbdDataset]]
    parts = [(Path(split).stem, open_dataset(spec, split, label_set)) for split in splits]
    parts = parts or [(None, open_dataset(spec, None, label_set))]
    out = out.expanduser()
    frames = write_folder(parts, out, (int(wanted[1]), int(wanted[2])) if wanted else None)
    megabytes = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    lists = {name: len(dataset) for name, dataset in parts if name}
    return {
        "out": str(out),
        "frames": frames,
        "lists": lists,
        "label_set": parts[0][1].label_set,
        "megabytes": megabytes,
    }


def prepare_text(report: dict[str, Any]) -> str:
    """For people."""
    lists = "".join(f", {name}.txt with {count}" for name, count in report["lists"].items())
    return f"folder:{report['out']}: {report['frames']} frames{lists}, {report['megabytes']:.0f} MB"
