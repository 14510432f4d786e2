"""Segmentation node: colour, depth and camera_info in; mask, confidence, labels, labelled cloud and overlay out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry.point_cloud import PointCloud
from scene_understanding.inference.card import ModelError
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find
from scene_understanding.messages.header import copy_header
from scene_understanding.messages.image import array_to_image
from scene_understanding.messages.label_info import label_set_to_label_info
from scene_understanding.messages.point_cloud import cloud_to_point_cloud2
from scene_understanding.nodes.node import (
    LATCHED,
    ConfigurationError,
    Context,
    Input,
    Node,
    Output,
    Synchronised,
)
from scene_understanding.nodes.parameters import parameter
from scene_understanding.nodes.rgbd import CAMERA_INFO, IMAGE, TRANSPORTS, Calibration, RgbdImages
from scene_understanding.perception.segmenter import Segmentation, Segmenter

DEFAULT_MODEL = "fusenet_embedded13"


@dataclass(frozen=True)
class Parameters:
    """Parameters of the segmentation node."""

    model: str = parameter(DEFAULT_MODEL, "name of a shipped model, or folder with a model.yaml")
    provider: str = parameter("auto", "ONNX Runtime provider", choices=("auto", "cpu", "cuda", "tensorrt"))
    threads: int = parameter(0, "threads of the network on the CPU; 0: as many as cores", bounds=(0, 256))
    use_depth: bool = parameter(True, "subscribe to depth; only off for models that work with colour alone")
    image_transport: str = parameter(
        "raw", "compressed: topics end in /compressed and /compressedDepth", choices=TRANSPORTS
    )
    rectified: bool = parameter(True, "images are rectified (camera_info P); off: raw images (camera_info K and D)")
    slop: float = parameter(
        0.02, "largest difference between the stamps of colour and depth, seconds", bounds=(0.0, 1.0)
    )
    min_confidence: float = parameter(
        0.0, "pixels less certain than this are unlabelled (255)", bounds=(0.0, 1.0), runtime=True
    )
    overlay_opacity: float = parameter(0.5, "of the class colours over the image", bounds=(0.0, 1.0), runtime=True)


class SegmentationNode(Node):
    """A class for every pixel and every point, in the frame and with the stamp of the colour image."""

    name = "segmentation"
    parameters_type = Parameters
    outputs = (
        Output("mask", "~/mask", IMAGE),
        Output("confidence", "~/confidence", IMAGE),
        Output("label_info", "~/label_info", "vision_msgs/msg/LabelInfo", LATCHED),
        Output("points", "~/points", "sensor_msgs/msg/PointCloud2"),
        Output("overlay", "~/overlay", IMAGE),
    )

    def __init__(self, parameters: Parameters | None = None) -> None:
        super().__init__(parameters)
        try:
            self._card = find(self.parameters.model)
        except ModelError as error:
            raise ConfigurationError(f"parameter 'model': {error}") from error
        needs_depth = "depth" in self._card.inputs and "depth" not in self._card.optional_inputs
        if needs_depth and not self.parameters.use_depth:
            raise ConfigurationError(f"use_depth is off, but model '{self._card.name}' needs depth")
        self._images = RgbdImages(self.parameters.image_transport)
        self._calibration = Calibration(self.parameters.rectified)
        self.inputs = self._declared_inputs(needs_depth)
        self._announced = False

    def _declared_inputs(self, needs_depth: bool) -> tuple[Input | Synchronised, ...]:
        color, depth = self._images.color_input(), self._images.depth_input(required=needs_depth)
        if self.parameters.use_depth:
            return Synchronised((color, depth), self.parameters.slop), CAMERA_INFO
        return color, CAMERA_INFO

    def configure(self, context: Context) -> None:
        try:
            network = OnnxRuntimeNetwork(self._card, self.parameters.provider, self.parameters.threads)
            self._segmenter = Segmenter(network)
        except ModelError as error:
            raise ConfigurationError(str(error)) from error
        context.report(model=self._card.name, provider=network.provider, precision=network.precision)

    def process(self, messages: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
        out = self._announcement(messages["color"].header)
        if any(context.wanted(name) for name in ("mask", "confidence", "points", "overlay")):
            out |= self._segmented(messages, context)
        self._announced = True
        return out

    def _segmented(self, messages: Mapping[str, Any], context: Context) -> dict[str, Any]:
        with context.stage("decode"):
            color, depth = self._decode(messages)
            inputs = self._segmenter.prepare(color, depth)
        with context.stage("infer"):
            scores = self._segmenter.scores(inputs)
        with context.stage("decide"):
            segmentation = self._thresholded(self._segmenter.decide(scores, color.shape[:2]))
        with context.stage("encode"):
            return self._encode(messages, color, depth, segmentation, context)

    def _announcement(self, header: Any) -> dict[str, Any]:
        """The label_info of the first image; it is latched, so once is enough."""
        if self._announced:
            return {}
        threshold = self.parameters.min_confidence
        return {"label_info": label_set_to_label_info(self._segmenter.labels, copy_header(header), threshold)}

    def reconfigure(self, parameters: Any) -> None:
        super().reconfigure(parameters)
        self._announced = False  # label_info holds the threshold

    def reset(self) -> None:
        self._announced = False

    def _decode(self, messages: Mapping[str, Any]) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        color = self._images.color(messages["color"])
        return color, self._images.depth(messages["depth"], color.shape) if "depth" in messages else None

    def _thresholded(self, segmentation: Segmentation) -> Segmentation:
        if self.parameters.min_confidence == 0:
            return segmentation
        unsure = segmentation.confidence < 255 * self.parameters.min_confidence
        return Segmentation(np.where(unsure, np.uint8(255), segmentation.label), segmentation.confidence)

    def _encode(
        self,
        messages: Mapping[str, Any],
        color: NDArray[np.uint8],
        depth: NDArray[np.float32] | None,
        segmentation: Segmentation,
        context: Context,
    ) -> dict[str, Any]:
        header = copy_header(messages["color"].header)
        out: dict[str, Any] = {}
        if context.wanted("mask"):
            out["mask"] = array_to_image(segmentation.label, "mono8", header)
        if context.wanted("confidence"):
            out["confidence"] = array_to_image(segmentation.confidence, "mono8", header)
        if context.wanted("points"):
            if depth is None:
                context.warn("points are wanted, but there is no depth to make them of (see use_depth)")
            else:
                cloud = self._cloud(messages["camera_info"], color, depth, segmentation)
                out["points"] = cloud_to_point_cloud2(cloud, header)
        if context.wanted("overlay"):
            out["overlay"] = array_to_image(self._overlay(color, segmentation), "rgb8", header)
        return out

    def _cloud(
        self, camera_info: Any, color: NDArray[np.uint8], depth: NDArray[np.float32], segmentation: Segmentation
    ) -> PointCloud:
        xyz = self._calibration.rays(camera_info, depth.shape) * depth[..., None]
        label, confidence = segmentation.label.astype(np.uint16), segmentation.confidence * np.float32(1 / 255)
        return PointCloud(xyz, color, label, confidence)

    def _overlay(self, color: NDArray[np.uint8], segmentation: Segmentation) -> NDArray[np.uint8]:
        opacity = self.parameters.overlay_opacity
        classes = self._segmenter.labels.colorize(segmentation.label)
        return cv2.addWeighted(color, 1 - opacity, classes, opacity, 0)  # type: ignore[return-value]
