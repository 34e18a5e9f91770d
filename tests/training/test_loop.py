"""Training learns, is repeatable, goes on exactly where it was cut off, and keeps what was judged."""

import copy
from pathlib import Path

import pytest
import torch

from tests.training.conftest import BATCHES, FRONTEND, LOSS, tells_tones_apart
from wakeword.base.errors import UserError
from wakeword.features.store import StreamSet
from wakeword.models.network import Network
from wakeword.training import loop
from wakeword.training.config import MiningConfig, TrainConfig
from wakeword.training.mining import Mined
from wakeword.training.objective import Objective, optimizer
from wakeword.training.sampler import WindowSampler


class Cut(Exception):
    pass


def loss_judge(objective: Objective) -> loop.Judge:
    """Judge by the loss of a batch that training never sees."""

    def judge(network: Network) -> dict[str, float]:
        with torch.no_grad():
            return {"mean_recall": -objective(network, 10_000).item(), "frr": 0.0}

    return judge


@pytest.mark.parametrize("network", [2, 3], indirect=True)
def test_it_learns_and_keeps_the_judged_average(
    streams: StreamSet, network: Network, objective: Objective, config: TrainConfig, tmp_path: Path
) -> None:
    judged = []

    def judge(candidate: Network) -> dict[str, float]:
        assert not candidate.training
        judged.append(copy.deepcopy(candidate.state_dict()))
        return loss_judge(objective)(candidate)

    before = loss_judge(objective)(copy.deepcopy(network).eval())["mean_recall"]
    trained = loop.train(network, objective, judge, config, 0.01, 1, tmp_path)
    best = trained.history[trained.best_epoch - 1]
    assert best["mean_recall"] > before + 0.2
    assert best["mean_recall"] == max(row["mean_recall"] for row in trained.history)
    kept = trained.network.state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in judged[trained.best_epoch - 1].items())
    # Not the raw weights: those of the last step differ from their average.
    assert not torch.equal(kept["body.head.weight"], network.state_dict()["body.head.weight"])
    assert tells_tones_apart(streams, trained.network)


def test_the_same_seed_gives_the_same_bits(
    network: Network, objective: Objective, config: TrainConfig, tmp_path: Path
) -> None:
    start = copy.deepcopy(network)
    runs = [
        loop.train(candidate, objective, loss_judge(objective), config, 0.01, 1, tmp_path / name)
        for name, candidate in (("a", network), ("b", start))
    ]
    one, two = (run.network.state_dict() for run in runs)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert runs[0].history == runs[1].history


@pytest.mark.parametrize("cut_after", [1, 2])
def test_a_training_that_was_cut_off_ends_the_same_to_the_bit(
    network: Network, objective: Objective, config: TrainConfig, tmp_path: Path, cut_after: int
) -> None:
    start = copy.deepcopy(network)
    whole = loop.train(network, objective, loss_judge(objective), config, 0.01, 1, tmp_path / "whole")

    calls = 0

    def cut(candidate: Network) -> dict[str, float]:
        nonlocal calls
        calls += 1
        if calls > cut_after:
            raise Cut
        return loss_judge(objective)(candidate)

    with pytest.raises(Cut):
        loop.train(copy.deepcopy(start), objective, cut, config, 0.01, 1, tmp_path / "cut")
    torch.manual_seed(99)  # whatever happened in between
    resumed = loop.train(copy.deepcopy(start), objective, loss_judge(objective), config, 0.01, 1, tmp_path / "cut")
    one, two = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert whole.history == resumed.history
    loop.forget(tmp_path / "cut")
    assert not (tmp_path / "cut").exists()


def mining(config: TrainConfig) -> TrainConfig:
    return config.model_copy(update={"epochs": 5, "steps_per_epoch": 6, "mining": MiningConfig(every=2, share=0.4)})


def falls_for(streams: StreamSet) -> loop.Miner:
    """Find other false alarms each time, which depend on the weights alone."""

    def mine(candidate: Network) -> list[Mined]:
        number = int(candidate.state_dict()["body.head.weight"].abs().sum().item() * 1e6) % 10
        return [Mined(streams.streams[number].name, 5.0, 0.5, 0, None, None)]

    return mine


def test_what_is_mined_is_fed_back_and_reported(
    streams: StreamSet, network: Network, objective: Objective, config: TrainConfig, tmp_path: Path
) -> None:
    start = copy.deepcopy(network)
    judge = loss_judge(objective)
    args = mining(config), 0.01, 1
    without = loop.train(copy.deepcopy(start), objective, judge, *args, tmp_path / "a")
    trained = loop.train(network, objective, judge, *args, tmp_path / "b", falls_for(streams))
    assert without.mined == {} and list(trained.mined) == [2, 4]
    # The first two epochs see the same batches, the third does not.
    same = [one["loss"] == two["loss"] for one, two in zip(without.history, trained.history, strict=True)]
    assert same == [True, True, False, False, False]


@pytest.mark.parametrize("cut_after", [2, 3])
def test_a_training_that_was_cut_off_goes_on_with_what_was_mined(
    streams: StreamSet, network: Network, config: TrainConfig, tmp_path: Path, cut_after: int
) -> None:
    def fresh() -> Objective:
        sampler = WindowSampler(streams, 1, BATCHES, LOSS, network.receptive_field, network.stride, seed=1)
        return Objective(sampler, FRONTEND, BATCHES, LOSS, torch.device("cpu"), None)

    start, mine, judge = copy.deepcopy(network), falls_for(streams), loss_judge(fresh())
    args = mining(config), 0.01, 1
    whole = loop.train(network, fresh(), judge, *args, tmp_path / "whole", mine)
    judged = 0

    def cut(candidate: Network) -> dict[str, float]:
        nonlocal judged
        judged += 1
        if judged > cut_after:
            raise Cut
        return judge(candidate)

    with pytest.raises(Cut):
        loop.train(copy.deepcopy(start), fresh(), cut, *args, tmp_path / "cut", mine)
    resumed = loop.train(copy.deepcopy(start), fresh(), judge, *args, tmp_path / "cut", mine)
    one, two = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert whole.history == resumed.history and whole.mined == resumed.mined


def test_a_loss_that_is_no_number_is_an_error(
    network: Network, objective: Objective, config: TrainConfig, tmp_path: Path
) -> None:
    with torch.no_grad():
        network.body.head.weight.fill_(float("nan"))
    with pytest.raises(UserError, match=r"lower train\.lr \(it was 0\.01\)"):
        loop.train(network, objective, loss_judge(objective), config, 0.01, 1, tmp_path)


def test_the_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    rates = [loop.learning_rate(step, 1000, 2.0, 0.1) for step in range(1000)]
    assert rates[0] == pytest.approx(0.02) and rates[99] == pytest.approx(2.0)
    assert rates[550] == pytest.approx(1.0, abs=0.01) and rates[-1] < 1e-4
    assert max(rates) == pytest.approx(2.0)


def test_only_weights_that_multiply_decay(network: Network, config: TrainConfig) -> None:
    decayed, others = optimizer(network, config.optimizer, 0.1).param_groups
    assert all(parameter.squeeze().ndim > 1 for parameter in decayed["params"]) and decayed["weight_decay"] > 0
    assert others["weight_decay"] == 0
    assert len(decayed["params"]) + len(others["params"]) == len(list(network.parameters()))
