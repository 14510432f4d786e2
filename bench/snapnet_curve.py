"""Accuracy and time of SnapNet by the number of views, and what its fusion is worth; docs/snapnet.md shows both.

    python bench/snapnet_curve.py --run runs/snapnet_oakland5 --data oakland3d:DIR [--split val]

From the weights of one training it makes four networks: residual correction, the average of the two streams' scores,
and each stream alone. Every point of the clouds is scored with each of them, with the first two for each number of
views. Prints a JSON line for each, and draws docs/snapnet_views.png. Needs the extras `train` and `view`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from scene_understanding.commands.scoring import cores, hardware
from scene_understanding.datasets.open_clouds import open_clouds
from scene_understanding.evaluation.clouds import evaluate
from scene_understanding.evaluation.segmentation_metrics import summary
from scene_understanding.evaluation.timing import TimedNetwork
from scene_understanding.inference.card import ModelCard, read_card
from scene_understanding.training.cloud_config import CloudConfig
from scene_understanding.training.config import TrainingError
from scene_understanding.training.export import export_onnx
from scene_understanding.training.model_card import interface
from scene_understanding.training.networks import build, read_state
from scene_understanding.training.presets import read_run_config

VIEWS = (5, 10, 20, 40, 80, 160, 320)
"""For every 100 000 voxels."""
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "snapnet_views.png"


def ways(config: CloudConfig) -> dict[str, dict[str, Any]]:
    """Arguments of the network for each way to come from the streams to one result."""
    alone = {f"{name} alone": {"streams": [name], "fusion": "average"} for name in config.streams}
    return {"residual correction": {"fusion": "correction"}, "average": {"fusion": "average"}, **alone}


def network_of(run: Path, arguments: Mapping[str, Any], classes: int, folder: Path) -> ModelCard:
    """A network in a folder with what it has of the weights of a run.

    Raises:
        TrainingError: not the run of a SnapNet with these parts.
    """
    config, state = read_run_config(run), read_state(run / "best.pt")
    if not isinstance(config, CloudConfig):
        raise TrainingError(f"{run} is no training of clouds")
    config = replace(config, arguments={**config.arguments, **arguments}, start="", init="")
    network = build(config, classes)
    if missing := network.state_dict().keys() - state.keys():
        raise TrainingError(f"{run} has no {min(missing)}, which a network with {dict(arguments)} needs")
    network.load_state_dict({name: state[name] for name in network.state_dict()})
    folder.mkdir()
    shapes = export_onnx(network, config, folder / "model.onnx")
    card = interface(
        folder.name, config, folder / "model.onnx", shapes, label_set=config.label_set,
        snapnet=config.parameters.as_card(),
    )  # fmt: skip
    (folder / "model.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
    return read_card(folder)


def scored(card: ModelCard, clouds: Sequence[Any], views: int, names: tuple[str, ...], run: Path) -> dict[str, Any]:
    """Figures of a network on clouds, with so many views."""
    config = read_run_config(run)
    assert isinstance(config, CloudConfig)
    done = evaluate(TimedNetwork(card, "cpu", cores()), clouds, replace(config.parameters, views=views))
    seconds = sum(judged.seconds for judged in done.clouds)
    figures = {"points": done.points, "seconds": seconds, "points_per_s": done.points_per_s}
    return {"views": views, **summary(done.confusion, names), **figures}


def draw(curve: Sequence[Mapping[str, Any]], average: Sequence[Mapping[str, Any]], path: Path) -> None:
    """mIoU, and seconds for a million points, over the number of views."""
    figure = Figure((9.5, 3.8), layout="constrained")
    accuracy, time = figure.subplots(1, 2)
    for rows, label, colour, marker in (
        (curve, "residual correction", "#1b6ca8", "o"), (average, "average of the streams", "#d1495b", "s")
    ):  # fmt: skip
        accuracy.plot(
            [r["views"] for r in rows], [100 * r["miou"] for r in rows], marker, ls="-", c=colour, label=label
        )
    accuracy.set_ylabel("mIoU of the points, %")
    accuracy.legend(frameon=False, loc="lower right")
    time.plot([r["views"] for r in curve], [1e6 * r["seconds"] / r["points"] for r in curve], "o-", c="#1b6ca8")
    time.set_ylabel(f"seconds for a million points\n{hardware()}")
    time.set_ylim(bottom=0)
    for axes in (accuracy, time):
        axes.set_xscale("log", base=2)
        axes.set_xticks([r["views"] for r in curve])
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.set_xlabel("views for every 100 000 voxels")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--views", type=int, nargs="+", default=VIEWS)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    options = parser.parse_args()
    dataset, config = open_clouds(options.data, options.split), read_run_config(options.run)
    clouds, names = [dataset[i] for i in range(len(dataset))], dataset.labels.names
    if not isinstance(config, CloudConfig):
        raise TrainingError(f"{options.run} is no training of clouds")
    curves: dict[str, list[dict[str, Any]]] = {}
    with TemporaryDirectory() as folder:
        for number, (way, arguments) in enumerate(ways(config).items()):
            card = network_of(options.run, arguments, len(names), Path(folder) / str(number))
            counts = options.views if way in ("residual correction", "average") else [config.parameters.views]
            for views in sorted({*counts, config.parameters.views}):
                row = scored(card, clouds, views, names, options.run)
                curves.setdefault(way, []).append(row)
                print(json.dumps({"bench": "snapnet_curve", "fusion": way, **row}), flush=True)
    draw(curves["residual correction"], curves["average"], options.picture)


if __name__ == "__main__":
    main()
