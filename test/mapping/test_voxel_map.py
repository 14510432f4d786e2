import numpy as np
import pytest

from scene_understanding.geometry import OPTICAL_FROM_BODY, PinholeCamera, PointCloud, Pose
from scene_understanding.labels import load_label_set
from scene_understanding.mapping.blocks import MapError
from scene_understanding.mapping.voxel_map import MapParameters, SemanticMap, Volume

LABELS = load_label_set("nyu13")
FLOOR, WALL, CHAIR, TABLE = (LABELS.id_of(name) for name in ("floor", "wall", "chair", "table"))
POSE = Pose.from_rotation_translation(OPTICAL_FROM_BODY.T, (0.0, 0.0, 0.9))
CHAIR_BOX = ((1.5, -0.3, 0.0), (1.9, 0.3, 0.6), "chair")


def looked(semantic_map: SemanticMap, cloud: PointCloud, times: int = 2, pose: Pose = POSE) -> PointCloud:
    for _ in range(times):
        semantic_map.integrate(cloud, pose)
    return semantic_map.cloud(unlabelled=True)


def of(cloud: PointCloud, label: int) -> np.ndarray:
    return cloud.xyz[cloud.label == label]


def test_voxels_lie_on_the_surfaces_and_have_their_classes(scene) -> None:
    cloud = looked(SemanticMap(LABELS), scene(CHAIR_BOX))
    assert np.abs(of(cloud, WALL)[:, 0] - 3.01).max() < 0.05
    assert np.abs(of(cloud, FLOOR)[:, 2]).max() < 0.01  # the layer in whose middle the floor lies
    chair = of(cloud, CHAIR)
    assert len(chair) > 150 and ((chair > (1.44, -0.36, -0.03)) & (chair < (1.96, 0.36, 0.66))).all()
    np.testing.assert_array_equal(cloud.rgb, LABELS.colorize(cloud.label))


def test_once_is_no_proof(scene) -> None:
    semantic_map = SemanticMap(LABELS)
    assert len(looked(semantic_map, scene(), times=1).xyz) == 0
    assert len(looked(semantic_map, scene(), times=1).xyz) > 1000


def test_what_moved_away_fades_and_the_rest_stays(scene) -> None:
    semantic_map = SemanticMap(LABELS)
    before = looked(semantic_map, scene(CHAIR_BOX), times=10)
    after = looked(semantic_map, scene(), times=15)
    assert len(of(before, CHAIR)) > 150 and len(of(after, CHAIR)) == 0
    assert len(of(after, WALL)) >= len(of(before, WALL)) and len(of(after, FLOOR)) > len(of(before, FLOOR))


def test_near_a_lidar_what_has_gone_fades_between_its_rings_too() -> None:
    azimuth, rings = np.meshgrid(np.deg2rad(np.arange(0.0, 360.0, 0.5)), np.deg2rad(np.arange(-15.0, 16.0, 2.0)))
    wall = 3.0 * np.stack([np.cos(azimuth) * np.cos(rings), np.sin(azimuth) * np.cos(rings), np.sin(rings)], -1)
    y, z = np.meshgrid(np.arange(-0.2, 0.2, 0.02), np.arange(-0.2, 0.2, 0.02))
    for distance, gone in ((0.9, True), (2.0, False)):
        semantic_map, lidar = SemanticMap(LABELS), Pose.from_rotation_translation(np.eye(3), (0, 0, 0.45))
        thing = np.stack([np.full_like(y, distance + 0.025), y, z], -1).reshape(-1, 3).astype(np.float32)
        cloud = PointCloud(thing, label=np.full(len(thing), CHAIR, np.uint16))
        before = len(of(looked(semantic_map, cloud, 10, lidar), CHAIR))
        after = len(of(looked(semantic_map, PointCloud(wall.reshape(-1, 3).astype(np.float32)), 60, lidar), CHAIR))
        assert before > 50 and (after == 0 if gone else 0.2 * before < after < 0.8 * before)


