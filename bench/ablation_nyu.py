"""Ablation on NYUv2 at a small, equal budget: which part of the network and of its training earns what.

    python bench/ablation_nyu.py --data nyuv2:DIR

Every row is a training of the same number of steps from the same seed at 160x120, validated on `val`. Its folder is
`runs/ablation/ROW`; a row with a `result.json` is done and is not run again, one that was cut off goes on. After each
row the tables in `docs/ablation.md` and the learning curve beside it are made again from the results.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from scene_understanding.datasets.open import open_dataset
from scene_understanding.datasets.rgbd import DatasetError, RgbdSample
from scene_understanding.evaluation.segmentation_metrics import confusion_matrix, summary
from scene_understanding.geometry import Pose
from scene_understanding.geometry.views import (
    IMAGE_UP,
    SNAPNET_R_ANGLES,
    median_depth,
    random_viewpoint,
    snapnet_r_viewpoints,
)
from scene_understanding.perception.inputs import color_input, depth_input
from scene_understanding.perception.rgbd_surface import fill_holes, render_view
from scene_understanding.perception.snapnet_r import vote
from scene_understanding.training.augment import Augmentation
from scene_understanding.training.config import TrainingError
from scene_understanding.training.data import InMemory
from scene_understanding.training.presets import write_config
from scene_understanding.training.records import replace_file
from scene_understanding.training.segmentation import SegmentationRun
from scene_understanding.training.segmentation_config import SegmentationConfig
from scene_understanding.training.segmentation_data import labelled

ROOT = Path(__file__).resolve().parents[1]
EMBEDDED = Path("runs/fusenet_embedded13_tour/best.pt")
SIZE, BATCH, STEPS = (120, 160), 8, 348
RESULT, TESTS = "result.json", "tests.npz"
LABELS = "nyu40"
"""In which the samples are held: both heads can be made from it."""

NETWORK = {"depth_channels": 2, "channels": 64, "fusion": "sum", "dilated": True, "pyramid": True, "finest": 4}
DEPTH, BOTH = ("depth.",), ("color.", "depth.")
IMAGES = {"fit100": 100, "fit200": 200, "fit400": 400, "fit": 696}
VIEWS = len(SNAPNET_R_ANGLES)


@dataclass(frozen=True)
class Row:
    """One training.

    Attributes:
        name: of its folder, and for --rows.
        title: in the tables.
        network: arguments that are not as in `NETWORK`; training: keys of `Config` that are not as in `config_of`.
        synthetic: parts that start from the embedded world, as beginnings of names; the others start from ImageNet.
        elsewhere, fixed: of `FilledViews`, SnapNet-R's 3D step (`preproc`), which None leaves out.
        tested: whether in all `WAYS`.
    """

    name: str
    title: str
    network: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    synthetic: tuple[str, ...] = ()
    elsewhere: float | None = None
    fixed: float = 0.0
    tested: bool = False


GATED: dict[str, Any] = {"network": {"fusion": "gated"}, "synthetic": DEPTH}
ROWS = (
    Row("sum", "FuseNet: sum after each stage", tested=True),
    Row("synthetic_depth", "depth stream from the embedded world", synthetic=DEPTH),
    Row("color", "RGB only", {"fusion": "color"}),
    Row("depth", "depth only", {"fusion": "depth"}),
    Row("stack", "early: stacked as one input", {"fusion": "stack"}),
    Row("late", "late: mean of two networks' scores", {"fusion": "late"}),
    Row("gated", "gated sum after each stage", {"fusion": "gated"}),
    *(
        Row(f"{name}_{split}", f"{title}, {split}", training={"train": split}, synthetic=synthetic)
        for split in ("fit100", "fit200", "fit400")
        for name, title, synthetic in (("imagenet", "ImageNet", ()), ("synthetic", "synthetic depth", DEPTH))
    ),
    Row("views", "random views", training={"augmentation": {"views": 0.5}}, tested=True),
    Row("preproc", "preproc", elsewhere=0.0, tested=True),
    Row("preproc_views", "preproc, random views", elsewhere=0.5, tested=True),
    Row("synthetic_both", "both streams from the embedded world", synthetic=BOTH),
    Row("gated_synthetic", "gated sum, synthetic depth", **GATED),
    Row("no_pyramid", "without pyramid context", {"fusion": "gated", "pyramid": False}, synthetic=DEPTH),
    Row("not_dilated", "without dilated last stage", {"fusion": "gated", "dilated": False}, synthetic=DEPTH),
    Row("no_lovasz", "without Lovász loss", **GATED, training={"lovasz": 0.0}),
    Row("auxiliary", "with 40 classes on a second head", **GATED, training={"auxiliary_label_set": LABELS}),
    Row("sum_seed1", "FuseNet, seed 1", training={"seed": 1}),
    Row("sum_seed2", "FuseNet, seed 2", training={"seed": 2}),
)
"""In the order in which they are run: the main tables first."""

TABLES = {
    "Streams and fusion, from ImageNet": ("color", "depth", "stack", "late", "sum", "gated"),
    "Synthetic start": ("sum", "synthetic_depth", "synthetic_both"),
    "Parts": ("gated_synthetic", "no_pyramid", "not_dilated", "no_lovasz", "auxiliary"),
    "Other seeds": ("sum", "sum_seed1", "sum_seed2"),
}
STARTS = {
    "ImageNet": ("imagenet_fit100", "imagenet_fit200", "imagenet_fit400", "sum"),
    "synthetic depth": ("synthetic_fit100", "synthetic_fit200", "synthetic_fit400", "synthetic_depth"),
}
"""The learning curves, in the order of IMAGES."""


@dataclass(frozen=True)
class Way:
    """How an image is judged: `preproc`, it goes through the 3D step first; `views`, SnapNet-R's from how many."""

    preproc: bool
    views: int


