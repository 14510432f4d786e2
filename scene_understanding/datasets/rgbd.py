"""What every RGB-D dataset gives, and reading its image files with clear errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import PinholeCamera, Pose
from scene_understanding.messages.image import depth_from_millimetres


class DatasetError(ValueError):
    """A dataset that is not what it should be: a folder or file missing, a wrong size. One line for the user."""


@dataclass(frozen=True, eq=False)
class RgbdSample:
    """One frame of an RGB-D dataset.

    Attributes:
        number: the dataset's own number of the frame.
        rgb: (H, W, 3) uint8.
        depth: (H, W) float32 along z, metres, NaN where unknown.
        camera: intrinsics of both images.
        label: (H, W) uint8 class ids, 255 unlabelled, or None where the dataset has no labels.
        map_from_camera: pose of the camera's optical frame, or None where the dataset has none.
    """

    number: int
    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    camera: PinholeCamera
    label: NDArray[np.uint8] | None = None
    map_from_camera: Pose | None = None


class RgbdDataset(Protocol):
    """A sequence of samples.

    Attributes:
        label_set: name in `scene_understanding.labels` of the samples' labels, or None.
    """

    @property
    def label_set(self) -> str | None: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> RgbdSample: ...


def existing_folder(path: str | Path, what: str) -> Path:
    """The folder, user's home expanded; `what` names the dataset in the error."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DatasetError(f"{what}: folder {folder} does not exist")
    return folder


def read_rgb(path: Path, camera: PinholeCamera) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of an image file of the camera's size."""
    return cv2.cvtColor(_read(path, cv2.IMREAD_COLOR, np.uint8, camera), cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def read_depth(path: Path, camera: PinholeCamera) -> NDArray[np.float32]:
    """(H, W) float32 metres of a 16-bit image file in millimetres; 0 and 65535 are unknown and become NaN."""
    millimetres = _read(path, cv2.IMREAD_UNCHANGED, np.uint16, camera)
    return depth_from_millimetres(np.where(millimetres == 65535, np.uint16(0), millimetres))


def read_label(path: Path, camera: PinholeCamera) -> NDArray[np.uint8]:
    """(H, W) uint8 of an 8-bit image file."""
    return _read(path, cv2.IMREAD_UNCHANGED, np.uint8, camera)


def _read(path: Path, flag: int, dtype: Any, camera: PinholeCamera) -> NDArray[Any]:
    if not path.is_file():
        raise DatasetError(f"{path} is missing")
    image = cv2.imdecode(np.fromfile(path, np.uint8), flag) if path.stat().st_size else None
    if image is None:
        raise DatasetError(f"{path} is damaged or not an image")
    channels = 3 if flag == cv2.IMREAD_COLOR else 1
    if image.dtype != dtype or (image.shape[2] if image.ndim == 3 else 1) != channels:
        raise DatasetError(
            f"{path} holds {image.dtype}{image.shape}; expected {np.dtype(dtype)}, {channels} channel(s)"
        )
    if image.shape[:2] != (camera.height, camera.width):
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise DatasetError(f"{path} is {size}; its camera is {camera.width}x{camera.height}")
    return image
