"""Datasets by the spelling of the command line: `KIND:PLACE`, such as nyuv2:data/nyuv2 or embedded:900-911."""

from __future__ import annotations

import re

from scene_understanding.datasets.camvid import CamVid
from scene_understanding.datasets.embedded import EmbeddedBuildings
from scene_understanding.datasets.folder import FolderDataset
from scene_understanding.datasets.kitti_stereo import KittiStereo
from scene_understanding.datasets.nyuv2 import NYUv2Folder
from scene_understanding.datasets.nyuv2_mat import NYUv2Mat
from scene_understanding.datasets.onera_dfd import OneraDfd
from scene_understanding.datasets.rgbd import DatasetError, RgbdDataset
from scene_understanding.datasets.seven_scenes import SevenScenesFolder
from scene_understanding.datasets.sunrgbd import SunRgbd

KINDS = {
    "nyuv2": "folder of NYU Depth v2",
    "nyuv2_mat": "nyu_depth_v2_labeled.mat, with classMapping40.mat and splits.mat beside it",
    "sunrgbd": "folder with SUNRGBD and SUNRGBDtoolbox",
    "camvid": "folder of CamVid, colour alone",
    "onera_dfd": "folder of ONERA's images for depth from defocus, those at f/2.8, without labels",
    "onera_dfd_f8": "the same scenes at f/8, nearly everything sharp",
    "folder": "folder of one's own",
    "embedded": "seed of a building of the embedded world, or seeds as 900-911",
    "embedded_tour": "the same, as a robot sees it on a tour",
    "7scenes": "folder of a 7-Scenes sequence, without labels",
}
"""What may stand before the colon, and what then stands after it."""

STEREO_KINDS = {"kitti_stereo": "folder of sequences of KITTI, rectified pairs without depth"}
"""The same for stereo pairs, which only networks for disparity take."""

PEOPLE_KINDS = {
    "lsp": "folder of Leeds Sports Pose",
    "embedded": "seed of a building of the embedded world, or seeds as 900-911, with people in every pose",
}
"""The same for images of people, which only networks for keypoints take (`open_people`)."""

CLOUD_KINDS = {
    "oakland3d": "folder of tiles of Oakland 3-D, streets scanned by a laser",
    "embedded_lidar": "seed of a building of the embedded world, or seeds as 900-911, as a robot's LiDAR sees it",
    "rubble": "seed of a block of the rubble world, or seeds as 2040-2043, as an aircraft scans it",
}
"""The same for labelled point clouds, which only networks for clouds take (`open_clouds`)."""

WITHOUT_LABELS = ("onera_dfd", "onera_dfd_f8", "7scenes")


def split_spec(spec: str) -> tuple[str, str]:
    """The kind and the place of a dataset.

    Raises:
        DatasetError: no colon, nothing after it, or an unknown kind.
    """
    kind, _, place = spec.partition(":")
    kind = {"seven_scenes": "7scenes"}.get(kind, kind)
    if place and kind in CLOUD_KINDS:
        raise DatasetError(f"{kind} holds point clouds; it is for networks of clouds (snapnet)")
    if place and kind in PEOPLE_KINDS and kind not in KINDS:
        raise DatasetError(f"{kind} shows people without depth or classes; it is for networks of keypoints (openpose)")
    if not place or kind not in {**KINDS, **STEREO_KINDS}:
        raise DatasetError(f"'{spec}' is not KIND:PLACE; kinds are {', '.join((*KINDS, *STEREO_KINDS))}")
    return kind, place


def open_dataset(spec: str, split: str | None = None, label_set: str | None = None) -> RgbdDataset:
    """The dataset that `spec` names.

    Args:
        split: list of images, by name or path; None for the dataset's own default (`train`; all of one's own folder).
        label_set: of the samples' labels; None for the dataset's own (NYUv2, the embedded world: nyu13).

    Raises:
        DatasetError: an unknown kind, a place that is not such a dataset, a split or label set that it does not have.
    """
    kind, place = split_spec(spec)
    if kind in STEREO_KINDS:
        raise DatasetError(f"{kind} holds stereo pairs without depth; they are for networks of disparity (monodepth)")
    if kind == "nyuv2":
        return NYUv2Folder(place, split or "train", label_set or "nyu13")
    if kind == "nyuv2_mat":
        return NYUv2Mat(place, split or "train", label_set or "nyu13")
    if kind == "sunrgbd":
        return SunRgbd(place, split or "train", label_set or "sunrgbd37")
    if kind == "camvid":
        return CamVid(place, split or "train", label_set or "camvid11")
    if kind == "folder":
        return FolderDataset(place, split, label_set)
    if kind in WITHOUT_LABELS and label_set is not None:
        raise DatasetError(f"{kind} has no labels, so none in '{label_set}'")
    if kind in ("onera_dfd", "onera_dfd_f8"):
        return OneraDfd(place, split or "train", "f8" if kind == "onera_dfd_f8" else "f2_8")
    if split is not None:
        raise DatasetError(f"{kind} has no lists of images, so no split '{split}'")
    if kind == "7scenes":
        return SevenScenesFolder(place)
    return EmbeddedBuildings(
        parse_seeds(place), kind="tour" if kind == "embedded_tour" else "random", label_set=label_set or "nyu13"
    )


def open_stereo(spec: str, split: str | None = None) -> KittiStereo:
    """The stereo pairs that `spec` names.

    Args:
        split: as in the dataset; None for all pairs.

    Raises:
        DatasetError: another kind, or a place or split that it does not have.
    """
    if spec in STEREO_KINDS:
        raise DatasetError(f"{spec} has no place: give --data {spec}:PLACE")
    kind, place = split_spec(spec)
    if kind not in STEREO_KINDS:
        raise DatasetError(f"{kind} holds no stereo pairs; {', '.join(STEREO_KINDS)} does")
    return KittiStereo(place, split)


def parse_seeds(text: str) -> range:
    """Seeds of "5" or of "900-911", both ends included.

    Raises:
        DatasetError: something else.
    """
    match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
    if first > last:
        raise DatasetError(f"embedded:{text} has no seed such as 5, nor seeds such as 900-911")
    return range(first, last + 1)
