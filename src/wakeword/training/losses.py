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


@dataclass(frozen=True)
class Divisors:
    """What the losses of a batch are divided by: how much of it counts, weighed.

    Attributes:
        wanted: where the phrase must fire.
        unwanted: where it must not.
    """

    wanted: Tensor | int
    unwanted: Tensor | int


def max_pooling_bce(
    logits: Tensor,
    positive: Tensor,
    negative: Tensor,
    stretch: int,
    negative_weight: float,
    shape: Shape = PLAIN,
    weights: Tensor | None = None,
    divisors: Divisors | None = None,
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
        divisors: of the batch that these windows are a part of, whose parts' losses add up to its own; None for theirs.

    Returns:
        A scalar: mean binary cross-entropy of the phrases plus the weighted mean of that of the stretches.
    """
    logits = logits.float()
    floor = torch.finfo(logits.dtype).min
    peaks = logits.masked_fill(~positive, floor).amax(dim=1)
    others = _cut(logits.masked_fill(~negative, floor), stretch, floor).amax(dim=2)

    said, heard = positive.any(dim=1), _stretches(negative, stretch)
    divisors = divisors or max_pooling_divisors(positive, negative, stretch, weights)
    missed = _total(_bce(peaks, True, shape), said, weights)
    alarmed = _total(_bce(others, False, shape), heard, weights)
    return missed / divisors.wanted + negative_weight * alarmed / divisors.unwanted


def max_pooling_divisors(positive: Tensor, negative: Tensor, stretch: int, weights: Tensor | None = None) -> Divisors:
    """Return what `max_pooling_bce` divides by; its arguments."""
    return Divisors(_count(positive.any(dim=1), weights), _count(_stretches(negative, stretch), weights))


def softmax_ce(
    logits: Tensor,
    positive: Tensor,
    negative: Tensor,
    stretch: int,
    negative_weight: float,
    weights: Tensor | None = None,
    divisors: Divisors | None = None,
) -> Tensor:
    """Compute the loss of a batch of windows in which the phrases and the rest compete, one of them being right.

    The classes of a frame are the phrases and the rest, whose logit is 0: a softmax does not change when one number is
    taken from all logits, so that a logit of its own would add nothing. A score stays the logistic function of its
    logit, and the class of the highest probability is the phrase of the highest score if that exceeds 1/2, else the
    rest. Phrases that neither are said nor must not fire in a frame are no class there.

    As in `max_pooling_bce`, which this is for one phrase, one frame speaks for a phrase and one for each stretch of
    other sound: the one in which the phrase, or anything, is likeliest.

    Args:
        logits, positive, negative, stretch, negative_weight, weights, divisors: as for `max_pooling_bce`.

    Returns:
        A scalar: mean cross-entropy of the phrases plus the weighted mean of that of the stretches.
    """
    logits = logits.float()
    floor = torch.finfo(logits.dtype).min
    rivals = logits.masked_fill(~negative, floor)
    itself = torch.eye(logits.shape[2], dtype=torch.bool, device=logits.device)
    lead = logits - _with_the_rest(rivals.unsqueeze(2).masked_fill(itself, floor))
    peaks = lead.masked_fill(~positive, floor).amax(dim=1)
    somewhere = negative.any(dim=2, keepdim=True)
    least = 0.0  # that the rest alone gives
    alarms = _with_the_rest(rivals).unsqueeze(2).masked_fill(~somewhere, least)
    alarms = _cut(alarms, stretch, least).amax(dim=2)

    said, heard = positive.any(dim=1), _stretches(somewhere, stretch)
    divisors = divisors or softmax_divisors(positive, negative, stretch, weights)
    missed = _total(functional.softplus(-peaks), said, weights)
    alarmed = _total(alarms, heard, weights)
    return missed / divisors.wanted + negative_weight * alarmed / divisors.unwanted


def softmax_divisors(positive: Tensor, negative: Tensor, stretch: int, weights: Tensor | None = None) -> Divisors:
    """Return what `softmax_ce` divides by; its arguments."""
    return max_pooling_divisors(positive, negative.any(dim=2, keepdim=True), stretch, weights)


def per_frame_bce(
    logits: Tensor,
    positive: Tensor,
    negative: Tensor,
    negative_weight: float,
    shape: Shape = PLAIN,
    weights: Tensor | None = None,
    divisors: Divisors | None = None,
) -> Tensor:
    """Compute the loss of a batch of windows, in which every frame speaks for itself.

    Args:
        logits, positive, negative, negative_weight, shape, weights, divisors: as for `max_pooling_bce`, but the phrase
            must fire in all frames of `positive`.

    Returns:
        A scalar: mean binary cross-entropy of the positive frames plus the weighted mean of that of the negative.
    """
    logits = logits.float()
    divisors = divisors or per_frame_divisors(positive, negative, weights)
    missed = _total(_bce(logits, True, shape), positive, weights)
    alarmed = _total(_bce(logits, False, shape), negative, weights)
    return missed / divisors.wanted + negative_weight * alarmed / divisors.unwanted


def per_frame_divisors(positive: Tensor, negative: Tensor, weights: Tensor | None = None) -> Divisors:
    """Return what `per_frame_bce` divides by; its arguments."""
    return Divisors(_count(positive, weights), _count(negative, weights))


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


def _with_the_rest(logits: Tensor) -> Tensor:
    """Return the logit of the last dimension's classes and of the rest, whose own is 0, taken as one."""
    return torch.logsumexp(functional.pad(logits, (0, 1)), dim=-1)


def _stretches(negative: Tensor, stretch: int) -> Tensor:
    """Return in which stretches there is other sound, `(batch, stretches, phrases)` bool."""
    return _cut(negative, stretch, False).any(dim=2)


def _cut(values: Tensor, stretch: int, fill: float) -> Tensor:
    """Return `(batch, stretches, stretch, phrases)` of `(batch, frames, phrases)`, the last stretch filled up."""
    spare = -values.shape[1] % stretch
    whole: Tensor = functional.pad(values, (0, 0, 0, spare), value=fill).unflatten(1, (-1, stretch))
    return whole


def _total(losses: Tensor, counted: Tensor, weights: Tensor | None) -> Tensor:
    """Return the weighted sum of the losses that count; the first dimension of both is the batch."""
    chosen = losses[counted]
    return chosen.sum() if weights is None else (chosen * _each(counted, weights)).sum()


def _count(counted: Tensor, weights: Tensor | None) -> Tensor | int:
    """Return the sum of the weights of what counts, or 1 where nothing does."""
    if weights is None:
        return max(1, int(counted.sum()))
    total = _each(counted, weights).sum()
    return torch.where(total > 0, total, torch.ones_like(total))


def _each(counted: Tensor, weights: Tensor) -> Tensor:
    """Return the weight of each thing that counts; the first dimension of `counted` is the batch."""
    return weights.view(-1, *[1] * (counted.ndim - 1)).expand_as(counted)[counted]
