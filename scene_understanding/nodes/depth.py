"""Depth node: colour and camera_info in; a depth for every pixel, its uncertainty and a cloud out.

Where there is a depth camera too, its holes are filled with what the network sees, and the ratio of the two scales
tells when one of them is off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry.point_cloud import PointCloud
from scene_understanding.inference.card import ModelError
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find
from scene_understanding.messages.header import copy_header, stamp_to_ns
from scene_understanding.messages.image import array_to_image
from scene_understanding.messages.point_cloud import cloud_to_point_cloud2
from scene_understanding.nodes.node import ConfigurationError, Context, Node, Output, Synchronised
from scene_understanding.nodes.parameters import ParameterError, parameter
from scene_understanding.nodes.rgbd import CAMERA_INFO, IMAGE, TRANSPORTS, Calibration, RgbdImages
from scene_understanding.perception.depth_estimator import DepthEstimate, DepthEstimator, check_card, tells_deviation
from scene_understanding.perception.measured_depth import ScaleDrift, filled, scale_ratio

DEFAULT_MODEL = "d3net_nyu"
COMPARED_EVERY_NS = 10**9
UNUSUAL = 2.0
"""Focal lengths further from the network's than this factor are told: it has learnt nothing like these images."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of the depth node."""

    model: str = parameter(DEFAULT_MODEL, "name of a shipped model, or folder with a model.yaml")
    provider: str = parameter("auto", "ONNX Runtime provider", choices=("auto", "cpu", "cuda", "tensorrt"))
    threads: int = parameter(0, "threads of the network on the CPU; 0: as many as cores", bounds=(0, 256))
    passes: int = parameter(
        1, "more than 1: depth is the mean of so many passes with dropout, depth_std their deviation (and what the "
        "network expects, if it does)", bounds=(1, 64), runtime=True,
    )  # fmt: skip
    image_transport: str = parameter(
        "raw", "compressed: topics end in /compressed and /compressedDepth", choices=TRANSPORTS
    )
    rectified: bool = parameter(True, "images are rectified (camera_info P); off: raw images (camera_info K and D)")
    use_measured_depth: bool = parameter(False, "subscribe to measured depth too: for depth_filled and scale_ratio")
    slop: float = parameter(
        0.02, "largest difference between the stamps of colour and measured depth, seconds", bounds=(0.0, 1.0)
    )
    drift_time: float = parameter(
        60.0, "time constant of the average that scale_drift is told against, seconds", bounds=(1.0, 86400.0)
    )


