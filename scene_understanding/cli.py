"""`scene-understanding`: options only; the work is in `scene_understanding.commands` and below.

With --json a command prints one JSON object as the last line of standard output and nothing else there: shares are
fractions 0..1, times milliseconds, null where there is no value. Progress and logs go to standard error. Exit codes:
0 done, 1 it went wrong, 2 it cannot be done as asked (one line on standard error says why).
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from scene_understanding.commands.learning import export, train_app
from scene_understanding.commands.map_options import map_app
from scene_understanding.commands.options import Force, Json
from scene_understanding.commands.output import CommandError, results
from scene_understanding.hosts.names import RosArguments
from scene_understanding.messages.memory import keep_freed_memory

TRACEBACK = "SCENE_UNDERSTANDING_TRACEBACK"
LOG_LEVELS = {"debug": "DEBUG", "info": "INFO", "warn": "WARNING", "error": "ERROR", "fatal": "CRITICAL"}
USAGE_ERROR: type[Any] = typer.BadParameter.__bases__[0]  # typer has no public name for it

app = typer.Typer(
    name="scene-understanding",
    help="On-board scene understanding for ROS 2, with or without ROS 2 installed.",
    epilog="ROS arguments are taken everywhere: --ros-args -r from:=to -p name:=value --params-file FILE --log-level L",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(help="The networks that are shipped, or your own in a folder.", rich_markup_mode=None)
app.add_typer(models_app, name="models")
app.add_typer(train_app, name="train")
app.add_typer(map_app, name="map")
app.command()(export)
data_app = typer.Typer(help="Datasets: what is in one, how it looks, making it quick to read.", rich_markup_mode=None)
app.add_typer(data_app, name="data")

Data = Annotated[str, typer.Argument(metavar="KIND:PLACE", help="as nyuv2:FOLDER, folder:FOLDER, embedded:900-911")]
Split = Annotated[str | None, typer.Option(help="list of images, by name (train, val) or path")]
LabelSetOption = Annotated[
    str | None, typer.Option("--label-set", help="regroup the labels to this set (default: the dataset's own)")
]
Remap = Annotated[list[str] | None, typer.Option("-r", "--remap", metavar="FROM:=TO", help="as in ROS 2")]
Param = Annotated[list[str] | None, typer.Option("-p", "--param", metavar="NAME:=VALUE", help="as in ROS 2")]
ParamsFile = Annotated[list[str] | None, typer.Option("--params-file", metavar="FILE", help="ROS 2 parameter file")]
Seconds = Annotated[float | None, typer.Option("--seconds", help="stop after so long (default: when interrupted)")]


class Host(str, Enum):
    """Who carries the messages of `run`."""

    dds = "dds"
    ros2 = "ros2"


class Provider(str, Enum):
    """Where a network runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    tensorrt = "tensorrt"


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="of the building; the shipped network has not seen it")] = 1200,
    seconds: Annotated[float, typer.Option(help="of simulated time, at most")] = 180.0,
    out: Annotated[Path, typer.Option(help="folder for map.png, map.npz, map.ply, overlay.png and run.mcap")] = (
        Path("out/demo")
    ),
    as_json: Json = False,
) -> None:
    """Lets a robot explore a building that no network has seen, makes a map of it, and scores the map."""
    from scene_understanding.commands import demo as module

    with results(as_json) as emit:
        report = module.run(seed=seed, seconds=seconds, out=out)
        emit(report, module.text(report))


@app.command()
def simulate(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option(metavar="OUT.mcap", help="write a bag as fast as it goes (default: live over DDS)")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="of the building; same as -p seed:=N")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="of simulated time for a bag (30 unless told); live: stop after so long")
    ] = None,
    remap: Remap = None,
    param: Param = None,
    params_file: ParamsFile = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """A robot in the embedded world: camera, depth, LiDAR, odometry, and the ground truth of all of it.

    Example: scene-understanding simulate --seed 7 --seconds 60 --out building7.mcap
    """
    from scene_understanding.commands import live, simulate as module

    seeds = [] if seed is None else [f"seed:={seed}"]
    arguments = _arguments(context, remap, [*(param or ()), *seeds], params_file)
    with results(as_json) as emit:
        if out is None:
            report = live.run_dds(["simulator"], arguments, seconds)
            emit(report, live.statistics_table(report["nodes"]))
        else:
            wish = module.Simulation(out, 30.0 if seconds is None else seconds, arguments, force)
            report = module.simulate(wish)
            emit(report, module.text(report))


