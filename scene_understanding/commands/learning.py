"""Options of `train` and `export`; the work is in `commands.train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scene_understanding.commands import train as module
from scene_understanding.commands.options import Force, Json
from scene_understanding.commands.output import results

train_app = typer.Typer(help="Trains a network; given again, it goes on.", rich_markup_mode=None)

ConfigName = Annotated[str, typer.Option("--config", help="name of a shipped config, or a file")]
Data = Annotated[
    str | None, typer.Option("--data", metavar="KIND:PLACE", help="where the data is, as nyuv2:FOLDER, folder:FOLDER")
]
Out = Annotated[Path | None, typer.Option("--out", metavar="RUN", help="folder of the run (default: runs/CONFIG)")]
PeopleTrain = Annotated[str | None, typer.Option("--train", help="fit or all; or seeds of buildings")]
PeopleVal = Annotated[str | None, typer.Option("--val", help="val or all; or seeds of buildings")]
PairsTrain = Annotated[str | None, typer.Option("--train", help="fit or all")]
PairsVal = Annotated[str | None, typer.Option("--val", help="val or all")]
CloudsTrain = Annotated[str | None, typer.Option("--train", help="fit, all or a list; or seeds of the clouds")]
CloudsVal = Annotated[str | None, typer.Option("--val", help="val, all or a list; or seeds of the clouds")]
Train = Annotated[str | None, typer.Option("--train", help='list to train on, by name or path, or "0-80%"')]
Val = Annotated[str | None, typer.Option("--val", help="the same to validate on")]
Epochs = Annotated[int | None, typer.Option("--epochs", help="instead of the config's")]
Start = Annotated[str | None, typer.Option("--start", metavar="FILE", help="ImageNet weights; '' for none")]
Init = Annotated[str | None, typer.Option("--init", metavar="FILE", help="best.pt of an earlier run; '' for none")]


@train_app.command("segmentation")
def train_segmentation(
    config: ConfigName, data: Data = None, out: Out = None, train: Train = None, val: Val = None,
    epochs: Epochs = None, start: Start = None, init: Init = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Trains an RGB-D segmentation network; torchrun starts it on several GPUs.

    Example: scene-understanding train segmentation --config fusenet_nyu13 --data nyuv2:data/nyuv2
    """
    _train(module.Training("segmentation", config, out, data, train, val, epochs, start, init), as_json)


@train_app.command("depth")
def train_depth(
    config: ConfigName, data: Data = None, out: Out = None, train: Train = None, val: Val = None,
    epochs: Epochs = None, start: Start = None, init: Init = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Trains a network that gives metric depth of one colour image.

    Example: scene-understanding train depth --config d3net_nyu --data nyuv2:data/nyuv2
    """
    _train(module.Training("depth", config, out, data, train, val, epochs, start, init), as_json)


@train_app.command("stereo")
def train_stereo(
    config: ConfigName, data: Data = None, out: Out = None, train: PairsTrain = None, val: PairsVal = None,
    epochs: Epochs = None, init: Init = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Trains a network that gives disparity of one image, from stereo pairs without depth.

    Example: scene-understanding train stereo --config monodepth_kitti --data kitti_stereo:data/kitti_stereo
    """
    _train(module.Training("stereo", config, out, data, train, val, epochs, None, init), as_json)


@train_app.command("keypoints")
def train_keypoints(
    config: ConfigName, data: Data = None, out: Out = None, train: PeopleTrain = None, val: PeopleVal = None,
    epochs: Epochs = None, start: Start = None, init: Init = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Trains a network for the skeletons of people.

    Example: scene-understanding train keypoints --config openpose --data lsp:data/lsp
    """
    _train(module.Training("keypoints", config, out, data, train, val, epochs, start, init), as_json)


@train_app.command("clouds")
def train_clouds(
    config: ConfigName, data: Data = None, out: Out = None, train: CloudsTrain = None, val: CloudsVal = None,
    epochs: Epochs = None, start: Start = None, init: Init = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Trains SnapNet: a network that gives the points of clouds their classes.

    Example: scene-understanding train clouds --config snapnet_oakland5 --data oakland3d:data/oakland3d
    """
    _train(module.Training("clouds", config, out, data, train, val, epochs, start, init), as_json)


def _train(wish: module.Training, as_json: bool) -> None:
    with results(as_json) as emit:
        report = module.train(wish)
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
    twin: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=MODEL", help="same training on other images: f8=d3net_dfd_f8"),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Makes a model of a training's best network: model.onnx and its card model.yaml, checked against PyTorch.

    Example: scene-understanding export runs/fusenet_nyu13 fusenet_nyu13
    """
    with results(as_json) as emit:
        report = module.export(run, name, out, head, output_stride, int16, history or (), twin or (), force)
        emit(report, module.made_text(report))
