"""Snapshots of a cloud: what a virtual camera sees, and which point every pixel shows (SnapNet, Boulch et al., 2017).

The paper meshes the cloud and draws every face in a colour of its own. Here every point is drawn as a square as wide as
the gaps between points (a splat), into a z-buffer whose entries are depth and number of the point in one integer: no
mesh, no display, and what lies behind a surface is hidden as behind a mesh.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import PinholeCamera, Pose
from scene_understanding.perception.cloud_features import CloudFeatures

Float32 = NDArray[np.float32]
Keys = NDArray[np.uint64]

SPLAT = 2.0
"""Width of a splat over the spacing of points: a square so wide, wherever it lies, has a whole cell of a lattice in it,
so wherever in their cells points are, their splats leave no gap."""

SIDES = np.array([1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32])
"""Widths of splats in pixels; each point takes the next larger, and none is wider than the last."""

LEVELS = np.searchsorted(SIDES, np.arange(SIDES[-1] + 1))
"""Position in `SIDES` by the width in whole pixels."""

NEAR, FAR = 1.0, 100.0
"""Metres along the line of sight between which points are drawn, as in the paper."""

TALL = 16.0
"""Metres above the ground from which on things are equally high in a picture."""

CHANNELS = {
    "composite": ("depth", "verticality", "noise"),
    "shape": ("linearity", "planarity", "height"),
    "color": ("red", "green", "blue"),
}
"""Kinds of pictures and their channels."""

BLOCK = 256
"""Points in succession that are kept or left out as one by what a camera can see."""

NOTHING = np.uint64(2**64 - 1)
LOW_BITS = np.uint64(2**32 - 1)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a camera sees of a cloud.

    Attributes:
        point: (H, W) int32, the point of the cloud that is seen, -1 where there is none.
        depth: (H, W) float32, its depth along z, metres, NaN where there is none.
        camera, map_from_camera: the camera and where it stood.
    """

    point: NDArray[np.int32]
    depth: Float32
    camera: PinholeCamera
    map_from_camera: Pose


