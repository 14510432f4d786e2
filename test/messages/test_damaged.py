"""Whatever bytes come in, the answer is a message or one clear ValueError."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scene_understanding.geometry import PinholeCamera, PointCloud
from scene_understanding.messages.camera_info import camera_info_to_camera, camera_to_camera_info
from scene_understanding.messages.compressed_image import color_from_compressed_image, color_to_compressed_image
from scene_understanding.messages.header import make_header
from scene_understanding.messages.image import array_to_image, color_from_image, depth_from_image
from scene_understanding.messages.people import PeopleArrays, arrays_to_people, people_to_arrays
from scene_understanding.messages.point_cloud import cloud_to_point_cloud2, point_cloud2_to_cloud
from scene_understanding.messages.types import deserialize, serialize

HEADER = make_header(3, "camera")
CLOUD = PointCloud(np.zeros((3, 4, 3), np.float32), rgb=np.zeros((3, 4, 3), np.uint8), label=np.ones((3, 4), np.uint16))
ONE = {name: np.zeros((1, *shape), np.float32) for name, shape in
       {"pixels": (18, 2), "points": (18, 3), "confidence": (18,), "score": ()}.items()}  # fmt: skip
CASES = {
    "color": (array_to_image(np.zeros((4, 6, 3), np.uint8), "rgb8", HEADER), color_from_image),
    "bayer": (array_to_image(np.zeros((4, 6), np.uint8), "bayer_rggb8", HEADER), color_from_image),
    "depth": (array_to_image(np.zeros((4, 6), np.uint16), "16UC1", HEADER), depth_from_image),
    "jpeg": (color_to_compressed_image(np.zeros((8, 8, 3), np.uint8), HEADER), color_from_compressed_image),
    "cloud": (cloud_to_point_cloud2(CLOUD, HEADER), point_cloud2_to_cloud),
    "camera": (camera_to_camera_info(PinholeCamera(64, 48, 50.0, 50.0, 32.0, 24.0), HEADER), camera_info_to_camera),
    "people": (arrays_to_people(PeopleArrays(**ONE, ids=np.zeros(1, np.uint32)), HEADER), people_to_arrays),
}


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_flipped_bytes(name, data):
    message, decode = CASES[name]
    raw = bytearray(serialize(message))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    size = data.draw(st.one_of(st.just(len(raw)), st.integers(0, len(raw))))
    try:
        decode(deserialize(raw[:size], message.__msgtype__))
    except ValueError as error:
        assert "\n" not in str(error)
