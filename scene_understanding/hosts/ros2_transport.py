"""The `ros2` host's transport: rclpy publishers of ready bytes and raw subscriptions; only CDR crosses Python.

Messages are waited for in a thread of their own and not in an rclpy executor: an executor of Jazzy builds a new wait
set with every service of the node three times for each message, which costs more than to take an image out of the
middleware (`bench/bench_rclpy_receive.py`). Services and transitions, which may take long, do not hold up messages so.
"""

from __future__ import annotations

import importlib
import logging
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node as RosNode
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription as RosSubscription

from scene_understanding.hosts.ros2_names import RclNames
from scene_understanding.hosts.transport import Endpoint
from scene_understanding.nodes.node import ConfigurationError, QoS

logger = logging.getLogger(__name__)

RETRY_AFTER = 1.0  # seconds


def ros_class(name: str) -> Any:
    """The ROS class of a message `pkg/msg/Type` or service `pkg/srv/Type`; rclpy wants it for its type support only.

    Raises:
        ConfigurationError: its package is not installed, or lacks the type.
    """
    package, kind, type_name = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.{kind}"), type_name)
    except (ModuleNotFoundError, AttributeError) as error:
        if package == "scene_understanding":
            hint = "build this package with colcon and source install/setup.bash"
        else:
            hint = f"sudo apt install ros-{os.environ.get('ROS_DISTRO', '$ROS_DISTRO')}-{package.replace('_', '-')}"
        raise ConfigurationError(f"type {name} is not installed: {hint}") from error


def qos_profile(qos: QoS) -> QoSProfile:
    """rclpy's form of our QoS."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=qos.depth,
        reliability=ReliabilityPolicy[qos.reliability.upper()],
        durability=DurabilityPolicy[qos.durability.upper()],
    )


def qos_of(profile: QoSProfile) -> QoS:
    """Our form of a QoS that discovery tells."""
    reliable = profile.reliability != ReliabilityPolicy.BEST_EFFORT
    latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return QoS(
        "reliable" if reliable else "best_effort",
        "transient_local" if latched else "volatile",
        max(profile.depth, 1),
    )


class Ros2Publisher:
    """Sends ready CDR bytes on one topic; nothing after `close`, nor when ROS was shut down."""

    def __init__(self, context: Context, ros_node: RosNode, ros_publisher: Any) -> None:
        self._context, self._node, self._publisher = context, ros_node, ros_publisher
        self._closed = False

    def publish(self, data: bytes | memoryview) -> None:
        if self._closed:
            return
        try:
            self._publisher.publish(bytes(data))
        except (_rclpy.InvalidHandle, _rclpy.RCLError):
            if not self._closed and self._context.ok():
                raise

    def subscription_count(self) -> int:
        try:
            return self._publisher.get_subscription_count()
        except (_rclpy.InvalidHandle, _rclpy.RCLError):
            return 0

    def close(self) -> None:
        self._closed = True
        self._node.destroy_publisher(self._publisher)


class Ros2Subscription:
    """Hands the bytes of one topic to a callback. One that has begun may still end after `close`."""

    def __init__(self, ros_node: RosNode, ros_subscription: RosSubscription, receiver: Receiver) -> None:
        self._node, self._subscription, self._receiver = ros_node, ros_subscription, receiver
        receiver.add(ros_subscription)

    def close(self) -> None:
        self._receiver.remove(self._subscription)
        self._node.destroy_subscription(self._subscription)


class Ros2Transport:
    """`Transport` over rclpy; see there for the methods. `attach` a node before its topics.

    Attributes:
        ignores_local: false, as rclpy does not tell who sent a message. So a topic that this process publishes is heard
            from this process only.
    """

    ignores_local = False

    def __init__(self, context: Context) -> None:
        self._context = context
        self._group = ReceiverGroup()
        self._receiver = Receiver(context)
        self._owners: dict[str, tuple[RosNode, RclNames]] = {}

    def attach(self, ros_node: RosNode, names: RclNames) -> None:
        """Endpoints of the node `names.fully_qualified` are made on `ros_node` from now on."""
        self._owners[names.fully_qualified] = ros_node, names

    def advertise(self, topic: str, msgtype: str, qos: QoS, node: str) -> Ros2Publisher:
        ros_node, names = self._owners[node]
        publisher = ros_node.create_publisher(ros_class(msgtype), names.declared(topic), qos_profile(qos))
        return Ros2Publisher(self._context, ros_node, publisher)

    def subscribe(
        self, topic: str, msgtype: str, qos: QoS, node: str, callback: Callable[[bytes | memoryview], None]
    ) -> Ros2Subscription:
        ros_node, names = self._owners[node]
        subscription = ros_node.create_subscription(
            ros_class(msgtype),
            names.declared(topic),
            callback,
            qos_profile(qos),
            callback_group=self._group,
            raw=True,
        )
        return Ros2Subscription(ros_node, subscription, self._receiver)

    def publishers(self, topic: str) -> list[Endpoint]:
        if not self._owners or not self._context.ok():
            return []
        ros_node, names = next(iter(self._owners.values()))
        found = []
        for info in ros_node.get_publishers_info_by_topic(names.declared(topic)):
            node = f"{info.node_namespace.rstrip('/')}/{info.node_name}" if info.node_name else ""
            if node not in self._owners:
                found.append(Endpoint(_named(node), info.topic_type, qos_of(info.qos_profile)))
        return found

    def close(self) -> None:
        """Ends the receiving thread."""
        self._receiver.close()


def _named(node: str) -> str:
    """The name, or "" where discovery (rmw_dds_common) has put a word for "none that is known"."""
    return "" if "_NODE_NAME_UNKNOWN_" in node or "_CREATED_BY_BARE_DDS_APP_" in node else node


class ReceiverGroup(ReentrantCallbackGroup):
    """Keeps subscriptions, but not their QoS events, out of rclpy's executors: `Receiver` waits for them."""

    def can_execute(self, entity: Any) -> bool:
        return not isinstance(entity, RosSubscription)


