import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scene_understanding.geometry import PointCloud
from scene_understanding.messages.header import make_header
from scene_understanding.messages.point_cloud import (
    cloud_to_point_cloud2,
    measured,
    point_cloud2_to_cloud,
    point_cloud2_to_columns,
)
from scene_understanding.messages.types import PointCloud2, PointField, deserialize, serialize

HEADER = make_header(5, "camera")
DATATYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}


def random_cloud(shape, attributes=("rgb", "label", "confidence", "instance"), seed=0):
    rng = np.random.default_rng(seed)
    xyz = rng.normal(size=(*shape, 3)).astype(np.float32)
    if xyz.size > 3:
        xyz.reshape(-1, 3)[0] = np.nan
    made = {
        "rgb": rng.integers(0, 256, (*shape, 3)).astype(np.uint8),
        "label": rng.integers(0, 65536, shape).astype(np.uint16),
        "confidence": rng.random(shape, np.float32),
        "instance": rng.integers(0, 2**32, shape).astype(np.uint32),
    }
    return PointCloud(xyz, **{name: made[name] for name in attributes})


def assert_same(a, b):
    for name in ("xyz", "rgb", "label", "confidence", "instance"):
        ours, theirs = getattr(a, name), getattr(b, name)
        assert (ours is None) == (theirs is None), name
        if ours is not None:
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
            assert ours.dtype == theirs.dtype


@given(
    st.one_of(st.tuples(st.integers(0, 40)), st.tuples(st.integers(2, 7), st.integers(1, 7))),
    st.sets(st.sampled_from(["rgb", "label", "confidence", "instance"])),
)
@settings(max_examples=80, deadline=None)
def test_round_trip_through_the_wire(shape, attributes):
    cloud = random_cloud(shape, sorted(attributes))
    msg = deserialize(serialize(cloud_to_point_cloud2(cloud, HEADER)), PointCloud2)
    assert (msg.height, msg.width) == (shape if len(shape) == 2 else (1, shape[0]))
    assert msg.header == HEADER
    assert_same(point_cloud2_to_cloud(msg), cloud)


def test_layout_is_the_contract():
    msg = cloud_to_point_cloud2(random_cloud((4, 5)), HEADER)
    fields = [(f.name, f.offset, f.datatype, f.count) for f in msg.fields]
    assert fields == [
        ("x", 0, 7, 1), ("y", 4, 7, 1), ("z", 8, 7, 1), ("rgb", 12, 7, 1), ("label", 16, 4, 1),
        ("confidence", 20, 7, 1), ("instance", 24, 6, 1),
    ]  # fmt: skip
    assert (msg.point_step, msg.row_step, msg.is_bigendian, msg.is_dense) == (28, 140, False, False)


def test_is_dense_without_nan():
    assert cloud_to_point_cloud2(PointCloud(np.zeros((3, 3), np.float32)), HEADER).is_dense


def test_rgb_is_packed_as_rviz_wants_it():
    cloud = PointCloud(np.zeros((1, 3), np.float32), rgb=np.array([[0x12, 0x34, 0x56]], np.uint8))
    msg = cloud_to_point_cloud2(cloud, HEADER)
    assert int(msg.data.view("<u4")[3]) == 0x00123456


def test_no_colour_is_a_nan_that_loses_bits():
    rgb = np.array([(255, 255, 255), (128, 0, 1), (255, 0, 0)], np.uint8)
    cloud = PointCloud(np.zeros((3, 3), np.float32), rgb=rgb)
    floats = cloud_to_point_cloud2(cloud, HEADER).data.view("<f4").reshape(3, 4)[:, 3]
    assert np.isfinite(floats).all()
    np.testing.assert_array_equal(floats.astype(np.float64).astype("<f4").view("<u4"), floats.view("<u4"))


def test_reading_our_own_cloud_copies_nothing():
    msg = cloud_to_point_cloud2(random_cloud((4, 5)), HEADER)
    cloud = point_cloud2_to_cloud(msg)
    for name in ("xyz", "rgb", "label", "confidence", "instance"):
        assert np.shares_memory(getattr(cloud, name), msg.data), name
        assert not getattr(cloud, name).flags.writeable


def any_layout(columns, shape, order, padding, row_padding, datatypes):
    """A message with fields in a random order, gaps between them, padded rows, and any byte order."""
    offset, fields, names = 0, [], list(columns)
    for name in order:
        offset += padding
        fields.append(PointField(name=name, offset=offset, datatype=DATATYPES[datatypes[name][-2:]], count=1))
        offset += np.dtype(datatypes[name]).itemsize
    assert len(fields) == len(names)
    step = offset + padding
    dtype = np.dtype({
        "names": list(order), "formats": [datatypes[n] for n in order],
        "offsets": [f.offset for f in fields], "itemsize": step,
    })  # fmt: skip
    points = np.zeros(shape, dtype)
    for name, values in columns.items():
        points[name] = values
    rows = points.view(np.uint8).reshape(shape[0], -1)
    data = np.concatenate([rows, np.full((shape[0], row_padding), 0xCD, np.uint8)], axis=1)
    big = datatypes[order[0]].startswith(">")
    return PointCloud2(HEADER, *shape, fields, big, step, data.shape[1], data.reshape(-1), False)


