"""Bags of every kind, whole, cut at any byte, and damaged."""

import random
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from rosbags.convert.converter import default_message
from rosbags.highlevel import AnyReader
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from scene_understanding.hosts import mcap_format as mcap
from scene_understanding.hosts.bag_contents import BagError, Loss, Recorded
from scene_understanding.hosts.bag_qos import qos_from_yaml
from scene_understanding.hosts.bag_reader import BagReader
from scene_understanding.hosts.mcap_writer import McapWriter
from scene_understanding.messages.header import make_header
from scene_understanding.messages.types import Image, String, deserialize, serialize, typestore
from scene_understanding.nodes.node import LATCHED, RELIABLE, SENSOR

REAL = Path(__file__).parents[3] / "shared" / "data" / "bags"
STRING, IMAGE = "std_msgs/msg/String", "sensor_msgs/msg/Image"
COUNT = 60


def message(i: int) -> tuple[str, str, int, bytes]:
    """Topic, type, time and bytes of a made-up message; every second one is an image."""
    time_ns = 1_700_000_000_000_000_000 + i // 3 * 40_000_000  # three of them at the same time
    if i % 2:
        return "/text", STRING, time_ns, bytes(serialize(String(data=f"text {i}")))
    pixels = np.random.default_rng(i).integers(0, 256, 3000, np.uint8)
    return (
        "/image",
        IMAGE,
        time_ns,
        bytes(serialize(Image(make_header(time_ns, "c"), 30, 100, "mono8", 0, 100, pixels))),
    )


EXPECTED = [Recorded(topic, msgtype, time_ns, data) for topic, msgtype, time_ns, data in map(message, range(COUNT))]


def write_ours(path: Path) -> Path:
    with McapWriter(path) as writer:
        numbers = {
            "/image": writer.add_topic("/image", IMAGE, [SENSOR]),
            "/text": writer.add_topic("/text", STRING, [LATCHED]),
        }
        for topic, _, time_ns, data in map(message, range(COUNT)):
            writer.write(numbers[topic], time_ns, data)
    return path


def write_rosbag2(folder: Path, plugin: StoragePlugin, compression: CompressionMode | None = None) -> Path:
    writer = Writer2(folder, version=9, storage_plugin=plugin)
    if compression is not None:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections = {
            topic: writer.add_connection(topic, msgtype, typestore=typestore)
            for topic, msgtype in (("/image", IMAGE), ("/text", STRING))
        }
        for topic, _, time_ns, data in map(message, range(COUNT)):
            writer.write(connections[topic], time_ns, data)
    return folder


def write_rosbag1(path: Path, compression: Writer1.CompressionFormat | None = None) -> Path:
    store = get_typestore(Stores.ROS1_NOETIC)
    writer = Writer1(path)
    if compression is not None:
        writer.set_compression(compression)
    writer.chunk_threshold = 20_000
    with writer:
        connections = {
            t: writer.add_connection(t, m, typestore=store) for t, m in (("/image", IMAGE), ("/text", STRING))
        }
        for topic, msgtype, time_ns, data in map(message, range(COUNT)):
            writer.write(connections[topic], time_ns, store.serialize_ros1(as_ros1(store, data, msgtype), msgtype))
    return path


def as_ros1(store, data: bytes, msgtype: str):
    found = deserialize(data, msgtype)
    if msgtype == STRING:
        return store.types[STRING](data=found.data)
    time = store.types["builtin_interfaces/msg/Time"](found.header.stamp.sec, found.header.stamp.nanosec)
    header = store.types["std_msgs/msg/Header"](seq=7, stamp=time, frame_id=found.header.frame_id)
    return store.types[IMAGE](header, found.height, found.width, found.encoding, 0, found.step, found.data)


def read(path: Path, wanted=None) -> tuple[list[Recorded], list[Loss]]:
    with BagReader(path) as bag:
        return list(bag.messages(wanted)), bag.losses