@pytest.mark.parametrize(("share", "shows"), [(1.0, True), (0.34, False)])
def test_what_appears_where_it_was_free_must_stay_to_enter(scene, share: float, shows: bool) -> None:
    semantic_map = SemanticMap(LABELS, MapParameters(hit_in_free=share))
    looked(semantic_map, scene(), times=10)
    passing = looked(semantic_map, scene(CHAIR_BOX), times=6)
    assert (len(of(passing, CHAIR)) > 100) == shows
    assert len(of(looked(semantic_map, scene(CHAIR_BOX), times=10), CHAIR)) > 150


def test_surfaces_seen_at_a_slant_are_not_seen_through(scene) -> None:
    table = ((1.0, -0.8, 0.68), (2.6, 0.8, 0.72), "table")  # 18 cm below the camera
    semantic_map = SemanticMap(LABELS)
    counts = [len(of(looked(semantic_map, scene(table), times=10), TABLE)) for _ in range(4)]
    assert counts[0] > 300 and min(counts) >= 0.98 * max(counts)


def test_the_class_that_is_said_more_surely_wins(scene) -> None:
    semantic_map, cloud = SemanticMap(LABELS), scene()
    wrong = PointCloud(
        cloud.xyz, label=np.full_like(cloud.label, CHAIR), confidence=np.full(cloud.label.shape, 0.4, np.float32)
    )
    looked(semantic_map, wrong, 2)
    found = looked(semantic_map, cloud, 4)
    assert len(of(found, CHAIR)) == 0 and (found.confidence > 0.5).all()


def test_without_labels_there_is_occupancy_alone(scene) -> None:
    cloud = scene()
    unlabelled = looked(SemanticMap(LABELS), PointCloud(cloud.xyz))
    strange = looked(SemanticMap(LABELS), PointCloud(cloud.xyz, label=np.full(cloud.label.shape, 777, np.uint16)))
    for found in (unlabelled, strange):
        assert len(found.xyz) > 1000 and (found.label == 255).all() and not found.confidence.any()


def test_classes_less_sure_than_asked_for_are_unlabelled(scene) -> None:
    semantic_map = SemanticMap(LABELS)
    looked(semantic_map, scene())
    unsure = semantic_map.cloud(min_confidence=0.999, unlabelled=True)
    assert (unsure.label == 255).all() and len(unsure.xyz) == len(semantic_map.cloud().xyz) > 1000
    assert len(semantic_map.cloud(min_confidence=0.999).xyz) == 0


def test_what_is_merely_in_the_way_shows_when_it_is_asked_for(scene) -> None:
    semantic_map, cloud = SemanticMap(LABELS), scene(CHAIR_BOX)
    label = np.where(cloud.label == FLOOR, cloud.label, 255).astype(np.uint16)
    everything = looked(semantic_map, PointCloud(cloud.xyz, label=label, confidence=cloud.confidence), 4)
    shown = semantic_map.cloud()
    assert set(shown.label) == {FLOOR} and len(shown.xyz) == len(of(everything, FLOOR)) < len(everything.xyz)
    np.testing.assert_array_equal(shown.rgb, LABELS.colorize(shown.label))
    assert (semantic_map.layers().occupancy == 100).sum() > 50


def test_an_organised_cloud_and_its_points_are_the_same_map(scene) -> None:
    cloud = scene(CHAIR_BOX)
    flat = PointCloud(cloud.xyz.reshape(-1, 3), label=cloud.label.reshape(-1), confidence=cloud.confidence.reshape(-1))
    one, other = (looked(SemanticMap(LABELS), c) for c in (cloud, flat))
    np.testing.assert_array_equal(np.unique(one.xyz, axis=0), np.unique(other.xyz, axis=0))


