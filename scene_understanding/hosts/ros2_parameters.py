"""Parameters of a node as rclpy has them: what the user gave, and our declarations with bounds and choices."""

from __future__ import annotations

import array
from collections.abc import Iterable, Mapping
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node as RosNode
from rclpy.parameter import Parameter

from scene_understanding.hosts.parameter_service import USE_SIM_TIME
from scene_understanding.nodes.node import QoS
from scene_understanding.nodes.parameters import ParameterDescription, ParameterError

AUTOSTART = ParameterDescription(
    "autostart", bool, True, "configures and activates itself; off: waits for `ros2 lifecycle set`", None, None, False
)
_LISTS = (list, tuple, array.array)


def given(ros_node: RosNode) -> dict[str, Any]:
    """Values that the user gave to the node by `-p`, parameter files and launch; rclpy's own are left out."""
    overrides = ros_node._parameter_overrides  # no public way to see those that are not declared yet
    rclpys_own = {name for name in overrides if ros_node.has_parameter(name)} - {USE_SIM_TIME.name}
    return {name: python_value(p.value) for name, p in overrides.items() if name not in rclpys_own}


def python_value(value: Any) -> Any:
    """A tuple for what rclpy has as a list or array; other values as they are."""
    return tuple(value) if isinstance(value, _LISTS) else value


def take_autostart(values: dict[str, Any]) -> bool:
    """Takes the parameter out of the values.

    Raises:
        ParameterError: not a bool.
    """
    value = values.pop(AUTOSTART.name, AUTOSTART.default)
    if not isinstance(value, bool):
        raise ParameterError(f"parameter '{AUTOSTART.name}' is {value!r}; expected bool")
    return value


def declare(ros_node: RosNode, descriptions: Iterable[ParameterDescription], values: Mapping[str, Any]) -> None:
    """Declares parameters with these values, or gives those that rclpy has declared already our description."""
    for description in descriptions:
        name, value = description.name, values[description.name]
        if ros_node.has_parameter(name):
            ros_node.set_descriptor(name, descriptor(description))
        else:
            _declare(ros_node, name, list(value) if isinstance(value, tuple) else value, description)


def _declare(ros_node: RosNode, name: str, value: Any, description: ParameterDescription) -> None:
    if value != []:
        ros_node.declare_parameter(name, value, descriptor(description), ignore_override=True)
        return
    # rclpy cannot tell the type of an empty list: declared with its type, then set, then read only if it is to be
    ros_node.declare_parameter(name, _type(description))
    ros_node.set_parameters([Parameter(name, _type(description), [])])
    ros_node.set_descriptor(name, descriptor(description))


def descriptor(description: ParameterDescription) -> ParameterDescriptor:
    """What `ros2 param describe` shows. Ranges are only for numbers: in ROS 2 lists have none."""
    choices = ", ".join(map(str, description.choices)) if description.choices is not None else ""
    found = ParameterDescriptor(
        type=_type(description).value,
        description=description.description,
        additional_constraints=f"one of: {choices}" if choices else "",
        read_only=not description.runtime,
    )
    if description.bounds is not None:
        low, high = description.bounds
        if description.type is int:
            found.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=0)]
        elif description.type is float:
            found.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)]
        else:
            found.additional_constraints += f"each from {low} to {high}"
    return found


def _type(description: ParameterDescription) -> Parameter.Type:
    default = description.default
    return Parameter.Type.STRING_ARRAY if default == () else Parameter.Type.from_parameter_value(default)


def declare_qos(ros_node: RosNode, kind: str, topics: Iterable[tuple[str, str, QoS]]) -> None:
    """Declares `qos_overrides.<topic>.<kind>.<policy>` of topics with the QoS that they have, as rclcpp does."""
    for topic, _, qos in topics:
        policies = {"reliability": qos.reliability, "durability": qos.durability, "depth": qos.depth}
        for policy, value in policies.items():
            name = f"qos_overrides.{topic}.{kind}.{policy}"
            if not ros_node.has_parameter(name):
                text = f"{policy} of the {kind} of {topic}"
                ros_node.declare_parameter(
                    name, value, ParameterDescriptor(description=text, read_only=True), ignore_override=True
                )


def strangers(overrides: Mapping[str, Any], ros_node: RosNode) -> list[str]:
    """QoS overrides of topics that the node does not have: probably misspelt."""
    return [name for name in overrides if not ros_node.has_parameter(f"qos_overrides.{name}")]