MAKERS = {
    "ours": lambda folder: write_ours(folder / "bag.mcap"),
    "mcap": lambda folder: write_rosbag2(folder / "bag", StoragePlugin.MCAP),
    "mcap zstd": lambda folder: write_rosbag2(folder / "bag", StoragePlugin.MCAP, CompressionMode.STORAGE),
    "sqlite3": lambda folder: write_rosbag2(folder / "bag", StoragePlugin.SQLITE3),
    "sqlite3 file zstd": lambda folder: write_rosbag2(folder / "bag", StoragePlugin.SQLITE3, CompressionMode.FILE),
    "sqlite3 message zstd": lambda folder: write_rosbag2(
        folder / "bag", StoragePlugin.SQLITE3, CompressionMode.MESSAGE
    ),
    "ros1": lambda folder: write_rosbag1(folder / "bag.bag"),
    "ros1 bz2": lambda folder: write_rosbag1(folder / "bag.bag", Writer1.CompressionFormat.BZ2),
    "ros1 lz4": lambda folder: write_rosbag1(folder / "bag.bag", Writer1.CompressionFormat.LZ4),
}


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: make(tmp_path_factory.mktemp(kind.replace(" ", "_"))) for kind, make in MAKERS.items()}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_whole_bag(bags: dict[str, Path], kind: str) -> None:
    messages, losses = read(bags[kind])
    assert losses == []
    assert [(m.topic, m.type, m.time_ns) for m in messages] == [(m.topic, m.type, m.time_ns) for m in EXPECTED]
    for found, expected in zip(messages, EXPECTED, strict=True):
        assert bytes(found.data) == expected.data
    with BagReader(bags[kind]) as bag:
        assert [(t.name, t.type, t.count) for t in bag.topics] == [("/image", IMAGE, 30), ("/text", STRING, 30)]
        assert list(bag.messages(["/text"])) == [m for m in messages if m.topic == "/text"]


@pytest.mark.parametrize("kind", ["mcap", "sqlite3"])
def test_a_folder_without_its_metadata(bags: dict[str, Path], kind: str, tmp_path: Path) -> None:
    copy = shutil.copytree(bags[kind], tmp_path / "bag")
    (copy / "metadata.yaml").write_text("rosbag2_bagfile_information: {version")
    assert len(read(copy)[0]) == COUNT
    (copy / "metadata.yaml").unlink()
    assert len(read(copy)[0]) == COUNT
    assert len(read(next(copy.iterdir()))[0]) == COUNT, "the file alone"


def test_a_bag_of_several_files_of_which_one_is_lost(bags: dict[str, Path], tmp_path: Path) -> None:
    for i in (1, 10, 9):
        with McapWriter(tmp_path / f"bag_{i}.mcap") as writer:
            number = writer.add_topic("/text", STRING)
            writer.write(number, i, serialize(String(data=str(i))))
    (tmp_path / "bag_11.mcap").write_bytes(b"no bag")
    messages, losses = read(tmp_path)
    assert [deserialize(m.data, STRING).data for m in messages] == ["1", "9", "10"]
    assert [str(loss) for loss in losses] == [
        f"{tmp_path}/bag_11.mcap: {tmp_path}/bag_11.mcap is not an MCAP file; lost: 6 bytes"
    ]


def test_a_topic_that_is_not_there(bags: dict[str, Path]) -> None:
    with BagReader(bags["ours"]) as bag, pytest.raises(BagError) as error:
        bag.messages(["/text", "/depth"])
    assert str(error.value) == f"{bags['ours']} has no topic /depth; it has: /image ({IMAGE}), /text ({STRING})"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.mcap", b"", "is not an MCAP file"),
        ("x.mcap", mcap.MAGIC + mcap.record(mcap.HEADER, mcap.text("ros1") + mcap.text("")), "profile 'ros1'"),
        ("x.db3", b"", "is not a SQLite file"),
        ("x.db3", b"no database at all, but long enough to be one?" * 99, "is not a SQLite file"),
        ("x.db3", b"SQLite format 3\0" + bytes(5000), "cannot be read as a rosbag2 database"),
        ("x.bag", b"#ROSBAG V1.2\n", "is not a ROS 1 bag of format 2.0"),
        ("x.txt", b"text", "expected a file ending in .mcap, .db3, .bag, or the folder"),
        (None, b"", "no such bag"),
    ],
)  # fmt: skip
def test_what_is_no_bag(tmp_path: Path, name: str | None, content: bytes, said: str) -> None:
    path = tmp_path / (name or "missing.mcap")
    if name:
        path.write_bytes(content)
    with pytest.raises(BagError) as error:
        BagReader(path)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_an_empty_folder_and_a_foreign_database(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="holds no bag"):
        BagReader(tmp_path)
    sqlite3.connect(tmp_path / "x.db3").execute("CREATE TABLE songs(id)").connection.close()
    with pytest.raises(BagError, match="not a bag: it has no table 'topics'"):
        BagReader(tmp_path / "x.db3")


def file_of(path: Path) -> Path:
    return path if path.is_file() else next(p for p in path.iterdir() if p.suffix != ".yaml")


