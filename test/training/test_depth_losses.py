"""Losses of depth against their equations on numbers by hand, and what holds for all of them."""

from __future__ import annotations

import math

import pytest
import torch

from scene_understanding.training.depth_losses import (
    LIKELIHOODS,
    LOSSES,
    berhu,
    beta_laplace,
    eigen,
    gradient,
    huber,
    l1,
    l2,
    laplace,
    log_l1,
    lsgan_discriminator,
    lsgan_generator,
)


def maps(*values: float) -> torch.Tensor:
    return torch.tensor(values).reshape(1, 1, 1, -1)


TRUTH = maps(1.0, 2.0, 4.0, 5.0)
KNOWN = torch.tensor([True, True, True, False]).reshape(1, 1, 1, -1)
PREDICTED = maps(1.1, 1.0, 6.0, 99.0)  # errors 0.1, -1, 2, and one that does not count


def test_l1_and_l2() -> None:
    assert l1(PREDICTED, TRUTH, KNOWN).item() == pytest.approx((0.1 + 1 + 2) / 3)
    assert l2(PREDICTED, TRUTH, KNOWN).item() == pytest.approx((0.01 + 1 + 4) / 3)


def test_berhu_and_huber_change_at_a_fifth_of_the_largest_error() -> None:
    c = 0.4
    square = [(e**2 + c**2) / (2 * c) for e in (0.1, 1, 2)]
    assert berhu(PREDICTED, TRUTH, KNOWN).item() == pytest.approx((0.1 + square[1] + square[2]) / 3)
    assert huber(PREDICTED, TRUTH, KNOWN).item() == pytest.approx((square[0] + 1 + 2) / 3)


def test_eigen_is_of_each_image() -> None:
    d = [math.log(1.1), math.log(0.5), math.log(1.5)]
    one = sum(x**2 for x in d) / 3 - 0.5 * (sum(d) / 3) ** 2
    assert eigen(PREDICTED, TRUTH, KNOWN).item() == pytest.approx(one, rel=1e-5)
    two = [torch.cat([x, y]) for x, y in ((PREDICTED, TRUTH), (TRUTH, TRUTH), (KNOWN, KNOWN))]
    assert eigen(*two).item() == pytest.approx(one / 2, rel=1e-5)
    scaled = eigen(3 * TRUTH, TRUTH, KNOWN, variance=1.0)
    assert scaled.item() == pytest.approx(0, abs=1e-6)  # the scale is free


def test_gradient_is_between_known_neighbours() -> None:
    d = [math.log(1.1), math.log(0.5), math.log(1.5)]
    across = ((d[1] - d[0]) ** 2 + (d[2] - d[1]) ** 2) / 2
    assert gradient(PREDICTED, TRUTH, KNOWN).item() == pytest.approx(across, rel=1e-5)
    assert gradient(3 * TRUTH, TRUTH, KNOWN).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_least_at_the_truth_and_ignores_the_unknown(name: str) -> None:
    loss, generator = LOSSES[name], torch.Generator().manual_seed(0)
    truth = 1 + 4 * torch.rand(2, 1, 12, 16, generator=generator)
    known = torch.rand(truth.shape, generator=generator) < 0.7
    noise = torch.rand(truth.shape, generator=generator)
    assert loss(truth, truth, known) < loss(truth + 0.1 * noise, truth, known) < loss(truth + noise, truth, known)
    holes = torch.where(known, truth, torch.nan)
    predicted = (truth + noise).requires_grad_()
    value = loss(predicted, holes, known)
    value.backward()
    assert predicted.grad is not None
    assert torch.isfinite(value) and torch.isfinite(predicted.grad).all()
    assert not predicted.grad[~known].any() and predicted.grad[known].any()
    changed = torch.where(known, truth + noise, 77.0)
    assert loss(changed, holes, known).item() == pytest.approx(value.item(), rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_without_known_pixels_there_is_no_loss(name: str) -> None:
    predicted = torch.ones(2, 1, 4, 4, requires_grad=True)
    value = LOSSES[name](predicted, torch.full((2, 1, 4, 4), torch.nan), torch.zeros(2, 1, 4, 4, dtype=torch.bool))
    value.backward()
    assert value.item() == 0 and predicted.grad is not None and not predicted.grad.any()


def test_laplace_is_the_negative_logarithm_of_the_density() -> None:
    scale = maps(-1.0, 0.0, 0.5, 7.0)
    d = [math.log(1.1), math.log(0.5), math.log(1.5)]
    densities = [math.exp(-abs(x) / math.exp(s)) / (2 * math.exp(s)) for x, s in zip(d, (-1, 0, 0.5), strict=True)]
    expected = sum(-math.log(2 * p) for p in densities) / 3
    assert laplace(PREDICTED, scale, TRUTH, KNOWN).item() == pytest.approx(expected, rel=1e-5)
    weighted = sum(-math.log(2 * p) * math.exp(s) for p, s in zip(densities, (-1, 0, 0.5), strict=True)) / 3
    assert beta_laplace(PREDICTED, scale, TRUTH, KNOWN).item() == pytest.approx(weighted, rel=1e-5)


def test_with_beta_1_depth_learns_as_from_log_l1_and_the_scale_to_be_the_error() -> None:
    predicted, scale = PREDICTED.clone().requires_grad_(), maps(-1.0, 0.0, 0.5, 7.0).requires_grad_()
    alone = PREDICTED.clone().requires_grad_()
    beta_laplace(predicted, scale, TRUTH, KNOWN).backward()
    log_l1(alone, TRUTH, KNOWN).backward()
    torch.testing.assert_close(predicted.grad, alone.grad)
    error = (PREDICTED / TRUTH).log().abs()
    torch.testing.assert_close(scale.grad, torch.where(KNOWN, scale.detach().exp() - error, 0) / 3)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods_end_at_the_mean_error_and_ignore_the_unknown(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    truth = 1 + 4 * torch.rand(2, 1, 12, 16, generator=generator)
    known = torch.rand(truth.shape, generator=generator) < 0.7
    predicted = truth * torch.randn(truth.shape, generator=generator).mul(0.3).exp()
    holes = torch.where(known, truth, torch.nan)
    scale = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([scale], 0.05)
    for _ in range(300):
        optimizer.zero_grad()
        LIKELIHOODS[name](predicted, scale.expand_as(truth), holes, known).backward()
        optimizer.step()
    assert scale.exp().item() == pytest.approx((predicted / truth).log().abs()[known].mean().item(), rel=0.01)
    each = torch.full_like(truth, torch.nan).masked_fill(known, -1.0).requires_grad_()
    LIKELIHOODS[name](predicted, each, holes, known).backward()
    assert each.grad is not None and torch.isfinite(each.grad).all()
    assert not each.grad[~known].any() and each.grad[known].any()


def test_adversarial_losses_pull_scores_apart() -> None:
    real, generated = torch.tensor([0.8, 0.6]), torch.tensor([0.3, 0.1])
    assert lsgan_discriminator(real, generated).item() == pytest.approx(((0.04 + 0.16) / 2 + (0.09 + 0.01) / 2) / 2)
    assert lsgan_generator(generated).item() == pytest.approx((0.49 + 0.81) / 4)
