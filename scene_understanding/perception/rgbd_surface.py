"""One RGB-D image as a surface, seen from other viewpoints (the 3D step of SnapNet-R, Guerry et al., ICCV-W 2017).

Neighbouring pixels are joined to triangles unless depth jumps between them. The triangles are drawn through the same
pinhole camera at another place into a z-buffer, all at once in NumPy: for triangles of about one pixel this is six
times as fast as a ray tracer, which must build its tree first (bench/bench_views.py), and forked workers need nothing
of their own. Inverse depth is linear on a plane's image, so it is what is interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import PinholeCamera, Pose

Float32 = NDArray[np.float32]
Index = NDArray[np.int32]

STEEPEST = np.tan(np.radians(86.0))
"""Neighbouring pixels are joined unless what joins them would be seen at more than 86 degrees from its normal."""

TOLERANCE = 0.021
"""Metres by which depth may be moved to make it smooth: half a step of the depth images of NYUv2 (39 or 40 mm)."""

IN_FRONT = 0.05
"""Share of depth by which one thing must be nearer to hide another that is drawn at the same pixel."""

NEAR = 0.05
"""Metres; what comes nearer to the virtual camera is not drawn, what is nearer to the real one is unknown."""

WINDOWS = (3, 5, 9)
"""Sides in pixels of the windows over which depth is smoothed: the widest that lies on one surface."""


@dataclass(frozen=True, eq=False)
class View:
    """What the virtual camera sees.

    Attributes:
        rgb: (H, W, 3) uint8, black in holes.
        depth: (H, W) float32 along z of the virtual camera, metres, NaN in holes.
        source: (H, W) int32, the pixel of the source image (row * W + column) that is seen, -1 in holes.
        label: (H, W) uint8, 255 in holes and where the source has 255; None without labels.
    """

    rgb: NDArray[np.uint8]
    depth: Float32
    source: Index
    label: NDArray[np.uint8] | None = None


def sharpen_depth(depth: Float32, steepest: float, radius: int = 2) -> Float32:
    """Moves pixels on the slope between two surfaces to the nearer of both ends; depth (H, W), metres, 0 unknown.

    In-painted and interpolated depth images have such slopes, some pixels wide, at the rim of things: seen from
    elsewhere they hang in the air. What rises by less than the share `steepest` from pixel to pixel is a surface.
    """
    # A cross, so that what is not too steep along rows and columns is not too steep in the window either.
    window = cv2.getStructuringElement(cv2.MORPH_CROSS, (2 * radius + 1, 2 * radius + 1))
    high = cv2.dilate(depth, window)
    low = cv2.erode(np.where(depth > 0, depth, np.float32(1e9)), window)
    slope = (high > np.float32((1 + steepest) ** (2 * radius)) * low) & (depth > 0)
    return np.where(slope, np.where(high - depth < depth - low, high, low), depth)


def smooth_depth(depth: Float32, steepest: float, passes: int = 3) -> Float32:
    """Takes the steps out of quantised depth (H, W), metres, 0 where unknown.

    Means of inverse depth over windows without jump, rim or unknown pixel, which leave planes as they are, held within
    `TOLERANCE` of what was measured: steps become slopes.
    """
    across, down = _joined(depth, steepest)
    flat = depth > 0
    flat[:, :-1] &= across
    flat[:, 1:] &= across
    flat[:-1] &= down
    flat[1:] &= down
    whole = [
        cv2.erode(flat.astype(np.uint8), np.ones((side, side), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
        for side in WINDOWS
    ]
    measured = np.where(depth > 0, depth, np.float32(1))
    lowest = 1 / (measured + np.float32(TOLERANCE))
    highest = 1 / np.maximum(measured - np.float32(TOLERANCE), np.float32(NEAR / 2))
    inverse = 1 / measured
    for _ in range(passes):
        means = [cv2.boxFilter(inverse, -1, (side, side)) for side in WINDOWS]
        for mean, inside in zip(means, whole, strict=True):
            np.copyto(inverse, mean, where=inside > 0)
        np.clip(inverse, lowest, highest, out=inverse)
    return np.where(depth > 0, 1 / inverse, np.float32(0))


class RgbdSurface:
    """The surface of one RGB-D image, to be seen from any number of viewpoints.

    Args:
        rgb: (H, W, 3) uint8.
        depth: (H, W) float32 along z, metres, NaN or 0 where unknown.
        camera: intrinsics of both.
        label: (H, W) uint8 class ids, 255 unlabelled.

    Attributes:
        depth: (H, W) float32, metres, 0 where unknown: the surface's, which is sharpened and smoothed.

    Raises:
        ValueError: images that are not of the camera's size.
    """

    def __init__(
        self, rgb: NDArray[np.uint8], depth: Float32, camera: PinholeCamera, label: NDArray[np.uint8] | None = None
    ) -> None:  # fmt: skip
        size = (camera.height, camera.width)
        for name, image in (("rgb", rgb), ("depth", depth), ("label", label)):
            if image is not None and image.shape[:2] != size:
                raise ValueError(f"{name} is {image.shape[1]}x{image.shape[0]}, the camera {size[1]}x{size[0]}")
        self._rgb, self._label, self._camera = np.ascontiguousarray(rgb), label, camera
        known = np.isfinite(depth) & (depth > NEAR)
        steepest = STEEPEST / camera.fx
        self.depth = smooth_depth(sharpen_depth(np.where(known, depth, np.float32(0)), steepest), steepest)
        across, down = _joined(self.depth, steepest)
        # Two right-angled triangles for each quad, where both short sides are joined: (H-1, W-1).
        upper, lower = across[:-1] & down[:, :-1], across[1:] & down[:, 1:]
        pixel = np.arange(depth.size, dtype=np.int32).reshape(size)
        self._corner = np.concatenate([pixel[:-1, :-1][upper], pixel[1:, 1:][lower]])
        self._step = np.ones(len(self._corner), np.int32)
        self._step[np.count_nonzero(upper) :] = -1
        # Six triangles meet at a pixel within the surface; the others are its rim, or stand alone.
        rim, both = known.copy(), upper & lower
        rim[1:-1, 1:-1] &= ~(upper[1:, 1:] & both[1:, :-1] & both[:-1, 1:] & lower[:-1, :-1])
        self._rim = pixel[rim]

    def render(self, view_from_source: Pose) -> View:
        """The surface seen by the same camera from elsewhere."""
        canvas = _Canvas(self._camera.width, self._camera.height)
        u, v, inverse = self.project(view_from_source)
        canvas.draw_triangles(self._corner, self._step, u, v, inverse)
        # A pixel of the source is as wide in the view as it comes nearer; wide ones would be seen as squares.
        width = np.clip(self.depth.ravel()[self._rim] * inverse[self._rim], 1, 2)
        canvas.draw_squares(self._rim, u, v, inverse, width)

        size, hole = self.depth.shape, canvas.source < 0
        column, row = canvas.column.reshape(size), canvas.row.reshape(size)
        rgb = cv2.remap(self._rgb, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        rgb[hole.reshape(size)] = 0
        depth = np.full(hole.size, np.nan, np.float32)
        np.divide(1, canvas.inverse, out=depth, where=~hole)
        label = None
        if self._label is not None:
            label = np.where(hole, np.uint8(255), self._label.ravel()[canvas.source]).reshape(size)
        return View(np.asarray(rgb, np.uint8), depth.reshape(size), canvas.source.reshape(size), label)

    def project(self, view_from_source: Pose) -> tuple[Float32, Float32, Float32]:
        """Column, row and inverse depth (H * W,) of the source's pixels in the view; inverse depth 0: not seen."""
        camera = self._camera
        rotation = view_from_source.rotation.astype(np.float32)
        shift = view_from_source.translation.astype(np.float32)
        x, y, z = rotation @ (camera.rays.reshape(-1, 3).T * self.depth.ravel()) + shift[:, None]
        inverse = np.zeros_like(z)
        np.divide(1, z, out=inverse, where=(self.depth.ravel() > 0) & (z > NEAR))
        u = x * inverse * np.float32(camera.fx) + np.float32(camera.cx)
        v = y * inverse * np.float32(camera.fy) + np.float32(camera.cy)
        return u, v, inverse


