"""Options of `train` and `export`; the work is in `commands.train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scene_understanding.commands import train as module
from scene_understanding.commands.options import Force, Json
from scene_understanding.commands.output import results

train_app = typer.Typer(help="Trains a network; given again, it goes on.", rich_markup_mode=None)


@train_app.command("segmentation")
def train_segmentation(
    config: Annotated[str, typer.Option(help="name of a shipped config, or a file")],
    data: Annotated[
        str | None, typer.Option(metavar="KIND:PLACE", help="where the data is, as nyuv2:FOLDER, folder:FOLDER")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="RUN", help="folder of the run (default: runs/CONFIG)")] = None,
    train: Annotated[str | None, typer.Option(help='list to train on, by name or path, or "0-80%"')] = None,
    val: Annotated[str | None, typer.Option(help="the same to validate on")] = None,
    epochs: Annotated[int | None, typer.Option(help="instead of the config's")] = None,
    start: Annotated[str | None, typer.Option(metavar="FILE", help="ImageNet weights; '' for none")] = None,
    init: Annotated[str | None, typer.Option(metavar="FILE", help="best.pt of an earlier run; '' for none")] = None,
    as_json: Json = False,
) -> None:
    """Trains an RGB-D segmentation network; torchrun starts it on several GPUs.

    Example: scene-understanding train segmentation --config fusenet_nyu13 --data nyuv2:data/nyuv2
    """
    with results(as_json) as emit:
        report = module.train(module.Training(config, out, data, train, val, epochs, start, init))
        if report:
            emit(report, module.train_text(report))


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a training")],
    name: Annotated[str, typer.Argument(help="of the model")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="where its folder goes (default: networks)")] = None,
    head: Annotated[str, typer.Option(help="main, or auxiliary: the finer labels of a second head")] = "main",
    output_stride: Annotated[
        int | None, typer.Option(min=1, max=4, help="2: scores of half the input's size (default: the config's)")
    ] = None,
    int16: Annotated[bool, typer.Option("--int16", help="store weights in 16 bits: half the file, as quick")] = False,
    history: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="what was trained before; again")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Makes a model of a training's best network: model.onnx and its card model.yaml, checked against PyTorch.

    Example: scene-understanding export runs/fusenet_nyu13 fusenet_nyu13
    """
    with results(as_json) as emit:
        report = module.export(run, name, out, head, output_stride, int16, history or (), force)
        emit(report, module.export_text(report))
