"""RGB-D datasets as the messages that a robot's camera would send, for bags.

Frames: map -> camera_link (/tf, a pose a frame) -> camera_optical_frame (/tf_static).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scene_understanding.datasets.rgbd import DatasetError, RgbdDataset, RgbdSample, millimetres
from scene_understanding.geometry import OPTICAL_FROM_BODY, Pose
from scene_understanding.labels import load_label_set
from scene_understanding.messages.camera_info import camera_to_camera_info
from scene_understanding.messages.header import make_header
from scene_understanding.messages.image import array_to_image
from scene_understanding.messages.label_info import label_set_to_label_info
from scene_understanding.messages.transforms import tf_message
from scene_understanding.messages.types import Header, Image

MAP, BODY, OPTICAL = "map", "camera_link", "camera_optical_frame"
START_NS = 1_700_000_000_000_000_000
"""Stamp of the first frame: the datasets have none of their own, so conversions are the same every time."""

LEVEL_AT_EYE_HEIGHT = Pose.from_rotation_translation(OPTICAL_FROM_BODY.T, (0, 0, 1.33))
"""map_from_camera of datasets without poses: a level camera in the hands of a standing person."""

BODY_FROM_OPTICAL = Pose.from_rotation_translation(OPTICAL_FROM_BODY.T, (0, 0, 0))


@dataclass(frozen=True)
class Stamped:
    """A message on its way into a bag; `latched` as transient local."""

    topic: str
    stamp_ns: int
    message: Any
    latched: bool = False


RATES = {"7scenes": 10.0}
"""Frames per second that the bags of a kind of dataset get unless told otherwise; 1 for the others."""


def select(count: int, indices: str | None = None, last: int | None = None) -> Sequence[int]:
    """Positions to convert out of `count`: all, the last N, or those of `indices` such as "0,5,10:20" or "::10".

    Raises:
        DatasetError: both given, nothing left, or something that is not a position in the dataset.
    """
    if indices is not None and last is not None:
        raise DatasetError("indices and last exclude each other")
    if last is not None:
        if not 1 <= last <= count:
            raise DatasetError(f"last is {last}; the dataset has {count} frames")
        return range(count - last, count)
    if indices is None:
        return range(count)
    chosen = [position for part in indices.split(",") for position in _positions(part.strip(), count)]
    if not chosen:
        raise DatasetError(f"indices '{indices}' choose nothing out of {count} frames")
    return chosen


def _positions(part: str, count: int) -> Sequence[int]:
    try:
        numbers = [int(word) if word else None for word in part.split(":")]
        if len(numbers) in (2, 3):
            return range(count)[slice(*numbers)]
        if len(numbers) == 1 and numbers[0] is not None:
            return [range(count)[numbers[0]]]
    except IndexError:
        raise DatasetError(f"index {part} is beyond the dataset's {count} frames") from None
    except ValueError:
        pass
    raise DatasetError(f"indices part '{part}' is neither a number nor a slice such as 0:100:10")


def dataset_messages(
    dataset: RgbdDataset, positions: Sequence[int], rate: float, metric_float: bool = False
) -> Iterator[list[Stamped]]:
    """The messages of each frame, in the order of their stamps.

    Args:
        rate: frames per second.
        metric_float: depth as 32FC1 metres rather than 16UC1 millimetres.
    """
    for k, position in enumerate(positions):
        stamp_ns = START_NS + round(k * 1e9 / rate)
        frame = sample_messages(dataset[position], stamp_ns, metric_float)
        yield [*_once(dataset.label_set, stamp_ns), *frame] if k == 0 else frame


def _once(label_set: str | None, stamp_ns: int) -> list[Stamped]:
    """What is latched."""
    static = tf_message([(BODY, OPTICAL, stamp_ns, BODY_FROM_OPTICAL)])
    messages = [Stamped("/tf_static", stamp_ns, static, latched=True)]
    if label_set is not None:
        info = label_set_to_label_info(load_label_set(label_set), make_header(stamp_ns, OPTICAL))
        messages.append(Stamped("/ground_truth/label_info", stamp_ns, info, latched=True))
    return messages


def sample_messages(sample: RgbdSample, stamp_ns: int, metric_float: bool = False) -> list[Stamped]:
    """Transform, camera_info, colour, depth and, where there are labels, the ground-truth mask of one frame."""
    header = make_header(stamp_ns, OPTICAL)
    map_from_camera = sample.map_from_camera or LEVEL_AT_EYE_HEIGHT
    pose = tf_message([(MAP, BODY, stamp_ns, map_from_camera @ BODY_FROM_OPTICAL.inverse())])
    messages: list[tuple[str, Any]] = [
        ("/tf", pose),
        ("/rgb/camera_info", camera_to_camera_info(sample.camera, header)),
        ("/rgb/image_rect_color", array_to_image(sample.rgb, "rgb8", header)),
        ("/depth_registered/image_rect", depth_image(sample.depth, header, metric_float)),
    ]
    if sample.label is not None:
        messages.append(("/ground_truth/mask", array_to_image(sample.label, "mono8", header)))
    return [Stamped(topic, stamp_ns, message) for topic, message in messages]


def depth_image(depth: NDArray[np.float32], header: Header, metric_float: bool) -> Image:
    """REP-118: 16UC1 millimetres with 0 for unknown (and for what is beyond 65.5 m), or 32FC1 metres with NaN."""
    if metric_float:
        return array_to_image(depth, "32FC1", header)
    return array_to_image(millimetres(depth), "16UC1", header)
