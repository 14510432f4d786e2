"""Services of a node in the ros2 host, called by plain rclpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs a sourced ROS 2")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from std_srvs.srv import Empty, SetBool, Trigger

from scene_understanding.messages.types import message_type
from scene_understanding.nodes.node import Context, InputError, Node, Service

pytestmark = pytest.mark.ros


class Gate(Node):
    """Opens, but never by force."""

    name = "gate"
    services = (
        Service("open", "~/open", "std_srvs/srv/SetBool"),
        Service("force", "force", "std_srvs/srv/Trigger"),
        Service("forget", "~/forget", "std_srvs/srv/Empty"),
    )

    def serve(self, service: str, request: Any, context: Context) -> Any:
        if service == "open":
            return message_type("std_srvs/srv/SetBool_Response")(success=request.data, message="grün")
        raise InputError(f"{service}: not by force")


class Stranger(Gate):
    """Has a service of a type that nobody has installed."""

    name = "stranger"
    services = (Service("x", "~/x", "no_such_msgs/srv/Thing"),)


def services_of(peer: Any, node: str) -> Mapping[str, list[str]]:
    return dict(peer.node.get_service_names_and_types_by_node(node, "/"))


def change(peer: Any, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bool(peer.call(ChangeState, "/gate/change_state", request).success)


def test_requests_and_responses_arrive(host: Any, peer: Any) -> None:
    host(node_type=Gate)
    assert peer.call(SetBool, "/gate/open", SetBool.Request(data=True)) == SetBool.Response(
        success=True, message="grün"
    )
    assert not peer.call(SetBool, "/gate/open", SetBool.Request(data=False)).success


def test_a_refusal_is_told_to_the_caller(host: Any, peer: Any) -> None:
    node = host("-r", "force:=/robot/break", node_type=Gate)
    response = peer.call(Trigger, "/robot/break", Trigger.Request())
    assert (response.success, response.message) == (False, "force: not by force")
    assert node.statistics()["refused"] == 1


def test_a_type_that_cannot_say_it_gets_no_answer_and_the_node_goes_on(
    host: Any, peer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    host(node_type=Gate)
    with pytest.raises(AssertionError, match="no answer"):
        peer.call(Empty, "/gate/forget", Empty.Request(), 1.0)
    assert "service 'forget': forget: not by force" in caplog.text
    assert peer.call(SetBool, "/gate/open", SetBool.Request(data=True)).success


def test_served_while_active(host: Any, peer: Any, until: Any) -> None:
    host("-p", "autostart:=false", node_type=Gate)
    until(lambda: "/gate/change_state" in services_of(peer, "gate"))
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert "/gate/open" not in services_of(peer, "gate")
    for _ in range(2):
        assert change(peer, Transition.TRANSITION_ACTIVATE)
        until(lambda: services_of(peer, "gate").get("/gate/open") == ["std_srvs/srv/SetBool"])
        assert peer.call(SetBool, "/gate/open", SetBool.Request(data=True)).success
        assert change(peer, Transition.TRANSITION_DEACTIVATE)
        until(lambda: "/gate/open" not in services_of(peer, "gate"))


def test_a_type_that_is_not_installed_is_one_line(host: Any) -> None:
    with pytest.raises(ValueError, match=r"type no_such_msgs/srv/Thing is not installed: .*no-such-msgs"):
        host(node_type=Stranger)
