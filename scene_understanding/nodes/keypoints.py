"""Keypoints node: colour, camera_info, depth or a LiDAR's cloud in; people with their joints in pixels and metres out.

They keep their ids from image to image, and the cloud comes with their points marked, or without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import PinholeCamera, PointCloud, Pose, TransformError
from scene_understanding.inference.card import ModelError
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find
from scene_understanding.labels import load_label_set
from scene_understanding.messages.header import copy_header, stamp_to_ns
from scene_understanding.messages.image import array_to_image
from scene_understanding.messages.label_info import label_set_to_label_info
from scene_understanding.messages.people import (
    PeopleArrays,
    arrays_to_people,
    bodies_to_markers,
    headings_to_markers,
    people_to_marker_array,
)
from scene_understanding.messages.point_cloud import cloud_to_point_cloud2, point_cloud2_to_cloud
from scene_understanding.messages.types import MarkerArray
from scene_understanding.nodes.node import LATCHED, ConfigurationError, Context, Input, Node, Output, Synchronised
from scene_understanding.nodes.parameters import parameter
from scene_understanding.nodes.rgbd import CAMERA_INFO, IMAGE, TRANSPORTS, Calibration, RgbdImages
from scene_understanding.perception.body import Capsules, capsules, heading
from scene_understanding.perception.keypoints import DecodeParameters
from scene_understanding.perception.lifting import lift_by_cloud, lift_by_depth
from scene_understanding.perception.people_points import owners, with_people_marked, without_people
from scene_understanding.perception.people_tracker import PeopleTracker, TrackerParameters
from scene_understanding.perception.pose_estimator import PoseEstimator, check_card
from scene_understanding.perception.skeleton_drawing import draw_skeletons
from scene_understanding.perception.skeletons import Skeletons

DEFAULT_MODEL = "openpose"
CLOUD = "sensor_msgs/msg/PointCloud2"
OF_POINTS = ("points", "label_info")
"""Outputs that there are none of where nothing but the image is known."""
UP = (0.0, -1.0, 0.0)
"""In the optical frame of a camera that is level."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of the keypoints node."""

    model: str = parameter(DEFAULT_MODEL, "name of a shipped model, or folder with a model.yaml")
    provider: str = parameter("auto", "ONNX Runtime provider", choices=("auto", "cpu", "cuda", "tensorrt"))
    threads: int = parameter(0, "threads of the network on the CPU; 0: as many as cores", bounds=(0, 256))
    image_transport: str = parameter(
        "raw", "compressed: topics end in /compressed and /compressedDepth", choices=TRANSPORTS
    )
    rectified: bool = parameter(True, "images are rectified (camera_info P); off: raw images (camera_info K and D)")
    lift: str = parameter(
        "depth", "what puts people into space: depth images, points of a LiDAR (with /tf), or nothing",
        choices=("none", "depth", "points"),
    )  # fmt: skip
    slop: float = parameter(
        0.02, "largest difference between the stamps of colour and depth or points, seconds", bounds=(0.0, 1.0)
    )
    peak_threshold: float = parameter(
        DecodeParameters.peak_threshold, "a keypoint is where the network is surer than this",
        bounds=(0.0, 1.0), runtime=True,
    )  # fmt: skip
    limb_threshold: float = parameter(
        DecodeParameters.limb_threshold, "keypoints are joined where the network is surer than this of the way between",
        bounds=(0.0, 1.0), runtime=True,
    )  # fmt: skip
    min_keypoints: int = parameter(
        DecodeParameters.min_keypoints, "people with fewer keypoints are dropped", bounds=(1, 18), runtime=True
    )
    min_score: float = parameter(
        DecodeParameters.min_score, "people less sure than this are dropped", bounds=(0.0, 1.0), runtime=True
    )
    second_look: int = parameter(
        0, "so many small people an image are cut out and looked at again; each takes another run of the network",
        bounds=(0, 64), runtime=True,
    )  # fmt: skip
    track: bool = parameter(True, "give people ids that stay, and smooth their joints over time", runtime=True)
    max_age: float = parameter(
        TrackerParameters.max_age, "somebody not seen for longer is somebody new, seconds",
        bounds=(0.0, 60.0), runtime=True,
    )  # fmt: skip
    min_cutoff: float = parameter(
        TrackerParameters.min_cutoff, "cutoff of the smoothing of what is still, Hz; higher: more jitter, less lag",
        bounds=(0.001, 1000.0), runtime=True,
    )  # fmt: skip
    beta_pixels: float = parameter(
        TrackerParameters.beta_pixels, "Hz by which it rises with the speed of a keypoint, a person's size a second",
        bounds=(0.0, 1000.0), runtime=True,
    )  # fmt: skip
    beta_points: float = parameter(
        TrackerParameters.beta_points, "Hz by which it rises with the speed of a joint in space, a metre a second",
        bounds=(0.0, 1000.0), runtime=True,
    )  # fmt: skip
    people_in_points: str = parameter(
        "mark", "the points of people get label and instance, or are removed", choices=("mark", "remove"), runtime=True
    )
    margin: float = parameter(
        0.15, "points up to this far outside of a body are of the person too, metres", bounds=(0.0, 1.0), runtime=True
    )
    label_set: str = parameter(
        "nyu40", "whose id of a person the points get", choices=("nyu40", "sunrgbd37", "cityscapes19")
    )

    @property
    def decoding(self) -> DecodeParameters:
        return DecodeParameters(
            peak_threshold=self.peak_threshold, limb_threshold=self.limb_threshold,
            min_keypoints=self.min_keypoints, min_score=self.min_score,
        )  # fmt: skip

    @property
    def tracking(self) -> TrackerParameters:
        return TrackerParameters(
            max_age=self.max_age, min_cutoff=self.min_cutoff, beta_pixels=self.beta_pixels, beta_points=self.beta_points
        )


