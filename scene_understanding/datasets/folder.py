"""A folder of one's own: colour, depth and labels as image files.

    FOLDER/rgb/NAME.png (or .jpg, .jpeg)
           depth/NAME.png    16 bit, millimetres, 0 or 65535 unknown (optional: no depth anywhere)
           label/NAME.png    8 bit class ids, 255 unlabelled (optional: no labels)
           labels.yaml       the label set, as those in `scene_understanding/labels/data`
           camera.yaml       width, height, fx, fy, cx, cy in pixels (optional)
           camera/NAME.yaml  the camera of an image that has another one (optional)
           pose/NAME.txt     4x4 map_from_camera of the optical frame, metres (optional)
           LIST.txt          names, one a line (optional: train.txt, val.txt, ...)

The images of one name have one size, that of the camera where there is one. Without a camera one of 60 degrees across
is assumed; that matters to what moves the camera (augmentation, views, clouds), and forbids what takes metres from
colour (`check_camera`).
"""

from __future__ import annotations

import logging
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from scene_understanding.datasets.lists import find_list, read_names
from scene_understanding.datasets.rgbd import (
    DatasetError,
    RgbdDataset,
    RgbdSample,
    check_ids,
    existing_folder,
    image_files,
    known_ids,
    read_depth,
    read_label,
    read_rgb,
    table_between,
)
from scene_understanding.datasets.seven_scenes import read_pose
from scene_understanding.geometry import PinholeCamera
from scene_understanding.labels import UNLABELLED, LabelSet, known_label_sets, load_label_set

WHAT = "folder"
LABELS, CAMERA = "labels.yaml", "camera.yaml"
ASSUMED_FOV = math.radians(60)

log = logging.getLogger(__name__)