@given(
    st.permutations(["x", "y", "z", "rgb", "label", "confidence", "instance", "ring"]),
    st.integers(0, 5), st.integers(0, 9), st.booleans(), st.sampled_from(["f4", "f8"]),
    st.sampled_from(["u1", "u2", "i4", "f4"]), st.sampled_from(["u4", "f4"]), st.integers(1, 4), st.integers(1, 5),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_any_layout(order, padding, row_padding, big, xyz_type, label_type, rgb_type, height, width):
    shape = (height, width)
    cloud = random_cloud(shape)
    sign = ">" if big else "<"
    types = {"x": xyz_type, "y": xyz_type, "z": xyz_type, "rgb": "u4", "label": label_type, "confidence": "f4",
             "instance": "u4", "ring": "u2"}  # fmt: skip
    types = {name: sign + kind for name, kind in types.items()}
    label = cloud.label % 250
    red, green, blue = (cloud.rgb[..., i].astype(np.uint32) for i in range(3))
    columns = {"x": cloud.xyz[..., 0], "y": cloud.xyz[..., 1], "z": cloud.xyz[..., 2],
               "rgb": 0xFF000000 | red << 16 | green << 8 | blue, "label": label,
               "confidence": cloud.confidence, "instance": cloud.instance, "ring": 7}  # fmt: skip
    msg = any_layout(columns, shape, order, padding, row_padding, types)
    for field in msg.fields:
        if field.name == "rgb":
            field.datatype = DATATYPES[rgb_type]
    expected = PointCloud(cloud.xyz, cloud.rgb, label, cloud.confidence, cloud.instance)
    if height == 1:
        rows = {name: getattr(expected, name)[0] for name in ("xyz", "rgb", "label", "confidence", "instance")}
        expected = PointCloud(**rows)
    assert_same(point_cloud2_to_cloud(msg), expected)
    assert (point_cloud2_to_columns(msg)["ring"] == 7).all()


def small(**changes):
    msg = cloud_to_point_cloud2(random_cloud((2, 3), ()), HEADER)
    return PointCloud2(**{**vars(msg), **changes})


def field(name, offset, datatype=7, count=1):
    return PointField(name=name, offset=offset, datatype=datatype, count=count)


XYZ = [field("x", 0), field("y", 4), field("z", 8)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fields": XYZ[:2]}, "point cloud has no field z; its fields are: x, y"),
        ({"fields": []}, "no field x y z; its fields are: none"),
        ({"fields": [*XYZ, field("rgb", 9)]}, "field 'rgb' ends at byte 13 of a point of 12 bytes"),
        ({"fields": [*XYZ, field("w", 0, 99)]}, "field 'w' has datatype 99; expected 1 to 8"),
        ({"fields": [*XYZ, field("rgb", 0, 8)]}, "field rgb has type float64; expected 4 bytes"),
        ({"data": np.zeros(71, np.uint8)}, "point cloud of 3x2 points of 12 bytes has 71 bytes; 72 needed"),
        ({"row_step": 20}, "row_step 20; 3 points of 12 do not fit"),
    ],
)
def test_bad_cloud(change, message):
    with pytest.raises(ValueError, match=message) as error:
        point_cloud2_to_cloud(small(**change))
    assert "\n" not in str(error.value)


def test_cloud_of_three_axes_is_refused():
    with pytest.raises(ValueError, match=r"\(N,\) or organised \(H, W\)"):
        cloud_to_point_cloud2(PointCloud(np.zeros((2, 2, 2, 3), np.float32)), HEADER)


def columns_message(**columns):
    names = ["x", "y", "z", *columns]
    types = dict.fromkeys("xyz", "<f4") | {name: f"<{values.dtype.str[1:]}" for name, values in columns.items()}
    return any_layout({"x": 1, "y": 2, "z": 3, **columns}, (1, 3), names, 0, 0, types)


def test_labels_that_do_not_fit_are_unlabelled():
    cloud = point_cloud2_to_cloud(columns_message(label=np.array([3, -1, 70000], np.int32)))
    np.testing.assert_array_equal(cloud.label, [3, 65535, 65535])
    cloud = point_cloud2_to_cloud(columns_message(label=np.array([3, np.nan, 2], np.float32)))
    np.testing.assert_array_equal(cloud.label, [3, 65535, 2])


def test_integer_confidence_is_scaled():
    cloud = point_cloud2_to_cloud(columns_message(confidence=np.array([0, 51, 255], np.uint8)))
    np.testing.assert_allclose(cloud.confidence, [0, 0.2, 1], rtol=1e-6)


def test_separate_colours():
    parts = {name: np.array([i, 2 * i, 255], np.uint8) for i, name in enumerate("rgb", start=1) if name != "rgb"}
    cloud = point_cloud2_to_cloud(columns_message(**parts))
    np.testing.assert_array_equal(cloud.rgb, [[1, 2, 3], [2, 4, 6], [255, 255, 255]])


def test_field_of_several_values():
    msg = small(fields=[field("xyz", 0, 7, 3)])
    assert point_cloud2_to_columns(msg)["xyz"].shape == (2, 3, 3)


def test_views_of_another_layout_are_encoded():
    """Not contiguous, and read-only: what a cloud that was read is."""
    cloud = random_cloud((6, 8))
    half = PointCloud(**{name: value[::2, ::-2] for name, value in vars(cloud).items()})
    assert_same(point_cloud2_to_cloud(cloud_to_point_cloud2(half, HEADER)), half)
    read = point_cloud2_to_cloud(cloud_to_point_cloud2(cloud, HEADER))
    assert_same(point_cloud2_to_cloud(cloud_to_point_cloud2(read, HEADER)), cloud)


def test_points_without_a_measurement():
    nan, inf = np.nan, np.inf
    xyz = np.array([[(1, 2, 3), (0, 0, 0), (0, 0, 1e-3)], [(nan, 0, 0), (0, -inf, 0), (-1, 0, 0)]], np.float32)
    np.testing.assert_array_equal(measured(xyz), [[True, False, True], [False, False, True]])
