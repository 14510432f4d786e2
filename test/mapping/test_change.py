import dataclasses

import numpy as np
import pytest

from scene_understanding.geometry import OPTICAL_FROM_BODY, Pose
from scene_understanding.labels import load_label_set
from scene_understanding.mapping.blocks import MapError
from scene_understanding.mapping.change import change
from scene_understanding.mapping.voxel_map import MapParameters, SemanticMap

LABELS = load_label_set("nyu13")
CHAIR, TABLE = LABELS.id_of("chair"), LABELS.id_of("table")
POSE = Pose.from_rotation_translation(OPTICAL_FROM_BODY.T, (0.0, 0.0, 0.9))
CHAIR_BOX = ((1.5, -0.3, 0.0), (1.9, 0.3, 0.6), "chair")


def mapped(cloud, parameters: MapParameters | None = None, labels=LABELS) -> SemanticMap:
    semantic_map = SemanticMap(labels, parameters)
    for _ in range(6):
        semantic_map.integrate(cloud, POSE)
    return semantic_map


def test_what_came_and_what_went(scene) -> None:
    empty, with_chair = mapped(scene()), mapped(scene(CHAIR_BOX))
    there_and_back = change(empty, with_chair), change(with_chair, empty)
    for found, cloud in (
        (there_and_back[0], there_and_back[0].appeared),
        (there_and_back[1], there_and_back[1].vanished),
    ):
        assert len(cloud.xyz) > 100 and (cloud.label == CHAIR).all() and len(found.relabelled.xyz) == 0
        assert ((cloud.xyz > (1.44, -0.36, 0.0)) & (cloud.xyz < (1.96, 0.36, 0.66))).all()
    assert len(there_and_back[0].vanished.xyz) == len(there_and_back[1].appeared.xyz) == 0


def test_the_same_place_has_not_changed(scene) -> None:
    found = change(mapped(scene(CHAIR_BOX)), mapped(scene(CHAIR_BOX)))
    assert not any(len(cloud.xyz) for cloud in (found.appeared, found.vanished, found.relabelled))


def test_another_class_is_told(scene) -> None:
    found = change(mapped(scene(CHAIR_BOX)), mapped(scene((*CHAIR_BOX[:2], "table"))))
    assert len(found.relabelled.xyz) > 100 and (found.relabelled.label == TABLE).all() and (found.was == CHAIR).all()
    assert len(found.appeared.xyz) == len(found.vanished.xyz) == 0
    unsure = change(mapped(scene(CHAIR_BOX)), mapped(scene((*CHAIR_BOX[:2], "table"))), min_confidence=1.0)
    assert len(unsure.relabelled.xyz) == 0


def test_what_only_one_has_seen_is_no_change(scene) -> None:
    near = mapped(scene(CHAIR_BOX, reach=1.2))
    found = change(near, mapped(scene(CHAIR_BOX)))
    assert len(found.appeared.xyz) == 0


def test_maps_that_cannot_be_compared_say_why(scene) -> None:
    empty = SemanticMap(LABELS)
    with pytest.raises(MapError, match="voxels of 0.05 and 0.1 m"):
        change(empty, SemanticMap(LABELS, MapParameters(voxel=0.1)))
    with pytest.raises(MapError, match="classes of 'nyu13' and 'nyu40'"):
        change(empty, SemanticMap(load_label_set("nyu40")))
    assert len(change(empty, SemanticMap(dataclasses.replace(LABELS, name="same"))).was) == 0


def test_far_blocks_are_compared_too(scene) -> None:
    small = MapParameters(max_blocks=700)
    maps = [mapped(cloud, small) for cloud in (scene(), scene(CHAIR_BOX))]
    for one in maps:
        for x in (4.0, 8.0, 12.0):
            one.integrate(
                scene(), Pose.from_rotation_translation(POSE.rotation, POSE.translation + np.array([x, 0, 0]))
            )
        assert one.blocks.away > 0
    assert len(change(*maps).appeared.xyz) > 100
