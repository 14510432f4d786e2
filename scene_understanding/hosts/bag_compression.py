"""rosbag2's own compression, beside that of MCAP chunks: whole files (`bag.db3.zstd`) or single messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from backports import zstd

from scene_understanding.hosts.bag_contents import Loss, Recorded

SUFFIX = ".zstd"
_BLOCK = 1 << 20


def unpack_file(path: Path, folder: Path) -> tuple[Path, Loss | None]:
    """Writes the content of a compressed file into a folder, as far as it can be had; returns where, and the loss."""
    target = folder / path.name.removesuffix(SUFFIX)
    unpacker = zstd.ZstdDecompressor()
    why = ""
    with path.open("rb") as packed, target.open("wb") as unpacked:
        while not unpacker.eof and not why:
            block = packed.read(_BLOCK)
            try:
                unpacked.write(unpacker.decompress(block))
            except zstd.ZstdError as error:
                why = f"damaged compression: {error}"
            if not block:
                why = "cut inside its compression"
        lost = path.stat().st_size - packed.tell()
    return target, Loss(str(path), why, lost) if why else None


def unpack_messages(messages: Iterator[Recorded], losses: list[Loss]) -> Iterator[Recorded]:
    """Messages with their data decompressed; those that are damaged go to `losses`."""
    for message in messages:
        try:
            data = zstd.decompress(message.data)
        except zstd.ZstdError as error:
            losses.append(Loss(f"message on {message.topic} at {message.time_ns} ns", str(error), 0, 1))
        else:
            yield replace(message, data=data)
