"""What `evaluate` does alike for every kind of network."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scene_understanding.commands.output import CommandError
from scene_understanding.inference.card import ModelCard
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find

COMPARED = {
    "nyuv2": "val", "nyuv2_mat": "val", "camvid": "val", "sunrgbd": "test", "onera_dfd": "val", "onera_dfd_f8": "val",
    "kitti_stereo": "val", "lsp": "val", "oakland3d": "val",
}  # fmt: skip
"""Split of each kind of dataset unless another is named."""

REPORT = "report.json"


@dataclass(frozen=True)
class Wish:
    """What the user asks for; see the options of the command.

    Attributes:
        passes: of Monte Carlo dropout; aperture: of `onera_dfd`, which decides on images and model.
        people: in every image of the embedded world, for models of keypoints; None for the dataset's own number.
        second_look: at so many small people, for models of keypoints.
        threads: of the CPU; 0 for every core that this process may use.
        limit: only so many images, spread over the split.
        card: the figures become `metrics.CARD` of the model's card.
    """

    model: str
    data: str
    split: str | None = None
    views: int = 1
    flip: bool = False
    passes: int = 1
    aperture: str | None = None
    people: int | None = None
    second_look: int = 0
    threads: int = 0
    provider: str = "auto"
    limit: int | None = None
    out: Path | None = None
    card: str | None = None
    force: bool = False


def default_split(data: str) -> str | None:
    """The part of a dataset that networks are compared on, not the one that they learn from."""
    kind, _, place = data.partition(":")
    if kind == "folder":
        return "val" if (Path(place).expanduser() / "val.txt").is_file() else None
    return COMPARED.get(kind)


def cores() -> int:
    """Of the processor, as many as this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def hardware() -> str:
    """Processor and cores, as "AMD EPYC 9654, 2 cores"."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        name = found[1] if found else name
    return f"{name}, {cores()} cores"


def seen_through(wish: Wish) -> Wish:
    """The wish with the images of the aperture that it names, and with the model that learnt from such.

    Raises:
        CommandError: other data, an aperture that it does not have, or a model without such a twin.
    """
    if wish.aperture is None:
        return wish
    kind, _, place = wish.data.partition(":")
    if kind != "onera_dfd":
        raise CommandError(f"{kind} has no apertures; --aperture is for onera_dfd")
    if wish.aperture == "f2_8":
        return replace(wish, aperture=None)
    if wish.aperture != "f8":
        raise CommandError(f"onera_dfd has no aperture '{wish.aperture}'; it has f2_8, f8")
    card = find(wish.model)
    if wish.aperture not in card.twins:
        raise CommandError(f"model '{card.name}' has no twin that learnt from images of {wish.aperture}")
    twin = str(card.folder.parent / card.twins[wish.aperture])
    return replace(wish, model=twin, data=f"onera_dfd_{wish.aperture}:{place}", aperture=None)


def times(network_ms: NDArray[np.float64], total_ms: NDArray[np.float64]) -> dict[str, float]:
    """`ms`, `ms_p95`, `ms_total`, `images`, of the milliseconds of every image."""
    return {
        "ms": float(np.median(network_ms)),
        "ms_p95": float(np.percentile(network_ms, 95)),
        "ms_total": float(np.median(total_ms)),
        "images": len(network_ms),
    }


def circumstances(
    wish: Wish, network: OnnxRuntimeNetwork, split: str | None, threads: int, out: Path | None
) -> dict[str, Any]:
    """What was scored on what, and how."""
    return {
        "model": network.card.name,
        "task": network.card.task,
        "data": wish.data,
        "split": split,
        "flip": wish.flip,
        "threads": threads,
        "provider": network.provider,
        "hardware": hardware(),
        "out": out and str(out),
    }


def heading(report: Mapping[str, Any], unit: str) -> str:
    """For people: what was scored on how many images or pairs of what."""
    split = f", {report['split']}" if report["split"] else ""
    return f"{report['model']} on {report['data']}{split}: {report['images']} {unit}"


def time_line(report: Mapping[str, Any]) -> str:
    """For people: what an image takes, and where."""
    return (
        f"an image takes {report['ms']:.1f} ms in the network (p95 {report['ms_p95']:.1f}), "
        f"{report['ms_total']:.1f} ms in all; {report['provider']}, {report['threads']} threads, {report['hardware']}"
    )


def paragraphs(lines: Sequence[str], report: Mapping[str, Any]) -> str:
    """For people: the lines, and where the results lie."""
    return "\n\n".join(lines) + (f"\n\nresults in {report['out']}" if report["out"] else "")


def only_for(wish: Wish, task: str, **defaults: object) -> None:
    """Raises CommandError where the wish has an option that means nothing for models of this task."""
    for name, default in defaults.items():
        if getattr(wish, name) != default:
            raise CommandError(f"--{name.replace('_', '-')} is not for models of {task}")


def card_entry(wish: Wish, report: Mapping[str, Any], kept: Sequence[str]) -> dict[str, Any]:
    """What the model's card keeps: figures, rounded, and the command that makes them again on any machine."""
    kind = wish.data.partition(":")[0]
    data = wish.data if kind.startswith("embedded") else f"{kind}:DIR"
    split = report["split"] and Path(report["split"]).name
    options = [
        *(["--split", split] if split else []),
        *(["--views", str(wish.views)] if wish.views > 1 else []),
        *(["--flip"] if wish.flip else []),
        *(["--passes", str(wish.passes)] if wish.passes > 1 else []),
        *(["--people", str(wish.people)] if wish.people else []),
        *(["--second-look", str(wish.second_look)] if wish.second_look else []),
        *(["--threads", str(wish.threads)] if wish.threads else []),
        *(["--provider", wish.provider] if wish.provider != "auto" else []),
    ]
    figures = {key: _rounded(report[key]) for key in kept if key in report}
    figures["hardware"] += (
        f", {report['threads']} threads" if report["provider"] == "cpu" else f", {report['provider']}"
    )
    return {
        "data": data,
        "split": split,
        **figures,
        "command": " ".join(["scene-understanding evaluate", report["model"], "--data", data, *options]),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def outputs(wish: Wish, card: ModelCard) -> Path | None:
    """The folder for results, made; what cannot be written at the end is refused at the beginning."""
    if wish.card and wish.limit:
        raise CommandError("a card holds figures of a whole split; leave --limit out")
    if wish.card and not os.access(card.folder, os.W_OK):
        raise CommandError(f"{card.folder} cannot be written; --card needs a model in a folder of yours")
    if wish.out is None:
        return None
    if find_spec("matplotlib") is None:
        raise CommandError("--out draws with matplotlib: pip install 'scene_understanding[view]'")
    out = wish.out.expanduser()
    if (out / REPORT).exists() and not wish.force:
        raise CommandError(f"{out} holds an evaluation; --force overwrites it")
    out.mkdir(parents=True, exist_ok=True)
    return out


def spread(dataset: Any, limit: int | None, name: str, unit: str = "image") -> Iterator[Any]:
    """All samples, or so many that lie evenly in the dataset; with a progress bar."""
    count = min(limit or len(dataset), len(dataset))
    for position in tqdm(range(count), desc=name, unit=unit, disable=None):
        yield dataset[position * len(dataset) // count]
