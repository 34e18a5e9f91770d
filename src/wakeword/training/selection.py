"""Which epochs are kept, when to stop for want of better ones, and the average of those that dev can't tell apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

State = dict[str, Tensor]


@dataclass(frozen=True)
class Average:
    """What became of the average of epochs.

    Attributes:
        epochs: whose weights were averaged.
        figures: the judge's, of the average.
        kept: whether dev can't tell it from the best epoch alone, or finds it better.
    """

    epochs: list[int]
    figures: dict[str, float]
    kept: bool


def rank(figures: dict[str, float]) -> tuple[float, float]:
    """Return what is compared of two judgements, the higher being the better: "mean_recall", then a low "frr"."""
    return figures["mean_recall"], -figures["frr"]


def best_epoch(history: Sequence[dict[str, float]]) -> int:
    """Return the epoch of highest rank, from 1; of equals, the later is the better."""
    return max(range(1, len(history) + 1), key=lambda epoch: (rank(history[epoch - 1]), epoch))


def as_good(figures: dict[str, float], best: dict[str, float]) -> bool:
    """Say whether mean recall lies within a standard error of the best, or above it, so that dev can't tell."""
    return figures["mean_recall"] >= best["mean_recall"] - best["standard_error"]


def averaged_epochs(history: Sequence[dict[str, float]], most: int) -> list[int]:
    """Return the latest epochs, at most so many, that dev can't tell from the best one; the earliest first.

    Dev is small, and of epochs that it can't tell apart the later ones, at lower learning rates, are the better on what
    dev does not hold. Once an epoch has made room for later ones it does not come back, as its weights are gone.
    """
    kept: list[int] = []
    for epoch in range(1, len(history) + 1):
        best = history[best_epoch(history[:epoch]) - 1]
        kept = [one for one in [*kept, epoch] if as_good(history[one - 1], best)][-most:]
    return kept


def stalled(history: Sequence[dict[str, float]], patience: int) -> bool:
    """Say whether none of the last `patience` epochs was judged better than the best before them."""
    before, since = history[:-patience], history[-patience:]
    return bool(before) and max(map(rank, since)) <= max(map(rank, before))


def mean_state(states: Sequence[State]) -> State:
    """Return the mean of some states of one network, weights and buffers; integers are those of the first.

    Stochastic weight averaging (Izmailov et al., arXiv:1803.05407), of checkpoints that dev chose. The buffers of
    batch normalization are averaged too, not taken anew from the training set: the states are near each other, and
    what is judged afterwards is the very average that ships.
    """
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if first.is_floating_point() else first
        for name, first in states[0].items()
    }
