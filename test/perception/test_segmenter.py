import numpy as np
import pytest

from scene_understanding.inference.card import InputSpec
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find
from scene_understanding.perception.inputs import color_input, depth_input
from scene_understanding.perception.segmenter import Segmenter

COLOR = InputSpec((1, 3, 4, 6), (10.0, 20.0, 30.0), (2.0, 4.0, 8.0), ("red", "green", "blue"))
DEPTH = InputSpec((1, 2, 4, 6), (2.5, 0.0), (1.5, 1.0), ("depth", "valid"))


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(OnnxRuntimeNetwork(find("fusenet_embedded13"), "cpu"))


def test_color_is_normalised_channel_by_channel() -> None:
    color = np.full((4, 6, 3), (12, 24, 46), np.uint8)
    np.testing.assert_allclose(color_input(color, COLOR)[0, :, 0, 0], [1, 1, 2])


def test_color_has_the_bits_of_the_formula() -> None:
    color = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    mean, std = (np.array(values, np.float32) for values in (COLOR.mean, COLOR.std))
    planes = color_input(color, COLOR)
    np.testing.assert_array_equal(planes[0], ((color.astype(np.float32) - mean) / std).transpose(2, 0, 1))
    assert planes.flags.c_contiguous and planes.dtype == np.float32


def test_color_is_averaged_down() -> None:
    color = np.zeros((8, 12, 3), np.uint8)
    color[::2] = 200
    np.testing.assert_allclose(color_input(color, COLOR)[0, 0], (100 - 10) / 2)


@pytest.mark.parametrize("unknown", [np.nan, 0.0, np.inf, -1.0])
def test_unknown_depth_is_zero_and_not_valid(unknown: float) -> None:
    depth = np.full((4, 6), 4.0, np.float32)
    depth[1, 2] = unknown
    metres, valid = depth_input(depth, DEPTH)[0]
    assert metres[1, 2] == 0 and valid[1, 2] == 0
    np.testing.assert_allclose(np.delete(metres.ravel(), 8), 1.0)
    assert valid.sum() == 23


def test_training_prepares_its_inputs_as_the_card_says() -> None:
    from scene_understanding.training.segmentation_config import SegmentationConfig

    config = SegmentationConfig(
        network="mobile_fusenet", label_set="nyu13", train="1", val="2", epochs=1, arguments={"depth_channels": 2}
    )
    assert config.input_specs((240, 320)) == find("fusenet_embedded13").inputs


@pytest.mark.parametrize("size", [(240, 320), (480, 640), (97, 211)])
def test_result_has_the_size_of_the_image(segmenter: Segmenter, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    result = segmenter(rng.integers(0, 256, (*size, 3), np.uint8), rng.uniform(1, 4, size).astype(np.float32))
    assert result.label.shape == result.confidence.shape == size
    assert result.label.dtype == result.confidence.dtype == np.uint8
    assert set(np.unique(result.label)) <= set(segmenter.labels.ids)


def test_labels_and_confidence_are_those_of_the_scores(segmenter: Segmenter) -> None:
    scores = np.random.default_rng(0).normal(0, 3, (13, 5, 7)).astype(np.float32)
    result = segmenter.decide(scores, (5, 7))
    probability = np.exp(scores) / np.exp(scores).sum(0)
    np.testing.assert_array_equal(result.label, np.asarray(segmenter.labels.ids)[probability.argmax(0)])
    np.testing.assert_allclose(result.confidence, 255 * probability.max(0), atol=1)


def test_a_model_that_needs_depth_says_so(segmenter: Segmenter) -> None:
    with pytest.raises(ValueError, match="model 'fusenet_embedded13' needs depth, there is only colour"):
        segmenter(np.zeros((240, 320, 3), np.uint8))
