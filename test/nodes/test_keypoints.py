"""The keypoints node on the in-process bus: people, their ids, their points, and what it says of wrong inputs."""

from collections import defaultdict
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from scene_understanding.geometry import PinholeCamera, PointCloud, Pose
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.labels import load_label_set
from scene_understanding.messages.camera_info import camera_to_camera_info
from scene_understanding.messages.compressed_image import color_to_compressed_image, depth_to_compressed_image
from scene_understanding.messages.header import make_header, stamp_to_ns
from scene_understanding.messages.image import array_to_image, image_to_array
from scene_understanding.messages.label_info import label_info_to_label_set
from scene_understanding.messages.people import PeopleArrays, people_to_arrays
from scene_understanding.messages.point_cloud import cloud_to_point_cloud2, point_cloud2_to_cloud
from scene_understanding.messages.transforms import tf_message
from scene_understanding.nodes.keypoints import KeypointsNode, Parameters
from scene_understanding.nodes.node import LATCHED, SENSOR, ConfigurationError

SECOND, STEP = 10**9, 10**8
PERSON = load_label_set("nyu40").id_of("person")
IMAGE, COMPRESSED, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"
CLOUD, TF = "sensor_msgs/msg/PointCloud2", "tf2_msgs/msg/TFMessage"
OUTPUTS = {
    "people": "scene_understanding/msg/People", "markers": "visualization_msgs/msg/MarkerArray", "overlay": IMAGE,
    "points": CLOUD, "label_info": "vision_msgs/msg/LabelInfo",
}  # fmt: skip
LIDAR_FROM_CAMERA = Pose.from_rotation_translation([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], [0.1, 0.0, -0.2])
"""x of the LiDAR is forward, as in REP-103."""


class Rig:
    """The node, inline, with publishers for its inputs and a list of messages for every output listened to."""

    def __init__(self, parameters: Parameters, listen: tuple[str, ...] = tuple(OUTPUTS)) -> None:
        self.bus, self.heard = Bus(), defaultdict(list)
        for name in listen:
            qos = LATCHED if name == "label_info" else SENSOR
            self.bus.subscribe(f"/keypoints/{name}", OUTPUTS[name], qos, "/test", self._hear(name))
        self.runner = NodeRunner(KeypointsNode(parameters), self.bus, inline=True).start()
        zipped = parameters.image_transport == "compressed"
        image = COMPRESSED if zipped else IMAGE
        advertise = lambda topic, msgtype, qos=SENSOR: self.bus.advertise(topic, msgtype, qos, "/test")  # noqa: E731
        self.color = advertise("/rgb/image_rect_color" + "/compressed" * zipped, image)
        self.depth = advertise("/depth_registered/image_rect" + "/compressedDepth" * zipped, image)
        self.points = advertise("/points", CLOUD)
        self.camera_info = advertise("/rgb/camera_info", INFO)
        self.tf_static = advertise("/tf_static", TF, LATCHED)

    def _hear(self, name: str):
        return lambda delivery: self.heard[name].append(delivery.message())

    def send(self, color, depth=None, camera_info=None, points=None) -> None:
        self.camera_info.publish(camera_info or info())
        if depth is not None:
            self.depth.publish(depth)
        if points is not None:
            self.points.publish(points)
        self.color.publish(color)
        while self.runner.step():
            pass

    def show(self, sample, stamp_ns: int = SECOND) -> PeopleArrays:
        """Sends an image with its depth; who is found."""
        self.send(picture(sample.rgb, stamp_ns), metres(sample.depth, stamp_ns))
        return self.people

    @property
    def people(self) -> PeopleArrays:
        return people_to_arrays(self.heard["people"][-1])

    @property
    def cloud(self) -> PointCloud:
        return point_cloud2_to_cloud(self.heard["points"][-1])

    @property
    def figures(self) -> SimpleNamespace:
        return SimpleNamespace(**self.runner.statistics())


@pytest.fixture
def rig(tiny_keypoint_model):
    """Makes rigs with the tiny network; its parameters by name."""
    folder = str(tiny_keypoint_model())

    def make(listen: tuple[str, ...] = tuple(OUTPUTS), **parameters) -> Rig:
        return Rig(Parameters(model=folder, **parameters), listen)

    return make


CAMERA = PinholeCamera(240, 160, 200.0, 200.0, 119.5, 79.5)
"""That of `tiny_people`."""


