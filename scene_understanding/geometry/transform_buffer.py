"""Transforms over time: the tree of coordinate frames that `/tf` and `/tf_static` describe, as tf2 keeps it."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from threading import Lock

from scene_understanding.geometry.pose import Pose, interpolate

_SECOND = 1e9
_MAX_SAMPLES = 20_000
"""Kept of one frame at most: 10 s at 2 kHz."""


class TransformError(LookupError):
    """A transform that the buffer cannot give: an unknown frame, or two frames that are not connected."""


class ExtrapolationError(TransformError):
    """A stamp outside of the time that the buffer holds of a frame."""


@dataclass
class _Edge:
    """The way from one frame to its parent, over time.

    Attributes:
        parent: name of the parent frame.
        static: whether one pose holds for all times.
        stamps, poses: ascending nanoseconds and the `parent_from_child` at each.
    """

    parent: str
    static: bool
    stamps: list[int] = field(default_factory=list)
    poses: list[Pose] = field(default_factory=list)

    def insert(self, stamp_ns: int, pose: Pose, duration_ns: int) -> None:
        if self.stamps and stamp_ns < self.stamps[-1] - duration_ns:
            self.stamps.clear()
            self.poses.clear()
        if not self.stamps or stamp_ns > self.stamps[-1]:
            self.stamps.append(stamp_ns)
            self.poses.append(pose)
        else:
            self._insert_late(stamp_ns, pose)
        self._forget(self.stamps[-1] - duration_ns)

    def _insert_late(self, stamp_ns: int, pose: Pose) -> None:
        i = bisect_left(self.stamps, stamp_ns)
        if self.stamps[i] == stamp_ns:
            self.poses[i] = pose
        else:
            insort(self.stamps, stamp_ns)
            self.poses.insert(i, pose)

    def _forget(self, before_ns: int) -> None:
        """Drops what is too old, in large bites so that a sample costs O(1) on average."""
        old = max(bisect_left(self.stamps, before_ns) - 1, len(self.stamps) - _MAX_SAMPLES)
        if old > len(self.stamps) // 8:
            del self.stamps[:old]
            del self.poses[:old]

    def at(self, stamp_ns: int) -> Pose:
        """The pose at a stamp within the samples."""
        i = bisect_left(self.stamps, stamp_ns)
        if self.stamps[i] == stamp_ns:
            return self.poses[i]
        start, end = self.stamps[i - 1], self.stamps[i]
        return interpolate(self.poses[i - 1], self.poses[i], (stamp_ns - start) / (end - start))


class TransformBuffer:
    """Keeps the last seconds of every transform and answers what one frame is in another at a stamp.

    Safe to fill and to ask from several threads. Frame names are taken without a leading slash (ROS 1).
    A transform that is older than what is kept is a clock that jumped back (a bag that starts again): the history of
    that frame starts anew. `clear` forgets all dynamic transforms at once.
    """

    def __init__(self, duration: float = 10.0) -> None:
        """Args:
            duration: seconds of dynamic transforms to keep; 10 as in tf2.

        Raises:
            ValueError: a duration that is not above 0.
        """
        if not duration > 0:
            raise ValueError(f"transform buffer duration is {duration} s; it must be above 0")
        self._duration_ns = int(duration * _SECOND)
        self._edges: dict[str, _Edge] = {}
        self._lock = Lock()

    def add(self, parent: str, child: str, stamp_ns: int, parent_from_child: Pose, static: bool = False) -> None:
        """Takes in one transform; the same stamp again replaces it.

        Raises:
            ValueError: a frame that is its own parent, or has no name.
        """
        parent, child = parent.lstrip("/"), child.lstrip("/")
        if not parent or not child or parent == child:
            raise ValueError(f"transform from frame {child!r} to parent {parent!r}: expected two different names")
        with self._lock:
            edge = self._edges.get(child)
            if edge is None or edge.parent != parent or edge.static != static:
                edge = self._edges[child] = _Edge(parent, static)
            if static:
                edge.stamps, edge.poses = [stamp_ns], [parent_from_child]
            else:
                edge.insert(stamp_ns, parent_from_child, self._duration_ns)

    def clear(self) -> None:
        """Forgets all dynamic transforms: to be called when the clock jumps back. Static ones hold for all times."""
        with self._lock:
            self._edges = {child: edge for child, edge in self._edges.items() if edge.static}

    def lookup(self, target: str, source: str, stamp_ns: int | None = None) -> Pose:
        """`target_from_source` at a stamp, interpolated (linear, slerp) between the samples of every frame on the way.

        Args:
            stamp_ns: nanoseconds; None for the newest time that all frames on the way have.

        Raises:
            TransformError: a frame is unknown, or the two are not in one tree.
            ExtrapolationError: the stamp is before or after what is known of a frame on the way.
        """
        target, source = target.lstrip("/"), source.lstrip("/")
        if target == source:
            return Pose.identity()
        with self._lock:
            up, down = self._path(target, source)
            if stamp_ns is None:
                stamp_ns = self._newest_common(up + down)
            what = f"no transform from {source!r} to {target!r}"
            root_from_source = self._chain(up, stamp_ns, what)
            root_from_target = self._chain(down, stamp_ns, what)
        return root_from_target.inverse() @ root_from_source

    def can_transform(self, target: str, source: str, stamp_ns: int | None = None) -> bool:
        """Whether `lookup` would give a pose."""
        try:
            self.lookup(target, source, stamp_ns)
        except TransformError:
            return False
        return True

    def frames(self) -> dict[str, str]:
        """Every frame that has a parent, with that parent's name."""
        with self._lock:
            return {child: edge.parent for child, edge in self._edges.items()}

    def _path(self, target: str, source: str) -> tuple[list[str], list[str]]:
        """Frames to climb from source, and from target, up to their common ancestor."""
        self._check_known(target, source)
        up, down = self._ancestors(source), self._ancestors(target)
        if up[-1] != down[-1]:
            raise TransformError(
                f"no transform from {source!r} to {target!r}: they are in two trees, "
                f"under {up[-1]!r} and under {down[-1]!r}"
            )
        while len(up) > 1 and len(down) > 1 and up[-2] == down[-2]:
            up.pop()
            down.pop()
        return up[:-1], down[:-1]

    def _check_known(self, target: str, source: str) -> None:
        known = {*self._edges, *(edge.parent for edge in self._edges.values())}
        for frame in (source, target):
            if frame not in known:
                names = ", ".join(sorted(known)) or "none"
                raise TransformError(f"no transform from {source!r} to {target!r}: no frame {frame!r}; known: {names}")

    def _ancestors(self, frame: str) -> list[str]:
        """The frame and all above it, the root last."""
        chain = [frame]
        while (edge := self._edges.get(chain[-1])) is not None:
            if edge.parent in chain:
                raise TransformError(f"frames form a loop: {' -> '.join([*chain, edge.parent])}")
            chain.append(edge.parent)
        return chain

    def _newest_common(self, frames: list[str]) -> int:
        newest = [edge.stamps[-1] for edge in map(self._edges.__getitem__, frames) if not edge.static]
        return min(newest, default=0)

    def _chain(self, frames: list[str], stamp_ns: int, what: str) -> Pose:
        pose = Pose.identity()
        for frame in frames:
            edge = self._edges[frame]
            if edge.static:
                pose = edge.poses[0] @ pose
            else:
                _check_time(what, frame, edge, stamp_ns)
                pose = edge.at(stamp_ns) @ pose
        return pose


def _check_time(what: str, frame: str, edge: _Edge, stamp_ns: int) -> None:
    name = f"{frame!r} in {edge.parent!r}"
    if stamp_ns < edge.stamps[0]:
        age = (edge.stamps[0] - stamp_ns) / _SECOND
        raise ExtrapolationError(f"{what} at {_seconds(stamp_ns)}: {age:.3f} s before the oldest known {name}")
    if stamp_ns > edge.stamps[-1]:
        age = (stamp_ns - edge.stamps[-1]) / _SECOND
        raise ExtrapolationError(f"{what} at {_seconds(stamp_ns)}: {age:.3f} s after the newest known {name}")


def _seconds(stamp_ns: int) -> str:
    return f"{stamp_ns // 1_000_000_000}.{stamp_ns % 1_000_000_000:09d} s"
