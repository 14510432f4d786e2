"""Views of the embedded world with labels: rendered as they are asked for, without end, or once into a folder.

There are two kinds: `random` ones, most of which look at some thing from near, every class as likely; and those of a
`tour`, what a robot sees that drives from room to room: more walls, doors and far ends, fewer things.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scene_understanding.datasets.rgbd import DatasetError, RgbdSample, millimetres, table_between
from scene_understanding.geometry import OPTICAL_FROM_BODY, PinholeCamera, Pose
from scene_understanding.labels import mapping
from scene_understanding.messages.image import depth_from_millimetres

if TYPE_CHECKING:
    from scene_understanding.simulation.render import Frame

CAMERA = PinholeCamera(320, 240, 277.0, 277.0, 159.5, 119.5)
"""60 degrees wide, as an RGB-D camera of the PrimeSense kind."""

TOUR, STEP = 150.0, 0.1
"""Length of a tour and of a step of the driver, seconds."""


VIEWS = 24
"""Of each building, unless told otherwise."""


class EmbeddedBuildings:
    """Samples of 320x240 of buildings, rendered when they are asked for; going through them in order is cheapest.

    Args:
        seeds: buildings.
        views: of each building.
        kind: `random` or `tour`.
        label_set: "nyu40", or another that `labels.mapping` can make from it.

    Raises:
        DatasetError: no such mapping, no buildings, or no views.
    """

    def __init__(
        self, seeds: Sequence[int], views: int = VIEWS, kind: str = "random", label_set: str = "nyu13"
    ) -> None:
        if not seeds or views < 1:
            raise DatasetError(f"embedded: {views} views of {len(seeds)} buildings are none")
        self.seeds, self.views, self.kind, self.label_set = seeds, views, kind, label_set
        self._table = table_between("nyu40", label_set)
        self._rendered: tuple[int, list[RgbdSample]] | None = None

    def __len__(self) -> int:
        return len(self.seeds) * self.views

    def __getitem__(self, index: int) -> RgbdSample:
        """Sample by position (negative ones count from the end); renders the whole building of the view."""
        building, view = divmod(range(len(self))[index], self.views)
        seed = self.seeds[building]
        if self._rendered is None or self._rendered[0] != seed:
            self._rendered = seed, list(_samples(seed, self.views, self.kind, self._table))
        return self._rendered[1][view]


class EmbeddedStream:
    """Samples without end: of building `first`, `first + step`, ...; the same ones every time.

    `iter` begins anew. Worker k of n that share a stream takes `EmbeddedStream(first + k, n)`.
    """

    def __init__(
        self, first: int, step: int = 1, views: int = VIEWS, kind: str = "random", label_set: str = "nyu13"
    ) -> None:
        self.first, self.step, self.views, self.kind, self.label_set = first, step, views, kind, label_set
        self._table = table_between("nyu40", label_set)

    def __iter__(self) -> Iterator[RgbdSample]:
        for seed in count(self.first, self.step):
            yield from _samples(seed, self.views, self.kind, self._table)


class EmbeddedViews:
    """`views` views of each building, 320x240, labels in nyu13, rendered once into memory-mapped arrays.

    Args:
        folder: where the arrays lie or are rendered to; several processes may render there at the same time.
        seeds: buildings.
        kind: `random` or `tour`.

    Raises:
        DatasetError: a folder made for other arguments.
    """

    label_set: str | None = "nyu13"

    def __init__(self, folder: str | Path, seeds: Sequence[int], views: int, kind: str = "random") -> None:
        self.folder = Path(folder)
        self._seeds, self._views, self._kind = seeds, views, kind
        self.rgb, self.depth_mm, self.label = rendered_once(
            self.folder, ("rgb", "depth_mm", "label"), partial(render_building, views=views, kind=kind), seeds,
            {"views": views, "kind": kind},
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, index: int) -> RgbdSample:
        """Sample by position (negative ones count from the end)."""
        building, view = divmod(range(len(self))[index], self._views)
        depth = depth_from_millimetres(self.depth_mm[index])
        name = _name(self._seeds[building], self._kind, view)
        return RgbdSample(name, np.asarray(self.rgb[index]), depth, CAMERA, np.asarray(self.label[index]))


def rendered_once(
    folder: Path,
    names: Sequence[str],
    render: Callable[[int], tuple[NDArray[Any], ...]],
    seeds: Sequence[int],
    arguments: dict[str, Any],
) -> list[NDArray[Any]]:
    """Arrays of all buildings, memory-mapped from NAME.npy in FOLDER; rendered there first where they are not yet.

    Args:
        names: of the arrays.
        render: gives the arrays (views, ...) of a seed's building; called in other processes.
        seeds: buildings.
        arguments: what else the arrays depend on; kept with the seeds in FOLDER/done.json.

    Raises:
        DatasetError: a folder made for other seeds or arguments.
    """
    wanted = {"seeds": list(seeds), **arguments}
    done = folder / "done.json"
    if not done.exists():
        _render(folder, names, render, wanted)
    elif json.loads(done.read_text()) != wanted:
        told = ", ".join(f"{name} {value}" for name, value in arguments.items())
        raise DatasetError(f"{folder} holds other views than those of {seeds} with {told}; choose another folder")
    return [np.load(folder / f"{name}.npy", mmap_mode="r") for name in names]


def _render(
    folder: Path, names: Sequence[str], render: Callable[[int], tuple[NDArray[Any], ...]], wanted: dict[str, Any]
) -> None:
    """Renders into a folder of its own and moves the files, `done.json` last, so that nobody maps unfinished ones.

    A process that is killed leaves that folder, `rendering_...`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [f"{name}.npy" for name in names]
    seeds = wanted["seeds"]
    with TemporaryDirectory(prefix="rendering_", dir=folder) as temporary:
        part = Path(temporary)
        arrays: list[Any] = []
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            for i, building in enumerate(tqdm(pool.map(render, seeds), desc="buildings", total=len(seeds))):
                arrays = arrays or [
                    np.lib.format.open_memmap(
                        part / file, mode="w+", dtype=values.dtype, shape=(len(seeds) * len(values), *values.shape[1:])
                    )
                    for file, values in zip(files, building, strict=True)
                ]
                for array, values in zip(arrays, building, strict=True):
                    array[i * len(values) : (i + 1) * len(values)] = values
        for array in arrays:
            array.flush()
        (part / "done.json").write_text(json.dumps(wanted))
        for name in (*files, "done.json"):
            (part / name).replace(folder / name)