def info(camera: PinholeCamera = CAMERA):
    return camera_to_camera_info(camera, make_header(5, "elsewhere"))


def header(stamp_ns: int = SECOND, frame: str = "camera_optical_frame"):
    return make_header(stamp_ns, frame)


def picture(rgb, stamp_ns: int = SECOND):
    return array_to_image(np.ascontiguousarray(rgb), "rgb8", header(stamp_ns))


def metres(depth, stamp_ns: int = SECOND, size=(160, 240)):
    return array_to_image(np.ascontiguousarray(np.broadcast_to(np.float32(depth), size)), "32FC1", header(stamp_ns))


def scan(stamp_ns: int = SECOND, depth: float = 2.0, **columns):
    """What a LiDAR beside the camera measures of a wall in front of it, a ray through every fourth pixel."""
    xyz = LIDAR_FROM_CAMERA.apply(CAMERA.rays[::4, ::4].reshape(-1, 3) * np.float32(depth))
    return cloud_to_point_cloud2(PointCloud(xyz, **columns), header(stamp_ns, "lidar"))


def mount(rig: Rig) -> None:
    rig.tf_static.publish(tf_message([("lidar", "camera_optical_frame", 1, LIDAR_FROM_CAMERA)]))


def test_everything_belongs_to_the_image(rig, tiny_people) -> None:
    rig, sample = rig(), tiny_people((6, 3), (15, 4))
    rig.show(sample, 1_234_567_890)
    assert {name: len(heard) for name, heard in rig.heard.items()} == dict.fromkeys(OUTPUTS, 1)
    for (message,) in rig.heard.values():
        for one in message.markers if hasattr(message, "markers") else [message]:
            assert stamp_to_ns(one.header.stamp) == 1_234_567_890
            assert one.header.frame_id == "camera_optical_frame"
    assert rig.figures.reported.items() >= {"model": "tiny_keypoints", "provider": "cpu", "precision": "float"}.items()
    assert rig.figures.reported["people"] == 2 and rig.figures.reported["joints_placed"] == 1
    assert {"decode", "infer", "decide", "lift", "track", "encode"} <= set(rig.figures.stages)
    assert rig.figures.warnings == 0


def test_people_are_where_they_are(rig, tiny_people) -> None:
    sample = tiny_people((6, 3), (15, 4))
    people = rig(listen=("people",)).show(sample)
    order = np.argsort(people.pixels[:, 0, 0])
    np.testing.assert_allclose(people.pixels[order], sample.pixels, atol=0.5)
    np.testing.assert_allclose(people.points[order], sample.points, atol=0.2)  # the wall is flat, bodies are not
    assert (people.confidence > 0.9).all() and (people.score > 0.5).all()
    assert sorted(people.ids) == [1, 2]


def test_nobody_is_a_message_too(rig, tiny_people) -> None:
    rig = rig()
    assert len(rig.show(tiny_people())) == 0
    assert (rig.cloud.label == 255).all() and len(rig.heard["markers"][0].markers) == 1
    assert np.isnan(rig.figures.reported["joints_placed"]) and rig.figures.reported["people"] == 0


def test_the_overlay_shows_the_skeletons(rig, tiny_people) -> None:
    rig, sample = rig(listen=("overlay",)), tiny_people((6, 3))
    rig.send(picture(sample.rgb), metres(sample.depth))
    overlay = image_to_array(rig.heard["overlay"][0])
    assert overlay.shape == sample.rgb.shape and (overlay != sample.rgb).any(-1).mean() > 0.01
    assert (overlay[:, 150:] == sample.rgb[:, 150:]).all()


def test_markers_are_skeletons_bodies_and_headings(rig, tiny_people) -> None:
    rig = rig(listen=("markers",))
    sample = tiny_people((6, 3))
    rig.send(picture(sample.rgb), metres(sample.depth))
    shown = rig.heard["markers"][0].markers
    assert {marker.ns for marker in shown} == {"", "joints", "limbs", "bodies", "heading"}
    (arrow,) = (marker for marker in shown if marker.ns == "heading")
    assert arrow.points[1].z < arrow.points[0].z - 0.5  # the left is to our right: they face us