WAYS = {
    "image": Way(False, 1), "views": Way(False, VIEWS), "preproc": Way(True, 1), "preproc_views": Way(True, VIEWS),
}  # fmt: skip
EXPERIMENTS = (
    ("1", "sum", "image"), ("2", "sum", "preproc"), ("3", "sum", "preproc_views"),
    ("4", "preproc", "image"), ("5", "preproc", "preproc"), ("6", "preproc", "preproc_views"),
    ("7", "preproc_views", "image"), ("8", "preproc_views", "preproc"), ("9", "preproc_views", "preproc_views"),
    ("-", "sum", "views"), ("-", "views", "image"), ("-", "views", "views"),
)  # fmt: skip
"""Table 1 of SnapNet-R: number of the experiment, row, way; and the same with views whose holes stay, as here."""


def images_of(row: Row, steps: int) -> int:
    """How many training images a row takes: those of its split, the first ones where the budget is below an epoch."""
    return min(IMAGES[row.training.get("train", "fit")], steps * BATCH)


def config_of(row: Row, steps: int, start: str, init: str) -> SegmentationConfig:
    """As many epochs of the row's images as come nearest to `steps`; `start` and `init` as in `Config`.

    Raises:
        TrainingError: no such file.
    """
    epochs = max(1, round(steps / (images_of(row, steps) // BATCH)))
    synthetic = {"init": init, "init_parts": row.synthetic} if row.synthetic else {}
    for key, file in {"start": start, **synthetic}.items():
        if key in ("start", "init") and not Path(str(file)).is_file():
            raise TrainingError(f"{file} is missing; --{key} says where it is")
    return SegmentationConfig(**{
        "name": f"ablation_{row.name}", "network": "mobile_fusenet", "arguments": {**NETWORK, **row.network},
        "label_set": "nyu13", "data": "nyuv2", "train": "fit", "val": "val", "size": SIZE, "epochs": epochs,
        "validate_every": epochs, "batch": BATCH, "warmup_steps": steps // 10, "schedule": "cosine", "lovasz": 0.5,
        "ema": 0.99, "start": start, **synthetic, **row.training,
    })  # fmt: skip


@dataclass(frozen=True)
class FilledViews(Augmentation):
    """What every sample goes through first: the 3D step of SnapNet-R, after which nothing is unknown.

    Attributes:
        elsewhere: share of the samples that are seen from another viewpoint than their own.
        fixed: share of those that are seen from one of the paper's, with equal chances; the others from random ones.
    """

    elsewhere: float = 0.0
    fixed: float = 0.0

    def __call__(self, sample: RgbdSample, rng: np.random.Generator) -> RgbdSample:
        viewpoint = Pose.identity()
        if rng.random() < self.elsewhere:
            distance = median_depth(sample.depth)
            if rng.random() < self.fixed:
                viewpoint = snapnet_r_viewpoints(distance, up(sample))[rng.integers(1, VIEWS)]
            else:
                viewpoint = random_viewpoint(rng, distance, up(sample))
        return super().__call__(filled_view(sample, viewpoint), rng)


def up(sample: RgbdSample) -> Any:
    """(3,) the upward direction in the optical frame."""
    return IMAGE_UP if sample.map_from_camera is None else sample.map_from_camera.rotation[2]


def filled_view(sample: RgbdSample, view_from_source: Pose) -> RgbdSample:
    """The sample's surface from elsewhere, its holes filled but in the labels."""
    view = fill_holes(render_view(sample.rgb, sample.depth, sample.camera, view_from_source, sample.label))
    return replace(sample, rgb=view.rgb, depth=view.depth, label=view.label)


def judged(run: SegmentationRun, samples: InMemory, way: Way) -> NDArray[np.int64]:
    """Confusion matrices (N, K, K + 1) of the averaged network, one an image, which is judged in another way."""
    run.average.eval()
    specs, classes = run.config.input_specs(SIZE), len(run.target.names)
    of, confusion = run.target.of.cpu().numpy(), np.zeros((len(samples), classes, classes + 1), np.int64)

    def network(rgb: NDArray[np.uint8], depth: NDArray[np.float32] | None) -> NDArray[np.float32]:
        assert depth is not None
        inputs = (color_input(rgb, specs["color"]), depth_input(depth, specs["depth"]))
        return run.average(*(torch.from_numpy(x).to(run.device) for x in inputs))[0].cpu().numpy()

    for i in range(len(samples)):
        sample = samples[i]
        shown = filled_view(sample, Pose.identity()) if way.preproc else sample
        with torch.no_grad():
            found = vote(network, shown.rgb, shown.depth, sample.camera, up(sample), way.views, fill=way.preproc)
        assert sample.label is not None
        confusion[i] = confusion_matrix(of[sample.label], found.argmax(0), classes)
    return confusion


def run_row(
    row: Row, config: SegmentationConfig, train: Any, val: InMemory, folder: Path, ways: Iterable[str] = WAYS
) -> dict[str, Any]:
    """Trains a row in its folder, or goes on with it, and returns its figures; tests in `ways` of `WAYS`.

    The confusion matrices of the tests, one an image, are kept beside it in tests.npz.
    """
    run = SegmentationRun(config, train, val, folder, LABELS)
    if row.elsewhere is not None:
        run.training_set.augmentation = FilledViews(**config.augmentation, elsewhere=row.elsewhere, fixed=row.fixed)
    figures = {"images": len(train), "steps": run.steps, **run.fit(), "seconds": round(run.seconds)}
    if row.tested:
        confusions = {name: judged(run, val, WAYS[name]) for name in ways}
        replace_file(folder / TESTS, lambda file: np.savez_compressed(file, **confusions))  # type: ignore[arg-type]
        figures["tests"] = {name: summary(one.sum(0), run.target.names) for name, one in confusions.items()}
    return figures


def carry_out(
    row: Row, config: SegmentationConfig, folder: Path, sets: Callable[[], tuple[Any, InMemory]],
    ways: Iterable[str] = WAYS,
) -> None:  # fmt: skip
    """Does a row, of training and validation samples `sets`, and writes its figures; one that is done is left.

    Raises:
        TrainingError: the folder is of another config.
    """
    if (folder / RESULT).exists():
        write_config(config, folder)  # refuses another one
        return
    print(f"{row.name}: {row.title}", flush=True)
    result = run_row(row, config, *sets(), folder, ways)
    write_json(result, folder / RESULT)
    (folder / "checkpoint.pt").unlink()
    print(f"{row.name}: OA, MA, mIoU {', '.join(percent(result))}; {result['seconds']} s", flush=True)


def write_json(content: Mapping[str, Any], file: Path) -> None:
    replace_file(file, lambda opened: opened.write(json.dumps(content, indent=1).encode()))


def read_results(runs: Path, rows: Sequence[Any] = ROWS) -> dict[str, dict[str, Any]]:
    """Figures of the rows that are done, by name."""
    files = {row.name: runs / row.name / RESULT for row in rows}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}


def tables(results: Mapping[str, dict[str, Any]]) -> str:
    """Markdown of all tables; rows that are not done are left out."""
    title = {row.name: row.title for row in ROWS}
    parts = [
        table(heading, ("", "OA", "MA", "mIoU", "s"),
              ((title[n], *percent(results[n]), str(results[n]["seconds"])) for n in names if n in results))
        for heading, names in TABLES.items()
    ]  # fmt: skip
    parts += [
        table(
            "Learning curve: mIoU", ("start", *map(str, IMAGES.values())),
            ((start, *(percent(results[n])[2] if n in results else "" for n in names))
             for start, names in STARTS.items() if any(n in results for n in names)),
        ),
    ]  # fmt: skip
    experiments = table_of_views("Views: SnapNet-R's experiments", results, EXPERIMENTS, {**title, "sum": "image"})
    return "\n".join(filter(None, (*parts, experiments)))


def table_of_views(
    heading: str, results: Mapping[str, Any], experiments: Iterable[tuple[str, str, str]], title: Mapping[str, str]
) -> str:
    """Markdown of `experiments`, as `EXPERIMENTS`, whose rows are done; `title` of the rows by name."""
    columns = ("experiment", "trained on", "tested on", "OA", "MA", "mIoU")
    rows = (
        (number, title[name], way.replace("_", ", "), *percent(results[name]["tests"][way]))
        for number, name, way in experiments if name in results
    )  # fmt: skip
    return table(heading, columns, rows)


def table(heading: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Markdown of a table under its heading; nothing if it has no rows."""
    lines = [" | ".join(row) for row in rows]
    rule = " | ".join("---" for _ in columns)
    return f"### {heading}\n\n" + "".join(f"| {x} |\n" for x in (" | ".join(columns), rule, *lines)) if lines else ""


def percent(figures: Mapping[str, float]) -> tuple[str, str, str]:
    return f"{100 * figures['oa']:.1f}", f"{100 * figures['ma']:.1f}", f"{100 * figures['miou']:.1f}"


def between_markers(text: str, block: str, name: str = "results") -> str:
    """The text with `block` between its two markers of that name.

    Raises:
        TrainingError: it lacks them.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise TrainingError(f"the text lacks the lines {begin.strip()} and {end}, between which the tables go")
    return f"{before}{begin}\n{block}\n{end}{after}"


def draw_curve(
    results: Mapping[str, dict[str, Any]],
    file: Path,
    starts: Mapping[str, Sequence[str]],
    images: Sequence[int],
    value: Callable[[dict[str, Any]], float],
    labels: tuple[str, str],
) -> None:
    """`value` of the rows that are done over their number of training images, a line for each start.

    Args:
        starts: rows by what the legend calls their start; images: ticks.
        labels: of the value and of the legend.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for start, names in starts.items():
        done = [results[name] for name in names if name in results]
        axes.plot([r["images"] for r in done], [value(r) for r in done], "o-", label=start)
    axes.set(xscale="log", xlabel="training images", ylabel=labels[0])
    axes.set_xticks(images, list(map(str, images)))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(title=labels[1])
    figure.savefig(file, dpi=120)


def write_docs(runs: Path, docs: Path) -> None:
    results = read_results(runs)
    docs.write_text(between_markers(docs.read_text("utf-8"), tables(results)), "utf-8")
    if any(name in results for names in STARTS.values() for name in names):
        labels = ("mIoU on val, 13 classes, %", "start of the streams")
        picture = docs.with_name(f"{docs.stem}_curve.png")
        draw_curve(results, picture, STARTS, list(IMAGES.values()), lambda r: 100 * r["miou"], labels)


def chosen(names: str, rows: Sequence[Any] = ROWS) -> list[Any]:
    """The rows of a list with commas, all if it is empty.

    Raises:
        TrainingError: a row that does not exist.
    """
    wanted, known = list(filter(None, names.split(","))), [row.name for row in rows]
    if unknown := [name for name in wanted if name not in known]:
        raise TrainingError(f"no row '{unknown[0]}'; there are {', '.join(known)}")
    return [row for row in rows if row.name in (wanted or known)]


def main(
    data: Annotated[str, typer.Option(help="nyuv2:DIR")],
    rows: Annotated[str, typer.Option(help="names with commas; all if empty")] = "",
    start: Annotated[Path, typer.Option(help="ImageNet weights")] = Path("weights/mobilenet_v2.safetensors"),
    init: Annotated[Path, typer.Option(help="best.pt of the embedded world")] = EMBEDDED,
    runs: Annotated[Path, typer.Option(help="folder of the trainings")] = ROOT / "runs" / "ablation",
    docs: Annotated[Path, typer.Option(help="where the tables go")] = ROOT / "docs" / "ablation.md",
    steps: Annotated[int, typer.Option(help="of the optimizer, a row", min=1)] = STEPS,
    threads: Annotated[int, typer.Option(help="0: as many as there are cores")] = 0,
) -> None:
    """Runs the rows that are not done, in their order, and writes the tables."""
    if threads:
        torch.set_num_threads(threads)

    @cache
    def samples(split: str) -> InMemory:
        return InMemory(open_dataset(data, split, LABELS), SIZE, labelled)

    def sets(row: Row, config: SegmentationConfig) -> tuple[Any, InMemory]:
        whole = samples(config.train)
        return [whole[i] for i in range(images_of(row, steps))], samples(config.val)

    with one_line():
        configs = [(row, config_of(row, steps, str(start), str(init))) for row in chosen(rows)]
        between_markers(docs.read_text("utf-8"), "")
        for row, config in configs:
            carry_out(row, config, runs / row.name, partial(sets, row, config))
            write_docs(runs, docs)


@contextmanager
def one_line() -> Iterator[None]:
    """What the user can mend is said in one line."""
    try:
        yield
    except (TrainingError, DatasetError, OSError) as error:
        raise SystemExit(f"ablation: {error}") from error


if __name__ == "__main__":
    typer.run(main)
