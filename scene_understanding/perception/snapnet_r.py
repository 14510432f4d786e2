"""SnapNet-R (Guerry, Boulch, Le Saux, Moras, Plyer, Filliat, ICCV-W 3DRMS 2017): an RGB-D image judged from five sides.

The image's surface is seen from the paper's viewpoints, the network gives scores for each view, and every pixel of the
image collects the probabilities of itself wherever it is visible. The image's own view counts `OWN_WEIGHT` times.

Deviations from the paper:
- its views have one vote each; here the image's own view has `OWN_WEIGHT`;
- it adds scores; here probabilities are averaged;
- it writes each view's pixels onto the mesh; here a pixel of the image reads the view where it falls;
- its own view is rendered from the mesh too (`preproc`); here it is the image as it came;
- it does not say about what the viewpoint turns: `geometry.snapnet_r_viewpoints` does;
- mirrored views (`flip`) are not in it.

The paper's lesson (Table 1, experiments 3 and 6): views help a network that was trained on such views and harm one that
was not, and the same is true of filled holes.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from scene_understanding.geometry import PinholeCamera, median_depth, snapnet_r_viewpoints
from scene_understanding.geometry.views import IMAGE_UP, SNAPNET_R_ANGLES
from scene_understanding.perception.rgbd_surface import IN_FRONT, RgbdSurface, View, fill_holes
from scene_understanding.perception.segmenter import Segmentation, Segmenter

Float32 = NDArray[np.float32]
Network = Callable[[NDArray[np.uint8], Float32 | None], Float32]
"""rgb (H, W, 3) uint8 and depth (H, W) float32 metres, NaN or 0 where unknown, to class scores (K, h, w) float32."""

MOST_VIEWS = len(SNAPNET_R_ANGLES)

OWN_WEIGHT = 2.0
"""Votes of the image's own view, which nothing was torn or left out of; better than 1 on NYUv2's val (docs/LOG.md)."""


def vote(
    network: Network, color: NDArray[np.uint8], depth: Float32 | None, camera: PinholeCamera | None,
    up: ArrayLike = IMAGE_UP, views: int = MOST_VIEWS, flip: bool = False, fill: bool = False,
) -> Float32:  # fmt: skip
    """Class probabilities (K, H, W) float32 of an RGB-D image, the mean over the views in which a pixel is visible.

    In the mean the image's own view counts `OWN_WEIGHT` times.

    Args:
        network: is called for each view; its scores may have another size than the image.
        color: (H, W, 3) uint8 RGB.
        depth: (H, W) float32 along z, metres, NaN or 0 where unknown: such pixels are judged by the image's own view.
        camera: intrinsics of both.
        up: (3,) the upward direction in the optical frame.
        views: how many of the paper's five, in the order of `SNAPNET_R_ANGLES`.
        flip: each view is judged mirrored too.
        fill: holes of the views are filled first (the paper's `preproc`), as training must have done then.

    Raises:
        ValueError: no such number of views; for more than one: depth or camera missing, not of the image's size, or no
            depth known at all.
    """
    _check(views)
    size = color.shape[:2]
    rows, columns = np.indices(size, np.float32).reshape(2, -1)
    total = _sampled(_probabilities(network, color, depth, flip), columns, rows, size)
    if views > 1:
        if depth is None or camera is None:
            missing = "depth" if depth is None else "the camera's intrinsics"
            raise ValueError(f"SnapNet-R with {views} views needs {missing} to look from elsewhere; one view does not")
        surface = RgbdSurface(color, depth, camera)
        total *= np.float32(OWN_WEIGHT)
        votes = np.full(depth.size, OWN_WEIGHT, np.float32)
        for view_from_source in snapnet_r_viewpoints(median_depth(depth), up)[1:views]:
            view = surface.render(view_from_source)
            u, v, inverse = surface.project(view_from_source)
            visible = _visible(view, u, v, inverse).astype(np.float32)
            shown = fill_holes(view) if fill else view
            total += _sampled(_probabilities(network, shown.rgb, shown.depth, flip), u, v, size) * visible
            votes += visible
        total /= votes
    return total.reshape(-1, *size)


class SnapNetR:
    """A segmenter that looks from several viewpoints; with one view and no flip it is the plain `Segmenter`.

    Args:
        segmenter: its network runs once for each view, twice with `flip`.
        views, flip, fill: as in `vote`.

    Raises:
        ValueError: not 1 to 5 views.
    """

    def __init__(self, segmenter: Segmenter, views: int = MOST_VIEWS, flip: bool = False, fill: bool = False) -> None:
        _check(views)
        self._segmenter, self._views, self._flip, self._fill = segmenter, views, flip, fill

    def __call__(
        self, color: NDArray[np.uint8], depth: Float32 | None = None, camera: PinholeCamera | None = None,
        up: ArrayLike = IMAGE_UP,
    ) -> Segmentation:  # fmt: skip
        """As `vote`; views are rendered at the network's size, the result has the size of the colour image.

        Raises:
            ValueError: as in `vote`.
        """
        if self._views == 1 and not self._flip:
            return self._segmenter(color, depth)
        size = color.shape[:2]
        cameras = None if camera is None else (camera.height, camera.width)
        for name, found in (("depth", None if depth is None else depth.shape), ("the camera", cameras)):
            if found is not None and found != size:
                raise ValueError(f"{name} is {found[1]}x{found[0]}, the colour image {size[1]}x{size[0]}")
        height, width = self._segmenter.network.card.inputs["color"].shape[2:]
        color = np.asarray(cv2.resize(color, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        if depth is not None:
            depth = np.asarray(cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST), np.float32)
        if camera is not None:
            camera = camera.resized(width, height)
        probability = vote(self._scores, color, depth, camera, up, self._views, self._flip, self._fill)
        return self._segmenter.decide(np.log(np.maximum(probability, np.float32(1e-30))), size)

    def _scores(self, color: NDArray[np.uint8], depth: Float32 | None) -> Float32:
        return self._segmenter.scores(self._segmenter.prepare(color, depth))


def _check(views: int) -> None:
    if not 1 <= views <= MOST_VIEWS:
        raise ValueError(f"views is {views}; SnapNet-R has 1 to {MOST_VIEWS}")


def _visible(view: View, u: Float32, v: Float32, inverse: Float32) -> NDArray[np.bool_]:
    """(N,) whether points at pixels u, v with an inverse depth, 0 for none, are what the view shows there."""
    height, width = view.depth.shape
    inside = (u > -0.5) & (u < width - 0.5) & (v > -0.5) & (v < height - 0.5) & (inverse > 0)
    shown = view.depth.ravel()[_pixel(u, v, (height, width))]
    return inside & (np.abs(shown * inverse - 1) < IN_FRONT)


def _pixel(u: Float32, v: Float32, size: tuple[int, int]) -> NDArray[np.int32]:
    """(N,) number of the pixel on which u, v (N,) fall, or of the nearest to them outside the image."""
    row, column = (np.clip(np.rint(x), 0, n - 1).astype(np.int32) for x, n in zip((v, u), size, strict=True))
    return row * np.int32(size[1]) + column


def _sampled(probability: Float32, u: Float32, v: Float32, size: tuple[int, int]) -> Float32:
    """(K, N): probabilities (K, h, w) for an image of `size` (H, W) at its pixels u, v (N,), by nearest neighbour."""
    classes, height, width = probability.shape
    if (height, width) != size:
        u = (u + np.float32(0.5)) * np.float32(width / size[1]) - np.float32(0.5)
        v = (v + np.float32(0.5)) * np.float32(height / size[0]) - np.float32(0.5)
    return probability.reshape(classes, -1).take(_pixel(u, v, (height, width)), axis=1)


def _probabilities(network: Network, rgb: NDArray[np.uint8], depth: Float32 | None, flip: bool) -> Float32:
    """(K, h, w), the mean with the mirrored image's if `flip`."""
    probability = _softmax(network(rgb, depth))
    if flip:
        mirrored = None if depth is None else np.ascontiguousarray(depth[:, ::-1])
        probability += _softmax(network(np.ascontiguousarray(rgb[:, ::-1]), mirrored))[..., ::-1]
        probability *= np.float32(0.5)
    return probability


def _softmax(scores: Float32) -> Float32:
    probability: Float32 = np.exp(scores - scores.max(axis=0))
    return probability / probability.sum(axis=0)
