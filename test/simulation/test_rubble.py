from dataclasses import replace
from functools import cache

import numpy as np
import open3d as o3d
import pytest

from scene_understanding.simulation.rubble import rubble_world
from scene_understanding.simulation.rubble_layout import FALLS
from scene_understanding.simulation.rubble_mesh import MeshParts, Raster, RubbleClass, boxes, quads
from scene_understanding.simulation.rubble_scan import Survey, scan_world, survey_rays

world_of = cache(rubble_world)  # what nobody changes
SPARSE = Survey(lines=5, density=6.0, noise=0.0, dropout=0.0)


@pytest.fixture(scope="module")
def block():
    return world_of(2011)


@pytest.fixture(scope="module")
def cloud(block):
    return scan_world(block, SPARSE, 3)


def test_the_seed_makes_the_world(block):
    again, other = rubble_world(2011), world_of(2016)
    for name in ("vertices", "triangles", "label", "instance", "albedo"):
        np.testing.assert_array_equal(getattr(block.mesh, name), getattr(again.mesh, name))
    assert block.mesh.vertices.shape != other.mesh.vertices.shape


def test_every_triangle_is_described(block):
    mesh = block.mesh
    count = len(mesh.triangles)
    assert len(mesh.label) == len(mesh.instance) == len(mesh.albedo) == count
    assert mesh.triangles.max() < len(mesh.vertices) and np.isfinite(mesh.vertices).all()
    assert mesh.instance.max() <= len(block.layout.buildings)
    assert set(np.unique(mesh.label)) == set(RubbleClass)
    assert ((mesh.albedo >= 0) & (mesh.albedo <= 1)).all()
    natural = np.isin(mesh.label, (RubbleClass.TERRAIN, RubbleClass.VEGETATION))
    assert (mesh.instance[natural] == 0).all() and (mesh.instance[mesh.label == RubbleClass.RUBBLE] > 0).all()


@pytest.mark.parametrize("seed", [2011, 2016, 2019])
def test_damage_is_what_the_fall_says(seed):
    world = world_of(seed)
    falls = np.array([plan.fall for plan in world.layout.buildings])
    assert set(falls) <= set(FALLS) and {"intact", "heap", "partial"} <= set(falls)
    assert (world.damage[np.isin(falls, ("intact", "scarred"))] == 0).all()
    assert (world.damage[falls == "heap"] > 0.8).all()
    partial = world.damage[falls == "partial"]
    assert ((partial > 0.02) & (partial < 0.98)).all()


def test_what_fell_is_rubble_and_what_stands_is_as_high_as_it_was(block):
    mesh, middles = block.mesh, block.mesh.vertices[block.mesh.triangles].mean(1)
    for number, plan in enumerate(block.layout.buildings, 1):
        own = mesh.instance == number
        near = np.abs(plan.local(middles[own][:, :2].astype(np.float64))) < plan.size / 2 + 0.6
        standing = mesh.label[own] == RubbleClass.BUILDING
        assert near[standing].all()
        height = middles[own][standing, 2].max(initial=-10) - float(block.layout.terrain.at(plan.center))
        if plan.fall in ("intact", "scarred"):
            assert height > plan.storeys * plan.storey
            assert standing.all()
        if plan.fall == "heap":
            assert (~standing).sum() > 500


def test_buildings_do_not_overlap_or_stand_on_streets(block):
    nodes = block.layout.terrain.nodes()
    covers = np.array([plan.on_bays(plan.footprint, nodes) for plan in block.layout.buildings])
    assert covers.sum(0).max() == 1
    assert covers.sum(0)[block.layout.street > 0.5].max() == 0


def test_points_lie_on_the_mesh_and_have_its_class(block, cloud):
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(o3d.core.Tensor(block.mesh.vertices), o3d.core.Tensor(block.mesh.triangles))
    distance = scene.compute_distance(o3d.core.Tensor(cloud.xyz)).numpy()
    assert distance.max() < 0.01
    ground = cloud.label == RubbleClass.TERRAIN
    np.testing.assert_allclose(cloud.xyz[ground, 2], block.layout.terrain.at(cloud.xyz[ground, :2]), atol=0.1)
    assert (np.abs(cloud.xyz[:, :2]) < block.half).all()
    share = np.bincount(cloud.label, minlength=4) / len(cloud.label)
    assert (share > 0.02).all()


