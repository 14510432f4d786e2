"""LiDAR segmentation node: a LiDAR's cloud in, the same with classes out; by a camera's mask, by SnapNet, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import PointCloud, Pose
from scene_understanding.inference.card import ModelError
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find
from scene_understanding.labels import UNLABELLED, LabelSet
from scene_understanding.messages.header import copy_header, stamp_to_ns
from scene_understanding.messages.label_info import label_info_to_label_set, label_set_to_label_info
from scene_understanding.messages.point_cloud import cloud_to_point_cloud2, measured, point_cloud2_to_cloud
from scene_understanding.nodes.lidar_scan import points_at_rest
from scene_understanding.nodes.mask_views import MaskView, MaskViews
from scene_understanding.nodes.node import (
    LATCHED,
    ConfigurationError,
    Context,
    Input,
    InputError,
    Node,
    Output,
)
from scene_understanding.nodes.parameters import parameter
from scene_understanding.perception.camera_labels import CameraLabelParameters, label_from_camera
from scene_understanding.perception.rolling_cloud import RollingCloud, RollingCloudParameters
from scene_understanding.perception.rolling_snapnet import RollingSnapNet
from scene_understanding.perception.snapnet import SnapNet

DEFAULT_MODEL = "snapnet_embedded13"
CLOUD, LABELS = "sensor_msgs/msg/PointCloud2", "vision_msgs/msg/LabelInfo"
POINTS = Input("points", "points", CLOUD)
SNAPSHOT_WEIGHT = 0.25
"""Of a vote of a snapshot beside one of the camera's mask, which sees colour."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of the LiDAR segmentation node."""

    method: str = parameter(
        "camera", "what labels the points: a camera's mask, SnapNet on the points alone, or both",
        choices=("camera", "snapnet", "both"),
    )  # fmt: skip
    fixed_frame: str = parameter(
        "map", "frame that does not move, z up, in which scans are gathered; odom where map jumps"
    )
    sweep: float = parameter(
        0.1, "seconds that a revolution takes that ends at the stamp, for clouds without times of their points; "
        "0: all points are of the stamp", bounds=(0.0, 1.0),
    )  # fmt: skip
    use_depth: bool = parameter(True, "subscribe to the camera's depth: it tells what hides what; off: the points do")
    rectified: bool = parameter(True, "the mask is of rectified images (camera_info P); off: of raw ones (K and D)")
    slop: float = parameter(0.02, "largest difference between the stamps of mask and depth, seconds", bounds=(0.0, 1.0))
    max_age: float = parameter(
        0.5, "largest difference between the stamps of mask and points, seconds", bounds=(0.0, 10.0), runtime=True
    )
    tolerance: float = parameter(
        CameraLabelParameters.tolerance, "a point is what its pixel shows if their depths differ by less, metres",
        bounds=(0.0, 1000.0), runtime=True,
    )  # fmt: skip
    relative_tolerance: float = parameter(
        CameraLabelParameters.relative, "the same, as a share of the depth; the larger one counts",
        bounds=(0.0, 1.0), runtime=True,
    )  # fmt: skip
    min_confidence: float = parameter(
        0.0, "points less certain than this are unlabelled (255)", bounds=(0.0, 1.0), runtime=True
    )
    reach: float = parameter(
        0.3, "points that nothing sees now have the class of what was labelled this near to them, metres; 0: none",
        bounds=(0.0, 5.0), runtime=True,
    )  # fmt: skip
    deskew: bool = parameter(
        True, "points are published where they are at the stamp: what the LiDAR moved during the scan is undone",
        runtime=True,
    )  # fmt: skip
    voxel: float = parameter(
        RollingCloudParameters.voxel, "side of the voxels that remember classes, metres", bounds=(0.01, 2.0)
    )
    memory: float = parameter(20.0, "what was not measured for longer is forgotten, seconds", bounds=(0.1, 600.0))
    radius: float = parameter(
        RollingCloudParameters.radius, "what is further away is forgotten, metres", bounds=(1.0, 200.0)
    )
    max_points: int = parameter(RollingCloudParameters.max_points, "so many voxels at most", bounds=(1000, 5_000_000))
    model: str = parameter(DEFAULT_MODEL, "of SnapNet: name of a shipped model, or folder with a model.yaml")
    provider: str = parameter("auto", "ONNX Runtime provider", choices=("auto", "cpu", "cuda", "tensorrt"))
    threads: int = parameter(0, "threads of the network on the CPU; 0: as many as cores", bounds=(0, 256))
    snapshots: int = parameter(4, "of SnapNet, each time", bounds=(1, 1000), runtime=True)
    snapshot_period: float = parameter(1.0, "seconds between times of SnapNet", bounds=(0.05, 60.0))

    @property
    def projection(self) -> CameraLabelParameters:
        return CameraLabelParameters(self.tolerance, self.relative_tolerance)

    @property
    def rolling(self) -> RollingCloudParameters:
        return RollingCloudParameters(self.voxel, self.memory, self.radius, self.max_points)


