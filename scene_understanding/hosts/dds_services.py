"""ROS 2 services over DDS, as rmw_cyclonedds_cpp does them: servers and clients.

A service is two topics, `rq/<name>Request` and `rr/<name>Reply`. Each message begins with 16 bytes, the client's id
(uint64) and a sequence number (int64), which the reply repeats; the user data of the four readers and writers says
`serviceid=...` or `clientid=...`, so that both sides know which belong together (`rmw_cyclonedds_cpp/src/rmw_node.cpp`,
"CLIENTS AND SERVERS").

Only ROS 2 processes with `RMW_IMPLEMENTATION=rmw_cyclonedds_cpp` can call these services or be called. Fast DDS and
Connext send the client's id as inline QoS, which the `cyclonedds` library cannot write; topics work with them all.
"""

from __future__ import annotations

import itertools
import logging
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError as FutureTimeout
from typing import Any

from scene_understanding.hosts import dds_library
from scene_understanding.hosts.dds import DdsTransport
from scene_understanding.hosts.dds_library import DdsError
from scene_understanding.messages.types import deserialize, serialize
from scene_understanding.nodes.node import QoS

logger = logging.getLogger(__name__)

SERVICE_QOS = QoS("reliable", "volatile", 10)
PARAMETERS_QOS = QoS("reliable", "volatile", 1000)
_CLIENT_WAIT = 0.1  # seconds in which the reader of a client that has just come must be found, as in rmw_cyclonedds_cpp
_POLL = 0.01
_MAX_WAITING = 100  # requests

_numbers = itertools.count(1)


class Service:
    """Answers requests until it is closed, one at a time, in a worker thread of the transport.

    Args:
        name: absolute name, such as `/camera/set_enabled`.
        msgtype: `std_srvs/srv/SetBool`.
        handler: response message from request message. ROS 2 services have no errors: where it raises, the error is
            logged and the client gets no answer.
        node: fully qualified name of the owner.
    """

    def __init__(
        self,
        transport: DdsTransport,
        name: str,
        msgtype: str,
        handler: Callable[[Any], Any],
        node: str,
        qos: QoS = SERVICE_QOS,
    ) -> None:
        self._name, self._type, self._handler = name, msgtype, handler
        self._workers = transport.workers
        self._lock = threading.Lock()
        self._waiting = 0
        mark = f"serviceid={_unique_id(transport)};"
        self._replies = transport.writer(f"rr{name}Reply", f"{msgtype}_Response", qos, node, mark)
        self._requests = transport.reader(f"rq{name}Request", f"{msgtype}_Request", qos, node, mark, self._arrive)

    def close(self) -> None:
        self._requests.close()
        self._replies.close()

    def _arrive(self, data: memoryview, writer: int) -> None:
        if self._waiting >= _MAX_WAITING:
            logger.warning("service %s: %d requests wait already; one is dropped", self._name, _MAX_WAITING)
            return
        self._waiting += 1
        self._workers.submit(self._answer, bytes(data), writer)

    def _answer(self, data: bytes, writer: int) -> None:
        with self._lock:
            self._waiting -= 1
            try:
                client, sequence, body = _unpack(data)
                response = self._handler(deserialize(body, f"{self._type}_Request"))
                if self._client_listens(writer):
                    self._replies.publish(_pack(client, sequence, response))
            except Exception as error:  # a bad request or handler must not end the service
                logger.error("service %s: %s: %s", self._name, type(error).__name__, error)

    def _client_listens(self, writer: int) -> bool:
        """Whether the reader of the client that owns `writer` is there; waits a moment for it."""
        until = time.monotonic() + _CLIENT_WAIT
        while True:
            user_data = dds_library.matched_user_data(self._requests.handle, "publication", writer)
            if user_data is None:
                return False  # the client is gone
            if "clientid" not in user_data:
                return True  # an old client: nothing to look for
            if _is_matched(self._replies.handle, "subscription", "clientid", {user_data["clientid"]}):
                return True
            if time.monotonic() > until:
                logger.warning("service %s: the client does not listen for its answer", self._name)
                return False
            time.sleep(_POLL)


