"""Training learns, is repeatable, goes on exactly where it was cut off, and keeps what was judged."""

import copy
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tests.models.networks import CONFIGS
from tests.training.conftest import BATCHES, FRONTEND, LOSS, MODEL, Cut, cut_after, tells_tones_apart, transcribing
from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.features.cmvn import Cmvn, accumulate
from wakeword.features.store import StreamSet
from wakeword.models.network import Network
from wakeword.training import devices, loop, watching
from wakeword.training.config import (
    AdamWConfig,
    EarlyStoppingConfig,
    FahControlConfig,
    MiningConfig,
    OptimizerConfig,
    SgdConfig,
    TrainConfig,
)
from wakeword.training.mining import Mined
from wakeword.training.objective import Objective, optimizer
from wakeword.training.sampler import WindowSampler


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


@pytest.mark.parametrize("transcribed", [False, True])
def test_the_same_seed_gives_the_same_bits(
    streams: StreamSet, network: Network, objective: Objective, config: TrainConfig, tmp_path: Path, transcribed: bool
) -> None:
    plain, objective = objective, transcribing(streams, network) if transcribed else objective
    start = copy.deepcopy(network)
    runs = [
        loop.train(candidate, objective, config=config, judge=loss_judge(plain), lr=0.01, seed=1, checkpoints=at)
        for at, candidate in ((tmp_path / "a", network), (tmp_path / "b", start))
    ]
    one, two = (run.network.state_dict() for run in runs)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert runs[0].history == runs[1].history


@pytest.mark.parametrize(("epochs", "transcribed"), [(1, False), (2, False), (1, True)])
def test_a_training_that_was_cut_off_ends_the_same_to_the_bit(
    streams: StreamSet,
    network: Network,
    objective: Objective,
    config: TrainConfig,
    tmp_path: Path,
    epochs: int,
    transcribed: bool,
) -> None:
    plain, objective = objective, transcribing(streams, network) if transcribed else objective
    start = copy.deepcopy(network)
    judge = loss_judge(plain)
    whole = loop.train(network, objective, judge, config, 0.01, 1, tmp_path / "whole")
    seen: list[list[float]] = []

    def watch(history: watching.Rows, system: watching.Rows) -> None:
        assert all(row["memory_mb"] > 1 and row["steps_per_s"] > 0 for row in system)
        assert [row["epoch"] for row in history] == [row["epoch"] for row in system]
        seen.append([row["epoch"] for row in system])

    with pytest.raises(Cut):
        cut = cut_after(epochs, judge)
        loop.train(copy.deepcopy(start), objective, cut, config, 0.01, 1, tmp_path / "cut", watch=watch)
    torch.manual_seed(99)  # whatever happened in between
    resumed = loop.train(copy.deepcopy(start), objective, judge, config, 0.01, 1, tmp_path / "cut", watch=watch)
    after = [[1], [1, 2], [1, 2, 3]]
    assert seen == after[:epochs] + after[epochs - 1 :]  # at once when it goes on, so that nothing is missing
    one, two = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert whole.history == resumed.history
    loop.forget(tmp_path / "cut")
    assert not (tmp_path / "cut").exists()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_learns_and_goes_on_where_it_was_cut_off(
    streams: StreamSet, network: Network, config: TrainConfig, tmp_path: Path, dtype: torch.dtype
) -> None:
    sampler = WindowSampler(streams, 1, BATCHES, LOSS, network.receptive_field, network.stride, seed=1)
    objective = Objective(sampler, FRONTEND, BATCHES, LOSS, torch.device("cpu"), dtype)
    start, judge = copy.deepcopy(network), loss_judge(objective)
    before = judge(copy.deepcopy(network).eval())["mean_recall"]
    whole = loop.train(network, objective, judge, config, 0.01, 1, tmp_path / "whole")
    assert whole.history[-1]["mean_recall"] > before + 0.2
    with pytest.raises(Cut):
        loop.train(copy.deepcopy(start), objective, cut_after(2, judge), config, 0.01, 1, tmp_path / "cut")
    resumed = loop.train(copy.deepcopy(start), objective, judge, config, 0.01, 1, tmp_path / "cut")
    assert whole.history == resumed.history
    assert all(torch.equal(one, two) for one, two in zip(network_bits(whole), network_bits(resumed), strict=True))


def network_bits(trained: loop.Training) -> list[torch.Tensor]:
    return list(trained.network.state_dict().values())


def test_float16_is_for_gpus_that_only_emulate_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    def turing(including_emulation: bool = True) -> bool:  # what torch says of compute capability 7.5
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", turing)
    assert devices.precision("auto", torch.device("cuda")) == torch.float16
    assert devices.precision("auto", torch.device("cpu")) is None