def render_building(
    seed: int, views: int, kind: str = "random"
) -> tuple[NDArray[np.uint8], NDArray[np.uint16], NDArray[np.uint8]]:
    """rgb (views, 240, 320, 3), depth (views, 240, 320) millimetres, label (views, 240, 320) nyu13, of one building."""
    nyu13 = mapping("nyu40", "nyu13")
    rgb, depth, label = zip(*KINDS[kind](seed, views), strict=True)
    return np.stack(rgb), millimetres(np.stack(depth)), nyu13[np.stack(label)]


View = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]
"""rgb and depth as measured, label in nyu40."""


def random_views(seed: int, views: int) -> Iterator[View]:
    """As `World.sample_view` draws them."""
    from scene_understanding.simulation.sensors import RgbdNoise

    noise = RgbdNoise(seed)
    for i, frame in enumerate(random_frames(seed, views, CAMERA)):
        yield *noise.apply(frame.rgb, frame.depth, CAMERA, i), frame.label


def random_frames(seed: int, views: int, camera: PinholeCamera) -> Iterator[Frame]:
    """The same, as an ideal `camera` sees them."""
    from scene_understanding.simulation.building import generate_building
    from scene_understanding.simulation.render import Renderer

    world, rng = generate_building(seed), np.random.default_rng([seed, 1])
    renderer = Renderer(world)
    for _ in range(views):
        time = float(rng.uniform(0, 60))
        yield renderer.render(camera, world.sample_view(rng, time), time)


def tour_views(seed: int, views: int) -> Iterator[View]:
    """At random moments of the first `TOUR` seconds of a robot's tour; the height of its camera depends on the seed."""
    from scene_understanding.simulation.robot import RobotLimits
    from scene_understanding.simulation.simulator import EmbeddedSimulator
    from scene_understanding.simulation.wander import Wander

    rng = np.random.default_rng([seed, 2])
    mount = Pose.from_rotation_translation(OPTICAL_FROM_BODY.T, (0.12, 0, rng.uniform(0.4, 0.9)))
    simulator = EmbeddedSimulator(seed, camera=CAMERA, base_from_camera=mount)
    wander = Wander(simulator.world, RobotLimits(), seed)
    moments = np.sort(rng.choice(round(TOUR / STEP), views, replace=False))
    for step in range(int(moments[-1]) + 1):
        command = wander.command(simulator.robot.map_from_base, simulator.crowd.places(), STEP)
        simulator.advance(STEP, command)
        if step in moments:
            seen = simulator.observe()
            yield seen.rgb, seen.depth, seen.truth.label


KINDS = {"random": random_views, "tour": tour_views}


def _samples(seed: int, views: int, kind: str, table: NDArray[np.uint8]) -> Iterator[RgbdSample]:
    """Of one building; `table` (256,) regroups labels of nyu40."""
    for view, (rgb, depth, label) in enumerate(KINDS[kind](seed, views)):
        yield RgbdSample(_name(seed, kind, view), rgb, depth, CAMERA, table[label])


def _name(seed: int, kind: str, view: int) -> str:
    return f"{kind}{seed:05d}_{view:03d}"
