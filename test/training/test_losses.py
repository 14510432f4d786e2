"""Losses against their definitions, and schedules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from scene_understanding.training.losses import VOID, cross_entropy, lovasz_softmax
from scene_understanding.training.run import learning_rate_factor


def labels(seed: int, classes: int = 4, void: bool = True) -> torch.Tensor:
    label = torch.randint(0, classes, (2, 6, 7), generator=torch.Generator().manual_seed(seed))
    if void:
        label[0, :2, :3] = VOID
    return label


@pytest.mark.parametrize("seed", range(3))
def test_lovasz_of_hard_predictions_is_one_minus_iou(seed: int) -> None:
    truth, found = labels(seed), labels(seed + 100, 5, void=False)
    scores = 50 * F.one_hot(found, 5).movedim(-1, 1).float()  # 5 classes, of which the truth has 4
    seen = truth != VOID
    iou = [
        ((found == c) & (truth == c)).sum() / (((found == c) | (truth == c)) & seen).sum() for c in truth[seen].unique()
    ]
    expected = 1 - torch.stack(iou).mean()
    torch.testing.assert_close(lovasz_softmax(scores, truth), expected, atol=1e-6, rtol=0)


def test_lovasz_is_the_extension_of_the_jaccard_loss() -> None:
    """Definition 1 of the paper, one pixel after the other."""
    truth, scores = labels(1), torch.randn(2, 4, 6, 7, generator=torch.Generator().manual_seed(1))
    seen = (truth != VOID).flatten().numpy()
    share = scores.softmax(1).movedim(1, -1).reshape(-1, 4).numpy()[seen]
    of_class = truth.flatten().numpy()[seen]
    losses = []
    for c in range(4):
        errors = np.where(of_class == c, 1 - share[:, c], share[:, c])
        wrong, total, before = np.zeros(len(errors), bool), 0.0, 0.0
        for i in np.argsort(-errors, kind="stable"):
            wrong[i] = True
            jaccard_loss = wrong.sum() / ((of_class == c) | wrong).sum()
            total, before = total + errors[i] * (jaccard_loss - before), jaccard_loss
        losses.append(total)
    assert lovasz_softmax(scores, truth).item() == pytest.approx(np.mean(losses), abs=1e-6)


def test_void_pixels_do_not_count() -> None:
    scores = torch.randn(2, 4, 6, 7, requires_grad=True)
    truth = labels(0)
    for loss in (cross_entropy(scores, truth, torch.rand(4), 0.1), lovasz_softmax(scores, truth)):
        (gradient,) = torch.autograd.grad(loss, scores)
        assert (gradient[0, :, :2, :3] == 0).all() and (gradient[1] != 0).any()


def test_a_batch_without_labels_is_no_loss_and_not_nan() -> None:
    scores, void = torch.randn(1, 4, 6, 7, requires_grad=True), torch.full((1, 6, 7), VOID)
    loss = cross_entropy(scores, void, torch.rand(4)) + lovasz_softmax(scores, void)
    loss.backward()
    assert loss.item() == 0 and (scores.grad == 0).all()


def test_cross_entropy_is_the_weighted_mean() -> None:
    scores, truth, weights = torch.randn(2, 4, 6, 7), labels(0), torch.tensor([0.5, 1.0, 2.0, 4.0])
    seen = truth != VOID
    each = -scores.log_softmax(1).movedim(1, -1)[seen].gather(1, truth[seen][:, None])[:, 0]
    weight = weights[truth[seen]]
    torch.testing.assert_close(cross_entropy(scores, truth, weights), (each * weight).sum() / weight.sum())


def test_learning_rate_rises_and_falls() -> None:
    for schedule in ("poly", "cosine"):
        factors = [learning_rate_factor(step, 100, 10, schedule) for step in range(100)]
        np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 10)
        assert factors[10] == 1 and all(a > b for a, b in zip(factors[10:], factors[11:], strict=False))
    assert learning_rate_factor(55, 100, 10, "poly") == pytest.approx(0.5**0.9)
    assert learning_rate_factor(55, 100, 10, "cosine") == pytest.approx(0.5)
    assert learning_rate_factor(32, 100, 10, "cosine") == pytest.approx((1 + np.cos(np.pi * 22 / 90)) / 2)
    assert learning_rate_factor(0, 100, 0) == 1
