"""Which epochs rank highest, when training has stalled, and what the mean of states is; all worked by hand."""

import pytest
import torch

from wakeword.training.config import EarlyStoppingConfig, TrainConfig
from wakeword.training.selection import as_good, averaged_epochs, best_epoch, mean_state, stalled


def judged(*recalls: float, frr: float = 0.5, error: float = 0.05) -> list[dict[str, float]]:
    return [{"mean_recall": recall, "standard_error": error, "frr": frr} for recall in recalls]


def test_the_best_epoch_is_of_the_highest_recall_then_of_fewest_misses_then_the_latest() -> None:
    assert best_epoch([*judged(0.5, 0.7, 0.6, 0.7), *judged(0.6, frr=0.4), *judged(0.1)]) == 4
    assert best_epoch([*judged(0.7, 0.7), *judged(0.7, frr=0.4), *judged(0.7)]) == 3
    assert best_epoch(judged(0.2)) == 1


@pytest.mark.parametrize(
    ("recalls", "most", "expected"),
    [
        ([0.82, 0.92, 0.96, 0.91, 0.94, 0.94, 0.94, 0.93], 3, [6, 7, 8]),  # one lucky epoch, and nothing to tell
        ([0.82, 0.92, 0.99, 0.91, 0.92, 0.92, 0.92, 0.93], 3, [3]),  # better than all others by more than that
        ([0.82, 0.92, 0.96, 0.85, 0.94, 0.87, 0.80, 0.75], 3, [2, 3, 5]),
        ([1.0, 1.0, 1.0, 1.0], 2, [3, 4]),
        ([0.90], 3, [1]),
        # Epoch 1 made room for three others, and is gone when epoch 5 shows them to be worse.
        ([0.94, 0.92, 0.92, 0.92, 0.98], 3, [5]),
    ],
)
def test_the_latest_epochs_that_dev_cannot_tell_from_the_best_are_averaged(
    recalls: list[float], most: int, expected: list[int]
) -> None:
    assert averaged_epochs(judged(*recalls), most) == expected


def test_an_average_is_as_good_down_to_a_standard_error_below_the_best() -> None:
    best = judged(0.9, error=0.03)[0]
    assert [as_good(row, best) for row in judged(0.95, 0.9, 0.8701, 0.8699)] == [True, True, True, False]


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
