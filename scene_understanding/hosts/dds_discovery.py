"""Who is there: tells ROS 2 which of our readers and writers belong to which node, and learns the same of others.

DDS knows participants, readers and writers, but no nodes. ROS 2 publishes the missing part on `ros_discovery_info`
(`rmw_dds_common/msg/ParticipantEntitiesInfo`, reliable, transient local, keep last 1): per process its nodes, and per
node the GIDs of its readers and writers. With it `ros2 node list` and `ros2 node info` show our nodes.

A GID has 16 bytes since Iron; in Humble it has 24 (the rest zero). Both are read; 24 are written where `ROS_DISTRO`
is `humble`.
"""

from __future__ import annotations

import os
import re
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scene_understanding.hosts import dds_library as dds
from scene_understanding.hosts.dds_participant import Participant
from scene_understanding.hosts.transport import Endpoint
from scene_understanding.messages.types import type_hash
from scene_understanding.nodes.node import LATCHED, QoS

INFO_TYPE = "rmw_dds_common/msg/ParticipantEntitiesInfo"
_GID_SIZES = (16, 24)
_DDS_TYPE = re.compile(r"(\w+)::(msg|srv|action)::dds_::(\w+)_")


@dataclass
class NodeEntities:
    """GUIDs of the readers and writers of one node."""

    readers: list[bytes] = field(default_factory=list)
    writers: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class _Publication:
    participant: bytes
    topic: str
    type: str
    qos: QoS


def dds_type(msgtype: str) -> str:
    """`sensor_msgs/msg/Image` as DDS has it: `sensor_msgs::msg::dds_::Image_`."""
    package, kind, name = msgtype.split("/")
    return f"{package}::{kind}::dds_::{name}_"


def ros_type(name: str) -> str:
    """The inverse of `dds_type`; a type that is not of ROS 2 stays as it is."""
    match = _DDS_TYPE.fullmatch(name)
    return "/".join(match.groups()) if match else name


def type_hash_data(msgtype: str) -> str:
    """User data by which ROS 2 tools know a message type; empty for a type that we do not know."""
    try:
        return f"typehash={type_hash(msgtype)};"
    except KeyError:
        return ""


class Graph:
    """What is known of the nodes in the domain; keeps `ros_discovery_info` in both directions. Thread-safe."""

    def __init__(self, participant: Participant) -> None:
        self._participant = participant
        self._gid_size = 24 if os.environ.get("ROS_DISTRO") == "humble" else 16
        self._lock = threading.RLock()
        self._own: dict[str, NodeEntities] = {}
        self._others: dict[bytes, dict[str, NodeEntities]] = {}
        self._publications: dict[bytes, _Publication] = {}
        data = type_hash_data(INFO_TYPE)
        topic, name = "ros_discovery_info", dds_type(INFO_TYPE)
        self._writer = participant.writer(topic, name, LATCHED, data, lambda guid: None)
        participant.builtin_reader(dds.PUBLICATIONS, dds.EndpointData, self._heard_publication)
        participant.builtin_reader(dds.PARTICIPANTS, dds.ParticipantData, self._heard_participant)
        participant.reader(
            topic, name, LATCHED, data, self._heard_info, lambda guid: None, ignore_local=True, keep_all=True
        )

    def add(self, node: str, *, readers: tuple[bytes, ...] = (), writers: tuple[bytes, ...] = ()) -> None:
        """Tells the domain that these readers and writers of ours belong to `node` (`/ns/name`)."""
        with self._lock:
            entities = self._own.setdefault(node, NodeEntities())
            entities.readers += readers
            entities.writers += writers
            self._tell()

    def remove(self, node: str, guid: bytes) -> None:
        """Takes back one reader or writer; a node that has none left is gone."""
        with self._lock:
            entities = self._own.get(node)
            if entities is None:
                return
            for guids in (entities.readers, entities.writers):
                if guid in guids:
                    guids.remove(guid)
            if not entities.readers and not entities.writers:
                del self._own[node]
            self._tell()

    def publishers(self, topic: str) -> list[Endpoint]:
        """Publishers of the DDS topic outside this participant."""
        with self._lock:
            found = [(guid, heard) for guid, heard in self._publications.items() if heard.topic == topic]
            return [Endpoint(self._node_of(guid, heard), ros_type(heard.type), heard.qos) for guid, heard in found]

    def nodes(self) -> list[str]:
        """Fully qualified names of the nodes of other processes."""
        with self._lock:
            return sorted(name for nodes in self._others.values() for name in nodes)

    def _node_of(self, guid: bytes, heard: _Publication) -> str:
        nodes = self._others.get(heard.participant, {})
        return next((name for name, entities in nodes.items() if guid in entities.writers), "")

    def _tell(self) -> None:
        self._writer.publish(encode_info(self._participant.guid, self._own, self._gid_size))

    def _heard_publication(self, data: Any, alive: bool) -> None:
        guid, participant = bytes(data.key), bytes(data.participant_key)
        with self._lock:
            if not alive:
                self._publications.pop(guid, None)
            elif data.topic_name and participant != self._participant.guid:
                topic, name = data.topic_name.decode("utf-8", "replace"), data.type_name.decode("utf-8", "replace")
                self._publications[guid] = _Publication(participant, topic, name, dds.qos_of(data.qos))

    def _heard_participant(self, data: Any, alive: bool) -> None:
        if not alive:
            with self._lock:
                self._others.pop(bytes(data.key), None)

    def _heard_info(self, data: memoryview, writer: int) -> None:
        try:
            participant, nodes = decode_info(data)
        except ValueError:
            return  # not of ROS 2, whatever it is; there is nothing that a user could do about it
        with self._lock:
            self._others[participant] = nodes


