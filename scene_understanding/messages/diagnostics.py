"""`diagnostic_msgs/DiagnosticArray`: what a node says about itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum

from scene_understanding.messages.header import make_header
from scene_understanding.messages.types import DiagnosticArray, DiagnosticStatus, KeyValue


class Level(IntEnum):
    """Level of a `DiagnosticStatus`."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


def diagnostic_status(
    name: str, level: Level, message: str, values: Mapping[str, object] | None = None, hardware_id: str = ""
) -> DiagnosticStatus:
    """One status; values become text, floats with four significant digits."""
    pairs = [KeyValue(key=key, value=_text(value)) for key, value in (values or {}).items()]
    return DiagnosticStatus(level=int(level), name=name, message=message, hardware_id=hardware_id, values=pairs)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def diagnostic_array(statuses: Iterable[DiagnosticStatus], stamp_ns: int) -> DiagnosticArray:
    """The message of `/diagnostics`; its header has a stamp and no frame."""
    return DiagnosticArray(header=make_header(stamp_ns, ""), status=list(statuses))


def diagnostic_values(status: DiagnosticStatus) -> dict[str, str]:
    """The key-value pairs of a status."""
    return {pair.key: pair.value for pair in status.values}