@app.command()
def run(
    context: typer.Context,
    nodes: Annotated[list[str], typer.Argument(metavar="NODE...", help="segmentation, depth, keypoints, simulator")],
    host: Annotated[Host, typer.Option(help="dds needs no ROS 2; ros2 needs a sourced one")] = Host.dds,
    remap: Remap = None,
    param: Param = None,
    params_file: ParamsFile = None,
    seconds: Seconds = None,
    as_json: Json = False,
) -> None:
    """Runs nodes live, in one process; between them messages are handed over without copying.

    Example: scene-understanding run segmentation -r rgb/image_rect_color:=/camera/color/image_raw
    """
    from scene_understanding.commands import live

    arguments = _arguments(context, remap, param, params_file)
    with results(as_json) as emit:
        work = live.run_dds if host is Host.dds else live.run_ros2
        report = work(nodes, arguments, seconds)
        emit(report, live.statistics_table(report["nodes"]))


@app.command()
def replay(
    context: typer.Context,
    bag: Annotated[Path, typer.Argument(help=".mcap, .db3, ROS 1 .bag, or the folder of a rosbag2")],
    nodes: Annotated[str, typer.Option(help="separated by commas")] = "segmentation",
    out: Annotated[Path | None, typer.Option(metavar="OUT.mcap", help="where the nodes' outputs go")] = None,
    remap: Remap = None,
    param: Param = None,
    params_file: ParamsFile = None,
    rate: Annotated[
        float | None,
        typer.Option(help="play at this multiple of its speed (default: as fast as it goes, nothing lost)"),
    ] = None,
    evaluate: Annotated[
        bool | None, typer.Option("--evaluate/--no-evaluate", help="score (default: if the bag has a reference)")
    ] = None,
    inputs: Annotated[bool, typer.Option("--inputs", help="also write what the nodes listened to")] = False,
    diagnostics: Annotated[bool, typer.Option("--diagnostics", help="also write /diagnostics")] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Plays a bag through nodes; prints latency, rate, drops, and how well they did where the bag tells it.

    Masks are scored against ground_truth/mask (IoU by class), depth against ground_truth/depth or, where there is none,
    the measured depth_registered/image_rect, people against ground_truth/people (OKS-AP, PCK, metres by which joints
    are off).

    Example: scene-understanding replay kitchen.mcap -r rgb/image_rect_color:=/camera/color/image_raw --out out.mcap
    """
    from scene_understanding.commands import replay as module

    arguments = _arguments(context, remap, param, params_file)
    names = [name.strip() for name in nodes.split(",") if name.strip()]
    wish = module.Replay(bag, names, out, arguments, rate, evaluate, inputs, diagnostics, force)
    with results(as_json) as emit:
        report = module.replay(wish)
        emit(report, module.text(report))
    raise typer.Exit(1 if report["silent"] else 0)


@app.command()
def convert(
    source: Annotated[
        str, typer.Argument(metavar="KIND:PLACE", help="as nyuv2:FOLDER, 7scenes:FOLDER, folder:FOLDER, embedded:SEED")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.mcap")],
    split: Annotated[str | None, typer.Option(help="list of images, by name (train) or path")] = None,
    last: Annotated[int | None, typer.Option(help="only the last N")] = None,
    indices: Annotated[str | None, typer.Option(help='positions, as "0,5,10:20" or "::10"')] = None,
    rate: Annotated[float | None, typer.Option(help="frames per second (default: 7scenes 10, others 1)")] = None,
    float_depth: Annotated[bool, typer.Option(help="depth as 32FC1 metres, not 16UC1 millimetres")] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Makes a rosbag2 file of an RGB-D dataset: images, camera_info, transforms and ground truth.

    Example: scene-understanding convert nyuv2:data/nyuv2 nyu.mcap --last 100
    """
    from scene_understanding.commands import convert as module

    with results(as_json) as emit:
        wish = module.Conversion(source, out, split, last, indices, rate, float_depth, force)
        report = module.convert(wish)
        emit(report, module.text(report))


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="name of a shipped network, or a folder")],
    data: Annotated[str, typer.Option(metavar="KIND:PLACE", help="as nyuv2:FOLDER, folder:FOLDER, embedded:5")],
    split: Annotated[
        str | None, typer.Option(help="list of images, by name or path (default: val; test of sunrgbd)")
    ] = None,
    views: Annotated[int, typer.Option(min=1, max=5, help="SnapNet-R's viewpoints: the image's own, up to 5")] = 1,
    flip: Annotated[bool, typer.Option("--flip", help="judge every view mirrored too")] = False,
    passes: Annotated[int, typer.Option(min=1, help="depth: of Monte Carlo dropout, for the uncertainty")] = 1,
    aperture: Annotated[
        str | None, typer.Option(help="onera_dfd: f2_8, or f8, on which the twin that learnt from such is scored")
    ] = None,
    people: Annotated[int | None, typer.Option(min=1, help="keypoints: in every image of the embedded world")] = None,
    second_look: Annotated[
        int, typer.Option(min=0, help="keypoints: cut out and look again at so many small people an image")
    ] = 0,
    threads: Annotated[int, typer.Option(min=0, help="of the CPU; 0: all cores")] = 0,
    provider: Annotated[Provider, typer.Option(help="of ONNX Runtime")] = Provider.auto,
    limit: Annotated[int | None, typer.Option(min=1, help="only so many images, spread over the split")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="folder for report, confusion matrix, pictures of failures")
    ] = None,
    card: Annotated[
        str | None, typer.Option(metavar="NAME", help="keep the figures as metrics.NAME of the model's card")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Scores a network on images with truth: IoU by class, errors of depth or disparity, people and their joints that
    are found, milliseconds an image.

    Example: scene-understanding evaluate fusenet_nyu13 --data nyuv2:data/nyuv2 --split val --views 5
    """
    from scene_understanding.commands import evaluate as module
    from scene_understanding.commands.scoring import Wish

    with results(as_json) as emit:
        wish = Wish(
            model, data, split, views, flip, passes, aperture, people, second_look, threads, provider.value, limit,
            out, card, force,
        )  # fmt: skip
        report = module.evaluate(wish)
        emit(report, module.text(report))


@app.command()
def label(
    cloud: Annotated[Path, typer.Argument(metavar="CLOUD", help=".ply, .pcd, .las, .npz, or .bin of KITTI; z up")],
    out: Annotated[Path, typer.Option(metavar="OUT", help=".ply, .pcd (in class colours), .las or .npz")],
    model: Annotated[str, typer.Option(help="name of a shipped network for clouds, or a folder")] = "snapnet_oakland5",
    views: Annotated[
        int | None, typer.Option(min=1, help="snapshots for every 100 000 voxels (default: as the model says)")
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="of the CPU; 0: all cores")] = 0,
    provider: Annotated[Provider, typer.Option(help="of ONNX Runtime")] = Provider.auto,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Gives every point of a cloud a class and a confidence: SnapNet, which judges snapshots of the cloud.

    Example: scene-understanding label street.las --out street.ply
    """
    from scene_understanding.commands import label as module

    with results(as_json) as emit:
        report = module.label(module.Labelling(cloud, model, out, views, provider.value, threads, force))
        emit(report, module.text(report))


@models_app.command("list")
def models_list(as_json: Json = False) -> None:
    """Lists the shipped networks."""
    from scene_understanding.commands import models

    with results(as_json) as emit:
        report = models.listing()
        emit(report, models.listing_text(report))


@models_app.command("show")
def models_show(model: Annotated[str, typer.Argument(help="name, or folder")], as_json: Json = False) -> None:
    """Prints the card of a network: inputs, labels, training, metrics."""
    from scene_understanding.commands import models

    with results(as_json) as emit:
        emit(models.show(model), models.card_text(model))


@models_app.command("path")
def models_path(model: Annotated[str, typer.Argument(help="name, or folder")], as_json: Json = False) -> None:
    """Prints where the network's file is."""
    from scene_understanding.commands import models

    with results(as_json) as emit:
        report = models.show(model)
        emit({"model": report["name"], "path": report["path"]}, report["path"])


@models_app.command("import")
def models_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="checkpoint of Lightweight OpenPose, as published")],
    name: Annotated[str, typer.Argument(help="of the model")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="where its folder goes (default: networks)")] = None,
    size: Annotated[str, typer.Option(metavar="HxW", help="of the images that it takes, multiples of 8")] = "384x512",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Makes a model of weights that others published, read without running what may be in the file.

    Example: scene-understanding models import checkpoint_iter_370000.pth lightweight_openpose
    """
    from scene_understanding.commands import models, train

    with results(as_json) as emit:
        report = models.import_checkpoint(file, name, out, size, force)
        emit(report, train.made_text(report))


@data_app.command("check")
def data_check(data: Data, split: Split = None, label_set: LabelSetOption = None, as_json: Json = False) -> None:
    """Reads all of a dataset: sizes, depth, share of each class, a line for everything wrong (exit code 1).

    Example: scene-understanding data check nyuv2:data/nyuv2 --split val
    """
    from scene_understanding.commands import data as module

    with results(as_json) as emit:
        report = module.check(data, split, label_set)
        emit(report, module.check_text(report))
    raise typer.Exit(1 if report["errors"] else 0)


@data_app.command("picture")
def data_picture(
    data: Data,
    out: Annotated[Path, typer.Option(metavar="OUT.png")],
    split: Split = None,
    label_set: LabelSetOption = None,
    count: Annotated[int, typer.Option(help="so many samples, spread over the dataset")] = 8,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Draws samples of a dataset: colour, depth, labels, and what the colours mean.

    Example: scene-understanding data picture embedded:900-911 --out embedded.png
    """
    from scene_understanding.commands import data as module

    with results(as_json) as emit:
        report = module.picture(data, out, split, label_set, count, force)
        emit(report, report["out"])


