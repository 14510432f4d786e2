"""A process's membership in a DDS domain: its readers and writers of ready bytes, and the thread that reads."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable
from typing import Any

from scene_understanding.hosts import dds_library as dds
from scene_understanding.hosts.dds_library import DdsError
from scene_understanding.hosts.dds_settings import DdsSettings
from scene_understanding.nodes.node import QoS

logger = logging.getLogger(__name__)

_TAKE_AT_ONCE = 16


class Writer:
    """Sends ready CDR bytes on one DDS topic. From any thread; `publish` after `close` does nothing."""

    def __init__(self, participant: Participant, handle: int, on_close: Callable[[bytes], None]) -> None:
        self.handle = handle
        self.guid = dds.guid(handle)
        self._participant, self._on_close = participant, on_close
        self._closed = False

    def publish(self, data: bytes | memoryview) -> None:
        """Sends one message: CDR with its 4-byte encapsulation header. Waits for nobody: where a reliable reader does
        not keep up, it misses messages older than the newest `depth`."""
        if self._closed:
            return
        try:
            dds.write(self.handle, data)
        except DdsError:
            if not self._closed and not self._participant.closed:
                raise

    def subscription_count(self) -> int:
        """How many readers outside this participant are matched now."""
        return dds.matched_reader_count(self.handle)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._on_close(self.guid)
            dds.delete(self.handle)


class Reader:
    """Hands what arrives on one DDS topic to a callback. One that has begun may still end after `close`."""

    def __init__(self, handle: int, on_close: Callable[[int, bytes], None]) -> None:
        self.handle = handle
        self.guid = dds.guid(handle)
        self._on_close = on_close
        self._closed = False

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._on_close(self.handle, self.guid)
            dds.delete(self.handle)


class Participant:
    """One participant of a DDS domain, with one thread that reads for all its readers.

    Attributes:
        guid: its 16 bytes.
        closed: it is being deleted, or is already.

    Raises:
        DdsError: the domain or the participant cannot be made: wrong configuration, no network, or too many
            processes on this machine.
    """

    def __init__(self, settings: DdsSettings, user_data: str) -> None:
        self._domain = _Domain.acquire(settings)
        try:
            self.handle = dds.create_participant(settings.domain_id, user_data)
        except DdsError as error:
            self._domain.release()
            raise DdsError(f"{error}; no network interface, or too many participants on this machine") from error
        self.guid = dds.guid(self.handle)
        self._lock = threading.Lock()
        self._topics: dict[tuple[str, str], int] = {}
        self._drains: dict[int, Callable[[], None]] = {}
        self.closed = False
        self._waitset = dds.WaitSet(self.handle)
        self._thread = threading.Thread(target=self._read, name="dds-reader", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def writer(
        self, topic: str, msgtype: str, qos: QoS, user_data: str, on_close: Callable[[bytes], None], **extra: Any
    ) -> Writer:
        """A writer on a DDS topic (`rt/...`) with a DDS type name; `extra` goes to `endpoint_qos`."""
        with dds.endpoint_qos(qos, user_data, **extra) as pointer:
            handle = dds.create_writer(self.handle, self._topic(topic, msgtype), pointer)
        return Writer(self, handle, on_close)

    def reader(
        self,
        topic: str,
        msgtype: str,
        qos: QoS,
        user_data: str,
        callback: Callable[[memoryview, int], None],
        on_close: Callable[[bytes], None],
        **extra: Any,
    ) -> Reader:
        """A reader; `callback` gets each message's bytes and its writer's handle in the reading thread."""
        with dds.endpoint_qos(qos, user_data, **extra) as pointer:
            handle = dds.create_reader(self.handle, self._topic(topic, msgtype), pointer)
        take = dds.Taker(handle, min(qos.depth, _TAKE_AT_ONCE) if not extra.get("keep_all") else _TAKE_AT_ONCE)

        def drain() -> None:
            while messages := take():
                for data, writer in messages:
                    callback(data, writer)
                del messages, data  # the buffers must not wait here for the next message

        def closed(reader: int, guid: bytes) -> None:
            with self._lock:
                self._drains.pop(reader, None)
            on_close(guid)

        reader = Reader(handle, closed)
        self._attach(handle, drain)
        return reader

    def builtin_reader(self, which: int, data_type: type, callback: Callable[[Any, bool], None]) -> None:
        """Calls back with what discovery hears: `which` is `dds_library.PUBLICATIONS` or `PARTICIPANTS`."""
        handle = dds.create_reader(self.handle, which, None)

        def drain() -> None:
            for data, alive in dds.take_builtin(handle, data_type):
                callback(data, alive)

        self._attach(handle, drain)

    def close(self) -> None:
        """Deletes everything; no callback begins after it. Again is fine."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
        atexit.unregister(self.close)
        self._waitset.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        dds.delete(self.handle)
        self._domain.release()

    def _topic(self, name: str, msgtype: str) -> int:
        with self._lock:
            if (name, msgtype) not in self._topics:
                self._topics[name, msgtype] = dds.create_topic(self.handle, name, msgtype)
            return self._topics[name, msgtype]

    def _attach(self, reader: int, drain: Callable[[], None]) -> None:
        with self._lock:
            self._drains[reader] = drain
        self._waitset.attach(reader)

    def _read(self) -> None:
        while not self.closed:
            for reader in self._waitset.wait():
                drain = self._drains.get(reader)
                if drain is not None and not self.closed:
                    try:
                        drain()
                    except Exception:  # one bad callback must not silence the others
                        logger.exception("a subscription's callback failed")


class _Domain:
    """A DDS domain with its configuration, shared by the participants of this process."""

    _lock = threading.Lock()
    _domains: dict[int, _Domain] = {}

    def __init__(self, settings: DdsSettings) -> None:
        self.settings, self.users = settings, 0
        self._handle = dds.create_domain(settings.domain_id, settings.configuration)

    @classmethod
    def acquire(cls, settings: DdsSettings) -> _Domain:
        with cls._lock:
            domain = cls._domains.get(settings.domain_id) or cls(settings)
            if domain.settings != settings:
                raise DdsError(f"DDS domain {settings.domain_id} is in use in this process with other settings")
            cls._domains[settings.domain_id] = domain
            domain.users += 1
            return domain

    def release(self) -> None:
        with self._lock:
            self.users -= 1
            if self.users == 0:
                del self._domains[self.settings.domain_id]
                dds.delete(self._handle)
