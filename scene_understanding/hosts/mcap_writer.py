"""Writes rosbag2 `.mcap` files that a kill at any moment leaves readable up to the last message.

A chunk goes to the file message by message, with a length that reaches beyond the end of the file; when the chunk is
full, its header is put right. A reader that takes a cut chunk as far as it goes (`McapReader`) so loses nothing after
`kill -9`; others lose the last chunk, at most one second. Where a chunk ends depends on the messages alone, so equal
input gives an equal file.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scene_understanding.hosts import mcap_format as mcap
from scene_understanding.hosts.bag_qos import qos_to_yaml
from scene_understanding.messages.types import type_hash, typestore
from scene_understanding.nodes.node import QoS

CHUNK_BYTES = 1 << 20
CHUNK_NS = 1_000_000_000
_OPEN_LENGTH = 1 << 30  # of a chunk that is being written: beyond the end of the file, but sane
_NO_COMPRESSION = mcap.text("")


@dataclass
class _Chunk:
    """The chunk that is being written: where it starts, its size and CRC so far, and (time, offset) by channel."""

    offset: int
    size: int = 0
    crc: int = 0
    start_ns: int = 0
    end_ns: int = 0
    index: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))


class McapWriter:
    """One file. Thread-safe. A context manager that closes.

    Profile, schemas (`ros2msg`), QoS profiles and type hashes as rosbag2 writes them (rosbag2_storage_mcap), so that
    `ros2 bag info` and `ros2 bag play` take the file, and the latter latches what was latched.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        """Creates the file and the folders above it.

        Raises:
            FileExistsError: it exists and may not be overwritten.
        """
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("wb" if overwrite else "xb", buffering=0)
        self._lock = threading.Lock()
        self._schemas: dict[str, mcap.Schema] = {}
        self._channels: list[mcap.Channel] = []
        self._counts: list[int] = []
        self._chunk: _Chunk | None = None
        self._chunk_indexes: list[bytes] = []
        self._times: tuple[int, int] | None = None
        self._position = 0
        self._append(mcap.MAGIC + mcap.record(mcap.HEADER, mcap.text("ros2") + mcap.text("scene_understanding")))

    def add_topic(self, name: str, msgtype: str, qos: Sequence[QoS] = (), definition: str | None = None) -> int:
        """Announces a topic; returns the number to `write` to.

        Args:
            definition: `ros2msg` text for a type that `messages.types` does not know.
        """
        known = msgtype in typestore.fielddefs
        if definition is None or known:
            definition = typestore.generate_msgdef(msgtype, ros_version=2)[0]
        metadata = {"offered_qos_profiles": qos_to_yaml(qos)}
        if known:
            metadata["topic_type_hash"] = type_hash(msgtype)
        with self._lock:
            if msgtype not in self._schemas:
                schema = mcap.Schema(len(self._schemas) + 1, msgtype, "ros2msg", definition.encode())
                self._schemas[msgtype] = schema
                self._into_chunk(schema.pack(), None)
            channel = mcap.Channel(len(self._channels), self._schemas[msgtype].id, name, "cdr", metadata)
            self._channels.append(channel)
            self._counts.append(0)
            self._into_chunk(channel.pack(), None)
        return channel.id

    def write(self, topic: int, time_ns: int, data: bytes | memoryview) -> None:
        """Appends one message (CDR); it is in the file when this returns.

        Raises:
            OSError: the disk is full or gone.
        """
        with self._lock:
            start = mcap.MESSAGE_START.pack(topic, self._counts[topic], time_ns, time_ns)
            self._close_chunk_before(time_ns)
            record = b"".join((mcap.RECORD.pack(mcap.MESSAGE, len(start) + len(data)), start, data))
            self._into_chunk(record, time_ns, topic)
            self._counts[topic] += 1
            first, last = self._times or (time_ns, time_ns)
            self._times = min(first, time_ns), max(last, time_ns)

    def close(self) -> None:
        """Writes index and summary."""
        with self._lock:
            if self._file.closed:
                return
            self._close_chunk()
            self._write_end()
            self._file.close()

    def __enter__(self) -> McapWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = self._file.write(view) or 0
            view = view[written:]
        self._position += len(data)

    def _into_chunk(self, data: bytes, time_ns: int | None, topic: int = 0) -> None:
        if self._chunk is None:
            self._chunk = _Chunk(self._position)
            self._append(_chunk_header(self._chunk, _OPEN_LENGTH))
        chunk = self._chunk
        if time_ns is not None:
            chunk.start_ns = time_ns if not chunk.index else min(chunk.start_ns, time_ns)
            chunk.end_ns = max(chunk.end_ns, time_ns)
            chunk.index[topic].append((time_ns, chunk.size))
        self._append(data)
        chunk.size += len(data)
        chunk.crc = zlib.crc32(data, chunk.crc)

    def _close_chunk_before(self, time_ns: int) -> None:
        chunk = self._chunk
        if chunk and chunk.index and (chunk.size >= CHUNK_BYTES or not 0 <= time_ns - chunk.start_ns < CHUNK_NS):
            self._close_chunk()

    def _close_chunk(self) -> None:
        chunk, self._chunk = self._chunk, None
        if chunk is None:
            return
        length = self._position - chunk.offset
        self._file.seek(chunk.offset)
        self._file.write(_chunk_header(chunk, chunk.size))
        self._file.seek(self._position)
        index_start = self._position
        offsets = b""
        for topic, entries in sorted(chunk.index.items()):
            offsets += struct.pack("<HQ", topic, self._position)
            packed = b"".join(struct.pack("<QQ", *entry) for entry in entries)
            self._append(mcap.record(mcap.MESSAGE_INDEX, struct.pack("<H", topic) + mcap.blob(packed)))
        self._chunk_indexes.append(
            struct.pack("<QQQQ", chunk.start_ns, chunk.end_ns, chunk.offset, length)
            + mcap.blob(offsets)
            + struct.pack("<Q", self._position - index_start)
            + _NO_COMPRESSION
            + struct.pack("<QQ", chunk.size, chunk.size)
        )

    def _write_end(self) -> None:
        metadata_start = self._position
        metadata = mcap.text("rosbag2") + mcap.text_map({"serialized_metadata": self._metadata()})
        self._append(mcap.record(mcap.METADATA, metadata))
        metadata_length = self._position - metadata_start
        self._append(mcap.record(mcap.DATA_END, struct.pack("<I", 0)))
        summary_start = self._position
        metadata_index = struct.pack("<QQ", metadata_start, metadata_length) + mcap.text("rosbag2")
        groups = (
            (mcap.SCHEMA, [schema.pack() for schema in self._schemas.values()]),
            (mcap.CHANNEL, [channel.pack() for channel in self._channels]),
            (mcap.STATISTICS, [mcap.record(mcap.STATISTICS, self._statistics())]),
            (mcap.CHUNK_INDEX, [mcap.record(mcap.CHUNK_INDEX, index) for index in self._chunk_indexes]),
            (mcap.METADATA_INDEX, [mcap.record(mcap.METADATA_INDEX, metadata_index)]),
        )
        offsets = b""
        for opcode, group in groups:
            start = self._position
            self._append(b"".join(group))
            if group:
                content = struct.pack("<BQQ", opcode, start, self._position - start)
                offsets += mcap.record(mcap.SUMMARY_OFFSET, content)
        offsets_start = self._position
        footer = mcap.record(mcap.FOOTER, struct.pack("<QQI", summary_start, offsets_start, 0))
        self._append(offsets + footer + mcap.MAGIC)

    def _statistics(self) -> bytes:
        first, last = self._times or (0, 0)
        counts = (len(self._schemas), len(self._channels), 0, 1, len(self._chunk_indexes))
        by_channel = b"".join(struct.pack("<HQ", i, count) for i, count in enumerate(self._counts))
        return struct.pack("<QHIIIIQQ", sum(self._counts), *counts, first, last) + mcap.blob(by_channel)

    def _metadata(self) -> str:
        """rosbag2's own metadata, version 8: with it Humble and Jazzy read the QoS profiles as numbers.

        What depends on the name of the file is left out; rosbag2 fills it in.
        """
        first, last = self._times or (0, 0)
        return (
            "version: 8\nstorage_identifier: mcap\nrelative_file_paths: []\n"
            f"duration: {{nanoseconds: {last - first}}}\nstarting_time: {{nanoseconds_since_epoch: {first}}}\n"
            f"message_count: {sum(self._counts)}\ntopics_with_message_count: []\n"
            'compression_format: ""\ncompression_mode: ""\nfiles: []\ncustom_data: {}\nros_distro: ""\n'
        )


def _chunk_header(chunk: _Chunk, size: int) -> bytes:
    """Record header and chunk header of an uncompressed chunk whose records take `size` bytes."""
    start = mcap.CHUNK_START.pack(chunk.start_ns, chunk.end_ns, size, chunk.crc if size == chunk.size else 0)
    content = start + _NO_COMPRESSION + struct.pack("<Q", size)
    return mcap.RECORD.pack(mcap.CHUNK, len(content) + size) + content
