"""SnapNet from cloud to labels, with networks so small that what they say is known."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from scene_understanding.geometry import PinholeCamera, PointCloud, Pose, cone_viewpoints
from scene_understanding.inference.card import ModelError
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find
from scene_understanding.perception import snapnet
from scene_understanding.perception.snapnet import SnapNet, SnapNetParameters, SnapNetScene, add_votes
from scene_understanding.perception.snapshots import CHANNELS, Snapshot

PARAMETERS = SnapNetParameters(
    voxel=0.2, neighbours=40, distances=(6.0, 12.0), elevation=(30.0, 90.0), size=64, views=400
)  # fmt: skip
IDS = np.array([1, 2, 4])
"""Of the tiny label set: red, green, blue."""


@pytest.fixture
def cloud_model(tmp_path: Path, tiny_labels: Path) -> Callable[..., OnnxRuntimeNetwork]:
    """Makes networks that give each pixel the class of its strongest channel of the pictures of these kinds, added."""
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT

    def make(*kinds: str, size: int = PARAMETERS.size, **changes: Any) -> OnnxRuntimeNetwork:
        shape = [1, 3, size, size]
        values = {name: helper.make_tensor_value_info(name, float32, shape) for name in (*kinds, "scores")}
        graph = helper.make_graph(
            [helper.make_node("Sum", list(kinds), ["scores"])], "tiny", [values[kind] for kind in kinds],
            [values["scores"]],
        )  # fmt: skip
        network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        folder = tmp_path / "-".join(kinds)
        folder.mkdir(exist_ok=True)
        (folder / "model.onnx").write_bytes(network.SerializeToString())
        spec = {"shape": shape, "mean": [0.0] * 3, "std": [10.0] * 3}
        card = {
            "name": "tiny", "task": "cloud_segmentation", "file": "model.onnx", "label_set": str(tiny_labels),
            "sha256": hashlib.sha256(network.SerializeToString()).hexdigest(),
            "inputs": {kind: {**spec, "channels": list(CHANNELS.get(kind, "abc"))} for kind in kinds},
            "outputs": {"scores": shape}, "snapnet": PARAMETERS.as_card(), **changes,
        }  # fmt: skip
        (folder / "model.yaml").write_text(yaml.safe_dump(card))
        return OnnxRuntimeNetwork(find(folder), "cpu", 1)

    return make


def yard(extent: float = 16.0) -> tuple[PointCloud, NDArray[np.integer[Any]]]:
    """A floor with a wall at its side and a box on it, each of one colour, and the class of every point."""
    rng = np.random.default_rng(0)
    n = int(40 * extent * extent)
    floor = rng.uniform(0, extent, (n, 3)) * (1, 1, 0) + (0, 0, 0.1)
    wall = rng.uniform(0, extent, (n // 3, 3)) * (1, 0, 0.25) + (0, -0.3, 0.2)
    box = rng.uniform(0, 2, (n // 8, 3)) * (1, 1, 0) + (extent / 2, extent / 2, 1.5)
    which = np.repeat([1, 0, 2], [len(floor), len(wall), len(box)])
    xyz = np.concatenate([floor, wall, box]).astype(np.float32)
    return PointCloud(xyz, 255 * np.eye(3, dtype=np.uint8)[which]), IDS[which]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(1, 6), points=st.integers(1, 40))
def test_votes_are_those_of_a_loop_over_pixels(seed: int, classes: int, points: int) -> None:
    rng = np.random.default_rng(seed)
    camera = PinholeCamera.from_fov(9, 7, 1.0)
    point = rng.integers(-1, points, (7, 9)).astype(np.int32)
    scores = rng.normal(0, 3, (classes, 7, 9)).astype(np.float32)
    before = rng.uniform(0, 5, (points, classes)).astype(np.float32)
    votes = before.copy()
    add_votes(votes, Snapshot(point, point.astype(np.float32), camera, Pose.identity()), scores)
    expected = before.astype(np.float64)
    for row, column in np.argwhere(point >= 0):
        of_pixel = np.exp(scores[:, row, column].astype(np.float64))
        expected[point[row, column]] += of_pixel / of_pixel.sum()
    np.testing.assert_allclose(votes, expected, rtol=1e-5)


def test_points_get_the_class_that_the_network_sees(cloud_model: Callable[..., OnnxRuntimeNetwork]) -> None:
    cloud, expected = yard()
    shares: list[float] = []
    labelled = SnapNet(cloud_model("color"))(cloud, shares.append)
    assert labelled.label is not None and labelled.confidence is not None
    assert labelled.label.dtype == np.uint16 and labelled.confidence.dtype == np.float32
    assert (labelled.label == expected).mean() > 0.99
    assert labelled.confidence.min() > 0.99
    assert shares == sorted(shares) and shares[0] > 0 and shares[-1] == pytest.approx(1)
    np.testing.assert_array_equal(labelled.xyz, cloud.xyz)
    np.testing.assert_array_equal(labelled.rgb, cloud.rgb)


def test_shape_and_height_tell_wires_from_ground_and_canopy(cloud_model: Callable[..., OnnxRuntimeNetwork]) -> None:
    rng = np.random.default_rng(0)
    ground = rng.uniform(0, 20, (12_000, 3)) * (1, 1, 0)
    wire = np.column_stack([np.linspace(0, 20, 400), np.full(400, 5.0), np.full(400, 7.0)])
    canopy = rng.normal((14, 14, 18), 0.6, (1500, 3))
    cloud = PointCloud(np.concatenate([ground, wire, canopy]).astype(np.float32))
    label = SnapNet(cloud_model("shape"))(cloud).label
    assert label is not None
    for part, class_id in ((label[:12_000], 2), (label[12_000:12_400], 1), (label[12_400:], 4)):
        assert (part == class_id).mean() > 0.9, class_id


def test_order_of_the_points_changes_nothing(cloud_model: Callable[..., OnnxRuntimeNetwork]) -> None:
    cloud, _ = yard(8.0)
    network = SnapNet(cloud_model("shape", "composite"), replace(PARAMETERS, views=1000))
    shuffled = np.random.default_rng(1).permutation(len(cloud.xyz))
    one, other = network(cloud), network(PointCloud(cloud.xyz[shuffled]))
    assert one.label is not None and len(np.unique(one.label)) > 1
    np.testing.assert_array_equal(one.label[shuffled], other.label)
    np.testing.assert_array_equal(one.confidence[shuffled], other.confidence)  # type: ignore[index]
    np.testing.assert_array_equal(network(cloud).confidence, one.confidence)
    assert one.confidence is not None and 1 / 3 <= one.confidence.min() < 0.8 < one.confidence.max() <= 1


def test_tiles_give_nearly_what_one_piece_gives(
    cloud_model: Callable[..., OnnxRuntimeNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud, _ = yard(20.0)
    network = SnapNet(cloud_model("shape"))
    whole = network(cloud).label
    monkeypatch.setattr(snapnet, "TILE", 10.0)
    monkeypatch.setattr(snapnet, "MARGIN", 4.0)
    shares: list[float] = []
    tiled = network(cloud, shares.append).label
    assert whole is not None and tiled is not None
    assert (whole == tiled).mean() > 0.93
    assert len(shares) > 4 and shares[-1] == pytest.approx(1)


def test_memory_is_that_of_a_tile(
    cloud_model: Callable[..., OnnxRuntimeNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = SnapNet(cloud_model("shape"), replace(PARAMETERS, views=50))
    monkeypatch.setattr(snapnet, "TILE", 10.0)
    monkeypatch.setattr(snapnet, "MARGIN", 4.0)

    def peak(cloud: PointCloud) -> int:
        """Bytes that are held at once."""
        tracemalloc.start()
        try:
            network(cloud)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = yard(20.0)[0], yard(60.0)[0]
    # 90: a point has its place among the tiles, label and confidence. In one piece it is 480.
    assert (peak(large) - peak(small)) / (len(large.xyz) - len(small.xyz)) < 120


def test_organised_clouds_keep_their_form_and_holes(cloud_model: Callable[..., OnnxRuntimeNetwork]) -> None:
    cloud, _ = yard(4.0)
    rows = len(cloud.xyz) // 10 * 10
    xyz = cloud.xyz[:rows].reshape(10, -1, 3).copy()
    xyz[2, :30] = np.nan
    labelled = SnapNet(cloud_model("composite"))(PointCloud(xyz))
    assert labelled.label is not None and labelled.confidence is not None
    assert labelled.label.shape == labelled.confidence.shape == xyz.shape[:2]
    hole = np.isnan(xyz[..., 0])
    assert (labelled.label[hole] == 255).all() and not labelled.confidence[hole].any()
    assert np.isin(labelled.label[~hole], IDS).all() and labelled.confidence[~hole].all()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_points(cloud_model: Callable[..., OnnxRuntimeNetwork], count: int) -> None:
    labelled = SnapNet(cloud_model("composite"))(PointCloud(np.zeros((count, 3), np.float32)))
    assert labelled.label is not None and labelled.label.shape == (count,)
    assert np.isin(labelled.label, IDS).all()


def test_what_no_view_shows_stays_unlabelled(cloud_model: Callable[..., OnnxRuntimeNetwork]) -> None:
    cloud, _ = yard(4.0)
    blind = replace(PARAMETERS, distances=(6.0,), near=1.0, far=2.0)
    labelled = SnapNet(cloud_model("composite"), blind)(cloud)
    assert labelled.label is not None and labelled.confidence is not None
    assert (labelled.label == 255).all() and not labelled.confidence.any()


def test_what_is_hidden_takes_the_labels_beside_it(cloud_model: Callable[..., OnnxRuntimeNetwork]) -> None:
    cloud, _ = yard(4.0)
    buried = cloud.xyz[:200] - np.float32((0, 0, 1.0))
    xyz = np.concatenate([cloud.xyz, buried])
    both = PointCloud(xyz, np.full(xyz.shape, (0, 255, 0), np.uint8))
    labelled = SnapNet(cloud_model("color"), replace(PARAMETERS, elevation=(80.0, 90.0), views=800))(both)
    assert labelled.label is not None and (labelled.label == 2).all()


def test_views_chosen_by_coverage_show_more_than_random_ones() -> None:
    cloud, _ = yard(30.0)
    parameters = replace(PARAMETERS, distances=(4.0, 8.0))
    chosen, drawn = SnapNetScene(cloud, parameters), SnapNetScene(cloud, parameters)
    rng = np.random.default_rng(0)
    for pose in islice(chosen.viewpoints(rng), 60):
        chosen.look(pose)
    for _ in range(30):
        for pose in cone_viewpoints(rng, drawn.xyz[rng.integers(len(drawn.xyz))], (4.0, 8.0), parameters.elevation):
            drawn.look(pose)
    assert np.mean(chosen.seen == 0) < 0.6 * np.mean(drawn.seen == 0)


def test_targets_are_those_asked_for() -> None:
    cloud, _ = yard(30.0)
    scene = SnapNetScene(cloud, replace(PARAMETERS, distances=(3.0,)))
    corner = np.flatnonzero((scene.xyz[:, :2] < 3).all(axis=1))
    for pose in islice(scene.viewpoints(np.random.default_rng(0), corner), 10):
        target = pose.translation + 3.0 * pose.rotation[:, 2]
        assert np.linalg.norm(scene.xyz[corner] - target, axis=1).min() < 1e-3


def test_parameters_travel_in_the_card(cloud_model: Callable[..., OnnxRuntimeNetwork]) -> None:
    network = cloud_model("composite")
    assert SnapNetParameters.from_card(network.card) == PARAMETERS
    assert SnapNet(network).parameters == PARAMETERS
    assert SnapNet(network, replace(PARAMETERS, views=3)).parameters.views == 3


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("voxel", 0.0, "voxel is 0.0; expected above 0"),
        ("neighbours", 2, "neighbours is 2; expected at least 3"),
        ("distances", (), r"distances is \(\); expected one or more above 0"),
        ("elevation", (90.0, 20.0), "elevation is .*; expected two angles"),
        ("elevation", (90.0,), "elevation is .*; expected two angles"),
        ("fov", 180.0, "fov is 180.0; expected between 0 and 180"),
        ("near", 200.0, "near is 200.0; expected above 0 and below far"),
        ("views", 0, "views is 0; expected at least 1"),
    ],
)
def test_parameters_are_checked(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PARAMETERS, **{name: value})


def test_networks_that_do_not_fit_are_told(cloud_model: Callable[..., OnnxRuntimeNetwork], tiny_model: Any) -> None:
    with pytest.raises(ModelError, match="model 'tiny' is for segmentation; needed is cloud_segmentation"):
        SnapNet(OnnxRuntimeNetwork(find(tiny_model()), "cpu"), PARAMETERS)
    with pytest.raises(ModelError, match="some of composite, shape, color in, scores out"):
        SnapNet(cloud_model("thermal"))
    with pytest.raises(ModelError, match=r"\(1, 3, 32, 32\).*; snapshots and labels need .*\(1, 3, 64, 64\)"):
        SnapNet(cloud_model("composite", size=32))
    with pytest.raises(ModelError, match="label_set: .*nowhere"):
        SnapNet(cloud_model("composite", label_set="nowhere"))
    with pytest.raises(ModelError, match="lacks snapnet, which cloud_segmentation needs"):
        cloud_model("composite", snapnet="")
    card = PARAMETERS.as_card()
    for changed, message in (
        ({"voxel": 0.1}, "snapnet has the keys voxel; expected distances, elevation"),
        ({**card, "fov": 0}, "snapnet: fov is 0; expected between 0 and 180"),
        ({**card, "voxel": "small"}, "snapnet: "),
        ({**card, "elevation": 3}, "snapnet: "),
    ):
        with pytest.raises(ModelError, match=message):
            SnapNet(cloud_model("composite", snapnet=changed))


def test_colour_that_is_missing_is_told(cloud_model: Callable[..., OnnxRuntimeNetwork]) -> None:
    with pytest.raises(ValueError, match="model 'tiny' needs colour, the cloud has none"):
        SnapNet(cloud_model("color"))(PointCloud(np.zeros((5, 3), np.float32)))
