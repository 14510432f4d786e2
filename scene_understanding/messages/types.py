"""Message types: ROS 2 Jazzy as `rosbags` dataclasses with NumPy fields, and what `rosbags` lacks.

A message is an instance of `message_type("package/msg/Name")`; its bytes on the wire (CDR with the 4-byte
encapsulation header) are the same in every host. `rosbags` ships no `vision_msgs` and no services: their definitions
are files in `definitions/`. The package's own messages are read from the very files that `colcon` builds.
"""

from __future__ import annotations

import os
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore
from rosbags.typesys.stores.ros2_jazzy import (
    builtin_interfaces__msg__Duration as Duration,
    builtin_interfaces__msg__Time as Time,
    diagnostic_msgs__msg__DiagnosticArray as DiagnosticArray,
    diagnostic_msgs__msg__DiagnosticStatus as DiagnosticStatus,
    diagnostic_msgs__msg__KeyValue as KeyValue,
    geometry_msgs__msg__Point as Point,
    geometry_msgs__msg__Pose as PoseMessage,
    geometry_msgs__msg__PoseStamped as PoseStamped,
    geometry_msgs__msg__PoseWithCovariance as PoseWithCovariance,
    geometry_msgs__msg__Quaternion as Quaternion,
    geometry_msgs__msg__Transform as Transform,
    geometry_msgs__msg__TransformStamped as TransformStamped,
    geometry_msgs__msg__Twist as Twist,
    geometry_msgs__msg__TwistWithCovariance as TwistWithCovariance,
    geometry_msgs__msg__Vector3 as Vector3,
    nav_msgs__msg__MapMetaData as MapMetaData,
    nav_msgs__msg__OccupancyGrid as OccupancyGrid,
    nav_msgs__msg__Odometry as Odometry,
    nav_msgs__msg__Path as PathMessage,
    rosgraph_msgs__msg__Clock as Clock,
    sensor_msgs__msg__CameraInfo as CameraInfo,
    sensor_msgs__msg__CompressedImage as CompressedImage,
    sensor_msgs__msg__Image as Image,
    sensor_msgs__msg__Imu as Imu,
    sensor_msgs__msg__PointCloud2 as PointCloud2,
    sensor_msgs__msg__PointField as PointField,
    sensor_msgs__msg__RegionOfInterest as RegionOfInterest,
    std_msgs__msg__ColorRGBA as ColorRGBA,
    std_msgs__msg__Header as Header,
    std_msgs__msg__String as String,
    tf2_msgs__msg__TFMessage as TFMessage,
    visualization_msgs__msg__Marker as Marker,
    visualization_msgs__msg__MeshFile as MeshFile,
)

__all__ = [
    "CameraInfo", "Clock", "ColorRGBA", "CompressedImage", "DiagnosticArray", "DiagnosticStatus", "Duration", "Header",
    "Image", "Imu", "KeyValue", "Keypoint", "LabelInfo", "MapMetaData", "Marker", "MarkerArray", "MeshFile",
    "OccupancyGrid", "Odometry", "PathMessage", "People", "Person", "Point", "PointCloud2", "PointField", "PoseMessage",
    "PoseStamped", "PoseWithCovariance", "Quaternion", "RegionOfInterest", "String", "TFMessage", "Time", "Transform",
    "TransformStamped", "Twist", "TwistWithCovariance", "Vector3", "VisionClass",
    "deserialize", "message_type", "own_definitions", "serialize", "type_hash", "typestore",
]  # fmt: skip

_HERE = Path(__file__).resolve().parent
_OWN_PACKAGE = "scene_understanding"


def own_definitions() -> Path:
    """Folder of this package's `.msg` files: package data (pip), the repository root, or an ament prefix (colcon)."""
    folders = [_HERE.parent / "msg_definitions", _HERE.parents[1] / "msg"]
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        folders.append(Path(prefix) / "share" / _OWN_PACKAGE / "msg")
    for folder in folders:
        if (folder / "People.msg").is_file():
            return folder
    raise FileNotFoundError(f"no People.msg of {_OWN_PACKAGE} in any of: {', '.join(map(str, folders))}")


def _register_definitions(store: Typestore) -> None:
    types: dict[str, Any] = {}
    for path in sorted(own_definitions().glob("*.msg")):
        types.update(get_types_from_msg(path.read_text("utf-8"), f"{_OWN_PACKAGE}/msg/{path.stem}"))
    for path in sorted((_HERE / "definitions").glob("*/*/*.*")):
        name = f"{path.parent.parent.name}/{path.parent.name}/{path.stem}"
        parts = {name: path.read_text("utf-8")} if path.suffix == ".msg" else _service_parts(name, path)
        for part, text in parts.items():
            types.update(get_types_from_msg(text, part))
    store.register(_without_msg_in_service_names(types))


def _service_parts(name: str, path: Path) -> dict[str, str]:
    """The message definitions that ROS 2 derives from a service (REP-2011 hashes the service as a type of these)."""
    lines = path.read_text("utf-8").splitlines()
    cut = lines.index("---")
    # A relative name in a service means a message of the same package; rosbags looks in `srv`, so name it in full.
    request, response = (_qualified(part, name.split("/")[0]) for part in (lines[:cut], lines[cut + 1 :]))
    event = f"service_msgs/msg/ServiceEventInfo info\n{name}_Request[<=1] request\n{name}_Response[<=1] response\n"
    whole = f"{name}_Request request_message\n{name}_Response response_message\n{name}_Event event_message\n"
    return {f"{name}_Request": request, f"{name}_Response": response, f"{name}_Event": event, name: whole}


