"""Nodes fed by a bag, and the bag that comes out."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from scene_understanding.geometry import Pose
from scene_understanding.hosts.bag import replay
from scene_understanding.hosts.bag_contents import BagError
from scene_understanding.hosts.bag_reader import BagReader
from scene_understanding.hosts.bus import Bus
from scene_understanding.hosts.clock import SimulatedClock
from scene_understanding.hosts.mcap_writer import McapWriter
from scene_understanding.hosts.names import RosArguments
from scene_understanding.hosts.recorder import Recorder
from scene_understanding.messages.header import make_header, ns_to_stamp
from scene_understanding.messages.transforms import tf_message
from scene_understanding.messages.types import Clock, Image, String, deserialize, serialize, typestore
from scene_understanding.nodes.node import LATCHED, RELIABLE, SENSOR, Context, Input, Node, Output, Synchronised
from scene_understanding.nodes.parameters import ParameterError, parameter

STRING, IMAGE, TF = "std_msgs/msg/String", "sensor_msgs/msg/Image", "tf2_msgs/msg/TFMessage"
SECOND = 10**9
START = 1_700_000_000 * SECOND
FRAMES = 30
REAL = Path(__file__).parents[3] / "shared" / "data" / "bags" / "evo_nav2_turtlebot.mcap"


def image(stamp_ns: int, value: int) -> Image:
    return Image(make_header(stamp_ns, "camera"), 10, 10, "mono8", 0, 10, np.full(100, value, np.uint8))


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Three seconds of colour and depth (recorded 20 ms later), odometry that comes 90 ms late, a static transform."""
    records = [(START - 1, "/tf_static", tf_message([("base", "camera", 0, Pose.from_yaw(0, 1, 0))]))]
    for i in range(FRAMES):
        now = START + i * SECOND // 10
        records.append((now, "/color", image(now, i)))
        records.append((now + 20_000_000, "/depth", image(now, i)))
        records.append((now + 90_000_000, "/tf", tf_message([("map", "base", now, Pose.from_yaw(i, 0, 0))])))
    types = {"/tf_static": (TF, LATCHED), "/tf": (TF, RELIABLE), "/color": (IMAGE, SENSOR), "/depth": (IMAGE, SENSOR)}
    with McapWriter(tmp_path / "in.mcap") as writer:
        numbers = {topic: writer.add_topic(topic, msgtype, [qos]) for topic, (msgtype, qos) in types.items()}
        for time_ns, topic, message in sorted(records, key=lambda record: record[0]):
            writer.write(numbers[topic], time_ns, serialize(message))
    return tmp_path / "in.mcap"


@dataclass(frozen=True)
class MaskParameters:
    factor: int = parameter(2, "what pixels are multiplied with", bounds=(1, 5))
    delay: float = parameter(0.0, "seconds of work")


class Mask(Node):
    """Colour and depth in, a mask out, with the place of the camera in the map as text beside it."""

    name = "mask"
    parameters_type = MaskParameters
    inputs = (Synchronised((Input("color", "color", IMAGE), Input("depth", "depth", IMAGE))),)
    outputs = (Output("mask", "~/mask", IMAGE), Output("place", "~/place", STRING))
    uses_transforms = True

    def process(self, messages: Mapping, context: Context) -> Mapping:
        time.sleep(self.parameters.delay)
        color = messages["color"]
        stamp_ns = color.header.stamp.sec * SECOND + color.header.stamp.nanosec
        x, y, _ = context.transforms.lookup("map", "camera", stamp_ns).translation
        mask = image(stamp_ns, int(color.data[0]) * self.parameters.factor)
        return {"mask": mask, "place": String(data=f"{x:.1f} {y:.1f}")}


