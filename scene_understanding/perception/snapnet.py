"""SnapNet (Boulch, Le Saux, Audebert, 3DOR 2017): a class for every point of a cloud, judged on snapshots of it.

The cloud is thinned to voxels, virtual cameras look at it from above, a network for images gives scores to every pixel,
and each point collects those of the pixels that show it.

Deviations from the paper:
- points are drawn as squares (`perception.snapshots`), there is no mesh;
- a camera looks at a point among those that were seen the fewest times, not at any, and from the one of `CANDIDATES`
  places that shows most of what was seen seldom: as many views miss fewer points (docs/snapnet.md);
- probabilities are added, not raw scores: their mean is the confidence, and no pixel has more than one vote;
- a point takes the scores of its voxel's point, which is within the voxel, not those of the nearest one;
- large clouds are cut into tiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from scene_understanding.geometry import PinholeCamera, PointCloud, Pose, cone_viewpoints, least_seen
from scene_understanding.inference.card import ModelCard, ModelError
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.labels import UNLABELLED, LabelSet, load_label_set
from scene_understanding.perception.cloud_features import cloud_features
from scene_understanding.perception.inputs import color_input
from scene_understanding.perception.snapshots import CHANNELS, Snapshot, SplatCloud, pictures
from scene_understanding.perception.tiles import tiles
from scene_understanding.perception.voxels import voxel_grid

Float32 = NDArray[np.float32]

VOXELS = 100_000
"""What `SnapNetParameters.views` counts the views for: voxels on surfaces go with the area that there is to see."""

CANDIDATES = 4
"""Rays of cameras of which the one is taken that shows most."""

WIDEST = 4.0
"""Voxels between points up to which a surface is drawn closed."""

TILE, MARGIN = 100.0, 15.0
"""Metres: side of the tiles of large clouds, and what is seen around each of them."""


@dataclass(frozen=True)
class SnapNetParameters:
    """How snapshots are made, in training and afterwards.

    Attributes:
        voxel: side of a voxel, metres.
        neighbours: voxels of a neighbourhood, for its features.
        distances: of the cameras on one ray from what they look at, metres.
        elevation: range in degrees above the horizon from which they look; 90 is straight down.
        fov: degrees that a snapshot is wide.
        size: pixels that it is wide and high.
        near, far: metres between which it shows points.
        views: snapshots for every 100 000 voxels of a cloud, at least one.

    Raises:
        ValueError: a value out of range.
    """

    voxel: float = 0.1
    neighbours: int = 30
    distances: tuple[float, ...] = (5.0, 10.0, 20.0)
    elevation: tuple[float, float] = (70.0, 90.0)
    fov: float = 60.0
    size: int = 224
    near: float = 1.0
    far: float = 100.0
    views: int = 120

    def __post_init__(self) -> None:
        for name, good, expected in (
            ("voxel", self.voxel > 0, "above 0"),
            ("neighbours", self.neighbours >= 3, "at least 3"),
            ("distances", min(self.distances, default=0) > 0, "one or more above 0"),
            ("elevation", _is_range(self.elevation), "two angles of -90 to 90, the lower first"),
            ("fov", 0 < self.fov < 180, "between 0 and 180"),
            ("size", self.size >= 1, "at least 1"),
            ("near", 0 < self.near < self.far, "above 0 and below far"),
            ("views", self.views >= 1, "at least 1"),
        ):
            if not good:
                raise ValueError(f"{name} is {getattr(self, name)}; expected {expected}")

    @property
    def camera(self) -> PinholeCamera:
        """The camera of all snapshots."""
        return PinholeCamera.from_fov(self.size, self.size, math.radians(self.fov))

    def as_card(self) -> dict[str, Any]:
        """What a model's card holds as `snapnet`."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_card(cls, card: ModelCard) -> SnapNetParameters:
        """Those with which a network was trained.

        Raises:
            ModelError: the card has other keys, or values out of range.
        """
        known = {field.name for field in fields(cls)}
        if card.snapnet.keys() != known:
            raise ModelError(
                f"model '{card.name}': snapnet has the keys {', '.join(sorted(card.snapnet)) or 'none'}; "
                f"expected {', '.join(sorted(known))}"
            )
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in card.snapnet.items()
        }
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise ModelError(f"model '{card.name}': snapnet: {error}") from error


def _is_range(elevation: tuple[float, ...]) -> bool:
    return len(elevation) == 2 and -90 <= elevation[0] <= elevation[1] <= 90


