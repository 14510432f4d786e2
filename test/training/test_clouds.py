"""Training of SnapNet on a tiny street: it learns, resumes, sees the labels of what pixels show, and is exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scene_understanding.datasets.labelled_clouds import LabelledCloud
from scene_understanding.datasets.open_clouds import open_clouds
from scene_understanding.geometry import PointCloud
from scene_understanding.inference.card import InputSpec, read_card
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.models.encoder import Encoder
from scene_understanding.models.mobile_fusenet import ENCODERS
from scene_understanding.perception.inputs import color_input
from scene_understanding.perception.snapnet import SnapNet, SnapNetParameters
from scene_understanding.training import clouds
from scene_understanding.training.cloud_config import CloudAugmentation, CloudConfig
from scene_understanding.training.cloud_data import Scene, TrainingSnapshots, read, scenes_of, variant
from scene_understanding.training.clouds import CloudRun, class_weights
from scene_understanding.training.config import TrainingError
from scene_understanding.training.export import export
from scene_understanding.training.model_card import Export
from scene_understanding.training.records import read_rows
from scene_understanding.training.run import Run

VEGETATION, WIRE, POLE, GROUND, FACADE = range(5)
CONFIG = CloudConfig(
    network="snapnet", arguments={"widths": [8], "hidden": 8}, label_set="oakland5", data="oakland3d",
    train="fit", val="val", snapnet={"size": 32, "distances": [6.0, 12.0], "elevation": [20.0, 60.0], "voxel": 0.2},
    snapshots=8, val_snapshots=4, epochs=2, batch=4, warmup_steps=2, ema=0.9, learning_rate=4e-3,
    augmentation={"variants": 2}, lovasz=1.0,
)  # fmt: skip

LONGER = replace(CONFIG, snapshots=32, validate_every=2)


class TinyEncoder(Encoder):
    """Two stages: what trainings and their checkpoints cost is not what is tested here."""

    channels = (8, 16)

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        inputs = (in_channels, *self.channels)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in pairwise(inputs)
        )

    def stage(self, index: int, x: Tensor) -> Tensor:
        return self.stages[index](x)


@pytest.fixture(scope="module", autouse=True)
def tiny_encoder() -> Iterator[None]:
    """Stands for the large one, which the tests of networks look at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENCODERS, "mobilenet_v2", TinyEncoder)
        yield


@pytest.fixture(scope="module")
def street() -> LabelledCloud:
    """A road, a wall and a pole; a car on the road is not labelled."""
    steps = np.arange(0.1, 12, 0.2)
    parts = {
        GROUND: np.stack(np.meshgrid(steps, steps, [0.0], indexing="ij"), -1).reshape(-1, 3),
        FACADE: np.stack(np.meshgrid([12.0], steps, np.arange(0.2, 6, 0.2), indexing="ij"), -1).reshape(-1, 3),
        POLE: np.stack([np.full(40, 4.0), np.full(40, 5.0), np.arange(0.2, 6.2, 0.15)], -1),
        255: np.random.default_rng(0).uniform((7, 2, 0), (9, 6, 1.5), (300, 3)),
    }
    label = np.repeat(np.array(list(parts), np.uint16), [len(points) for points in parts.values()])
    return LabelledCloud("street", PointCloud(np.concatenate(list(parts.values())).astype(np.float32), label=label))


@pytest.fixture(scope="module")
def scenes(street: LabelledCloud) -> list[Scene]:
    return scenes_of([street], CONFIG, 2)


