import numpy as np
import pytest

from scene_understanding.geometry import PointCloud


def test_attributes_share_the_leading_shape():
    PointCloud(np.zeros((4, 5, 3), np.float32), rgb=np.zeros((4, 5, 3), np.uint8), label=np.zeros((4, 5), np.uint16))
    with pytest.raises(ValueError, match=r"label has shape \(4,\)"):
        PointCloud(np.zeros((5, 3), np.float32), label=np.zeros(4, np.uint16))
    with pytest.raises(ValueError, match="its last axis must be 3"):
        PointCloud(np.zeros((5, 4), np.float32))
