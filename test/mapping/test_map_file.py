import json
from pathlib import Path

import numpy as np
import pytest

from scene_understanding.geometry import OPTICAL_FROM_BODY, PointCloud, Pose
from scene_understanding.labels import load_label_set
from scene_understanding.mapping import map_file
from scene_understanding.mapping.blocks import MapError
from scene_understanding.mapping.layers import GridParameters
from scene_understanding.mapping.map_file import load_map, save_map
from scene_understanding.mapping.voxel_map import MapParameters, SemanticMap

LABELS = load_label_set("nyu13")
POSE = Pose.from_rotation_translation(OPTICAL_FROM_BODY.T, (0.0, 0.0, 0.9))


@pytest.fixture
def built(scene) -> SemanticMap:
    semantic_map = SemanticMap(LABELS, MapParameters(max_blocks=800))
    for x in (0.0, 0.0, 6.0, 6.0, 12.0, 12.0):
        semantic_map.integrate(scene(), Pose.from_rotation_translation(POSE.rotation, POSE.translation + (x, 0, 0)))
        semantic_map.stand((x, 0.0), 0.3)
    semantic_map.layers()
    assert semantic_map.blocks.away > 0
    return semantic_map


def in_order(cloud: PointCloud) -> list[np.ndarray]:
    order = np.lexsort(cloud.xyz.T)
    return [column[order] for column in (cloud.xyz, cloud.label, cloud.confidence)]


@pytest.mark.parametrize("max_blocks", [800, 20_000])
def test_a_map_comes_back_whole(built: SemanticMap, tmp_path: Path, max_blocks: int) -> None:
    path = tmp_path / "map.npz"
    save_map(path, built)
    loaded = load_map(path, MapParameters(max_blocks=max_blocks))
    for a, b in zip(in_order(built.cloud()), in_order(loaded.cloud()), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(built.layers().occupancy, loaded.layers().occupancy)
    assert loaded.labels.names == LABELS.names and (loaded.labels.colours == LABELS.colours).all()
    assert len(loaded.blocks) <= max_blocks and list(tmp_path.iterdir()) == [path]


def test_a_loaded_map_goes_on(built: SemanticMap, tmp_path: Path, scene) -> None:
    save_map(tmp_path / "map.npz", built)
    loaded = load_map(tmp_path / "map.npz", MapParameters(max_blocks=800))
    for one in (built, loaded):
        one.integrate(scene(((1.5, -0.3, 0.0), (1.9, 0.3, 0.6), "chair")), POSE)
    assert len(loaded.cloud().xyz) == len(built.cloud().xyz)


def test_the_file_decides_how_large_voxels_are(tmp_path: Path, scene) -> None:
    coarse = SemanticMap(LABELS, MapParameters(voxel=0.1))
    coarse.integrate(scene(), POSE)
    save_map(tmp_path / "map.npz", coarse)
    assert load_map(tmp_path / "map.npz", MapParameters(voxel=0.05, max_range=2.0)).parameters == MapParameters(
        voxel=0.1, max_range=2.0
    )


def test_an_empty_map_is_a_map(tmp_path: Path) -> None:
    save_map(tmp_path / "map.npz", SemanticMap(LABELS))
    assert len(load_map(tmp_path / "map.npz").cloud().xyz) == 0


def test_who_dies_while_saving_leaves_the_old_file(built: SemanticMap, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "map.npz"
    save_map(path, built)
    before = path.read_bytes()

    def full(file, semantic_map) -> None:
        file.write(b"half of it")
        raise OSError("no space left")

    monkeypatch.setattr(map_file, "_write", full)
    with pytest.raises(OSError, match="no space left"):
        save_map(path, built)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_what_is_in_the_way_of_the_robot_is_kept(tmp_path: Path) -> None:
    tall = GridParameters(high=2.0, traversable=("wall",), rough=())
    save_map(tmp_path / "map.npz", SemanticMap(LABELS, grid=tall))
    assert load_map(tmp_path / "map.npz").columns.parameters == tall
    low = GridParameters(high=0.5)
    assert load_map(tmp_path / "map.npz", grid=low).columns.parameters == low


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 99}, "map.npz: it is a map of version 99; this program reads version 2"),
        ({"format": "other"}, "map.npz: it is no semantic map .*; its format is 'other'"),
        ({"labels": {}}, "map.npz is damaged or cannot be used: 'name'"),
        ({"labels": []}, "map.npz is damaged or cannot be used"),
    ],
)
def test_files_of_others_are_refused(tmp_path: Path, change: dict, says: str) -> None:
    path = tmp_path / "map.npz"
    save_map(path, SemanticMap(LABELS))
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["about"] = np.array(json.dumps(json.loads(str(arrays["about"])) | change))
    np.savez(path, **arrays)
    with pytest.raises(MapError, match=says):
        load_map(path)


def test_a_file_that_is_cut_off_is_refused(built: SemanticMap, tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    save_map(path, built)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(MapError, match="is no semantic map"):
        load_map(path)
    np.savez(path, xyz=np.zeros((4, 3)))
    with pytest.raises(MapError, match="map.npz: it is no semantic map"):
        load_map(path)
    with pytest.raises(FileNotFoundError):
        load_map(tmp_path / "none.npz")


@pytest.mark.parametrize("share", np.linspace(0.02, 0.999, 12).tolist())
def test_bytes_that_are_wrong_are_one_line(built: SemanticMap, tmp_path: Path, share: float) -> None:
    path = tmp_path / "map.npz"
    save_map(path, built)
    octets = bytearray(path.read_bytes())
    at = int(share * len(octets))
    octets[at : at + 40] = bytes(255 - octet for octet in octets[at : at + 40])
    path.write_bytes(octets)
    with pytest.raises(MapError, match=r"map\.npz") as error:
        load_map(path)
    assert "\n" not in str(error.value)


def test_blocks_that_do_not_fit_their_columns_are_refused(built: SemanticMap, tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    save_map(path, built)
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **(arrays | {"column_floor": arrays["column_floor"][:-1]}))
    with pytest.raises(MapError, match=r"map\.npz is damaged"):
        load_map(path)
    np.savez(path, **(arrays | {"first": arrays["first"][:-1]}))
    with pytest.raises(MapError, match=r"map\.npz: first of \d+ blocks has shape"):
        load_map(path)
