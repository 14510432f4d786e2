"""What a node logs, on `/rosout` as ROS 2 nodes do: `ros2 topic echo /rosout`, rqt_console."""

from __future__ import annotations

import logging

from scene_understanding.hosts.dds import DdsTransport
from scene_understanding.messages.types import Time, message_type, serialize
from scene_understanding.nodes.node import QoS

_TYPE = "rcl_interfaces/msg/Log"
_QOS = QoS("reliable", "transient_local", 1000)  # RMW_QOS_PROFILE_ROSOUT_DEFAULT
_LIFESPAN_NS = 10_000_000_000


class RosoutHandler(logging.Handler):
    """Publishes the records of one node's logger; Python's level numbers are those of ROS.

    Args:
        node: fully qualified name.
    """

    def __init__(self, transport: DdsTransport, node: str) -> None:
        super().__init__()
        self._name = node.strip("/").replace("/", ".")
        self._publisher = transport.advertise("/rosout", _TYPE, _QOS, node, lifespan_ns=_LIFESPAN_NS)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._publisher.publish(serialize(self._message(record)))
        except Exception:  # a log line must not end what it tells about
            self.handleError(record)

    def close(self) -> None:
        self._publisher.close()
        super().close()

    def _message(self, record: logging.LogRecord) -> object:
        seconds, nanoseconds = divmod(int(record.created * 1e9), 1_000_000_000)
        return message_type(_TYPE)(
            stamp=Time(sec=seconds, nanosec=nanoseconds),
            level=record.levelno,
            name=self._name,
            msg=self.format(record),
            file=record.pathname,
            function=record.funcName or "",
            line=record.lineno,
        )