class _Canvas:
    """A z-buffer under drawing. Vertices have u, v (pixels) and inverse depth, (V,) each; 0 is behind the camera.

    Attributes:
        inverse: (N,) float32, inverse depth of what is nearest so far, 0 for nothing.
        source: (N,) int32, its nearest vertex in the source image, -1 for nothing.
        column, row: (N,) float32, its place in the source image.
    """

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self.inverse = np.zeros(width * height, np.float32)
        self.source = np.full(width * height, -1, np.int32)
        self.column, self.row = np.zeros((2, width * height), np.float32)

    def draw_triangles(self, corner: Index, step: Index, u: Float32, v: Float32, inverse: Float32) -> None:
        """Triangles, both sides of them, to be drawn before anything else.

        Args:
            corner: (T,) vertex at the right angle.
            step: (T,) 1 or -1: the others are this many columns, this many rows off.
        """
        if not inverse.all():
            seen = np.flatnonzero(_least(*self._corners(corner, step, inverse)) > 0)
            corner, step = corner[seen], step[seen]
        at_u, at_v = self._corners(corner, step, u), self._corners(corner, step, v)
        triangle, x, y = self._pixels(_least(*at_u), _most(*at_u), _least(*at_v), _most(*at_v))
        corner, step = corner[triangle], step[triangle]
        column, row = x.astype(np.float32), y.astype(np.float32)
        du = [at - column for at in self._corners(corner, step, u)]
        dv = [at - row for at in self._corners(corner, step, v)]
        # Twice the areas of the three triangles that the pixel's centre makes with the sides.
        share = [du[1] * dv[2] - du[2] * dv[1], du[2] * dv[0] - du[0] * dv[2], du[0] * dv[1] - du[1] * dv[0]]
        area = share[0] + share[1] + share[2]
        scale = np.divide(1, area, out=np.full_like(area, np.nan), where=area != 0)
        share = [part * scale for part in share]
        inside = np.flatnonzero(_least(*share) >= -1e-4)
        corner, step, pixel = corner[inside], step[inside], (y * self._width + x)[inside]
        share = [part[inside] * at for part, at in zip(share, self._corners(corner, step, inverse), strict=True)]
        found = share[0] + share[1] + share[2]
        won = self._nearest(pixel, found)
        pixel, corner, step = pixel[won], corner[won], step[won]
        # The second corner lies in the first one's row, the third in its column: shares are places between pixels.
        along, down = (part[won] / found[won] for part in share[1:])
        self.source[pixel] = corner + step * ((along > 0.5) + (down > 0.5) * np.int32(self._width))
        row, column = np.divmod(corner, np.int32(self._width))
        self.column[pixel], self.row[pixel] = column + along * step, row + down * step

    def _corners(self, corner: Index, step: Index, values: NDArray[Any]) -> list[NDArray[Any]]:
        return [values[corner], values[corner + step], values[corner + step * np.int32(self._width)]]

    def draw_squares(self, vertex: Index, u: Float32, v: Float32, inverse: Float32, side: Float32) -> None:
        """Squares about vertices (M,), `side` (M,) pixels wide, where there is nothing or something clearly farther."""
        seen = inverse[vertex] > 0
        vertex, half = vertex[seen], side[seen] / np.float32(2)
        at_u, at_v = u[vertex], v[vertex]
        square, x, y = self._pixels(at_u - half, at_u + half, at_v - half, at_v + half)
        pixel, vertex = y * self._width + x, vertex[square]
        free = inverse[vertex] > self.inverse[pixel] * np.float32(1 + IN_FRONT)
        pixel, vertex = pixel[free], vertex[free]
        won = self._nearest(pixel, inverse[vertex])
        pixel, vertex = pixel[won], vertex[won]
        self.source[pixel] = vertex
        row, column = np.divmod(vertex, np.int32(self._width))
        self.column[pixel], self.row[pixel] = column, row

    def _nearest(self, pixel: Index, inverse: Float32) -> NDArray[np.intp]:
        """Which of the candidates are the nearest at their pixels; the z-buffer then holds them."""
        np.maximum.at(self.inverse, pixel, inverse)
        return np.flatnonzero(self.inverse[pixel] == inverse)

    def _pixels(self, left: Float32, right: Float32, top: Float32, bottom: Float32) -> tuple[Index, Index, Index]:
        """Every pixel whose centre lies in a box (half open), of all boxes (B,): box, column and row, (N,) each."""
        x, x_end = (np.clip(np.ceil(side), 0, self._width).astype(np.int32) for side in (left, right))
        y, y_end = (np.clip(np.ceil(side), 0, self._height).astype(np.int32) for side in (top, bottom))
        box = np.flatnonzero((x_end > x) & (y_end > y)).astype(np.int32)
        columns, rows = (x_end - x)[box], (y_end - y)[box]
        count = columns * rows
        start = np.repeat(np.cumsum(count, dtype=np.int32) - count, count)
        row, column = np.divmod(np.arange(len(start), dtype=np.int32) - start, np.repeat(columns, count))
        box = np.repeat(box, count)
        return box, x[box] + column, y[box] + row


