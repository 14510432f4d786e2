"""`models import`: a checkpoint of the public layout becomes a model; what is none is refused and never run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from scene_understanding.cli import main
from scene_understanding.inference.card import read_card
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.models.openpose import LightweightOpenPose
from scene_understanding.perception.pose_estimator import PoseEstimator
from scene_understanding.training.import_openpose import read_weights

RGB = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def call(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capfd.readouterr()
    with pytest.raises(SystemExit) as done:
        main(["models", "import", *map(str, arguments)])
    out, err = capfd.readouterr()
    return int(done.value.code or 0), out, err


def as_theirs(rgb: np.ndarray) -> Tensor:
    """An image as the public code hands it to its network: blue, green, red, (x - 128) / 256."""
    return torch.from_numpy(np.ascontiguousarray((rgb[..., ::-1].astype(np.float32) - 128) / 256).transpose(2, 0, 1))[
        None
    ]


@pytest.fixture(scope="module")
def network() -> LightweightOpenPose:
    """Of random weights, with statistics of images, so that it sees something."""
    torch.manual_seed(0)
    network = LightweightOpenPose(refinements=2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.98  # the rest keeps rounding from growing
    with torch.no_grad():
        network(torch.randn(4, 3, 48, 64))
    return network.eval()


@pytest.fixture(scope="module")
def checkpoint(network: LightweightOpenPose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the public training writes it, in the format of the PyTorch of its time."""
    optimizer = torch.optim.Adam([nn.Parameter(torch.ones(2))])
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [100, 200, 260], 0.333)
    path = tmp_path_factory.mktemp("theirs") / "checkpoint_iter_370000.pth"
    content = {
        "state_dict": network.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(),
        "iter": 370000, "current_epoch": 279,
    }  # fmt: skip
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="module")
def imported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("networks")
    with pytest.raises(SystemExit) as done:
        main(["models", "import", str(checkpoint), "public", "--out", str(out), "--size", "48x64"])
    assert not done.value.code
    return out / "public"


def test_the_card_says_what_it_is(imported: Path) -> None:
    card = read_card(imported)
    assert (card.name, card.task) == ("public", "keypoints")
    assert card.architecture == {"network": "lightweight_openpose", "refinements": 2}
    spec = card.inputs["color"]
    assert (spec.shape, spec.mean, spec.std) == ((1, 3, 48, 64), (128.0,) * 3, (256.0,) * 3)
    assert spec.channels == ("red", "green", "blue")
    assert card.outputs == {"heat_maps": (1, 19, 6, 8), "fields": (1, 38, 6, 8)}
    assert "Osokin 2018" in card.attribution[0] and "Apache-2.0" in card.attribution[0]
    assert "BGR" in card.training["changes"]
    assert card.training["command"] == (
        "scene-understanding models import checkpoint_iter_370000.pth public --size 48x64"
    )
    assert sorted(path.name for path in imported.iterdir()) == ["model.onnx", "model.yaml"]


def test_it_gives_for_rgb_what_the_checkpoint_gives_for_bgr(imported: Path, network: LightweightOpenPose) -> None:
    estimator = PoseEstimator(OnnxRuntimeNetwork(read_card(imported), threads=1))
    found = estimator.infer(estimator.prepare(RGB))
    with torch.no_grad():
        right, wrong = network(as_theirs(RGB)), network(as_theirs(RGB[..., ::-1]))
    for name, truth, mistaken in zip(("heat_maps", "fields"), right, wrong, strict=True):
        np.testing.assert_allclose(found[name], truth, atol=1e-4)
        assert np.abs(found[name] - mistaken.numpy()).max() > 0.01


def test_it_runs_on_images_of_any_size(imported: Path) -> None:
    estimator = PoseEstimator(OnnxRuntimeNetwork(read_card(imported), threads=1))
    for size in ((48, 64), (97, 41), (31, 200)):
        found = estimator(np.resize(RGB, (*size, 3)))
        assert found.pixels.shape == (len(found), 18, 2)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("bare", [True, False])
def test_weights_are_read_from_all_that_the_public_code_writes(
    tmp_path: Path, zipped: bool, prefix: str, bare: bool
) -> None:
    weights = {"model.0.0.weight": torch.arange(4.0), "model.0.1.num_batches_tracked": torch.tensor(3)}
    state = {prefix + name: tensor for name, tensor in weights.items()}
    content = state if bare else {"state_dict": state, "iter": 5}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    found = read_weights(tmp_path / "a.pth")
    assert found.keys() == weights.keys() and all(torch.equal(found[name], weights[name]) for name in weights)


