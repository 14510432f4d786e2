import numpy as np
import pytest

from scene_understanding.geometry import PinholeCamera
from scene_understanding.inference.card import ModelError
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find
from scene_understanding.perception.depth_estimator import DepthEstimator

COLOR = np.random.default_rng(0).integers(50, 250, (6, 8, 3), np.uint8)
CAMERA = PinholeCamera(8, 6, 10.0, 10.0, 3.5, 2.5)


@pytest.fixture
def network(tiny_depth_model) -> OnnxRuntimeNetwork:
    return OnnxRuntimeNetwork(find(tiny_depth_model()), "cpu")


def test_depth_of_the_network_s_own_camera_is_what_it_gives(network) -> None:
    estimate = DepthEstimator(network)(COLOR, CAMERA)
    np.testing.assert_allclose(estimate.depth, COLOR.mean(axis=2) / 100, rtol=1e-5)
    assert estimate.depth.dtype == np.float32
    assert estimate.std is None


@pytest.mark.parametrize(
    ("fx", "fy", "scale"), [(20.0, 20.0, 2.0), (5.0, 5.0, 0.5), (20.0, 5.0, 1.0), (40.0, 10.0, 2.0)]
)
def test_depth_goes_with_the_focal_length(network, fx: float, fy: float, scale: float) -> None:
    estimator = DepthEstimator(network)
    camera = PinholeCamera(8, 6, fx, fy, 3.5, 2.5)
    assert estimator.focal_scale(camera) == pytest.approx(scale)
    np.testing.assert_allclose(estimator(COLOR, camera).depth, scale * COLOR.mean(axis=2) / 100, rtol=1e-5)


@pytest.mark.parametrize("size", [(12, 16), (24, 16), (3, 4), (97, 211)])
def test_another_size_of_the_same_view_has_the_same_depth(network, size: tuple[int, int]) -> None:
    """The focal length in pixels grows with the image, and the network sees the same picture."""
    color = np.full((*size, 3), 200, np.uint8)
    depth = DepthEstimator(network)(color, CAMERA.resized(size[1], size[0])).depth
    assert depth.shape == size
    np.testing.assert_allclose(depth, 2.0, rtol=1e-5)


def test_depth_comes_back_bilinear(network) -> None:
    color = np.zeros((6, 8, 3), np.uint8)
    color[:] = (np.arange(8, dtype=np.uint8) * 20)[:, None]
    estimator = DepthEstimator(network)
    outputs = estimator.infer(estimator.prepare(color))
    depth = estimator.decide(outputs, CAMERA, (12, 16)).depth
    np.testing.assert_allclose(depth[5, 1:-1], (np.arange(1, 15) - 0.5) * 0.1, atol=1e-5)


def test_passes_are_drawn_anew_for_each_image_and_again_by_the_seed(network) -> None:
    runs = []
    for seed in (0, 0, 1):
        estimator = DepthEstimator(network, passes=3, seed=seed)
        runs.append([estimator.prepare(COLOR)["dropout"] for _ in range(2)])
    first, same, other = runs
    np.testing.assert_array_equal(first, same)
    assert (first[0] != first[1]).any() and (first[0] != other[0]).any()


def test_what_is_dropped_is_a_share_and_keeps_the_mean(tiny_depth_model) -> None:
    folder = tiny_depth_model(channels=500, dropout={"channels": 500, "rate": 0.2})
    estimator = DepthEstimator(OnnxRuntimeNetwork(find(folder), "cpu"), passes=64)
    factors = estimator.prepare(COLOR)["dropout"]
    assert factors.shape == (64, 500) and factors.dtype == np.float32
    assert set(np.unique(factors)) == {np.float32(0), np.float32(1) / np.float32(0.8)}
    assert (factors == 0).mean() == pytest.approx(0.2, abs=0.01)
    assert (DepthEstimator(estimator.network).prepare(COLOR)["dropout"] == np.ones((1, 500))).all()


def test_several_passes_give_mean_and_deviation_in_metres_of_the_camera(network) -> None:
    camera = PinholeCamera(8, 6, 20.0, 20.0, 3.5, 2.5)
    estimator = DepthEstimator(network, passes=16, seed=4)
    factor = DepthEstimator(network, passes=16, seed=4).prepare(COLOR)["dropout"].mean(axis=1)
    estimate = estimator(COLOR, camera)
    once = 2 * COLOR.mean(axis=2) / 100
    assert estimate.std is not None and estimate.std.dtype == np.float32
    np.testing.assert_allclose(estimate.depth, once * factor.mean(), rtol=1e-4)
    np.testing.assert_allclose(estimate.std, once * factor.std(), rtol=1e-4)


def test_a_network_without_dropout_makes_one_pass(tiny_depth_model) -> None:
    network = OnnxRuntimeNetwork(find(tiny_depth_model(channels=0)), "cpu")
    np.testing.assert_allclose(DepthEstimator(network)(COLOR, CAMERA).depth, COLOR.mean(axis=2) / 100, rtol=1e-5)
    with pytest.raises(ModelError, match="passes is 8, but model 'tiny_depth' has no dropout"):
        DepthEstimator(network, passes=8)


@pytest.mark.parametrize("channels", [0, 4])
def test_a_network_that_expects_an_error_tells_it_in_one_pass(tiny_depth_model, channels: int) -> None:
    network = OnnxRuntimeNetwork(find(tiny_depth_model(channels=channels, expected=0.25)), "cpu")
    estimate = DepthEstimator(network)(COLOR, PinholeCamera(8, 6, 20.0, 20.0, 3.5, 2.5))
    assert estimate.std is not None and estimate.std.dtype == np.float32
    np.testing.assert_allclose(estimate.std, 0.25 * estimate.depth, rtol=1e-5)


def test_variances_of_passes_and_of_what_is_expected_add_up(tiny_depth_model) -> None:
    plain, expecting = (
        DepthEstimator(OnnxRuntimeNetwork(find(tiny_depth_model(expected=share)), "cpu"), passes=16, seed=4)
        for share in (0.0, 0.25)
    )
    one, both = (estimator(COLOR, CAMERA) for estimator in (plain, expecting))
    assert one.std is not None and one.std.min() > 0.01
    np.testing.assert_allclose(both.depth, one.depth, rtol=1e-5)
    np.testing.assert_allclose(both.std, np.sqrt(one.std**2 + (0.25 * one.depth) ** 2), rtol=1e-5)


def test_no_pass_is_none(network) -> None:
    with pytest.raises(ModelError, match="passes is 0; it must be at least 1"):
        DepthEstimator(network, passes=0)


def test_a_network_for_something_else_says_so(tiny_model) -> None:
    with pytest.raises(ModelError, match="model 'tiny' is for segmentation; needed is depth: color in, depth and std"):
        DepthEstimator(OnnxRuntimeNetwork(find(tiny_model()), "cpu"))


def test_an_image_of_another_size_than_its_camera(network) -> None:
    with pytest.raises(ValueError, match="image is 8x6, the camera 16x12"):
        DepthEstimator(network)(COLOR, CAMERA.resized(16, 12))
