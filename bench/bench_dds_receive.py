"""CPU of a process that receives 640x480 rgb8 images at 30 Hz over DDS without ROS; prints one JSON line.

    python bench/bench_dds_receive.py                 # sender and receiver over loopback, in a domain of their own
    python bench/bench_dds_receive.py --no-sender     # receives /bench/image from anybody in ROS_DOMAIN_ID

The CPU time is that of the whole receiving process, all threads, divided by the images received.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time

import numpy as np

from scene_understanding.hosts.dds import DdsTransport
from scene_understanding.messages.types import Header, Image, Time, deserialize, serialize
from scene_understanding.nodes.node import SENSOR

TOPIC, TYPE, RATE, WARM_UP = "/bench/image", "sensor_msgs/msg/Image", 30.0, 30


def send() -> None:
    """Publishes until the process is ended."""
    publisher = DdsTransport().advertise(TOPIC, TYPE, SENSOR, "/bench_sender")
    data = np.random.default_rng(0).integers(0, 256, 640 * 480 * 3, dtype=np.uint8)
    due = time.monotonic()
    while True:
        now = time.time_ns()
        header = Header(stamp=Time(sec=now // 10**9, nanosec=now % 10**9), frame_id="camera")
        publisher.publish(serialize(Image(header, 480, 640, "rgb8", 0, 640 * 3, data)))
        due += 1 / RATE
        time.sleep(max(0.0, due - time.monotonic()))


def receive(images: int, decode: bool) -> dict[str, float]:
    """CPU milliseconds per image, and the rate at which they came."""
    marks: list[tuple[float, float]] = []
    done = threading.Event()

    def heard(data: bytes | memoryview) -> None:
        if decode:
            deserialize(data, TYPE)
        marks.append((time.monotonic(), time.process_time()))
        if len(marks) == WARM_UP + images:
            done.set()

    transport = DdsTransport()
    transport.subscribe(TOPIC, TYPE, SENSOR, "/bench_receiver", heard)
    if not done.wait(10 + 3 * (WARM_UP + images) / RATE):
        sys.exit(f"error: {len(marks)} images of {WARM_UP + images} came on {TOPIC}")
    transport.close()
    (began, cpu_began), (ended, cpu_ended) = marks[WARM_UP - 1], marks[WARM_UP + images - 1]
    return {"cpu_ms": (cpu_ended - cpu_began) / images * 1e3, "rate_hz": images / (ended - began)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--no-sender", action="store_true")
    parser.add_argument("--send", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.send:
        send()
    sender = None
    if not arguments.no_sender:
        os.environ.update(ROS_DOMAIN_ID=str(os.getpid() % 100 + 1), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")
        sender = subprocess.Popen([sys.executable, __file__, "--send"])
    try:
        raw, decoded = (receive(arguments.images, decode) for decode in (False, True))
    finally:
        if sender is not None:
            sender.kill()
            sender.wait()
    figures = {
        "bench": "dds_receive",
        "image": "640x480 rgb8",
        "images": arguments.images,
        "rate_hz": round(raw["rate_hz"], 2),
        "cpu_ms_per_image": round(raw["cpu_ms"], 3),
        "cpu_ms_per_image_decoded": round(decoded["cpu_ms"], 3),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
