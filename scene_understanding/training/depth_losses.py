"""Losses of depth regression that D3-Net's authors compare (Carvalho et al., ICIP 2018, table 1), each a function of

    predicted (N, 1, H, W) float32, metres above 0; truth (N, 1, H, W) float32, metres, anything where unknown;
    known (N, 1, H, W) bool: pixels that count.

With e = predicted - truth and d = log predicted - log truth, over the known pixels. Without any, a loss is 0.

`LIKELIHOODS` also take scale (N, 1, H, W) float32, the network's s, and so teach it how wrong it is. They are of
Laplace densities, where the present losses are L1, and of log depth: the error that depth has grows with it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
Likelihood = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def l1(predicted: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """mean |e|"""
    return mean(difference(predicted, truth, known).abs(), known)


def l2(predicted: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """mean e^2"""
    return mean(difference(predicted, truth, known).square(), known)


def berhu(predicted: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """mean of |e| up to c, (e^2 + c^2) / 2c beyond; c = 0.2 max |e| of the batch (Laina et al., 3DV 2016, eq. 1)."""
    e = difference(predicted, truth, known).abs()
    c = threshold(e)
    return mean(torch.where(e <= c, e, (e.square() + c**2) / (2 * c)), known)


def huber(predicted: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """mean of (e^2 + c^2) / 2c up to c, |e| beyond: the square where berHu has the modulus; c as there."""
    e = difference(predicted, truth, known).abs()
    c = threshold(e)
    return mean(torch.where(e <= c, (e.square() + c**2) / (2 * c), e), known)


def eigen(predicted: Tensor, truth: Tensor, known: Tensor, variance: float = 0.5) -> Tensor:
    """mean d^2 - variance (mean d)^2 of each image (Eigen et al., NIPS 2014, eq. 4); with 1 the scale is free."""
    d = log_difference(predicted, truth, known)
    count = known.sum((1, 2, 3)).clamp(min=1)
    images = d.square().sum((1, 2, 3)) / count - variance * (d.sum((1, 2, 3)) / count).square()
    return mean(images, known.any(3).any(2).any(1))


def gradient(predicted: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """mean (d/dx d)^2 + (d/dy d)^2 between neighbours that are both known (Eigen and Fergus, ICCV 2015, eq. 1)."""
    d = log_difference(predicted, truth, known)
    across = mean(d.diff(dim=3).square(), known[..., 1:] & known[..., :-1])
    down = mean(d.diff(dim=2).square(), known[:, :, 1:] & known[:, :, :-1])
    return across + down


def eigen_gradient(predicted: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """The sum of `eigen` and `gradient`."""
    return eigen(predicted, truth, known) + gradient(predicted, truth, known)


def log_l1(predicted: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """mean |d|: L1 of what relative errors are of."""
    return mean(log_difference(predicted, truth, known).abs(), known)


def laplace(predicted: Tensor, scale: Tensor, truth: Tensor, known: Tensor, beta: float = 0.0) -> Tensor:
    """mean (exp(-s) |d| + s) exp(s)^beta: the negative logarithm of a Laplace density of scale exp(s) (Kendall and Gal,
    NIPS 2017, section 2.2), each pixel weighted by its scale to the power `beta`, which is held constant.

    Without weights (0) depth learns least where the network is most wrong (Seitzer et al.: On the Pitfalls of
    Heteroscedastic Uncertainty Estimation, ICLR 2022, equation 5; there of a Gaussian).
    """
    s = torch.where(known, scale, 0)
    negative_log = torch.exp(-s) * log_difference(predicted, truth, known).abs() + s
    return mean(negative_log * torch.exp(beta * s.detach()), known)


def beta_laplace(predicted: Tensor, scale: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """`laplace` with beta 1: depth learns as from `log_l1`, and exp(s) to be the |d| that is to be expected."""
    return laplace(predicted, scale, truth, known, beta=1.0)


LOSSES: dict[str, Loss] = {
    "l1": l1, "l2": l2, "berhu": berhu, "huber": huber, "eigen": eigen, "gradient": gradient,
    "eigen_gradient": eigen_gradient, "log_l1": log_l1,
}  # fmt: skip
LIKELIHOODS: dict[str, Likelihood] = {"laplace": laplace, "beta_laplace": beta_laplace}
ADVERSARIAL = "lsgan"
"""Of the generator; it comes with a discriminator that is trained beside it."""


def lsgan_discriminator(real: Tensor, generated: Tensor) -> Tensor:
    """((D(x, y) - 1)^2 + D(x, G(x))^2) / 2, means over patches (Mao et al., ICCV 2017, equation 9)."""
    return ((real - 1).square().mean() + generated.square().mean()) / 2


def lsgan_generator(generated: Tensor) -> Tensor:
    """(D(x, G(x)) - 1)^2 / 2, mean over patches."""
    return (generated - 1).square().mean() / 2


def mean(values: Tensor, known: Tensor) -> Tensor:
    """Of the values that are known; 0 where none is."""
    return torch.where(known, values, 0).sum() / known.sum().clamp(min=1)


def threshold(e: Tensor) -> Tensor:
    """c of `berhu` and `huber`: a fifth of the largest |e|, a number that does not learn."""
    return (0.2 * e.detach().max()).clamp(min=1e-6)


def difference(predicted: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """e, 0 where unknown: a NaN would make the gradient of its square NaN though it does not count."""
    return torch.where(known, predicted - truth, 0)


def log_difference(predicted: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """d, 0 where unknown."""
    one = torch.ones_like(predicted)
    return torch.where(known, predicted, one).clamp(min=1e-6).log() - torch.where(known, truth, one).log()
