"""Reads a ROS 1 `.bag` (format 2.0), indexed or not, cut at any byte or damaged; messages come out as ROS 2 types.

Format: http://wiki.ros.org/Bags/Format/2.0. A record is a header of `name=value` fields and a block of data, each
with a u32 length. Chunks hold connections and messages; index records behind a chunk hold the times of its messages.
"""

from __future__ import annotations

import bz2
import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lz4.frame import LZ4FrameDecompressor
from rosbags.convert.converter import is_same_wireformat, migrate_bytes
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
from rosbags.typesys.msg import normalize_msgtype
from rosbags.typesys.store import Typestore

from scene_understanding.hosts.bag_contents import BagError, Loss, Recorded, Topic
from scene_understanding.hosts.chunk_order import in_recorded_order
from scene_understanding.messages import types
from scene_understanding.nodes.node import LATCHED, RELIABLE

_MAGIC = b"#ROSBAG V2.0\n"
_MESSAGE, _BAG_HEADER, _INDEX, _CHUNK, _CHUNK_INFO, _CONNECTION = range(2, 8)
_HEADER_LIMIT = 1 << 24  # a longer header is damage
_RENAMED = {"tf/msg/tfMessage": "tf2_msgs/msg/TFMessage"}

_Convert = Callable[[memoryview], memoryview]


@dataclass
class _Piece:
    """A chunk in the file. `content` and `end` limit its data; `counts` are messages by connection."""

    offset: int
    content: int
    end: int
    compression: str
    cut: bool = False
    start_ns: int = 0
    counts: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Connection:
    topic: Topic
    convert: _Convert


