"""Reads bags of every kind as far as they go: rosbag2 `.mcap` and `.db3` (a file or a folder) and ROS 1 `.bag`.

Also what rosbag2 has compressed. Messages come in recorded order: by log time, and for equal times in the order in
which they stand in the file (of several files, the first file first). What a damaged file has lost is told in `losses`.
"""

from __future__ import annotations

import heapq
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from scene_understanding.hosts.bag_compression import SUFFIX, unpack_file, unpack_messages
from scene_understanding.hosts.bag_contents import BagError, BagFile, Loss, Recorded, Topic
from scene_understanding.hosts.bag_qos import qos_from_yaml
from scene_understanding.hosts.db3_reader import Db3Reader
from scene_understanding.hosts.mcap_reader import McapReader
from scene_understanding.hosts.ros1_reader import Ros1Reader

_KINDS = (".mcap", ".db3", ".bag")


class BagReader:
    """A bag: one file or several. A context manager that closes.

    Attributes:
        topics: in order of name and type; a name with two types is there twice.
    """

    def __init__(self, path: str | Path) -> None:
        """Opens the bag.

        Raises:
            BagError: there is none, or not even the beginning of it can be read.
        """
        self.path = Path(path)
        self._losses: list[Loss] = []
        if not self.path.exists():
            raise BagError(f"no such bag: {self.path}")
        self._unpacked = tempfile.TemporaryDirectory(prefix="bag-")
        folder = _folder(self.path) if self.path.is_dir() else _Folder([self.path])
        self._packed_messages = folder.packed_messages
        self._files = [file for path in folder.files if (file := self._open(path, folder)) is not None]
        if not self._files:
            raise BagError(f"{self.path}: none of its files can be read; {self._losses[0]}")
        self.topics = _merged(topic for file in self._files for topic in file.topics)

    @property
    def losses(self) -> list[Loss]:
        """What has been found missing so far; complete when all messages have been read."""
        return self._losses + [loss for file in self._files for loss in file.losses]

    def messages(self, wanted: Collection[str] | None = None) -> Iterator[Recorded]:
        """Messages in recorded order, of the topics wanted (None: all).

        Raises:
            BagError: a wanted topic is not in the bag; the error lists those that are.
        """
        if wanted is not None:
            self.check(wanted)
        messages = heapq.merge(*(file.messages(wanted) for file in self._files), key=lambda message: message.time_ns)
        return unpack_messages(messages, self._losses) if self._packed_messages else messages

    def check(self, wanted: Iterable[str]) -> None:
        """Raises BagError, which lists the topics that exist, unless all of the wanted ones do."""
        names = {topic.name for topic in self.topics}
        missing = [name for name in wanted if name not in names]
        if missing:
            raise BagError(f"{self.path} has no topic {', '.join(missing)}; it has: {self.listing()}")

    def listing(self) -> str:
        """The topics with their types, for an error message."""
        return ", ".join(f"{topic.name} ({topic.type})" for topic in self.topics) or "none"

    def close(self) -> None:
        for file in self._files:
            file.close()
        self._unpacked.cleanup()

    def __enter__(self) -> BagReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open(self, path: Path, folder: _Folder) -> BagFile | None:
        try:
            if path.suffix == SUFFIX:
                path, loss = unpack_file(path, Path(self._unpacked.name))
                self._losses += [loss] if loss else []
            return _reader(path, folder.described)
        except (BagError, OSError) as error:
            if len(folder.files) == 1:
                raise BagError(str(error)) from error
            self._losses.append(Loss(str(path), str(error), path.stat().st_size if path.exists() else 0))
            return None


def _reader(path: Path, described: Sequence[Topic]) -> BagFile:
    if path.suffix == ".mcap":
        return McapReader(path)
    if path.suffix == ".db3":
        return Db3Reader(path, described)
    if path.suffix == ".bag":
        return Ros1Reader(path)
    raise BagError(f"{path} is no bag: expected a file ending in {', '.join(_KINDS)}, or the folder of a rosbag2")


@dataclass
class _Folder:
    """What a rosbag2 folder holds: files in order, topics by `metadata.yaml`, and whether messages are compressed."""

    files: list[Path]
    described: list[Topic] = field(default_factory=list)
    packed_messages: bool = False


def _folder(path: Path) -> _Folder:
    """By `metadata.yaml`; without a usable one (a recording that was killed has none), the files that are there."""
    try:
        information = yaml.safe_load((path / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
        files = [path / Path(name).name for name in information["relative_file_paths"]]
        described = [_described(entry["topic_metadata"]) for entry in information["topics_with_message_count"]]
        packed_messages = str(information.get("compression_mode", "")).upper() == "MESSAGE"
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        files, described, packed_messages = [], [], False
    if not files:
        files = sorted((p for p in path.iterdir() if p.name.removesuffix(SUFFIX).endswith(_KINDS)), key=_natural)
    if not files:
        raise BagError(f"{path} holds no bag: no file in it ends in {', '.join(_KINDS)}")
    return _Folder(files, described, packed_messages)


def _described(metadata: dict[str, Any]) -> Topic:
    return Topic(metadata["name"], metadata["type"], qos_from_yaml(metadata.get("offered_qos_profiles", "")))


def _natural(path: Path) -> list[Any]:
    """Sort key in which `bag_10` comes after `bag_9`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def _merged(topics: Iterable[Topic]) -> list[Topic]:
    """One entry for each name and type, counts summed."""
    merged: dict[tuple[str, str], Topic] = {}
    for topic in topics:
        before = merged.get((topic.name, topic.type))
        if before is not None:
            qos = before.qos + tuple(q for q in topic.qos if q not in before.qos)
            topic = replace(before, qos=qos, count=before.count + topic.count)
        merged[topic.name, topic.type] = topic
    return [merged[key] for key in sorted(merged)]