class FolderDataset:
    """Samples of a folder as above, in the order of the list or of their names.

    Args:
        split: name of a list in the folder, path of one, or None for all images.
        label_set: what the labels are regrouped to by `labels.mapping`; None for that of labels.yaml. Where there is no
            labels.yaml, the set that the labels are in.

    Raises:
        DatasetError: no folder, no images, no such list, names that do not fit, a damaged camera or label set.
    """

    def __init__(self, folder: str | Path, split: str | Path | None = None, label_set: str | None = None) -> None:
        self.folder = existing_folder(folder, WHAT)
        self._colour = image_files(self.folder / "rgb", WHAT)
        self.names = sorted(self._colour) if split is None else self._listed(split)
        self._has_depth = _fits(self.folder / "depth", self._colour)
        self._has_label = _fits(self.folder / "label", self._colour)
        self.camera = read_camera(self.folder / CAMERA) if (self.folder / CAMERA).exists() else None
        self.has_camera = self.camera is not None or (self.folder / "camera").is_dir()
        if not self.has_camera:
            log.warning(f"{self.folder} has no {CAMERA}: a camera of 60 degrees across is assumed")
        self._has_pose = (self.folder / "pose").is_dir()
        self.label_set: str | None = None
        if label_set is not None and not self._has_label:
            raise DatasetError(f"{WHAT}: {self.folder} has no label folder, so no labels in '{label_set}'")
        if self._has_label:
            self.label_set, self._table, self._known = _labels(self.folder, label_set)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> RgbdSample:
        """Sample by position (negative ones count from the end).

        Raises:
            IndexError: beyond the end.
            DatasetError: a file missing, damaged or of another size, or a label that is no class.
        """
        name = self.names[index]
        camera = self._camera(name)
        rgb = read_rgb(self._colour[name], camera.shape if camera else None)
        height, width = shape = rgb.shape[:2]
        camera = camera or PinholeCamera.from_fov(width, height, ASSUMED_FOV)
        if self._has_depth:
            depth = read_depth(self.folder / "depth" / f"{name}.png", shape)
        else:
            depth = np.full(shape, np.nan, np.float32)
        label = self._label(name, shape) if self._has_label else None
        pose = read_pose(self.folder / "pose" / f"{name}.txt") if self._has_pose else None
        return RgbdSample(name, rgb, depth, camera, label, pose)

    def _camera(self, name: str) -> PinholeCamera | None:
        path = self.folder / "camera" / f"{name}.yaml"
        return read_camera(path) if path.is_file() else self.camera

    def _label(self, name: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
        path = self.folder / "label" / f"{name}.png"
        label = read_label(path, shape)
        check_ids(label, self._known, path)
        return self._table[label]

    def _listed(self, split: str | Path) -> list[str]:
        path = find_list(self.folder, split, WHAT)
        names = read_names(path, WHAT)
        absent = [name for name in names if name not in self._colour]
        if absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            raise DatasetError(f"{WHAT}: list {path} names {absent[0]}{more}, not in {self.folder / 'rgb'}")
        return names


def check_camera(dataset: RgbdDataset) -> None:
    """Raises DatasetError where the depth of colour images would rest on a camera that is merely assumed."""
    if isinstance(dataset, FolderDataset) and not dataset.has_camera:
        raise DatasetError(f"{dataset.folder} has no {CAMERA}; depth of colour images needs the focal length")


def _fits(part: Path, colour: dict[str, Path]) -> bool:
    """Whether the optional part is there; that a few files are missing in it shows when they are read.

    Raises:
        DatasetError: it is there but holds nothing that belongs to a colour image.
    """
    if not part.is_dir():
        return False
    names = sorted(path.stem for path in part.glob("*.png"))
    if not names:
        raise DatasetError(f"{WHAT}: {part} holds no .png; without {part.name} remove the folder")
    strangers = [name for name in names if name not in colour]
    if len(strangers) == len(names):
        raise DatasetError(f"{WHAT}: no name of {part} is in rgb: {names[0]}.png beside {colour[min(colour)].name}")
    if strangers:
        log.warning(
            f"{part}: {len(strangers)} files have no image of their name in rgb, the first is {strangers[0]}.png"
        )
    return True


def _labels(folder: Path, wanted: str | None) -> tuple[str, NDArray[np.uint8], NDArray[np.bool_]]:
    """The label set of the samples, the table (256,) to it, and which ids (256,) a label file may hold."""
    path = folder / LABELS
    if path.is_file():
        own = _load(path)
        name = own.name if own.name in known_label_sets() else str(path)
        if name == own.name and not own.same_classes(_load(name)):
            raise DatasetError(f"{path} is named {own.name} but has other classes than that; choose another name")
    elif wanted is None:
        known = ", ".join(known_label_sets())
        raise DatasetError(f"{WHAT}: {path} is missing; add it, or choose the label set of the labels: {known}")
    else:
        own, name = _load(wanted), wanted
    if own.ids[-1] > UNLABELLED:
        raise DatasetError(f"label set {own.name} has ids above 255; label files have 8 bit")
    ids = known_ids([*own.ids, UNLABELLED])
    if wanted is None or wanted == name:
        return name, table_between(own, own), ids
    return wanted, table_between(own, _load(wanted)), ids


def _load(name_or_path: str | Path) -> LabelSet:
    try:
        return load_label_set(name_or_path)
    except (OSError, ValueError) as error:
        raise DatasetError(" ".join(str(error).split())) from error


def read_camera(path: Path) -> PinholeCamera:
    """The camera of a YAML file.

    Raises:
        DatasetError: a file that cannot be read, or with other keys or values than a camera has.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        return PinholeCamera(
            int(content["width"]), int(content["height"]), *(float(content[key]) for key in ("fx", "fy", "cx", "cy"))
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path} is no camera (width, height, fx, fy, cx, cy): {reason}") from error


def write_camera(path: Path, camera: PinholeCamera) -> None:
    """As `read_camera` reads it."""
    content = {key: value if isinstance(value, int) else float(value) for key, value in asdict(camera).items()}
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")


def write_label_set(path: Path, label_set: LabelSet) -> None:
    """As `load_label_set` reads it."""
    rows = zip(label_set.ids, label_set.names, label_set.colours.tolist(), strict=True)
    classes = [{"id": class_id, "name": name, "colour": colour} for class_id, name, colour in rows]
    text = yaml.safe_dump({"name": label_set.name, "classes": classes}, sort_keys=False, default_flow_style=None)
    path.write_text(text, "utf-8")
