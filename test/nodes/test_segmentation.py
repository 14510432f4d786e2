"""The segmentation node on the in-process bus: what comes out, and what it says of wrong inputs."""

import shutil
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from scene_understanding.geometry import PinholeCamera
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.inference.store import SHIPPED
from scene_understanding.messages.camera_info import camera_to_camera_info
from scene_understanding.messages.compressed_image import color_to_compressed_image, depth_to_compressed_image
from scene_understanding.messages.header import make_header, stamp_to_ns
from scene_understanding.messages.image import array_to_image, image_to_array
from scene_understanding.messages.point_cloud import point_cloud2_to_cloud
from scene_understanding.nodes.node import SENSOR, ConfigurationError
from scene_understanding.nodes.segmentation import DEFAULT_MODEL, Parameters, SegmentationNode

CAMERA = PinholeCamera(320, 240, 277.0, 277.0, 159.5, 119.5)
IMAGE, COMPRESSED, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"
OUTPUTS = {
    "mask": IMAGE, "confidence": IMAGE, "points": "sensor_msgs/msg/PointCloud2", "overlay": IMAGE,
    "label_info": "vision_msgs/msg/LabelInfo",
}  # fmt: skip


class Rig:
    """The node, inline, with publishers for its inputs and a list of messages for every output listened to."""

    def __init__(self, parameters: Parameters | None = None, listen: tuple[str, ...] = tuple(OUTPUTS)) -> None:
        parameters = parameters or Parameters()
        self.bus, self.heard = Bus(), defaultdict(list)
        for name in listen:
            self.bus.subscribe(f"/segmentation/{name}", OUTPUTS[name], SENSOR, "/test", self._hear(name))
        self.runner = NodeRunner(SegmentationNode(parameters), self.bus, inline=True).start()
        zipped = parameters.image_transport == "compressed"
        image = COMPRESSED if zipped else IMAGE
        advertise = lambda topic, msgtype: self.bus.advertise(topic, msgtype, SENSOR, "/test")  # noqa: E731
        self.color = advertise("/rgb/image_rect_color" + "/compressed" * zipped, image)
        self.depth = advertise("/depth_registered/image_rect" + "/compressedDepth" * zipped, image)
        self.camera_info = advertise("/rgb/camera_info", INFO)

    def _hear(self, name: str):
        return lambda delivery: self.heard[name].append(delivery.message())

    def send(self, color, depth=None, camera_info=None, *, stamp_ns: int = 10**9) -> None:
        if camera_info is None:
            camera_info = camera_to_camera_info(CAMERA, header(stamp_ns))
        self.camera_info.publish(camera_info)
        self.color.publish(color)
        if depth is not None:
            self.depth.publish(depth)
        while self.runner.step():
            pass

    @property
    def figures(self) -> SimpleNamespace:
        return SimpleNamespace(**self.runner.statistics())


def header(stamp_ns: int = 10**9):
    return make_header(stamp_ns, "camera_optical_frame")


def images(stamp_ns: int = 10**9, size=(240, 320), encoding: str = "rgb8", depth: float = 2.0):
    rng = np.random.default_rng(0)
    color = rng.integers(0, 256, (*size, 3), np.uint8)
    return (
        array_to_image(color, encoding, header(stamp_ns)),
        array_to_image(np.full(size, depth, np.float32), "32FC1", header(stamp_ns)),
    )


def test_everything_comes_out_aligned_with_stamp_and_frame_of_the_image() -> None:
    rig = Rig()
    color, depth = images(stamp_ns=1_234_567_890)
    rig.send(color, depth)
    assert {name: len(heard) for name, heard in rig.heard.items()} == dict.fromkeys(OUTPUTS, 1)
    for (message,) in rig.heard.values():
        assert stamp_to_ns(message.header.stamp) == 1_234_567_890
        assert message.header.frame_id == "camera_optical_frame"
    mask = image_to_array(rig.heard["mask"][0])
    cloud = point_cloud2_to_cloud(rig.heard["points"][0])
    np.testing.assert_array_equal(cloud.label, mask)
    np.testing.assert_array_equal(cloud.rgb, image_to_array(color))
    np.testing.assert_allclose(cloud.xyz, CAMERA.back_project(np.full((240, 320), 2.0)), rtol=1e-6)
    np.testing.assert_allclose(cloud.confidence * 255, image_to_array(rig.heard["confidence"][0]), atol=0.01)
    assert rig.heard["mask"][0].encoding == rig.heard["confidence"][0].encoding == "mono8"
    assert {c.class_id: c.class_name for c in rig.heard["label_info"][0].class_map}[11] == "wall"


def test_labels_are_announced_once_and_again_after_time_jumped_back() -> None:
    rig = Rig()
    for stamp_ns in (2 * 10**9, 3 * 10**9):
        rig.send(*images(stamp_ns), stamp_ns=stamp_ns)
    assert len(rig.heard["label_info"]) == 1
    rig.runner.time_jumped()
    rig.send(*images(10**9))
    assert len(rig.heard["label_info"]) == 2
    assert len(rig.heard["mask"]) == 3


def test_labels_come_even_if_the_first_images_are_refused() -> None:
    rig = Rig()
    rig.send(images()[0], images(size=(120, 160))[1])
    rig.send(*images(2 * 10**9), stamp_ns=2 * 10**9)
    assert rig.figures.refused == 1
    assert len(rig.heard["label_info"]) == 1


def test_nothing_is_computed_for_nobody() -> None:
    rig = Rig(listen=())
    rig.send(*images())
    assert rig.figures.sets == 1
    assert "infer" not in rig.figures.stages


