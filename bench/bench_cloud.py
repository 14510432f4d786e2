"""Labelled cloud of a 640x480 image: built, encoded, serialised. Prints one JSON object; times in ms on one core."""

import json
import time

import cv2
import numpy as np

from scene_understanding.geometry import PinholeCamera
from scene_understanding.geometry.point_cloud import PointCloud
from scene_understanding.messages.header import make_header
from scene_understanding.messages.memory import keep_freed_memory
from scene_understanding.messages.point_cloud import cloud_to_point_cloud2
from scene_understanding.messages.types import serialize

RUNS = 200


def main() -> None:
    keep_freed_memory()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    rays = PinholeCamera.from_fov(640, 480, np.radians(60)).rays
    depth = rng.uniform(0.5, 5, (480, 640)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.1] = np.nan
    rgb = rng.integers(0, 256, (480, 640, 3), np.uint8)
    label, confidence = rng.integers(0, 13, (2, 480, 640)).astype(np.uint8)
    header = make_header(0, "camera")

    def once() -> tuple[float, float, float]:
        t0 = time.perf_counter()
        cloud = PointCloud(rays * depth[..., None], rgb, label.astype(np.uint16), confidence * np.float32(1 / 255))
        t1 = time.perf_counter()
        message = cloud_to_point_cloud2(cloud, header)
        t2 = time.perf_counter()
        serialize(message)
        return t1 - t0, t2 - t1, time.perf_counter() - t2

    times = np.median([once() for _ in range(RUNS)], axis=0) * 1e3
    build, encode, to_bytes = (round(float(t), 2) for t in times)
    print(json.dumps({"bench": "cloud", "build_ms": build, "encode_ms": encode, "serialise_ms": to_bytes,
                      "total_ms": round(build + encode + to_bytes, 2)}))  # fmt: skip


if __name__ == "__main__":
    main()