@pytest.fixture(scope="module")
def trained(scenes: list[Scene], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of a training, and what it came to."""
    folder, threads = tmp_path_factory.mktemp("runs") / "whole", torch.get_num_threads()
    torch.set_num_threads(1)  # as all tests here
    result = CloudRun(LONGER, scenes, scenes[:1], folder).fit()
    torch.set_num_threads(threads)
    return folder, result


def test_pixels_have_the_class_of_the_point_that_they_show(street: LabelledCloud, scenes: list[Scene]) -> None:
    snapshots, seen = TrainingSnapshots(scenes, CONFIG), set()
    for index in range(8):
        shape, composite, label = snapshots[index]
        assert shape.shape == composite.shape == (3, 32, 32) and shape.dtype == label.dtype == torch.uint8
        assert (label[composite[0] == 0] == 255).all()  # where nothing is
        seen |= set(label.unique().tolist())
    assert seen == {GROUND, FACADE, POLE, 255}


def test_heights_are_those_of_the_classes(scenes: list[Scene]) -> None:
    snapshots = TrainingSnapshots(scenes, replace(CONFIG, snapshots=32))
    samples = [snapshots[i] for i in range(32)]
    height = torch.stack([shape[2] for shape, _, _ in samples]).float()
    label = torch.stack([label for _, _, label in samples])
    assert height[label == GROUND].mean() < 4 < 20 < height[label == FACADE].mean()


def test_snapshots_depend_on_seed_epoch_and_index_alone(scenes: list[Scene]) -> None:
    one, other = TrainingSnapshots(scenes, CONFIG), TrainingSnapshots(scenes, CONFIG)
    first = one[3]
    other[0], other[5]
    assert all(torch.equal(a, b) for a, b in zip(first, other[3], strict=True))
    one.epoch = 1
    assert not all(torch.equal(a, b) for a, b in zip(first, one[3], strict=True))


def test_rare_classes_are_looked_at(scenes: list[Scene]) -> None:
    def share(rare: float) -> float:
        snapshots = TrainingSnapshots(scenes, replace(CONFIG, snapshots=40, rare=rare))
        labels = torch.stack([snapshots[i][-1] for i in range(40)])
        return float((labels == POLE).float().mean())

    assert share(1.0) > 1.5 * share(0.0)


def test_mirrored_pictures_and_labels_go_together(scenes: list[Scene]) -> None:
    rng = np.random.default_rng(0)
    scene = scenes[0]
    snapshot = scene.scene.look(next(scene.scene.viewpoints(rng)))
    plain, mirrored = (scene.tensors(snapshot, CONFIG.streams, flip) for flip in (False, True))
    assert all(torch.equal(a.flip(-1), b) for a, b in zip(plain, mirrored, strict=True))
    assert not torch.equal(plain[0], mirrored[0])


def test_a_variant_is_the_cloud_with_fewer_points_turned_and_scaled(street: LabelledCloud) -> None:
    augmentation = CloudAugmentation(keep=(0.5, 0.5), scale=(2.0, 2.0))
    found = variant(street.cloud, augmentation, np.random.default_rng(0))
    assert len(found.xyz) == pytest.approx(0.5 * len(street.label), rel=0.05)
    ground = found.xyz[found.label == GROUND]
    assert np.ptp(ground[:, 2]) < 1e-4  # level it stays
    pole, wall = found.xyz[found.label == POLE], found.xyz[found.label == FACADE]
    gap = np.linalg.norm(wall[:, None, :2] - pole[:1, :2], axis=-1).min()
    assert gap == pytest.approx(2 * 8, rel=0.02)
    assert np.ptp(wall[:, 0]) > 1  # turned


def test_classes_weigh_by_how_rare_they_are(scenes: list[Scene]) -> None:
    snapshots = TrainingSnapshots(scenes, CONFIG)
    weights = class_weights(snapshots, CONFIG, 5)
    assert weights[POLE] > weights[FACADE] > 1 / CONFIG.max_class_weight
    assert weights[WIRE] == CONFIG.max_class_weight  # never seen
    assert class_weights(snapshots, replace(CONFIG, class_weight_power=0.0), 5).tolist() == [1.0] * 5


def test_the_loss_goes_down(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, result = trained
    losses = [float(row["loss"]) for row in read_rows(folder / "steps.csv")]
    assert len(losses) == 16 and np.mean(losses[-5:]) < 0.8 * np.mean(losses[:3])
    assert result["oa"] > 0.5 and set(result["iou"]) >= {"ground", "facade", "pole/trunk"}
    (row,) = read_rows(folder / "log.csv")
    assert {"average_miou", "shape_miou", "composite_miou", "pole/trunk"} <= row.keys()


def test_a_run_that_was_cut_off_ends_with_the_same_weights(
    scenes: list[Scene],
    trained: tuple[Path, dict[str, Any]],
    cut_at: Callable[[Run, int], None],
    tmp_path: Path,
) -> None:
    cut_at(CloudRun(LONGER, scenes, scenes[:1], tmp_path, save_every=0), 3)
    resumed = CloudRun(LONGER, scenes, scenes[:1], tmp_path)
    assert resumed.step == 3
    resumed.fit()
    ends = [torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (trained[0], tmp_path)]
    for part in ("network", "average"):
        assert all(torch.equal(ends[0][part][name], ends[1][part][name]) for name in ends[0][part])


class Oracle(nn.Module):
    """Knows heights: what is below 0.5 m is ground; of the two streams the second one is blind."""

    def score_maps(self, shape: Tensor, composite: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        low = shape[:, 2] < 0.5 * 255 / 16
        scores = torch.zeros(len(shape), 5, *shape.shape[-2:])
        scores[:, GROUND], scores[:, FACADE] = low.float(), 1 - low.float()
        return scores, scores, torch.zeros_like(scores)


def test_each_part_is_judged_by_its_own_scores(scenes: list[Scene], tmp_path: Path) -> None:
    config = replace(CONFIG, color_mean=(0.0, 0.0, 0.0), color_std=(1.0, 1.0, 1.0))
    run = CloudRun(config, scenes, scenes[:1], tmp_path)
    run.average = Oracle()
    result = run.judge()
    assert result["iou"]["ground"] > 0.8 and result["iou"]["facade"] > 0.6
    assert result["miou"] == result["average_miou"] == result["shape_miou"] > 3 * result["composite_miou"]


def test_pictures_are_normalised_as_on_a_robot(scenes: list[Scene], tmp_path: Path) -> None:
    run = CloudRun(CONFIG, scenes, scenes[:1], tmp_path)
    picture = TrainingSnapshots(scenes, CONFIG)[0][0]
    (found,) = run._normalised((picture[None],))
    spec = InputSpec((1, 3, 32, 32), CONFIG.color_mean, CONFIG.color_std, ("a", "b", "c"))
    np.testing.assert_allclose(found.numpy(), color_input(picture.numpy().transpose(1, 2, 0), spec), atol=1e-5)


@pytest.mark.parametrize("int16", [False, True])
def test_an_exported_network_labels_the_street(
    trained: tuple[Path, dict[str, Any]], street: LabelledCloud, tmp_path: Path, int16: bool
) -> None:
    export(Export(trained[0], "tiny", tmp_path / "tiny", int16=int16))
    card = read_card(tmp_path / "tiny")
    assert (card.task, card.label_set) == ("cloud_segmentation", "oakland5")
    assert SnapNetParameters.from_card(card) == CONFIG.parameters
    assert card.outputs == {"scores": (1, 5, 32, 32)} and list(card.inputs) == ["shape", "composite"]
    assert card.training["command"].startswith("scene-understanding train clouds --config")
    assert {"oa", "miou", "average_miou"} <= card.metrics["val"].keys()
    found = SnapNet(OnnxRuntimeNetwork(card, "cpu", 1))(street.cloud)
    assert found.label is not None and set(np.unique(found.label)) <= set(range(5))


def test_training_by_the_command(street: LabelledCloud, tmp_path: Path) -> None:
    ids = np.zeros(256, np.uint16)
    ids[[GROUND, FACADE, POLE, 255]] = 1203, 1400, 1103, 1501
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", xyz=street.cloud.xyz, label=ids[street.label])
        (tmp_path / f"only_{name}.txt").write_text(f"{name}\n")
    config = replace(
        CONFIG,
        data=f"oakland3d:{tmp_path}",
        train="only_a",
        val="only_b",
        epochs=1,
        snapshots=4,
        name="tiny",
    )
    result = clouds.train(config, tmp_path / "run")
    assert 0 <= result["miou"] <= 1 and (tmp_path / "run/best.pt").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (64, 64)}, r"size is \[64, 64\]; snapshots have that of snapnet.size"),
        ({"snapnet": {"voxel": 0.0}}, "snapnet: voxel is 0.0; expected above 0"),
        ({"snapnet": {"depth": 1}}, "snapnet: .*depth"),
        ({"views": 5}, "views means nothing for clouds"),
        ({"rare": 1.5}, "rare is 1.5; it is a share"),
        ({"arguments": {"streams": ["shape", "smell"]}}, "streams has 'smell'; pictures of a snapshot are"),
        ({"augmentation": {"keep": [0.5, 1.5]}}, "augmentation: keep is .*at most 1"),
        ({"augmentation": {"variants": 0}}, "augmentation: variants is 0"),
        ({"augmentation": {"scale": [2.0, 1.0]}}, "augmentation: scale is"),
        ({"snapshots": 0}, "snapshots is 0; it must be above 0"),
    ],
)
def test_a_config_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        replace(CONFIG, **{"size": (), **changes})


def test_data_that_cannot_be_learnt_is_refused(tmp_path: Path) -> None:
    for data, message in (
        ("oakland3d", "give --data oakland3d:PLACE"),
        ("nyuv2:x", "point clouds are in oakland3d"),
        ("rubble:2000", "train and val say which seeds of rubble, so leave :2000 out"),
    ):
        with pytest.raises(TrainingError, match=message):
            clouds.train(replace(CONFIG, data=data), tmp_path / "run")
    np.savez(tmp_path / "a.npz", xyz=np.zeros((4, 3), np.float32), label=np.full(4, 1203, np.uint16))
    wrong = replace(CONFIG, data=f"oakland3d:{tmp_path}", train="all", val="all", label_set="nyu13")
    with pytest.raises(TrainingError, match="label_set is nyu13; clouds of .* are labelled in oakland5"):
        clouds.train(wrong, tmp_path / "run")
    assert len(read(open_clouds(f"oakland3d:{tmp_path}"))) == 1