def _least(a: Float32, b: Float32, c: Float32) -> Float32:
    return np.minimum(np.minimum(a, b), c)


def _most(a: Float32, b: Float32, c: Float32) -> Float32:
    return np.maximum(np.maximum(a, b), c)


def _joined(depth: Float32, steepest: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(H, W-1) and (H-1, W): whether a pixel is on one surface with the next in its row, and with that in its column.

    Args:
        depth: (H, W) metres, 0 where unknown.
    """

    def joined(one: Float32, other: Float32) -> NDArray[np.bool_]:
        low = np.minimum(one, other)
        limit = np.maximum(np.float32(steepest) * low, np.float32(2 * TOLERANCE))
        return (np.abs(one - other) <= limit) & (low > 0)

    return joined(depth[:, :-1], depth[:, 1:]), joined(depth[:-1], depth[1:])


def render_view(
    rgb: NDArray[np.uint8], depth: Float32, camera: PinholeCamera, view_from_source: Pose,
    label: NDArray[np.uint8] | None = None,
) -> View:  # fmt: skip
    """One view of an RGB-D image; `RgbdSurface` with the same arguments is quicker for several."""
    return RgbdSurface(rgb, depth, camera, label).render(view_from_source)


def fill_holes(view: View) -> View:
    """The view with colour and depth in its holes, each the mean of the known around it; labels stay as they are.

    This is the `preproc` of SnapNet-R. The paper in-paints depth with Navier-Stokes, which OpenCV has for 8 bits only;
    here known pixels are averaged over ever larger blocks until every hole has some (push-pull, Gortler et al.,
    SIGGRAPH 1996). A view of nothing stays as it is.
    """
    known = view.source >= 0
    if known.all() or not known.any():
        return view
    image = np.empty((*known.shape, 4), np.float32)
    image[..., :3], image[..., 3] = view.rgb, np.where(known, view.depth, 0)
    filled = _push_pull(image * known[..., None], known.astype(np.float32))
    rgb = np.where(known[..., None], view.rgb, np.rint(filled[..., :3]).astype(np.uint8))
    return replace(view, rgb=rgb, depth=np.where(known, view.depth, filled[..., 3]))


def _push_pull(total: Float32, weight: Float32) -> Float32:
    """(H, W, C) means: own value where weight (H, W) is 1, the coarser level's where 0; `total` is value by weight."""
    height, width = weight.shape
    own = np.divide(total, np.maximum(weight, np.float32(1e-6))[..., None], dtype=np.float32)
    if weight.min() > 0:
        return own
    half = ((width + 1) // 2, (height + 1) // 2)
    blocks = [np.asarray(cv2.resize(i, half, interpolation=cv2.INTER_AREA), np.float32) for i in (total, weight)]
    coarse = cv2.resize(_push_pull(blocks[0], blocks[1]), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(weight[..., None] > 0, own, np.asarray(coarse, np.float32))
