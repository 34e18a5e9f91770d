"""Which epochs rank highest, when training has stalled, and what the mean of states is; all worked by hand."""

import pytest
import torch

from wakeword.training.config import EarlyStoppingConfig, TrainConfig
from wakeword.training.selection import best_epochs, mean_state, stalled


def judged(*recalls: float, frr: float = 0.5) -> list[dict[str, float]]:
    return [{"mean_recall": recall, "frr": frr} for recall in recalls]


def test_epochs_rank_by_recall_then_misses_then_age() -> None:
    history = [*judged(0.5, 0.7, 0.6, 0.7), *judged(0.6, frr=0.4), *judged(0.1)]
    assert best_epochs(history, 4) == [4, 2, 5, 3]
    assert best_epochs(history, 1) == [4]
    assert best_epochs(judged(0.2), 3) == [1]


@pytest.mark.parametrize(
    ("recalls", "expected"),
    [
        ([0.5, 0.4, 0.4], False),
        ([0.5, 0.4, 0.4, 0.4], True),
        ([0.5, 0.4, 0.4, 0.6], False),
        ([0.5, 0.4, 0.4, 0.5], True),  # as good is not better
        ([0.5, 0.6, 0.4, 0.4], False),
        ([0.5, 0.4, 0.6, 0.55, 0.5, 0.58], True),
        ([0.5], False),
        ([], False),
    ],
)
def test_training_has_stalled_after_three_epochs_without_a_better_one(recalls: list[float], expected: bool) -> None:
    assert stalled(judged(*recalls), 3) == expected


def test_fewer_misses_at_the_same_recall_are_better() -> None:
    assert not stalled([*judged(0.5), *judged(0.5, frr=0.4)], 1)
    assert stalled([*judged(0.5), *judged(0.5, frr=0.6)], 1)


def test_the_mean_of_states_takes_integers_from_the_best() -> None:
    states = [
        {"weight": torch.tensor([1.0, 5.0]), "count": torch.tensor(7)},
        {"weight": torch.tensor([3.0, 6.0]), "count": torch.tensor(9)},
        {"weight": torch.tensor([8.0, 1.0]), "count": torch.tensor(1)},
    ]
    mean = mean_state(states)
    assert mean["weight"].tolist() == [4.0, 4.0] and mean["weight"].dtype == torch.float32
    assert mean["count"].item() == 7


def test_patience_that_could_never_act_is_refused() -> None:
    assert TrainConfig(epochs=4, early_stopping=EarlyStoppingConfig(patience=2))
    with pytest.raises(ValueError, match="patience is 3, which 4 epochs never reach"):
        TrainConfig(epochs=4, early_stopping=EarlyStoppingConfig(patience=3))
