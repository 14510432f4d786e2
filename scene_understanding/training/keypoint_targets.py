"""What a pose network learns: heat maps and part affinity fields, painted from keypoints (Cao et al., CVPR 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from scene_understanding.labels.keypoints import COCO18_NAMES, PAF_CHANNELS, PAF_LIMBS
from scene_understanding.perception.pose_estimator import STRIDE

SIGMA = 7.0
"""Of the peaks, pixels of the input."""
WIDTH = 1.0
"""A pixel of the map belongs to a limb up to so far beside it, in pixels of the map."""


def map_grid(size: tuple[int, int], device: torch.device | str = "cpu", stride: int = STRIDE) -> tuple[Tensor, Tensor]:
    """x (w,) and y (h,) of the middles of the cells of a map of `size` (h, w), in pixels of the input."""
    y, x = (torch.arange(n, device=device, dtype=torch.float32) * stride + (stride - 1) / 2 for n in size)
    return x, y


def heat_maps(keypoints: Tensor, size: tuple[int, int], stride: int = STRIDE, sigma: float = SIGMA) -> Tensor:
    """(N, 19, h, w) float32: a Gaussian at every keypoint, the highest where several meet, and the background.

    Args:
        keypoints: (N, P, 18, 2) float32 x, y in pixels of the input; NaN where there is none.
        size: (h, w) of the maps.

    Section 2.2 of the paper, the Gaussian as its code has it, with a factor 2.
    """
    x, y = map_grid(size, keypoints.device, stride)
    across = _bells(keypoints[..., 0, None] - x, sigma)  # (N, P, 18, w)
    down = _bells(keypoints[..., 1, None] - y, sigma)
    peaks = keypoints.new_zeros((len(keypoints), len(COCO18_NAMES), *size))
    for person in range(keypoints.shape[1]):
        peaks = torch.maximum(peaks, down[:, person, :, :, None] * across[:, person, :, None, :])
    return torch.cat([peaks, 1 - peaks.amax(1, keepdim=True)], 1)


def _bells(offset: Tensor, sigma: float) -> Tensor:
    """exp(-offset^2 / 2 sigma^2), 0 where it is NaN."""
    return torch.nan_to_num(torch.exp(-(offset**2) / (2 * sigma**2)))


def fields(keypoints: Tensor, size: tuple[int, int], stride: int = STRIDE, width: float = WIDTH) -> Tensor:
    """(N, 38, h, w) float32: on every limb the unit vector along it, the mean where several meet; 0 elsewhere.

    Arguments as of `heat_maps`. Section 2.3 of the paper; ends as well as sides reach out by `width`.
    """
    x, y = (axis / stride for axis in map_grid(size, keypoints.device, stride))
    limbs = torch.tensor(PAF_LIMBS, device=keypoints.device)
    start, end = (keypoints[:, :, limbs[:, k]] / stride for k in range(2))  # (N, P, 19, 2)
    way = end - start
    length = way.norm(dim=-1, keepdim=True)
    unit = way / length
    total = keypoints.new_zeros((len(keypoints), len(PAF_LIMBS), 2, *size))
    count = keypoints.new_zeros((len(keypoints), len(PAF_LIMBS), 1, *size))
    for person in range(keypoints.shape[1]):
        u, begin, reach = unit[:, person], start[:, person], length[:, person, :, 0, None, None] + width
        dx, dy = x - begin[..., 0, None], y - begin[..., 1, None]  # (N, 19, w), (N, 19, h)
        ux, uy = u[..., 0, None, None], u[..., 1, None, None]
        along = ux * dx[:, :, None, :] + uy * dy[..., None]
        beside = (ux * dy[..., None] - uy * dx[:, :, None, :]).abs()
        on = ((along >= -width) & (along <= reach) & (beside <= width)).float()[:, :, None]  # never where it is NaN
        total += torch.nan_to_num(u)[..., None, None] * on
        count += on
    mean = (total / count.clamp(min=1)).flatten(1, 2)
    out = torch.empty_like(mean)
    out[:, torch.tensor(PAF_CHANNELS.ravel(), device=out.device)] = mean
    return out
