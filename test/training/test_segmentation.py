"""The training loop on a tiny set: it learns, and a run that was cut off ends with the same curve."""

import csv
import hashlib

import numpy as np
import onnxruntime
import pytest
import torch

from scene_understanding.inference.card import read_card
from scene_understanding.training import export
from scene_understanding.training.segmentation import Config, Run, load_config, median_frequency_weights

CONFIG = Config(
    network="mobile_fusenet", arguments={"depth_channels": 2, "channels": 16}, label_set="nyu13", train=(0, 1),
    val=(1, 2), views=8, epochs=3, batch=4, warmup_steps=2,
)  # fmt: skip


def tiny_set(seed: int) -> list:
    """Left half near and dark (chair, 3), right half far and bright (wall, 11); the border moves."""
    rng, samples = np.random.default_rng(seed), []
    for border in rng.integers(16, 48, 8):
        left = np.arange(64) < border
        label = np.broadcast_to(np.where(left, 3, 11), (48, 64)).astype(np.uint8)
        rgb = np.repeat(np.where(label == 3, 40, 200)[..., None], 3, -1).astype(np.uint8)
        samples.append((rgb, np.where(label == 3, 1.0, 4.0).astype(np.float32), label))
    return samples


def curve(folder) -> list[list[str]]:
    with open(folder / "log.csv") as file:
        return [[v for k, v in row.items() if k != "seconds"] for row in csv.DictReader(file)]


@pytest.fixture(autouse=True)
def one_thread():
    """The pictures are too small to share, and threads that wait for each other are slow on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class CutOff(Exception):
    pass


def test_a_run_that_was_cut_off_ends_with_the_same_curve(tmp_path, monkeypatch) -> None:
    Run(CONFIG, tiny_set(0), tiny_set(1), tmp_path / "whole").fit()
    cut = Run(CONFIG, tiny_set(0), tiny_set(1), tmp_path / "cut")
    step = cut._train_step

    def dying_step(*batch):
        if cut.step == 5:
            raise CutOff
        return step(*batch)

    monkeypatch.setattr(cut, "_train_step", dying_step)
    with pytest.raises(CutOff):
        cut.fit()
    resumed = Run(CONFIG, tiny_set(0), tiny_set(1), tmp_path / "cut")
    assert resumed.epoch == 2
    resumed.fit()
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    assert len(curve(tmp_path / "whole")) == 3


def test_it_learns_and_exports_what_it_learnt(tmp_path, monkeypatch) -> None:
    config = Config(**{**CONFIG.__dict__, "epochs": 15, "ema": 0.0, "batch": 2, "learning_rate": 4e-3})
    result = Run(config, tiny_set(0), tiny_set(1), tmp_path / "run").fit()
    assert result["oa"] > 0.9
    assert result["iou"]["chair"] is not None and result["iou"]["bed"] is None
    monkeypatch.setattr(export, "SHIPPED", tmp_path)
    config_file = tmp_path / "config.yaml"
    config_file.write_text(
        "{network: mobile_fusenet, arguments: {depth_channels: 2, channels: 16}, label_set: nyu13,"
        " train: [0, 1], val: [1, 2], views: 8, epochs: 15}"
    )
    export.main(config_file, tmp_path / "run", "tiny", ["by hand"])
    card = read_card(tmp_path / "tiny")
    assert card.sha256 == hashlib.sha256(card.path.read_bytes()).hexdigest()
    assert card.metrics["val"]["oa"] > 0.9 and card.training["history"] == ["by hand"]
    session = onnxruntime.InferenceSession(card.path)
    assert [i.name for i in session.get_inputs()] == ["color", "depth"]


def test_rare_classes_weigh_more_up_to_the_limit() -> None:
    label = np.zeros((10, 10), np.uint8)
    label[0, 0], label[1:5] = 1, 2
    weights = median_frequency_weights([(None, None, label)], 3, limit=4.0)
    assert weights[1] == 4.0
    torch.testing.assert_close(weights[2], torch.tensor(1.0))
    assert weights[0] < 1


def test_a_wrong_config_is_one_line(tmp_path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("{network: fusenet, epoch: 3}")
    with pytest.raises(ValueError, match=r"training config .*config.yaml: .*'epoch'"):
        load_config(path)
