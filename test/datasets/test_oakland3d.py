"""Tiles of Oakland 3-D: labels in five groups, lists, and what is wrong with a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scene_understanding.datasets.lists import SHIPPED
from scene_understanding.datasets.oakland3d import GROUPS, Oakland3d
from scene_understanding.datasets.open_clouds import open_clouds
from scene_understanding.datasets.rgbd import DatasetError
from scene_understanding.labels import load_label_set

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "oakland3d"
SOME = {1300: 0, 1306: 0, 1101: 1, 1105: 1, 1103: 2, 1303: 2, 1116: 2, 1203: 3, 1301: 3, 1400: 4, 1412: 4}
NEVER = (0, 5, 255, 1001, 1002, 1003, 1111, 1413, 1500, 1501, 9999, 65535)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tiles with a point of every id."""
    label = np.array([*SOME, *NEVER], np.uint16)
    xyz = np.arange(3 * len(label), dtype=np.float32).reshape(-1, 3)
    for name in ("b", "a"):
        np.savez_compressed(tmp_path / f"{name}.npz", xyz=xyz, label=label, conf=np.full(len(label), 2, np.uint8))
    return tmp_path


def test_labels_are_in_five_groups_and_all_else_is_unlabelled(folder: Path) -> None:
    tile = Oakland3d(folder)[0]
    assert tile.name == "a" and tile.cloud.xyz.dtype == np.float32
    assert tile.label.tolist() == [*SOME.values(), *[255] * len(NEVER)]
    assert tile.label.dtype == np.uint16 and tile.cloud.rgb is None


def test_no_id_is_in_two_groups() -> None:
    ids = [i for group in GROUPS.values() for i in group]
    assert len(ids) == len(set(ids)) and tuple(GROUPS) == load_label_set("oakland5").names


def test_a_split_is_all_tiles_or_a_list(folder: Path, tmp_path: Path) -> None:
    assert Oakland3d(folder).names == ("a", "b")
    (tmp_path / "mine.txt").write_text("b\n")
    dataset = open_clouds(f"oakland3d:{folder}", str(tmp_path / "mine.txt"))
    assert dataset.names == ("b",) and len(dataset) == 1 and dataset[-1].name == "b"
    assert open_clouds(f"oakland3d:{folder}").labels.name == "oakland5"


def test_the_shipped_lists_share_no_tile() -> None:
    fit, val = ((SHIPPED / f"oakland3d_{split}.txt").read_text().split() for split in ("fit", "val"))
    assert (len(fit), len(val)) == (10, 2) and not set(fit) & set(val)


@pytest.mark.parametrize(
    ("spec", "split", "message"),
    [
        ("oakland3d:{0}", "fit", "has no tile oakland_part2_ad.npz, which list 'fit' names"),
        ("oakland3d:{0}", "rest", "no list 'rest'"),
        ("oakland3d:{0}/nowhere", None, r"holds no tiles \(\*.npz\)"),
        ("oakland3d", None, "is not KIND:PLACE; expected oakland3d: and a folder of tiles"),
        ("nyuv2:{0}", None, "'nyuv2' is no dataset of point clouds; those are oakland3d"),
    ],
)
def test_what_is_not_there_is_said(folder: Path, spec: str, split: str | None, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_clouds(spec.format(folder), split)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"xyz": np.zeros((4, 3), np.float32)}, "is not a tile with xyz and label"),
        ({"xyz": np.zeros((4, 3), np.float32), "label": np.zeros(3, np.uint16)}, r"expected \(N, 3\) and \(N,\)"),
        ({"xyz": np.zeros((4, 2), np.float32), "label": np.zeros(4, np.uint16)}, r"expected \(N, 3\) and \(N,\)"),
    ],
)
def test_what_is_no_tile_is_refused(tmp_path: Path, content: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(DatasetError, match=message):
        Oakland3d(tmp_path)[0]


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    xyz = np.random.default_rng(0).integers(0, 9, (2000, 3)).astype(np.float32)
    np.savez_compressed(path, xyz=xyz, label=np.full(2000, 1203, np.uint16))
    whole = path.read_bytes()
    flipped = (
        whole[:k] + bytes(255 - b for b in whole[k : k + 40]) + whole[k + 40 :] for k in range(0, len(whole), 400)
    )
    for content in (b"PK\x03\x04 not a zip", *flipped):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match="a.npz is not a tile with xyz and label: "):
            Oakland3d(tmp_path)[0]


@pytest.mark.skipif(not DATA.is_dir(), reason="Oakland 3-D is not beside the repository (shared/data/oakland3d)")
def test_the_tiles_that_are_validated_on_hold_all_classes() -> None:
    dataset = Oakland3d(DATA, "val")
    for i in range(len(dataset)):
        counts = np.bincount(dataset[i].label, minlength=5)[:5]
        assert counts.min() >= 300, (dataset.names[i], counts)
