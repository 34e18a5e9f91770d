"""The learning rate of each step, and the weight of other sound of each epoch."""

import math

import pytest
import torch

from wakeword.training.config import FahControlConfig, LossConfig, MiningConfig, TrainConfig
from wakeword.training.schedule import automatic_peak, learning_rate, negative_weight


def rates(schedule: str, share: float = 0.1, steps: int = 1000, peak: float = 2.0) -> list[float]:
    return [learning_rate(step, steps, peak, schedule, share) for step in range(steps)]


def test_a_cosine_rises_to_its_peak_and_falls_to_zero() -> None:
    found = rates("cosine")
    assert found[0] == pytest.approx(0.02) and found[99] == pytest.approx(2.0)
    assert found[550] == pytest.approx(1.0, abs=0.01) and found[-1] < 1e-4
    assert max(found) == pytest.approx(2.0)


def test_a_constant_rate_rises_and_stays() -> None:
    found = rates("constant")
    assert found[:100] == rates("cosine")[:100] and set(found[100:]) == {2.0}
    assert set(rates("constant", share=0.0)) == {2.0}


def test_what_is_suggested_is_the_peak_or_for_a_constant_rate_the_mean_of_a_cosine_of_that_peak() -> None:
    assert automatic_peak(2.0, "cosine") == automatic_peak(2.0, "one_cycle") == 2.0
    assert automatic_peak(2.0, "constant") == pytest.approx(sum(rates("cosine", share=0.0)) / 1000, rel=0.01)


@pytest.mark.parametrize(("steps", "share"), [(1000, 0.3), (200, 0.05), (50, 0.5), (10, 0.2)])
def test_one_cycle_is_that_of_pytorch(steps: int, share: float) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=2.0, total_steps=steps, pct_start=share, cycle_momentum=False
    )
    expected = []
    for _ in range(steps):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step() if len(expected) < steps else None
    assert rates("one_cycle", share, steps) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "constant"])
def test_every_rate_of_any_length_is_above_zero_and_the_warm_up_acts(schedule: str) -> None:
    for steps in (1, 2, 3, 20):
        for share in (0.0, 0.05, 0.5, 0.99):
            assert all(0 < rate <= 2.0 for rate in rates(schedule, share, steps))
    assert rates(schedule, 0.0, 20)[0] == 2.0 > rates(schedule, 0.5, 20)[0]


CONTROL = FahControlConfig(target_fah=2.0, gain=0.5, least=0.1, most=10.0)


def epoch(weight: float, alarms: int, hours: float) -> dict[str, float]:
    return {"negative_weight": weight, "false_alarms": alarms, "hours": hours}


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (epoch(3.0, 4, 2.0), 3.0),  # 4 false alarms in 2 h: on target
        (epoch(1.0, 40, 2.0), 3.0),  # 40.5 against 4.5: 9 times, of which the root
        (epoch(3.0, 0, 2.0), 1.0),  # 0.5 against 4.5
        (epoch(1.0, 0, 0.25), math.sqrt(0.5)),  # a quarter of an hour without any tells less: 0.5 against 1
        (epoch(8.0, 1000, 2.0), 10.0),
        (epoch(0.2, 0, 100.0), 0.1),
    ],
)
def test_the_weight_follows_the_false_alarms_of_the_last_epoch(last: dict[str, float], expected: float) -> None:
    earlier = epoch(0.7, 77, 1.0)
    assert negative_weight([earlier, last], 5.0, CONTROL) == pytest.approx(expected)


def test_the_weight_starts_with_that_of_the_loss_and_stays_there_without_control() -> None:
    assert negative_weight([], 5.0, CONTROL) == 5.0
    assert negative_weight([{"loss": 1.0}], 5.0, None) == 5.0


def test_the_weight_settles_where_the_target_is_met() -> None:
    # A detector whose false alarms fall with the cube of the weight meets 2 an hour, of 16 at weight 1, at weight 2.
    history = [epoch(1.0, 1600, 100.0)]
    for _ in range(20):
        weight = negative_weight(history, 1.0, CONTROL)
        history.append(epoch(weight, round(1600 / weight**3), 100.0))
    assert history[-1]["negative_weight"] == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fah_control": CONTROL, "epochs": 1}, "fah_control acts from the second epoch on"),
        ({"mining": MiningConfig(every=8), "epochs": 8}, r"mining\.every is 8, and after the last of 8 epochs"),
        ({"fah_control": CONTROL, "loss": LossConfig(negative_weight=11.0)}, "it must lie from fah_control.least, 0.1"),
    ],
)
def test_what_cannot_act_is_refused(changed: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TrainConfig(**changed)
