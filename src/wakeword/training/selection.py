"""Which epochs are kept, when to stop for want of better ones, and the average of the best."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

State = dict[str, Tensor]


@dataclass(frozen=True)
class Average:
    """What became of the average of the best epochs.

    Attributes:
        epochs: whose weights were averaged.
        figures: the judge's, of the average.
        kept: whether it ranks at least as high as the best epoch alone.
    """

    epochs: list[int]
    figures: dict[str, float]
    kept: bool


def rank(figures: dict[str, float]) -> tuple[float, float]:
    """Return what is compared of two judgements, the higher being the better: "mean_recall", then a low "frr"."""
    return figures["mean_recall"], -figures["frr"]


def best_epochs(history: Sequence[dict[str, float]], most: int) -> list[int]:
    """Return the epochs of highest rank, from 1, the best first; of equals, the later is the better."""
    epochs = sorted(range(1, len(history) + 1), key=lambda epoch: (rank(history[epoch - 1]), epoch), reverse=True)
    return epochs[:most]


def stalled(history: Sequence[dict[str, float]], patience: int) -> bool:
    """Say whether none of the last `patience` epochs was judged better than the best before them."""
    before, since = history[:-patience], history[-patience:]
    return bool(before) and max(map(rank, since)) <= max(map(rank, before))


def mean_state(states: Sequence[State]) -> State:
    """Return the mean of some states of one network, weights and buffers; integers are those of the first.

    Stochastic weight averaging (Izmailov et al., arXiv:1803.05407), of checkpoints chosen by their rank. The buffers of
    batch normalization are averaged too, not taken anew from the training set: the states are near each other, and
    what is judged afterwards is the very average that ships.
    """
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if first.is_floating_point() else first
        for name, first in states[0].items()
    }
