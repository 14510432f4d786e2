"""Clouds to files and back, files as others write them, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scene_understanding.datasets.cloud_files import check_writable, read_cloud, read_located_cloud, write_cloud
from scene_understanding.datasets.ply import SIZED, TYPES, read_vertices
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.geometry import PointCloud

ENDINGS = (".ply", ".pcd", ".las", ".npz")


def some(count: int = 50, seed: int = 0, **without: None) -> PointCloud:
    rng = np.random.default_rng(seed)
    fields = {
        "rgb": rng.integers(0, 256, (count, 3), np.uint8),
        "label": rng.integers(0, 256, count).astype(np.uint16),
        "confidence": rng.random(count, np.float32),
        "instance": rng.integers(0, 2**32, count, np.uint32),
    }
    return PointCloud(rng.uniform(-90, 90, (count, 3)).astype(np.float32), **{**fields, **without})  # type: ignore[arg-type]


def assert_same(one: PointCloud, other: PointCloud, tolerance: float = 0.0) -> None:
    np.testing.assert_allclose(one.xyz, other.xyz, atol=tolerance, rtol=0)
    for name in ("rgb", "label", "confidence", "instance"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None), name
        if a is not None:
            assert a.dtype == b.dtype, name
            np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.parametrize("ending", ENDINGS)
def test_all_of_a_cloud_comes_back(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"cloud{ending.upper()}"
    write_cloud(path, some())
    assert_same(read_cloud(path), some(), 0.0006 if ending == ".las" else 0)


@pytest.mark.parametrize("ending", ENDINGS)
def test_points_alone_come_back(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"cloud{ending}"
    bare = some(rgb=None, label=None, confidence=None, instance=None)
    write_cloud(path, bare)
    found = read_cloud(path)
    if ending == ".las":  # every point of LAS has a class, 0 is "never classified"
        assert found.label is not None and not found.label.any()
        found = PointCloud(found.xyz)
    assert_same(found, bare, 0.0006 if ending == ".las" else 0)


@pytest.mark.parametrize("ending", ENDINGS)
def test_map_coordinates_keep_their_millimetres(tmp_path: Path, ending: str) -> None:
    path, origin = tmp_path / f"cloud{ending}", np.array([448_200.0, 5_411_900.0, 151.0])
    write_cloud(path, some(), origin)
    found, its_origin = read_located_cloud(path)
    assert (its_origin == np.floor(its_origin)).all()
    np.testing.assert_allclose(found.xyz + its_origin, some().xyz + origin, atol=0.0011)
    assert found.xyz.dtype == np.float32 and np.abs(found.xyz).max() < 1000
    again = tmp_path / f"again{ending}"
    write_cloud(again, found, its_origin)
    twice, its_origin = read_located_cloud(again)
    np.testing.assert_allclose(twice.xyz + its_origin, some().xyz + origin, atol=0.0011)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(1, 30), order=st.sampled_from(["<", ">", "="]),
    kinds=st.lists(st.sampled_from([*TYPES, *SIZED]), min_size=1, max_size=8),
)  # fmt: skip
def test_ply_of_any_types_and_order_of_bytes(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, order: str, kinds: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.ply"
    form = {"<": "binary_little_endian", ">": "binary_big_endian", "=": "ascii"}[order]
    codes = [(f"p{i}", order + {**TYPES, **SIZED}[kind]) for i, kind in enumerate(kinds)]
    values = np.random.default_rng(seed).integers(0, 100, (count, len(kinds)))
    vertices = np.array([tuple(row) for row in values], codes)
    head = ["ply", "comment by hand", f"format {form} 1.0", "obj_info none", f"element vertex {count}"]
    head += [f"property {kind} p{i}" for i, kind in enumerate(kinds)]
    head += ["element face 1", "property list uchar int vertex_indices", "end_header", ""]
    body = "".join(" ".join(map(str, row)) + "\n" for row in values).encode() if order == "=" else vertices.tobytes()
    path.write_bytes("\n".join(head).encode() + body + (b"3 0 1 2\n" if order == "=" else b"\x03" + bytes(12)))
    found = read_vertices(path)
    for i in range(len(kinds)):
        np.testing.assert_array_equal(found[f"p{i}"], values[:, i])
        assert found[f"p{i}"].dtype.isnative


def test_open3d_reads_our_ply_and_we_read_its(tmp_path: Path) -> None:
    import open3d as o3d

    cloud = some(instance=None)
    write_cloud(tmp_path / "ours.ply", cloud)
    found = o3d.t.io.read_point_cloud(tmp_path / "ours.ply")
    np.testing.assert_array_equal(found.point.positions.numpy(), cloud.xyz)
    np.testing.assert_array_equal(found.point.colors.numpy(), cloud.rgb)
    np.testing.assert_array_equal(found.point["label"].numpy()[:, 0], cloud.label)
    for ascii_ in (False, True):
        o3d.t.io.write_point_cloud(tmp_path / "its.ply", found, write_ascii=ascii_)
        its = read_cloud(tmp_path / "its.ply")
        np.testing.assert_allclose(its.xyz, cloud.xyz, rtol=1e-5)
        np.testing.assert_array_equal(its.label, cloud.label)
        np.testing.assert_array_equal(its.rgb, cloud.rgb)


def test_kitti_scan(tmp_path: Path) -> None:
    scan = np.random.default_rng(0).normal(size=(20, 4)).astype("<f4")
    scan.tofile(tmp_path / "000000.bin")
    found = read_cloud(tmp_path / "000000.bin")
    np.testing.assert_array_equal(found.xyz, scan[:, :3])
    assert found.label is None


def test_colours_of_other_depths(tmp_path: Path) -> None:
    rgb = np.array([[0, 128, 255], [7, 200, 30]], np.uint8)
    xyz = np.zeros((2, 3))
    for name, stored in (("shares", rgb / 255), ("sixteen", rgb.astype(np.uint16) * 257), ("bytes", rgb.astype(float))):
        np.savez(tmp_path / f"{name}.npz", xyz=xyz, rgb=stored)
        np.testing.assert_array_equal(read_cloud(tmp_path / f"{name}.npz").rgb, rgb)


HEAD = "ply\nformat binary_little_endian 1.0\nelement vertex 9\nproperty float x\nproperty float y\nproperty float z\n"
PCD = "VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 9\nHEIGHT 1\nPOINTS 9\nDATA binary\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.ply", b"hello", "a.ply is no PLY file: its first line is not 'ply'"),
        ("a.ply", b"", "is no PLY file"),
        ("a.ply", b"\xff" * 4000, "is no PLY file"),
        ("a.ply", b"ply\nformat binary_middle 1.0\n", "header line 'format binary_middle 1.0' is none of PLY"),
        ("a.ply", b"ply\nend_header\n", "does not say format, vertices and their properties"),
        ("a.ply", b"ply\n" + b"comment x\n" * 2000, "has no end_header"),
        ("a.ply", HEAD.encode() + b"end_header\n" + bytes(50), "ends after 4 of 9 vertices"),
        ("a.ply", HEAD.encode() + b"property float x\nend_header\n" + bytes(200), "has a property twice: x, y, z, x"),
        ("a.ply", HEAD.encode() + b"property quad w\nend_header\n", "'w' is of type 'quad'; known are char"),
        ("a.ply", HEAD.encode() + b"property list uchar int w\n", "has lists in its vertices"),
        ("a.ply", HEAD.replace("binary_little_endian", "ascii").encode() + b"end_header\n1 2 3\n", "after 1 of 9"),
        ("a.ply", HEAD.replace("binary_little_endian", "ascii").encode() + b"end_header\n1 b 3\n", "a.ply: "),
        ("a.ply", b"ply\nformat ascii 1.0\nelement face 3\n", "has faces before its vertices"),
        ("a.ply", HEAD.replace("float z", "float height").encode() + b"end_header\n" + bytes(108), "lacks z; it has x"),
        ("a.ply", HEAD.replace("9", "0").encode() + b"end_header\n", "holds no points"),
        ("a.pcd", b"hello", "a.pcd is no PCD file with points, or is damaged"),
        ("a.pcd", PCD.encode() + bytes(40), "is no PCD file with points, or is damaged"),
        ("a.las", b"hello", "a.las is no LAS file, or is damaged"),
        ("a.las", b"LASF" + bytes(400), "a.las is no LAS file, or is damaged"),
        ("a.npz", b"hello", "a.npz is no npz archive of arrays, or is damaged"),
        ("a.bin", bytes(30), "a.bin has 30 bytes; expected 16 a point"),
        ("a.bin", b"", "holds no points"),
        ("a.xyz", b"1 2 3", r"no cloud that can be read: known are .ply, .pcd, .las, .npz, .bin"),
    ],
)
def test_bad_files_are_told_in_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=message) as error:
        read_cloud(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_las_file_that_ends_early(tmp_path: Path) -> None:
    write_cloud(tmp_path / "whole.las", some())
    whole = (tmp_path / "whole.las").read_bytes()
    (tmp_path / "cut.las").write_bytes(whole[:-100])
    with pytest.raises(DatasetError, match="cut.las is no LAS file, or is damaged"):
        read_cloud(tmp_path / "cut.las")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"points": np.zeros((3, 3))}, "lacks x, y, z; it has nothing"),
        ({"xyz": np.zeros((3, 4))}, r"xyz has shape \(3, 4\); expected \(N, 3\)"),
        ({"xyz": np.zeros((3, 3)), "label": np.zeros(2)}, r"label has shape \(2,\)"),
        ({"xyz": np.zeros((3, 3)), "label": np.array([0, 1, 70_000])}, "0 to 70000; expected whole numbers 0..65535"),
        ({"xyz": np.zeros((3, 3)), "label": np.array([0, 1, -2])}, "labels or instances are -2 to 1"),
        ({"xyz": np.zeros((3, 3)), "label": np.array([0, 1, 0.5])}, "expected whole numbers"),
    ],
)
def test_bad_arrays_are_told(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match=message):
        read_cloud(tmp_path / "a.npz")


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.float32])
def test_a_label_of_minus_one_is_unlabelled(tmp_path: Path, kind: type) -> None:
    np.savez(tmp_path / "a.npz", xyz=np.zeros((4, 3)), label=np.array([0, -1, 7, -1], kind))
    found = read_cloud(tmp_path / "a.npz").label
    assert found is not None and found.dtype == np.uint16 and found.tolist() == [0, 255, 7, 255]


def test_an_npz_file_with_flipped_bytes_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, xyz=np.random.default_rng(0).integers(0, 9, (2000, 3)).astype(np.float32))
    whole = path.read_bytes()
    for k in range(1, 12):
        middle = k * len(whole) // 12
        path.write_bytes(whole[:middle] + bytes(255 - b for b in whole[middle : middle + 40]) + whole[middle + 40 :])
        with pytest.raises(DatasetError, match="a.npz is no npz archive of arrays, or is damaged: ") as error:
            read_cloud(path)
        assert "\n" not in str(error.value)


def test_what_cannot_be_written_or_found(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="a.ply is missing"):
        read_cloud(tmp_path / "a.ply")
    for check in (lambda path: write_cloud(path, some()), check_writable):
        with pytest.raises(DatasetError, match="no cloud that can be written: known are .ply, .pcd, .las, .npz"):
            check(tmp_path / "a.bin")
    many = PointCloud(np.zeros((1, 3), np.float32), label=np.array([300], np.uint16))
    with pytest.raises(DatasetError, match="label 300 is above 255, the last class of LAS; .ply holds it"):
        write_cloud(tmp_path / "a.las", many)
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError):
        write_cloud(tmp_path / "nowhere/a.ply", some())
