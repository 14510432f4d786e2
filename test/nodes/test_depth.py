"""The depth node on the in-process bus: what comes out, what it tells of scales, what it says of wrong inputs."""

from collections import defaultdict
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from scene_understanding.geometry import PinholeCamera
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.messages.camera_info import camera_info_to_camera, camera_to_camera_info
from scene_understanding.messages.compressed_image import color_to_compressed_image, depth_to_compressed_image
from scene_understanding.messages.header import make_header, stamp_to_ns
from scene_understanding.messages.image import array_to_image, image_to_array
from scene_understanding.messages.point_cloud import point_cloud2_to_cloud
from scene_understanding.nodes.depth import DepthNode, Parameters
from scene_understanding.nodes.node import SENSOR, ConfigurationError
from scene_understanding.nodes.parameters import ParameterError
from scene_understanding.perception.depth_estimator import DepthEstimator

CAMERA = PinholeCamera(16, 12, 20.0, 20.0, 7.5, 5.5)
"""As the tiny network's own, at twice its size."""
SECOND = 10**9
IMAGE, COMPRESSED, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"
OUTPUTS = {
    "depth": IMAGE, "depth_std": IMAGE, "camera_info": INFO, "points": "sensor_msgs/msg/PointCloud2",
    "depth_filled": IMAGE,
}  # fmt: skip


class Rig:
    """The node, inline, with publishers for its inputs and a list of messages for every output listened to."""

    def __init__(self, parameters: Parameters, listen: tuple[str, ...] = tuple(OUTPUTS)) -> None:
        self.bus, self.heard = Bus(), defaultdict(list)
        for name in listen:
            self.bus.subscribe(f"/depth/{name}", OUTPUTS[name], SENSOR, "/test", self._hear(name))
        self.runner = NodeRunner(DepthNode(parameters), self.bus, inline=True).start()
        zipped = parameters.image_transport == "compressed"
        image = COMPRESSED if zipped else IMAGE
        advertise = lambda topic, msgtype: self.bus.advertise(topic, msgtype, SENSOR, "/test")  # noqa: E731
        self.color = advertise("/rgb/image_rect_color" + "/compressed" * zipped, image)
        self.depth = advertise("/depth_registered/image_rect" + "/compressedDepth" * zipped, image)
        self.camera_info = advertise("/rgb/camera_info", INFO)

    def _hear(self, name: str):
        return lambda delivery: self.heard[name].append(delivery.message())

    def send(self, color, measured=None, camera_info=None) -> None:
        self.camera_info.publish(camera_info or camera_to_camera_info(CAMERA, make_header(5, "elsewhere")))
        if measured is not None:
            self.depth.publish(measured)
        self.color.publish(color)
        while self.runner.step():
            pass

    def image(self, name: str) -> np.ndarray:
        """The newest image of an output."""
        return image_to_array(self.heard[name][-1])

    @property
    def figures(self) -> SimpleNamespace:
        return SimpleNamespace(**self.runner.statistics())

    @property
    def reported(self) -> dict[str, object]:
        return self.figures.reported


@pytest.fixture
def rig(tiny_depth_model):
    """Makes rigs with the tiny network; its parameters by name."""

    def make(listen: tuple[str, ...] = tuple(OUTPUTS), channels: int = 4, expected: float = 0, **parameters) -> Rig:
        model = tiny_depth_model(channels=channels, expected=expected)
        return Rig(Parameters(model=str(model), **parameters), listen)

    return make


def header(stamp_ns: int = SECOND):
    return make_header(stamp_ns, "camera_optical_frame")


def grey(value: int = 200, stamp_ns: int = SECOND, size=(12, 16), encoding: str = "rgb8"):
    """A colour image that the tiny network takes for `value` / 100 metres."""
    return array_to_image(np.full((*size, 3), value, np.uint8), encoding, header(stamp_ns))


def metres(depth, stamp_ns: int = SECOND, size=(12, 16)):
    return array_to_image(np.broadcast_to(np.float32(depth), size), "32FC1", header(stamp_ns))


