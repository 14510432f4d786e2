"""The picture of docs/rubble.md: blocks of the rubble world as a camera would see them, and in the classes' colours.

python bench/rubble_figure.py [--seeds 2051,2053,2054] [--out docs/rubble_world.jpg]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import open3d as o3d
import typer
from numpy.random import default_rng
from numpy.typing import NDArray

from scene_understanding.geometry import PinholeCamera
from scene_understanding.labels import load_label_set
from scene_understanding.simulation.rubble import RubbleWorld, rubble_world
from scene_understanding.simulation.rubble_scan import ray_scene, surface_colors
from scene_understanding.simulation.world import camera_pose

ROOT = Path(__file__).resolve().parents[1]
CAMERA = PinholeCamera.from_fov(1280, 860, np.deg2rad(60))
SKY = (200, 215, 230)


def views(world: RubbleWorld) -> NDArray[np.uint8]:
    """(860, 2560, 3) uint8: colours, and classes, from a corner of the block."""
    pose = camera_pose(world.half * np.array([1.15, -1.3, 1.2]), yaw=np.deg2rad(131), pitch=np.deg2rad(36))
    rays = CAMERA.rays.reshape(-1, 3) @ pose.rotation.T
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    rays = np.concatenate([np.broadcast_to(pose.translation, rays.shape), rays], axis=1).astype(np.float32)
    scene = ray_scene(world.mesh)
    hits = scene.cast_rays(o3d.core.Tensor.from_numpy(rays))
    distance = hits["t_hit"].numpy()
    found = np.isfinite(distance)
    rays, triangle = rays[found], hits["primitive_ids"].numpy()[found]
    normal = hits["primitive_normals"].numpy()[found]
    normal *= -np.sign((normal * rays[:, 3:]).sum(1, keepdims=True))
    points = rays[:, :3] + rays[:, 3:] * distance[found, None]
    color, classes = np.full((2, CAMERA.height * CAMERA.width, 3), SKY, np.uint8)
    color[found] = surface_colors(default_rng(1), world, scene, world.mesh.albedo[triangle], points, normal)
    light = 0.4 + 0.6 * np.maximum(normal @ np.array([0.5, -0.4, 0.77]), 0)
    classes[found] = load_label_set("rubble4").palette[world.mesh.label[triangle]] * light[:, None]
    shape = (CAMERA.height, CAMERA.width, 3)
    return np.hstack([color.reshape(shape), classes.reshape(shape)])


def main(
    seeds: Annotated[str, typer.Option(help="of blocks, separated by commas")] = "2051,2053,2054",
    out: Annotated[Path, typer.Option(help="the picture")] = ROOT / "docs" / "rubble_world.jpg",
) -> None:
    """A row for every block."""
    image = np.vstack([views(rubble_world(int(seed))) for seed in seeds.split(",")])
    image = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(out), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    typer.run(main)