class LidarSegmentationNode(Node):
    """A class for every point, in the frame and with the stamp of the LiDAR.

    What is labelled once, by the mask or by a snapshot, stays so in a rolling cloud of the surroundings: points that
    nothing sees now have the class that was there. Labels that come with the points are not looked at.

    In /diagnostics: `labelled`, the share of the points that have a class; `from_camera`, of those that have it from
    the newest mask; `voxels`, the size of the memory; `shown`, how many of them the last snapshots showed.
    """

    name = "lidar_segmentation"
    parameters_type = Parameters
    uses_transforms = True
    outputs = (Output("points", "~/points", CLOUD), Output("label_info", "~/label_info", LABELS, LATCHED))

    def __init__(self, parameters: Parameters | None = None) -> None:
        super().__init__(parameters)
        self._by_camera, self._by_snapnet = (self.parameters.method in (way, "both") for way in ("camera", "snapnet"))
        p = self.parameters
        self._views = MaskViews(p.fixed_frame, p.use_depth, p.rectified, p.slop)
        self.inputs = (POINTS, *(self._views.inputs if self._by_camera else ()))
        self.period = self.parameters.snapshot_period if self._by_snapnet else None
        if self._by_snapnet:
            try:
                self._card = find(self.parameters.model)
            except ModelError as error:
                raise ConfigurationError(f"parameter 'model': {error}") from error
        self._snapnet: RollingSnapNet | None = None
        self._forget()

    def _forget(self) -> None:
        self._view: MaskView | None = None
        self._labels: LabelSet | None = None
        self._announced = False
        self._cloud = RollingCloud(0)

    def configure(self, context: Context) -> None:
        if not self._by_snapnet:
            return
        try:
            network = OnnxRuntimeNetwork(self._card, self.parameters.provider, self.parameters.threads)
            snapnet = SnapNet(network)
        except ModelError as error:
            raise ConfigurationError(str(error)) from error
        if snapnet.needs_color:
            raise ConfigurationError(f"model '{self._card.name}' needs colour, which a LiDAR has not")
        self._snapnet = RollingSnapNet(snapnet, SNAPSHOT_WEIGHT if self._by_camera else 1.0)
        context.report(model=self._card.name, provider=network.provider, precision=network.precision)

    def reconfigure(self, parameters: Any) -> None:
        super().reconfigure(parameters)
        self._announced = False  # label_info holds the threshold

    def reset(self) -> None:
        self._forget()

    def process(self, messages: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
        if "mask" in messages:
            with context.stage("look"):
                self._view = self._views.view(messages, context)
            return {}
        out = self._announcement(messages)
        if context.wanted("points"):
            out["points"] = self._labelled(messages["points"], context)
        self._announced = True  # not before: what is latched would be lost with a cloud that is refused
        return out

    def tick(self, context: Context) -> Mapping[str, Any]:
        """Snapshots, between the scans: those do not wait for the network."""
        if self._snapnet is not None and len(self._cloud):
            with context.stage("snapshots"):
                shown = self._snapnet.look(self._cloud, self.parameters.snapshots)
            context.report(shown=shown)
        return {}

    def _announcement(self, messages: Mapping[str, Any]) -> dict[str, Any]:
        """The label_info, latched, where it is new. With other classes the memory begins anew."""
        labels = self._label_set(messages)
        if self._labels is None or not self._labels.same_classes(labels):
            self._labels, self._announced = labels, False
            self._column = np.full(1 + np.iinfo(np.uint16).max, -1, np.intp)
            self._column[list(labels.ids)] = np.arange(len(labels))
            self._cloud = RollingCloud(len(labels), self.parameters.rolling)
        if self._announced:
            return {}
        header = copy_header(messages["points"].header)
        return {"label_info": label_set_to_label_info(labels, header, self.parameters.min_confidence)}

    def _label_set(self, messages: Mapping[str, Any]) -> LabelSet:
        """Raises InputError: mask and SnapNet have different classes."""
        of_snapnet = None if self._snapnet is None else self._snapnet.snapnet.labels
        if not self._by_camera:
            assert of_snapnet is not None
            return of_snapnet
        of_mask = label_info_to_label_set(messages["label_info"])
        if of_snapnet is not None and not of_mask.same_classes(of_snapnet):
            raise InputError(
                f"the mask has classes {', '.join(of_mask.names)}; "
                f"model '{self._card.name}' has {', '.join(of_snapnet.names)}"
            )
        return of_mask

    def _labelled(self, message: Any, context: Context) -> Any:
        """The points of a message with labels and confidences."""
        stamp_ns = stamp_to_ns(message.header.stamp)

        def fixed_from_lidar_at(at_ns: int) -> Pose:
            return context.transforms.lookup(self.parameters.fixed_frame, message.header.frame_id, at_ns)

        with context.stage("place"):
            cloud = point_cloud2_to_cloud(message)
            valid = measured(cloud.xyz)
            fixed = points_at_rest(message, cloud.xyz, valid, self.parameters.sweep, fixed_from_lidar_at)
            fixed_from_lidar = fixed_from_lidar_at(stamp_ns)
        with context.stage("project"):
            label, confidence = self._by_mask(fixed, stamp_ns, context)
        seen = np.flatnonzero(label != UNLABELLED)
        with context.stage("remember"):
            voxel = self._cloud.add(fixed, stamp_ns, fixed_from_lidar.translation)
            kept = seen[voxel[seen] >= 0]
            self._cloud.vote(voxel[kept], self._column[label[kept]], confidence[kept])
        with context.stage("recall"):
            self._recall(fixed, label, confidence)
        with context.stage("encode"):
            label[confidence < self.parameters.min_confidence] = UNLABELLED
            share = float((label != UNLABELLED).mean()) if len(label) else 0.0
            context.report(labelled=share, from_camera=len(seen) / max(len(label), 1), voxels=len(self._cloud))
            if self.parameters.deskew:
                cloud = replace(cloud, xyz=_moved(cloud.xyz, valid, fixed_from_lidar.inverse().apply(fixed)))
            return cloud_to_point_cloud2(_with_labels(cloud, valid, label, confidence), copy_header(message.header))

    def _by_mask(
        self, fixed: NDArray[np.float32], stamp_ns: int, context: Context
    ) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
        """Labels and confidences (N,) of points in the fixed frame by the newest mask; 255 if it is too old."""
        view, nothing = self._view, np.full(len(fixed), UNLABELLED, np.uint16)
        if view is None:
            return nothing, np.zeros(len(fixed), np.float32)
        age = (stamp_ns - view.stamp_ns) * 1e-9
        if abs(age) > self.parameters.max_age:
            context.warn(
                f"the newest mask is {age:.2f} s older than the points (see max_age): labels are remembered ones"
            )
            return nothing, np.zeros(len(fixed), np.float32)
        xyz, projection = view.fixed_from_camera.inverse().apply(fixed), self.parameters.projection
        label, confidence = label_from_camera(xyz, view.camera, view.mask, view.confidence, view.depth, projection)
        unknown = self._column[label] < 0
        label[unknown], confidence[unknown] = UNLABELLED, 0
        return label, confidence

    def _recall(self, fixed: NDArray[np.float32], label: NDArray[np.uint16], confidence: NDArray[np.float32]) -> None:
        """Gives points that have no label that of what is near to them in the memory."""
        assert self._labels is not None
        if self.parameters.reach == 0:
            return
        rest = np.flatnonzero(label == UNLABELLED)
        column, certainty = self._cloud.recall(fixed[rest], self.parameters.reach)
        known = column >= 0
        label[rest[known]] = np.array(self._labels.ids, np.uint16)[column[known]]
        confidence[rest[known]] = certainty[known]


def _moved(xyz: NDArray[np.float32], valid: NDArray[np.bool_], places: NDArray[np.float32]) -> NDArray[np.float32]:
    """The points of a cloud with the measured ones at other places (N, 3)."""
    moved = xyz.copy()
    moved[valid] = places
    return moved


def _with_labels(
    cloud: PointCloud, valid: NDArray[np.bool_], label: NDArray[np.uint16], confidence: NDArray[np.float32]
) -> PointCloud:
    """The cloud with labels and confidences of its measured points; the others have none. Its colours stay."""
    labels, confidences = np.full(valid.shape, UNLABELLED, np.uint16), np.zeros(valid.shape, np.float32)
    labels[valid], confidences[valid] = label, confidence
    return PointCloud(cloud.xyz, cloud.rgb, labels, confidences)