def check_prefix(kind: str, messages: list[Recorded]) -> None:
    """What was read is what was written, in order, with nothing invented."""
    position = 0
    for found in messages:
        while (EXPECTED[position].topic, EXPECTED[position].time_ns) != (found.topic, found.time_ns) or EXPECTED[
            position
        ].data != bytes(found.data):
            position += 1
            assert position < COUNT, f"{kind}: a message that was never written"
        position += 1
        if position == COUNT:
            break


@pytest.mark.parametrize(
    "kind", ["ours", "mcap", "mcap zstd", "ros1", "ros1 bz2", "ros1 lz4", "sqlite3", "sqlite3 file zstd"]
)
def test_cut_at_any_byte(bags: dict[str, Path], kind: str, tmp_path: Path) -> None:
    """Fewer bytes, fewer messages, but never wrong ones; and the loss is told."""
    whole = file_of(bags[kind]).read_bytes()
    cut = tmp_path / file_of(bags[kind]).name
    random.seed(kind)
    points = sorted({*random.sample(range(len(whole)), 60), *range(0, 60, 7), len(whole) - 1, len(whole) - 40})
    before = 0
    for point in points:
        cut.write_bytes(whole[:point])
        try:
            messages, losses = read(cut)
        except BagError:
            assert before == 0, "once the beginning is there, the bag can be read"
            continue
        check_prefix(kind, messages)
        if "sqlite3" not in kind:
            assert len(messages) >= before
            assert messages == EXPECTED[: len(messages)]
        before = max(before, len(messages))
        assert losses or (len(messages) == COUNT and "sqlite3" in kind) or point >= len(whole) - 40
    assert before >= COUNT * 3 // 4


def test_a_cut_uncompressed_file_loses_only_what_is_cut(bags: dict[str, Path], tmp_path: Path) -> None:
    whole = file_of(bags["ours"]).read_bytes()
    cut = tmp_path / "cut.mcap"
    starts = [whole.index(m.data) for m in EXPECTED]
    for i in (0, 1, 20, 59):
        cut.write_bytes(whole[: starts[i] + len(EXPECTED[i].data)])
        assert len(read(cut)[0]) == i + 1
        cut.write_bytes(whole[: starts[i] + len(EXPECTED[i].data) - 1])
        messages, losses = read(cut)
        assert len(messages) == i
        assert sum(loss.messages or 0 for loss in losses) == 1
        assert any("ends inside a message" in str(loss) for loss in losses)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(MAKERS)), st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=200))
def test_any_bytes_anywhere_never_crash_it(
    bags: dict[str, Path], tmp_path: Path, kind: str, where: float, garbage: bytes
) -> None:
    whole = bytearray(file_of(bags[kind]).read_bytes())
    position = int(where * len(whole))
    whole[position : position + len(garbage)] = garbage
    damaged = tmp_path / file_of(bags[kind]).name
    damaged.write_bytes(whole)
    try:
        messages, losses = read(damaged)
    except BagError as error:
        assert "\n" not in str(error)
        return
    assert all(str(loss) for loss in losses)
    assert len(messages) <= COUNT + 5