def _qualified(lines: list[str], package: str) -> str:
    named = (f"{package}/msg/{line}" if line[:1].isupper() and "/" not in line.split()[0] else line for line in lines)
    return "".join(f"{line}\n" for line in named)


def _without_msg_in_service_names(tree: Any) -> Any:
    """`package/srv/Name` where the parser of `rosbags`, made for messages, wrote `package/srv/msg/Name`."""
    if isinstance(tree, dict):
        return {_without_msg_in_service_names(key): _without_msg_in_service_names(tree[key]) for key in tree}
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(_without_msg_in_service_names, tree))
    return tree.replace("/srv/msg/", "/srv/") if isinstance(tree, str) else tree


def _hashing_store(store: Typestore) -> Typestore:
    """A copy in which `char` is `uint8`, as ROS 2's IDL has it (`rosbags` would hash another type)."""

    def without_char(desc: Any) -> Any:
        kind, rest = desc
        if kind == Nodetype.BASE:
            return (kind, ("uint8", 0)) if rest[0] == "char" else desc
        if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            return (kind, (without_char(rest[0]), rest[1]))
        return desc

    hashing = Typestore()
    hashing.fielddefs = {
        name: (constants, [(field, without_char(desc)) for field, desc in fields])
        for name, (constants, fields) in store.fielddefs.items()
    }
    return hashing


typestore = get_typestore(Stores.ROS2_JAZZY)
"""All known types; `rosbags` readers and writers take it as it is."""
_register_definitions(typestore)
_hashing = _hashing_store(typestore)


def message_type(name: str) -> Any:
    """The dataclass of a type such as "sensor_msgs/msg/Image" ("sensor_msgs/Image" is taken too).

    Raises:
        KeyError: an unknown type; the error names those of the same package.
    """
    full = name if name.count("/") == 2 else name.replace("/", "/msg/", 1)
    if full not in typestore.types:
        package = full.split("/")[0]
        known = sorted(key for key in typestore.types if key.startswith(f"{package}/"))
        raise KeyError(f"message type {name!r} is unknown; of {package!r} there are: {', '.join(known) or 'none'}")
    return typestore.types[full]


def serialize(message: Any) -> memoryview:
    """CDR bytes of a message, little endian, with the 4-byte encapsulation header; read-only.

    Raises:
        ValueError: a field with a value that its type cannot hold.
    """
    name = message.__msgtype__
    try:
        return typestore.serialize_cdr(message, name, little_endian=True)
    except (SerdeError, ValueError, TypeError, AttributeError, AssertionError, OverflowError, struct.error) as error:
        raise ValueError(f"cannot serialise {name}: {_faulty_field(message) or error}") from error


def deserialize(data: bytes | bytearray | memoryview, msgtype: str | Any) -> Any:
    """The message in CDR bytes. Array fields are read-only views of `data`: nothing is copied.

    Args:
        data: CDR with the encapsulation header, either endianness.
        msgtype: a name such as "sensor_msgs/msg/Image", or the dataclass.

    Raises:
        ValueError: bytes that are not such a message.
        KeyError: an unknown type.
    """
    name = (message_type(msgtype) if isinstance(msgtype, str) else msgtype).__msgtype__
    try:
        return typestore.deserialize_cdr(memoryview(data).toreadonly(), name)
    except (SerdeError, ValueError, IndexError, struct.error) as error:
        raise ValueError(f"{len(data)} bytes are not a {name}: {error}") from error


@cache
def type_hash(msgtype: str) -> str:
    """'RIHS01_...' of a message or service type (REP-2011), as ROS 2 tools compare it.

    Raises:
        KeyError: an unknown type.
    """
    return _hashing.hash_rihs01(message_type(msgtype).__msgtype__)


def _faulty_field(message: Any) -> str | None:
    """The first field, by path, whose value does not fit its type; None where all look right."""
    for field, (kind, rest) in typestore.get_msgdef(message.__msgtype__).fields:
        value = getattr(message, field)
        if kind == Nodetype.NAME:
            if getattr(value, "__msgtype__", None) != rest:
                return f"{field} is a {type(value).__name__}; expected {rest}"
            if inner := _faulty_field(value):
                return f"{field}.{inner}"
        elif kind == Nodetype.BASE:
            if rest[0] == "string" and not isinstance(value, str):
                return f"{field} is a {type(value).__name__}; expected str"
        elif fault := _faulty_elements(field, value, rest[0], rest[1] if kind == Nodetype.ARRAY else None):
            return fault
    return None


def _faulty_elements(field: str, value: Any, element: Any, length: Any) -> str | None:
    if length is not None and len(value) != length:
        return f"{field} has {len(value)} elements; expected {length}"
    kind, rest = element
    if kind == Nodetype.NAME:
        inner = ((i, _faulty_field(item)) for i, item in enumerate(value))
        return next((f"{field}[{i}].{fault}" for i, fault in inner if fault), None)
    if rest[0] == "string":
        return None
    expected = np.dtype({"byte": "uint8", "char": "uint8", "octet": "uint8"}.get(rest[0], rest[0]))
    if not isinstance(value, np.ndarray):
        return f"{field} is a {type(value).__name__}; expected an array of {expected}"
    if value.dtype != expected or value.ndim != 1:
        return f"{field} is {value.dtype}{list(value.shape)}; expected {expected}[n]"
    return None


MarkerArray = message_type("visualization_msgs/msg/MarkerArray")
LabelInfo = message_type("vision_msgs/msg/LabelInfo")
VisionClass = message_type("vision_msgs/msg/VisionClass")
People = message_type("scene_understanding/msg/People")
Person = message_type("scene_understanding/msg/Person")
Keypoint = message_type("scene_understanding/msg/Keypoint")