class Receiver:
    """One thread that waits for all subscriptions of the process and calls them with the raw bytes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._wake = GuardCondition(None, None, context=context)
        self._lock = threading.Lock()
        self._subscriptions: tuple[RosSubscription, ...] = ()
        self._stop = threading.Event()
        context.on_shutdown(self._trigger)
        self._thread = threading.Thread(target=self._run, name="ros2-receiver", daemon=True)
        self._thread.start()

    def add(self, subscription: RosSubscription) -> None:
        with self._lock:
            self._subscriptions += (subscription,)
        self._trigger()

    def remove(self, subscription: RosSubscription) -> None:
        with self._lock:
            self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)
        self._trigger()

    def close(self) -> None:
        """No callback begins after it. Again is fine."""
        if not self._stop.is_set():
            self._stop.set()
            self._trigger()
            self._thread.join()
            self._wake.destroy()

    def _trigger(self) -> None:
        with suppress(_rclpy.InvalidHandle, _rclpy.RCLError):  # closed, or ROS was shut down
            self._wake.trigger()

    def _run(self) -> None:
        while not self._stop.is_set() and self._context.ok():
            try:
                self._receive_from(self._subscriptions)
            except _rclpy.InvalidHandle:
                continue  # one was closed before it could be held
            except Exception:  # must not end what all topics depend on
                if not self._stop.is_set() and self._context.ok():
                    logger.exception("receiving failed; it is tried again in %g s", RETRY_AFTER)
                    self._stop.wait(RETRY_AFTER)

    def _receive_from(self, subscriptions: tuple[RosSubscription, ...]) -> None:
        """Receives until the subscriptions change; they are held meanwhile, so that none is freed under `rcl_wait`."""
        with ExitStack() as held:
            for handle in (*(s.handle for s in subscriptions), self._wake.handle, self._context.handle):
                held.enter_context(handle)
            wait_set = _rclpy.WaitSet(len(subscriptions), 1, 0, 0, 0, 0, self._context.handle)
            while subscriptions is self._subscriptions and not self._stop.is_set() and self._context.ok():
                wait_set.clear_entities()
                for subscription in subscriptions:
                    wait_set.add_subscription(subscription.handle)
                wait_set.add_guard_condition(self._wake.handle)
                wait_set.wait(-1)
                ready = wait_set.get_ready_entities("subscription")
                for subscription in subscriptions:
                    if subscription.handle.pointer in ready:
                        _take(subscription)


def _take(subscription: RosSubscription) -> None:
    """Calls the subscription with its oldest message; where there are more, the next wait returns at once."""
    taken = subscription.handle.take_message(subscription.msg_type, True)
    if taken is not None:
        try:
            subscription.callback(taken[0])
        except Exception:  # one bad callback must not silence the others
            logger.exception("a subscription's callback failed")
