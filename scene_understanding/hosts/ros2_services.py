"""Services of a node as rclpy services. Requests and responses cross as CDR, for the one codec of all hosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node as RosNode
from rclpy.serialization import deserialize_message, serialize_message

from scene_understanding.hosts.ros2_transport import ros_class
from scene_understanding.messages.types import deserialize, serialize


class Ros2Service:
    """Answers requests in the executor's thread until it is closed.

    Args:
        topic: the service's name as the node declares it; `rcl` expands and remaps it.
        srvtype: `std_srvs/srv/Trigger`.
        handler: response message from request message (`messages.types`). Where it raises, the executor raises that,
            and the client gets no answer.
    """

    def __init__(self, ros_node: RosNode, topic: str, srvtype: str, handler: Callable[[Any], Any]) -> None:
        self._node, self._type, self._handler = ros_node, srvtype, handler
        self._service = ros_node.create_service(ros_class(srvtype), topic, self._answer)

    def close(self) -> None:
        self._node.destroy_service(self._service)

    def _answer(self, request: Any, response: Any) -> Any:
        ours = self._handler(deserialize(serialize_message(request), f"{self._type}_Request"))
        return deserialize_message(bytes(serialize(ours)), type(response))
