"""Max-pooling loss: a phrase needs one high score where it ends, other sound must have none."""

import torch
from torch import Tensor
from torch.nn import functional


def max_pooling_bce(logits: Tensor, positive: Tensor, negative: Tensor, stretch: int, negative_weight: float) -> Tensor:
    """Compute the loss of a batch of windows.

    After Hou et al., "Mining Effective Negative Training Samples for Keyword Spotting" (ICASSP 2020), with each
    window's other sound cut into stretches, so that a long window teaches more than its single worst frame.

    Args:
        logits: `(batch, frames, phrases)`.
        positive: `(batch, frames, phrases)` bool, the frames in one of which the phrase must fire; none where no
            phrase ends.
        negative: `(batch, frames, phrases)` bool, the frames in which it must not. What is neither does not count.
        stretch: frames a stretch.
        negative_weight: weight of the mean over stretches against that of the mean over phrases.

    Returns:
        A scalar: mean binary cross-entropy of the phrases plus the weighted mean of that of the stretches.
    """
    logits = logits.float()
    floor = torch.finfo(logits.dtype).min
    peaks = logits.masked_fill(~positive, floor).amax(dim=1)
    wanted = positive.any(dim=1)
    missed = functional.softplus(-peaks)[wanted]

    spare = -logits.shape[1] % stretch
    others = functional.pad(logits.masked_fill(~negative, floor), (0, 0, 0, spare), value=floor)
    others = others.unflatten(1, (-1, stretch)).amax(dim=2)
    heard = functional.pad(negative, (0, 0, 0, spare)).unflatten(1, (-1, stretch)).any(dim=2)
    alarmed = functional.softplus(others)[heard]

    return missed.sum() / max(1, missed.numel()) + negative_weight * alarmed.sum() / max(1, alarmed.numel())
