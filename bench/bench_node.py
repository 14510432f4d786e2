"""The whole segmentation node at 640x480 with every output wanted, in one process. Prints one JSON object."""

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
from scene_understanding.nodes.node import SENSOR
from scene_understanding.nodes.segmentation import SegmentationNode

IMAGES = 100
CAMERA = PinholeCamera.from_fov(640, 480, np.radians(60))


def main() -> None:
    keep_freed_memory()
    bus, node = Bus(), SegmentationNode()
    for output in node.outputs:
        bus.subscribe(f"/segmentation/{output.name}", output.type, SENSOR, "/bench", lambda delivery: None)
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (480, 640, 3), np.uint8)
    depth = rng.integers(500, 5000, (480, 640)).astype(np.uint16)
    with NodeRunner(node, bus, inline=True).start() as runner:
        color, range_image, info = (
            bus.advertise(topic, f"sensor_msgs/msg/{kind}", SENSOR, "/bench")
            for topic, kind in (
                ("/rgb/image_rect_color", "Image"), ("/depth_registered/image_rect", "Image"),
                ("/rgb/camera_info", "CameraInfo"),
            )
        )  # fmt: skip
        for i in range(IMAGES + 5):
            if i == 5:  # warm
                started = time.perf_counter()
            header = make_header(10**9 + i * 10**7, "camera")
            info.publish(camera_to_camera_info(CAMERA, header))
            color.publish(array_to_image(rgb, "rgb8", header))
            range_image.publish(array_to_image(depth, "16UC1", header))
            while runner.step():
                pass
        fps = IMAGES / (time.perf_counter() - started)
        stages = {name: round(t["p50_ms"], 2) for name, t in runner.statistics()["stages"].items()}
    print(json.dumps({"bench": "node", "size": "640x480", "fps": round(fps, 1), "stages_ms": stages}))


if __name__ == "__main__":
    main()
