"""Calls of a node's services, alike in every host: between two sets, and no fault of the node ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scene_understanding.geometry.transform_buffer import TransformError
from scene_understanding.messages.types import message_type
from scene_understanding.nodes.node import Service

if TYPE_CHECKING:
    from scene_understanding.hosts.runner import NodeRunner


class ServiceError(RuntimeError):
    """A call went wrong and the response type has no field to say so: services of ROS 2 have no errors. One line."""


class ServiceCalls:
    """Makes the calls of one node's services; `NodeRunner.call` says how."""

    def __init__(self, runner: NodeRunner) -> None:
        self._runner = runner

    def call(self, name: str, request: Any) -> Any:
        """As `NodeRunner.call`."""
        services = {service.name: service for service in self._runner.node.services}
        if name not in services:
            known = ", ".join(services) or "none"
            raise KeyError(f"{self._runner.names.fully_qualified} has no service '{name}'; it has: {known}")
        responses: list[Any] = []
        self._runner.between_sets(lambda: responses.append(self._response(services[name], request)))
        return responses[0]

    def _response(self, service: Service, request: Any) -> Any:
        runner = self._runner
        if runner.state != "active":  # the last call of a node that is being stopped
            return _refusal(service, f"{runner.names.fully_qualified} is {runner.state}, not active")
        try:
            with runner.context.stage("serve"):
                response = runner.node.serve(service.name, request, runner.context)
            _check(service, response)
        except (ValueError, TransformError) as error:
            line = " ".join(str(error).split())
            runner.trouble.refused(f"service '{service.name}': {line}")
        except Exception as error:  # no fault of a node ends the process that others live in
            line = f"{type(error).__name__}: {error}"
            runner.trouble.failed(error)
        else:
            return response
        return _refusal(service, line)


def _check(service: Service, response: Any) -> None:
    expected, found = f"{service.type}_Response", getattr(response, "__msgtype__", type(response).__name__)
    if found != expected:
        raise TypeError(f"service '{service.name}' was answered with a {found}; expected {expected}")


def _refusal(service: Service, line: str) -> Any:
    """`success=False` and the line, as `std_srvs/srv/Trigger` and `SetBool` have it.

    Raises:
        ServiceError: the response type has other fields.
    """
    response_type = message_type(f"{service.type}_Response")
    if set(response_type.__dataclass_fields__) - {"__msgtype__"} != {"success", "message"}:
        raise ServiceError(f"service '{service.name}': {line}")
    return response_type(success=False, message=line)
