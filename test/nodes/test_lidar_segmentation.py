"""The LiDAR segmentation node on the in-process bus: by mask, from memory, by SnapNet; what it says of wrong inputs."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from scene_understanding.geometry import CameraModel, Distortion, PinholeCamera, PointCloud, Pose
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.clock import SimulatedClock
from scene_understanding.hosts.inline import advance
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.labels import load_label_set
from scene_understanding.messages.camera_info import camera_to_camera_info
from scene_understanding.messages.header import make_header, stamp_to_ns
from scene_understanding.messages.image import array_to_image
from scene_understanding.messages.label_info import label_info_to_label_set, label_set_to_label_info
from scene_understanding.messages.point_cloud import cloud_to_point_cloud2, point_cloud2_to_cloud
from scene_understanding.messages.transforms import tf_message
from scene_understanding.nodes.lidar_segmentation import LidarSegmentationNode, Parameters
from scene_understanding.nodes.node import LATCHED, SENSOR, ConfigurationError
from scene_understanding.perception.snapnet import SnapNetParameters

SECOND, STEP = 10**9, 10**8
IMAGE, INFO, CLOUD = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo", "sensor_msgs/msg/PointCloud2"
LABELS, TF = "vision_msgs/msg/LabelInfo", "tf2_msgs/msg/TFMessage"
CAMERA = PinholeCamera(120, 90, 100.0, 100.0, 59.5, 44.5)
LIDAR_FROM_CAMERA = Pose.from_rotation_translation([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], [0.1, 0.0, 0.2])
"""x of the LiDAR is forward, as in REP-103."""


class Rig:
    """The node, inline, with publishers for its inputs and a list of messages for every output listened to."""

    def __init__(self, labels, listen: tuple[str, ...] = ("points", "label_info"), **parameters) -> None:
        self.bus, self.heard, self.labels = Bus(), defaultdict(list), labels
        for name in listen:
            msgtype, qos = (LABELS, LATCHED) if name == "label_info" else (CLOUD, SENSOR)
            self.bus.subscribe(f"/lidar_segmentation/{name}", msgtype, qos, "/test", self._hear(name))
        self.clock = SimulatedClock()
        node = LidarSegmentationNode(Parameters(**parameters))
        self.runner = NodeRunner(node, self.bus, inline=True, clock=self.clock).start()
        advertise = lambda topic, msgtype, qos=SENSOR: self.bus.advertise(topic, msgtype, qos, "/test")  # noqa: E731
        self.mask, self.confidence = (
            advertise("/segmentation/mask", IMAGE),
            advertise("/segmentation/confidence", IMAGE),
        )
        self.depth, self.camera_info = (
            advertise("/depth_registered/image_rect", IMAGE),
            advertise("/rgb/camera_info", INFO),
        )
        self.points, self.label_info = (
            advertise("/points", CLOUD),
            advertise("/segmentation/label_info", LABELS, LATCHED),
        )
        self.tf, self.tf_static = advertise("/tf", TF), advertise("/tf_static", TF, LATCHED)
        self.tf_static.publish(tf_message([("lidar", "camera", 1, LIDAR_FROM_CAMERA)]))

    def _hear(self, name: str):
        return lambda delivery: self.heard[name].append(delivery.message())

    def stand(self, stamp_ns: int, map_from_lidar: Pose | None = None) -> None:
        """Where the LiDAR is, now and for the tenth of a second before."""
        pose = map_from_lidar or Pose.identity()
        self.tf.publish(tf_message([("map", "lidar", ns, pose) for ns in (stamp_ns - STEP, stamp_ns)]))

    def see(self, mask, stamp_ns: int = SECOND, confidence=None, depth=None, info=None, labels=None) -> None:
        """A mask with all that belongs to it."""
        self.camera_info.publish(info or camera_to_camera_info(CAMERA, make_header(5, "elsewhere")))
        self.label_info.publish(label_set_to_label_info(labels or self.labels, make_header(5, "camera")))
        header = make_header(stamp_ns, "camera")
        if confidence is not None:
            self.confidence.publish(array_to_image(confidence, "mono8", header))
        if depth is not None:
            self.depth.publish(array_to_image(depth, "32FC1", header))
        self.mask.publish(array_to_image(mask, "mono8", header))
        self.settle()

    def scan(self, message) -> PointCloud:
        """Sends points; those that come out last."""
        self.points.publish(message)
        self.settle()
        return self.cloud

    def settle(self) -> None:
        while self.runner.step():
            pass

    @property
    def cloud(self) -> PointCloud:
        return point_cloud2_to_cloud(self.heard["points"][-1])

    @property
    def figures(self) -> SimpleNamespace:
        return SimpleNamespace(**self.runner.statistics())


@pytest.fixture
def labels(tiny_labels):
    return load_label_set(tiny_labels)


@pytest.fixture
def rig(labels):
    """Makes rigs whose mask has the tiny label set; parameters by name."""
    return lambda *listen, **parameters: Rig(labels, *listen, **parameters)


def halves(left: int = 1, right: int = 4) -> np.ndarray:
    mask = np.full(CAMERA.shape, left, np.uint8)
    mask[:, 60:] = right
    return mask


def colourful():
    return array_to_image(np.ones((90, 120, 3), np.uint8), "rgb8", make_header(SECOND, "camera"))


def wall(distance: float = 3.0) -> np.ndarray:
    """(N, 3) of the LiDAR: a wall in front of it."""
    y, z = np.mgrid[-1.2:1.3:0.1, -0.4:0.5:0.1].reshape(2, -1)
    return np.stack([np.full_like(y, distance), y, z], axis=-1).astype(np.float32)


def message(xyz, stamp_ns: int = SECOND, frame: str = "lidar", **columns):
    return cloud_to_point_cloud2(PointCloud(np.asarray(xyz, np.float32), **columns), make_header(stamp_ns, frame))


def test_points_get_the_class_of_the_mask_in_their_own_frame(rig) -> None:
    rig = rig()
    rig.stand(SECOND, Pose.from_yaw(5.0, -3.0, 0.7))
    rig.see(halves(), confidence=np.full(CAMERA.shape, 102, np.uint8))
    lies = np.full(len(wall()), 2, np.uint16)
    cloud = rig.scan(message(wall(), label=lies, instance=lies.astype(np.uint32)))
    np.testing.assert_allclose(cloud.xyz, wall(), atol=1e-5)
    clear = np.abs(wall()[:, 1]) > 0.15
    np.testing.assert_array_equal(cloud.label[clear], np.where(wall()[clear, 1] > 0, 1, 4))
    np.testing.assert_allclose(cloud.confidence[clear], 0.4, atol=1e-3)
    (out,) = rig.heard["points"]
    assert (stamp_to_ns(out.header.stamp), out.header.frame_id) == (SECOND, "lidar")
    assert [f.name for f in out.fields] == ["x", "y", "z", "label", "confidence"]
    (info,) = rig.heard["label_info"]
    assert {c.class_id: c.class_name for c in info.class_map} == {1: "red", 2: "green", 4: "blue"}
    assert rig.figures.reported["labelled"] == rig.figures.reported["from_camera"] == 1 and rig.figures.refused == 0
    assert {"look", "place", "project", "remember", "recall", "encode"} <= set(rig.figures.stages)


def test_mask_and_points_of_different_times_meet_in_the_fixed_frame(rig) -> None:
    rig = rig(reach=0.0)
    rig.stand(SECOND)
    rig.see(halves(), SECOND)
    turned = Pose.from_yaw(0.2, 0.1, 0.3)
    rig.stand(SECOND + 3 * STEP, turned)
    cloud = rig.scan(message(turned.inverse().apply(wall()), SECOND + 3 * STEP))
    clear = np.abs(wall()[:, 1]) > 0.15
    np.testing.assert_array_equal(cloud.label[clear], np.where(wall()[clear, 1] > 0, 1, 4))


def test_a_scan_of_a_turning_robot_is_put_straight(rig) -> None:
    """Without times the azimuth tells them: of a revolution that begins and ends looking back, the middle is ahead."""
    azimuth = np.deg2rad(np.arange(-179.5, 180, 1.0))
    world = np.stack([3 * np.cos(azimuth), 3 * np.sin(azimuth), np.zeros(360)], axis=-1)
    pose_at = lambda share: Pose.from_yaw(0, 0, 0.3 * share)  # noqa: E731
    local = np.stack([pose_at((i + 1) / 360).inverse().apply(p) for i, p in enumerate(world)])
    wrong, skewed = [], []
    for sweep in (0.1, 0.0):
        turning = rig(reach=0.0, sweep=sweep)
        poses = [("map", "lidar", SECOND + k * STEP // 10, pose_at(k / 10)) for k in range(11)]
        turning.tf.publish(tf_message(poses))
        turning.see(halves(), SECOND)  # of the beginning of the scan
        cloud = turning.scan(message(local, SECOND + STEP))
        seen = np.abs(azimuth) < 0.4
        truth = np.where(azimuth > 0, 1, 4)
        wrong.append(int((cloud.label[seen] != truth[seen]).sum()))
        skewed.append(np.linalg.norm(pose_at(1).apply(cloud.xyz) - world, axis=1).max())
    assert wrong[0] <= 2 and wrong[1] > 5
    assert skewed[0] < 0.1 and skewed[1] > 0.5
    turning.runner.parameters.set({"deskew": False})
    cloud = turning.scan(message(local, SECOND + STEP))
    np.testing.assert_allclose(cloud.xyz, local, atol=1e-6)


def test_depth_hides_what_is_behind(rig) -> None:
    rig = rig()
    rig.stand(SECOND)
    rig.see(halves(), depth=np.full(CAMERA.shape, 3.0 - 0.1, np.float32))
    behind = wall(4.5)
    cloud = rig.scan(message(np.concatenate([wall(), behind])))
    assert (cloud.label[: len(wall())] != 255).all() and (cloud.label[len(wall()) :] == 255).all()
    assert (cloud.confidence[len(wall()) :] == 0).all()


def test_what_was_labelled_once_keeps_its_class_when_the_camera_looks_elsewhere(rig) -> None:
    rig = rig()
    rig.stand(SECOND)
    rig.see(halves())
    first = rig.scan(message(wall()))
    away = Pose.from_yaw(0.1, 0.0, np.pi)
    later = SECOND + 5 * STEP
    rig.stand(later, away)
    rig.see(halves(2, 2), later)
    cloud = rig.scan(message(away.inverse().apply(wall()), later))
    clear = np.abs(wall()[:, 1]) > 0.3
    np.testing.assert_array_equal(cloud.label[clear], first.label[clear])
    assert rig.figures.reported["from_camera"] == 0 and rig.figures.reported["labelled"] == 1


def test_the_classes_are_told_although_the_first_scan_is_refused(rig) -> None:
    rig = rig()
    rig.stand(SECOND)
    rig.see(halves())
    rig.points.publish(message(wall(), SECOND - 2 * STEP))  # from before it is known where the LiDAR was
    rig.settle()
    assert rig.figures.refused == 1 and not rig.heard["label_info"]
    rig.scan(message(wall()))
    assert len(rig.heard["label_info"]) == 1


def test_an_old_mask_labels_nothing_and_is_told(rig) -> None:
    rig = rig(max_age=0.2)
    rig.stand(SECOND)
    rig.see(halves())
    rig.stand(SECOND + 3 * STEP)
    cloud = rig.scan(message(wall(), SECOND + 3 * STEP))
    assert (cloud.label == 255).all()
    assert rig.figures.warnings == 1 and "0.30 s older than the points" in rig.runner.figures.last_warning


def test_before_the_first_mask_nothing_has_a_class(rig) -> None:
    rig = rig()
    rig.stand(SECOND)
    rig.camera_info.publish(camera_to_camera_info(CAMERA, make_header(5, "elsewhere")))
    rig.label_info.publish(label_set_to_label_info(rig.labels, make_header(5, "camera")))
    assert (rig.scan(message(wall())).label == 255).all() and rig.figures.warnings == 0


def test_unsure_points_are_unlabelled(rig) -> None:
    rig = rig(min_confidence=0.5)
    rig.stand(SECOND)
    rig.see(halves(), confidence=np.where(halves() == 1, 102, 204).astype(np.uint8))
    cloud = rig.scan(message(wall()))
    clear = np.abs(wall()[:, 1]) > 0.15
    np.testing.assert_array_equal(cloud.label[clear], np.where(wall()[clear, 1] > 0, 255, 4))
    assert rig.heard["label_info"][0].threshold == 0.5
    rig.runner.parameters.set({"min_confidence": 0.0})
    rig.scan(message(wall()))
    assert rig.heard["label_info"][-1].threshold == 0 and len(rig.heard["label_info"]) == 2


def test_points_that_are_none_stay_without_a_class(rig) -> None:
    rig = rig()
    rig.stand(SECOND)
    rig.see(halves())
    xyz = wall().reshape(25, -1, 3)[:, :9].copy()
    xyz[3, 2], xyz[5, 5] = np.nan, 0.0
    cloud = rig.scan(message(xyz))
    np.testing.assert_array_equal(cloud.xyz, xyz)
    np.testing.assert_array_equal(np.argwhere(cloud.label == 255), [[3, 2], [5, 5]])
    np.testing.assert_array_equal(np.argwhere(cloud.confidence == 0), [[3, 2], [5, 5]])
    assert rig.scan(message(np.empty((0, 3)))).label.shape == (0,)
    assert rig.figures.failed == rig.figures.refused == 0


def test_ids_that_are_no_class_are_unlabelled(rig) -> None:
    rig = rig()
    rig.stand(SECOND)
    rig.see(halves(1, 3))
    label = rig.scan(message(wall())).label
    assert set(label) == {1, 255}


def test_nobody_listens(rig) -> None:
    rig = rig(("label_info",))
    rig.stand(SECOND)
    rig.see(halves())
    rig.points.publish(message(wall()))
    rig.settle()
    assert len(rig.heard["label_info"]) == 1 and "project" not in rig.figures.stages


def test_raw_images_are_rectified(rig) -> None:
    lens = CameraModel(CAMERA, CAMERA, Distortion("plumb_bob", (-0.3, 0.05, 0.0, 0.0, 0.0)))
    raw = np.full(CAMERA.shape, 1, np.uint8)
    border = lens.unrectify_points(np.array([[110.0, 44.5]]))[0, 0]
    raw[:, round(border) :] = 4
    assert abs(border - 110) > 3
    rig = rig(rectified=False, reach=0.0)
    rig.stand(SECOND)
    rig.see(raw, info=camera_to_camera_info(lens, make_header(5, "elsewhere")))
    u = np.array([100.0, 108.0, 112.0, 117.0])
    xyz = LIDAR_FROM_CAMERA.apply(np.stack([(u - 59.5) / 100, 0 * u, 1 + 0 * u], axis=-1) * 3.0)
    assert rig.scan(message(xyz)).label.tolist() == [1, 1, 4, 4]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda rig: rig.see(halves()[:45]), "mask is 120x45, camera_info is of 120x90"),
        (lambda rig: rig.see(halves(), depth=np.ones((45, 60), np.float32)), "depth is 60x45, camera_info is of"),
        (lambda rig: rig.mask.publish(colourful()),
         "mask is uint8 of shape .90, 120, 3.; expected one byte a pixel .mono8."),
        (lambda rig: rig.points.publish(message(wall(), frame="moon")), "no transform from 'moon' to 'map'"),
        (lambda rig: rig.points.publish(message(wall(), 9 * SECOND)), "after the newest known 'lidar' in 'map'"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_refused(rig, wrong: Callable[[Rig], None], says: str) -> None:
    rig = rig()
    rig.stand(SECOND)
    rig.see(halves())
    rig.scan(message(wall()))
    wrong(rig)
    rig.settle()
    assert rig.figures.refused == 1 and rig.figures.failed == 0
    assert re.search(says, rig.runner.figures.last_refusal)


def test_a_fixed_frame_far_from_its_origin_is_refused(rig) -> None:
    """As of a map whose coordinates are those of UTM."""
    rig = rig(slop=0.0)
    rig.stand(SECOND, Pose.from_yaw(448_200.0, 5_411_900.0, 0.0))
    rig.see(halves())
    rig.points.publish(message(wall()))
    rig.settle()
    assert rig.figures.refused == 1 and rig.figures.failed == 0 and not rig.heard["points"]
    assert "choose a fixed_frame near the robot" in rig.runner.figures.last_refusal


def test_time_that_jumps_back_is_a_new_beginning(rig) -> None:
    rig = rig()
    rig.stand(5 * SECOND)
    rig.see(halves(), 5 * SECOND)
    rig.scan(message(wall(), 5 * SECOND))
    rig.scan(message(wall(), SECOND))
    rig.stand(SECOND + STEP)
    assert (rig.scan(message(wall(), SECOND + STEP)).label == 255).all()


# SnapNet


@pytest.fixture
def shape_model(tmp_path: Path, tiny_labels: Path) -> Callable[..., Path]:
    """Makes models in folders that give each pixel the class of the strongest channel of a kind of pictures."""
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT

    def make(kind: str = "shape", label_set: str = str(tiny_labels)) -> Path:
        geometry = SnapNetParameters(
            voxel=0.1, neighbours=12, distances=(4.0,), elevation=(20.0, 60.0), size=48, near=0.5, views=10
        )
        shape = [1, 3, 48, 48]
        values = {name: helper.make_tensor_value_info(name, float32, shape) for name in (kind, "scores")}
        graph = helper.make_graph(
            [helper.make_node("Identity", [kind], ["scores"])], "tiny", [values[kind]], [values["scores"]]
        )
        network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        folder = tmp_path / f"tiny_{kind}"
        folder.mkdir(exist_ok=True)
        (folder / "model.onnx").write_bytes(network.SerializeToString())
        card = {
            "name": "tiny", "task": "cloud_segmentation", "file": "model.onnx", "label_set": label_set,
            "sha256": hashlib.sha256(network.SerializeToString()).hexdigest(),
            "inputs": {kind: {"shape": shape, "mean": [0.0] * 3, "std": [10.0] * 3, "channels": list("abc")}},
            "outputs": {"scores": shape}, "snapnet": geometry.as_card(),
        }  # fmt: skip
        (folder / "model.yaml").write_text(yaml.safe_dump(card))
        return folder

    return make


def fine_wall() -> np.ndarray:
    y, z = np.mgrid[-1.0:1.0:0.05, -0.4:0.8:0.05].reshape(2, -1)
    return np.stack([np.full_like(y, 3.0), y, z], axis=-1).astype(np.float32)


def test_snapshots_label_the_memory_between_scans(rig, shape_model) -> None:
    """A wall is planar, which is the second channel: green."""
    rig = rig(method="snapnet", model=str(shape_model()), snapshots=8, snapshot_period=0.5, provider="cpu", threads=1)
    assert not {i.name for i in rig.runner.inbox.inputs} & {"mask", "camera_info", "label_info"}
    advance(rig.clock, [rig.runner], SECOND)
    rig.stand(SECOND)
    assert (rig.scan(message(fine_wall())).label == 255).all()
    advance(rig.clock, [rig.runner], SECOND + 6 * STEP)
    assert rig.figures.reported["shown"] > 100
    later = SECOND + 7 * STEP
    rig.stand(later)
    cloud = rig.scan(message(fine_wall(), later))
    assert (cloud.label == 2).mean() > 0.7 and (cloud.label == 255).mean() < 0.05
    assert rig.figures.reported["model"] == "tiny" and rig.figures.failed == 0
    (info,) = rig.heard["label_info"]
    assert label_info_to_label_set(info).names == ("red", "green", "blue")


def test_the_camera_outvotes_snapshots_where_it_sees(rig, shape_model) -> None:
    rig = rig(method="both", model=str(shape_model()), snapshots=8, snapshot_period=0.5, provider="cpu", threads=1)
    advance(rig.clock, [rig.runner], SECOND)
    rig.stand(SECOND)
    rig.see(halves(4, 255))
    rig.scan(message(fine_wall()))
    advance(rig.clock, [rig.runner], SECOND + 6 * STEP)
    later = SECOND + 7 * STEP
    rig.stand(later)
    cloud = rig.scan(message(fine_wall(), later))
    left, right = fine_wall()[:, 1] > 0.2, fine_wall()[:, 1] < -0.2
    assert (cloud.label[left] == 4).all() and (cloud.label[right] == 2).mean() > 0.7
    assert rig.figures.refused == rig.figures.failed == 0


def test_mask_and_snapnet_must_mean_the_same(rig, shape_model) -> None:
    rig = rig(method="both", model=str(shape_model()), provider="cpu", threads=1)
    rig.stand(SECOND)
    rig.see(halves(), labels=load_label_set("nyu13"))
    rig.points.publish(message(wall()))
    rig.settle()
    assert rig.figures.refused == 1 and "model 'tiny' has red, green, blue" in rig.runner.figures.last_refusal


def test_what_cannot_start_says_why(shape_model, tiny_model) -> None:
    with pytest.raises(ConfigurationError, match="parameter 'model': no model 'snapnet_mars': shipped are "):
        LidarSegmentationNode(Parameters(method="snapnet", model="snapnet_mars"))
    for folder, says in ((tiny_model(), "needed is cloud_segmentation"), (shape_model("color"), "needs colour")):
        node = LidarSegmentationNode(Parameters(method="snapnet", model=str(folder), provider="cpu"))
        with pytest.raises(ConfigurationError, match=says):
            NodeRunner(node, Bus(), inline=True).start()
    LidarSegmentationNode(Parameters(model="snapnet_mars"))  # not needed for the camera's mask
