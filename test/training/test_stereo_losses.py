"""Left-right consistency on a pair whose disparity is known."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from scene_understanding.training.stereo_losses import (
    appearance,
    consistency,
    left_right_loss,
    smoothness,
    ssim,
    warp,
)

WIDTH, SHIFT = 64, 4
TRUE = SHIFT / WIDTH


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """A left image and the right one, in which everything is `SHIFT` pixels further left."""
    wide = torch.rand(1, 3, 12, 24, generator=torch.Generator().manual_seed(0))
    wide = F.interpolate(wide, size=(32, WIDTH + SHIFT), mode="bilinear")
    return wide[..., :WIDTH], wide[..., SHIFT:]


def constant(value: float) -> torch.Tensor:
    return torch.full((1, 1, 32, WIDTH), value)


def test_each_image_is_the_other_one_warped(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    left, right = pair
    rebuilt = warp(right, -constant(TRUE))
    torch.testing.assert_close(rebuilt[..., SHIFT:], left[..., SHIFT:], atol=1e-4, rtol=0)
    rebuilt = warp(left, constant(TRUE))
    torch.testing.assert_close(rebuilt[..., :-SHIFT], right[..., :-SHIFT], atol=1e-4, rtol=0)
    torch.testing.assert_close(warp(left, constant(0.0)), left, atol=1e-5, rtol=0)


def test_warping_half_a_pixel_is_the_mean_of_two(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    left, _ = pair
    half = warp(left, constant(0.5 / WIDTH))
    torch.testing.assert_close(half[..., :-1], (left[..., :-1] + left[..., 1:]) / 2, atol=1e-4, rtol=0)


def test_similarity_of_equal_images_is_one(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    left, right = pair
    torch.testing.assert_close(ssim(left, left), torch.ones(1, 3, 30, WIDTH - 2))
    assert ssim(left, right).mean() < 0.9
    assert appearance(left, left).item() == pytest.approx(0, abs=1e-6)


def test_smoothness_is_about_changes_where_the_image_has_none() -> None:
    image, disparity = constant(0.5).expand(-1, 3, -1, -1).clone(), constant(0.1)
    assert smoothness(disparity, image).item() == 0
    disparity[..., WIDTH // 2 :] = 0.2
    flat = smoothness(disparity, image)
    image[..., WIDTH // 2 :] = 1.0
    assert 0 < smoothness(disparity, image) < flat


def test_disparities_that_agree_are_consistent() -> None:
    assert consistency(constant(TRUE), constant(TRUE)).item() == pytest.approx(0, abs=1e-6)
    assert consistency(constant(TRUE), constant(TRUE + 0.05)).item() == pytest.approx(0.1, rel=1e-3)


def test_the_true_disparity_costs_least_and_gradients_lead_to_it(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    left, right = pair
    sizes = [(32 // 2**i, WIDTH // 2**i) for i in range(4)]

    def loss(value: torch.Tensor) -> torch.Tensor:
        return left_right_loss([value.expand(1, 2, *size) for size in sizes], left, right)

    values = [TRUE + i / WIDTH for i in range(-3, 4)]
    costs = [loss(torch.tensor(value)).item() for value in values]
    assert min(costs) == costs[3]
    for value in (TRUE - 1 / WIDTH, TRUE + 1 / WIDTH):
        guess = torch.tensor(value, requires_grad=True)
        loss(guess).backward()
        assert guess.grad is not None and guess.grad.sign().item() == (1 if value > TRUE else -1)
