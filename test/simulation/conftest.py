import numpy as np
import pytest

from scene_understanding.geometry import PinholeCamera
from scene_understanding.simulation.building import generate_building
from scene_understanding.simulation.render import Renderer


@pytest.fixture(scope="session")
def world():
    return generate_building(4)


@pytest.fixture(scope="session")
def renderer(world):
    return Renderer(world)


@pytest.fixture(scope="session")
def camera():
    return PinholeCamera.from_fov(160, 120, np.deg2rad(65))


@pytest.fixture(scope="session")
def frames(world, renderer, camera):
    """Six random views: pairs of pose and frame, taken at time 2.5 s."""
    rng = np.random.default_rng(11)
    poses = [world.sample_view(rng, 2.5) for _ in range(6)]
    return [(pose, renderer.render(camera, pose, 2.5)) for pose in poses]
