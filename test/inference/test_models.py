"""Model store and ONNX Runtime: what is right runs, what is wrong is one line."""

import hashlib
import shutil

import numpy as np
import onnxruntime
import pytest
import yaml

from scene_understanding.inference.card import DropoutSpec, ModelError, read_card
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
    inputs = {n: np.zeros(spec.shape, np.float32) for n, spec in card.inputs.items()}
    if card.dropout:
        inputs["dropout"] = np.ones((2, card.dropout.channels), np.float32)
    outputs = network(inputs)
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
        (lambda c: c.pop("label_set"), "lacks label_set, which segmentation needs"),
        (lambda c: c.update(label_set=""), "lacks label_set, which segmentation needs"),
        (lambda c: c.update(label_set=13), "label_set is 13; expected text"),
        (lambda c: c.update(twins="f8"), "twins is 'f8'; expected a mapping"),
        (lambda c: c.update(twins={"f8": 8}), r"twins is \{'f8': 8\}; expected names of models"),
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


def test_a_depth_card_says_focal_length_dropout_and_twins_and_no_labels(tiny_depth_model) -> None:
    card = read_card(tiny_depth_model(channels=6, focal_length=312, twins={"f8": "other"}))
    assert (card.task, card.label_set, card.focal_length, card.twins) == ("depth", "", 312.0, {"f8": "other"})
    assert card.dropout == DropoutSpec(6, 0.5)
    assert read_card(tiny_depth_model(channels=0)).dropout is None


def test_what_a_segmentation_card_does_not_say() -> None:
    card = find(MODEL)
    assert (card.focal_length, card.dropout, card.twins) == (0.0, None, {})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("focal_length"), "lacks focal_length, which depth needs"),
        (lambda c: c.update(focal_length=None), "focal_length is None; expected pixels above 0, at the size of the"),
        (lambda c: c.update(focal_length=0), "focal_length is 0; expected pixels above 0"),
        (lambda c: c.update(focal_length=float("nan")), "focal_length is nan; expected pixels above 0"),
        (lambda c: c.update(focal_length="300 px"), "focal_length is '300 px'; expected pixels"),
        (lambda c: c.update(focal_length=True), "focal_length is True; expected pixels"),
        (lambda c: c.update(dropout=0.2), "dropout is 0.2; expected a mapping of channels and rate"),
        (lambda c: c.update(dropout=None), "dropout is None; expected a mapping of channels and rate"),
        (lambda c: c["dropout"].pop("rate"), "expected a mapping of channels and rate"),
        (lambda c: c["dropout"].update(rate=1), "channels 4 and rate 1; expected a count and a share between 0 and 1"),
        (lambda c: c["dropout"].update(channels=0.5), "channels 0.5 and rate 0.5; expected a count"),
        (lambda c: c["dropout"].update(channels=0), "channels 0 and rate 0.5; expected a count"),
    ],
)
def test_a_wrong_depth_card_is_one_line(tiny_depth_model, change, says: str) -> None:
    folder = tiny_depth_model()
    edit(folder, change)
    with pytest.raises(ModelError, match=says) as error:
        read_card(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("dropout"), "needs dropout, which the card does not name"),
        (lambda c: c["dropout"].update(channels=9), r"input 'dropout' is \(None, 4\), the card says \(None, 9\)"),
    ],
)
def test_a_network_of_another_dropout_than_its_card(tiny_depth_model, change, says: str) -> None:
    folder = tiny_depth_model()
    edit(folder, change)
    with pytest.raises(ModelError, match=says):
        OnnxRuntimeNetwork(read_card(folder), "cpu")


def test_an_axis_of_any_length_can_have_that_of_the_card_and_dropout_must_be_one(tiny_depth_model) -> None:
    """PyTorch exports outputs without their sizes where an input has an axis of any length."""
    import onnx

    def rewrite(change) -> None:
        network = onnx.load(folder / "model.onnx")
        change(network.graph)
        onnx.save(network, folder / "model.onnx")
        digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
        edit(folder, lambda card: card.update(sha256=digest))

    folder = tiny_depth_model()
    for i in (1, 2, 3):
        rewrite(lambda graph, i=i: setattr(graph.output[0].type.tensor_type.shape.dim[i], "dim_param", f"n{i}"))
    outputs = OnnxRuntimeNetwork(read_card(folder), "cpu")(
        {"color": np.zeros((1, 3, 6, 8), np.float32), "dropout": np.ones((5, 4), np.float32)}
    )
    assert outputs["depth"].shape == (1, 1, 6, 8)
    rewrite(lambda graph: setattr(graph.input[1].type.tensor_type.shape.dim[0], "dim_value", 2))
    with pytest.raises(ModelError, match=r"input 'dropout' is \(2, 4\), the card says \(None, 4\)"):
        OnnxRuntimeNetwork(read_card(folder), "cpu")


def test_a_card_with_dropout_of_a_network_without(tiny_depth_model) -> None:
    folder = tiny_depth_model(channels=0, dropout={"channels": 4, "rate": 0.5})
    with pytest.raises(ModelError, match="has no input 'dropout'; it has color"):
        OnnxRuntimeNetwork(read_card(folder), "cpu")
