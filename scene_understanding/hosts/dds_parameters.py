"""The parameters of a node as ROS 2 services and events: `ros2 param list`, `get`, `set`, `describe`, `dump`.

The six services of every ROS 2 node and `/parameter_events`; who may call them: see `dds_services`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from scene_understanding.hosts.dds import DdsTransport
from scene_understanding.hosts.dds_services import PARAMETERS_QOS, Service
from scene_understanding.hosts.parameter_service import ParameterService
from scene_understanding.messages.types import Time, message_type, serialize
from scene_understanding.nodes.parameters import ParameterDescription, ParameterError

_PACKAGE = "rcl_interfaces"
_NOT_SET, _STRING_ARRAY = 0, 9
# rcl_interfaces/msg/ParameterType: number and field of ParameterValue by the Python type, alone and in a tuple
_SCALARS = {bool: (1, "bool_value"), int: (2, "integer_value"), float: (3, "double_value"), str: (4, "string_value")}
_ARRAYS = {
    bool: (6, "bool_array_value"),
    int: (7, "integer_array_value"),
    float: (8, "double_array_value"),
    str: (_STRING_ARRAY, "string_array_value"),
}
_FIELDS = dict([*_SCALARS.values(), (5, "byte_array_value"), *_ARRAYS.values()])
_DTYPES = {"byte_array_value": np.uint8, "bool_array_value": np.bool_}
_DTYPES |= {"integer_array_value": np.int64, "double_array_value": np.float64}


def _message(kind: str, /, **fields: Any) -> Any:
    return message_type(f"{_PACKAGE}/{kind}")(**fields)


def parameter_value(value: Any) -> Any:
    """A `rcl_interfaces/msg/ParameterValue` from a Python value; None is "not set"."""
    fields = {"type": _NOT_SET, "bool_value": False, "integer_value": 0, "double_value": 0.0, "string_value": ""}
    fields |= {name: np.array([], dtype) for name, dtype in _DTYPES.items()} | {"string_array_value": []}
    if isinstance(value, tuple):
        fields["type"], name = _ARRAYS[type(value[0])] if value else (_STRING_ARRAY, "string_array_value")
        fields[name] = np.array(value, _DTYPES[name]) if name in _DTYPES else list(value)
    elif value is not None:
        fields["type"], name = _SCALARS[type(value)]
        fields[name] = value
    return _message("msg/ParameterValue", **fields)


def python_value(value: Any) -> Any:
    """The Python value of a `rcl_interfaces/msg/ParameterValue`; None where it is not set."""
    name = _FIELDS.get(value.type)
    if name is None:
        return None
    content = getattr(value, name)
    return tuple(np.asarray(content).tolist()) if name.endswith("array_value") else content


def descriptor(description: ParameterDescription) -> Any:
    """A `rcl_interfaces/msg/ParameterDescriptor`. Ranges are only for numbers: in ROS 2 lists have none."""
    choices = ", ".join(map(str, description.choices)) if description.choices is not None else ""
    constraints = f"one of: {choices}" if choices else ""
    ranges: dict[str, list[Any]] = {"integer_range": [], "floating_point_range": []}
    if description.bounds is not None:
        low, high = description.bounds
        if description.type is int:
            ranges["integer_range"] = [_message("msg/IntegerRange", from_value=int(low), to_value=int(high), step=0)]
        elif description.type is float:
            ranges["floating_point_range"] = [
                _message("msg/FloatingPointRange", from_value=float(low), to_value=float(high), step=0.0)
            ]
        else:
            constraints += f"each from {low} to {high}"
    return _message(
        "msg/ParameterDescriptor",
        name=description.name,
        type=parameter_value(description.default).type,
        description=description.description,
        additional_constraints=constraints,
        read_only=not description.runtime,
        dynamic_typing=False,
        **ranges,
    )


class DdsParameters:
    """Serves the parameters of one node.

    Args:
        node: its fully qualified name.
        now_ns: the node's clock, for the stamps of events.
    """

    def __init__(
        self, transport: DdsTransport, node: str, parameters: ParameterService, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._node, self._parameters, self._now_ns = node, parameters, now_ns
        self._events = transport.advertise(
            "/parameter_events", "rcl_interfaces/msg/ParameterEvent", PARAMETERS_QOS, node
        )
        handlers = {
            "DescribeParameters": self._describe,
            "GetParameterTypes": self._types,
            "GetParameters": self._get,
            "ListParameters": self._list,
            "SetParameters": self._set,
            "SetParametersAtomically": self._set_atomically,
        }
        self._services = [
            Service(transport, f"{node}/{_snake(name)}", f"{_PACKAGE}/srv/{name}", handler, node, PARAMETERS_QOS)
            for name, handler in handlers.items()
        ]
        self._tell(new=self._parameters.get())

    def close(self) -> None:
        for service in self._services:
            service.close()
        self._events.close()

    def _describe(self, request: Any) -> Any:
        known = self._parameters.describe()
        unknown = ParameterDescription("", type(None), None, "", None, None, True)
        descriptors = [descriptor(known.get(name, unknown)) for name in request.names]
        return _message("srv/DescribeParameters_Response", descriptors=descriptors)

    def _types(self, request: Any) -> Any:
        types = np.array([value.type for value in self._values(request.names)], np.uint8)
        return _message("srv/GetParameterTypes_Response", types=types)

    def _get(self, request: Any) -> Any:
        return _message("srv/GetParameters_Response", values=self._values(request.names))

    def _values(self, names: Iterable[str]) -> list[Any]:
        current = self._parameters.get()
        return [parameter_value(current.get(name)) for name in names]

    def _list(self, request: Any) -> Any:
        names = [name for name in self._parameters.list() if _is_listed(name, request.prefixes, request.depth)]
        prefixes = sorted({name.rpartition(".")[0] for name in names if "." in name})
        result = _message("msg/ListParametersResult", names=names, prefixes=prefixes)
        return _message("srv/ListParameters_Response", result=result)

    def _set(self, request: Any) -> Any:
        results = [self._change({p.name: python_value(p.value)}) for p in request.parameters]
        return _message("srv/SetParameters_Response", results=results)

    def _set_atomically(self, request: Any) -> Any:
        result = self._change({p.name: python_value(p.value) for p in request.parameters})
        return _message("srv/SetParametersAtomically_Response", result=result)

    def _change(self, values: Mapping[str, Any]) -> Any:
        try:
            self._parameters.set(values)
        except ParameterError as error:
            return _message("msg/SetParametersResult", successful=False, reason=str(error))
        current = self._parameters.get()
        self._tell(changed={name: current[name] for name in values})
        return _message("msg/SetParametersResult", successful=True, reason="")

    def _tell(self, new: Mapping[str, Any] | None = None, changed: Mapping[str, Any] | None = None) -> None:
        def listed(values: Mapping[str, Any] | None) -> list[Any]:
            return [
                _message("msg/Parameter", name=name, value=parameter_value(value))
                for name, value in (values or {}).items()
            ]

        seconds, nanoseconds = divmod(self._now_ns(), 1_000_000_000)
        event = _message(
            "msg/ParameterEvent",
            stamp=Time(sec=seconds, nanosec=nanoseconds),
            node=self._node,
            new_parameters=listed(new),
            changed_parameters=listed(changed),
            deleted_parameters=[],
        )
        self._events.publish(serialize(event))


def _is_listed(name: str, prefixes: list[str], depth: int) -> bool:
    """As in rclcpp: below one of the prefixes (any, if there are none), at most `depth` parts deep (0: any depth)."""
    if not prefixes:
        return depth == 0 or name.count(".") < depth
    return any(
        name == prefix or (name.startswith(f"{prefix}.") and (depth == 0 or name[len(prefix) + 1 :].count(".") < depth))
        for prefix in prefixes
    )


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
