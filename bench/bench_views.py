"""SnapNet-R without its network, 320x240, views of the embedded world. Prints one JSON object; CPU ms on one core.

`embree` is the same mesh as a ray tracer draws it: its tree is built once an image, its rays are cast once a view.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import open3d as o3d

from scene_understanding.datasets.embedded import EmbeddedBuildings
from scene_understanding.datasets.rgbd import RgbdSample
from scene_understanding.geometry import median_depth, orbit, random_viewpoint
from scene_understanding.perception.rgbd_surface import RgbdSurface, fill_holes, render_view
from scene_understanding.perception.snapnet_r import vote

IMAGES, CLASSES = 24, 13


def cpu_ms(run: Callable[[RgbdSample], Any], samples: list[RgbdSample]) -> float:
    run(samples[0])
    times = []
    for sample in samples:
        started = time.process_time()
        run(sample)
        times.append(time.process_time() - started)
    return round(float(np.median(times)) * 1e3, 1)


def embree_scene(sample: RgbdSample) -> o3d.t.geometry.RaycastingScene:
    pixel = np.arange(sample.depth.size, dtype=np.uint32).reshape(sample.depth.shape)
    a, b, c, d = pixel[:-1, :-1], pixel[:-1, 1:], pixel[1:, :-1], pixel[1:, 1:]
    triangles = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (d, c, b))])
    triangles = triangles[np.isfinite(sample.depth.ravel()[triangles]).all(axis=1)]
    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    points = np.nan_to_num(sample.camera.back_project(sample.depth)).reshape(-1, 3)
    scene.add_triangles(o3d.core.Tensor.from_numpy(points), o3d.core.Tensor.from_numpy(triangles))
    scene.cast_rays(o3d.core.Tensor.from_numpy(np.zeros((1, 6), np.float32)), nthreads=1)  # builds the tree
    return scene


def main() -> None:
    cv2.setNumThreads(1)
    dataset = EmbeddedBuildings([5], IMAGES)
    samples = [dataset[i] for i in range(IMAGES)]
    sample, rng = samples[0], np.random.default_rng(0)
    scores = rng.normal(size=(CLASSES, 240, 320)).astype(np.float32)
    scene = embree_scene(sample)
    rays = np.concatenate([np.zeros((76800, 3), np.float32), sample.camera.rays.reshape(-1, 3)], axis=1)
    views = [render_view(s.rgb, s.depth, s.camera, orbit(2.0, azimuth=0.2)) for s in samples]
    holes = iter(views * 2)
    figures = {
        "surface_ms": cpu_ms(lambda s: RgbdSurface(s.rgb, s.depth, s.camera, s.label), samples),
        "random_view_ms": cpu_ms(
            lambda s: render_view(s.rgb, s.depth, s.camera, random_viewpoint(rng, median_depth(s.depth)), s.label),
            samples,
        ),
        "fill_holes_ms": cpu_ms(lambda _: fill_holes(next(holes)), samples),
        "five_views_and_vote_ms": cpu_ms(lambda s: vote(lambda *_: scores, s.rgb, s.depth, s.camera), samples),
        "embree_tree_ms": cpu_ms(embree_scene, samples),
        "embree_view_ms": cpu_ms(lambda _: scene.cast_rays(o3d.core.Tensor.from_numpy(rays), nthreads=1), samples),
    }
    print(json.dumps({"bench": "views", "size": "320x240", "classes": CLASSES, **figures}))


if __name__ == "__main__":
    main()
