"""Parameters of a node in the ros2 host, as `ros2 param` and launch see them: through rcl_interfaces services."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs a sourced ROS 2")

from rcl_interfaces.msg import Parameter, ParameterEvent, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters, SetParametersAtomically

from scene_understanding.hosts.names import NamingError
from scene_understanding.nodes.node import ConfigurationError
from scene_understanding.nodes.parameters import ParameterError

pytestmark = pytest.mark.ros

DOUBLE, INTEGER, STRING = (
    ParameterType.PARAMETER_DOUBLE,
    ParameterType.PARAMETER_INTEGER,
    ParameterType.PARAMETER_STRING,
)


def values(peer: Any, *names: str) -> list[ParameterValue]:
    return peer.call(GetParameters, "/echo/get_parameters", GetParameters.Request(names=list(names))).values


def changed(name: str, **value: Any) -> Parameter:
    kind = {"double_value": DOUBLE, "integer_value": INTEGER, "string_value": STRING}[next(iter(value))]
    return Parameter(name=name, value=ParameterValue(type=kind, **value))


def put(peer: Any, name: str, **value: Any) -> tuple[bool, str]:
    """Whether one parameter was set, and the reason where it was not."""
    request = SetParameters.Request(parameters=[changed(name, **value)])
    (result,) = peer.call(SetParameters, "/echo/set_parameters", request).results
    return result.successful, result.reason


def test_list_and_get(host: Any, peer: Any) -> None:
    host("-p", "gain:=0.25", "-p", "count:=7", "-p", "offsets:=[1.5, 2.5, 3.5]")
    names = peer.call(ListParameters, "/echo/list_parameters", ListParameters.Request()).result.names
    assert {"gain", "count", "mode", "loud", "model", "offsets", "autostart", "use_sim_time"} <= set(names)
    assert "qos_overrides./image.subscription.reliability" in names
    gain, count, mode, loud, offsets, word = values(peer, "gain", "count", "mode", "loud", "offsets", "names")
    assert (gain.double_value, count.integer_value, mode.string_value, loud.bool_value) == (0.25, 7, "fast", False)
    assert list(offsets.double_array_value) == [1.5, 2.5, 3.5]
    assert (word.type, word.string_array_value) == (ParameterType.PARAMETER_STRING_ARRAY, [])


def test_descriptions(host: Any, peer: Any) -> None:
    host()
    names = ["gain", "count", "mode", "model", "use_sim_time", "qos_overrides./image.subscription.reliability"]
    request = DescribeParameters.Request(names=names)
    gain, count, mode, model, sim, qos = peer.call(DescribeParameters, "/echo/describe_parameters", request).descriptors
    assert (gain.type, gain.description, gain.read_only) == (DOUBLE, "how much", False)
    assert (gain.floating_point_range[0].from_value, gain.floating_point_range[0].to_value) == (0.0, 1.0)
    assert (count.integer_range[0].from_value, count.integer_range[0].to_value) == (1, 9)
    assert mode.additional_constraints == "one of: fast, slow"
    assert model.read_only and sim.read_only and qos.read_only
    assert "/clock" in sim.description


def test_set_reaches_the_node(host: Any, peer: Any) -> None:
    node = host()
    assert put(peer, "gain", double_value=0.75) == (True, "")
    assert node.runner.node.parameters.gain == 0.75
    assert values(peer, "gain")[0].double_value == 0.75


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("gain", {"double_value": 1.5}, "Min: 0.0, Max: 1.0, value: 1.5"),
        ("count", {"integer_value": 0}, "Min: 1, Max: 9, value: 0"),
        ("gain", {"integer_value": 1}, "Wrong parameter type"),
        ("mode", {"string_value": "later"}, "parameter 'mode' is 'later'; allowed is one of: fast, slow"),
        ("model", {"string_value": "other"}, "read-only"),
        ("nothing", {"double_value": 0.0}, "declared"),
        ("use_sim_time", {"integer_value": 1}, "read-only"),
    ],
)
def test_refusals_say_why(name: str, value: dict[str, Any], reason: str, host: Any, peer: Any) -> None:
    node = host()
    before = node.runner.node.parameters
    successful, said = put(peer, name, **value)
    assert not successful and reason in said
    assert node.runner.node.parameters == before


def test_set_atomically_all_or_nothing(host: Any, peer: Any) -> None:
    node = host()
    request = SetParametersAtomically.Request(
        parameters=[changed("gain", double_value=0.9), changed("mode", string_value="later")]
    )
    result = peer.call(SetParametersAtomically, "/echo/set_parameters_atomically", request).result
    assert not result.successful and "later" in result.reason
    assert node.runner.node.parameters.gain == 0.5
    request.parameters[1] = changed("mode", string_value="slow")
    assert peer.call(SetParametersAtomically, "/echo/set_parameters_atomically", request).result.successful
    assert (node.runner.node.parameters.gain, node.runner.node.parameters.mode) == (0.9, "slow")


def test_change_is_told(host: Any, peer: Any, until: Any) -> None:
    host()
    events = peer.hear(ParameterEvent, "/parameter_events", 100)
    until(lambda: peer.node.count_subscribers("/parameter_events") and put(peer, "gain", double_value=0.1)[0])
    until(lambda: any(p.name == "gain" for event in events for p in event.changed_parameters))


def test_parameter_file(tmp_path: Path, host: Any) -> None:
    path = tmp_path / "echo.yaml"
    path.write_text(
        "/**/echo:\n  ros__parameters:\n    gain: 1\n    names: [a, b]\nother:\n  ros__parameters: {x: 1}\n"
    )
    node = host("--params-file", str(path), "-p", "mode:=slow")
    assert node.parameter_values.gain == 1.0 and isinstance(node.parameter_values.gain, float)
    assert node.parameter_values.names == ("a", "b") and node.parameter_values.mode == "slow"


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("gian:=0.5", "unknown parameter 'gian'; did you mean gain?"),
        ("gain:=2.0", "parameter 'gain' is 2.0; allowed is 0"),
        ("gain:=high", "parameter 'gain' is 'high'"),
        ("mode:=later", "allowed is one of: fast, slow"),
        ("count:=2.5", "parameter 'count' is 2.5"),
        ("autostart:=maybe", "parameter 'autostart' is 'maybe'; expected bool"),
        ("use_sim_time:=maybe", "use_sim_time"),
        ("qos_overrides./image.subscription.reliability:=perhaps", "allowed are reliability: reliable or best_effort"),
    ],
)
def test_wrong_value_at_start_names_what_is_right(argument: str, said: str, host: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        host("-p", argument)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments", [("-r", "no_rule"), ("--params-file", "/no/such.yaml"), ("-r", "__node:=not-a-name"), ("--what",)]
)
def test_wrong_ros_argument_is_one_line(arguments: tuple[str, ...], host: Any) -> None:
    with pytest.raises((NamingError, ParameterError)) as caught:
        host(*arguments)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_failing_configuration_is_told(host: Any) -> None:
    with pytest.raises(ConfigurationError, match="there is no such model"):
        host("-p", "model:=missing")


def test_rclpys_own_parameters_stay_rclpys(host: Any) -> None:
    host("-p", "start_type_description_service:=false")