def encode_info(participant: bytes, nodes: Mapping[str, NodeEntities], gid_size: int = 16) -> bytes:
    """CDR of a ParticipantEntitiesInfo: nodes by fully qualified name; what belongs to no node ("") is left out."""
    out = bytearray(b"\x00\x01\x00\x00") + participant.ljust(gid_size, b"\0")

    def put_count(value: int) -> None:
        out.extend(bytes(-len(out) % 4) + struct.pack("<I", value))

    named = {full_name: entities for full_name, entities in nodes.items() if full_name}
    put_count(len(named))
    for full_name, entities in named.items():
        namespace, _, name = full_name.rpartition("/")
        for text in (namespace or "/", name):
            put_count(len(text.encode()) + 1)
            out.extend(text.encode() + b"\0")
        for guids in (entities.readers, entities.writers):
            put_count(len(guids))
            out.extend(b"".join(guid.ljust(gid_size, b"\0") for guid in guids))
    return bytes(out)


def decode_info(data: bytes | memoryview) -> tuple[bytes, dict[str, NodeEntities]]:
    """The participant's GUID and its nodes by fully qualified name, from CDR with GIDs of 16 or 24 bytes.

    Raises:
        ValueError: bytes that are not such a message.
    """
    for gid_size in _GID_SIZES:
        try:
            return _decode_info(bytes(data), gid_size)
        except (struct.error, IndexError, UnicodeDecodeError, ValueError):
            continue
    raise ValueError(f"{len(data)} bytes are not a {INFO_TYPE}")


def _decode_info(data: bytes, gid_size: int) -> tuple[bytes, dict[str, NodeEntities]]:
    count_format = "<I" if data[1] & 1 else ">I"
    position = 4 + gid_size

    def take(size: int) -> bytes:
        nonlocal position
        if position + size > len(data):
            raise ValueError("too short")
        position += size
        return data[position - size : position]

    def count() -> int:
        take(-position % 4)
        return int(struct.unpack(count_format, take(4))[0])

    nodes = {}
    for _ in range(count()):
        namespace, name = (take(count()).rstrip(b"\0").decode() for _ in range(2))
        readers, writers = ([take(gid_size)[:16] for _ in range(count())] for _ in range(2))
        nodes[f"{namespace.rstrip('/')}/{name}"] = NodeEntities(readers, writers)
    if len(data) - position > 3:
        raise ValueError("too long")
    return data[4:20], nodes