def test_depth_camera_info_and_cloud_belong_together_and_to_the_image(rig) -> None:
    rig = rig(passes=4, use_measured_depth=True)
    rng = np.random.default_rng(0)
    color = array_to_image(rng.integers(50, 250, (12, 16, 3), np.uint8), "bgr8", header(1_234_567_890))
    rig.send(color, metres(1.5, 1_234_567_890))
    assert {name: len(heard) for name, heard in rig.heard.items()} == dict.fromkeys(OUTPUTS, 1)
    for (message,) in rig.heard.values():
        assert stamp_to_ns(message.header.stamp) == 1_234_567_890
        assert message.header.frame_id == "camera_optical_frame"
    assert {rig.heard[name][0].encoding for name in ("depth", "depth_std", "depth_filled")} == {"32FC1"}
    depth, cloud = rig.image("depth"), point_cloud2_to_cloud(rig.heard["points"][0])
    assert depth.shape == (12, 16)
    np.testing.assert_allclose(cloud.xyz, CAMERA.back_project(depth), rtol=1e-5)
    np.testing.assert_array_equal(cloud.rgb, image_to_array(color)[..., ::-1])
    assert (rig.image("depth_std") > 0).all()
    info = rig.heard["camera_info"][0]
    assert camera_info_to_camera(info).rectified == CAMERA and (info.height, info.width) == depth.shape
    assert rig.reported.items() >= {"model": "tiny_depth", "provider": "cpu", "precision": "float"}.items()


def test_messages_that_came_stay_as_they_were(rig) -> None:
    rig = rig()
    info = camera_to_camera_info(CAMERA, make_header(5, "elsewhere"))
    rig.send(grey(), camera_info=info)
    assert (stamp_to_ns(info.header.stamp), info.header.frame_id) == (5, "elsewhere")


@pytest.mark.parametrize(("focal_length", "scale"), [(20.0, 1.0), (30.0, 1.5), (10.0, 0.5)])
def test_depth_honours_the_focal_length(rig, focal_length: float, scale: float) -> None:
    rig = rig(listen=("depth",))
    camera = PinholeCamera(16, 12, focal_length, focal_length, 7.5, 5.5)
    rig.send(grey(200), camera_info=camera_to_camera_info(camera, header()))
    np.testing.assert_allclose(rig.image("depth"), 2.0 * scale, rtol=1e-5)
    assert rig.reported["focal_scale"] == pytest.approx(scale)
    assert rig.figures.warnings == 0


def test_a_focal_length_far_from_what_was_learnt_is_told_once(rig) -> None:
    rig = rig(listen=("depth",))
    far = camera_to_camera_info(PinholeCamera(16, 12, 50.0, 50.0, 7.5, 5.5), header())
    for stamp_ns in (SECOND, 2 * SECOND):
        rig.send(grey(stamp_ns=stamp_ns), camera_info=far)
    assert rig.figures.warnings == 1
    assert "focal length is 2.50 times that of model 'tiny_depth' (10 px" in rig.runner.figures.last_warning
    rig.send(grey(stamp_ns=3 * SECOND))
    assert rig.figures.warnings == 1 and rig.reported["focal_scale"] == pytest.approx(1.0)


def test_nothing_is_computed_for_nobody(rig) -> None:
    rig = rig(listen=())
    rig.send(grey())
    assert rig.figures.sets == 1 and "infer" not in rig.figures.stages


