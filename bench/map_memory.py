"""Memory of the semantic map while the robot goes round and round in a building: docs/map_memory.png.

    python bench/map_memory.py [--minutes 30] [--seed 5]

The embedded world's robot drives from room to room; twice a second its camera, 160x120 pixels, looks at true classes
and measured depths. Two maps take that in: one with the blocks of the defaults, and one with so few that most of the
building is in its scratch file. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from scene_understanding.geometry import PinholeCamera, PointCloud
from scene_understanding.labels import load_label_set, mapping
from scene_understanding.mapping.voxel_map import MapParameters, SemanticMap
from scene_understanding.messages.memory import keep_freed_memory
from scene_understanding.simulation.robot import RobotLimits
from scene_understanding.simulation.simulator import EmbeddedSimulator
from scene_understanding.simulation.wander import Wander

ROOT = Path(__file__).resolve().parents[1]
PERIOD, CONTROL = 0.5, 0.05
FEW = 3072
"""Blocks of the second map."""


def resident_mb() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(
    minutes: Annotated[float, typer.Option(help="of simulated time")] = 30.0,
    seed: Annotated[int, typer.Option(help="of the building")] = 5,
    out: Annotated[Path, typer.Option(help="where the figure goes")] = ROOT / "docs" / "map_memory.png",
) -> None:
    keep_freed_memory()
    limits = RobotLimits()
    camera = PinholeCamera.from_fov(160, 120, np.radians(65))
    simulator = EmbeddedSimulator(seed, camera=camera, limits=limits)
    driver, ids = Wander(simulator.world, limits, seed), mapping("nyu40", "nyu13")
    labels = load_label_set("nyu13")
    maps = {"16384 blocks": SemanticMap(labels), f"{FEW} blocks": SemanticMap(labels, MapParameters(max_blocks=FEW))}
    rows = []
    way = 0.0
    for step in range(round(minutes * 60 / PERIOD)):
        for _ in range(round(PERIOD / CONTROL)):
            before = simulator.robot.map_from_base.translation
            command = driver.command(simulator.robot.map_from_base, simulator.crowd.places(), CONTROL)
            simulator.advance(CONTROL, command)
            way += float(np.linalg.norm(simulator.robot.map_from_base.translation - before))
        seen = simulator.observe()
        cloud = PointCloud(camera.back_project(seen.depth), label=ids[seen.truth.label].astype(np.uint16))
        for one in maps.values():
            one.integrate(cloud, seen.map_from_base @ seen.base_from_camera)
            one.stand(seen.map_from_base.translation[:2], limits.radius)
            if step % 2:
                one.layers()
        if step % 10 == 9:
            figures = [one.figures() for one in maps.values()]
            rows.append([(step + 1) * PERIOD / 60, resident_mb(), *(f["blocks"] for f in figures),
                         *(f["memory_mb"] for f in figures), figures[1]["blocks_away"]])  # fmt: skip
    draw(np.array(rows), list(maps), out)
    third = len(rows) // 3
    report = {
        "bench": "map_memory", "minutes": minutes, "way_m": round(way), "clouds": round(minutes * 60 / PERIOD),
        "maps": {name: one.figures() for name, one in maps.items()},
        "resident_mb": {"after_a_third": round(rows[third][1], 1), "end": round(rows[-1][1], 1)},
        "figure": str(out),
    }  # fmt: skip
    print(json.dumps(report))


def draw(rows: np.ndarray, names: list[str], out: Path) -> None:
    """Minutes, memory of the process, blocks and megabytes of both maps, and blocks in the file of the second."""
    from matplotlib.figure import Figure

    minute, resident, *rest = rows.T
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    blocks, memory = figure.subplots(1, 2)
    for column, name in enumerate(names):
        blocks.plot(minute, rest[column], label=f"in memory, at most {name}")
        memory.plot(minute, rest[2 + column], label=f"map of at most {name}")
    blocks.plot(minute, rest[4], "--", color="C1", label=f"in the file, at most {names[1]}")
    memory.plot(minute, resident, color="0.4", label="whole process, both maps and the world")
    blocks.set_ylabel("blocks of 8x8x8 voxels")
    memory.set_ylabel("MB")
    for axes in (blocks, memory):
        axes.set_xlabel("simulated minutes")
        axes.set_ylim(0)
        axes.set_xlim(0, minute[-1])
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    typer.run(main)