class SnapNetScene:
    """A cloud made ready for snapshots; training and `SnapNet` look at the same.

    Args:
        cloud: (N,) points, finite, z up.

    Attributes:
        parameters: with which it was made.
        voxels: the M voxels of the cloud, in the order of all that follows.
        xyz: (M, 3) float32; rgb: (M, 3) uint8 or None; label: (M,) uint16 or None: of each voxel's point.
        features: of the voxels.
        seen: (M,) int32, in how many snapshots each voxel was seen, or aimed at.

    Raises:
        ValueError: as `voxel_grid` and `cloud_features`.
    """

    def __init__(self, cloud: PointCloud, parameters: SnapNetParameters) -> None:
        self.parameters = parameters
        self.voxels = voxel_grid(cloud.xyz, parameters.voxel)
        kept = self.voxels.kept
        self.xyz = cloud.xyz[kept]
        self.rgb = None if cloud.rgb is None else cloud.rgb[kept]
        self.label = None if cloud.label is None else cloud.label[kept]
        self.features = cloud_features(self.xyz, parameters.neighbours)
        self.seen = np.zeros(len(kept), np.int32)
        voxel = np.float32(parameters.voxel)
        self._splats = SplatCloud(self.xyz, np.clip(self.features.spacing, voxel, WIDEST * voxel))
        self._camera = parameters.camera

    def viewpoints(self, rng: np.random.Generator, targets: NDArray[np.integer[Any]] | None = None) -> Iterator[Pose]:
        """`map_from_camera` without end, those of one ray after the other; chosen by what was seen until then.

        Each ray aims at a voxel that was seen the fewest times. Of `CANDIDATES` such rays the best is taken: where a
        voxel that its middle camera shows is worth half as much each time that it was seen before.

        Args:
            targets: voxels that are aimed at, at least one; all of them unless told.
        """
        among = np.arange(len(self.voxels)) if targets is None else targets
        while True:
            rays = []
            for _ in range(CANDIDATES):
                target = among[least_seen(rng, self.seen[among])]
                ray = cone_viewpoints(rng, self.xyz[target], self.parameters.distances, self.parameters.elevation)
                shown = self._shown(self._snapshot(ray[len(ray) // 2]))
                rays.append((np.exp2(-self.seen[shown].astype(np.float32)).sum(), target, ray))
            _, target, ray = max(rays, key=lambda found: found[0])
            self.seen[target] += 1  # else what cannot be seen would be aimed at for ever
            yield from ray

    def look(self, map_from_camera: Pose) -> Snapshot:
        """A snapshot, which counts as `seen`."""
        snapshot = self._snapshot(map_from_camera)
        self.seen[self._shown(snapshot)] += 1
        return snapshot

    def pictures(self, snapshot: Snapshot) -> dict[str, NDArray[np.uint8]]:
        """As `snapshots.pictures`."""
        return pictures(snapshot, self.features, self.rgb)

    def _snapshot(self, map_from_camera: Pose) -> Snapshot:
        return self._splats.snapshot(self._camera, map_from_camera, self.parameters.near, self.parameters.far)

    def _shown(self, snapshot: Snapshot) -> NDArray[np.intp]:
        """The voxels in a snapshot, each once."""
        shown = np.zeros(len(self.seen), bool)
        shown[snapshot.point[snapshot.point >= 0]] = True
        return np.flatnonzero(shown)


def add_votes(votes: Float32, snapshot: Snapshot, scores: Float32) -> None:
    """Adds the class probabilities of pixels, from scores (K, H, W), to votes (M, K) of the points that they show."""
    pixel = np.flatnonzero(snapshot.point >= 0)
    score = scores.reshape(len(scores), -1)[:, pixel]
    probability = np.exp(score - score.max(axis=0))
    probability /= probability.sum(axis=0)
    point, which = np.unique(snapshot.point.ravel()[pixel], return_inverse=True)
    votes[point] += np.stack([np.bincount(which, weights, len(point)) for weights in probability], axis=1)


class SnapNet:
    """Labels clouds, z up, with a network for snapshots.

    Args:
        network: of the task `cloud_segmentation`.
        parameters: those of the network's card unless told; others than it learnt with, but for `views`, make it
            worse.
        seed: of the viewpoints; the same cloud gets the same labels.

    Raises:
        ModelError: the network is not one for snapshots of that size, or gives another number of scores than labels.
    """

    def __init__(self, network: OnnxRuntimeNetwork, parameters: SnapNetParameters | None = None, seed: int = 0) -> None:
        card = network.card
        known = card.inputs.keys() <= CHANNELS.keys() and card.outputs.keys() == {"scores"}
        if card.task != "cloud_segmentation" or not known:
            needed = f"cloud_segmentation: some of {', '.join(CHANNELS)} in, scores out"
            raise ModelError(f"model '{card.name}' is for {card.task}; needed is {needed}")
        self.parameters = SnapNetParameters.from_card(card) if parameters is None else parameters
        try:
            self.labels: LabelSet = load_label_set(card.label_set)
        except (OSError, ValueError) as error:
            raise ModelError(f"model '{card.name}': label_set: {error}") from error
        size = (self.parameters.size, self.parameters.size)
        expected = {**dict.fromkeys(card.inputs, (1, 3, *size)), "scores": (1, len(self.labels), *size)}
        found = {**{name: spec.shape for name, spec in card.inputs.items()}, **card.outputs}
        if found != expected:
            raise ModelError(f"model '{card.name}' has {found}; snapshots and labels need {expected}")
        self.network = network
        self._seed = seed

    @property
    def needs_color(self) -> bool:
        return "color" in self.network.card.inputs

    def __call__(self, cloud: PointCloud, progress: Callable[[float], Any] = lambda share: None) -> PointCloud:
        """The cloud with a label and its confidence, the mean probability, at every point.

        Points that are not finite, and all of a tile that no view could see, stay unlabelled (255) with confidence 0.

        Args:
            cloud: (...) points, z up.
            progress: is told the share that is done, from above 0 to 1.

        Raises:
            ValueError: the network needs colour and the cloud has none.
        """
        if self.needs_color and cloud.rgb is None:
            raise ValueError(f"model '{self.network.card.name}' needs colour, the cloud has none")
        xyz = cloud.xyz.reshape(-1, 3)
        rgb = None if cloud.rgb is None else cloud.rgb.reshape(-1, 3)
        finite = np.flatnonzero(np.isfinite(xyz).all(axis=1))
        label = np.full(len(xyz), UNLABELLED, np.uint16)
        confidence = np.zeros(len(xyz), np.float32)
        done = 0
        for tile in tiles(xyz[finite], TILE, MARGIN):
            own = finite[tile.own]
            points = np.concatenate([own, finite[tile.around]])
            scene = SnapNetScene(PointCloud(xyz[points], None if rgb is None else rgb[points]), self.parameters)
            voxel = scene.voxels.voxel_of_point[: len(own)]
            votes = np.zeros((len(scene.xyz), len(self.labels)), np.float32)
            for share in self._look_around(scene, np.unique(voxel), votes, np.random.default_rng((self._seed, done))):
                progress((done + share * len(own)) / len(finite))
            label[own], confidence[own] = (of_voxel[voxel] for of_voxel in self._decide(votes, scene.xyz))
            done += len(own)
        shape = cloud.xyz.shape[:-1]
        return replace(cloud, label=label.reshape(shape), confidence=confidence.reshape(shape))

    def look(self, scene: SnapNetScene, map_from_camera: Pose, votes: Float32) -> None:
        """Takes a snapshot of the scene and adds what the network makes of it to votes (M, K) of its voxels."""
        snapshot = scene.look(map_from_camera)
        images = scene.pictures(snapshot)
        inputs = {name: color_input(images[name], spec) for name, spec in self.network.card.inputs.items()}
        add_votes(votes, snapshot, self.network(inputs)["scores"][0])

    def _look_around(
        self, scene: SnapNetScene, targets: NDArray[np.integer[Any]], votes: Float32, rng: np.random.Generator
    ) -> Iterator[float]:
        """Adds to votes (M, K) from as many views as these voxels want; yields the share that is done."""
        views = math.ceil(self.parameters.views * len(targets) / VOXELS)
        for k, map_from_camera in enumerate(islice(scene.viewpoints(rng, targets), views), start=1):
            self.look(scene, map_from_camera, votes)
            yield k / views

    def _decide(self, votes: Float32, xyz: Float32) -> tuple[NDArray[np.uint16], Float32]:
        """Labels and confidences (M,) from votes (M, K); points xyz (M, 3) without votes take those of the nearest."""
        total = votes.sum(axis=1)
        seen, unseen = np.flatnonzero(total > 0), np.flatnonzero(total <= 0)
        label = np.full(len(votes), UNLABELLED, np.uint16)
        confidence = np.zeros(len(votes), np.float32)
        label[seen] = np.asarray(self.labels.ids)[votes[seen].argmax(axis=1)]
        confidence[seen] = votes[seen].max(axis=1) / total[seen]
        if len(seen) and len(unseen):
            nearest = seen[cKDTree(xyz[seen]).query(xyz[unseen])[1]]
            label[unseen], confidence[unseen] = label[nearest], confidence[nearest]
        return label, confidence