def test_scales_are_compared_once_a_second_though_nobody_listens(rig, monkeypatch: pytest.MonkeyPatch) -> None:
    infer, inferred = DepthEstimator.infer, []
    monkeypatch.setattr(DepthEstimator, "infer", lambda own, inputs: inferred.append(1) or infer(own, inputs))
    rig = rig(listen=(), use_measured_depth=True)
    for i in range(12):
        rig.send(grey(stamp_ns=SECOND + i * SECOND // 5), metres(2.0, stamp_ns=SECOND + i * SECOND // 5))
    assert rig.figures.sets == 12 and len(inferred) == 3
    assert rig.reported["scale_ratio"] == pytest.approx(1.0)


def test_camera_info_alone_needs_no_network(rig) -> None:
    rig = rig(listen=("camera_info",))
    rig.send(grey())
    assert rig.figures.outputs == {"camera_info": 1} and "infer" not in rig.figures.stages


@pytest.mark.parametrize("name", ["depth", "points"])
def test_only_what_is_wanted_is_published(rig, name: str) -> None:
    rig = rig(listen=(name,))
    rig.send(grey())
    assert rig.figures.outputs == {name: 1}


def test_a_deviation_of_one_pass_is_told_once_and_nothing_is_computed_for_it(rig) -> None:
    rig = rig(listen=("depth_std",))
    for i in range(1, 4):
        rig.send(grey(stamp_ns=i * SECOND))
    assert rig.figures.warnings == 1
    assert rig.runner.figures.last_warning == "depth_std is wanted, but passes is 1; a deviation takes 2 or more"
    assert not rig.heard["depth_std"] and "infer" not in rig.figures.stages


def test_one_pass_is_enough_where_the_network_expects_a_deviation(rig) -> None:
    rig = rig(listen=("depth_std",), expected=0.25)
    rig.send(grey(200))
    np.testing.assert_allclose(rig.image("depth_std"), 0.5, rtol=1e-5)
    assert rig.figures.warnings == 0


@pytest.mark.parametrize("use", [True, False])
def test_what_needs_measured_depth_is_only_there_with_it(rig, use: bool) -> None:
    rig = rig(use_measured_depth=use)
    assert ("/depth/depth_filled" in {topic for topic, _, _ in rig.runner.published}) == use
    rig.send(grey(), metres(2.0))
    assert len(rig.heard["depth_filled"]) == use


# Passes


def test_passes_change_while_it_runs(rig) -> None:
    rig = rig(listen=("depth", "depth_std"))
    rig.send(grey())
    rig.runner.parameters.set({"passes": 8})
    rig.send(grey(stamp_ns=2 * SECOND))
    assert len(rig.heard["depth"]) == 2 and len(rig.heard["depth_std"]) == 1
    assert (rig.image("depth_std") > 0.1).all()
    np.testing.assert_allclose(image_to_array(rig.heard["depth"][0]), 2.0, rtol=1e-5)
    rig.runner.parameters.set({"passes": 1})
    rig.send(grey(stamp_ns=3 * SECOND))
    assert len(rig.heard["depth_std"]) == 1 and rig.figures.warnings == 2  # told again: it was changed meanwhile


def test_the_same_images_give_the_same_depths(rig) -> None:
    depths = []
    for _ in range(2):
        one = rig(listen=("depth",), passes=3)
        for i in range(1, 4):
            one.send(grey(stamp_ns=i * SECOND))
        depths.append([image_to_array(message) for message in one.heard["depth"]])
    np.testing.assert_array_equal(*depths)
    assert (depths[0][0] != depths[0][1]).any()


def test_a_network_without_dropout_refuses_passes(rig) -> None:
    rig = rig(listen=("depth",), channels=0)
    with pytest.raises(ParameterError, match="parameter 'passes': passes is 4, but model 'tiny_depth' has no dropout"):
        rig.runner.parameters.set({"passes": 4})
    assert rig.runner.parameters.get()["passes"] == 1
    rig.send(grey())
    assert len(rig.heard["depth"]) == 1


# Measured depth


def test_scales_are_compared_and_holes_filled(rig) -> None:
    rig = rig(use_measured_depth=True, listen=("depth_filled",))
    measured = np.full((12, 16), 3.0, np.float32)
    measured[3:6, 4:9] = np.nan
    rig.send(grey(200), metres(measured))
    np.testing.assert_allclose(rig.image("depth_filled"), 3.0, rtol=1e-5)
    expected = {"scale_ratio": 1.5, "scale_ratio_average": 1.5, "scale_drift": 0.0}
    assert {name: rig.reported[name] for name in expected} == pytest.approx(expected, abs=1e-5)


def test_drift_is_told_and_becomes_the_normal_state(rig) -> None:
    rig = rig(use_measured_depth=True, listen=("depth",), drift_time=10.0)
    for i in range(1, 31):
        rig.send(grey(200, i * SECOND), metres(2.0, i * SECOND))
    rig.send(grey(200, 31 * SECOND), metres(2.4, 31 * SECOND))
    assert rig.reported["scale_ratio"] == pytest.approx(1.2)
    assert 0.15 < rig.reported["scale_drift"] < 0.19
    for i in range(32, 92):
        rig.send(grey(200, i * SECOND), metres(2.4, i * SECOND))
    assert rig.reported["scale_ratio_average"] == pytest.approx(1.2, abs=0.01)
    assert rig.reported["scale_drift"] == pytest.approx(0.0, abs=0.01)


def test_time_that_jumps_back_forgets_the_average(rig) -> None:
    rig = rig(use_measured_depth=True, listen=("depth",))
    rig.send(grey(200, 9 * SECOND), metres(2.0, 9 * SECOND))
    rig.runner.time_jumped()
    rig.send(grey(200, SECOND), metres(3.0))
    assert rig.reported["scale_ratio_average"] == pytest.approx(1.5)


def test_a_camera_that_went_blind_is_filled_at_its_last_scale(rig) -> None:
    rig = rig(use_measured_depth=True, listen=("depth", "depth_filled"))
    rig.send(grey(200), metres(np.nan))
    assert len(rig.heard["depth"]) == 1 and not rig.heard["depth_filled"]
    assert rig.runner.figures.last_warning.startswith("depth_filled is wanted, but too few pixels are measured")
    rig.send(grey(200, 2 * SECOND), metres(3.0, 2 * SECOND))
    rig.send(grey(100, 3 * SECOND), metres(np.nan, 3 * SECOND))
    np.testing.assert_allclose(rig.image("depth_filled"), 1.5, rtol=1e-5)
    assert np.isnan(rig.reported["scale_ratio"])


def test_measured_depth_is_optional_for_each_image(rig) -> None:
    rig = rig(use_measured_depth=True, listen=("depth", "depth_filled"))
    rig.send(grey())
    assert len(rig.heard["depth"]) == 1 and not rig.heard["depth_filled"]
    assert rig.runner.figures.last_warning == "depth_filled is wanted, but no measured depth came with the image"


def test_measured_depth_within_the_slop(rig) -> None:
    rig = rig(use_measured_depth=True, listen=("depth_filled",))
    rig.send(grey(200, SECOND), metres(3.0, SECOND + 10_000_000))
    assert len(rig.heard["depth_filled"]) == 1
    assert stamp_to_ns(rig.heard["depth_filled"][0].header.stamp) == SECOND


# Inputs


def test_compressed_images(rig) -> None:
    rig = rig(image_transport="compressed", use_measured_depth=True, listen=("depth", "depth_filled"))
    millimetres = np.full((12, 16), 3000, np.uint16)
    millimetres[3, 3] = 0
    rig.send(
        color_to_compressed_image(np.full((12, 16, 3), 200, np.uint8), header(), "png"),
        depth_to_compressed_image(millimetres, header()),
    )
    np.testing.assert_allclose(rig.image("depth"), 2.0, rtol=1e-5)
    np.testing.assert_allclose(rig.image("depth_filled"), 3.0, rtol=1e-4)


def test_raw_images_go_through_their_lens(rig) -> None:
    rig = rig(rectified=False, listen=("depth", "points", "camera_info"))
    info = camera_to_camera_info(CAMERA, header())
    info.d, info.distortion_model = np.array([-0.2, 0.05, 0.0, 0.0, 0.0]), "plumb_bob"
    info.p = np.array([40.0, 0, 7.5, 0, 0, 40.0, 5.5, 0, 0, 0, 1, 0])  # of the rectified image, which is not this one
    rig.send(grey(200), camera_info=info)
    np.testing.assert_allclose(rig.image("depth"), 2.0, rtol=1e-5)
    xyz = point_cloud2_to_cloud(rig.heard["points"][0]).xyz
    for v, u in ((0, 0), (6, 8), (10, 15)):
        (pixel,) = cv2.projectPoints(
            xyz[v, u][None].astype(np.float64), np.zeros(3), np.zeros(3), CAMERA.matrix, info.d
        )[0]
        np.testing.assert_allclose(pixel[0], (u, v), atol=0.01)
    np.testing.assert_array_equal(rig.heard["camera_info"][0].d, info.d)


def broken(**changes):
    info = camera_to_camera_info(CAMERA, header())
    for name, value in changes.items():
        setattr(info, name, value)
    return info


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: (grey(encoding="8UC3"), metres(2.0, size=(6, 8)), None), "depth is 8x6, colour 16x12; depth must be"),
        (lambda: (metres(2.0), metres(2.0), None), "encoding '32FC1' is not colour"),
        (lambda: (grey(), grey(), None), "encoding 'rgb8' is not depth"),
        (
            lambda: (grey(), None, camera_to_camera_info(CAMERA.resized(32, 24), header())),
            "images are 16x12, camera_info is of 32x24",
        ),
        (lambda: (grey(), None, broken(k=np.zeros(9), p=np.zeros(12))), "not calibrated"),
        (lambda: (grey(), None, broken(p=np.array([0.0, 0, 7, 0, 0, 0, 5, 0, 0, 0, 1, 0]))), "focal length is (0.0"),
        (lambda: (grey(), None, broken(p=np.full(12, np.nan))), "all must be finite"),
    ],
)
def test_a_wrong_input_is_one_line_and_the_next_one_works(rig, wrong, says: str) -> None:
    rig = rig(use_measured_depth=True)
    rig.send(*wrong())
    assert rig.figures.refused == 1 and not rig.heard["depth"] and not rig.heard["camera_info"]
    assert says in rig.runner.figures.last_refusal and "\n" not in rig.runner.figures.last_refusal
    rig.send(grey(stamp_ns=3 * SECOND), metres(2.0, 3 * SECOND))
    assert len(rig.heard["depth"]) == len(rig.heard["depth_filled"]) == len(rig.heard["camera_info"]) == 1


def test_what_cannot_start_says_why(tiny_model, tiny_depth_model) -> None:
    with pytest.raises(ConfigurationError, match="parameter 'model': no model 'd3net_mars': shipped are "):
        DepthNode(Parameters(model="d3net_mars"))
    with pytest.raises(ConfigurationError, match="model 'tiny' is for segmentation; needed is depth"):
        DepthNode(Parameters(model=str(tiny_model()), passes=3))
    with pytest.raises(ConfigurationError, match="passes is 3, but model 'tiny_depth' has no dropout"):
        DepthNode(Parameters(model=str(tiny_depth_model(channels=0)), passes=3))
