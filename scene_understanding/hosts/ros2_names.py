"""Names of a node that rclpy runs, as `rcl` resolves them: each topic expanded and remapped exactly once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scene_understanding.hosts.names import NodeNames


@dataclass(frozen=True)
class RclNames(NodeNames):
    """`NodeNames` that asks `rcl`, which has the remapping rules.

    `rcl` remaps whatever name a publisher or subscription is made with, also one that was remapped before (with
    `a:=b b:=c` that would turn a into c). So they are made with `declared(topic)`.
    """

    ros_node: Any = None
    _declared: dict[str, str] = field(default_factory=dict, compare=False)
    _resolved: dict[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, ros_node: Any) -> RclNames:
        """The names of an `rclpy.node.Node`."""
        return cls(ros_node.get_name(), ros_node.get_namespace(), ros_node=ros_node)

    def resolve(self, topic: str) -> str:
        """The absolute topic name: expanded in the node's namespace, then remapped."""
        if topic not in self._resolved:
            resolved = self.ros_node.resolve_topic_name(topic)
            self._resolved[topic] = resolved
            self._declared.setdefault(resolved, topic)
        return self._resolved[topic]

    def declared(self, topic: str) -> str:
        """A name that `rcl` resolves to the absolute name `topic`; `topic` itself where none is known."""
        return self._declared.get(topic, topic)