class Ros1Reader:
    """One file. See `BagFile`.

    Raises:
        BagError: not a ROS 1 bag of format 2.0 (from the constructor).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.losses: list[Loss] = []
        self._file = path.open("rb")
        self._size = path.stat().st_size
        self._connections: dict[int, _Connection] = {}
        self._pieces: list[_Piece] = []
        self._indexed = False
        self._store = get_typestore(Stores.ROS2_JAZZY)
        try:
            self._scan()
            if not self._indexed:
                self._look_into_chunks()
        except BaseException:
            self._file.close()
            raise
        counts: Counter[int] = sum((piece.counts for piece in self._pieces), Counter())
        self.topics = [
            Topic(c.topic.name, c.topic.type, c.topic.qos, c.topic.definition, counts[number])
            for number, c in self._connections.items()
        ]

    def close(self) -> None:
        self._file.close()

    def messages(self, wanted: Collection[str] | None) -> Iterator[Recorded]:
        return in_recorded_order(self._pieces, lambda piece: self._messages_of(piece, wanted))

    # The file from outside

    def _scan(self) -> None:
        if self._read(0, len(_MAGIC)) != _MAGIC:
            raise BagError(f"{self.path} is not a ROS 1 bag of format 2.0")
        position = len(_MAGIC)
        while position < self._size:
            record = self._record_at(position)
            if record is None:
                self._lose(position, "cut or damaged; nothing behind it can be read", self._size - position)
                break
            header, content, end = record
            self._take(header, position, content, min(end, self._size), cut=end > self._size)
            position = end
        if not self._indexed:
            self._lose(min(position, self._size), "the bag was not finished (it has no index); read as far as it goes")

    def _record_at(self, position: int) -> tuple[dict[str, bytes], int, int] | None:
        """Header, start and end of the data (the file may end before that); None where there is no record."""
        length = int.from_bytes(self._read(position, 4), "little")
        if not 0 < length < _HEADER_LIMIT:
            return None
        packed = self._read(position + 4, length + 4)
        header = _fields(packed[:length]) if len(packed) == length + 4 else None
        if header is None or len(header.get("op", b"")) != 1:
            return None
        content = position + 4 + length + 4
        return header, content, content + int.from_bytes(packed[length:], "little")

    def _take(self, header: dict[str, bytes], position: int, content: int, end: int, cut: bool) -> None:
        kind = header["op"][0]
        if kind == _CHUNK:
            compression = header.get("compression", b"").decode("ascii", "replace")
            self._pieces.append(_Piece(position, content, end, compression, cut))
        elif kind == _CONNECTION and not cut:
            self._connect(header, self._read(content, end - content))
        elif kind == _INDEX and self._pieces and not cut:
            self._index(self._pieces[-1], header, self._read(content, end - content))
        elif kind == _CHUNK_INFO:
            self._indexed = True
        elif kind == _BAG_HEADER and header.get("encryptor"):
            raise BagError(f"{self.path} is encrypted ({header['encryptor'].decode('ascii', 'replace')})")

    @staticmethod
    def _index(piece: _Piece, header: dict[str, bytes], content: bytes) -> None:
        times = [s * 1_000_000_000 + ns for s, ns, _ in struct.iter_unpack("<III", content[: len(content) // 12 * 12])]
        first = min(times, default=0)
        piece.start_ns = min(piece.start_ns, first) if piece.counts else first
        piece.counts[int.from_bytes(header.get("conn", b""), "little")] += len(times)

    def _connect(self, header: dict[str, bytes], content: bytes) -> None:
        number = int.from_bytes(header.get("conn", b""), "little")
        described = _fields(content)
        if number in self._connections or described is None:
            return
        name = header.get("topic", b"").decode("utf-8", "replace")
        try:
            msgtype, definition, convert = self._converter(described)
        except (KeyError, UnicodeDecodeError, TypesysError, SyntaxError) as error:
            self.losses.append(Loss(f"{self.path} topic {name}", f"its type cannot be read: {error}"))
            return
        qos = LATCHED if described.get("latching") == b"1" else RELIABLE
        topic = Topic("/" + name.strip("/"), msgtype, (qos,), definition)
        self._connections[number] = _Connection(topic, convert)

    def _converter(self, described: dict[str, bytes]) -> tuple[str, str, _Convert]:
        """ROS 2 type, its definition, and the way from ROS 1 bytes to CDR, for a type as the bag defines it.

        A type that ROS 2 has under the same name becomes that one: fields are matched by name, `seq` goes.
        """
        source_type = normalize_msgtype(described["type"].decode())
        source = get_typestore(Stores.EMPTY)
        source.register(get_types_from_msg(described["message_definition"].decode(), source_type))
        target_type = _RENAMED.get(source_type, source_type)
        target = types.typestore if target_type in types.typestore.fielddefs else self._custom(source.fielddefs)
        definition = target.generate_msgdef(target_type, ros_version=2)[0]
        if is_same_wireformat(source, target, source_type, target_type):
            return target_type, definition, partial(target.ros1_to_cdr, typename=target_type)
        return target_type, definition, partial(_migrated, source, target, source_type, target_type, {})

    def _custom(self, definitions: Any) -> Typestore:
        """The bag's own store with more types; those that ROS 2 has stay as ROS 2 has them."""
        new = {name: definition for name, definition in definitions.items() if name not in self._store.fielddefs}
        self._store.register(new)
        return self._store

    def _look_into_chunks(self) -> None:
        """Finds connections, times and counts of a bag that has no index."""
        for piece in self._pieces:
            losses = len(self.losses)
            counts: Counter[int] = Counter()
            times: list[int] = []
            for header, content in self._records_of(piece):
                if header["op"][0] == _CONNECTION:
                    self._connect(header, bytes(content))
                elif header["op"][0] == _MESSAGE:
                    counts[int.from_bytes(header.get("conn", b""), "little")] += 1
                    times.append(_time(header))
            piece.counts, piece.start_ns = counts, min(times, default=0)
            del self.losses[losses:]  # they are told when the chunk is read for its messages

    # The content of chunks

    def _messages_of(self, piece: _Piece, wanted: Collection[str] | None) -> Iterator[Recorded]:
        chosen = {n: c for n, c in self._connections.items() if wanted is None or c.topic.name in wanted}
        if piece.counts and not chosen.keys() & piece.counts.keys():
            return
        for header, content in self._records_of(piece):
            connection = chosen.get(int.from_bytes(header.get("conn", b""), "little"))
            if header["op"][0] != _MESSAGE or connection is None:
                continue
            try:
                data = connection.convert(content)
            except (SerdeError, ValueError, LookupError, TypeError, AttributeError, struct.error) as error:
                self._lose(piece.offset, f"damaged message on {connection.topic.name}: {error}", 0, 1)
            else:
                yield Recorded(connection.topic.name, connection.topic.type, _time(header), data)

    def _records_of(self, piece: _Piece) -> Iterator[tuple[dict[str, bytes], memoryview]]:
        try:
            records = memoryview(_uncompressed(self._read(piece.content, piece.end - piece.content), piece.compression))
        except (ValueError, OSError, RuntimeError, EOFError) as error:
            lost = sum(piece.counts.values()) if piece.counts else None
            self._lose(piece.offset, f"damaged chunk: {error}", piece.end - piece.offset, lost)
            return
        position = 0
        while position < len(records):
            record = _record_in(records, position)
            if record is None:
                why = "the file ends inside a message" if piece.cut else "damaged inside a chunk"
                self._lose(piece.end, why, len(records) - position, 1 if piece.cut else None)
                return
            header, content, position = record
            yield header, content

    def _read(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(length)

    def _lose(self, position: int, why: str, lost: int = 0, messages: int | None = None) -> None:
        self.losses.append(Loss(f"{self.path} at byte {position}", why, lost, messages))


def _record_in(records: memoryview, position: int) -> tuple[dict[str, bytes], memoryview, int] | None:
    """Header, data and end of a record inside a chunk; None where none is whole."""
    start = position + 4 + int.from_bytes(records[position : position + 4], "little")
    content = start + 4
    end = content + int.from_bytes(records[start:content], "little")
    if content > len(records) or end > len(records):
        return None
    header = _fields(bytes(records[position + 4 : start]))
    if header is None or len(header.get("op", b"")) != 1:
        return None
    return header, records[content:end], end


def _fields(packed: bytes) -> dict[str, bytes] | None:
    """`name=value` fields of a header; None where they are damaged."""
    fields: dict[str, bytes] = {}
    position = 0
    while position + 4 <= len(packed):
        end = position + 4 + int.from_bytes(packed[position : position + 4], "little")
        name, equals, value = packed[position + 4 : end].partition(b"=")
        if not equals or end > len(packed):
            return None
        fields[name.decode("ascii", "replace")] = value
        position = end
    return fields if position == len(packed) else None


def _time(header: dict[str, bytes]) -> int:
    seconds, nanoseconds = struct.unpack("<II", header.get("time", bytes(8)).ljust(8, b"\0")[:8])
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def _uncompressed(content: bytes, compression: str) -> bytes:
    """As much as is there; the decompressors raise ValueError, OSError, RuntimeError or EOFError on damage."""
    if compression == "none":
        return content
    if compression == "bz2":
        return bz2.BZ2Decompressor().decompress(content)
    if compression == "lz4":
        return LZ4FrameDecompressor().decompress(content)
    raise ValueError(f"unknown compression '{compression}'")


def _migrated(
    source: Typestore, target: Typestore, source_type: str, target_type: str, cache: dict[str, Any], data: memoryview
) -> memoryview:
    return migrate_bytes(source, target, source_type, target_type, cache, data, src_is2=False, dst_is2=True)