@data_app.command("prepare")
def data_prepare(
    data: Data,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="folder to make; opened as folder:OUT")],
    split: Annotated[list[str] | None, typer.Option(help="list of images; again for more of them")] = None,
    label_set: LabelSetOption = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="as 320x240 (default: as they are)")] = None,
    as_json: Json = False,
) -> None:
    """Writes any dataset as a folder of PNG files, a camera and a label set, which training reads quickly.

    Example: scene-understanding data prepare sunrgbd:data/sun out/sun --split train --split test --size 320x240
    """
    from scene_understanding.commands import data as module

    with results(as_json) as emit:
        report = module.prepare(data, out, split or (), label_set, size)
        emit(report, module.prepare_text(report))


@app.command()
def demolition(
    source: Annotated[str, typer.Argument(metavar="CLOUD", help="file (.ply .pcd .las .npz .bin), or rubble:SEEDS")],
    model: Annotated[str, typer.Option(help="network for clouds: name, or folder")] = "snapnet_rubble4",
    out: Annotated[Path | None, typer.Option(metavar="OUT.png", help="the map as picture")] = None,
    cell: Annotated[float, typer.Option(help="side of the map's cells, metres")] = 1.0,
    threads: Annotated[int, typer.Option(min=0, help="of the CPU; 0: all cores")] = 0,
    provider: Annotated[Provider, typer.Option(help="of ONNX Runtime")] = Provider.auto,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Maps where a block stands and where it is debris, from a cloud of it; scores the map where there is truth.

    Example: scene-understanding demolition rubble:2050-2052 --out demolition.png
    """
    from scene_understanding.commands import demolition as module

    with results(as_json) as emit:
        report = module.run(module.Wish(source, model, out, cell, provider.value, threads, force))
        emit(report, module.text(report))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Tries what is installed here: modules, hosts, network providers; says what to do. Exit code 1: not usable."""
    from scene_understanding.commands import doctor as module

    with results(as_json) as emit:
        report = module.examine()
        emit(report, module.text(report))
    raise typer.Exit(0 if report["ok"] else 1)


@app.command()
def params(
    node: Annotated[str, typer.Argument(help="segmentation, depth, keypoints, simulator")],
    as_yaml: Annotated[bool, typer.Option("--yaml", help="as a ROS 2 parameter file")] = False,
    as_json: Json = False,
) -> None:
    """Lists the parameters of a node."""
    from scene_understanding.commands import catalogue

    with results(as_json) as emit:
        show = catalogue.parameter_file if as_yaml else catalogue.parameter_table
        emit(catalogue.parameter_report(node), show(node))


def _arguments(
    context: typer.Context, remap: list[str] | None, param: list[str] | None, params_file: list[str] | None
) -> RosArguments:
    """What stood after --ros-args and what our own options say."""
    given: RosArguments = context.obj
    own = RosArguments.of(remap or (), param or (), params_file or ())
    return RosArguments(
        given.remappings + own.remappings, given.parameters + own.parameters, given.log_level or own.log_level
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point: runs a command and exits with its code; mistakes become one line, never a traceback."""
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
    sys.exit(code)


def _run(argv: list[str]) -> int:
    try:
        arguments, rest = RosArguments.parse(argv)
        _log_to_stderr(arguments.log_level)
        keep_freed_memory()
        return app(rest or ["--help"], obj=arguments, standalone_mode=False) or 0
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return 130
    except USAGE_ERROR as error:
        return _complain(error, error.format_message(), 2)
    except BrokenPipeError:
        raise
    except Exception as error:
        return _complain(error, _one_line(error), 2 if _is_users(error) else 1)


def _log_to_stderr(level: str | None) -> None:
    if level not in (None, *LOG_LEVELS):
        raise CommandError(f"log level '{level}' is not one of {', '.join(LOG_LEVELS)}")
    logging.basicConfig(
        level=LOG_LEVELS[level or "info"], stream=sys.stderr, format="[%(levelname)s] [%(name)s]: %(message)s"
    )


def _is_users(error: Exception) -> bool:
    """Our own errors, and files that are missing or cannot be written, are for the user to mend."""
    return type(error).__module__.startswith("scene_understanding.") or isinstance(error, OSError)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return text if _is_users(error) else f"{type(error).__name__}: {text} ({TRACEBACK}=1 shows where)"


def _complain(error: Exception, line: str, code: int) -> int:
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    print(f"error: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
