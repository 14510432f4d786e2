import numpy as np
import pytest

from scene_understanding.geometry import PinholeCamera
from scene_understanding.simulation.sensors import ColorNoise, DepthNoise, RgbdNoise, noisy_depth

CAMERA = PinholeCamera.from_fov(160, 120, np.deg2rad(60))


def measured(depth: float, noise: DepthNoise | None = None) -> np.ndarray:
    return noisy_depth(np.full((120, 160), depth, np.float32), CAMERA, noise or DepthNoise(), np.random.default_rng(0))


def test_noise_follows_seed_and_index(frames, camera):
    _, frame = frames[0]
    one, two = (
        RgbdNoise(7).apply(frame.rgb, frame.depth, camera, 3),
        RgbdNoise(7).apply(frame.rgb, frame.depth, camera, 3),
    )
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])
    other = RgbdNoise(7).apply(frame.rgb, frame.depth, camera, 4)
    assert not np.array_equal(one[0], other[0])
    assert not np.array_equal(one[1], other[1], equal_nan=True)


def test_depth_steps_grow_with_the_square():
    quiet = DepthNoise(disparity_noise=0, lateral=0, speckle=0)
    ramp = np.tile(np.linspace(1, 6, 4000, dtype=np.float32), (3, 1))
    camera = PinholeCamera(4000, 3, CAMERA.fx * 4000 / 160, CAMERA.fy, 1999.5, 1)
    depth = noisy_depth(ramp, camera, DepthNoise(0.4, 8, 0.075, 0.125, 0, 0, 0, 9, 0, 0), np.random.default_rng(0))
    levels = np.unique(depth[1][np.isfinite(depth[1])])
    steps, middles = np.diff(levels), (levels[1:] + levels[:-1]) / 2
    np.testing.assert_allclose(steps / middles**2, np.median(steps / middles**2), rtol=0.05)
    assert len(np.unique(measured(3.0, quiet))) == 1


def test_depth_noise_grows_with_the_distance():
    spread = [np.nanstd(measured(z)) for z in (1.0, 2.0, 4.0)]
    assert 2.5 < spread[1] / spread[0] < 6 and 2.5 < spread[2] / spread[1] < 6
    assert abs(np.nanmean(measured(2.0)) - 2.0) < 0.01


@pytest.mark.parametrize("depth", [0.2, 9.0, np.nan])
def test_out_of_range_is_lost(depth):
    assert np.isnan(measured(depth)).all()


def test_edges_and_shadows_are_lost():
    scene = np.full((120, 160), 4.0, np.float32)
    scene[:, 80:] = 1.0
    depth = noisy_depth(scene, CAMERA, DepthNoise(), np.random.default_rng(0))
    lost = np.isnan(depth).mean(0)
    shift = DepthNoise().baseline * CAMERA.fx * (1 / 1.0 - 1 / 4.0)
    hidden = lost[80 - int(shift) + 1 : 78]
    assert len(hidden) > 3 and (hidden == 1).all()  # beside the near thing, where no pattern falls
    assert lost[90:].max() < 0.1 and lost[: 80 - int(shift) - 3].max() < 0.1


def test_color_noise_is_mild(frames, camera):
    _, frame = frames[1]
    rgb, _ = RgbdNoise(1).apply(frame.rgb, frame.depth, camera, 0)
    difference = rgb.astype(float) - frame.rgb
    assert 1 < difference.std() < 25
    quiet = RgbdNoise(1, ColorNoise(0, 0, 0, 0, 0, 0), DepthNoise()).apply(frame.rgb, frame.depth, camera, 0)[0]
    np.testing.assert_array_equal(quiet, frame.rgb)
