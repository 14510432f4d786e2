"""The simulator node, tick by tick on the in-process bus."""

from collections import defaultdict

import numpy as np
import pytest

from scene_understanding.geometry.transform_buffer import TransformBuffer
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.messages.camera_info import camera_info_to_camera
from scene_understanding.messages.header import stamp_to_ns
from scene_understanding.messages.image import depth_from_image, image_to_array
from scene_understanding.messages.odometry import arrays_to_twist, odometry_to_state
from scene_understanding.messages.people import people_to_arrays
from scene_understanding.messages.point_cloud import point_cloud2_to_cloud
from scene_understanding.messages.transforms import add_tf_message
from scene_understanding.nodes.node import RELIABLE
from scene_understanding.nodes.simulator import BASE, CAMERA, MAP, Parameters, SimulatorNode

SMALL = {"seed": 3, "width": 160, "height": 120}


class Rig:
    def __init__(self, parameters: Parameters, listen: tuple[str, ...] | None = None) -> None:
        self.bus, self.node, self.heard = Bus(), SimulatorNode(parameters), defaultdict(list)
        self.runner = NodeRunner(self.node, self.bus, inline=True)
        for output in self.node.outputs:
            if listen is None or output.name in listen:
                topic = self.runner.names.resolve(output.topic)
                self.bus.subscribe(topic, output.type, RELIABLE, "/test", self._hear(output.name))
        self.runner.start()
        self.cmd_vel = self.bus.advertise("/cmd_vel", "geometry_msgs/msg/Twist", RELIABLE, "/test")

    def _hear(self, name: str):
        return lambda delivery: self.heard[name].append(delivery.message())

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            while self.runner.step():
                pass
            self.runner.tick()
        assert self.runner.statistics()["failed"] == 0, self.runner.figures.last_failure


@pytest.fixture(scope="module")
def rig() -> Rig:
    rig = Rig(Parameters(**SMALL))
    rig.tick(3)
    return rig


def test_every_output_comes_with_every_tick_and_the_latched_ones_once(rig: Rig) -> None:
    counts = {name: len(heard) for name, heard in rig.heard.items()}
    assert counts == {o.name: 1 if o.name in ("tf_static", "truth_labels") else 3 for o in rig.node.outputs}


def test_stamps_are_those_of_the_clock(rig: Rig) -> None:
    clock = [stamp_to_ns(m.clock) for m in rig.heard["clock"]]
    assert clock == [1_000_000_000, 1_100_000_000, 1_200_000_000]
    for name in ("color", "depth", "truth_mask", "points", "odom"):
        assert [stamp_to_ns(m.header.stamp) for m in rig.heard[name]] == clock


def test_the_images_belong_together(rig: Rig) -> None:
    camera = camera_info_to_camera(rig.heard["camera_info"][0]).rectified
    assert (camera.width, camera.height) == (160, 120)
    assert image_to_array(rig.heard["color"][0]).shape == (120, 160, 3)
    mask = image_to_array(rig.heard["truth_mask"][0])
    assert set(np.unique(mask)) <= set(range(13)) | {255}
    truth, measured = (depth_from_image(rig.heard[name][0]) for name in ("truth_depth", "depth"))
    error = np.abs(measured - truth)[np.isfinite(measured) & np.isfinite(truth)]
    assert np.median(error) < 0.05
    assert {c.class_id for c in rig.heard["truth_labels"][0].class_map} == set(range(13))


def test_the_transforms_lead_from_the_map_to_the_sensors(rig: Rig) -> None:
    buffer = TransformBuffer()
    add_tf_message(buffer, rig.heard["tf_static"][0], static=True)
    for message in rig.heard["tf"]:
        add_tf_message(buffer, message)
    stamp_ns = stamp_to_ns(rig.heard["odom"][1].header.stamp)
    truth = odometry_to_state(rig.heard["truth_odom"][1])
    np.testing.assert_allclose(buffer.lookup(MAP, BASE, stamp_ns).matrix, truth.odom_from_base.matrix, atol=1e-6)
    up = buffer.lookup(MAP, CAMERA, stamp_ns).rotation @ np.array([0, -1.0, 0])
    np.testing.assert_allclose(up, [0, 0, 1], atol=1e-6)


