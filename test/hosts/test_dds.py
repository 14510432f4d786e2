"""Topics over DDS between processes on loopback, each test in a domain of its own."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cyclonedds", reason="no cyclonedds wheel for this platform")

from scene_understanding.hosts.dds import DdsTransport
from scene_understanding.hosts.transport import Endpoint
from scene_understanding.messages.types import Header, Image, String, Time, deserialize, serialize
from scene_understanding.nodes.node import LATCHED, RELIABLE, SENSOR, QoS

ROOT = Path(__file__).parents[2]
IMAGE, STRING = "sensor_msgs/msg/Image", "std_msgs/msg/String"
PRELUDE = """
import sys, time
from scene_understanding.hosts.dds import DdsTransport
from scene_understanding.messages.types import String, Header, Time, serialize
from scene_understanding.nodes.node import LATCHED, RELIABLE, SENSOR, QoS
IMAGE, STRING = "sensor_msgs/msg/Image", "std_msgs/msg/String"
transport = DdsTransport()
"""
CHATTER = """
p = transport.advertise("/chatter", STRING, RELIABLE, "/talker")
while True:
    p.publish(serialize(String(data=sys.argv[1])))
    time.sleep(0.02)
"""


@pytest.fixture(autouse=True)
def domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(random.randint(1, 100)))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    tag = f"<Discovery><Tag>{uuid.uuid4()}</Tag></Discovery>"  # nobody else's tests, even in the same domain
    monkeypatch.setenv("CYCLONEDDS_URI", f"<CycloneDDS><Domain>{tag}</Domain></CycloneDDS>")


@pytest.fixture
def transport(domain: None) -> Iterator[DdsTransport]:
    transport = DdsTransport()
    yield transport
    transport.close()


@pytest.fixture
def start(domain: None) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts another process: `PRELUDE`, then the code given."""
    processes = []

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PRELUDE + code, *arguments]
        processes.append(subprocess.Popen(command, text=True, cwd=ROOT, stdout=subprocess.PIPE))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def text(data: bytes | memoryview) -> str:
    return deserialize(data, STRING).data


def image(seed: int) -> memoryview:
    data = np.random.default_rng(seed).integers(0, 256, 640 * 480 * 3, dtype=np.uint8)
    return serialize(Image(Header(Time(sec=seed, nanosec=1), "camera"), 480, 640, "rgb8", 0, 640 * 3, data))


def test_images_come_back_bit_for_bit(transport, start):
    start("""
back = transport.advertise("/back", IMAGE, RELIABLE, "/mirror")
transport.subscribe("/there", IMAGE, RELIABLE, "/mirror", back.publish)
time.sleep(60)
""")
    heard: list[bytes | memoryview] = []
    transport.subscribe("/back", IMAGE, RELIABLE, "/test", heard.append)
    there = transport.advertise("/there", IMAGE, RELIABLE, "/test")
    assert wait_until(lambda: there.subscription_count() == 1 and transport.publishers("/back"))
    sent = [image(seed) for seed in range(3)]
    for data in sent:
        there.publish(data)
    assert wait_until(lambda: len(heard) == 3)
    assert [bytes(data) for data in heard] == [bytes(data) for data in sent]
    assert all(isinstance(data, memoryview) and data.readonly for data in heard)


@pytest.mark.parametrize("length", range(5))
def test_messages_of_any_length(transport, length):
    other, heard = DdsTransport(), []
    publisher = transport.advertise("/x", STRING, LATCHED, "/test")
    publisher.publish(serialize(String(data="é" + "x" * length)))
    other.subscribe("/x", STRING, LATCHED, "/test", heard.append)
    assert wait_until(lambda: heard)
    assert text(heard[0]) == "é" + "x" * length
    other.close()


def test_a_late_subscriber_gets_the_latched_message(transport, start):
    start("""
p = transport.advertise("/label_info", STRING, LATCHED, "/labels")
p.publish(serialize(String(data="old")))
p.publish(serialize(String(data="newest")))
q = transport.advertise("/published", STRING, LATCHED, "/labels")
time.sleep(60)
""")
    assert wait_until(lambda: transport.publishers("/published"))
    heard: list[str] = []
    transport.subscribe("/label_info", STRING, LATCHED, "/test", lambda data: heard.append(text(data)))
    assert wait_until(lambda: heard)
    time.sleep(0.1)
    assert heard == ["newest"]


def test_a_process_does_not_hear_itself(transport, start):
    heard: list[str] = []
    transport.subscribe("/chatter", STRING, RELIABLE, "/test", lambda data: heard.append(text(data)))
    own = transport.advertise("/chatter", STRING, RELIABLE, "/test")
    for _ in range(10):
        own.publish(serialize(String(data="mine")))
    assert own.subscription_count() == 0 and transport.publishers("/chatter") == []
    start(CHATTER, "theirs")
    assert wait_until(lambda: heard)
    assert set(heard) == {"theirs"}


def test_incompatible_reliability_is_visible(transport, start):
    start("""
p = transport.advertise("/image", STRING, SENSOR, "/robot/camera")
while True:
    p.publish(serialize(String(data="x")))
    time.sleep(0.02)
""")
    reliable, best_effort = [], []
    transport.subscribe("/image", STRING, RELIABLE, "/test", reliable.append)
    transport.subscribe("/image", STRING, SENSOR, "/test", best_effort.append)
    assert wait_until(lambda: len(best_effort) > 3)
    assert reliable == []
    expected = Endpoint("/robot/camera", STRING, QoS("best_effort", "volatile", 1))
    assert wait_until(lambda: transport.publishers("/image") == [expected])


