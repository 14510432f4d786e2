"""Options of `map`; the work is in `commands.map`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scene_understanding.commands.options import Force, Json
from scene_understanding.commands.output import results

map_app = typer.Typer(help="Maps that the node semantic_map has saved.", rich_markup_mode=None)

MapFile = Annotated[Path, typer.Argument(metavar="MAP.npz")]
Later = Annotated[Path, typer.Argument(metavar="LATER.npz", help="of the same place, in the same frame")]
Exported = Annotated[Path, typer.Argument(metavar="OUT", help=".ply .pcd .las .npz: occupied voxels; .png: floor plan")]
Changed = Annotated[
    Path | None, typer.Option(help=".ply .pcd .las .npz: green appeared, red vanished, yellow is something else now")
]


@map_app.command("show")
def show(path: MapFile, as_json: Json = False) -> None:
    """How much floor a map has, and how many occupied voxels of each class."""
    from scene_understanding.commands import map as module

    with results(as_json) as emit:
        report = module.show(path)
        emit(report, module.show_text(report))


@map_app.command("export")
def export(
    path: MapFile,
    out: Exported,
    min_confidence: Annotated[float, typer.Option(help="classes less sure than this are unlabelled")] = 0.0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Writes a map for other programs.

    Example: scene-understanding map export semantic_map.npz map.ply
    """
    from scene_understanding.commands import map as module

    with results(as_json) as emit:
        report = module.export(module.Export(path, out, min_confidence, force))
        emit(report, f"wrote {report['out']}")


@map_app.command("change")
def change(
    before: MapFile,
    after: Later,
    out: Changed = None,
    min_confidence: Annotated[float, typer.Option(help="classes less sure than this do not differ")] = 0.5,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """What has changed between two maps where both have seen: voxels by class.

    Example: scene-understanding map change monday.npz tuesday.npz --out change.ply
    """
    from scene_understanding.commands import map as module

    with results(as_json) as emit:
        report = module.change(module.Comparison(before, after, out, min_confidence, force))
        emit(report, module.change_text(report))
