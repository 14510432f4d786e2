"""`simulate`: the embedded world to a bag, as fast as it goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scene_understanding.commands.live import check_seconds
from scene_understanding.commands.output import CommandError, new_file, table
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.inline import run_back_to_back
from scene_understanding.hosts.names import NO_ARGUMENTS, RosArguments
from scene_understanding.hosts.recorder import Recorder
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.nodes.simulator import SimulatorNode


@dataclass(frozen=True)
class Simulation:
    """What the user asks for; `seconds` of simulated time."""

    out: Path
    seconds: float
    arguments: RosArguments = NO_ARGUMENTS
    force: bool = False


def simulate(wish: Simulation) -> dict[str, Any]:
    """Writes what the simulator node publishes; the same wish gives the same file.

    Raises:
        CommandError, NamingError, ParameterError, ConfigurationError: the wish cannot be met.
    """
    check_seconds(wish.seconds)
    if wish.out.suffix != ".mcap":
        raise CommandError(f"{wish.out} does not end in .mcap")
    bus = Bus()
    simulator = NodeRunner.create(SimulatorNode, bus, wish.arguments, inline=True)
    parameters = simulator.node.parameters
    ticks = max(1, round(wish.seconds * parameters.rate))
    path = new_file(wish.out, wish.force)
    with simulator, Recorder(bus, path, simulator.clock, wish.force) as recorder:
        recorder.add_outputs(simulator)
        simulator.start()
        for _ in tqdm(range(ticks), unit="frame", desc=str(path), disable=None):
            run_back_to_back(simulator, (), 1)
        figures = simulator.statistics()
    if figures["failed"] or recorder.lost:
        raise CommandError(f"{figures['failed']} steps failed, {recorder.lost} messages were not written; see the log")
    return {
        "out": str(path),
        "seed": parameters.seed,
        "seconds": ticks / parameters.rate,
        "frames": ticks,
        "fps": figures["fps"],
        "messages": dict(recorder.recorded),
    }


def text(report: dict[str, Any]) -> str:
    """For people."""
    counts = table(("topic", "messages"), list(report["messages"].items()))
    made = f"{report['seconds']:g} s, made at {report['fps']:.1f} frames a second"
    return f"{report['out']}: building {report['seed']}, {made}\n{counts}"
