"""Parameters of a node: one frozen dataclass that alone holds defaults, descriptions, bounds and choices."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

T = TypeVar("T")


class _Yaml(yaml.SafeLoader):
    """YAML as ROS 2 reads it (YAML 1.2 numbers): `1e-3` is a number too, which PyYAML takes for text."""


_Yaml.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z|[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z"),
    list("-+0123456789."),
)


class ParameterError(ValueError):
    """A parameter that does not exist or a value that is not allowed; the message names what would be right."""


def parameter(
    default: Any,
    description: str,
    *,
    bounds: tuple[float, float] | None = None,
    choices: Sequence[Any] | None = None,
    runtime: bool = False,
) -> Any:
    """A dataclass field that is a ROS parameter.

    Args:
        default: bool, int, float, str or a tuple of one of these; its type is the parameter's type (an empty tuple
            is one of str).
        bounds: lowest and highest value allowed, both included; of a tuple, for each element, as are the choices.
        runtime: may be changed while the node runs.
    """
    metadata = {"description": description, "bounds": bounds, "choices": choices, "runtime": runtime}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class NoParameters:
    """For nodes without parameters."""


@dataclass(frozen=True)
class ParameterDescription:
    """One parameter as hosts show it (`ros2 param describe`, `scene-understanding run --help`)."""

    name: str
    type: type
    default: Any
    description: str
    bounds: tuple[float, float] | None
    choices: Sequence[Any] | None
    runtime: bool


def describe(parameters_type: type) -> dict[str, ParameterDescription]:
    """The parameters of a dataclass made of `parameter(...)` fields, by name, in order."""
    return {
        f.name: ParameterDescription(f.name, type(f.default), f.default, **f.metadata) for f in fields(parameters_type)
    }


def from_mapping(parameters_type: type[T], values: Mapping[str, Any]) -> T:
    """Builds the dataclass from a mapping of some of its fields; the others keep their defaults.

    Raises:
        ParameterError: unknown name, wrong type, out of bounds, or not among the choices.
    """
    known = describe(parameters_type)
    checked = {}
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
            raise ParameterError(f"unknown parameter '{name}'; {hint}")
        checked[name] = _checked(known[name], value)
    return parameters_type(**checked)


def replaced(parameters: T, values: Mapping[str, Any]) -> T:
    """A copy with some values changed, as at run time.

    Raises:
        ParameterError: as `from_mapping`; also when a parameter can only be set at start.
    """
    known = describe(type(parameters))
    for name in values:
        if name in known and not known[name].runtime:
            raise ParameterError(f"parameter '{name}' can only be set at start, not while the node runs")
    return from_mapping(type(parameters), {**dataclasses.asdict(parameters), **values})  # type: ignore[call-overload]


def yaml_value(text: str) -> Any:
    """The value that YAML text stands for, as in `-p name:=value`.

    Raises:
        ParameterError: it is not YAML.
    """
    try:
        return yaml.load(text, _Yaml)
    except yaml.YAMLError as error:
        raise ParameterError(f"'{text}' is not YAML: {' '.join(str(error).split())}") from error


def values_from_yaml(path: str | Path, node: str) -> dict[str, Any]:
    """Values for the node with the fully qualified name `node` (`/ns/name`) in a ROS 2 parameter file.

    Sections are `/ns/name:`, `name:` or with the wildcards `*` (one level) and `**` (any); the file's order decides,
    later sections win, as in rcl. Nested mappings become dotted names.

    Raises:
        ParameterError: the file cannot be read or is not a ROS 2 parameter file.
    """
    try:
        document = yaml_value(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, ParameterError) as error:
        raise ParameterError(f"parameter file {path}: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise ParameterError(f"parameter file {path}: expected a mapping of node names to ros__parameters")
    values: dict[str, Any] = {}
    for section, content in _sections(document):
        if not isinstance(content, dict):
            raise ParameterError(f"parameter file {path}: ros__parameters of '{section}' is not a mapping")
        if _matches(section, node):
            values.update(_flat(content))
    return values


def _sections(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, content in document.items():
        if key == "ros__parameters":
            found.append((prefix or "/**", content))
        elif isinstance(content, dict):
            found += _sections(content, f"{prefix}/{str(key).strip('/')}")
    return found


def _matches(section: str, node: str) -> bool:
    def match(pattern: list[str], parts: list[str]) -> bool:
        if not pattern:
            return not parts
        if pattern[0] == "**":
            return any(match(pattern[1:], parts[i:]) for i in range(len(parts) + 1)) or len(pattern) == 1
        return bool(parts) and pattern[0] in ("*", parts[0]) and match(pattern[1:], parts[1:])

    return match(section.strip("/").split("/"), node.strip("/").split("/"))


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            values.update(_flat(value, f"{prefix}{key}."))
        else:
            values[f"{prefix}{key}"] = value
    return values


def _checked(known: ParameterDescription, value: Any) -> Any:
    if known.type is tuple:
        if not isinstance(value, (list, tuple)):
            raise ParameterError(f"parameter '{known.name}' is {value!r} ({type(value).__name__}); expected a list")
        element_type = type(known.default[0]) if known.default else str
        value = tuple(_converted(known.name, element_type, element) for element in value)
    else:
        value = _converted(known.name, known.type, value)
    for element in value if isinstance(value, tuple) else (value,):
        _check_allowed(known, element)
    return value


def _check_allowed(known: ParameterDescription, value: Any) -> None:
    if known.bounds is not None and not known.bounds[0] <= value <= known.bounds[1]:
        low, high = known.bounds
        raise ParameterError(f"parameter '{known.name}' is {value}; allowed is {low} to {high}")
    if known.choices is not None and value not in known.choices:
        allowed = ", ".join(str(choice) for choice in known.choices)
        raise ParameterError(f"parameter '{known.name}' is '{value}'; allowed is one of: {allowed}")


def _converted(name: str, expected: type, value: Any) -> Any:
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise ParameterError(f"parameter '{name}' is {value!r} ({type(value).__name__}); expected {expected.__name__}")
    return value
