"""The part of Cyclone DDS that the `dds` host needs, called through ctypes in the library of the `cyclonedds` wheel.

The wheel's own readers and writers are not used for two reasons. They hold the interpreter lock while they send. And
they copy a message twice on the way in; here a received message is a view of Cyclone's own buffer, given back when the
last view of it is gone.
"""

from __future__ import annotations

import ctypes as ct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from cyclonedds._clayer import ddspy_topic_create
from cyclonedds.idl import IdlStruct, make_idl_struct
from cyclonedds.internal import DDS, dds_c_t

from scene_understanding.nodes.node import QoS

_handle = DDS._dll_handle._handle
_parallel = ct.CDLL(None, handle=_handle)  # calls that may wait: other Python threads go on meanwhile
_quick = ct.PyDLL(None, handle=_handle)  # calls of microseconds, not worth a fight for the interpreter lock

INFINITE = 2**63 - 1
ANY_NOT_READ = 0x2 | 0xC | 0x70  # sample state NOT_READ, any view state, any instance state
ALIVE = 0x10
PUBLICATIONS, PARTICIPANTS = 0x7FFF0003, 0x7FFF0001  # pseudo handles of the built-in topics
_KEEP_LAST, _KEEP_ALL = 0, 1
_XCDR1 = 0
_MAX_BLOCKING_NS = 100_000_000  # a formality: with keep-last, Cyclone drops the oldest message instead of waiting


class DdsError(RuntimeError):
    """Cyclone DDS refused a call."""


class SampleInfo(dds_c_t.sample_info):
    """What comes with a sample: `valid_data`, `instance_state`, `publication_handle`..."""


class EndpointData(ct.Structure):
    """`dds_builtintopic_endpoint_t`: a reader or writer as discovery tells of it."""

    _fields_ = [
        ("key", ct.c_ubyte * 16),
        ("participant_key", ct.c_ubyte * 16),
        ("participant_instance_handle", ct.c_uint64),
        ("topic_name", ct.c_char_p),
        ("type_name", ct.c_char_p),
        ("qos", ct.c_void_p),
    ]


class ParticipantData(ct.Structure):
    """`dds_builtintopic_participant_t`."""

    _fields_ = [("key", ct.c_ubyte * 16), ("qos", ct.c_void_p)]


class _Nothing(IdlStruct, typename="scene_understanding::dds::Nothing"):
    """A member without content."""


class _Sample(ct.Structure):
    _fields_ = [("data", ct.c_void_p), ("size", ct.c_size_t)]


class _Iovec(ct.Structure):
    _fields_ = [("base", ct.c_void_p), ("size", ct.c_size_t)]