def test_a_model_is_only_overwritten_if_told_so(
    imported: Path, checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public/model.yaml").write_text("of an earlier model")
    code, out, err = call(capfd, checkpoint, "public", "--out", tmp_path, "--size", "48x64")
    assert (code, out) == (2, "") and f"{tmp_path / 'public'} holds a model; --force overwrites it" in err
    assert (tmp_path / "public/model.yaml").read_text() == "of an earlier model"
    code, out, err = call(capfd, checkpoint, "public", "--out", tmp_path, "--size", "48x64", "--force", "--json")
    assert code == 0, err
    report = yaml.safe_load(out)
    assert report["out"] == str(tmp_path / "public") and report["outputs"]["fields"] == [1, 38, 6, 8]
    assert read_card(tmp_path / "public").inputs == read_card(imported).inputs


def state_without(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: state_without(s, "cpm.align.0.weight"), "lightweight_openpose: it lacks cpm.align.0.weight"),
        (lambda s: state_without(s, "refinement_stages.0.pafs.1.0.bias"), "lacks refinement_stages.0.pafs.1.0.bias"),
        (lambda s: {**s, "stage5.weight": torch.zeros(1)}, "lightweight_openpose: it has stage5.weight"),
        (lambda s: {**s, "cpm.align.0.bias": torch.zeros(64)}, "cpm.align.0.bias is 64, expected 128"),
        (lambda s: {"resnet.conv1.weight": torch.zeros(1)}, "lightweight_openpose: it lacks model.0.0.weight"),
        (lambda s: {"state_dict": 5}, "it holds neither weights nor a state_dict of them"),
        (lambda s: {"iter": 5, "lr": 0.1}, "it holds neither weights nor a state_dict of them"),
        (lambda s: [1, 2], "cannot be read as weights: it holds a list"),
    ],
)
def test_what_is_no_such_checkpoint_is_one_line(
    network: LightweightOpenPose, tmp_path: Path, capfd: pytest.CaptureFixture[str], change: Any, message: str
) -> None:
    torch.save(change(network.state_dict()), tmp_path / "other.pth")
    code, out, err = call(capfd, tmp_path / "other.pth", "mine", "--out", tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1) and message in err
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", "384"), "size is '384'; expected HEIGHTxWIDTH, such as 384x512"),
        (("--size", "380x512"), "size is [380, 512]; expected [height, width], multiples of 8"),
        (("--size", "0x8"), "size is [0, 8]; all must be above 0"),
    ],
)
def test_sizes_that_cannot_be_are_one_line(
    checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, _, err = call(capfd, checkpoint, "mine", "--out", tmp_path, *arguments)
    assert (code, err.count("\n")) == (2, 1) and message in err


def test_names_and_files_that_cannot_be_are_one_line(
    checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capfd, checkpoint, "a/b", "--out", tmp_path)
    assert code == 2 and "'a/b' cannot be the name of a model" in err
    code, _, err = call(capfd, tmp_path / "nothing.pth", "mine", "--out", tmp_path)
    assert (code, err.count("\n")) == (2, 1) and "nothing.pth cannot be read as weights: FileNotFoundError" in err
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    code, _, err = call(capfd, tmp_path / "page.pth", "mine", "--out", tmp_path)
    assert (code, err.count("\n")) == (2, 1) and "page.pth cannot be read as weights: it is damaged, or" in err


class Trap:
    """Makes a file where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_code_in_a_file_is_not_run(
    network: LightweightOpenPose, tmp_path: Path, capfd: pytest.CaptureFixture[str], form: str
) -> None:
    trace, path = tmp_path / "trace", tmp_path / "trap.pth"
    content = {"state_dict": network.state_dict(), "optimizer": Trap(trace)}
    if form == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": Trap(trace)}))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    code, out, err = call(capfd, path, "mine", "--out", tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1) and "it is damaged, or holds other objects" in err
    assert not trace.exists() and not (tmp_path / "mine").exists()
    if form != "pickle":
        torch.load(path, weights_only=False)
        assert trace.exists()  # the trap works
