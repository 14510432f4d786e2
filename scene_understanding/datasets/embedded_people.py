"""Views of the embedded world with people in every pose: rendered as they are asked for, or once into a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.embedded import rendered_once
from scene_understanding.datasets.people import PeopleSample
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.geometry import PinholeCamera, Pose

if TYPE_CHECKING:
    from scene_understanding.simulation.render import Frame

CAMERA = PinholeCamera(640, 480, 554.0, 554.0, 319.5, 239.5)
"""60 degrees wide, as an RGB-D camera of the PrimeSense kind."""
TRAINING_CAMERA = CAMERA.resized(512, 384)
VIEWS = 40
"""Of each building, unless told otherwise."""
CROWDS = (1, 2, 3, 4, 5, 6, 8, 10, 14, 20)
"""How many people the training views of a building have, by the last digit of its seed."""
BEHIND = np.array(
    [0.04, 0.2, 0.2, 0.08, 0.08, 0.2, 0.08, 0.08, 0.22, 0.1, 0.08, 0.22, 0.1, 0.08, 0.05, 0.05, 0.06, 0.06]
)
"""(18,) metres that each joint lies behind the surface of its own body at most where the camera sees it: the radius of
a stout body there, and less than to the other side's joint."""
BEHIND.flags.writeable = False
FACE = np.isin(np.arange(18), (0, 14, 15, 16, 17))
"""(18,) nose, eyes and ears: nobody labels those of a head that is seen from behind."""
FACE.flags.writeable = False


class EmbeddedPeople:
    """Samples of 640x480 with depth, as sensors see them, of a camera that looks at the people.

    Going through them in order is cheapest.

    Args:
        seeds: buildings.
        people: in every view.
        views: of each building.

    Raises:
        DatasetError: no buildings, views or people.
    """

    def __init__(self, seeds: Sequence[int], people: int, views: int = VIEWS) -> None:
        if not seeds or views < 1 or people < 1:
            raise DatasetError(f"embedded: {views} views of {people} people in {len(seeds)} buildings are none")
        self.seeds, self.people, self.views = seeds, people, views
        self._rendering: tuple[int, int, Iterator[PeopleSample]] | None = None

    def __len__(self) -> int:
        return len(self.seeds) * self.views

    def __getitem__(self, index: int) -> PeopleSample:
        """Sample by position (negative ones count from the end); what lies before it in its building is rendered."""
        building, view = divmod(range(len(self))[index], self.views)
        if self._rendering is None or self._rendering[0] != building or self._rendering[1] > view:
            self._rendering = building, 0, _noisy_samples(self.seeds[building], self.people, self.views)
        _, done, samples = self._rendering
        for _ in range(view - done):
            next(samples)
        self._rendering = building, view + 1, samples
        return next(samples)


class EmbeddedPeopleViews:
    """`views` views of each building for training, 512x384, without noise or depth, rendered once.

    The camera looks along the floor, at nobody: heads and feet of many are cut off.

    Args:
        folder: where the arrays lie or are rendered to, in the way of `EmbeddedViews`.
        seeds: buildings; each has as many people as `CROWDS` says.

    Raises:
        DatasetError: a folder made for other arguments.
    """

    def __init__(self, folder: str | Path, seeds: Sequence[int], views: int) -> None:
        self._seeds, self._views = seeds, views
        self.rgb, self.pixels, self.seen, self.area = rendered_once(
            Path(folder), ("rgb", "pixels", "seen", "area"), partial(render_building, views=views), seeds,
            {"views": views},
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.rgb)

    def __getitem__(self, index: int) -> PeopleSample:
        """Sample by position (negative ones count from the end)."""
        building, view = divmod(range(len(self))[index], self._views)
        there = self.area[index] > 0
        return PeopleSample(
            _name(self._seeds[building], view), np.asarray(self.rgb[index]), self.pixels[index][there],
            self.seen[index][there], self.area[index][there],
        )  # fmt: skip


def render_building(seed: int, views: int) -> tuple[NDArray[Any], ...]:
    """rgb (views, 384, 512, 3) uint8; for up to the most of `CROWDS` people, area 0 where there are fewer: pixels
    (views, P, 18, 2) float32, seen (views, P, 18) bool and area (views, P) float32."""
    rgb, most = [], max(CROWDS)
    pixels, seen = np.full((views, most, 18, 2), np.nan, np.float32), np.zeros((views, most, 18), bool)
    area = np.zeros((views, most), np.float32)
    for k, sample in enumerate(_samples(seed, CROWDS[seed % len(CROWDS)], views, TRAINING_CAMERA)):
        rgb.append(sample.rgb)
        people = len(sample.area)
        pixels[k, :people], seen[k, :people], area[k, :people] = sample.pixels, sample.seen, sample.area
    return np.stack(rgb), pixels, seen, area


def _noisy_samples(seed: int, people: int, views: int) -> Iterator[PeopleSample]:
    from scene_understanding.simulation.sensors import RgbdNoise

    noise = RgbdNoise(seed)
    for k, sample in enumerate(_samples(seed, people, views, CAMERA, aimed=True)):
        assert sample.depth is not None
        rgb, depth = noise.apply(sample.rgb, sample.depth, CAMERA, k)
        yield replace(sample, rgb=rgb, depth=depth)


def _samples(seed: int, people: int, views: int, camera: PinholeCamera, aimed: bool = False) -> Iterator[PeopleSample]:
    """As an ideal camera sees them; `aimed` as `crowd_views` has it."""
    from scene_understanding.simulation.posed import crowd_views
    from scene_understanding.simulation.render import Renderer

    world, poses = crowd_views(seed, people, views, camera, aimed)
    renderer = Renderer(world)
    ids = np.array([person.instance for person in world.people], np.uint32)
    for view, pose in enumerate(poses):
        frame = renderer.render(camera, pose, float(view))
        joints = np.stack([person.joints(float(view)) for person in world.people])
        yield _sample(_name(seed, view), frame, joints, ids, camera, pose)


def _sample(
    name: str, frame: Frame, joints: NDArray[np.float64], ids: NDArray[np.uint32], camera: PinholeCamera, pose: Pose
) -> PeopleSample:
    """Who shows a pixel, and their joints: all but those that something or somebody else hides.

    As people label them in COCO, joints that the own body hides count as labelled, not as seen; those of a face do not.
    """
    from scene_understanding.simulation.simulator import on_own_body

    points = pose.inverse().apply(joints)
    pixels, depth = camera.project(points)
    own, surface = on_own_body(pixels, ids, frame)
    seen = own & (surface > depth - BEHIND)
    area = np.array([np.count_nonzero(frame.instance == i) for i in ids], np.float32)
    there, own = area > 0, np.where(FACE, seen, own)
    shown, placed = (np.where(own[..., None], values, np.nan)[there].astype(np.float32) for values in (pixels, points))
    return PeopleSample(name, frame.rgb, shown, seen[there], area[there], frame.depth, camera, placed)


def _name(seed: int, view: int) -> str:
    return f"people{seed:05d}_{view:03d}"
