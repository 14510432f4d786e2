import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from scene_understanding.cli import main
from scene_understanding.commands.map import APPEARED, PIXELS, VANISHED
from scene_understanding.datasets.cloud_files import read_located_cloud, write_cloud
from scene_understanding.geometry import PinholeCamera, PointCloud, Pose
from scene_understanding.labels import load_label_set
from scene_understanding.mapping.layers import GridParameters
from scene_understanding.mapping.map_file import save_map
from scene_understanding.mapping.voxel_map import SemanticMap

LABELS = load_label_set("nyu13")


def saved(path: Path, chair_at: float, grid: GridParameters | None = None, labelled: bool = True) -> str:
    """A map of a floor of 2 m by 1 m with a chair of 18 cm by 18 cm that is half a metre high, seen from above."""
    camera = PinholeCamera(160, 80, 240.0, 240.0, 79.5, 39.5)
    above = Pose.from_rotation_translation(np.diag([1.0, -1, -1]), (1.0, 0.5, 3.0))
    place = above.apply(camera.rays * np.float32(2.5))
    chair = (np.abs(place[..., :2] - (chair_at, 0.5)) < 0.09).all(-1)
    label = np.where(chair, LABELS.id_of("chair"), LABELS.id_of("floor")).astype(np.uint16)
    cloud = PointCloud(camera.back_project(np.where(chair, np.float32(2.5), np.float32(3.0))), label=label)
    if not labelled:
        label[chair] = 255
    semantic_map = SemanticMap(LABELS, grid=grid)
    for _ in range(4):
        semantic_map.integrate(cloud, above)
    save_map(path, semantic_map)
    return str(path)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["map", *arguments])
    return int(ended.value.code or 0)


def report(capfd, *arguments: str) -> dict:
    assert run(*arguments, "--json") == 0
    return json.loads(capfd.readouterr().out.splitlines()[-1])


def test_show_and_export(tmp_path: Path, capfd) -> None:
    path = saved(tmp_path / "map.npz", 0.5)
    shown = report(capfd, "show", path)
    assert shown["voxels"]["chair"] == 16 and shown["floor_m2"] == pytest.approx(2.0, rel=0.03)
    exported = report(capfd, "export", path, str(tmp_path / "map.ply"))
    cloud = read_located_cloud(exported["out"])[0]
    assert len(cloud.xyz) == sum(shown["voxels"].values()) and (cloud.label == LABELS.id_of("chair")).sum() == 16
    report(capfd, "export", path, str(tmp_path / "map.png"))
    plan = cv2.imread(str(tmp_path / "map.png"))[..., ::-1]
    assert (plan == LABELS.colorize(np.array([LABELS.id_of("chair")], np.uint16))[0]).all(-1).sum() == 16 * PIXELS**2


def test_a_map_is_shown_for_the_robot_that_made_it(tmp_path: Path, capfd) -> None:
    flying = saved(tmp_path / "map.npz", 0.5, GridParameters(traversable=(), rough=()))
    assert report(capfd, "show", flying)["floor_m2"] == 0


def test_what_has_no_class_is_shown_and_written_too(tmp_path: Path, capfd) -> None:
    path = saved(tmp_path / "map.npz", 0.5, labelled=False)
    shown = report(capfd, "show", path)["voxels"]
    assert shown.keys() == {"floor", "unlabelled"} and shown["unlabelled"] == 16
    cloud = read_located_cloud(report(capfd, "export", path, str(tmp_path / "map.ply"))["out"])[0]
    assert (cloud.label == 255).sum() == 16


def test_change_names_what_came_and_what_went(tmp_path: Path, capfd) -> None:
    old, new = saved(tmp_path / "old.npz", 0.5), saved(tmp_path / "new.npz", 1.5)
    found = report(capfd, "change", old, new, "--out", str(tmp_path / "change.ply"))
    assert found["appeared"].keys() == found["vanished"].keys() == {"chair"}
    assert found["appeared"]["chair"] > 5
    cloud = read_located_cloud(found["out"])[0]
    assert {tuple(colour) for colour in cloud.rgb.tolist()} == {APPEARED, VANISHED}
    assert report(capfd, "change", old, old)["appeared"] == {}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "none.npz"], "none.npz"),
        (["change", "cloud.ply", "map.npz"], "cloud.ply: it is no semantic map (.npz of ~/save or of `demo`)"),
        (["show", "cloud.npz"], "cloud.npz: it is no semantic map (.npz of ~/save or of `demo`)"),
        (["export", "map.npz", "map.xyz"], "no cloud that can be written"),
        (["export", "map.npz", "map.npz"], "exists; --force overwrites it"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path: Path, capfd, monkeypatch, arguments, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    saved(Path("map.npz"), 0.5)
    for name in ("cloud.ply", "cloud.npz"):
        write_cloud(Path(name), PointCloud(np.zeros((3, 3), np.float32)))
    assert run(*arguments) == 2
    assert says in capfd.readouterr().err
