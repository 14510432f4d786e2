"""When points were measured, in the fields that drivers use."""

import numpy as np
import pytest

from scene_understanding.messages.header import make_header
from scene_understanding.messages.point_times import point_stamps_ns
from scene_understanding.messages.types import PointCloud2, PointField

STAMP = 1_700_000_000_123_456_789
DATATYPES = {"f4": PointField.FLOAT32, "f8": PointField.FLOAT64, "u4": PointField.UINT32}
OFFSETS = np.array([0, 25_000_000, 99_000_000])


def message(name: str, values: np.ndarray, height: int = 1, stamp_ns: int = STAMP) -> PointCloud2:
    """Points at the origin with one more field."""
    dtype = np.dtype([("xyz", "<f4", 3), (name, values.dtype.newbyteorder("<"))])
    points = np.zeros(len(values), dtype)
    points[name] = values
    fields = [PointField(name="xyz"[i], offset=4 * i, datatype=PointField.FLOAT32, count=1) for i in range(3)]
    fields.append(PointField(name=name, offset=12, datatype=DATATYPES[values.dtype.str[1:]], count=1))
    width = len(values) // height
    return PointCloud2(
        header=make_header(stamp_ns, "lidar"), height=height, width=width, fields=fields, is_bigendian=False,
        point_step=dtype.itemsize, row_step=dtype.itemsize * width, data=points.view(np.uint8), is_dense=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("t", OFFSETS.astype(np.uint32)),  # Ouster
        ("time", (OFFSETS * 1e-9).astype(np.float32)),  # Velodyne, stamp of the first packet
        ("offset_time", OFFSETS.astype(np.uint32)),  # Livox
        ("timestamp", (STAMP + OFFSETS) * 1e-9),  # Hesai, RoboSense
        ("timestamp", (STAMP + OFFSETS).astype(np.float64)),  # Livox
    ],
)
def test_what_drivers_write(name: str, values: np.ndarray) -> None:
    np.testing.assert_allclose(point_stamps_ns(message(name, values)) - STAMP, OFFSETS, atol=600)


def test_offsets_before_the_stamp() -> None:
    values = np.array([-0.1, -0.05, 0.0], np.float32)  # Velodyne, stamp of the last packet
    np.testing.assert_allclose(point_stamps_ns(message("time", values)) - STAMP, [-1e8, -5e7, 0], atol=10)


def test_organised_clouds_and_clouds_without_times() -> None:
    stamps = point_stamps_ns(message("t", np.arange(6, dtype=np.uint32), height=2))
    assert (stamps - STAMP).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert point_stamps_ns(message("intensity", np.zeros(3, np.float32))) is None
    assert point_stamps_ns(message("t", np.zeros(0, np.uint32))).shape == (0,)


def test_simulated_time_begins_near_zero() -> None:
    values = np.array([4.95, 5.0])
    stamps = point_stamps_ns(message("timestamp", values, stamp_ns=5_000_000_000))
    np.testing.assert_allclose(stamps, values * 1e9, atol=1)


def test_times_of_another_day_are_refused() -> None:
    with pytest.raises(ValueError, match="field 'timestamp' has times from 1.0 to 5.0; expected seconds"):
        point_stamps_ns(message("timestamp", np.array([1.0, 5.0])))