def test_lidar_sees_the_room_in_its_own_frame(rig: Rig) -> None:
    cloud = point_cloud2_to_cloud(rig.heard["points"][0])
    distance = np.linalg.norm(cloud.xyz, axis=1)
    assert len(cloud.xyz) > 5000 and 0.2 < distance.min() and distance.max() < 30
    assert cloud.label is not None and (cloud.label < 13).all()
    assert rig.heard["points"][0].header.frame_id == "lidar"


def test_people_are_where_the_camera_sees_them() -> None:
    rig = Rig(Parameters(**{**SMALL, "seed": 5}), listen=("truth_people", "camera_info", "truth_depth"))
    rig.tick(60)
    seen = [people_to_arrays(m) for m in rig.heard["truth_people"]]
    index, people = max(enumerate(seen), key=lambda item: item[1].confidence.sum())
    assert len(people)
    camera = camera_info_to_camera(rig.heard["camera_info"][index]).rectified
    known = people.confidence > 0
    pixels, z = camera.project(people.points[known])
    np.testing.assert_allclose(pixels, people.pixels[known], atol=1e-2)
    assert np.isnan(people.points[~known]).all()
    depth = depth_from_image(rig.heard["truth_depth"][index])
    u, v = pixels.round().astype(int).clip(0, (159, 119)).T
    assert np.median(np.abs(depth[v, u] - z)) < 0.25


def test_it_obeys_cmd_vel_and_stops_when_no_more_come() -> None:
    rig = Rig(Parameters(**SMALL, wander=False), listen=("truth_odom",))
    rig.tick()
    for _ in range(5):
        rig.cmd_vel.publish(arrays_to_twist(np.zeros(3), np.array([0, 0, 0.8])))
        rig.tick()
    rig.tick(15)
    yaws = np.unwrap([odometry_to_state(m).odom_from_base.yaw for m in rig.heard["truth_odom"]])
    assert yaws[0] == pytest.approx(yaws[1], abs=0.2)
    assert yaws[-1] - yaws[0] > 0.3
    assert yaws[-1] == pytest.approx(yaws[-5])


def test_it_wanders_when_nobody_commands() -> None:
    rig = Rig(Parameters(**SMALL), listen=("truth_odom",))
    rig.tick(100)
    places = np.array([odometry_to_state(m).odom_from_base.translation for m in rig.heard["truth_odom"]])
    assert np.linalg.norm(np.diff(places, axis=0), axis=1).sum() > 1.0
    assert rig.runner.statistics()["reported"]["collisions"] == 0


def test_nothing_is_rendered_for_nobody() -> None:
    rig = Rig(Parameters(**SMALL), listen=("clock", "tf"))
    rig.tick(3)
    assert set(rig.runner.statistics()["outputs"]) == {"clock", "tf", "odom", "truth_odom", "tf_static", "truth_labels"}
    assert "render" not in rig.runner.statistics()["stages"]


def test_camera_info_alone_needs_no_rendering() -> None:
    rig = Rig(Parameters(**SMALL), listen=("camera_info",))
    rig.tick(2)
    camera = camera_info_to_camera(rig.heard["camera_info"][1]).rectified
    assert len(rig.heard["camera_info"]) == 2 and (camera.width, camera.height) == (160, 120)
    assert stamp_to_ns(rig.heard["camera_info"][1].header.stamp) == 1_100_000_000
    assert "render" not in rig.runner.statistics()["stages"]


def test_what_is_latched_survives_a_first_picture_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(Parameters(**SMALL))
    with monkeypatch.context() as broken:
        broken.setattr(rig.node._simulator, "observe", lambda: 1 / 0)
        rig.runner.tick()
    assert not rig.heard["tf_static"] and rig.runner.statistics()["failed"] == 1
    for _ in range(2):
        rig.runner.tick()
    assert len(rig.heard["tf_static"]) == len(rig.heard["truth_labels"]) == 1
    assert len(rig.heard["color"]) == 2


def test_the_same_seed_gives_the_same_pixels() -> None:
    pictures = []
    for _ in range(2):
        rig = Rig(Parameters(**SMALL), listen=("color",))
        rig.tick(4)
        pictures.append(image_to_array(rig.heard["color"][-1]))
    np.testing.assert_array_equal(*pictures)
