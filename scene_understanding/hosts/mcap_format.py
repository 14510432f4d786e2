"""Records of the MCAP container format, as far as ROS 2 bags use it: https://mcap.dev/spec.

A file is a magic, records (one byte opcode, u64 length, content), and a magic again. Integers are little endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX = range(1, 9)
STATISTICS, METADATA, METADATA_INDEX, SUMMARY_OFFSET, DATA_END = 0x0B, 0x0C, 0x0D, 0x0E, 0x0F

RECORD = struct.Struct("<BQ")  # opcode, length of what follows
MESSAGE_START = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
CHUNK_START = struct.Struct("<QQQI")  # first and last log time, uncompressed size, CRC-32 (0: none)


class FormatError(ValueError):
    """Bytes that are not what the format says should stand here."""


@dataclass(frozen=True)
class Schema:
    id: int
    name: str
    encoding: str
    data: bytes

    def pack(self) -> bytes:
        return record(SCHEMA, struct.pack("<H", self.id) + text(self.name) + text(self.encoding) + blob(self.data))

    @classmethod
    def parse(cls, content: bytes) -> Schema:
        fields = Fields(content)
        return cls(fields.integer("<H"), fields.text(), fields.text(), fields.blob())


@dataclass(frozen=True)
class Channel:
    id: int
    schema: int
    topic: str
    encoding: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    def pack(self) -> bytes:
        start = struct.pack("<HH", self.id, self.schema)
        return record(CHANNEL, start + text(self.topic) + text(self.encoding) + text_map(self.metadata))

    @classmethod
    def parse(cls, content: bytes) -> Channel:
        fields = Fields(content)
        return cls(fields.integer("<H"), fields.integer("<H"), fields.text(), fields.text(), fields.text_map())


def record(opcode: int, content: bytes) -> bytes:
    return RECORD.pack(opcode, len(content)) + content


def text(value: str) -> bytes:
    return blob(value.encode())


def blob(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value


def text_map(values: Mapping[str, str]) -> bytes:
    return blob(b"".join(text(key) + text(value) for key, value in values.items()))


class Fields:
    """Reads the fields of a record one after the other.

    Every method raises FormatError where the content ends too early.
    """

    def __init__(self, content: bytes | memoryview) -> None:
        self._content = content
        self.position = 0

    def integer(self, layout: str) -> int:
        return int(struct.unpack(layout, self.take(struct.calcsize(layout)))[0])

    def take(self, length: int) -> bytes:
        end = self.position + length
        if end > len(self._content):
            raise FormatError(f"a field of {length} bytes in a record that has {len(self._content)}")
        found = bytes(self._content[self.position : end])
        self.position = end
        return found

    def blob(self) -> bytes:
        return self.take(self.integer("<I"))

    def text(self) -> str:
        try:
            return self.blob().decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"a text that is not UTF-8: {error}") from error

    def text_map(self) -> dict[str, str]:
        inner = Fields(self.blob())
        values: dict[str, str] = {}
        while inner.position < len(inner._content):
            key = inner.text()
            values[key] = inner.text()
        return values


def records(content: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """(opcode, position, content) of each record; stops before one that is cut."""
    position = 0
    while position + RECORD.size <= len(content):
        opcode, length = RECORD.unpack_from(content, position)
        end = position + RECORD.size + length
        if end > len(content):
            return
        yield opcode, position, content[position + RECORD.size : end]
        position = end