@pytest.mark.parametrize("name", ["people", "markers", "overlay", "points"])
def test_only_what_is_wanted_is_published(rig, tiny_people, name: str) -> None:
    rig, sample = rig(listen=(name,)), tiny_people((6, 3))
    rig.send(picture(sample.rgb), metres(sample.depth))
    assert rig.figures.outputs == {name: 1, "label_info": 1}


def test_nothing_is_computed_for_nobody(rig, tiny_people) -> None:
    rig = rig(listen=())
    rig.send(picture(tiny_people((6, 3)).rgb), metres(2.0))
    assert rig.figures.sets == 1 and "infer" not in rig.figures.stages


# Over time


def test_ids_stay_and_are_not_given_twice(rig, tiny_people) -> None:
    rig = rig(listen=("people",))
    ids = [rig.show(tiny_people(*noses), SECOND + i * STEP).ids.tolist()
           for i, noses in enumerate([[(6, 3)], [(6, 4)], [(6, 4), (20, 3)], [(20, 3)]])]  # fmt: skip
    assert ids[:2] == [[1], [1]] and sorted(ids[2]) == [1, 2] and ids[3] == [2]


def test_without_tracking_there_are_no_ids_and_no_smoothing(rig, tiny_people) -> None:
    rig = rig(listen=("people", "points"), track=False)
    for i, noses in enumerate([(6, 3), (7, 3)]):
        sample = tiny_people(noses)
        people = rig.show(sample, SECOND + i * STEP)
        np.testing.assert_allclose(people.pixels, sample.pixels, atol=0.5)
    assert people.ids.tolist() == [0]
    assert (rig.cloud.label == PERSON).any() and not rig.cloud.instance.any()


def test_smoothing_and_tracking_change_while_it_runs(rig, tiny_people) -> None:
    rig = rig(listen=("people",), beta_pixels=0.0, min_cutoff=0.01)
    before, after = tiny_people((6, 3)), tiny_people((7, 3))
    rig.show(before)
    np.testing.assert_allclose(rig.show(after, SECOND + STEP).pixels, before.pixels, atol=1.0)
    rig.runner.parameters.set({"min_cutoff": 1000.0})
    people = rig.show(after, SECOND + 2 * STEP)
    np.testing.assert_allclose(people.pixels, after.pixels, atol=0.5)
    assert people.ids.tolist() == [1]
    rig.runner.parameters.set({"track": False})
    assert rig.show(after, SECOND + 3 * STEP).ids.tolist() == [0]


def test_who_is_gone_for_long_is_somebody_new(rig, tiny_people) -> None:
    rig = rig(listen=("people",), max_age=0.5)
    ids = [rig.show(tiny_people((6, 3)), SECOND + ns).ids.tolist() for ns in (0, 4 * STEP, 10 * STEP)]
    assert ids == [[1], [1], [2]]


def test_time_that_jumps_back_forgets_everybody(rig, tiny_people) -> None:
    rig = rig(listen=("people", "label_info"))
    rig.show(tiny_people((20, 3)), 9 * SECOND)
    assert rig.show(tiny_people((6, 3)), 9 * SECOND + STEP).ids.tolist() == [2]
    rig.runner.time_jumped()
    assert rig.show(tiny_people((6, 3)), SECOND).ids.tolist() == [1]
    assert len(rig.heard["label_info"]) == 2


@pytest.mark.parametrize(
    ("change", "left"), [({"min_keypoints": 18}, 1), ({"min_score": 1.0}, 0), ({"peak_threshold": 1.0}, 0)]
)
def test_thresholds_change_while_it_runs(rig, tiny_people, change, left: int) -> None:
    rig, sample = rig(listen=("people",)), tiny_people((6, 3), (15, 4))
    sample.rgb[8 * 17 : 8 * 18, 8 * 14 : 8 * 15] = 0  # an ankle
    assert len(rig.show(sample)) == 2
    rig.runner.parameters.set(change)
    assert len(rig.show(sample, SECOND + STEP)) == left


# Points


