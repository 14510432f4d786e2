import numpy as np
import pytest

from scene_understanding.simulation.mesh import Item, MeshBuilder, box, cushion, cylinder, quad, wavy_sheet


@pytest.mark.parametrize(
    "shape",
    [box((1, 2, 0.5)), cylinder(0.3, 1.2, top_radius=0.1), cushion((1, 2, 0.5), roundness=0.3),
     wavy_sheet(1, 2, 0.03, 5), quad((0, 0, 0), (1, 0, 0), (0, 2, 0))],
)  # fmt: skip
def test_shapes_are_consistent(shape):
    assert shape.triangles.min() >= 0 and shape.triangles.max() < len(shape.vertices)
    assert shape.uv.shape == (len(shape.triangles), 3, 2) and shape.normals.shape == (len(shape.triangles), 3, 3)
    np.testing.assert_allclose(np.linalg.norm(shape.normals, axis=-1), 1, atol=1e-4)


@pytest.mark.parametrize("shape", [box((1, 2, 0.5)), cylinder(0.3, 1.2), cushion((1, 2, 0.5))])
def test_normals_point_outwards(shape):
    corners = shape.vertices[shape.triangles]
    assert (np.einsum("ijk,ijk->ij", corners, shape.normals) > -1e-6).all()


def test_cushion_keeps_its_size():
    vertices = cushion((1, 2, 0.5), (3, 0, 0), 0.4).vertices
    np.testing.assert_allclose(np.ptp(vertices, axis=0), (1, 2, 0.5), atol=0.05)


def test_things_on_an_item_are_instances_of_their_own():
    table, cup = Item(7), Item(40)
    table.box(0, (1, 1, 0.1), (0, 0, 0.7))
    cup.box(1, (0.1, 0.1, 0.1), (0, 0, 0.05))
    table.attach(cup, (0.2, 0, 0.75))
    builder = MeshBuilder()
    builder.place(table, (5, 0, 0), np.pi / 2)
    builder.place(table, (9, 0, 0))
    shape, material, label, instance = builder.arrays()
    assert instance.reshape(4, 12)[:, 0].tolist() == [1, 2, 3, 4]
    assert label.reshape(4, 12)[:, 0].tolist() == [7, 40, 7, 40]
    assert material.reshape(4, 12)[:, 0].tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(shape.vertices[8:16].mean(0), (5, 0.2, 0.8), atol=1e-5)
