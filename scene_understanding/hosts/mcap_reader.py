"""Reads a rosbag2 `.mcap` file whether it was finished, cut at any byte, or damaged inside."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from backports import zstd
from lz4.frame import LZ4FrameDecompressor

from scene_understanding.hosts import mcap_format as mcap
from scene_understanding.hosts.bag_contents import BagError, Loss, Recorded, Topic
from scene_understanding.hosts.bag_qos import qos_from_yaml
from scene_understanding.hosts.chunk_order import in_recorded_order

_LOOSE = 256  # messages outside of chunks that are taken together


@dataclass
class _Piece:
    """A chunk, or a run of messages that stand outside of chunks, not loaded.

    Attributes:
        offset, end: where its record stands in the file; `end` is the file's end for a cut chunk.
        cut: the file ends inside.
        counts: messages by channel, as far as the indexes beside the chunk say.
    """

    offset: int
    end: int
    start_ns: int = 0
    cut: bool = False
    is_chunk: bool = True
    counts: Counter[int] = field(default_factory=Counter)


class McapReader:
    """One file. See `BagFile`.

    Raises:
        BagError: not an MCAP file, or one of another middleware than ROS 2 (from the constructor).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.losses: list[Loss] = []
        self._file = path.open("rb")
        self._size = path.stat().st_size
        self._schemas: dict[int, mcap.Schema] = {}
        self._channels: dict[int, mcap.Channel] = {}
        self._pieces: list[_Piece] = []
        self._finished = False
        self._counts: Counter[int] = Counter()
        try:
            self._scan()
            if not self._finished or not self._channels:
                self._look_into_chunks()
        except BaseException:
            self._file.close()
            raise
        self.topics = self._topics()

    def close(self) -> None:
        self._file.close()

    def messages(self, wanted: Collection[str] | None) -> Iterator[Recorded]:
        return in_recorded_order(self._pieces, lambda piece: self._messages_of(piece, wanted))

    # The file from outside: which records stand where

    def _scan(self) -> None:
        if self._read(0, len(mcap.MAGIC)) != mcap.MAGIC:
            raise BagError(f"{self.path} is not an MCAP file")
        position = len(mcap.MAGIC)
        while position < self._size and not self._finished:
            start = self._read(position, mcap.RECORD.size)
            opcode, length = mcap.RECORD.unpack(start) if len(start) == mcap.RECORD.size else (0, 0)
            end = position + mcap.RECORD.size + length
            if not opcode or end > self._size:
                position = self._cut(opcode, position)
                continue
            try:
                self._take(opcode, position, end)
            except (mcap.FormatError, struct.error) as error:
                self._lose(position, f"damaged record: {error}", end - position)
            position = end
        if not self._finished:
            self._lose(self._size, "the file was not finished (its recording was cut short); read as far as it goes")

    def _take(self, opcode: int, position: int, end: int) -> None:
        content = position + mcap.RECORD.size
        if opcode == mcap.CHUNK:
            start_ns = mcap.CHUNK_START.unpack(self._read(content, mcap.CHUNK_START.size))[0]
            self._pieces.append(_Piece(position, end, start_ns))
        elif opcode == mcap.MESSAGE:
            channel, _, time_ns, _ = mcap.MESSAGE_START.unpack(self._read(content, mcap.MESSAGE_START.size))
            self._loose(position, end, channel, time_ns)
        elif opcode == mcap.MESSAGE_INDEX and self._pieces:
            (channel,) = struct.unpack("<H", self._read(content, 2))
            self._pieces[-1].counts[channel] += (end - content - 6) // 16
        elif opcode in (mcap.SCHEMA, mcap.CHANNEL):
            self._describe(opcode, self._read(content, end - content))
        elif opcode == mcap.HEADER:
            profile = mcap.Fields(self._read(content, end - content)).text()
            if profile not in ("ros2", ""):
                raise BagError(f"{self.path} is an MCAP file of profile '{profile}'; expected ros2")
        elif opcode == mcap.STATISTICS:
            fields = mcap.Fields(self._read(content, end - content))
            fields.take(42)  # totals and times
            self._counts = Counter(dict(struct.iter_unpack("<HQ", fields.blob())))
        elif opcode == mcap.FOOTER:
            self._finished = True

    def _describe(self, opcode: int, content: bytes) -> None:
        if opcode == mcap.SCHEMA:
            schema = mcap.Schema.parse(content)
            self._schemas[schema.id] = schema
        else:
            channel = mcap.Channel.parse(content)
            self._channels[channel.id] = channel

    def _loose(self, position: int, end: int, channel: int, time_ns: int) -> None:
        last = self._pieces[-1] if self._pieces else None
        if last is None or last.is_chunk or last.end != position or sum(last.counts.values()) >= _LOOSE:
            last = _Piece(position, end, time_ns, is_chunk=False)
            self._pieces.append(last)
        last.end = end
        last.start_ns = min(last.start_ns, time_ns)
        last.counts[channel] += 1

    def _cut(self, opcode: int, position: int) -> int:
        """What to do where the next record is no record or does not end in the file; where to go on."""
        later = self._chunk_after(position)
        if later is not None:
            self._lose(position, "damaged; reading goes on at the next chunk of the index", later - position)
            return later
        if opcode == mcap.CHUNK:
            self._pieces.append(_Piece(position, self._size, cut=True))
        elif opcode == mcap.MESSAGE:
            self._lose(position, "cut inside a message", self._size - position, 1)
        else:
            self._lose(position, "cut or damaged; nothing behind it can be read", self._size - position)
        return self._size

    def _chunk_after(self, position: int) -> int | None:
        """Start of the first chunk after a position by the summary at the end of the file, if that is whole."""
        length = mcap.RECORD.size + 20 + len(mcap.MAGIC)
        end = self._read(self._size - length, length) if self._size > length else b""
        if not end.endswith(mcap.MAGIC) or end[:1] != bytes([mcap.FOOTER]):
            return None
        (start,) = struct.unpack_from("<Q", end, mcap.RECORD.size)
        if not 0 < start < self._size:
            return None
        summary = memoryview(self._read(start, self._size - start))
        indexes = [content for opcode, _, content in mcap.records(summary) if opcode == mcap.CHUNK_INDEX]
        offsets = [struct.unpack_from("<Q", content, 16)[0] for content in indexes if len(content) >= 24]
        return min((offset for offset in offsets if position < offset < start), default=None)

    def _look_into_chunks(self) -> None:
        """Finds schemas, channels and counts of a file that has no summary."""
        for piece in self._pieces:
            if piece.is_chunk:
                losses = len(self.losses)
                counts: Counter[int] = Counter()
                times: list[int] = []
                damaged: list[tuple[str, int]] = []
                for opcode, _, content in mcap.records(self._records_of(piece)):
                    try:
                        if opcode in (mcap.SCHEMA, mcap.CHANNEL):
                            self._describe(opcode, bytes(content))
                        elif opcode == mcap.MESSAGE:
                            channel, _, time_ns, _ = mcap.MESSAGE_START.unpack_from(content)
                            counts[channel] += 1
                            times.append(time_ns)
                    except (mcap.FormatError, struct.error) as error:
                        damaged.append((f"damaged record inside a chunk: {error}", len(content)))
                piece.counts = counts
                piece.start_ns = min(times, default=0)
                del self.losses[losses:]  # they are told when the chunk is read for its messages
                for why, lost in damaged:
                    self._lose(piece.offset, why, lost)

    def _topics(self) -> list[Topic]:
        counts: Counter[int] = sum((piece.counts for piece in self._pieces), Counter()) or self._counts
        topics = []
        for channel in self._channels.values():
            schema = self._schemas.get(channel.schema, mcap.Schema(0, "", "", b""))
            definition = schema.data.decode("utf-8", "replace") if schema.encoding == "ros2msg" else ""
            qos = qos_from_yaml(channel.metadata.get("offered_qos_profiles", ""))
            topics.append(Topic(channel.topic, schema.name, qos, definition, counts[channel.id]))
        return topics

    # The content of chunks

    def _messages_of(self, piece: _Piece, wanted: Collection[str] | None) -> list[Recorded]:
        names = {c.id: (c.topic, self._type(c)) for c in self._channels.values() if wanted is None or c.topic in wanted}
        if not piece.cut and piece.counts and not names.keys() & piece.counts.keys():
            return []
        found = []
        for opcode, _, content in mcap.records(self._records_of(piece)):
            if opcode == mcap.MESSAGE and len(content) >= mcap.MESSAGE_START.size:
                number, _, time_ns, _ = mcap.MESSAGE_START.unpack_from(content)
                if number in names:
                    found.append(Recorded(*names[number], time_ns, content[mcap.MESSAGE_START.size :]))
        return found

    def _type(self, channel: mcap.Channel) -> str:
        schema = self._schemas.get(channel.schema)
        return schema.name if schema else ""

    def _records_of(self, piece: _Piece) -> memoryview:
        """The records inside, uncompressed; empty, and told, where they are damaged."""
        if not piece.is_chunk:
            return memoryview(self._read(piece.offset, piece.end - piece.offset))
        content = self._read(piece.offset + mcap.RECORD.size, piece.end - piece.offset - mcap.RECORD.size)
        try:
            records = memoryview(_uncompressed(content, piece.cut))
        except (mcap.FormatError, struct.error, OSError, EOFError, ValueError, RuntimeError, zstd.ZstdError) as error:
            lost = sum(piece.counts.values()) if piece.counts else None
            self._lose(piece.offset, f"damaged chunk: {error}", piece.end - piece.offset, lost)
            return memoryview(b"")
        whole = sum(mcap.RECORD.size + len(record) for _, _, record in mcap.records(records))
        if whole < len(records):
            why = "the file ends inside a message" if piece.cut else "damaged inside a chunk"
            self._lose(piece.end, why, len(records) - whole, 1 if piece.cut else None)
        return records

    def _read(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(length)

    def _lose(self, position: int, why: str, lost: int = 0, messages: int | None = None) -> None:
        self.losses.append(Loss(f"{self.path} at byte {position}", why, lost, messages))


def _uncompressed(content: bytes, cut: bool) -> bytes:
    """Records of a chunk; of a cut one those bytes that are there.

    Raises:
        FormatError: size or checksum do not fit. And what the decompressors raise.
    """
    fields = mcap.Fields(content)
    _, _, size, crc = mcap.CHUNK_START.unpack(fields.take(mcap.CHUNK_START.size))
    compression = fields.text()
    length = fields.integer("<Q")
    packed = content[fields.position :] if cut else fields.take(length)
    if compression == "":
        found = packed
    elif compression == "lz4":
        found = LZ4FrameDecompressor().decompress(packed)
    elif compression == "zstd":
        found = zstd.ZstdDecompressor().decompress(packed)
    else:
        raise mcap.FormatError(f"unknown compression '{compression}'")
    if not cut and len(found) != size:
        raise mcap.FormatError(f"{len(found)} bytes where {size} should be")
    if not cut and crc and zlib.crc32(found) != crc:
        raise mcap.FormatError("its checksum is wrong")
    return found