def test_any_seed_trains(network: Network, objective: Objective, config: TrainConfig, tmp_path: Path) -> None:
    short = config.model_copy(update={"epochs": 1, "steps_per_epoch": 1})
    assert loop.train(network, objective, loss_judge(objective), short, 0.01, 2**63 - 1, tmp_path).history


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


@pytest.mark.parametrize("epochs", [2, 3])
def test_a_training_that_was_cut_off_goes_on_with_what_was_mined(
    streams: StreamSet, network: Network, config: TrainConfig, tmp_path: Path, epochs: int
) -> None:
    def fresh() -> Objective:
        sampler = WindowSampler(streams, 1, BATCHES, LOSS, network.receptive_field, network.stride, seed=1)
        return Objective(sampler, FRONTEND, BATCHES, LOSS, torch.device("cpu"), None)

    start, mine, judge = copy.deepcopy(network), falls_for(streams), loss_judge(fresh())
    args = mining(config), 0.01, 1
    whole = loop.train(network, fresh(), judge, *args, tmp_path / "whole", mine)
    with pytest.raises(Cut):
        loop.train(copy.deepcopy(start), fresh(), cut_after(epochs, judge), *args, tmp_path / "cut", mine)
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


def test_a_schedule_reaches_the_optimizer(
    network: Network, objective: Objective, config: TrainConfig, tmp_path: Path
) -> None:
    last = {}
    for schedule in ("cosine", "one_cycle", "constant"):
        changed = config.model_copy(update={"schedule": schedule, "epochs": 1})
        trained = loop.train(
            copy.deepcopy(network), objective, loss_judge(objective), changed, 0.01, 1, tmp_path / schedule
        )
        last[schedule] = trained.history[0]["lr"]
    assert last["constant"] == 0.01
    assert last["one_cycle"] == pytest.approx(0.01 / 25e4) and last["one_cycle"] < last["cosine"] < 1e-3


class Scripted:
    """A judge that knows its figures beforehand, keeps what it judged, and interrupts one judgement."""

    def __init__(self, recalls: list[float], alarms: list[int] | None = None, cut_before: int | None = None) -> None:
        self.recalls, self.alarms, self.cut_before = recalls, alarms, cut_before
        self.seen: list[dict[str, torch.Tensor]] = []

    def __call__(self, network: Network) -> dict[str, float]:
        number = len(self.seen)
        if number == self.cut_before:
            self.cut_before = None
            raise Cut
        self.seen.append(copy.deepcopy(network.state_dict()))
        alarms = {"false_alarms": self.alarms[number], "hours": 1.0} if self.alarms else {}
        return {"mean_recall": self.recalls[number], "standard_error": 0.07, "frr": 0.5} | alarms


def assert_resumed_the_same(
    network: Network, objective: Objective, config: TrainConfig, folder: Path, whole: loop.Training, judge: Scripted
) -> None:
    args = config, 0.01, 1, folder / "cut"
    with pytest.raises(Cut):
        loop.train(copy.deepcopy(network), objective, judge, *args)
    resumed = loop.train(copy.deepcopy(network), objective, judge, *args)
    one, two = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert whole.history == resumed.history
    assert (whole.best_epoch, whole.average) == (resumed.best_epoch, resumed.average)


@pytest.mark.parametrize("cut_before", [1, 2, 3])
def test_training_stops_early_at_the_same_epoch_when_cut_off(
    network: Network, objective: Objective, config: TrainConfig, tmp_path: Path, cut_before: int
) -> None:
    config = config.model_copy(
        update={"epochs": 7, "steps_per_epoch": 3, "early_stopping": EarlyStoppingConfig(patience=2)}
    )
    # Two epochs after the second none was better, though one was as good, which is kept as the later.
    recalls = [0.1, 0.4, 0.3, 0.4, 0.9, 0.9, 0.9]
    judge = Scripted(recalls)
    whole = loop.train(copy.deepcopy(network), objective, judge, config, 0.01, 1, tmp_path / "whole")
    assert len(whole.history) == len(judge.seen) == 4 and whole.best_epoch == 4 and whole.kept_epochs == [4]
    kept = whole.network.state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in judge.seen[3].items())
    # The rate is planned over all seven epochs.
    assert whole.history[-1]["lr"] > 0.002
    assert_resumed_the_same(network, objective, config, tmp_path, whole, Scripted(recalls, cut_before=cut_before))


