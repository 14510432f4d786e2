"""The `dds` host's transport: a process without ROS that other machines see as ROS 2 nodes.

It moves ready CDR bytes over Cyclone DDS on the topics that ROS 2 uses: DDS topic `rt` + ROS name, type
`pkg::msg::dds_::Name_`, XCDR1, the type hash in the endpoint's user data (rmw_dds_common `encode_type_hash_...`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from scene_understanding.hosts.dds_discovery import Graph, dds_type, type_hash_data
from scene_understanding.hosts.dds_participant import Participant, Reader, Writer
from scene_understanding.hosts.dds_settings import DdsSettings, settings_from_environment, small_buffer_warning
from scene_understanding.hosts.transport import Endpoint
from scene_understanding.nodes.node import QoS

logger = logging.getLogger(__name__)


class DdsTransport:
    """`Transport` over DDS; see there for the methods. Closes itself when the interpreter exits.

    A subscription on a topic whose publishers have another type gets nothing; `publishers` tells their type.

    Args:
        settings: domain and configuration; by default what the environment says, as in ROS 2.

    Raises:
        DdsError: no domain, participant, reader or writer can be made; one line that says why.
    """

    ignores_local = True
    workers: ThreadPoolExecutor
    """For what must not be done in the reading thread (service calls)."""

    def __init__(self, settings: DdsSettings | None = None) -> None:
        self.participant = Participant(settings or settings_from_environment(), "enclave=/;")
        self.graph = Graph(self.participant)
        self.workers = ThreadPoolExecutor(4, thread_name_prefix="dds-worker")
        self._warned = False

    def advertise(self, topic: str, msgtype: str, qos: QoS, node: str, **extra: Any) -> Writer:
        """As in `Transport`; `extra` goes to `dds_library.endpoint_qos`."""
        return self.writer("rt" + topic, msgtype, qos, node, "", **extra)

    def subscribe(
        self, topic: str, msgtype: str, qos: QoS, node: str, callback: Callable[[bytes | memoryview], None]
    ) -> Reader:
        """As in `Transport`. The bytes are Cyclone's own, read-only, and stay valid as long as a view of them lives."""
        if not self._warned and (warning := small_buffer_warning(msgtype)):
            self._warned = True
            logger.warning(warning)
        return self.reader("rt" + topic, msgtype, qos, node, "", lambda data, writer: callback(data), ignore_local=True)

    def publishers(self, topic: str) -> list[Endpoint]:
        return self.graph.publishers("rt" + topic)

    def writer(self, dds_topic: str, msgtype: str, qos: QoS, node: str, user_data: str, **extra: Any) -> Writer:
        """A writer of `node` on any DDS topic, with what `user_data` says beside the type hash."""
        data = user_data + type_hash_data(msgtype)
        closed = partial(self.graph.remove, node)
        writer = self.participant.writer(dds_topic, dds_type(msgtype), qos, data, closed, **extra)
        self.graph.add(node, writers=(writer.guid,))
        return writer

    def reader(
        self,
        dds_topic: str,
        msgtype: str,
        qos: QoS,
        node: str,
        user_data: str,
        callback: Callable[[memoryview, int], None],
        **extra: Any,
    ) -> Reader:
        """A reader of `node` on any DDS topic; `callback` gets the bytes and the handle of their writer."""
        data = user_data + type_hash_data(msgtype)
        closed = partial(self.graph.remove, node)
        reader = self.participant.reader(dds_topic, dds_type(msgtype), qos, data, callback, closed, **extra)
        self.graph.add(node, readers=(reader.guid,))
        return reader

    def close(self) -> None:
        """Leaves the domain; nothing is received afterwards. Again is fine."""
        self.participant.close()
        self.workers.shutdown(wait=False, cancel_futures=True)