class Counter(Node):
    """Reads the masks of the other, and reports twice a second."""

    name = "counter"
    inputs = (Input("mask", "/mask/mask", IMAGE),)
    outputs = (Output("report", "~/report", STRING),)
    period = 0.5

    def __init__(self, parameters: object = None) -> None:
        super().__init__(parameters)
        self.seen = 0

    def process(self, messages: Mapping, context: Context) -> Mapping:
        self.seen += 1
        return {}

    def tick(self, context: Context) -> Mapping:
        return {"report": String(data=f"{(context.now_ns - START) * 1e-9:.2f} s: {self.seen}")}


def texts(path: Path, topic: str) -> list[str]:
    with BagReader(path) as reader:
        return [deserialize(m.data, STRING).data for m in reader.messages([topic])]


def test_every_message_is_worked_off_in_recorded_order(bag: Path, tmp_path: Path) -> None:
    result = replay(bag, [Mask, Counter], out=tmp_path / "out.mcap")
    assert result.losses == [] and result.silent == {}
    assert result.read == {"/color": FRAMES, "/depth": FRAMES, "/tf": FRAMES, "/tf_static": 1}
    assert result.recorded == {"/mask/mask": FRAMES, "/mask/place": FRAMES, "/counter/report": 5}
    figures = result.statistics["/mask"]
    assert (figures["sets"], figures["drops"], figures["refused"]) == (FRAMES, 0, 0)
    assert figures["fps"] > 0 and figures["latency_p95_ms"] >= figures["latency_p50_ms"] > 0
    assert texts(tmp_path / "out.mcap", "/mask/place") == [f"{i}.0 1.0" for i in range(FRAMES)]
    with BagReader(tmp_path / "out.mcap") as out:
        masks = list(out.messages(["/mask/mask"]))
    assert [m.time_ns for m in masks] == [START + 20_000_000 + i * SECOND // 10 for i in range(FRAMES)]
    assert [deserialize(m.data, IMAGE).data[0] for m in masks] == [2 * i for i in range(FRAMES)]


def test_ticks_are_at_recorded_times(bag: Path, tmp_path: Path) -> None:
    replay(bag, [Mask, Counter], out=tmp_path / "out.mcap")
    reports = texts(tmp_path / "out.mcap", "/counter/report")
    assert reports == ["0.50 s: 5", "1.00 s: 10", "1.50 s: 15", "2.00 s: 20", "2.50 s: 25"]


def test_equal_input_gives_equal_bytes(bag: Path, tmp_path: Path) -> None:
    for name in ("first.mcap", "second.mcap"):
        replay(bag, [Mask, Counter], out=tmp_path / name, inputs=True)
    assert (tmp_path / "first.mcap").read_bytes() == (tmp_path / "second.mcap").read_bytes()


def test_inputs_and_diagnostics_on_request(bag: Path, tmp_path: Path) -> None:
    result = replay(bag, [Mask], out=tmp_path / "out.mcap", inputs=True, diagnostics=True)
    assert result.recorded["/color"] == FRAMES and result.recorded["/tf_static"] == 1
    assert result.recorded["/diagnostics"] == 3
    with BagReader(bag) as before, BagReader(tmp_path / "out.mcap") as after:
        wanted = ["/color", "/depth", "/tf", "/tf_static"]
        assert list(after.messages(wanted)) == list(before.messages(wanted))
        qos = {topic.name: topic.qos for topic in after.topics}
    assert qos["/tf_static"] == (LATCHED,) and qos["/color"] == (SENSOR,)


def test_arguments_reach_the_nodes(bag: Path, tmp_path: Path) -> None:
    arguments = RosArguments.of(["__ns:=/robot", "color:=/depth", "depth:=/color"], ["factor:=3"])
    result = replay(bag, [Mask], arguments, out=tmp_path / "out.mcap")
    assert result.recorded == {"/robot/mask/mask": FRAMES, "/robot/mask/place": FRAMES}
    with pytest.raises(ParameterError, match="'factor' is 9; allowed is 1 to 5"):
        replay(bag, [Mask], RosArguments.of(parameters=["factor:=9"]))


def test_a_topic_that_the_bag_lacks(bag: Path) -> None:
    with pytest.raises(BagError) as error:
        replay(bag, [Mask], RosArguments.of(["color:=/rgb"]))
    assert str(error.value) == (
        f"{bag} has no topic /rgb of type {IMAGE}, which input 'color' of /mask needs; it has: /color ({IMAGE}), "
        f"/depth ({IMAGE}), /tf ({TF}), /tf_static ({TF}). "
        "A remapping such as color:=/other/topic takes it from elsewhere"
    )
    with pytest.raises(BagError, match=f"no topic /tf of type {IMAGE}"):
        replay(bag, [Mask], RosArguments.of(["color:=/tf"]))


def test_an_existing_file_is_not_overwritten_unasked(bag: Path, tmp_path: Path) -> None:
    replay(bag, [Mask], out=tmp_path / "out.mcap")
    with pytest.raises(FileExistsError):
        replay(bag, [Mask], out=tmp_path / "out.mcap")
    replay(bag, [Mask], out=tmp_path / "out.mcap", overwrite=True)


def test_a_node_that_heard_nothing_useful_says_why(bag: Path, tmp_path: Path) -> None:
    with McapWriter(tmp_path / "skewed.mcap") as writer, BagReader(bag) as reader:
        numbers = {t.name: writer.add_topic(t.name, t.type, t.qos) for t in reader.topics}
        for m in reader.messages():
            data = m.data
            if m.topic == "/depth":
                data = serialize(image(m.time_ns, 0))
            writer.write(numbers[m.topic], m.time_ns, data)
    result = replay(tmp_path / "skewed.mcap", [Mask])
    (reason,) = result.silent["/mask"]
    assert "stamps never match within 0 s" in reason and "(skew 0.020 s)" in reason
    assert result.statistics["/mask"]["unmatched"] == {"color": 0, "depth": 0}


def test_a_damaged_bag_is_worked_off_as_far_as_it_goes(bag: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(bag.read_bytes()[: bag.stat().st_size // 2])
    result = replay(cut, [Mask], out=tmp_path / "out.mcap")
    assert 5 < result.statistics["/mask"]["sets"] < FRAMES
    assert any("not finished" in str(loss) for loss in result.losses)


def test_two_types_on_one_topic_of_a_bag(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with McapWriter(tmp_path / "two.mcap") as writer:
        images, strings = writer.add_topic("/mask/mask", IMAGE), writer.add_topic("/mask/mask", STRING)
        for i in range(4):
            writer.write(images, START + i, serialize(image(i, i)))
            writer.write(strings, START + i, serialize(String(data="x")))
    result = replay(tmp_path / "two.mcap", [Counter])
    assert result.statistics["/counter"]["sets"] == 4
    assert caplog.messages == [f"/mask/mask is {IMAGE} here but is published as {STRING} by /bag"]


def test_what_the_nodes_publish_replaces_what_the_bag_holds(
    bag: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    replay(bag, [Mask], out=tmp_path / "labelled.mcap", inputs=True)
    assert caplog.messages == []
    factor = RosArguments.of(parameters=["mask:factor:=3"])
    result = replay(tmp_path / "labelled.mcap", [Mask, Counter], factor, out=tmp_path / "again.mcap", inputs=True)
    assert caplog.messages == [
        f"{tmp_path}/labelled.mcap: left out, for nodes of this run publish them: /mask/mask, /mask/place"
    ]
    assert result.statistics["/counter"]["sets"] == FRAMES and "/mask/mask" not in result.read
    with BagReader(tmp_path / "again.mcap") as again:
        values = [deserialize(m.data, IMAGE).data[0] for m in again.messages(["/mask/mask"])]
    assert values == [3 * i for i in range(FRAMES)]


class Odometer(Node):
    """Publishes a transform of its own, beside those of others."""

    name = "odometer"
    inputs = (Input("color", "color", IMAGE),)
    outputs = (Output("tf", "/tf", TF),)
    uses_transforms = True

    def process(self, messages: Mapping, context: Context) -> Mapping:
        return {"tf": tf_message([("map", "other", START, Pose.identity())])}


def test_transforms_have_many_publishers(bag: Path) -> None:
    assert replay(bag, [Odometer, Mask]).read["/tf"] == FRAMES


class Stopwatch(Node):
    """What time it is when an image comes."""

    name = "stopwatch"
    inputs = (Input("color", "color", IMAGE),)
    outputs = (Output("now", "~/now", STRING),)

    def process(self, messages: Mapping, context: Context) -> Mapping:
        return {"now": String(data=str(context.now_ns))}


def test_simulated_time_of_a_bag(tmp_path: Path) -> None:
    """Recorded from a simulation: log times are of the wall, /clock is in the bag. The second half starts anew."""
    with McapWriter(tmp_path / "in.mcap") as writer:
        clock, color = writer.add_topic("/clock", "rosgraph_msgs/msg/Clock"), writer.add_topic("/color", IMAGE)
        for i, simulated in enumerate((5, 6, 7, 1, 2)):
            writer.write(clock, START + i * SECOND, serialize(Clock(ns_to_stamp(simulated * SECOND))))
            writer.write(color, START + i * SECOND, serialize(image(simulated * SECOND, i)))
    by_clock = RosArguments.of(parameters=["use_sim_time:=true"])
    result = replay(tmp_path / "in.mcap", [Stopwatch], by_clock, out=tmp_path / "sim.mcap")
    assert texts(tmp_path / "sim.mcap", "/stopwatch/now") == [str(s * SECOND) for s in (5, 6, 7, 1, 2)]
    assert result.statistics["/stopwatch"]["warnings"] == 1, "time jumped back once"
    replay(tmp_path / "in.mcap", [Stopwatch], out=tmp_path / "wall.mcap")
    assert texts(tmp_path / "wall.mcap", "/stopwatch/now") == [str(START + i * SECOND) for i in range(5)]


def test_transforms_heard_early_outlive_a_jump_of_time(tmp_path: Path) -> None:
    """A simulation that starts anew: the transform for its first image is read before the jump is noticed."""
    with McapWriter(tmp_path / "in.mcap") as writer:
        numbers = {t: writer.add_topic(t, IMAGE, [SENSOR]) for t in ("/color", "/depth")}
        numbers |= {"/tf": writer.add_topic("/tf", TF), "/tf_static": writer.add_topic("/tf_static", TF, [LATCHED])}
        static = tf_message([("base", "camera", 0, Pose.from_yaw(0, 1, 0))])
        writer.write(numbers["/tf_static"], START, serialize(static))
        for i, simulated in enumerate((50, 51, 52, 10, 11)):
            now, stamp = START + i * SECOND // 10, simulated * SECOND
            for topic in ("/color", "/depth"):
                writer.write(numbers[topic], now, serialize(image(stamp, i)))
            odometry = tf_message([("map", "base", stamp, Pose.from_yaw(i, 0, 0))])
            writer.write(numbers["/tf"], now + 1, serialize(odometry))
    replay(tmp_path / "in.mcap", [Mask], out=tmp_path / "out.mcap")
    assert texts(tmp_path / "out.mcap", "/mask/place")[-2:] == ["3.0 1.0", "4.0 1.0"]


def test_in_real_time_what_comes_too_late_is_dropped_and_counted(bag: Path, tmp_path: Path) -> None:
    arguments = RosArguments.of(parameters=["delay:=0.1"])
    result = replay(bag, [Mask], arguments, out=tmp_path / "out.mcap", rate=3.0)
    figures = result.statistics["/mask"]
    assert 0.9 < result.seconds < 5.0
    assert figures["sets"] + figures["drops"] + figures["refused"] == FRAMES
    assert figures["drops"] > 10 and figures["sets"] >= 2
    assert figures["latency_p50_ms"] >= 100
    assert result.recorded["/mask/mask"] == figures["sets"]


@pytest.mark.skipif(not REAL.exists(), reason=f"no {REAL} here")
def test_a_real_recording(tmp_path: Path) -> None:
    class Track(Node):
        name = "track"
        inputs = (Input("odom", "odom", "nav_msgs/msg/Odometry"),)
        outputs = (Output("place", "~/place", STRING),)
        uses_transforms = True

        def process(self, messages: Mapping, context: Context) -> Mapping:
            header = messages["odom"].header
            stamp_ns = header.stamp.sec * SECOND + header.stamp.nanosec
            pose = context.transforms.lookup("odom", messages["odom"].child_frame_id, stamp_ns)
            position = messages["odom"].pose.pose.position
            return {"place": String(data=f"{np.hypot(*(pose.translation[:2] - (position.x, position.y))):.3f}")}

    result = replay(REAL, [Track], out=tmp_path / "out.mcap")
    figures = result.statistics["/track"]
    assert figures["sets"] + figures["refused"] == 2639 and figures["sets"] > 2500
    assert max(map(float, texts(tmp_path / "out.mcap", "/track/place"))) < 0.05, "/tf and /odom agree"


# The writer and the recorder


def test_what_is_written_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "bag.mcap"
    with McapWriter(path) as writer:
        text, color = (
            writer.add_topic("/text", STRING, [LATCHED, RELIABLE]),
            writer.add_topic("/color", IMAGE, [SENSOR]),
        )
        unused = writer.add_topic("/unused", STRING)
        for i in range(40):
            writer.write(text, START + i * SECOND // 7, serialize(String(data=str(i))))
            writer.write(color, START + i * SECOND // 7, serialize(image(i, i)))
    assert unused == 2
    with AnyReader([path]) as reader:
        assert reader.message_count == 80 and reader.duration == 39 * SECOND // 7 + 1
        assert {c.topic: c.msgcount for c in reader.connections} == {"/text": 40, "/color": 40, "/unused": 0}
        found = [(c.topic, time_ns, reader.deserialize(data, c.msgtype)) for c, time_ns, data in reader.messages()]
        qos = {c.topic: [str(q.durability.name) for q in c.ext.offered_qos_profiles] for c in reader.connections}
        assert reader.typestore.hash_rihs01(IMAGE) == typestore.hash_rihs01(IMAGE)
    assert [m.data for topic, _, m in found if topic == "/text"] == [str(i) for i in range(40)]
    assert found[0][1] == START
    assert qos == {"/text": ["TRANSIENT_LOCAL", "VOLATILE"], "/color": ["VOLATILE"], "/unused": []}


def test_an_empty_recording(tmp_path: Path) -> None:
    McapWriter(tmp_path / "empty.mcap").close()
    with BagReader(tmp_path / "empty.mcap") as reader, AnyReader([tmp_path / "empty.mcap"]) as other:
        assert reader.topics == [] and list(reader.messages()) == [] and reader.losses == []
        assert other.message_count == 0


WRITE_FOREVER = """
import sys, time
from scene_understanding.hosts.mcap_writer import McapWriter
from scene_understanding.messages.types import String, serialize
writer = McapWriter(sys.argv[1])
number = writer.add_topic("/text", "std_msgs/msg/String")
i = 0
while True:
    writer.write(number, time.time_ns(), serialize(String(data=f"{i} " + "x" * (i * 7919 % 40_000))))
    print(i, flush=True)
    i += 1
"""


def test_killed_at_any_moment_nothing_written_is_lost(tmp_path: Path) -> None:
    for attempt in range(4):
        path = tmp_path / f"{attempt}.mcap"
        process = subprocess.Popen([sys.executable, "-c", WRITE_FOREVER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random.uniform(0.0, 0.3))
        os.kill(process.pid, signal.SIGKILL)
        written = [0, *map(int, re.findall(r"^(\d+)$", process.stdout.read(), re.MULTILINE))]
        process.wait()
        with BagReader(path) as reader:
            read = [int(deserialize(m.data, STRING).data.split()[0]) for m in reader.messages()]
            assert any("not finished" in str(loss) for loss in reader.losses)
        assert read == list(range(len(read))), "in order, none missing"
        assert len(read) >= written[-1], f"the last one told as written is {written[-1]}"


class Disk:
    """Stands before a file and keeps every single write, as the operating system gets it."""

    def __init__(self, file) -> None:
        self.file, self.writes, self.closed = file, [], False

    def write(self, data) -> int:
        self.writes.append((self.file.tell(), bytes(data)))
        return self.file.write(data)

    def seek(self, position: int) -> int:
        return self.file.seek(position)

    def close(self) -> None:
        self.closed = True
        self.file.close()


def test_killed_after_any_single_write_it_is_complete(tmp_path: Path) -> None:
    writer = McapWriter(tmp_path / "bag.mcap")
    header = (tmp_path / "bag.mcap").read_bytes()
    disk = writer._file = Disk(writer._file)
    number = writer.add_topic("/text", STRING)
    finished = []
    for i in range(25):
        writer.write(number, i * SECOND // 5, serialize(String(data=str(i))))
        finished.append(len(disk.writes))
    writer.close()
    content = bytearray(header)
    for done, (position, data) in enumerate(disk.writes):
        content[position : position + len(data)] = data
        (tmp_path / "killed.mcap").write_bytes(content)
        with BagReader(tmp_path / "killed.mcap") as reader:
            read = [int(deserialize(m.data, STRING).data) for m in reader.messages()]
            assert all(loss.messages is None for loss in reader.losses)
        assert read == list(range(sum(done + 1 >= end for end in finished)))
    assert content == (tmp_path / "bag.mcap").read_bytes()


def test_recorder_writes_what_is_published_with_the_time_of_its_clock(tmp_path: Path) -> None:
    bus, clock = Bus(), SimulatedClock()
    publisher = bus.advertise("/text", STRING, LATCHED, "/n")
    publisher.publish(String(data="before"))
    clock.set(5)
    with Recorder(bus, tmp_path / "x.mcap", clock) as recorder:
        recorder.add("/text", STRING, LATCHED)
        recorder.add("/text", STRING, LATCHED)
        clock.set(7)
        publisher.publish(String(data="after"))
    publisher.publish(String(data="too late"))
    assert recorder.recorded == {"/text": 2} and recorder.lost == 0
    with BagReader(tmp_path / "x.mcap") as reader:
        assert [(m.time_ns, deserialize(m.data, STRING).data) for m in reader.messages()] == [
            (5, "before"),
            (7, "after"),
        ]


def test_recorder_can_keep_one_message_a_period(tmp_path: Path) -> None:
    bus, clock = Bus(), SimulatedClock()
    publisher = bus.advertise("/text", STRING, RELIABLE, "/n")
    with Recorder(bus, tmp_path / "x.mcap", clock) as recorder:
        recorder.add("/text", STRING, RELIABLE, period=1.0)
        for tenth in (1, 5, 10, 11, 12, 30, 3, 4):  # the clock goes back once
            clock.set(tenth * 10**8)
            publisher.publish(String(data=str(tenth)))
    with BagReader(tmp_path / "x.mcap") as reader:
        assert {deserialize(m.data, STRING).data for m in reader.messages()} == {"1", "11", "30", "3"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_ends_the_recording_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()
    recorder = Recorder(bus, tmp_path / "x.mcap")
    recorder.add("/text", STRING, RELIABLE)
    publisher = bus.advertise("/text", STRING, RELIABLE, "/n")
    publisher.publish(String(data="a"))
    with open("/dev/full", "wb", buffering=0) as full:
        os.dup2(full.fileno(), recorder._writer._file.fileno())
    for _ in range(3):
        publisher.publish(String(data="b"))
    recorder.close()
    assert recorder.recorded == {"/text": 1} and recorder.lost == 3
    (line,) = caplog.messages
    assert "No space left on device" in line
    with BagReader(tmp_path / "x.mcap") as reader:
        assert len(list(reader.messages())) == 1
