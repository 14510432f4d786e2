"""Any dataset as a folder of one's own (`datasets.folder`), at a size that needs no more work when it is read."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from scene_understanding.datasets.folder import CAMERA, LABELS, write_camera, write_label_set
from scene_understanding.datasets.rgbd import DatasetError, RgbdDataset, RgbdSample, millimetres, resized
from scene_understanding.geometry import PinholeCamera
from scene_understanding.labels import load_label_set


def prepare(datasets: Sequence[tuple[str | None, RgbdDataset]], out: Path, size: tuple[int, int] | None) -> int:
    """Writes the samples of the parts of a dataset and a list for each part that has a name; returns their number.

    A folder that is not finished lies beside OUT as OUT.part, and is gone when something went wrong. One that was there
    before is never touched.

    Args:
        datasets: name of each part, which its list gets, or None; they have one label set, and samples of one name are
            the same.
        size: (width, height) of what is written; None as it is.

    Raises:
        DatasetError: `out` or OUT.part is there already, or a sample that cannot be read.
    """
    if out.exists():
        raise DatasetError(f"{out} is there already; choose another folder")
    part = out.with_name(f"{out.name}.part")
    try:
        part.mkdir(parents=True)
    except FileExistsError:
        raise DatasetError(f"{part} is there already; if another run that was killed left it, remove it") from None
    try:
        for folder in ("rgb", "depth", "label", "pose", "camera"):
            (part / folder).mkdir()
        count = _write_all(datasets, part, size)
        for empty in (path for path in part.iterdir() if path.is_dir() and not any(path.iterdir())):
            empty.rmdir()
        part.replace(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return count


def _write_all(datasets: Sequence[tuple[str | None, RgbdDataset]], out: Path, size: tuple[int, int] | None) -> int:
    written: set[str] = set()
    camera: PinholeCamera | None = None
    any_depth = False
    for split, dataset in datasets:
        names = []
        for position in tqdm(range(len(dataset)), desc=split or str(out.stem), unit="frame", disable=None):
            sample = resized(dataset[position], *size) if size else dataset[position]
            names.append(sample.name)
            if sample.name in written:
                continue
            written.add(sample.name)
            if camera is None:
                camera = sample.camera
                write_camera(out / CAMERA, camera)
            if sample.camera != camera:
                write_camera(out / "camera" / f"{sample.name}.yaml", sample.camera)
            any_depth |= bool(np.isfinite(sample.depth).any())
            write_sample(out, sample)
        if split is not None:
            (out / f"{split}.txt").write_text("".join(f"{name}\n" for name in names), "utf-8")
    if datasets[0][1].label_set is not None:
        write_label_set(out / LABELS, load_label_set(datasets[0][1].label_set))
    if not any_depth:
        shutil.rmtree(out / "depth")
    return len(written)


def write_sample(out: Path, sample: RgbdSample) -> None:
    """The images and the pose of one sample, into the folders of `out`."""
    _write_png(out / "rgb", sample.name, cv2.cvtColor(sample.rgb, cv2.COLOR_RGB2BGR))
    _write_png(out / "depth", sample.name, millimetres(sample.depth))
    if sample.label is not None:
        _write_png(out / "label", sample.name, sample.label)
    if sample.map_from_camera is not None:
        np.savetxt(out / "pose" / f"{sample.name}.txt", sample.map_from_camera.matrix, "%.9g")


def _write_png(folder: Path, name: str, image: Any) -> None:
    (folder / f"{name}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