def _function(library: ct.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


_entity, _pointer = ct.c_int32, ct.c_void_p
_strretcode = _function(_quick, "dds_strretcode", ct.c_char_p, ct.c_int32)
_create_domain = _function(_parallel, "dds_create_domain", _entity, ct.c_uint32, ct.c_char_p)
_create_participant = _function(_parallel, "dds_create_participant", _entity, ct.c_uint32, _pointer, _pointer)
_create_reader = _function(_parallel, "dds_create_reader", _entity, _entity, _entity, _pointer, _pointer)
_create_writer = _function(_parallel, "dds_create_writer", _entity, _entity, _entity, _pointer, _pointer)
_create_readcondition = _function(_parallel, "dds_create_readcondition", _entity, _entity, ct.c_uint32)
_create_guardcondition = _function(_parallel, "dds_create_guardcondition", _entity, _entity)
_set_guardcondition = _function(_parallel, "dds_set_guardcondition", ct.c_int32, _entity, ct.c_bool)
_create_waitset = _function(_parallel, "dds_create_waitset", _entity, _entity)
_waitset_attach = _function(_parallel, "dds_waitset_attach", ct.c_int32, _entity, _entity, ct.c_ssize_t)
_waitset_wait = _function(
    _parallel, "dds_waitset_wait", ct.c_int32, _entity, ct.POINTER(ct.c_ssize_t), ct.c_size_t, ct.c_int64
)
_delete = _function(_parallel, "dds_delete", ct.c_int32, _entity)
_write = _function(_parallel, "dds_write", ct.c_int32, _entity, ct.POINTER(_Sample))
_get_guid = _function(_quick, "dds_get_guid", ct.c_int32, _entity, _pointer)
_get_instance_handle = _function(_quick, "dds_get_instance_handle", ct.c_int32, _entity, ct.POINTER(ct.c_uint64))
_get_publication_matched = _function(_quick, "dds_get_publication_matched_status", ct.c_int32, _entity, _pointer)
_pointers, _infos = ct.POINTER(ct.c_void_p), ct.POINTER(SampleInfo)
_takecdr = _function(_quick, "dds_takecdr", ct.c_int32, _entity, _pointers, ct.c_uint32, _infos, ct.c_uint32)
_serdata_size = _function(_quick, "ddsi_serdata_size", ct.c_uint32, _pointer)
_serdata_to_ser_ref = _function(
    _quick, "ddsi_serdata_to_ser_ref", _pointer, _pointer, ct.c_size_t, ct.c_size_t, ct.POINTER(_Iovec)
)
_serdata_unref = _function(_quick, "ddsi_serdata_unref", None, _pointer)
_take = _function(_quick, "dds_take", ct.c_int32, _entity, _pointers, _infos, ct.c_size_t, ct.c_uint32)
_return_loan = _function(_quick, "dds_return_loan", ct.c_int32, _entity, _pointers, ct.c_int32)
_matched = {
    "subscription": _function(
        _quick, "dds_get_matched_subscriptions", ct.c_int32, _entity, ct.POINTER(ct.c_uint64), ct.c_size_t
    ),
    "publication": _function(
        _quick, "dds_get_matched_publications", ct.c_int32, _entity, ct.POINTER(ct.c_uint64), ct.c_size_t
    ),
}
_matched_data = {
    kind: _function(_quick, f"dds_get_matched_{kind}_data", ct.POINTER(EndpointData), _entity, ct.c_uint64)
    for kind in ("subscription", "publication")
}
_free_endpoint = _function(_quick, "dds_builtintopic_free_endpoint", None, ct.POINTER(EndpointData))
_free = _function(_quick, "dds_free", None, _pointer)
_create_qos = _function(_quick, "dds_create_qos", _pointer)
_delete_qos = _function(_quick, "dds_delete_qos", None, _pointer)
_qset_reliability = _function(_quick, "dds_qset_reliability", None, _pointer, ct.c_int, ct.c_int64)
_qset_durability = _function(_quick, "dds_qset_durability", None, _pointer, ct.c_int)
_qset_history = _function(_quick, "dds_qset_history", None, _pointer, ct.c_int, ct.c_int32)
_qset_durability_service = _function(
    _quick, "dds_qset_durability_service", None, _pointer, ct.c_int64, ct.c_int, *[ct.c_int32] * 4
)
_qset_userdata = _function(_quick, "dds_qset_userdata", None, _pointer, ct.c_char_p, ct.c_size_t)
_qset_ignorelocal = _function(_quick, "dds_qset_ignorelocal", None, _pointer, ct.c_int)
_qset_lifespan = _function(_quick, "dds_qset_lifespan", None, _pointer, ct.c_int64)
_qset_lifecycle = _function(_quick, "dds_qset_writer_data_lifecycle", None, _pointer, ct.c_bool)
_qset_representation = _function(
    _quick, "dds_qset_data_representation", None, _pointer, ct.c_uint32, ct.POINTER(ct.c_int16)
)
_qget_reliability = _function(
    _quick, "dds_qget_reliability", ct.c_bool, _pointer, ct.POINTER(ct.c_int), ct.POINTER(ct.c_int64)
)
_qget_history = _function(_quick, "dds_qget_history", ct.c_bool, _pointer, ct.POINTER(ct.c_int), ct.POINTER(ct.c_int32))
_qget_durability = _function(_quick, "dds_qget_durability", ct.c_bool, _pointer, ct.POINTER(ct.c_int))
_qget_userdata = _function(
    _quick, "dds_qget_userdata", ct.c_bool, _pointer, ct.POINTER(_pointer), ct.POINTER(ct.c_size_t)
)


def _checked(code: int, what: str) -> int:
    if code >= 0:
        return code
    raise DdsError(f"{what}: {_strretcode(code).decode()}")


@contextmanager
def endpoint_qos(
    qos: QoS,
    user_data: str,
    *,
    ignore_local: bool = False,
    keep_all: bool = False,
    lifespan_ns: int | None = None,
) -> Iterator[int]:
    """A `dds_qos_t` with a node's QoS as rmw_cyclonedds_cpp maps it.

    Args:
        user_data: `key=value;` pairs such as the type hash, read by ROS 2 tools.
        ignore_local: a reader does not hear the writers of its own participant.
    """
    pointer = _create_qos()
    history, depth = (_KEEP_ALL, -1) if keep_all else (_KEEP_LAST, qos.depth)
    _qset_lifecycle(pointer, False)
    _qset_history(pointer, history, depth)
    _qset_reliability(pointer, qos.reliability == "reliable", _MAX_BLOCKING_NS)
    if qos.durability == "transient_local":
        _qset_durability(pointer, 1)
        _qset_durability_service(pointer, 0, history, depth, -1, -1, -1)
    if lifespan_ns is not None:
        _qset_lifespan(pointer, lifespan_ns)
    if ignore_local:
        _qset_ignorelocal(pointer, 1)
    _qset_userdata(pointer, user_data.encode(), len(user_data.encode()))
    _qset_representation(pointer, 1, ct.byref(ct.c_int16(_XCDR1)))
    try:
        yield pointer
    finally:
        _delete_qos(pointer)


def qos_of(pointer: int | None) -> QoS:
    """The QoS that a `dds_qos_t` of discovery tells; depth 0 where it keeps all or does not tell."""
    kind, blocking, depth = ct.c_int(0), ct.c_int64(), ct.c_int32(0)
    told = bool(pointer) and _qget_history(pointer, ct.byref(kind), ct.byref(depth)) and kind.value == _KEEP_LAST
    reliable = bool(pointer) and _qget_reliability(pointer, ct.byref(kind), ct.byref(blocking)) and kind.value == 1
    kept = bool(pointer) and _qget_durability(pointer, ct.byref(kind)) and kind.value >= 1
    return QoS(
        "reliable" if reliable else "best_effort", "transient_local" if kept else "volatile", depth.value if told else 0
    )


def user_data_of(pointer: int | None) -> dict[str, str]:
    """The `key=value;` pairs in the user data of a `dds_qos_t`; what is not such a pair is left out."""
    value, size = ct.c_void_p(), ct.c_size_t()
    if not pointer or not _qget_userdata(pointer, ct.byref(value), ct.byref(size)):
        return {}
    text = ct.string_at(value, size.value).decode("utf-8", "replace") if value and size.value else ""
    if value:
        _free(value)
    return dict(pair.split("=", 1) for pair in text.split(";") if "=" in pair)


def create_domain(domain_id: int, configuration: str) -> int:
    """Raises DdsError: the configuration is not valid, or this process already has the domain."""
    return _checked(_create_domain(domain_id, configuration.encode()), f"DDS domain {domain_id}")


def create_participant(domain_id: int, user_data: str) -> int:
    with endpoint_qos(QoS(), user_data) as qos:
        return _checked(_create_participant(domain_id, qos, None), f"DDS participant in domain {domain_id}")


def create_topic(participant: int, name: str, type_name: str) -> int:
    """A topic whose messages are bytes to us.

    To Cyclone the type is a structure without content, so that it looks into no message; its only member tells it
    apart from others. Each topic gets a Python class of its own: `ddspy_topic_create` initialises the type's
    descriptor again when topics share one, while another thread may be using it.
    """
    member = type_name.replace(":", "_")
    struct = make_idl_struct("Ready", type_name, {member: _Nothing}, dataclassify=False)
    struct.__idl__.populate()
    struct.__idl__.fill_type_data()
    return _checked(ddspy_topic_create(participant, name, struct, None, None), f"DDS topic {name} of type {type_name}")


def create_reader(participant: int, topic: int, qos: int | None) -> int:
    return _checked(_create_reader(participant, topic, qos, None), "DDS reader")


def create_writer(participant: int, topic: int, qos: int) -> int:
    return _checked(_create_writer(participant, topic, qos, None), "DDS writer")


def delete(entity: int) -> None:
    """Deletes an entity and what it owns; one that is gone already is fine."""
    _delete(entity)


def guid(entity: int) -> bytes:
    """The 16 bytes that name a participant, reader or writer in the whole network (ROS 2: its GID)."""
    value = ct.create_string_buffer(16)
    _checked(_get_guid(entity, value), "DDS GUID")
    return value.raw


def instance_handle(entity: int) -> int:
    value = ct.c_uint64()
    _checked(_get_instance_handle(entity, ct.byref(value)), "DDS instance handle")
    return value.value


def matched_reader_count(writer: int) -> int:
    """How many readers outside this participant the writer reaches; 0 when it is closed."""
    status = dds_c_t.publication_matched_status()
    return status.current_count if _get_publication_matched(writer, ct.byref(status)) == 0 else 0


def matched_user_data(entity: int, kind: str, handle: int) -> dict[str, str] | None:
    """User data of a matched endpoint (`kind` "subscription" or "publication"); None where it is not matched."""
    found = _matched_data[kind](entity, handle)
    if not found:
        return None
    try:
        return user_data_of(found.contents.qos)
    finally:
        _free_endpoint(found)


def matched_handles(entity: int, kind: str) -> list[int]:
    """Instance handles of the endpoints matched with a writer ("subscription") or a reader ("publication")."""
    room = max(0, _matched[kind](entity, None, 0)) + 8  # some may come between the two calls
    handles = (ct.c_uint64 * room)()
    count = _matched[kind](entity, handles, room)
    return list(handles[: max(0, min(count, room))])


def write(writer: int, data: bytes | memoryview) -> None:
    """Sends one message: CDR with its encapsulation header.

    Raises:
        DdsError: the writer is closed.
    """
    size = memoryview(data).nbytes
    if size % 4:  # Cyclone sends whole words
        data = bytes(data) + bytes(-size % 4)
    array = np.frombuffer(data, np.uint8)
    _checked(_write(writer, ct.byref(_Sample(array.ctypes.data, array.size))), "DDS write")


class _Loan:
    """A received message in Cyclone's memory; given back when this object goes."""

    __slots__ = ("__array_interface__", "_reference")

    def __init__(self, serdata: int) -> None:
        part, size = _Iovec(), _serdata_size(serdata)
        self._reference = _serdata_to_ser_ref(serdata, 0, size, ct.byref(part))
        self.__array_interface__ = {"data": (part.base, True), "shape": (size,), "typestr": "|u1", "version": 3}

    def __del__(self, unref: Any = _serdata_unref) -> None:
        unref(self._reference)


class Taker:
    """Takes the messages that wait in a reader, at most `count` at once. For one thread."""

    def __init__(self, reader: int, count: int) -> None:
        self._reader, self._count = reader, count
        self._serdata = (ct.c_void_p * count)()
        self._infos = (SampleInfo * count)()

    def __call__(self) -> list[tuple[memoryview, int]]:
        """Read-only bytes of each message and the handle of its writer; empty when there is nothing (or no reader)."""
        messages = []
        for i in range(_takecdr(self._reader, self._serdata, self._count, self._infos, 0)):
            serdata, info = self._serdata[i] or 0, self._infos[i]
            if info.valid_data:
                messages.append((np.asarray(_Loan(serdata)).data, info.publication_handle))
            _serdata_unref(serdata)
        return messages


def take_builtin(reader: int, data_type: type[ct.Structure]) -> Iterator[tuple[Any, bool]]:
    """Takes what a built-in reader heard: the data (valid until the next step) and whether that entity is alive."""
    pointer, info = ct.c_void_p(), SampleInfo()
    while _take(reader, ct.byref(pointer), ct.byref(info), 1, 1) == 1:
        yield ct.cast(pointer, ct.POINTER(data_type)).contents, info.instance_state == ALIVE
        _return_loan(reader, ct.byref(pointer), 1)
        pointer.value = None


class WaitSet:
    """Waits until readers have something; a thread waits in `wait` while others `attach` and `wake`."""

    def __init__(self, participant: int) -> None:
        self._waitset = _checked(_create_waitset(participant), "DDS wait set")
        self._wake = _checked(_create_guardcondition(participant), "DDS guard condition")
        self._ready = (ct.c_ssize_t * 64)()
        _checked(_waitset_attach(self._waitset, self._wake, 0), "DDS wait set")

    def attach(self, reader: int) -> None:
        """From now on `wait` returns `reader` when it has messages; deleting the reader detaches it."""
        condition = _checked(_create_readcondition(reader, ANY_NOT_READ), "DDS read condition")
        _checked(_waitset_attach(self._waitset, condition, reader), "DDS wait set")

    def wake(self) -> None:
        """Makes `wait` return, now and ever after."""
        _set_guardcondition(self._wake, True)

    def wait(self) -> list[int]:
        """The readers that have messages; 0 stands for `wake`. Empty when the participant is gone."""
        count = _waitset_wait(self._waitset, self._ready, len(self._ready), INFINITE)
        return list(self._ready[: max(0, min(count, len(self._ready)))])