class SplatCloud:
    """A cloud made ready to be seen from many places; it may be used by several threads at once.

    Args:
        xyz: (N, 3) float32, metres, finite. Any order will do; the quickest is one in which neighbours are near each
            other in space, as `voxel_grid` gives.
        spacing: metres between neighbouring points, one number or (N,).

    Raises:
        ValueError: wrong shapes, points that are not finite, or a spacing that is not above 0.
    """

    def __init__(self, xyz: Float32, spacing: float | Float32) -> None:
        if xyz.ndim != 2 or xyz.shape[1] != 3 or np.shape(spacing) not in ((), xyz.shape[:1]):
            raise ValueError(f"xyz is {xyz.shape}, spacing {np.shape(spacing)}; expected (N, 3), and a number or (N,)")
        if not (np.isfinite(xyz).all() and np.all(np.asarray(spacing) > 0)):
            raise ValueError("xyz must be finite and spacing above 0")
        self._count = len(xyz)
        blocks = -(-self._count // BLOCK)
        self._origin = xyz.mean(axis=0, dtype=np.float64) if self._count else np.zeros(3)
        # The last block is filled up with its last point, which changes no picture.
        filled = np.minimum(np.arange(blocks * BLOCK), self._count - 1)
        centred = (xyz - self._origin).astype(np.float32)[filled].reshape(blocks, BLOCK, 3)
        self._xyz = np.ascontiguousarray(centred.transpose(2, 0, 1))
        widths = np.broadcast_to(np.asarray(SPLAT * spacing, np.float32), (self._count,))
        self._width = widths[filled].reshape(blocks, BLOCK)
        low, high = centred.min(axis=1), centred.max(axis=1)
        self._centre = (low + high) / 2
        self._radius = np.linalg.norm(high - low, axis=1) / 2 + self._width.max(axis=1)

    def __len__(self) -> int:
        return self._count

    def snapshot(self, camera: PinholeCamera, map_from_camera: Pose, near: float = NEAR, far: float = FAR) -> Snapshot:
        """What the camera sees between `near` and `far`, metres along its line of sight.

        Raises:
            ValueError: not 0 < near < far.
        """
        if not 0 < near < far:
            raise ValueError(f"near is {near} m, far {far} m; expected 0 < near < far")
        camera_from_map = map_from_camera.inverse()
        rotation = camera_from_map.rotation.astype(np.float32)
        shift = (camera_from_map.rotation @ self._origin + camera_from_map.translation).astype(np.float32)
        block = np.flatnonzero(self._in_sight(camera, rotation, shift, near, far))
        x, y, z = rotation @ self._xyz[:, block].reshape(3, -1) + shift[:, None]
        point = (block[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        between = np.flatnonzero((z > near) & (z < far) & (point < self._count))
        x, y, z, point = x[between], y[between], z[between], point[between]
        inverse = 1 / z
        u = x * inverse * np.float32(camera.fx) + np.float32(camera.cx)
        v = y * inverse * np.float32(camera.fy) + np.float32(camera.cy)
        width = self._width[block].ravel()[between] * inverse * np.float32(max(camera.fx, camera.fy))
        level = LEVELS[np.ceil(np.minimum(width, np.float32(SIDES[-1]))).astype(np.intp)]
        # Depths above 0 are ordered as their bits are, so the least key is the nearest point.
        key = z.view(np.uint32).astype(np.uint64) << np.uint64(32) | point.astype(np.uint64)
        best = np.full(camera.shape, NOTHING)
        for k in np.flatnonzero(np.bincount(level)):
            of_level = np.flatnonzero(level == k)
            np.minimum(best, _squares(u[of_level], v[of_level], key[of_level], SIDES[k], camera.shape), out=best)
        return _snapshot_of(best, camera, map_from_camera)

    def _in_sight(
        self, camera: PinholeCamera, rotation: Float32, shift: Float32, near: float, far: float
    ) -> NDArray[np.bool_]:
        """(B,) whether a block's ball reaches into the camera's frustum."""
        centre = self._centre @ rotation.T + shift
        left, top = -camera.cx - 0.5, -camera.cy - 0.5
        right, bottom = left + camera.width, top + camera.height
        outward = np.array(
            [[-camera.fx, 0, left], [camera.fx, 0, -right], [0, -camera.fy, top], [0, camera.fy, -bottom]], np.float32
        )
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        beside = (centre @ outward.T).max(axis=1) < self._radius
        return beside & (centre[:, 2] + self._radius > near) & (centre[:, 2] - self._radius < far)


def take_snapshot(
    xyz: Float32, camera: PinholeCamera, map_from_camera: Pose, spacing: float | Float32, near: float = NEAR,
    far: float = FAR,
) -> Snapshot:  # fmt: skip
    """One snapshot; `SplatCloud` is quicker for several. Arguments and errors as there."""
    return SplatCloud(xyz, spacing).snapshot(camera, map_from_camera, near, far)


def _squares(u: Float32, v: Float32, key: Keys, side: int, size: tuple[int, int]) -> Keys:
    """(H, W) the least key of the squares, `side` pixels wide, about u, v (N,), that cover each pixel's centre."""
    height, width = size
    left = np.ceil(u - np.float32(side / 2)).astype(np.int64) + side
    top = np.ceil(v - np.float32(side / 2)).astype(np.int64) + side
    inside = np.flatnonzero((left > 0) & (left < width + side) & (top > 0) & (top < height + side))
    # Each square at its corner first, on a larger image, for corners outside; then all of them grow at once.
    corner = np.full((height + side, width + side), NOTHING)
    np.minimum.at(corner.ravel(), top[inside] * (width + side) + left[inside], key[inside])
    grown = 1
    while grown < side:
        step = min(grown, side - grown)
        np.minimum(corner[step:], corner[:-step], out=corner[step:])
        np.minimum(corner[:, step:], corner[:, :-step], out=corner[:, step:])
        grown += step
    return corner[side:, side:]


def _snapshot_of(best: Keys, camera: PinholeCamera, map_from_camera: Pose) -> Snapshot:
    nothing = best == NOTHING
    point = (best & LOW_BITS).astype(np.int32)
    depth = (best >> np.uint64(32)).astype(np.uint32).view(np.float32)
    point[nothing], depth[nothing] = -1, np.nan
    return Snapshot(point, depth, camera, map_from_camera)


def pictures(
    snapshot: Snapshot, features: CloudFeatures, rgb: NDArray[np.uint8] | None = None
) -> dict[str, NDArray[np.uint8]]:
    """Images (H, W, 3) uint8 for a network, by kind as in `CHANNELS`; black where nothing is seen.

    `composite` is the paper's: depth from 255, the nearest in the image, to 1, the farthest; verticality; noise.
    `shape`, for clouds without colour: linearity, planarity, height above the ground from 0 to `TALL`.

    Args:
        features: of the cloud.
        rgb: (N, 3) uint8 colours of the cloud; `color` is there only with them.
    """
    seen = snapshot.point >= 0
    point, depth = snapshot.point[seen], snapshot.depth[seen]
    nearest, farthest = (depth.min(), depth.max()) if len(depth) else (0, 0)
    nearness = (farthest - depth) / max(farthest - nearest, np.float32(1e-3))
    shares = {
        "composite": ((1 + 254 * nearness) / 255, features.verticality[point], features.noise[point]),
        "shape": (features.linearity[point], features.planarity[point], features.height[point] / np.float32(TALL)),
    }
    found = {kind: np.rint(255 * np.clip(np.stack(channels, -1), 0, 1)) for kind, channels in shares.items()}
    if rgb is not None:
        found["color"] = rgb[point]
    return {kind: _on_black(values, seen) for kind, values in found.items()}


def _on_black(values: NDArray[Any], seen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    image = np.zeros((*seen.shape, 3), np.uint8)
    image[seen] = values
    return image
