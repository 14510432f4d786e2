"""CPU of a process that receives 640x480 rgb8 images at 30 Hz with rclpy; prints one JSON line for each way to do it.

    python bench/bench_rclpy_receive.py                    # needs a sourced ROS 2; its own sender, domain and loopback
    python bench/bench_rclpy_receive.py --ways ros2_host   # one of: rclpy, rclpy_raw, ros2_host

`rclpy` is a plain subscription, `rclpy_raw` the same with raw=True, both in rclpy's SingleThreadedExecutor; `ros2_host`
is the transport of our ros2 host beside a lifecycle node with its services. A process each; the figures are comparable
with those of bench_dds_receive.py: CPU of the whole receiving process, all threads, divided by the images received.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

TOPIC, TYPE, RATE, WARM_UP = "/bench/image", "sensor_msgs/msg/Image", 30.0, 30
WAYS = ("rclpy", "rclpy_raw", "ros2_host")


def send() -> None:
    """Publishes until the process is ended."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    from scene_understanding.messages import types

    rclpy.init()
    publisher = rclpy.create_node("bench_sender").create_publisher(Image, TOPIC, qos_profile_sensor_data)
    data = np.random.default_rng(0).integers(0, 256, 640 * 480 * 3, dtype=np.uint8)
    due = time.monotonic()
    while True:
        sec, nanosec = divmod(time.time_ns(), 10**9)
        header = types.Header(stamp=types.Time(sec=sec, nanosec=nanosec), frame_id="camera")
        publisher.publish(bytes(types.serialize(types.Image(header, 480, 640, "rgb8", 0, 640 * 3, data))))
        due += 1 / RATE
        time.sleep(max(0.0, due - time.monotonic()))


class Marks:
    """Wall and CPU time at each image."""

    def __init__(self, images: int) -> None:
        self.images = images
        self.done = threading.Event()
        self._marks: list[tuple[float, float]] = []

    def image(self) -> None:
        self._marks.append((time.monotonic(), time.process_time()))
        if len(self._marks) == WARM_UP + self.images:
            self.done.set()

    def figures(self) -> tuple[float, float]:
        """CPU milliseconds per image, and images per second."""
        if len(self._marks) < WARM_UP + self.images:
            sys.exit(f"error: {len(self._marks)} images of {WARM_UP + self.images} came on {TOPIC}")
        (began, cpu_began), (ended, cpu_ended) = self._marks[WARM_UP - 1], self._marks[WARM_UP + self.images - 1]
        return (cpu_ended - cpu_began) / self.images * 1e3, self.images / (ended - began)


def with_rclpy(marks: Marks, raw: bool, use: Callable[[Any], object], seconds: float) -> None:
    """As in rclpy's own examples, but for a deadline."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    rclpy.init()
    node = rclpy.create_node("bench_receiver")

    def heard(message: Any) -> None:
        use(message)
        marks.image()

    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Image, TOPIC, heard, qos, raw=raw)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    deadline = time.monotonic() + seconds
    while not marks.done.is_set() and time.monotonic() < deadline:
        executor.spin_once()
    rclpy.shutdown()


def with_ros2_host(marks: Marks, use: Callable[[Any], object], seconds: float) -> None:
    from scene_understanding.hosts.ros2_host import Ros2Host
    from scene_understanding.nodes.node import SENSOR, Node

    class Receiver(Node):
        name = "bench_receiver"

    def heard(data: bytes | memoryview) -> None:
        use(data)
        marks.image()

    with Ros2Host() as host:
        node = host.add(Receiver)
        host.transport.subscribe(TOPIC, TYPE, SENSOR, node.names.fully_qualified, heard)
        marks.done.wait(seconds)


def receive(way: str, images: int, decode: bool) -> tuple[float, float]:
    """CPU milliseconds per image, and images per second. Plain rclpy decodes always."""
    from scene_understanding.messages.types import deserialize

    marks = Marks(images)
    use: Callable[[Any], object] = (lambda data: deserialize(data, TYPE)) if decode else (lambda data: None)
    seconds = 10 + 3 * (WARM_UP + images) / RATE
    if way == "ros2_host":
        with_ros2_host(marks, use, seconds)
    else:
        with_rclpy(marks, way == "rclpy_raw", use if way == "rclpy_raw" else lambda message: None, seconds)
    return marks.figures()


def measure(way: str, images: int) -> dict[str, object]:
    """The figures of one way, each measured in a process of its own."""
    found = []
    for decode in ("0", "1") if way != "rclpy" else ("1",):
        command = [sys.executable, __file__, "--one", way, decode, "--images", str(images)]
        found.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
    return {
        "bench": f"{way}_receive",
        "image": "640x480 rgb8",
        "images": images,
        "rate_hz": round(found[0][1], 2),
        "cpu_ms_per_image": round(found[0][0], 3),
        "cpu_ms_per_image_decoded": round(found[-1][0], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--send", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        print(f"skipped: {error}; this bench needs a sourced ROS 2", file=sys.stderr)
        return
    if arguments.send:
        send()
    if arguments.one:
        way, decode = arguments.one
        print(json.dumps(receive(way, arguments.images, decode == "1")))
        return
    os.environ.update(ROS_DOMAIN_ID=str(os.getpid() % 100 + 1), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")
    sender = subprocess.Popen([sys.executable, __file__, "--send"])
    try:
        for way in arguments.ways:
            print(json.dumps(measure(way, arguments.images)), flush=True)
    finally:
        sender.kill()
        sender.wait()


if __name__ == "__main__":
    main()