def test_points_of_people_are_marked(rig, tiny_people) -> None:
    rig, sample = rig(listen=("people", "points", "label_info")), tiny_people((6, 3))
    depth = np.where(np.hypot(*np.ogrid[-60:100, -50:190]) < 200, 2.0, np.nan).astype(np.float32)
    rig.send(picture(sample.rgb), metres(depth))
    cloud = rig.cloud
    np.testing.assert_allclose(cloud.xyz, CAMERA.back_project(depth), rtol=1e-5)
    np.testing.assert_array_equal(cloud.rgb, sample.rgb)
    person = cloud.label == PERSON
    assert label_info_to_label_set(rig.heard["label_info"][0]).name_of(PERSON) == "person"
    assert (cloud.label[~person] == 255).all()
    np.testing.assert_array_equal(cloud.instance, person * rig.people.ids[0])
    np.testing.assert_allclose(cloud.confidence, person * rig.people.score[0])
    joints = np.rint(sample.pixels[0, :14]).astype(int)
    assert person[joints[:, 1], joints[:, 0]].all()
    assert 0.05 < person.mean() < 0.4 and not person[np.isnan(depth)].any()


def test_points_of_people_are_removed(rig, tiny_people) -> None:
    marked, removed = rig(), rig(people_in_points="remove")
    for one in (marked, removed):
        one.show(tiny_people((6, 3)))
    assert removed.cloud.label is None and removed.cloud.xyz.shape == (160, 240, 3)
    np.testing.assert_array_equal(np.isnan(removed.cloud.xyz).all(-1), marked.cloud.label == PERSON)
    removed.runner.parameters.set({"people_in_points": "mark"})
    removed.show(tiny_people((6, 3)), SECOND + STEP)
    assert (removed.cloud.label == PERSON).any()


def test_the_margin_and_the_label_are_parameters(rig, tiny_people) -> None:
    sizes = []
    for margin in (0.0, 0.1, 0.3):
        one = rig(listen=("people", "points"), margin=margin, label_set="cityscapes19")
        one.show(tiny_people((6, 3)))
        sizes.append((one.cloud.label == 11).sum())
    assert 0 < sizes[0] < sizes[1] < sizes[2]


# A LiDAR


def test_a_lidar_puts_people_into_space(rig, tiny_people) -> None:
    rig, sample = rig(lift="points"), tiny_people((6, 3))
    mount(rig)
    rig.send(picture(sample.rgb), points=scan(SECOND + 10_000_000))
    np.testing.assert_allclose(rig.people.points, sample.points, atol=0.2)
    message = rig.heard["points"][0]
    assert (message.header.frame_id, stamp_to_ns(message.header.stamp)) == ("lidar", SECOND + 10_000_000)
    np.testing.assert_array_equal(rig.cloud.xyz, point_cloud2_to_cloud(scan()).xyz)
    pixels, _ = CAMERA.project(LIDAR_FROM_CAMERA.inverse().apply(rig.cloud.xyz[rig.cloud.label == PERSON]))
    low, high = sample.pixels[0].min(0) - 40, sample.pixels[0].max(0) + 40
    assert len(pixels) and ((pixels > low) & (pixels < high)).all()
    assert rig.figures.warnings == 0


def test_people_are_removed_from_the_scan_with_all_that_it_tells(rig, tiny_people) -> None:
    rig, sample = rig(lift="points", people_in_points="remove"), tiny_people((6, 3))
    mount(rig)
    rig.send(picture(sample.rgb), points=scan(label=np.arange(2400, dtype=np.uint16)))
    cloud = rig.cloud
    assert 1500 < len(cloud.xyz) < 2350
    np.testing.assert_array_equal(cloud.xyz, point_cloud2_to_cloud(scan()).xyz[cloud.label])


def test_without_a_transform_people_are_only_in_the_image(rig, tiny_people) -> None:
    rig, sample = rig(lift="points"), tiny_people((6, 3))
    rig.send(picture(sample.rgb), points=scan())
    assert len(rig.people) == 1 and np.isnan(rig.people.points).all() and not rig.heard["points"]
    assert "people have no place in space: no transform from 'lidar'" in rig.runner.figures.last_warning
    assert rig.figures.reported["joints_placed"] == 0
    mount(rig)
    rig.send(picture(sample.rgb, SECOND + STEP), points=scan(SECOND + STEP))
    assert np.isfinite(rig.people.points).all() and len(rig.heard["points"]) == 1


# Inputs