def test_nothing_is_mined_after_the_last_epoch(
    streams: StreamSet, network: Network, objective: Objective, config: TrainConfig, tmp_path: Path
) -> None:
    config = mining(config).model_copy(update={"early_stopping": EarlyStoppingConfig(patience=3)})
    judge = Scripted([0.5, 0.4, 0.4, 0.4])
    trained = loop.train(network, objective, judge, config, 0.01, 1, tmp_path, falls_for(streams))
    assert len(trained.history) == 4 and list(trained.mined) == [2]


@pytest.mark.parametrize(("of_average", "kept"), [(0.6, True), (0.44, True), (0.42, False)])
@pytest.mark.parametrize("cut_before", [2, 4])
def test_the_average_of_what_dev_cannot_tell_from_the_best_is_kept_if_it_cannot_be_told_either(
    network: Network,
    objective: Objective,
    config: TrainConfig,
    tmp_path: Path,
    of_average: float,
    kept: bool,
    cut_before: int,
) -> None:
    config = config.model_copy(update={"epochs": 4, "steps_per_epoch": 3, "average_best": 2})
    recalls = [0.1, 0.5, 0.4, 0.45, of_average]
    judge = Scripted(recalls)
    whole = loop.train(copy.deepcopy(network), objective, judge, config, 0.01, 1, tmp_path / "whole")
    assert whole.average is not None and whole.average.epochs == [2, 4] and whole.average.kept == kept
    assert whole.best_epoch == 2 and whole.kept_epochs == ([2, 4] if kept else [2])
    assert whole.kept_figures["mean_recall"] == (of_average if kept else 0.5)
    assert ("loss" in whole.kept_figures) != kept  # an average has none of its own
    ours = whole.network.state_dict()
    for name, second in judge.seen[1].items():
        mean = (second + judge.seen[3][name]) / 2 if second.is_floating_point() else second
        assert torch.allclose(judge.seen[4][name], mean, atol=1e-7), name
        assert torch.equal(ours[name], judge.seen[4][name] if kept else second), name
    assert not torch.equal(judge.seen[4]["body.head.weight"], judge.seen[1]["body.head.weight"])
    assert_resumed_the_same(network, objective, config, tmp_path, whole, Scripted(recalls, cut_before=cut_before))


@pytest.mark.parametrize("cut_before", [1, 2])
def test_the_weight_of_other_sound_follows_the_false_alarms_when_cut_off_too(
    network: Network, objective: Objective, config: TrainConfig, tmp_path: Path, cut_before: int
) -> None:
    config = config.model_copy(update={"steps_per_epoch": 3})
    recalls, alarms = [0.5, 0.6, 0.7], [9, 0, 4]
    free = loop.train(copy.deepcopy(network), objective, Scripted(recalls), config, 0.01, 1, tmp_path / "free")
    config = config.model_copy(update={"fah_control": FahControlConfig(target_fah=2.0, gain=0.5)})
    judge = Scripted(recalls, alarms)
    whole = loop.train(copy.deepcopy(network), objective, judge, config, 0.01, 1, tmp_path / "whole")
    weights = [row["negative_weight"] for row in whole.history]
    assert weights == pytest.approx([1.0, 3.8**0.5, (3.8 * 0.2) ** 0.5])
    assert "negative_weight" not in free.history[0]
    same = [one["loss"] == two["loss"] for one, two in zip(free.history, whole.history, strict=True)]
    assert same == [True, False, False]
    judge = Scripted(recalls, alarms, cut_before)
    assert_resumed_the_same(network, objective, config, tmp_path, whole, judge)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # PyTorch's compiler uses it
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("transcribed", [False, True])
def test_a_compiled_training_is_that_of_the_plain_network_but_for_rounding(
    streams: StreamSet, config: TrainConfig, tmp_path: Path, transcribed: bool
) -> None:
    torch.manual_seed(3)
    model = MODEL.model_copy(update={"dilations": [1], "stacks": 1, "dropout": 0.0})
    statistics = accumulate([streams.all_features], FRONTEND.fingerprint)
    plain, other = (Network(model, statistics, FRONTEND.floor, phrases=1) for _ in range(2))
    other.load_state_dict(plain.state_dict())
    sampler = WindowSampler(streams, 1, BATCHES, LOSS, plain.receptive_field, plain.stride, seed=1)
    objective = Objective(sampler, FRONTEND, BATCHES, LOSS, torch.device("cpu"), None)
    if transcribed:
        objective = transcribing(streams, plain)
    config = config.model_copy(update={"epochs": 1, "steps_per_epoch": 4})
    expected = loop.train(plain, objective, Scripted([0.5]), config, 0.01, 1, tmp_path / "plain").network.state_dict()
    config = config.model_copy(update={"compile": True})
    found = loop.train(other, objective, Scripted([0.5]), config, 0.01, 1, tmp_path / "compiled").network.state_dict()
    assert list(found) == list(expected)
    assert all(torch.allclose(found[name], tensor, atol=1e-4) for name, tensor in expected.items())
    assert not all(torch.equal(found[name], tensor) for name, tensor in expected.items())  # something was compiled