class DepthNode(Node):
    """Metres along z for every pixel, in the frame and with the stamp of the colour image.

    In /diagnostics: `focal_scale`, the camera's focal length over the network's, by which depth is multiplied; with
    measured depth `scale_ratio`, the median of measured over predicted depth of the last image, `scale_ratio_average`,
    its average with the time constant `drift_time`, and `scale_drift`, the one over the other minus 1; NaN where none
    came. Where nobody wants depth they are of one image a second. There is no `~/depth_filled` without measured depth.
    """

    name = "depth"
    parameters_type = Parameters
    outputs: tuple[Output, ...] = (
        Output("depth", "~/depth", IMAGE),
        Output("depth_std", "~/depth_std", IMAGE),
        Output("camera_info", "~/camera_info", "sensor_msgs/msg/CameraInfo"),
        Output("points", "~/points", "sensor_msgs/msg/PointCloud2"),
        Output("depth_filled", "~/depth_filled", IMAGE),
    )

    def __init__(self, parameters: Parameters | None = None) -> None:
        super().__init__(parameters)
        try:
            self._card = find(self.parameters.model)
            check_card(self._card, self.parameters.passes)
        except ModelError as error:
            raise ConfigurationError(f"parameter 'model': {error}") from error
        self._images = RgbdImages(self.parameters.image_transport)
        self._calibration = Calibration(self.parameters.rectified)
        color, measured = self._images.color_input(), self._images.depth_input(required=False)
        if self.parameters.use_measured_depth:
            self.inputs = Synchronised((color, measured), self.parameters.slop), CAMERA_INFO
        else:
            self.inputs = color, CAMERA_INFO
            self.outputs = tuple(output for output in self.outputs if output.name != "depth_filled")
        self._estimator: DepthEstimator | None = None
        self._scale = ScaleDrift(self.parameters.drift_time)
        self._compared_ns = 0
        self._focal_scale = nan
        self._told_of_passes = False

    def configure(self, context: Context) -> None:
        try:
            network = OnnxRuntimeNetwork(self._card, self.parameters.provider, self.parameters.threads)
            self._estimator = DepthEstimator(network, self.parameters.passes)
        except ModelError as error:
            raise ConfigurationError(str(error)) from error
        context.report(model=self._card.name, provider=network.provider, precision=network.precision)

    def reconfigure(self, parameters: Any) -> None:
        try:
            check_card(self._card, parameters.passes)
        except ModelError as error:
            raise ParameterError(f"parameter 'passes': {error}") from error
        super().reconfigure(parameters)
        self._told_of_passes = False
        if self._estimator is not None:
            self._estimator = DepthEstimator(self._estimator.network, parameters.passes)

    def reset(self) -> None:
        self._scale = ScaleDrift(self.parameters.drift_time)
        self._compared_ns = 0

    def process(self, messages: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
        wanted = self._wanted(context)
        out = self._estimated(messages, wanted, context) if wanted or self._compares(messages) else {}
        if context.wanted("camera_info"):
            out["camera_info"] = replace(messages["camera_info"], header=copy_header(messages["color"].header))
        return out

    def _compares(self, messages: Mapping[str, Any]) -> bool:
        """Whether the scales are to be compared though nobody wants depth: once a second is enough then."""
        if "depth" not in messages:
            return False
        age = stamp_to_ns(messages["color"].header.stamp) - self._compared_ns
        return not 0 <= age < COMPARED_EVERY_NS

    def _wanted(self, context: Context) -> set[str]:
        """Those of the outputs that need the network and can be made; that depth_std cannot is told once."""
        wanted = {o.name for o in self.outputs if o.name != "camera_info" and context.wanted(o.name)}
        if "depth_std" in wanted and not tells_deviation(self._card, self.parameters.passes):
            wanted.remove("depth_std")
            if not self._told_of_passes:
                self._told_of_passes = True
                context.warn("depth_std is wanted, but passes is 1; a deviation takes 2 or more")
        return wanted

    def _estimated(self, messages: Mapping[str, Any], wanted: set[str], context: Context) -> dict[str, Any]:
        assert self._estimator is not None
        with context.stage("decode"):
            color = self._images.color(messages["color"])
            camera = self._calibration.camera(messages["camera_info"], color.shape)
            measured = self._images.depth(messages["depth"], color.shape) if "depth" in messages else None
            inputs = self._estimator.prepare(color)
        self._tell_focal_scale(self._estimator.focal_scale(camera), context)
        with context.stage("infer"):
            outputs = self._estimator.infer(inputs)
        with context.stage("decide"):
            estimate = self._estimator.decide(outputs, camera, camera.shape)
        whole = None
        if measured is not None:
            with context.stage("compare"):
                whole = self._compared(measured, estimate, messages["color"].header, wanted, context)
        elif self.parameters.use_measured_depth:
            context.report(scale_ratio=nan, scale_drift=nan)
            if "depth_filled" in wanted:
                context.warn("depth_filled is wanted, but no measured depth came with the image")
        with context.stage("encode"):
            return self._encode(messages, color, estimate, whole, wanted)

    def _tell_focal_scale(self, scale: float, context: Context) -> None:
        """Says a new focal length in diagnostics, and a warning where the network has learnt nothing like it."""
        if scale == self._focal_scale:
            return
        self._focal_scale = scale
        context.report(focal_scale=scale)
        if not 1 / UNUSUAL <= scale <= UNUSUAL:
            context.warn(
                f"the camera's focal length is {scale:.2f} times that of model '{self._card.name}' "
                f"({self._card.focal_length:g} px at its input): depth is scaled, but such images were not learnt"
            )

    def _compared(
        self, measured: NDArray[np.float32], estimate: DepthEstimate, header: Any, wanted: set[str], context: Context
    ) -> NDArray[np.float32] | None:
        """The measured depth, holes filled, if it is wanted; tells the ratio of the scales on the way."""
        self._compared_ns = stamp_to_ns(header.stamp)
        ratio = scale_ratio(measured, estimate.depth)
        self._scale.update(ratio, stamp_to_ns(header.stamp))
        average, drift = self._scale.average, self._scale.drift
        context.report(scale_ratio=ratio, scale_ratio_average=average, scale_drift=drift)
        if "depth_filled" not in wanted:
            return None
        if isnan(average):
            context.warn("depth_filled is wanted, but too few pixels are measured to know the scale of the others")
            return None
        return filled(measured, estimate.depth, average if isnan(ratio) else ratio)

    def _encode(
        self,
        messages: Mapping[str, Any],
        color: NDArray[np.uint8],
        estimate: DepthEstimate,
        whole: NDArray[np.float32] | None,
        wanted: set[str],
    ) -> dict[str, Any]:
        header = copy_header(messages["color"].header)
        images = {"depth": estimate.depth, "depth_std": estimate.std, "depth_filled": whole}
        out: dict[str, Any] = {
            name: array_to_image(image, "32FC1", header)
            for name, image in images.items()
            if name in wanted and image is not None
        }
        if "points" in wanted:
            rays = self._calibration.rays(messages["camera_info"], color.shape)
            out["points"] = cloud_to_point_cloud2(PointCloud(rays * estimate.depth[..., None], color), header)
        return out
