"""Training learns, is repeatable, goes on exactly where it was cut off, and keeps what was judged."""

import copy
import logging
from pathlib import Path

import pytest
import torch

from tests.training.conftest import BATCHES, FRONTEND, LOSS, tells_tones_apart
from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.features.store import StreamSet
from wakeword.models.network import Network
from wakeword.training import loop, watching
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

    seen: list[list[float]] = []

    def watch(history: watching.Rows, system: watching.Rows) -> None:
        assert all(row["memory_mb"] > 1 and row["steps_per_s"] > 0 for row in system)
        assert [row["epoch"] for row in history] == [row["epoch"] for row in system]
        seen.append([row["epoch"] for row in system])

    with pytest.raises(Cut):
        loop.train(copy.deepcopy(start), objective, cut, config, 0.01, 1, tmp_path / "cut", watch=watch)
    torch.manual_seed(99)  # whatever happened in between
    judge = loss_judge(objective)
    resumed = loop.train(copy.deepcopy(start), objective, judge, config, 0.01, 1, tmp_path / "cut", watch=watch)
    after = [[1], [1, 2], [1, 2, 3]]
    assert seen == after[:cut_after] + after[cut_after - 1 :]  # at once when it goes on, so that nothing is missing
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


def test_a_damaged_checkpoint_is_told_and_training_starts_afresh(
    network: Network,
    objective: Objective,
    config: TrainConfig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger("wakeword"), "propagate", True)
    short = config.model_copy(update={"epochs": 1, "steps_per_epoch": 5})
    start, args = copy.deepcopy(network), (loss_judge(objective), short, 0.01, 1, tmp_path)
    whole = loop.train(network, objective, *args)
    checkpoint = tmp_path / "latest.pt"
    for kept in (0, 1000, checkpoint.stat().st_size // 2):
        checkpoint.write_bytes(checkpoint.read_bytes()[:kept])
        again = loop.train(copy.deepcopy(start), objective, *args)
        assert f"cannot read the checkpoint {checkpoint}" in caplog.text
        assert again.history == whole.history
        caplog.clear()


def test_what_is_logged_tells_the_figures_and_the_time_left(
    network: Network,
    objective: Objective,
    config: TrainConfig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log, "_QUIET_SECONDS", 0.0)
    monkeypatch.setenv("WAKEWORD_LOG", "json")  # no bar, wherever the tests run
    monkeypatch.setattr(logging.getLogger("wakeword"), "propagate", True)
    caplog.set_level(logging.INFO, "wakeword")
    trained = loop.train(network, objective, loss_judge(objective), config, 0.01, 1, tmp_path)
    said = [(record.getMessage(), getattr(record, "wakeword_fields", {})) for record in caplog.records]
    steps = [fields for message, fields in said if message.endswith("of 20 steps of epoch 2/3")]
    assert len(steps) == 20 and all(fields["left_s"] >= 0 for fields in steps)
    # The last line of an epoch's steps tells what the epoch's own line does, and the dev figures of the one before.
    first, second = trained.history[:2]
    assert steps[-1]["loss"] == pytest.approx(second["loss"], rel=1e-3)
    assert steps[-1]["gradient_norm"] == pytest.approx(second["gradient_norm"], rel=1e-3)
    assert steps[-1]["lr"] == pytest.approx(second["lr"], rel=1e-3)
    assert steps[-1]["mean_recall"] == pytest.approx(first["mean_recall"], rel=1e-3) and steps[-1]["frr"] == 0.0
    epochs = [fields for message, fields in said if message in ("epoch 1/3", "epoch 2/3", "epoch 3/3")]
    assert [fields["epoch"] for fields in epochs] == [1, 2, 3] and epochs[-1]["left_s"] == 0
    system = [fields for message, fields in said if message == "system"]
    assert len(system) == 3 and all({"steps_per_s", "memory_mb", "waited_for_windows"} <= set(row) for row in system)


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