def test_compiling_without_a_compiler_is_an_error(
    network: Network, objective: Objective, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    config = config.model_copy(update={"compile": True})
    with pytest.raises(UserError, match=r"train\.compile is true, but there is no C\+\+ compiler no-such-compiler"):
        loop.train(network, objective, loss_judge(objective), config, 0.01, 1, tmp_path)


def test_a_loss_that_is_no_number_is_an_error(
    network: Network, objective: Objective, config: TrainConfig, tmp_path: Path
) -> None:
    with torch.no_grad():
        network.body.head.weight.fill_(float("nan"))
    with pytest.raises(UserError, match=r"lower train\.lr \(it was 0\.01\)"):
        loop.train(network, objective, loss_judge(objective), config, 0.01, 1, tmp_path)


@pytest.mark.parametrize("chosen", [AdamWConfig(), SgdConfig()])
@pytest.mark.parametrize("phrases", [1, 2])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_only_weights_that_multiply_decay(architecture: str, phrases: int, chosen: OptimizerConfig) -> None:
    cmvn = Cmvn(np.zeros(40), np.ones(40), 1, FRONTEND.fingerprint)
    network = Network(CONFIGS[architecture], cmvn, FRONTEND.floor, phrases)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decayed, others = optimizer(network, chosen, 0.1).param_groups
    assert decayed["weight_decay"] > 0 and others["weight_decay"] == 0
    found, left = ({names[id(parameter)] for parameter in group["params"]} for group in (decayed, others))
    assert found | left == set(names.values()) and not found & left
    assert {"body.head.weight", "body.stem.0.weight"} & set(names.values()) <= found
    # Kernels begin at random, what normalizes and what is added at ones and zeros (but for biases, named so).
    even = {name for name, parameter in network.named_parameters() if parameter.min() == parameter.max()}
    assert left == even | {name for name in names.values() if name.split(".")[-1].startswith("bias")}


def test_an_optimizer_takes_no_knob_of_another() -> None:
    given = {"name": "sgd", "momentum": 0.5, "weight_decay": 0.0, "clip_norm": 1.0}
    assert TrainConfig.model_validate({"optimizer": given}).optimizer == SgdConfig.model_validate(given)
    with pytest.raises(ValidationError, match="momentum"):
        TrainConfig.model_validate({"optimizer": given | {"name": "adamw"}})


def test_sgd_takes_the_steps_of_its_formula(network: Network) -> None:
    config = SgdConfig(momentum=0.8, weight_decay=0.1)
    update = optimizer(network, config, 0.5)
    decayed = {id(parameter) for parameter in update.param_groups[0]["params"]}
    expected = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    speed = {name: torch.zeros_like(parameter) for name, parameter in expected.items()}
    for step in range(3):
        for name, parameter in network.named_parameters():
            parameter.grad = torch.full_like(parameter, float(step + 1))
            decay = config.weight_decay * expected[name] if id(parameter) in decayed else 0.0
            speed[name] = config.momentum * speed[name] + step + 1 + decay
            expected[name] = expected[name] - 0.5 * speed[name]
        update.step()
    for name, parameter in network.named_parameters():
        assert torch.allclose(parameter, expected[name], rtol=1e-5, atol=1e-5), name


def test_a_training_by_sgd_learns_and_goes_on_with_its_momentum(
    network: Network, objective: Objective, config: TrainConfig, tmp_path: Path
) -> None:
    judge = loss_judge(objective)
    before = judge(copy.deepcopy(network).eval())["mean_recall"]
    config = config.model_copy(update={"optimizer": SgdConfig()})
    start, other = copy.deepcopy(network), copy.deepcopy(network)
    whole = loop.train(network, objective, judge, config, 0.1, 1, tmp_path / "whole")
    assert whole.kept_figures["mean_recall"] > before + 0.2

    def cut(candidate: Network) -> dict[str, float]:
        if (tmp_path / "cut" / "latest.pt").exists():
            raise Cut
        return judge(candidate)

    with pytest.raises(Cut):
        loop.train(start, objective, cut, config, 0.1, 1, tmp_path / "cut")
    resumed = loop.train(other, objective, judge, config, 0.1, 1, tmp_path / "cut")
    assert resumed.history == whole.history
