"""Losses of scored windows: a phrase needs a high score where it ends, other sound must have none."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """What becomes of the cross-entropy of a score; by default nothing.

    Attributes:
        gamma: focal modulation (Lin et al., arXiv:1708.02002): each cross-entropy is multiplied by `(1 - p) ** gamma`,
            p being the probability of what is right, so that easy examples count less.
        alpha: weight of phrases, and 1 - alpha that of other sound; None for 1 and 1.
        label_smoothing: the targets are 1 less half of this, and half of this (Szegedy et al., arXiv:1512.00567).
    """

    gamma: float = 0.0
    alpha: float | None = None
    label_smoothing: float = 0.0


PLAIN = Shape()


def max_pooling_bce(
    logits: Tensor,
    positive: Tensor,
    negative: Tensor,
    stretch: int,
    negative_weight: float,
    shape: Shape = PLAIN,
    weights: Tensor | None = None,
) -> Tensor:
    """Compute the loss of a batch of windows, in which the highest score speaks for many.

    After Hou et al., "Mining Effective Negative Training Samples for Keyword Spotting" (ICASSP 2020), with each
    window's other sound cut into stretches, so that a long window teaches more than its single worst frame.

    Args:
        logits: `(batch, frames, phrases)`.
        positive: `(batch, frames, phrases)` bool, the frames in one of which the phrase must fire; none where no
            phrase ends.
        negative: `(batch, frames, phrases)` bool, the frames in which it must not. What is neither does not count.
        stretch: frames a stretch.
        negative_weight: weight of the mean over stretches against that of the mean over phrases.
        shape: focal modulation and label smoothing.
        weights: `(batch,)` of the windows in both means, or None for 1 each.

    Returns:
        A scalar: mean binary cross-entropy of the phrases plus the weighted mean of that of the stretches.
    """
    logits = logits.float()
    floor = torch.finfo(logits.dtype).min
    peaks = logits.masked_fill(~positive, floor).amax(dim=1)
    spare = -logits.shape[1] % stretch
    others = functional.pad(logits.masked_fill(~negative, floor), (0, 0, 0, spare), value=floor)
    others = others.unflatten(1, (-1, stretch)).amax(dim=2)
    heard = functional.pad(negative, (0, 0, 0, spare)).unflatten(1, (-1, stretch)).any(dim=2)

    missed, wanted = _total(_bce(peaks, True, shape), positive.any(dim=1), weights)
    alarmed, unwanted = _total(_bce(others, False, shape), heard, weights)
    return missed / wanted + negative_weight * alarmed / unwanted


def per_frame_bce(
    logits: Tensor,
    positive: Tensor,
    negative: Tensor,
    negative_weight: float,
    shape: Shape = PLAIN,
    weights: Tensor | None = None,
) -> Tensor:
    """Compute the loss of a batch of windows, in which every frame speaks for itself.

    Args:
        logits, positive, negative, negative_weight, shape, weights: as for `max_pooling_bce`, but the phrase must
            fire in all frames of `positive`.

    Returns:
        A scalar: mean binary cross-entropy of the positive frames plus the weighted mean of that of the negative.
    """
    logits = logits.float()
    missed, wanted = _total(_bce(logits, True, shape), positive, weights)
    alarmed, unwanted = _total(_bce(logits, False, shape), negative, weights)
    return missed / wanted + negative_weight * alarmed / unwanted


def _bce(logits: Tensor, wanted: bool, shape: Shape) -> Tensor:
    """Return the cross-entropy of each logit with 1 if it is wanted high, else with 0, and shape it."""
    right = logits if wanted else -logits
    loss = functional.softplus(-right)
    if shape.label_smoothing:
        rest = shape.label_smoothing / 2
        loss = (1.0 - rest) * loss + rest * functional.softplus(right)
    if shape.gamma:
        loss = torch.exp(-shape.gamma * functional.softplus(right)) * loss  # softplus(right) is -log(1 - p)
    if shape.alpha is not None:
        loss = (shape.alpha if wanted else 1.0 - shape.alpha) * loss
    return loss


def _total(losses: Tensor, counted: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor | int]:
    """Return the sum of the losses that count and what to divide it by; the first dimension of both is the batch."""
    chosen = losses[counted]
    if weights is None:
        return chosen.sum(), max(1, chosen.numel())
    each = weights.view(-1, *[1] * (counted.ndim - 1)).expand_as(counted)[counted]
    total = each.sum()
    return (chosen * each).sum(), torch.where(total > 0, total, torch.ones_like(total))
