"""Losses of left-right consistency (Godard et al., CVPR 2017, section 3.3): disparity from stereo pairs without depth.

Disparities d (N, 1, H, W) are shares of the width, of the left image to the left and of the right image to the right;
images (N, C, H, W) float32 in 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

SSIM_SHARE, SMOOTHNESS, CONSISTENCY = 0.85, 0.1, 1.0


def warp(source: Tensor, disparity: Tensor) -> Tensor:
    """The source sampled where `disparity` points: (x, y) takes it at (x + d W, y), bilinear; edges are repeated.

    The left image is the right one at -d_left, the right image the left one at +d_right.
    """
    height, width = source.shape[-2:]
    x = (torch.arange(width, device=source.device, dtype=source.dtype) + 0.5) / width
    y = (torch.arange(height, device=source.device, dtype=source.dtype) + 0.5) / height
    across = x + disparity[:, 0]
    grid = torch.stack([2 * across - 1, (2 * y - 1)[:, None].expand_as(across)], dim=-1)
    return F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """(N, C, H - 2, W - 2) structural similarity in windows of 3x3 (Wang et al., 2004), means in place of Gaussians."""
    c1, c2 = 0.01**2, 0.03**2
    mean = lambda x: F.avg_pool2d(x, 3, 1)  # noqa: E731
    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return above / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))


def appearance(image: Tensor, rebuilt: Tensor) -> Tensor:
    """alpha (1 - SSIM) / 2 + (1 - alpha) |I - I'|, means over pixels (equation 2)."""
    dissimilar = ((1 - ssim(image, rebuilt)) / 2).clamp(0, 1).mean()
    return SSIM_SHARE * dissimilar + (1 - SSIM_SHARE) * (image - rebuilt).abs().mean()


def smoothness(disparity: Tensor, image: Tensor) -> Tensor:
    """mean |dd/dx| exp(-|dI/dx|) + |dd/dy| exp(-|dI/dy|): disparity changes where the image does (equation 3)."""
    total = disparity.new_zeros(())
    for axis in (-1, -2):
        edge = image.diff(dim=axis).abs().mean(1, keepdim=True)
        total = total + (disparity.diff(dim=axis).abs() * (-edge).exp()).mean()
    return total


def consistency(left: Tensor, right: Tensor) -> Tensor:
    """mean |d_left(x) - d_right(x - d_left(x))|, and the same from the right (equation 4)."""
    return (left - warp(right, -left)).abs().mean() + (right - warp(left, right)).abs().mean()


def left_right_loss(disparities: Sequence[Tensor], left: Tensor, right: Tensor) -> Tensor:
    """The sum of all terms over both views and all scales (equation 1); smoothness counts less on coarser ones.

    Args:
        disparities: (N, 2, h, w) of the left and the right image at each scale, finest first.
    """
    total = left.new_zeros(())
    for level, pair in enumerate(disparities):
        size = pair.shape[-2:]
        d_left, d_right = pair[:, :1], pair[:, 1:]
        l, r = (F.interpolate(image, size=size, mode="area") for image in (left, right))  # noqa: E741
        total = total + appearance(l, warp(r, -d_left)) + appearance(r, warp(l, d_right))
        total = total + SMOOTHNESS / 2**level * (smoothness(d_left, l) + smoothness(d_right, r))
        total = total + CONSISTENCY * consistency(d_left, d_right)
    return total
