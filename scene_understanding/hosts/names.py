"""ROS 2 names and command-line arguments: `--ros-args -r from:=to -p name:=value --params-file file.yaml`.

Semantics as in the ROS 2 design articles "Topic and service names" and "Static remapping", and as `rcl` does it: the
first rule that matches wins; `__node` is looked up under the given node name, all other rules under the new one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scene_understanding.nodes.parameters import ParameterError, values_from_yaml, yaml_value

_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_RULE = re.compile(r"(?:(?P<node>[A-Za-z_][A-Za-z0-9_]*):)?(?P<source>[^:]+):=(?P<target>.*)\Z", re.DOTALL)


class NamingError(ValueError):
    """A name, rule or argument that ROS 2 does not allow; the message shows it and says what is wrong."""


@dataclass(frozen=True)
class Remapping:
    """One rule `node:source:=target`.

    Attributes:
        node: name of the only node that it holds for, or None for all.
        source: topic name, `__node`, or `__ns`.
    """

    source: str
    target: str
    node: str | None = None

    @classmethod
    def parse(cls, text: str) -> Remapping:
        """From `from:=to`, `node:from:=to`, `__ns:=/x`, `__node:=x` (`__name` is the old word for `__node`).

        Raises:
            NamingError: not of this form.
        """
        match = _RULE.match(text)
        if match is None or not match["target"]:
            raise NamingError(f"remapping '{text}' is not of the form from:=to or node:from:=to")
        source = "__node" if match["source"] == "__name" else match["source"]
        return cls(source, match["target"], match["node"])


@dataclass(frozen=True)
class NodeNames:
    """The names of one node: its own, and those of its topics."""

    name: str
    namespace: str = "/"
    rules: tuple[Remapping, ...] = ()

    @property
    def fully_qualified(self) -> str:
        """`/ns/name`."""
        return f"{self.namespace.rstrip('/')}/{self.name}"

    def resolve(self, topic: str) -> str:
        """The absolute topic name: expanded in the node's namespace, then remapped.

        Raises:
            NamingError: not a valid ROS 2 name.
        """
        name = self.expand(topic)
        for rule in self.rules:
            if not rule.source.startswith("__") and self.expand(rule.source) == name:
                return self.expand(rule.target)
        return name

    def expand(self, topic: str) -> str:
        """The absolute name of a relative (`x`), private (`~/x`) or absolute (`/x`) one, before remapping."""
        if topic.startswith("/"):
            absolute = topic
        elif topic == "~" or topic.startswith("~/"):
            absolute = self.fully_qualified + topic[1:]
        else:
            absolute = f"{self.namespace.rstrip('/')}/{topic}"
        if not all(_TOKEN.match(token) for token in absolute[1:].split("/")):
            raise NamingError(
                f"'{topic}' is not a valid topic name: letters, digits and underscores between slashes, "
                "no part empty or beginning with a digit"
            )
        return absolute


@dataclass(frozen=True)
class RosArguments:
    """What a user says about names and parameters, for all nodes of a process.

    Attributes:
        remappings: in the order given.
        parameters: in the order given, later ones win: `-p` as (node or None, name, value), files as their path.
        log_level: `debug`, `info`, `warn`, `error`, `fatal`, or None.
    """

    remappings: tuple[Remapping, ...] = ()
    parameters: tuple[tuple[str | None, str, Any] | str, ...] = ()
    log_level: str | None = None

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> tuple[RosArguments, list[str]]:
        """Reads what stands between `--ros-args` and `--` (or the end); returns it and the other arguments.

        Raises:
            NamingError: an argument that is unknown, incomplete or malformed.
        """
        rest: list[str] = []
        found = cls()
        words = iter(arguments)
        inside = False
        for word in words:
            if not inside:
                inside = word == "--ros-args"
                rest += [] if inside else [word]
            elif word == "--":
                inside = False
            elif word != "--ros-args":
                found = found._with(word, words)
        return found, rest

    @classmethod
    def of(
        cls, remappings: Sequence[str] = (), parameters: Sequence[str] = (), files: Sequence[str] = ()
    ) -> RosArguments:
        """From the texts of `-r`, `-p` and `--params-file`; single parameters win over files."""
        words = [word for f in files for word in ("--params-file", f)]
        words += [word for p in parameters for word in ("-p", p)]
        words += [word for r in remappings for word in ("-r", r)]
        return cls.parse(["--ros-args", *words])[0]

    def _with(self, option: str, words: Any) -> RosArguments:
        known = ("-r", "--remap", "-p", "--param", "--params-file", "--log-level")
        if option not in known:
            raise NamingError(f"unknown ROS argument '{option}'; known: {', '.join(known)}")
        value = next(words, None)
        if value is None:
            raise NamingError(f"ROS argument '{option}' lacks its value")
        remappings, parameters, log_level = self.remappings, self.parameters, self.log_level
        if option in ("-r", "--remap"):
            remappings += (Remapping.parse(value),)
        elif option in ("-p", "--param"):
            parameters += (_parameter(value),)
        elif option == "--params-file":
            parameters += (value,)
        else:
            log_level = value.rpartition(":=")[2].lower()
        return RosArguments(remappings, parameters, log_level)

    def names(self, node: str, namespace: str = "/") -> NodeNames:
        """Name, namespace and topic rules of the node whose own default name is `node`.

        Raises:
            NamingError: the resulting name or namespace is not valid.
        """
        name = self._first("__node", node) or node
        namespace = self._first("__ns", name) or namespace
        if not _TOKEN.match(name):
            raise NamingError(f"'{name}' is not a valid node name: letters, digits and underscores")
        parts = namespace.strip("/").split("/") if namespace != "/" else []
        if not namespace.startswith("/") or not all(_TOKEN.match(part) for part in parts):
            raise NamingError(f"'{namespace}' is not a valid namespace: it begins with a slash, as in /robot1")
        rules = tuple(r for r in self.remappings if r.node in (None, name))
        return NodeNames(name, "/" + "/".join(parts), rules)

    def _first(self, source: str, node: str) -> str | None:
        return next((r.target for r in self.remappings if r.source == source and r.node in (None, node)), None)

    def parameter_values(self, names: NodeNames) -> dict[str, Any]:
        """Parameter values for one node, later ones over earlier ones.

        Raises:
            ParameterError: a parameter file cannot be read.
        """
        values: dict[str, Any] = {}
        for source in self.parameters:
            if isinstance(source, str):
                values.update(values_from_yaml(source, names.fully_qualified))
            elif source[0] in (None, names.name):
                values[source[1]] = source[2]
        return values


def _parameter(text: str) -> tuple[str | None, str, Any]:
    match = _RULE.match(text)
    if match is None:
        raise NamingError(f"parameter '{text}' is not of the form name:=value")
    try:
        return match["node"], match["source"], yaml_value(match["target"])
    except ParameterError as error:
        raise NamingError(f"parameter '{text}': {error}") from error


NO_ARGUMENTS = RosArguments()
