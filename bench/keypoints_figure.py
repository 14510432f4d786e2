"""The picture of docs/keypoints.md: what a network finds in crowds of 1, 5 and 20 people of the embedded world.

python bench/keypoints_figure.py [--model openpose] [--seed 950]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from scene_understanding.datasets.embedded_people import EmbeddedPeople
from scene_understanding.inference.onnx_runtime import OnnxRuntimeNetwork
from scene_understanding.inference.store import find
from scene_understanding.perception.pose_estimator import PoseEstimator
from scene_understanding.perception.skeleton_drawing import draw_skeletons

ROOT = Path(__file__).resolve().parents[1]
CROWDS, VIEWS = (1, 5, 20), 4


def main(
    model: Annotated[str, typer.Option()] = "openpose",
    seed: Annotated[int, typer.Option(help="building")] = 950,
    out: Annotated[Path, typer.Option(help="the picture")] = ROOT / "docs" / "keypoints.jpg",
) -> None:
    """A row of views for every crowd, skeletons drawn over them."""
    estimator = PoseEstimator(OnnxRuntimeNetwork(find(model), "cpu"))
    rows = []
    for people in CROWDS:
        dataset = EmbeddedPeople([seed], people, views=2 * VIEWS)
        images = [dataset[i].rgb for i in range(0, 2 * VIEWS, 2)]
        rows.append(np.hstack([draw_skeletons(image, estimator(image)) for image in images]))
    picture = cv2.resize(np.vstack(rows), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(out), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    typer.run(main)