class Client:
    """Calls a service of any process that uses Cyclone DDS. From any thread.

    Args: as of `Service`; `node` is the one that calls.
    """

    def __init__(self, transport: DdsTransport, name: str, msgtype: str, node: str, qos: QoS = SERVICE_QOS) -> None:
        self._name, self._type = name, msgtype
        self._lock = threading.Lock()
        self._sequence = itertools.count(1)
        self._pending: dict[int, Future[Any]] = {}
        mark = f"clientid={_unique_id(transport)};"
        self._requests = transport.writer(f"rq{name}Request", f"{msgtype}_Request", qos, node, mark)
        self._id = dds_library.instance_handle(self._requests.handle)
        self._replies = transport.reader(f"rr{name}Reply", f"{msgtype}_Response", qos, node, mark, self._arrive)

    def available(self, timeout: float = 0.0) -> bool:
        """Whether a server is there; waits up to `timeout` seconds for it."""
        until = time.monotonic() + timeout
        while not self._server_is_there():
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL)
        return True

    def call(self, request: Any, timeout: float = 5.0) -> Any:
        """The response to a request message.

        Raises:
            DdsError: no server, or no answer, within `timeout` seconds.
        """
        until = time.monotonic() + timeout
        if not self.available(timeout):
            raise DdsError(f"service {self._name}: there is no server (waited {timeout:g} s)")
        sequence, future = next(self._sequence), Future[Any]()
        with self._lock:
            self._pending[sequence] = future
        try:
            self._requests.publish(_pack(self._id, sequence, request))
            return future.result(max(0.0, until - time.monotonic()))
        except FutureTimeout as error:
            raise DdsError(f"service {self._name}: no answer within {timeout:g} s") from error
        finally:
            with self._lock:
                self._pending.pop(sequence, None)

    def close(self) -> None:
        self._requests.close()
        self._replies.close()

    def _server_is_there(self) -> bool:
        """A server's request reader and the reply writer of the same server are both matched."""
        readers = _matched_values(self._requests.handle, "subscription", "serviceid")
        return bool(readers) and _is_matched(self._replies.handle, "publication", "serviceid", readers)

    def _arrive(self, data: memoryview, writer: int) -> None:
        client, sequence, body = _unpack(bytes(data))
        with self._lock:
            future = self._pending.pop(sequence, None) if client == self._id else None
        if future is not None:
            try:
                future.set_result(deserialize(body, f"{self._type}_Response"))
            except ValueError as error:
                future.set_exception(error)


def _unique_id(transport: DdsTransport) -> str:
    """Text that no other service or client has: the participant's prefix and a counter."""
    number = struct.pack(">I", next(_numbers))
    return ".".join(f"{byte:x}" for byte in transport.participant.guid[:12] + number)


def _pack(client: int, sequence: int, message: Any) -> bytes:
    """CDR of a message with the 16 bytes of rmw_cyclonedds_cpp after the encapsulation header."""
    data = bytes(serialize(message))
    return data[:4] + struct.pack("<Qq", client, sequence) + data[4:]


def _unpack(data: bytes) -> tuple[int, int, bytes]:
    """Client id, sequence number, and the message's own CDR.

    Raises:
        ValueError: too few bytes.
    """
    if len(data) < 20:
        raise ValueError(f"{len(data)} bytes are too few for a request or reply of rmw_cyclonedds_cpp")
    client, sequence = struct.unpack_from("<Qq" if data[1] & 1 else ">Qq", data, 4)
    return client, sequence, data[:4] + data[20:]


def _matched_values(entity: int, kind: str, key: str) -> set[str]:
    handles = dds_library.matched_handles(entity, kind)
    found = (dds_library.matched_user_data(entity, kind, handle) for handle in handles)
    return {user_data[key] for user_data in found if user_data and key in user_data}


def _is_matched(entity: int, kind: str, key: str, values: set[str]) -> bool:
    return not values.isdisjoint(_matched_values(entity, kind, key))
