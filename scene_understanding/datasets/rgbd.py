"""What every RGB-D dataset gives, and reading its image files with clear errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from scene_understanding.geometry import PinholeCamera, Pose
from scene_understanding.labels import LabelSet, mapping
from scene_understanding.messages.image import depth_from_millimetres

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg")


class DatasetError(ValueError):
    """A dataset that is not what it should be: a folder or file missing, a wrong size. One line for the user."""


@dataclass(frozen=True, eq=False)
class RgbdSample:
    """One frame of an RGB-D dataset.

    Attributes:
        name: the dataset's own name of the frame, unique in it and fit for a file name.
        rgb: (H, W, 3) uint8.
        depth: (H, W) float32 along z, metres, NaN where unknown; NaN everywhere in datasets of colour images alone.
        camera: intrinsics of both images.
        label: (H, W) uint8 class ids, 255 unlabelled, or None where the dataset has no labels.
        map_from_camera: pose of the camera's optical frame, or None where the dataset has none.
    """

    name: str
    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    camera: PinholeCamera
    label: NDArray[np.uint8] | None = None
    map_from_camera: Pose | None = None


class RgbdDataset(Protocol):
    """A sequence of samples.

    Attributes:
        label_set: of the samples' labels, a name or YAML file for `load_label_set`; None where there are no labels.
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


def image_files(folder: Path, what: str) -> dict[str, Path]:
    """Name to file of the colour images in a folder, in the order of their names.

    Raises:
        DatasetError: no such folder, no images in it, or two of one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(existing_folder(folder, what).iterdir()):
        if path.suffix.lower() in IMAGE_ENDINGS:
            if path.stem in found:
                raise DatasetError(f"{what}: {path} and {found[path.stem].name} have one name")
            found[path.stem] = path
    if not found:
        raise DatasetError(f"{what}: {folder} holds no {' or '.join(IMAGE_ENDINGS)}")
    return found


def known_ids(ids: Iterable[int]) -> NDArray[np.bool_]:
    """(256,) bool, for `check_ids`."""
    known = np.zeros(256, np.bool_)
    known[list(ids)] = True
    return known


def check_ids(label: NDArray[np.uint8], known: NDArray[np.bool_], where: Path | str) -> None:
    """Raises DatasetError if `label` (H, W) holds an id that `known` (256,) does not say yes to."""
    good = known[label]
    if not good.all():
        wrong, pixels = np.unique(label[~good], return_counts=True)
        ids = ", ".join(f"{i} ({n} pixels)" for i, n in zip(wrong[:5], pixels, strict=False))
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise DatasetError(f"{where} holds ids that are no class: {ids}{more}")


def table_between(source: str | LabelSet, target: str | LabelSet) -> NDArray[np.uint8]:
    """(256,) uint8: `labels.mapping`, whose errors become those of a dataset."""
    try:
        return mapping(source, target)
    except (ValueError, OSError) as error:
        raise DatasetError(str(error)) from error


def resized(sample: RgbdSample, width: int, height: int) -> RgbdSample:
    """The sample at another size, its camera with it; depth and labels are not mixed across edges."""
    size = (width, height)
    if sample.rgb.shape[:2] == (height, width):
        return sample
    smaller = width <= sample.rgb.shape[1] and height <= sample.rgb.shape[0]
    rgb = cv2.resize(sample.rgb, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    depth = cv2.resize(sample.depth, size, interpolation=cv2.INTER_NEAREST_EXACT)
    label = sample.label
    if label is not None:
        label = np.asarray(cv2.resize(label, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
    return replace(
        sample, rgb=np.asarray(rgb, np.uint8), depth=np.asarray(depth, np.float32), label=label,
        camera=sample.camera.resized(width, height),
    )  # fmt: skip


def millimetres(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """(H, W) uint16 of metres; 0 where unknown, and for what is below 0 or beyond 65.5 m."""
    rounded = np.rint(depth * 1000)
    return np.where((rounded >= 0) & (rounded <= 65535), rounded, 0).astype(np.uint16)


def read_rgb(path: Path, shape: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of an image file; `shape` (H, W) that it must have.

    Raises:
        DatasetError: a file that is missing, damaged, or of another size.
    """
    return cv2.cvtColor(_read(path, cv2.IMREAD_COLOR, np.uint8, shape), cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def read_depth(path: Path, shape: tuple[int, int] | None = None) -> NDArray[np.float32]:
    """(H, W) float32 metres of a 16-bit image file in millimetres; 0 and 65535 are unknown and become NaN.

    Raises:
        DatasetError: a file that is missing, damaged, of another type or size.
    """
    raw = read_uint16(path, shape)
    return depth_from_millimetres(np.where(raw == 65535, np.uint16(0), raw))


def read_uint16(path: Path, shape: tuple[int, int] | None = None) -> NDArray[np.uint16]:
    """(H, W) of a 16-bit image file with one channel; errors as `read_depth`."""
    return _read(path, cv2.IMREAD_UNCHANGED, np.uint16, shape)


def read_label(path: Path, shape: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """(H, W) of an 8-bit image file with one channel; errors as `read_depth`."""
    return _read(path, cv2.IMREAD_UNCHANGED, np.uint8, shape)


def _read(path: Path, flag: int, dtype: Any, shape: tuple[int, int] | None) -> NDArray[Any]:
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
    if shape is not None and image.shape[:2] != shape:
        raise DatasetError(f"{path} is {image.shape[1]}x{image.shape[0]}; expected {shape[1]}x{shape[0]}")
    return image


def read_matrix(path: Path, size: int) -> NDArray[np.float64]:
    """(size, size) of a text file with so many finite numbers.

    Raises:
        DatasetError: a file that cannot be read or holds something else.
    """
    try:
        values = np.array(path.read_text("utf-8").split(), np.float64)
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from error
    if values.size != size * size or not np.isfinite(values).all():
        raise DatasetError(f"{path} does not hold {size}x{size} finite numbers")
    return values.reshape(size, size)
