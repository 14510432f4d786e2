"""Lifecycle of a node in the ros2 host, as `ros2 lifecycle` and Nav2's lifecycle manager drive it."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs a sourced ROS 2")

import rclpy
from lifecycle_msgs.msg import Transition, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String

pytestmark = pytest.mark.ros

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE)
PICTURE = Image(height=1, width=1, encoding="mono8", step=1, data=b"\x07")


def state(peer: Any) -> str:
    return peer.call(GetState, "/echo/get_state", GetState.Request()).current_state.label


def change(peer: Any, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return peer.call(ChangeState, "/echo/change_state", request).success


def set_gain(peer: Any, gain: float) -> bool:
    value = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=gain)
    request = SetParameters.Request(parameters=[Parameter(name="gain", value=value)])
    return peer.call(SetParameters, "/echo/set_parameters", request).results[0].successful


def echoes(peer: Any, heard: list[Any], publisher: Any, seconds: float = 5.0) -> bool:
    """Whether a picture comes back."""
    del heard[:]
    deadline = time.monotonic() + seconds
    while not heard and time.monotonic() < deadline:
        publisher.publish(PICTURE)
        time.sleep(0.05)
    return bool(heard)


def test_starts_by_itself(host: Any, peer: Any) -> None:
    host()
    assert state(peer) == "active"


def test_every_transition_does_what_it_says(host: Any, peer: Any, until: Any) -> None:
    node = host("-p", "autostart:=false")
    heard, publisher = peer.hear(Image, "/echo/image"), peer.publisher(Image, "/image", 1)
    events = peer.hear(TransitionEvent, "/echo/transition_event")
    assert state(peer) == "unconfigured" and node.runner is None
    assert change(peer, Transition.TRANSITION_CONFIGURE) and state(peer) == "inactive"
    until(lambda: peer.node.count_publishers("/echo/image"))
    assert not peer.node.get_subscriptions_info_by_topic("/image")
    assert change(peer, Transition.TRANSITION_ACTIVATE) and state(peer) == "active"
    assert echoes(peer, heard, publisher)
    assert change(peer, Transition.TRANSITION_DEACTIVATE) and state(peer) == "inactive"
    assert not echoes(peer, heard, publisher, 0.5)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    assert echoes(peer, heard, publisher)
    assert change(peer, Transition.TRANSITION_DEACTIVATE)
    assert change(peer, Transition.TRANSITION_CLEANUP) and state(peer) == "unconfigured"
    until(lambda: not peer.node.count_publishers("/echo/image"))
    assert change(peer, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN) and state(peer) == "finalized"
    until(lambda: [e.goal_state.label for e in events][-1:] == ["finalized"])


def test_configured_again_it_begins_afresh(host: Any, peer: Any, until: Any) -> None:
    host()
    heard, publisher = peer.hear(Image, "/echo/image"), peer.publisher(Image, "/image", 1)
    assert echoes(peer, heard, publisher)
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
        assert change(peer, transition)
    assert set_gain(peer, 0.125)
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        assert change(peer, transition)
    assert echoes(peer, heard, publisher)
    greetings = peer.hear(String, "/echo/greeting", LATCHED)
    until(lambda: greetings)
    assert [greeting.data for greeting in greetings] == ["0.125 fast"]


def test_transition_that_the_state_does_not_allow(host: Any, peer: Any) -> None:
    host()
    assert not change(peer, Transition.TRANSITION_ACTIVATE)
    assert not change(peer, 99)
    assert state(peer) == "active"
    request = GetAvailableTransitions.Request()
    found = peer.call(GetAvailableTransitions, "/echo/get_available_transitions", request).available_transitions
    assert {t.transition.label for t in found} >= {"deactivate", "shutdown"}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("missing", "cannot configure: parameter 'model' is 'missing'"),
        ("unmet", "cannot configure: Python module 'no_such_module' is missing"),
        ("broken", "a fault of the program"),
    ],
)
def test_failed_configure_leaves_it_unconfigured(
    model: str, said: str, host: Any, peer: Any, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    host("-p", f"model:={model}", "-p", "autostart:=false")
    for _ in range(2):
        assert not change(peer, Transition.TRANSITION_CONFIGURE)
        assert state(peer) == "unconfigured"
    error = capfd.readouterr().err + caplog.text
    assert said in error and ("Traceback" in error) == (model == "broken")
    assert not peer.node.count_publishers("/echo/image")


def test_shut_down_by_somebody_else(echo: Any, until: Any) -> None:
    from scene_understanding.hosts.ros2_host import Ros2Host

    with Ros2Host() as alone:
        alone.add(echo)
        rclpy.shutdown(context=alone.context)
        until(alone.stopped.is_set)


def test_closing_tells_the_state(peer: Any, until: Any, echo: Any) -> None:
    from scene_understanding.hosts.ros2_host import Ros2Host

    events = peer.hear(TransitionEvent, "/echo/transition_event")
    with Ros2Host() as alone:
        alone.add(echo)
        until(lambda: peer.node.count_publishers("/echo/transition_event"))
        time.sleep(0.5)  # discovery of both ends
    until(lambda: any(e.goal_state.label == "finalized" for e in events))
