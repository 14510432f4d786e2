"""Losses of segmentation, each a function of scores and labels; void pixels (255) never count."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

VOID = 255


def cross_entropy(scores: Tensor, label: Tensor, weights: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Softmax cross-entropy over labelled pixels.

    Args:
        scores: (N, K, H, W) float32; label: (N, H, W) int64, 255 for void; weights: (K,), one per class.
        smoothing: share of the target that goes to all classes alike.
    """
    if not (label != VOID).any():
        return scores.sum() * 0  # the mean over no pixel would be NaN, and all weights with it
    return F.cross_entropy(scores, label, weights, ignore_index=VOID, label_smoothing=smoothing)


def lovasz_softmax(scores: Tensor, label: Tensor) -> Tensor:
    """Lovász extension of the Jaccard loss 1 - IoU, mean over the classes that the batch has.

    Berman, Triki, Blaschko: The Lovász-Softmax loss, CVPR 2018, equation 11 and algorithm 1; the pixels of the whole
    batch are taken together. Arguments as for `cross_entropy`.
    """
    classes = scores.shape[1]
    labelled = label.flatten() != VOID
    probability = scores.softmax(1).movedim(1, -1).flatten(0, -2)[labelled]
    truth = F.one_hot(label.flatten()[labelled], classes).to(probability.dtype)
    errors, order = (truth - probability).abs().sort(dim=0, descending=True)
    truth = truth.gather(0, order)
    total = truth.sum(0)
    jaccard = 1 - (total - truth.cumsum(0)) / (total + (1 - truth).cumsum(0))
    gradient = jaccard.diff(dim=0, prepend=jaccard.new_zeros(1, classes))
    return (errors * gradient).sum(0)[total > 0].sum() / (total > 0).sum().clamp(min=1)
