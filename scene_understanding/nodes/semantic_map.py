"""Semantic map node: labelled clouds of a camera and a LiDAR in; the map, its layers and its files out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry.point_cloud import PointCloud
from scene_understanding.geometry.pose import Pose
from scene_understanding.labels import UNLABELLED, LabelSet
from scene_understanding.mapping.blocks import SIDE
from scene_understanding.mapping.frontiers import KnownGrid
from scene_understanding.mapping.layers import GridLayers, GridParameters
from scene_understanding.mapping.map_file import load_map, save_map
from scene_understanding.mapping.people_memory import PeopleMemory
from scene_understanding.mapping.people_volume import either, pillars
from scene_understanding.mapping.voxel_map import MapError, MapParameters, SemanticMap, Volume
from scene_understanding.messages.header import make_header, stamp_to_ns
from scene_understanding.messages.label_info import label_set_to_label_info
from scene_understanding.messages.occupancy_grid import array_to_occupancy_grid
from scene_understanding.messages.people import people_to_arrays
from scene_understanding.messages.point_cloud import cloud_to_point_cloud2, measured, point_cloud2_to_cloud
from scene_understanding.messages.types import message_type
from scene_understanding.nodes.label_source import LabelSource, with_classes
from scene_understanding.nodes.node import (
    LATCHED,
    ConfigurationError,
    Context,
    Input,
    InputError,
    Node,
    Output,
    Service,
    Synchronised,
)
from scene_understanding.nodes.parameters import ParameterError, parameter
from scene_understanding.perception.body import Capsules, capsules, inside

CLOUD, GRID, LABELS = "sensor_msgs/msg/PointCloud2", "nav_msgs/msg/OccupancyGrid", "vision_msgs/msg/LabelInfo"
PEOPLE, TRIGGER = "scene_understanding/msg/People", "std_srvs/srv/Trigger"
LAYERS = ("occupancy", "uncertainty", "floor", "obstacles")
PEOPLE_AGE_NS = 300_000_000
"""For so long people count as being where they were seen, for the clouds of the LiDAR."""
FLOOR_CONFIDENCE = 0.6
"""Of the class of what is floor by its height alone."""
SKIN = 0.05
"""Metres around people within which what is in the map already is taken out of it."""
FOLLOWED, OWN, BODY_LOW = 3.0, 0.2, 0.1
"""Metres from the robot up to which the LiDAR follows people, and from which on at least, since it may see the robot
itself; and height over the floor from which on."""
KEPT_OUT, LONGER = 60.0, 10.0
"""Seconds at most for which who stood somewhere is kept out of the map there, and how many times as long as they stood:
better some things are mapped late than somebody as a thing."""
PILLAR = 0.25
"""Metres around where somebody stands that people take up, whatever their joints say."""
_M, _G = MapParameters(), GridParameters()


@dataclass(frozen=True)
class Parameters:
    """Parameters of the semantic map node."""

    voxel: float = parameter(_M.voxel, "edge of a voxel, metres", bounds=(0.01, 1.0))
    max_range: float = parameter(
        _M.max_range, "points of the camera that are farther away do not enter, metres",
        bounds=(0.2, 100.0), runtime=True,
    )  # fmt: skip
    max_range_lidar: float = parameter(10.0, "likewise of the LiDAR", bounds=(0.2, 200.0), runtime=True)
    max_points: int = parameter(
        _M.max_points, "of a cloud that are looked at, spread over all of it", bounds=(1000, 10_000_000)
    )
    max_blocks: int = parameter(
        _M.max_blocks, "blocks of 8x8x8 voxels (3.6 kB each) in memory; those farthest away go to a scratch file",
        bounds=(2048, 10_000_000),
    )  # fmt: skip
    scratch: str = parameter("", "folder of the scratch file; empty: the system's folder for temporary files")
    hit: float = parameter(_M.hit, "log odds of occupied that a voxel gains when a point is in it", bounds=(0.1, 5.0))
    hit_unlabelled: float = parameter(
        0.3, "likewise when the points have no class: whoever walks by a LiDAR leaves such",
        bounds=(0.1, 5.0),
    )  # fmt: skip
    hit_in_free: float = parameter(
        _M.hit_in_free, "share of a hit that counts in what was seen through: what appears there may walk on",
        bounds=(0.01, 1.0),
    )  # fmt: skip
    miss: float = parameter(_M.miss, "log odds that it loses when it was seen through", bounds=(0.1, 5.0))
    occupied: float = parameter(_M.occupied, "log odds from which on it counts as occupied", bounds=(0.1, 3.5))
    trust: float = parameter(
        _M.trust, "share of what a cloud says of a class that counts: views are no independent witnesses",
        bounds=(0.01, 1.0),
    )  # fmt: skip
    min_confidence: float = parameter(
        0.0, "voxels whose class is less sure than this are not in ~/points", bounds=(0.0, 1.0), runtime=True
    )
    kept_out: tuple[str, ...] = parameter(_M.kept_out, "classes that never enter")
    lidar_classes: str = parameter(
        "floor", "classes that points of the LiDAR bring into the map: all, those that can be driven on, none; "
        "the others are only in the way", choices=("none", "floor", "all"),
    )  # fmt: skip
    lidar_floor: float = parameter(
        0.05, "points of the LiDAR without such a class that are this near to the height that the robot stands at are "
        "floor, metres; 0: none", bounds=(0.0, 0.5), runtime=True,
    )  # fmt: skip
    people_margin: float = parameter(
        0.15, "points up to this far outside of a person do not enter, metres", bounds=(0.0, 1.0), runtime=True
    )
    slop: float = parameter(0.02, "largest difference between the stamps of points and people, s", bounds=(0.0, 1.0))
    robot_low: float = parameter(_G.low, "things lower than this above the floor are driven over", bounds=(0.0, 1.0))
    robot_high: float = parameter(_G.high, "things higher than this are driven under, metres", bounds=(0.1, 10.0))
    step: float = parameter(_G.step, "the floor is looked for so far above and below the robot's", bounds=(0.02, 1.0))
    traversable: tuple[str, ...] = parameter(_G.traversable, "classes that one can drive on")
    rough: tuple[str, ...] = parameter(_G.rough, "classes that one can drive on at a cost")
    robot_radius: float = parameter(
        0.2, "where the robot has been, the floor within this is free, metres; 0: nowhere", bounds=(0.0, 5.0)
    )
    map_frame: str = parameter("map", "fixed frame of the map")
    base_frame: str = parameter("base_link", "frame of the robot, which lies on the floor")
    extent: float = parameter(
        100.0, "edge of the square around the robot that the layers show, metres; 0: all", bounds=(0.0, 10_000.0)
    )
    publish_period: float = parameter(1.0, "seconds between publications of what has changed", bounds=(0.05, 3600.0))
    file: str = parameter("semantic_map.npz", "where ~/save writes and ~/load reads", runtime=True)

    @property
    def from_lidar(self) -> tuple[str, ...] | None:
        """Classes whose labels count in clouds of the LiDAR; None is all. Those kept out stay, to be kept out."""
        driven_on = (*self.traversable, *self.rough) if self.lidar_classes == "floor" else ()
        return None if self.lidar_classes == "all" else (*driven_on, *self.kept_out)

    @property
    def of_map(self) -> MapParameters:
        return MapParameters(
            voxel=self.voxel, max_range=self.max_range, max_points=self.max_points, max_blocks=self.max_blocks,
            hit=self.hit, hit_unlabelled=self.hit_unlabelled, hit_in_free=self.hit_in_free, miss=self.miss,
            occupied=self.occupied, trust=self.trust, kept_out=self.kept_out,
        )  # fmt: skip

    @property
    def of_grid(self) -> GridParameters:
        return GridParameters(
            low=self.robot_low, high=self.robot_high, step=self.step, traversable=self.traversable, rough=self.rough
        )


class SemanticMapNode(Node):
    """A voxel map of classes, fused over time, in `map_frame`.

    The map has the classes of the first label_info that comes; those of the other source count by their names. What has
    changed is published every `publish_period` seconds, as far as anybody listens.

    In /diagnostics: `blocks` (in memory), `blocks_away` (in the scratch file), `columns`, `memory_mb`, and `voxels`,
    the occupied ones of the last ~/points.

    Attributes:
        map: None before the first cloud whose label_info has come.
    """

    name = "semantic_map"
    parameters_type = Parameters
    uses_transforms = True
    outputs = (
        Output("points", "~/points", CLOUD, LATCHED),
        Output("occupancy", "~/occupancy", GRID, LATCHED),
        Output("uncertainty", "~/uncertainty", GRID, LATCHED),
        Output("floor", "~/floor", CLOUD, LATCHED),
        Output("obstacles", "~/obstacles", CLOUD, LATCHED),
        Output("label_info", "~/label_info", LABELS, LATCHED),
    )
    services = tuple(Service(name, f"~/{name}", TRIGGER) for name in ("save", "load", "clear"))

    def __init__(self, parameters: Parameters | None = None) -> None:
        super().__init__(parameters)
        p = self.parameters
        try:
            self._of_map, self._of_grid = p.of_map, p.of_grid
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        people = Input("people", "keypoints/people", PEOPLE, required=False)
        self.inputs = (
            Synchronised((Input("points", "segmentation/points", CLOUD), people), p.slop),
            Input("lidar", "lidar_segmentation/points", CLOUD),
            Input("points_labels", "segmentation/label_info", LABELS, LATCHED, latched=True, required=False),
            Input("lidar_labels", "lidar_segmentation/label_info", LABELS, LATCHED, latched=True, required=False),
        )
        self.period = p.publish_period
        self.map: SemanticMap | None = None
        self._classes = {source: LabelSource() for source in ("points", "lidar")}
        self._people: tuple[int, Capsules] | None = None
        self._memory = _nobody()
        self._place: tuple[float, float] | None = None
        """Where the robot was last, x and y in the map; a map that is loaded before is shown whole."""
        self._stamp_ns, self._version = 0, 0
        self._published: dict[str, object] = {}
        """What each output was made of when it was last published."""

    def reconfigure(self, parameters: Any) -> None:
        try:
            of_map = parameters.of_map
        except ValueError as error:
            raise ParameterError(str(error)) from error
        super().reconfigure(parameters)
        self._of_map = of_map

    def reset(self) -> None:
        """The map stays: the place is the same. It is published again, for recordings that begin anew."""
        self._people, self._memory = None, _nobody()
        self._published.clear()

    def close(self) -> None:
        if self.map is not None:
            self.map.close()
            self.map = None

    def process(self, messages: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
        source = "points" if "points" in messages else "lidar"
        message = messages[source]
        stamp_ns = stamp_to_ns(message.header.stamp)
        with context.stage("decode"):
            map_from_cloud = self._pose(message.header.frame_id, stamp_ns, context)
            map_from_base = self._pose(self.parameters.base_frame, stamp_ns, context)
            cloud = point_cloud2_to_cloud(message)
            built, cloud = self._in_classes_of_the_map(cloud, source, messages)
            if "people" in messages:
                self._see_people(messages["people"], stamp_ns, context)
        with context.stage("integrate"):
            self._integrate(built, cloud, map_from_cloud, map_from_base, source, stamp_ns)
        self._stamp_ns, self._version = stamp_ns, self._version + 1
        context.report(**built.figures())
        return {}

    def _pose(self, frame: str, stamp_ns: int, context: Context) -> Pose:
        return context.transforms.lookup(self.parameters.map_frame, frame, stamp_ns)

    def _in_classes_of_the_map(
        self, cloud: PointCloud, source: str, messages: Mapping[str, Any]
    ) -> tuple[SemanticMap, PointCloud]:
        """The map, made with the first cloud, and the cloud with labels of its classes.

        Raises:
            InputError: nothing says what the labels mean.
        """
        classes = self._classes[source]
        info = messages.get(f"{source}_labels")
        if info is not None:
            classes.take(info)
        if classes.labels is None and (self.map is None or cloud.label is not None):
            where = "segmentation" if source == "points" else "lidar_segmentation"
            raise InputError(f"no {where}/label_info has come: nothing says what the labels of {where}/points mean")
        if self.map is None:
            assert classes.labels is not None
            self.map = SemanticMap(classes.labels, self._of_map, self._of_grid, self._folder)
        if cloud.label is not None:
            cloud = classes.translated(cloud, self.map.labels)
            if source == "lidar" and self.parameters.from_lidar is not None:
                cloud = with_classes(cloud, self.map.labels, self.parameters.from_lidar)
        return self.map, cloud

    @property
    def _folder(self) -> Path | None:
        return Path(self.parameters.scratch) if self.parameters.scratch else None

    def _see_people(self, message: Any, stamp_ns: int, context: Context) -> None:
        """Remembers where people are, and their bodies, in the map."""
        map_from_people = self._pose(message.header.frame_id, stamp_to_ns(message.header.stamp), context)
        people = people_to_arrays(message)
        self._people = stamp_ns, capsules(map_from_people.apply(people.points))
        trunks = map_from_people.apply(people.trunks)[:, :2]
        self._memory.update(people.ids, trunks, stamp_ns * 1e-9, people.has_trunk)

    def _integrate(
        self,
        built: SemanticMap,
        cloud: PointCloud,
        map_from_cloud: Pose,
        map_from_base: Pose,
        source: str,
        stamp_ns: int,
    ) -> None:
        p = self.parameters
        reach = p.max_range if source == "points" else p.max_range_lidar
        x, y, ground = map_from_base.translation.tolist()
        self._place = x, y
        if source == "lidar":
            xyz = map_from_cloud.apply(cloud.xyz)
            driven_on = (*p.traversable, *p.rough)
            cloud = with_floor(cloud, xyz[..., 2] - ground, p.lidar_floor, p.step, built.labels, driven_on)
            self._follow_people(built, xyz[measured(cloud.xyz)], map_from_base, stamp_ns)
        built.integrate(cloud, map_from_cloud, ground, self._people_near(stamp_ns, ground, p.people_margin), reach)
        built.clear_inside(self._people_near(stamp_ns, ground, min(p.people_margin, SKIN)))
        if p.robot_radius > 0:
            built.stand((x, y), p.robot_radius, ground)

    def _follow_people(self, built: SemanticMap, xyz: NDArray[np.floating], map_from_base: Pose, stamp_ns: int) -> None:
        """Puts those who are remembered to where the LiDAR sees what is not mapped, of its points (N, 3) in the map."""
        robot = map_from_base.translation
        x, y, height = (xyz - robot).T
        distance = np.hypot(x, y)
        beside = (height > BODY_LOW) & (height < self.parameters.robot_high) & (distance < FOLLOWED)
        points = xyz[beside & (distance > max(self.parameters.robot_radius, OWN)), :2].astype(np.float64)
        layers = built.layers(robot[:2], 2 * FOLLOWED + 4 * SIDE * built.parameters.voxel)
        known = KnownGrid(layers.origin, layers.resolution, layers.occupancy, layers.uncertainty)
        unmapped = points[known.is_unmapped(points)]
        self._memory.look(points, unmapped, known.is_free(unmapped), robot[:2], FOLLOWED, stamp_ns * 1e-9)

    def _people_near(self, stamp_ns: int, ground: float, margin: float) -> Volume:
        """The space of people at that time, and `margin` metres around it."""
        volume = pillars(self._memory.places(stamp_ns * 1e-9), PILLAR + margin, ground)
        if self._people is None or abs(stamp_ns - self._people[0]) > PEOPLE_AGE_NS:
            return volume
        return either(volume, volume_of(self._people[1], margin))

    def tick(self, context: Context) -> Mapping[str, Any]:
        if self.map is None:
            return {}
        state: dict[str, object] = {output.name: self._version for output in self.outputs}
        state["points"] = self._version, self.parameters.min_confidence
        state["label_info"] = self.map.labels, self.parameters.min_confidence
        changed = {name: value for name, value in state.items() if self._published.get(name) != value}
        wanted = [name for name in changed if context.wanted(name)]
        header = make_header(self._stamp_ns, self.parameters.map_frame)
        out: dict[str, Any] = {}
        if "label_info" in wanted:
            out["label_info"] = label_set_to_label_info(self.map.labels, header, self.parameters.min_confidence)
        if "points" in wanted:
            with context.stage("cloud"):
                cloud = self.map.cloud(self.parameters.min_confidence)
                out["points"] = cloud_to_point_cloud2(cloud, header)
            context.report(voxels=len(cloud.xyz))
        if set(wanted) & set(LAYERS):
            with context.stage("layers"):
                layers = self.map.layers(self._place, self.parameters.extent or None)
                make = layer_messages(layers, self.map, header)
                out |= {name: make[name]() for name in wanted if name in LAYERS}
        self._published |= {name: changed[name] for name in wanted}
        return out

    def serve(self, service: str, request: Any, context: Context) -> Any:
        path = Path(self.parameters.file)
        try:
            said = {"save": self._save, "load": self._load, "clear": self._clear}[service](path)
        except (OSError, MapError) as error:
            raise InputError(f"~/{service}: {error}") from error
        return message_type(f"{TRIGGER}_Response")(success=True, message=said)

    def _save(self, path: Path) -> str:
        if self.map is None:
            raise MapError("there is no map yet")
        save_map(path, self.map)
        return f"wrote {path}"

    def _load(self, path: Path) -> str:
        loaded = load_map(path, self._of_map, self._of_grid, self._folder)
        self.close()
        self.map = loaded
        self._version += 1
        return f"read {path}: {len(loaded.blocks) + loaded.blocks.away} blocks of classes {loaded.labels.name}"

    def _clear(self, path: Path) -> str:
        if self.map is not None:
            self.map.clear()
            self._version += 1
        return "the map is empty"


def _nobody() -> PeopleMemory:
    """Of people as a map wants it."""
    return PeopleMemory(keep_standing=KEPT_OUT, longer=LONGER, trusted=KEPT_OUT)


def with_floor(
    cloud: PointCloud,
    height: NDArray[np.floating],
    reach: float,
    step: float,
    labels: LabelSet,
    driven_on: Sequence[str],
) -> PointCloud:
    """The cloud, of a LiDAR, with the classes that can be driven on where the floor can be.

    What lies within `reach` metres of the height that the robot stands at and has no class is of the first class of
    `driven_on` that the labels have: a LiDAR sees the floor all around, the camera, which tells classes, only ahead.
    What is of such a class and more than `step` metres above or below has none: the foot of somebody in front of the
    floor.

    Args:
        height: (N,) of each point over the floor under the robot, metres.
    """
    ids = [labels.id_of(name) for name in driven_on if name in labels.names]
    if not ids:
        return cloud
    label = np.full(height.shape, UNLABELLED, np.uint16) if cloud.label is None else cloud.label
    confidence = np.ones(height.shape, np.float32) if cloud.confidence is None else cloud.confidence
    label = np.where(np.isin(label, ids) & (np.abs(height) > step), np.uint16(UNLABELLED), label)
    flat = (np.abs(height) <= reach) & (label == UNLABELLED) & (reach > 0)
    return replace(
        cloud, label=np.where(flat, np.uint16(ids[0]), label),
        confidence=np.where(flat, np.float32(FLOOR_CONFIDENCE), confidence),
    )  # fmt: skip


def volume_of(bodies: Capsules, margin: float) -> Volume:
    """All that is inside of people or within `margin` metres of their skin."""
    around = bodies.radius[..., None] + margin
    known = bodies.known[..., None]
    low = np.where(known, np.minimum(bodies.start, bodies.end) - around, np.inf).min(1)
    high = np.where(known, np.maximum(bodies.start, bodies.end) + around, -np.inf).max(1)
    return Volume(low, high, lambda points: inside(bodies, points, margin) >= 0)


def layer_messages(layers: GridLayers, of: SemanticMap, header: Any) -> dict[str, Callable[[], Any]]:
    """What makes the message of each of `LAYERS`."""

    def grid(values: NDArray[np.int8]) -> Any:
        return array_to_occupancy_grid(values, layers.origin, layers.resolution, header)

    def heights(height: NDArray[np.float32]) -> Any:
        rows, columns = np.indices(height.shape, np.float32)
        xy = layers.origin + (np.stack([columns, rows], -1) + 0.5) * layers.resolution
        known = np.isfinite(height)
        xyz = np.where(known[..., None], np.concatenate([xy, height[..., None]], -1), np.nan).astype(np.float32)
        label = np.where(known, layers.label, np.uint16(UNLABELLED))
        return cloud_to_point_cloud2(PointCloud(xyz, of.labels.colorize(label), label), header)

    return {
        "occupancy": lambda: grid(layers.occupancy),
        "uncertainty": lambda: grid(layers.uncertainty),
        "floor": lambda: heights(layers.floor),
        "obstacles": lambda: heights(layers.obstacle),
    }