def test_a_lens_is_no_pinhole_and_things_still_fade(scene) -> None:
    def bent(cloud: PointCloud) -> PointCloud:
        """Its columns in another order: no camera's, as of a raw image."""
        order = np.random.default_rng(0).permutation(cloud.xyz.shape[1])
        return PointCloud(cloud.xyz[:, order], label=cloud.label[:, order], confidence=cloud.confidence[:, order])

    semantic_map = SemanticMap(LABELS)
    before = looked(semantic_map, bent(scene(CHAIR_BOX)), 3)
    after = looked(semantic_map, bent(scene()), 25)
    assert len(of(after, CHAIR)) < 0.2 * len(of(before, CHAIR)) and len(of(after, WALL)) >= len(of(before, WALL))


@pytest.mark.parametrize("blocks", [(0, 7), (-40_000, 1), (30_000, 40_000)])
def test_far_from_the_origin_it_is_as_exact(scene, blocks: tuple[int, int]) -> None:
    away = np.array([*blocks, 0]) * 0.4
    far = Pose.from_rotation_translation(POSE.rotation, POSE.translation + away)
    here, there = (looked(SemanticMap(LABELS), scene(CHAIR_BOX), pose=pose) for pose in (POSE, far))
    assert len(there.xyz) == pytest.approx(len(here.xyz), rel=0.02)
    np.testing.assert_allclose(there.xyz.min(0) - away, here.xyz.min(0), atol=2e-3)


def test_points_beyond_the_range_do_not_enter_but_show_what_is_free(scene) -> None:
    semantic_map = SemanticMap(LABELS, MapParameters(max_range=2.0))
    before = looked(semantic_map, scene(CHAIR_BOX), 5)
    assert len(of(before, WALL)) == 0 and len(of(before, CHAIR)) > 100
    assert len(of(looked(semantic_map, scene(), 15), CHAIR)) == 0


@pytest.mark.parametrize("kind", ["nothing", "no points", "all unknown"])
def test_clouds_of_nothing(kind: str) -> None:
    shape = {"nothing": (0, 3), "no points": (0, 0, 3), "all unknown": (120, 160, 3)}[kind]
    semantic_map = SemanticMap(LABELS)
    assert len(looked(semantic_map, PointCloud(np.full(shape, np.nan, np.float32))).xyz) == 0
    assert semantic_map.layers().occupancy.shape == (8, 8)


def test_many_points_are_thinned_without_gaps(scene) -> None:
    camera = PinholeCamera.from_fov(640, 480, np.deg2rad(70))
    whole = looked(SemanticMap(LABELS, MapParameters(max_points=10**6)), scene(camera=camera))
    thinned = looked(SemanticMap(LABELS), scene(camera=camera), 3)
    assert len(thinned.xyz) > 0.97 * len(whole.xyz)


@pytest.mark.parametrize("organised", [True, False])
def test_points_0_0_0_say_nothing(scene, organised: bool) -> None:
    """They neither enter nor hide what was seen through beside them: a map with them is that with NaN."""
    maps = []
    for nothing in (0.0, np.nan):
        semantic_map = SemanticMap(LABELS)
        for boxes, times in (((CHAIR_BOX,), 3), ((), 20)):
            cloud = scene(*boxes)
            xyz = cloud.xyz.copy()
            xyz[::6, ::6] = nothing
            if not organised:
                xyz, label = xyz.reshape(-1, 3), cloud.label.reshape(-1)
            else:
                label = cloud.label
            looked(semantic_map, PointCloud(xyz, label=label), times)
        maps.append(semantic_map.cloud(unlabelled=True).xyz)
    np.testing.assert_array_equal(*maps)
    assert np.linalg.norm(maps[0] - POSE.translation, axis=1).min() > 0.5


# People


def ball(middle: tuple[float, float, float], radius: float) -> Volume:
    place = np.array(middle)
    return Volume(place[None] - radius, place[None] + radius,
                  lambda points: np.linalg.norm(points - place, axis=1) <= radius)  # fmt: skip


