import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from scene_understanding.messages.header import make_header
from scene_understanding.messages.occupancy_grid import (
    array_to_occupancy_grid,
    array_to_path,
    occupancy_grid_to_array,
    path_to_array,
)
from scene_understanding.messages.transforms import pose_from_message
from scene_understanding.messages.types import deserialize, serialize

HEADER = make_header(5, "map")


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.int8, st.tuples(st.integers(0, 7), st.integers(0, 5)), elements=st.integers(-1, 100)),
    st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
)
def test_a_grid_comes_back_from_the_wire(values: np.ndarray, origin: tuple[float, float]) -> None:
    message = deserialize(
        serialize(array_to_occupancy_grid(values, origin, 0.05, HEADER)), "nav_msgs/msg/OccupancyGrid"
    )
    back = occupancy_grid_to_array(message)
    np.testing.assert_array_equal(back.values, values)
    np.testing.assert_allclose(back.origin, origin)
    assert back.resolution == pytest.approx(0.05) and message.info.width == values.shape[1]


def test_cells_are_row_after_row() -> None:
    values = np.array([[0, 100, -1], [1, 2, 3]], np.int8)
    message = array_to_occupancy_grid(values, (1.0, 2.0), 0.1, HEADER, z=0.5)
    assert message.data.tolist() == [0, 100, -1, 1, 2, 3]  # x runs fastest, as nav_msgs says
    assert (message.info.width, message.info.height, message.info.origin.position.z) == (3, 2, 0.5)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.zeros((2, 2), np.uint8), "uint8"),
        (np.zeros(4, np.int8), r"expected int8 \(rows, columns\)"),
        (np.full((2, 2), 101, np.int8), "expected -1 to 100"),
    ],
)
def test_what_is_no_occupancy_is_refused(values: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        array_to_occupancy_grid(values, (0, 0), 0.1, HEADER)


def test_wrong_messages_are_refused() -> None:
    message = array_to_occupancy_grid(np.zeros((2, 3), np.int8), (0, 0), 0.1, HEADER)
    message.info.width = 4
    with pytest.raises(ValueError, match="4x2 cells has 6 values"):
        occupancy_grid_to_array(message)
    message.info.width, message.info.resolution = 3, 0.0
    with pytest.raises(ValueError, match="resolution 0.0"):
        occupancy_grid_to_array(message)
    message.info.resolution, message.info.origin.orientation.z = 0.1, 0.5
    with pytest.raises(ValueError, match="turned"):
        occupancy_grid_to_array(message)


def test_a_path_looks_along_its_way() -> None:
    message = deserialize(serialize(array_to_path([[0, 0], [1, 0], [1, 2]], HEADER)), "nav_msgs/msg/Path")
    np.testing.assert_allclose(path_to_array(message), [[0, 0, 0], [1, 0, 0], [1, 2, 0]])
    yaws = [pose_from_message(pose.pose).yaw for pose in message.poses]
    np.testing.assert_allclose(yaws, [0, np.pi / 2, np.pi / 2], atol=1e-9)
    assert {pose.header.frame_id for pose in message.poses} == {"map"}


@pytest.mark.parametrize("count", [0, 1])
def test_a_path_of_nearly_nothing(count: int) -> None:
    assert path_to_array(array_to_path(np.ones((count, 3)), HEADER)).shape == (count, 3)


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(N, 2\) or \(N, 3\)"):
        array_to_path(np.zeros(3), HEADER)