def test_noise_and_dropout_follow_the_seed(block, cloud):
    noisy = replace(SPARSE, noise=0.05, dropout=0.2)
    one, two, other = (scan_world(block, noisy, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.xyz, two.xyz)
    np.testing.assert_array_equal(one.rgb, two.rgb)
    assert one.xyz.shape != other.xyz.shape or not np.array_equal(one.xyz, other.xyz)
    assert len(one.xyz) < 0.95 * len(cloud.xyz)
    ground = one.label == RubbleClass.TERRAIN
    error = one.xyz[ground, 2] - block.layout.terrain.at(one.xyz[ground, :2])
    assert 0.03 < np.median(np.abs(error)) * 1.48 < 0.06


def test_looking_aside_shows_facades(block):
    straight, aside = (scan_world(block, replace(SPARSE, lines=n, aside=angle), 0) for n, angle in ((1, 0.0), (6, 0.8)))

    def below_roofs(cloud):
        plan = next(p for p in block.layout.buildings if p.fall in ("intact", "scarred"))
        number = block.layout.buildings.index(plan) + 1
        own = (cloud.instance == number) & (cloud.label == RubbleClass.BUILDING)
        z = cloud.xyz[own, 2] - block.layout.terrain.at(plan.center)
        return (z < 0.8 * plan.storeys * plan.storey).mean()

    assert below_roofs(aside) > below_roofs(straight) + 0.1


def test_colour_alone_does_not_tell_rubble():
    def bins(cloud):
        return (cloud.rgb // 16).astype(int) @ [256, 16, 1]

    learn, test = ([scan_world(world_of(s), SPARSE, s) for s in seeds] for seeds in ((2011, 2016), (2019,)))
    counts = np.ones((4096, 4))
    for cloud in learn:
        np.add.at(counts, (bins(cloud), cloud.label), 1)
    found = np.concatenate([counts[bins(cloud)].argmax(1) for cloud in test]) == RubbleClass.RUBBLE
    true = np.concatenate([cloud.label for cloud in test]) == RubbleClass.RUBBLE
    assert (found & true).sum() / (found | true).sum() < 0.5


def test_rays_have_the_density_that_was_asked_for():
    rays = survey_rays(np.random.default_rng(0), SPARSE, 30.0)
    np.testing.assert_allclose(np.linalg.norm(rays[:, 3:], axis=1), 1, atol=1e-5)
    ground = rays[:, :2] - rays[:, 3:5] * (rays[:, 2] / rays[:, 5])[:, None]
    assert (np.abs(ground) < 30.01).all()
    assert len(rays) / 60**2 == pytest.approx(SPARSE.density, rel=0.03)


def test_limit_of_points(block):
    assert len(scan_world(block, replace(SPARSE, limit=1000)).xyz) == 1000


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"lines": 0}, "at least 1"), ({"altitude": 10.0}, "over the roofs"), ({"dropout": 1.0}, "below 1")],
)
def test_wrong_surveys_are_told(wrong, told):
    with pytest.raises(ValueError, match=told):
        Survey(**wrong)


def test_boxes_are_closed_and_turned_outwards():
    vertices, triangles = boxes([(0, 0, 0), (5, 0, 0)], [(1, 2, 3), (2, 2, 2)])
    a, b, c = np.moveaxis(vertices[triangles], 1, 0)
    volume = (a * np.cross(b, c)).sum(1) / 6
    assert volume.sum() == pytest.approx(6 + 8)


def test_parts_keep_what_each_colour_is_for():
    parts, whole = MeshParts(), MeshParts()
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    parts.add(quads([square, square + 2]), RubbleClass.BUILDING, [[1, 0, 0], [0, 1, 0]], [7, 8], each=2)
    whole.place(parts, np.eye(3), (0, 0, 4))
    mesh = whole.mesh()
    np.testing.assert_array_equal(mesh.instance, [7, 7, 8, 8])
    np.testing.assert_array_equal(mesh.albedo[:, 0], [1, 1, 0, 0])
    np.testing.assert_array_equal(mesh.vertices[:, 2], [4, 4, 4, 4, 6, 6, 6, 6])


def test_rasters_interpolate():
    raster = Raster(2.0, np.arange(25.0).reshape(5, 5))
    nodes = raster.nodes()
    np.testing.assert_allclose(raster.at(nodes), raster.values)
    assert raster.at((0.5, 0.0)) == pytest.approx(12.5) and raster.at((0.0, 0.5)) == pytest.approx(14.5)