@dataclass(frozen=True, eq=False)
class Sight:
    """What is known of one moment.

    Attributes:
        color: (H, W, 3) uint8 RGB.
        camera: of the image, lens aside.
        depth: (H, W) float32, metres, NaN where unknown; None without.
        cloud: of the LiDAR, in its frame, with `camera_from_cloud`; None without.
    """

    color: NDArray[np.uint8]
    camera: PinholeCamera
    depth: NDArray[np.float32] | None = None
    cloud: PointCloud | None = None
    camera_from_cloud: Pose = Pose.identity()


class KeypointsNode(Node):
    """Everybody in the image: COCO-18 keypoints, joints in metres in its optical frame, an id; skeletons and bodies.

    `~/points` are those of the depth image, organised and coloured, or those of the LiDAR, in its frame and with its
    stamp. Somebody who has no joints in space is not in them.

    In /diagnostics: `people`, and `joints_placed`, the share of the keypoints in the image that got a place in space.
    """

    name = "keypoints"
    parameters_type = Parameters
    outputs: tuple[Output, ...] = (
        Output("people", "~/people", "scene_understanding/msg/People"),
        Output("markers", "~/markers", "visualization_msgs/msg/MarkerArray"),
        Output("overlay", "~/overlay", IMAGE),
        Output("points", "~/points", CLOUD),
        Output("label_info", "~/label_info", "vision_msgs/msg/LabelInfo", LATCHED),
    )

    def __init__(self, parameters: Parameters | None = None) -> None:
        super().__init__(parameters)
        try:
            self._card = find(self.parameters.model)
            check_card(self._card)
        except ModelError as error:
            raise ConfigurationError(f"parameter 'model': {error}") from error
        self._images = RgbdImages(self.parameters.image_transport)
        self._calibration = Calibration(self.parameters.rectified)
        self._labels = load_label_set(self.parameters.label_set)
        self._tracker = PeopleTracker(self.parameters.tracking)
        self._estimator: PoseEstimator | None = None
        self._announced = False
        self._lacking = 0
        self.inputs = self._declared_inputs()
        self.uses_transforms = self.parameters.lift == "points"
        if self.parameters.lift == "none":
            self.outputs = tuple(output for output in self.outputs if output.name not in OF_POINTS)

    def _declared_inputs(self) -> tuple[Input | Synchronised, ...]:
        color = self._images.color_input()
        if self.parameters.lift == "none":
            return color, CAMERA_INFO
        points = Input("points", "points", CLOUD, required=False)
        other = points if self.parameters.lift == "points" else self._images.depth_input(required=False)
        return Synchronised((color, other), self.parameters.slop), CAMERA_INFO

    def configure(self, context: Context) -> None:
        try:
            network = OnnxRuntimeNetwork(self._card, self.parameters.provider, self.parameters.threads)
        except ModelError as error:
            raise ConfigurationError(str(error)) from error
        self._estimator = PoseEstimator(network, self.parameters.decoding, self.parameters.second_look)
        context.report(model=self._card.name, provider=network.provider, precision=network.precision)

    def reconfigure(self, parameters: Any) -> None:
        super().reconfigure(parameters)
        self._tracker.parameters = parameters.tracking
        if self._estimator is not None:
            self._estimator.parameters = parameters.decoding
            self._estimator.second_look = parameters.second_look

    def reset(self) -> None:
        self._tracker = PeopleTracker(self.parameters.tracking)
        self._announced = False
        self._lacking = 0

    def process(self, messages: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
        out = self._announcement(messages["color"].header)
        wanted = {o.name for o in self.outputs if o.name != "label_info" and context.wanted(o.name)}
        if wanted:
            out |= self._found(messages, wanted, context)
        self._announced = True
        return out

    def _announcement(self, header: Any) -> dict[str, Any]:
        """The label_info of the first image; it is latched, so once is enough."""
        if self._announced or self.parameters.lift == "none":
            return {}
        return {"label_info": label_set_to_label_info(self._labels, copy_header(header))}

    def _found(self, messages: Mapping[str, Any], wanted: set[str], context: Context) -> dict[str, Any]:
        assert self._estimator is not None
        with context.stage("decode"):
            sight = self._decode(messages, context)
            inputs = self._estimator.prepare(sight.color)
        with context.stage("infer"):
            outputs = self._estimator.infer(inputs)
        with context.stage("decide"):
            found = self._estimator.decide(outputs, sight.color.shape)
        with context.stage("look_again"):
            found = self._estimator.look_again(sight.color, found)
        with context.stage("lift"):
            joints = self._lifted(found.pixels, sight, messages["camera_info"])
        with context.stage("track"):
            people = self._tracked(found, joints, stamp_to_ns(messages["color"].header.stamp))
        seen, placed = (np.isfinite(values).all(-1).sum() for values in (people.pixels, people.points))
        context.report(people=len(people), joints_placed=float(placed / seen) if seen else nan)
        with context.stage("encode"):
            return self._encode(messages, sight, people, wanted)

    def _decode(self, messages: Mapping[str, Any], context: Context) -> Sight:
        """Raises InputError: sizes that do not fit together."""
        color = self._images.color(messages["color"])
        camera = self._calibration.camera(messages["camera_info"], color.shape)
        lift = self.parameters.lift
        if lift == "none":
            return Sight(color, camera)
        self._lacking = 0 if lift in messages else self._lacking + 1
        if self._lacking:
            if self._lacking > 1:  # the first image may come before what belongs to it
                context.warn(f"no {lift} came with the image: people have no place in space (see lift, slop)")
            return Sight(color, camera)
        if lift == "depth":
            return Sight(color, camera, self._images.depth(messages["depth"], color.shape))
        header, of_cloud = messages["color"].header, messages["points"].header
        try:
            pose = context.transforms.lookup(header.frame_id, of_cloud.frame_id, stamp_to_ns(of_cloud.stamp))
        except TransformError as error:
            context.warn(f"people have no place in space: {error}")
            return Sight(color, camera)
        return Sight(color, camera, cloud=point_cloud2_to_cloud(messages["points"]), camera_from_cloud=pose)

    def _lifted(self, pixels: NDArray[np.float32], sight: Sight, camera_info: Any) -> NDArray[np.float32] | None:
        """(N, 18, 3) joints in metres of keypoints (N, 18, 2); None where nothing tells."""
        straight = self._calibration.straight(camera_info, sight.color.shape, pixels)
        if sight.cloud is not None:
            cloud = sight.cloud.xyz.reshape(-1, 3)
            return lift_by_cloud(straight, cloud, sight.camera_from_cloud, sight.camera)
        if sight.depth is None:
            return None
        joints = lift_by_depth(pixels, sight.depth, sight.camera)
        focal_length = np.array([sight.camera.fx, sight.camera.fy], np.float32)
        joints[..., :2] += joints[..., 2:] * (straight - pixels) / focal_length  # onto the rays that the lens bends
        return joints

    def _tracked(self, found: Skeletons, joints: NDArray[np.float32] | None, stamp_ns: int) -> PeopleArrays:
        ids = np.zeros(len(found), np.uint32)
        if self.parameters.track:
            ids, found, joints = self._tracker.update(found, joints, stamp_ns)
        if joints is None:
            joints = np.full((*found.confidence.shape, 3), np.nan, np.float32)
        return PeopleArrays(found.pixels, joints, found.confidence, found.score, ids)

    def _encode(
        self, messages: Mapping[str, Any], sight: Sight, people: PeopleArrays, wanted: set[str]
    ) -> dict[str, Any]:
        header = copy_header(messages["color"].header)
        bodies = capsules(people.points)
        out: dict[str, Any] = {}
        if "people" in wanted:
            out["people"] = arrays_to_people(people, header)
        if "markers" in wanted:
            out["markers"] = markers(people, bodies, header)
        if "overlay" in wanted:
            skeletons = Skeletons(people.pixels, people.confidence, people.score)
            out["overlay"] = array_to_image(draw_skeletons(sight.color, skeletons), "rgb8", header)
        if "points" in wanted:
            out |= self._points(messages, sight, people, bodies)
        return out

    def _points(
        self, messages: Mapping[str, Any], sight: Sight, people: PeopleArrays, bodies: Capsules
    ) -> dict[str, Any]:
        """The cloud as `people_in_points` wants it; nothing where there is none."""
        if sight.cloud is not None:
            cloud, header = sight.cloud, messages["points"].header
            xyz = sight.camera_from_cloud.apply(cloud.xyz)
        elif sight.depth is not None:
            xyz = self._calibration.rays(messages["camera_info"], sight.color.shape) * sight.depth[..., None]
            cloud, header = PointCloud(xyz, sight.color), messages["color"].header
        else:
            return {}
        owner = owners(bodies, xyz, self.parameters.margin)
        if self.parameters.people_in_points == "remove":
            cloud = without_people(cloud, owner)
        else:
            cloud = with_people_marked(cloud, owner, people.ids, people.score, self._labels.id_of("person"))
        return {"points": cloud_to_point_cloud2(cloud, copy_header(header))}


def markers(people: PeopleArrays, bodies: Capsules, header: Any) -> MarkerArray:
    """Skeletons, bodies and headings; the latter of a camera that is level."""
    shown = people_to_marker_array(people, header)
    shown.markers += bodies_to_markers(bodies.start, bodies.end, bodies.radius, header)
    shown.markers += headings_to_markers(people.positions, heading(people.points, UP), header)
    return shown