def test_two_publishers_with_different_types(transport, start):
    start("""
p, q = (transport.advertise("/x", t, LATCHED, "/mixed") for t in (STRING, "std_msgs/msg/Header"))
q.publish(serialize(Header(Time(sec=1, nanosec=2), "frame")))
p.publish(serialize(String(data="text")))
time.sleep(60)
""")
    heard: list[bytes] = []
    transport.subscribe("/x", STRING, LATCHED, "/test", lambda data: heard.append(bytes(data)))
    assert wait_until(lambda: heard)
    time.sleep(0.2)
    assert [text(data) for data in heard] == ["text"]
    assert sorted(e.type for e in transport.publishers("/x")) == ["std_msgs/msg/Header", STRING]


def test_a_killed_node_is_heard_again(transport, start):
    heard: list[str] = []
    transport.subscribe("/chatter", STRING, RELIABLE, "/test", lambda data: heard.append(text(data)))
    first = start(CHATTER, "first")
    assert wait_until(lambda: "first" in heard)
    first.send_signal(signal.SIGKILL)
    start(CHATTER, "second")
    assert wait_until(lambda: "second" in heard)


def test_a_reliable_reader_that_hangs_does_not_block_the_publisher(transport, start):
    process = start("""
transport.subscribe("/x", IMAGE, RELIABLE, "/slow", lambda data: print(data[4], flush=True))
print("ready", flush=True)
time.sleep(60)
""")
    publisher = transport.advertise("/x", IMAGE, QoS("reliable", "volatile", 1), "/test")
    process.stdout.readline()
    assert wait_until(lambda: publisher.subscription_count() == 1)
    time.sleep(0.2)
    process.send_signal(signal.SIGSTOP)
    images = [image(seed) for seed in range(20)]
    began = time.monotonic()
    for data in images:
        publisher.publish(data)
    assert time.monotonic() - began < 5.0
    process.send_signal(signal.SIGCONT)
    assert any(line == "19\n" for line in process.stdout)


def test_counts_follow_the_subscribers(transport):
    publisher = transport.advertise("/x", STRING, RELIABLE, "/test")
    other = DdsTransport()
    subscription = other.subscribe("/x", STRING, SENSOR, "/other", lambda data: None)
    assert wait_until(lambda: publisher.subscription_count() == 1)
    subscription.close()
    subscription.close()
    assert wait_until(lambda: publisher.subscription_count() == 0)
    other.close()
    publisher.close()
    assert publisher.subscription_count() == 0


def test_a_callback_that_raises_does_not_silence_the_others(transport, caplog):
    other, heard = DdsTransport(), []
    other.subscribe("/x", STRING, LATCHED, "/other", lambda data: 1 / 0)
    other.subscribe("/y", STRING, LATCHED, "/other", heard.append)
    for topic in ("/x", "/y"):
        transport.advertise(topic, STRING, LATCHED, "/test").publish(serialize(String(data="x")))
    assert wait_until(lambda: heard and "callback failed" in caplog.text)
    other.close()


def test_received_bytes_outlive_the_transport(transport):
    other, heard = DdsTransport(), []
    other.subscribe("/image", IMAGE, LATCHED, "/other", heard.append)
    transport.advertise("/image", IMAGE, LATCHED, "/test").publish(image(7))
    assert wait_until(lambda: heard)
    pixels = deserialize(heard.pop(), IMAGE).data
    other.close()
    transport.close()
    np.testing.assert_array_equal(pixels, deserialize(image(7), IMAGE).data)


def test_close_leaves_nothing_behind(transport):
    threads = set(threading.enumerate())
    other = DdsTransport()
    publisher = other.advertise("/x", STRING, RELIABLE, "/other")
    heard: list[object] = []
    other.subscribe("/y", STRING, RELIABLE, "/other", heard.append)
    source = transport.advertise("/y", STRING, RELIABLE, "/test")
    assert wait_until(lambda: source.subscription_count())
    other.close()
    other.close()
    publisher.publish(serialize(String(data="too late")))
    publisher.close()
    source.publish(serialize(String(data="too late")))
    assert wait_until(lambda: set(threading.enumerate()) == threads)
    assert heard == [] and wait_until(lambda: source.subscription_count() == 0)


def test_memory_does_not_grow(transport):
    other, heard = DdsTransport(), []
    other.subscribe("/image", IMAGE, RELIABLE, "/other", lambda data: heard.append(len(data)))
    publisher = transport.advertise("/image", IMAGE, QoS("reliable", "volatile", 1), "/test")
    assert wait_until(lambda: publisher.subscription_count())

    def resident_mb() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    data, sizes = image(0), []
    for count in range(150):
        publisher.publish(data)
        wait_until(lambda count=count: len(heard) > count, 0.5)
        sizes.append(resident_mb())
    assert len(heard) > 100
    assert max(sizes) - sizes[50] < 30  # 100 images are 88 MB
    other.close()


def test_a_process_ends_without_closing(start):
    process = start("""
transport.subscribe("/chatter", STRING, RELIABLE, "/test", lambda data: None)
p = transport.advertise("/chatter", STRING, RELIABLE, "/talker")
p.publish(serialize(String(data="x")))
""")
    assert process.wait(30) == 0
