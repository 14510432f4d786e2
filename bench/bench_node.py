"""Whole nodes at 640x480 with every output wanted, in one process; one JSON line each.

segmentation: colour and depth in; depth: colour in, and with measured depth to fill; with 8 passes for the uncertainty.
"""

import json
import time

import numpy as np

from scene_understanding.geometry import PinholeCamera
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.runner import NodeRunner
from scene_understanding.messages.camera_info import camera_to_camera_info
from scene_understanding.messages.header import make_header
from scene_understanding.messages.image import array_to_image
from scene_understanding.messages.memory import keep_freed_memory
from scene_understanding.nodes import depth
from scene_understanding.nodes.node import SENSOR, Node
from scene_understanding.nodes.segmentation import SegmentationNode

IMAGES, WARM = 100, 5
CAMERA = PinholeCamera.from_fov(640, 480, np.radians(60))


def measure(what: str, node: Node, images: int) -> None:
    """Feeds the node as quickly as it works."""
    bus = Bus()
    for output in node.outputs:
        bus.subscribe(f"/{node.name}/{output.name}", output.type, SENSOR, "/bench", lambda delivery: None)
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (480, 640, 3), np.uint8)
    measured = rng.integers(500, 5000, (480, 640)).astype(np.uint16)
    measured[100:200, 300:500] = 0
    with NodeRunner(node, bus, inline=True).start() as runner:
        color, range_image, info = (
            bus.advertise(topic, f"sensor_msgs/msg/{kind}", SENSOR, "/bench")
            for topic, kind in (
                ("/rgb/image_rect_color", "Image"), ("/depth_registered/image_rect", "Image"),
                ("/rgb/camera_info", "CameraInfo"),
            )
        )  # fmt: skip
        for i in range(images + WARM):
            if i == WARM:
                started = time.perf_counter()
            header = make_header(10**9 + i * 10**7, "camera")
            info.publish(camera_to_camera_info(CAMERA, header))
            range_image.publish(array_to_image(measured, "16UC1", header))
            color.publish(array_to_image(rgb, "rgb8", header))
            while runner.step():
                pass
        fps = images / (time.perf_counter() - started)
        stages = {name: round(t["p50_ms"], 2) for name, t in runner.statistics()["stages"].items()}
    print(json.dumps({"bench": "node", "node": what, "size": "640x480", "fps": round(fps, 1), "stages_ms": stages}))


def main() -> None:
    keep_freed_memory()
    measure("segmentation", SegmentationNode(), IMAGES)
    measure("depth", depth.DepthNode(), IMAGES)
    measure("depth, measured too", depth.DepthNode(depth.Parameters(use_measured_depth=True)), IMAGES)
    measure("depth, 8 passes", depth.DepthNode(depth.Parameters(passes=8)), IMAGES // 4)


if __name__ == "__main__":
    main()