def test_what_is_inside_of_people_does_not_enter(scene) -> None:
    semantic_map = SemanticMap(LABELS)
    for _ in range(3):
        semantic_map.integrate(scene(CHAIR_BOX), POSE, people=ball((1.7, 0.0, 0.3), 0.7))
    found = semantic_map.cloud()
    assert len(of(found, CHAIR)) == 0 and len(of(found, WALL)) > 100


def test_clearing_leaves_the_floor(scene) -> None:
    semantic_map = SemanticMap(LABELS)
    before = looked(semantic_map, scene(CHAIR_BOX), 5)
    semantic_map.clear_inside(ball((1.7, 0.0, 0.3), 0.7))
    after = semantic_map.cloud()
    assert len(of(after, CHAIR)) == 0
    assert len(of(after, FLOOR)) == len(of(before, FLOOR)) and len(of(after, WALL)) == len(of(before, WALL))


def test_a_person_who_is_not_known_clears_nothing(scene) -> None:
    semantic_map = SemanticMap(LABELS)
    before = looked(semantic_map, scene(CHAIR_BOX))
    nowhere = np.full((1, 3), np.inf)
    semantic_map.clear_inside(Volume(nowhere, -nowhere, lambda points: np.ones(len(points), bool)))
    assert len(semantic_map.cloud().xyz) == len(before.xyz)


# Memory


def walk(semantic_map: SemanticMap, scene, to: float, step: float = 2.0) -> None:
    """Drives through a hall of rooms, each as the first."""
    for x in np.arange(0, to, step):
        pose = Pose.from_rotation_translation(POSE.rotation, POSE.translation + (x, 0, 0))
        looked(semantic_map, scene(CHAIR_BOX), 2, pose)
        semantic_map.layers()


def test_far_blocks_go_away_and_nothing_is_lost(scene, tmp_path) -> None:
    large, small = SemanticMap(LABELS), SemanticMap(LABELS, MapParameters(max_blocks=800), folder=tmp_path)
    for one in (large, small):
        walk(one, scene, 20.0)
    figures = small.figures()
    assert figures["blocks"] <= 800 < figures["blocks_away"] + figures["blocks"]
    whole, paged = large.cloud(), small.cloud()
    np.testing.assert_array_equal(*(c.xyz[np.lexsort(c.xyz.T)] for c in (whole, paged)))
    np.testing.assert_array_equal(small.layers().occupancy, large.layers().occupancy)
    looked(small, scene(CHAIR_BOX), 1)  # back where it began
    assert small.figures()["blocks"] <= 800
    first = lambda c: c.xyz[c.xyz[:, 0] < 3.1]  # noqa: E731
    assert len(first(small.cloud())) >= len(first(whole)) > 0


def test_memory_stays_flat_when_the_place_is_known(scene) -> None:
    semantic_map = SemanticMap(LABELS)
    walk(semantic_map, scene, 6.0)
    known = semantic_map.figures()
    for _ in range(3):
        walk(semantic_map, scene, 6.0)
    assert semantic_map.figures() == known


def test_too_few_blocks_for_what_is_near_say_so(scene) -> None:
    with pytest.raises(MapError, match="max_blocks = 64 are too few for what is near"):
        SemanticMap(LABELS, MapParameters(max_blocks=64)).integrate(scene(), POSE)


def test_a_cleared_map_is_empty(scene) -> None:
    semantic_map = SemanticMap(LABELS)
    looked(semantic_map, scene())
    semantic_map.layers()
    semantic_map.clear()
    assert len(semantic_map.cloud().xyz) == 0 and (semantic_map.layers().occupancy == -1).all()


def test_parameters_that_make_no_sense_are_refused() -> None:
    for wrong, says in (({"voxel": 0.0}, "voxels of 0.0 m"), ({"max_range": 0.01}, "max_range is 0.01"),
                        ({"occupied": 5.0}, "occupied 5.0"),
                        ({"occupied": 0.04}, "occupied is 0.04; below 0.1")):  # fmt: skip
        with pytest.raises(ValueError, match=says):
            MapParameters(**wrong)