def test_a_damaged_chunk_is_left_out_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bag.mcap"
    with McapWriter(path) as writer:
        number = writer.add_topic("/text", STRING)
        for i in range(50):
            writer.write(number, i * 100_000_000, serialize(String(data=f"message {i:02}")))
    damaged = path.read_bytes().replace(b"message 23", b"massage 23")
    path.write_bytes(damaged)
    messages, losses = read(path)
    assert [m.time_ns // 100_000_000 for m in messages] == [*range(20), *range(30, 50)]
    (loss,) = losses
    assert loss.messages == 10 and "damaged chunk: its checksum is wrong" in str(loss) and "10 messages" in str(loss)


def test_a_damaged_length_is_left_behind_at_the_next_chunk(tmp_path: Path) -> None:
    path = tmp_path / "bag.mcap"
    with McapWriter(path) as writer:
        number = writer.add_topic("/text", STRING)
        for i in range(50):
            writer.write(number, i * 100_000_000, serialize(String(data=f"message {i:02}")))
    data = bytearray(path.read_bytes())
    data[data.index(b"message 20") - 100 : data.index(b"message 20") - 80] = b"\xff" * 20
    path.write_bytes(data)
    messages, losses = read(path)
    assert [m.time_ns // 100_000_000 for m in messages] == [*range(20), *range(30, 50)]
    assert "reading goes on at the next chunk" in str(losses[0])


@pytest.mark.parametrize("opcode", [mcap.SCHEMA, mcap.CHANNEL, mcap.MESSAGE])
def test_a_damaged_record_in_a_chunk_of_an_unfinished_file(tmp_path: Path, opcode: int) -> None:
    """Its checksum is none, as some writers do; the records beside the damaged one are read."""
    path = tmp_path / "bag.mcap"
    message = mcap.MESSAGE_START.pack(0, 0, 5, 5) + bytes(serialize(String(data="text")))
    records = mcap.Schema(1, STRING, "ros2msg", b"string data\n").pack() + mcap.Channel(0, 1, "/text", "cdr").pack()
    records += mcap.record(opcode, b"\xff" * 7) + mcap.record(mcap.MESSAGE, message)
    chunk = mcap.CHUNK_START.pack(5, 5, len(records), 0) + mcap.text("") + len(records).to_bytes(8, "little") + records
    header = mcap.record(mcap.HEADER, mcap.text("ros2") + mcap.text("test"))
    path.write_bytes(mcap.MAGIC + header + mcap.record(mcap.CHUNK, chunk))
    messages, losses = read(path)
    assert [(m.topic, m.type, deserialize(m.data, STRING).data) for m in messages] == [("/text", STRING, "text")]
    unfinished, damaged = sorted(map(str, losses), key=lambda loss: "damaged record" in loss)
    assert "not finished" in unfinished and "damaged record inside a chunk" in damaged and "7 bytes" in damaged


def test_messages_outside_of_chunks_and_out_of_order(tmp_path: Path) -> None:
    """`ros2 bag record --storage-preset-profile fastwrite` writes no chunks; and log times need not ascend."""
    path = tmp_path / "bag.mcap"
    schema, channel = mcap.Schema(1, STRING, "ros2msg", b"string data\n"), mcap.Channel(0, 1, "/text", "cdr")
    content = (
        mcap.MAGIC + mcap.record(mcap.HEADER, mcap.text("ros2") + mcap.text("test")) + schema.pack() + channel.pack()
    )
    order = [3, 1, 2, 2, 0, *range(4, 600)]
    for position, time_ns in enumerate(order):
        data = bytes(serialize(String(data=str(position))))
        content += mcap.record(mcap.MESSAGE, mcap.MESSAGE_START.pack(0, 0, time_ns, 0) + data)
    content += mcap.record(mcap.DATA_END, bytes(4)) + mcap.record(mcap.FOOTER, bytes(20)) + mcap.MAGIC
    path.write_bytes(content)
    messages, losses = read(path)
    assert losses == []
    assert [m.time_ns for m in messages] == sorted(order)
    assert [deserialize(m.data, STRING).data for m in messages][:5] == ["4", "1", "2", "3", "0"]


def test_sqlite_rows_that_cannot_be_reached_are_left_out(bags: dict[str, Path], tmp_path: Path) -> None:
    whole = bytearray(file_of(bags["sqlite3"]).read_bytes())
    page = int.from_bytes(whole[16:18], "big")
    middle = len(whole) // page // 2
    whole[middle * page : (middle + 4) * page] = bytes(4 * page)
    path = tmp_path / "bag.db3"
    path.write_bytes(whole)
    messages, losses = read(path)
    check_prefix("sqlite3", messages)
    assert COUNT // 2 < len(messages) < COUNT
    assert losses and "malformed" in str(losses[0])


def test_a_database_that_was_being_written(tmp_path: Path) -> None:
    """A killed recorder leaves its newest rows in the write-ahead log."""
    folder = write_rosbag2(tmp_path / "bag", StoragePlugin.SQLITE3)
    path = next(folder.glob("*.db3"))
    recorder = sqlite3.connect(path)
    recorder.execute("PRAGMA journal_mode=WAL")
    recorder.execute("INSERT INTO messages(topic_id, timestamp, data) VALUES (2, ?, ?)", (2 * 10**18, EXPECTED[1].data))
    recorder.commit()
    assert path.with_name(path.name + "-wal").exists()
    messages, losses = read(folder)
    recorder.close()
    assert len(messages) == COUNT + 1 and losses == []


@pytest.mark.parametrize(
    "name", ["evo_nav2_turtlebot.mcap", "evo_tf_example", "foxglove_example-bz2.bag", "jsk_watercan.bag"]
)
def test_real_bags_are_read_as_rosbags_reads_them(name: str) -> None:
    if not (REAL / name).exists():
        pytest.skip(f"no {REAL / name} here")
    messages, losses = read(REAL / name)
    assert losses == []
    with AnyReader([REAL / name]) as reader:
        expected = [(connection.topic, time_ns) for connection, time_ns, _ in reader.messages()]
    assert [(m.topic, m.time_ns) for m in messages] == expected
    for m in messages[:: max(1, len(messages) // 50)]:
        if m.type in typestore.types:
            assert deserialize(m.data, m.type).__msgtype__ == m.type


def test_ros1_types_become_those_of_ros2(tmp_path: Path) -> None:
    """`CameraInfo` has other field names, `tf/tfMessage` another name, a type of one's own stays as it is."""
    store = get_typestore(Stores.ROS1_NOETIC)
    types = store.types
    definition = "Header header\nfloat64[] values\nstring name\n"
    store.register(get_types_from_msg(definition, "my_msgs/msg/Mine"))
    header = types["std_msgs/msg/Header"](5, types["builtin_interfaces/msg/Time"](1, 2), "frame")
    roi = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    info = types["sensor_msgs/msg/CameraInfo"](
        header, 480, 640, "plumb_bob", np.arange(5.0), np.arange(9.0), np.arange(9.0) * 2, np.arange(12.0), 0, 0, roi
    )
    mine = store.types["my_msgs/msg/Mine"](header, np.arange(3.0), "x")
    with Writer1(tmp_path / "x.bag") as writer:
        for topic, msgtype, content in (
            ("/info", "sensor_msgs/msg/CameraInfo", info),
            ("/mine", "my_msgs/msg/Mine", mine),
        ):
            connection = writer.add_connection(topic, msgtype, typestore=store)
            writer.write(connection, 1, store.serialize_ros1(content, msgtype))
    with BagReader(tmp_path / "x.bag") as bag:
        first, second = bag.messages()
        definitions = {topic.name: topic.definition for topic in bag.topics}
    found = deserialize(first.data, first.type)
    np.testing.assert_array_equal(found.k, np.arange(9.0))
    np.testing.assert_array_equal(found.d, np.arange(5.0))
    assert (found.header.frame_id, found.header.stamp.nanosec, found.width) == ("frame", 2, 640)
    custom = get_typestore(Stores.ROS2_JAZZY)
    custom.register(get_types_from_msg(definition.replace("Header", "std_msgs/Header"), "my_msgs/msg/Mine"))
    again = custom.deserialize_cdr(second.data, "my_msgs/msg/Mine")
    assert (again.name, again.header.stamp.sec, list(again.values)) == ("x", 1, [0.0, 1.0, 2.0])
    assert "seq" not in definitions["/mine"] and "float64[] values" in definitions["/mine"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"RegionOfInterest roi", b"RegionOfIntexest roi"),
        (b"float64[9] K", b"float6x[9] K"),
        (b"Header header", b"uint32 header"),
    ],
)
def test_a_damaged_type_definition_of_ros1_costs_only_its_messages(tmp_path: Path, before: bytes, after: bytes) -> None:
    store = get_typestore(Stores.ROS1_NOETIC)
    path, msgtype = tmp_path / "bag.bag", "sensor_msgs/msg/CameraInfo"
    with Writer1(path) as writer:
        info = writer.add_connection("/info", msgtype, typestore=store)
        text = writer.add_connection("/text", STRING, typestore=store)
        writer.write(info, 1, store.serialize_ros1(default_message(store, msgtype), msgtype))
        writer.write(text, 2, store.serialize_ros1(store.types[STRING](data="text"), STRING))
    path.write_bytes(path.read_bytes().replace(before, after))
    messages, losses = read(path)
    assert [(m.topic, deserialize(m.data, STRING).data) for m in messages] == [("/text", "text")]
    (loss,) = losses
    assert loss.messages == 1 and "damaged message on /info" in str(loss)


@pytest.mark.parametrize(
    "damaged",
    ["5", "true", "text", "2001-99-99", "{a: 1}", "[[", "!!int ''", "!!float ''", "!!bool x", "!!timestamp x", "", 5],
)
def test_damaged_qos_is_unknown(damaged: object) -> None:
    assert qos_from_yaml(damaged) == ()


def test_qos_of_every_way_to_write_it(bags: dict[str, Path]) -> None:
    with BagReader(bags["ours"]) as bag:
        assert {t.name: t.qos for t in bag.topics} == {"/image": (SENSOR,), "/text": (LATCHED,)}
    if REAL.exists():
        with BagReader(REAL / "evo_nav2_turtlebot.mcap") as bag:
            qos = {t.name: t.qos for t in bag.topics}
        assert qos["/tf_static"] == (LATCHED,) and qos["/odom"] == (RELIABLE,) and len(qos["/tf"]) == 3