def test_only_what_is_wanted_is_published() -> None:
    rig = Rig(listen=("mask",))
    rig.send(*images())
    assert rig.figures.outputs == {"mask": 1, "label_info": 1}


def test_compressed_images() -> None:
    rig, raw = Rig(Parameters(image_transport="compressed")), Rig()
    color, depth = images()
    pixels = image_to_array(color)
    rig.send(
        color_to_compressed_image(pixels, header(), "png"),
        depth_to_compressed_image(np.full((240, 320), 2000, np.uint16), header()),
    )
    raw.send(color, depth)
    np.testing.assert_array_equal(*(image_to_array(r.heard["mask"][0]) for r in (rig, raw)))


def test_raw_images_go_through_their_lens() -> None:
    rig = Rig(Parameters(rectified=False))
    info = camera_to_camera_info(CAMERA, header())
    info.d, info.distortion_model = np.array([-0.2, 0.05, 0.0, 0.0, 0.0]), "plumb_bob"
    rig.send(*images(), info)
    import cv2

    xyz = point_cloud2_to_cloud(rig.heard["points"][0]).xyz
    for v, u in ((0, 0), (120, 160), (200, 300)):
        (pixel,) = cv2.projectPoints(
            xyz[v, u][None].astype(np.float64), np.zeros(3), np.zeros(3), CAMERA.matrix, info.d
        )[0]
        np.testing.assert_allclose(pixel[0], (u, v), atol=0.01)


def test_unsure_pixels_are_unlabelled_from_the_next_image_on() -> None:
    rig = Rig()
    rig.send(*images())
    assert (image_to_array(rig.heard["mask"][0]) != 255).all()
    rig.runner.parameters.set({"min_confidence": 1.0})
    rig.send(*images(2 * 10**9), stamp_ns=2 * 10**9)
    confidence, mask = (image_to_array(rig.heard[name][1]) for name in ("confidence", "mask"))
    np.testing.assert_array_equal(mask == 255, confidence < 255)
    assert [m.threshold for m in rig.heard["label_info"]] == [0.0, 1.0]


@pytest.mark.parametrize("depth", [np.nan, np.inf, 0.0, -1.0])
def test_unknown_depth_gives_unknown_points_and_a_mask_all_the_same(depth: float) -> None:
    rig = Rig()
    rig.send(*images(depth=depth))
    assert np.isnan(point_cloud2_to_cloud(rig.heard["points"][0]).xyz).all()
    assert (image_to_array(rig.heard["mask"][0]) < 13).all()


def zero_intrinsics():
    info = camera_to_camera_info(CAMERA, header())
    info.k, info.p = np.zeros(9), np.zeros(12)
    return info


def nan_intrinsics():
    info = camera_to_camera_info(CAMERA, header())
    info.k = np.full(9, np.nan)
    return info


def other_size():
    return camera_to_camera_info(CAMERA.resized(640, 480), header())


def sent(color=None, depth=None, camera_info=None):
    good_color, good_depth = images()
    return color or good_color, depth or good_depth, camera_info


def wrong_encoding():
    color, _ = images()
    color.encoding = "thermal7"
    return color


def cut_short():
    color, _ = images()
    color.data = color.data[:1000]
    return color


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: sent(color=wrong_encoding()), "thermal7"),
        (lambda: sent(color=cut_short()), "1000"),
        (lambda: sent(depth=images()[0]), "rgb8"),
        (lambda: sent(depth=images(size=(120, 160))[1]), "depth is 160x120, colour 320x240"),
        (lambda: sent(camera_info=other_size()), "images are 320x240, camera_info is of 640x480"),
        (lambda: sent(camera_info=zero_intrinsics()), "not calibrated"),
        (lambda: sent(camera_info=nan_intrinsics()), "finite"),
    ],
)
def test_a_wrong_input_is_one_line_and_the_next_one_works(wrong, says: str) -> None:
    rig = Rig()
    rig.send(*wrong())
    assert rig.figures.refused == 1
    assert says in rig.runner.figures.last_refusal and "\n" not in rig.runner.figures.last_refusal
    assert not rig.heard["points"]
    rig.send(*images(2 * 10**9), stamp_ns=2 * 10**9)
    assert len(rig.heard["points"]) == 1


def test_stamps_that_do_not_match_are_not_processed() -> None:
    rig = Rig()
    rig.send(images(10**9)[0], images(2 * 10**9)[1])
    assert rig.figures.sets == 0


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        (Parameters(model="fusenet_mars"), "parameter 'model': no model 'fusenet_mars'"),
        (Parameters(use_depth=False), "use_depth is off, but model 'fusenet_embedded13' needs depth"),
    ],
)
def test_what_cannot_start_says_why(parameters: Parameters, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        SegmentationNode(parameters)


@pytest.fixture
def colour_is_enough(tmp_path):
    """The shipped network under a card that calls depth optional."""
    shutil.copytree(SHIPPED / DEFAULT_MODEL, tmp_path / "model")
    card = yaml.safe_load((tmp_path / "model" / "model.yaml").read_text())
    (tmp_path / "model" / "model.yaml").write_text(yaml.safe_dump({**card, "optional_inputs": ["depth"]}))
    return str(tmp_path / "model")


@pytest.mark.parametrize("use_depth", [True, False])
def test_a_model_that_says_so_works_with_colour_alone(colour_is_enough: str, use_depth: bool) -> None:
    rig = Rig(Parameters(model=colour_is_enough, use_depth=use_depth))
    rig.send(images()[0])
    assert len(rig.heard["mask"]) == 1 and not rig.heard["points"]
    assert rig.runner.figures.last_warning.startswith("points are wanted, but there is no depth")
