"""Views of the embedded world with people: everybody is there, and only what is in sight is labelled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_understanding.datasets import embedded_people
from scene_understanding.datasets.embedded_people import (
    BEHIND,
    CAMERA,
    CROWDS,
    FACE,
    EmbeddedPeople,
    EmbeddedPeopleViews,
    render_building,
)
from scene_understanding.datasets.open_people import PEOPLE, open_people
from scene_understanding.datasets.people import PeopleSample
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.simulation import posed
from scene_understanding.simulation.render import Frame, Renderer

SEED, VIEWS = 3, 3
ASKED = 4


@pytest.fixture(scope="module")
def seen() -> tuple[list[PeopleSample], list[Frame], Any, list[Any]]:
    """Samples, and beside them what an ideal camera sees, the world, and the poses of the camera."""
    frames: list[Frame] = []
    made: list[Any] = []
    render, crowd_views = Renderer.render, posed.crowd_views

    def rendered(*arguments: Any) -> Frame:
        frames.append(render(*arguments))
        return frames[-1]

    def crowd(*arguments: Any) -> Any:
        made.append(crowd_views(*arguments))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Renderer, "render", rendered)
        patch.setattr(posed, "crowd_views", crowd)
        samples = list(EmbeddedPeople([SEED], ASKED, VIEWS))
    ((world, poses),) = made
    return samples, frames, world, poses


def test_as_many_as_asked_are_there(seen: Any) -> None:
    samples, frames, world, _ = seen
    assert [sample.name for sample in samples] == [f"people00003_{k:03d}" for k in range(VIEWS)]
    assert [len(sample.area) for sample in samples] == [ASKED] * VIEWS
    for sample, frame in zip(samples, frames, strict=True):
        assert sample.rgb.shape == (480, 640, 3) and sample.depth is not None and sample.depth.shape == CAMERA.shape
        assert sample.camera == CAMERA and sample.labelled.all()
        counted = [np.count_nonzero(frame.instance == person.instance) for person in world.people]
        np.testing.assert_array_equal(sample.area, counted)


def test_joints_lie_on_the_pixels_of_their_own_body(seen: Any) -> None:
    """Those that it hides itself too, but for the face of a head that is seen from behind."""
    samples, frames, world, poses = seen
    labelled = turned = 0
    for k, (sample, frame, pose) in enumerate(zip(samples, frames, poses, strict=True)):
        for i, person in enumerate(world.people):
            points = pose.inverse().apply(person.joints(float(k)))
            pixels, depth = CAMERA.project(points)
            for joint, (x, y) in enumerate(pixels):
                column, row = round(float(x)), round(float(y))
                inside = 0 <= column < CAMERA.width and 0 <= row < CAMERA.height
                own = inside and frame.instance[row, column] == person.instance
                in_sight = own and frame.depth[row, column] > depth[joint] - BEHIND[joint]
                assert sample.seen[i, joint] == in_sight
                if in_sight or (own and not FACE[joint]):
                    np.testing.assert_allclose(sample.pixels[i, joint], (x, y), atol=1e-3)
                    np.testing.assert_allclose(sample.points[i, joint], points[joint], atol=1e-5)
                    labelled += 1
                else:
                    assert np.isnan(sample.pixels[i, joint]).all() and np.isnan(sample.points[i, joint]).all()
                turned += own and not in_sight
    assert labelled > 60 and turned > 0


def test_seen_joints_are_just_behind_the_surface(seen: Any) -> None:
    samples, frames, _, _ = seen
    behind = []
    for sample, frame in zip(samples, frames, strict=True):
        column, row = np.rint(sample.pixels[sample.seen]).astype(int).T
        behind.append(sample.points[sample.seen][:, 2] - frame.depth[row, column])
    assert 0 < np.median(np.concatenate(behind)) < 0.1
    assert np.mean([sample.seen[np.isfinite(sample.pixels[..., 0])].mean() for sample in samples]) > 0.5


def test_sensors_see_noise_and_holes(seen: Any) -> None:
    samples, frames, _, _ = seen
    for sample, frame in zip(samples, frames, strict=True):
        assert (sample.rgb != frame.rgb).any() and np.isnan(sample.depth).any()
        assert np.nanmedian(np.abs(sample.depth - frame.depth)) < 0.02


def test_views_for_training_are_rendered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views = EmbeddedPeopleViews(tmp_path / "views", [SEED], 2)
    assert len(views) == 2
    arrays = render_building(SEED, 2)  # here, not in a process of its own
    for kept, rendered in zip((views.rgb, views.pixels, views.seen, views.area), arrays, strict=True):
        np.testing.assert_array_equal(kept, rendered)
    monkeypatch.setattr(embedded_people, "render_building", lambda seed, views: pytest.fail("rendered again"))
    again = EmbeddedPeopleViews(tmp_path / "views", [SEED], 2)
    sample = again[-1]
    people = CROWDS[SEED % 10]
    assert sample.name == "people00003_001" and sample.rgb.shape == (384, 512, 3) and sample.depth is None
    assert arrays[1].shape == (2, max(CROWDS), 18, 2) and (arrays[3][:, people:] == 0).all()
    assert len(sample.pixels) == len(sample.seen) == len(sample.area) == np.count_nonzero(arrays[3][1]) <= people
    assert (sample.area > 0).all() and not sample.seen[np.isnan(sample.pixels[..., 0])].any()
    with pytest.raises(DatasetError, match="holds other views than those of"):
        EmbeddedPeopleViews(tmp_path / "views", [SEED], 3)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Samples that only have a name; what was rendered, by seed and view."""
    rendered: list[tuple[int, int]] = []

    def samples(seed: int, people: int, views: int) -> Iterator[str]:
        for view in range(views):
            rendered.append((seed, view))
            yield f"{seed}/{view}"

    monkeypatch.setattr(embedded_people, "_noisy_samples", samples)
    return rendered


def test_in_order_nothing_is_rendered_twice(quick: list[tuple[int, int]]) -> None:
    dataset = EmbeddedPeople([7, 9], 1, views=3)
    assert len(dataset) == 6
    assert [dataset[k] for k in range(6)] == ["7/0", "7/1", "7/2", "9/0", "9/1", "9/2"]
    assert quick == [(seed, view) for seed in (7, 9) for view in range(3)]


def test_out_of_order_a_building_begins_anew(quick: list[tuple[int, int]]) -> None:
    dataset = EmbeddedPeople([7, 9], 1, views=3)
    assert [dataset[k] for k in (2, 1, -1, 3)] == ["7/2", "7/1", "9/2", "9/0"]
    assert len(quick) == 3 + 2 + 3 + 1
    with pytest.raises(IndexError):
        dataset[6]


@pytest.mark.parametrize(("seeds", "people", "views"), [([], 1, 1), ([1], 0, 1), ([1], 1, 0)])
def test_no_people_are_refused(seeds: list[int], people: int, views: int) -> None:
    with pytest.raises(DatasetError, match=f"{views} views of {people} people in {len(seeds)} buildings are none"):
        EmbeddedPeople(seeds, people, views)


def test_it_opens_by_its_spelling() -> None:
    dataset = open_people("embedded:900-902")
    assert isinstance(dataset, EmbeddedPeople) and (len(dataset.seeds), dataset.people) == (3, PEOPLE)
    other = open_people("embedded:5", people=7)
    assert isinstance(other, EmbeddedPeople) and other.people == 7
