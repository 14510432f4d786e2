"""Model store and ONNX Runtime: what is right runs, what is wrong is one line."""

import shutil

import numpy as np
import onnxruntime
import pytest
import yaml

from scene_understanding.inference.card import ModelError, read_card
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import SHIPPED, find, shipped
from scene_understanding.perception.segmenter import Segmenter

MODEL = "fusenet_embedded13"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(SHIPPED / MODEL, tmp_path / "model")
    return tmp_path / "model"


def edit(folder, change) -> None:
    content = yaml.safe_load((folder / "model.yaml").read_text())
    change(content)
    (folder / "model.yaml").write_text(yaml.safe_dump(content))


@pytest.mark.parametrize("name", shipped())
def test_shipped_models_are_whole_small_and_say_where_they_came_from(name: str) -> None:
    card = find(name)
    assert card.path.stat().st_size <= 16_000_000
    assert card.training["command"] and card.training["split"] and card.metrics
    network = OnnxRuntimeNetwork(card, "cpu")
    outputs = network({n: np.zeros(spec.shape, np.float32) for n, spec in card.inputs.items()})
    assert {n: a.shape for n, a in outputs.items()} == card.outputs


def test_a_model_is_found_by_its_folder(folder) -> None:
    assert find(folder).name == find(folder / "model.yaml").name == MODEL


def test_unknown_model_names_the_shipped_ones() -> None:
    with pytest.raises(ModelError, match=rf"no model 'fusenet_mars': shipped are .*{MODEL}"):
        find("fusenet_mars")


def test_missing_network_file(folder) -> None:
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"network file .*model.onnx named by .*model.yaml is missing"):
        read_card(folder)


def test_another_file_than_the_cards(folder) -> None:
    with open(folder / "model.onnx", "ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match="is not the file of its card: sha256"):
        read_card(folder)


def test_a_file_that_is_no_network(folder) -> None:
    (folder / "model.onnx").write_bytes(b"not a network")
    import hashlib

    edit(folder, lambda c: c.update(sha256=hashlib.sha256(b"not a network").hexdigest()))
    with pytest.raises(ModelError, match="cannot be loaded by ONNX Runtime"):
        OnnxRuntimeNetwork(read_card(folder))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("inputs"), "lacks inputs"),
        (lambda c: c.update(colour=1), "unknown keys colour"),
        (lambda c: c["inputs"]["color"].pop("mean"), "inputs need shape, mean"),
        (lambda c: c.update(inputs=3), "inputs need shape, mean"),
        (lambda c: c.update(sha256=None), "sha256 is None; expected text"),
        (lambda c: c.update(unscored=["bed"]), r"unscored is \['bed'\]; expected class ids"),
        (lambda c: c.update(unscored=40), "unscored is 40; expected a list"),
        (lambda c: c.update(training="long"), "training is 'long'; expected a mapping"),
        (lambda c: c.update(metrics={"miou": 0.5}), "metrics holds a mapping of figures for each evaluation"),
        (lambda c: c["inputs"]["color"].update(mean=[1.0]), r"shape \(1, 3, 240, 320\) and \(1, 3, 3\) means"),
        (lambda c: c["inputs"]["color"].update(std=[1, 1, 0]), "std above 0"),
        (lambda c: c["inputs"]["color"].update(mean=["a", "b", "c"]), "must be numbers"),
    ],
)
def test_a_wrong_card_is_one_line(folder, change, says: str) -> None:
    edit(folder, change)
    with pytest.raises(ModelError, match=says) as error:
        read_card(folder)
    assert "\n" not in str(error.value)


def test_a_card_that_is_not_yaml(folder) -> None:
    (folder / "model.yaml").write_text("{name: [")
    with pytest.raises(ModelError, match="cannot be read"):
        read_card(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c["inputs"]["color"].update(shape=[1, 3, 120, 160]), r"input 'color' is \(1, 3, 240, 320\)"),
        (lambda c: c["inputs"].update(thermal=c["inputs"].pop("depth")), "has no input 'thermal'; it has color, depth"),
        (lambda c: c.update(outputs={"classes": [1, 13, 240, 320]}), "has no output 'classes'"),
    ],
)
def test_a_network_of_another_shape_than_its_card(folder, change, says: str) -> None:
    edit(folder, change)
    with pytest.raises(ModelError, match=says):
        OnnxRuntimeNetwork(read_card(folder), "cpu")


def test_a_provider_that_is_not_installed_is_no_silent_fallback() -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("ONNX Runtime has CUDA here")
    with pytest.raises(ModelError, match=r"no provider 'cuda'; it has .*CPUExecutionProvider"):
        OnnxRuntimeNetwork(find(MODEL), "cuda")


def test_an_unknown_label_set_is_told(folder) -> None:
    edit(folder, lambda c: c.update(label_set="mars7"))
    with pytest.raises(ModelError, match="model 'fusenet_embedded13': label_set: .*mars7"):
        Segmenter(OnnxRuntimeNetwork(read_card(folder), "cpu"))


def test_a_label_set_beside_the_card(folder) -> None:
    shutil.copy(SHIPPED.parent / "labels/data/nyu13.yaml", folder / "mine.yaml")
    edit(folder, lambda c: c.update(label_set="mine.yaml"))
    card = read_card(folder)
    assert card.label_set == str(folder / "mine.yaml")
    assert Segmenter(OnnxRuntimeNetwork(card, "cpu")).labels.names[0] == "bed"


def test_a_network_with_other_labels_than_scores(folder) -> None:
    edit(folder, lambda c: c.update(label_set="camvid11"))
    with pytest.raises(ModelError, match="gives 13 scores, camvid11 has 11 labels"):
        Segmenter(OnnxRuntimeNetwork(read_card(folder), "cpu"))