@pytest.mark.parametrize("lift", ["depth", "points"])
def test_people_without_a_cloud_are_only_in_the_image(rig, tiny_people, lift: str) -> None:
    rig = rig(lift=lift)
    rig.send(picture(tiny_people((6, 3)).rgb))
    assert len(rig.people) == 1 and np.isnan(rig.people.points).all() and not rig.heard["points"]
    assert len(rig.heard["overlay"]) == 1 and len(rig.heard["markers"][0].markers) == 1
    assert rig.figures.warnings == 0  # of one alone: it may have come before what belongs to it
    rig.send(picture(tiny_people((6, 3)).rgb, SECOND + STEP))
    assert rig.runner.figures.last_warning.startswith(f"no {lift} came with the image: people have no place in space")


def test_without_lift_there_are_no_points(rig, tiny_people) -> None:
    rig = rig(lift="none")
    assert {topic for topic, _, _ in rig.runner.published} == {
        f"/keypoints/{name}" for name in ("people", "markers", "overlay")
    }
    rig.send(picture(tiny_people((6, 3)).rgb))
    assert len(rig.people) == 1 and rig.figures.warnings == 0


def test_compressed_images(rig, tiny_people) -> None:
    rig, sample = rig(image_transport="compressed"), tiny_people((6, 3))
    millimetres = np.full((160, 240), 2000, np.uint16)
    rig.send(color_to_compressed_image(sample.rgb, header(), "png"), depth_to_compressed_image(millimetres, header()))
    np.testing.assert_allclose(rig.people.points, sample.points, atol=0.2)


@pytest.mark.parametrize("lift", ["depth", "points"])
def test_raw_images_go_through_their_lens(rig, tiny_people, lift: str) -> None:
    rig, sample = rig(rectified=False, lift=lift), tiny_people((6, 3))
    bent = info()
    bent.d, bent.distortion_model = np.array([-0.3, 0.1, 0.0, 0.0, 0.0]), "plumb_bob"
    bent.p = np.array([400.0, 0, 7.5, 0, 0, 400.0, 5.5, 0, 0, 0, 1, 0])  # of the rectified image, which is not this one
    mount(rig)
    rig.send(picture(sample.rgb), metres(2.0), bent, scan())
    joints = rig.people.points[0].astype(np.float64)
    pixels = cv2.projectPoints(joints, np.zeros(3), np.zeros(3), CAMERA.matrix, bent.d)[0][:, 0]
    np.testing.assert_allclose(pixels, rig.people.pixels[0], atol=0.05)
    assert np.abs(CAMERA.project(joints)[0] - rig.people.pixels[0]).max() > 1
    assert (rig.cloud.label == PERSON).any()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda rgb: (picture(rgb), metres(2.0, size=(80, 120)), None), "depth is 120x80, colour 240x160; depth must"),
        (lambda rgb: (metres(2.0), metres(2.0), None), "encoding '32FC1' is not colour"),
        (lambda rgb: (picture(rgb), picture(rgb), None), "encoding 'rgb8' is not depth"),
        (
            lambda rgb: (picture(rgb), metres(2.0), info(CAMERA.resized(120, 80))),
            "images are 240x160, camera_info is of 120x80",
        ),
    ],
)
def test_a_wrong_input_is_one_line_and_the_next_one_works(rig, tiny_people, wrong, says: str) -> None:
    rig, sample = rig(), tiny_people((6, 3))
    rig.send(*wrong(sample.rgb))
    assert rig.figures.refused == 1 and not rig.heard["people"]
    assert says in rig.runner.figures.last_refusal and "\n" not in rig.runner.figures.last_refusal
    assert len(rig.show(sample, 3 * SECOND)) == 1


def test_a_scan_without_points_places_nobody(rig, tiny_people) -> None:
    rig = rig(lift="points")
    mount(rig)
    empty = cloud_to_point_cloud2(PointCloud(np.empty((0, 3), np.float32)), header(frame="lidar"))
    rig.send(picture(tiny_people((6, 3)).rgb), points=empty)
    assert len(rig.people) == 1 and np.isnan(rig.people.points).all()
    assert rig.cloud.xyz.shape == (0, 3) and rig.figures.failed == 0


def test_what_cannot_start_says_why(tiny_model) -> None:
    with pytest.raises(ConfigurationError, match="parameter 'model': no model 'openpose_mars': shipped are "):
        KeypointsNode(Parameters(model="openpose_mars"))
    with pytest.raises(ConfigurationError, match="model 'tiny' is for segmentation; needed is keypoints"):
        KeypointsNode(Parameters(model=str(tiny_model())))
