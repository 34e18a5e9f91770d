"""The range test leaves no trace, uses the training loss, and suggests sensible rates."""

import copy
import itertools
import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.training.conftest import transcribing
from wakeword.base.errors import UserError
from wakeword.features.store import StreamSet
from wakeword.models.network import Network
from wakeword.training import lr_range_test
from wakeword.training.config import AdamWConfig, FindLrConfig
from wakeword.training.objective import Objective, optimizer


@pytest.mark.parametrize("transcribed", [False, True])
def test_it_leaves_no_trace_in_weights_buffers_or_random_state(
    streams: StreamSet, network: Network, objective: Objective, transcribed: bool
) -> None:
    objective = transcribing(streams, network) if transcribed else objective
    before = copy.deepcopy(network.state_dict())
    random_state, training = torch.get_rng_state(), network.training
    found = lr_range_test.run(network, objective, AdamWConfig(), FindLrConfig(steps=30), seed=1)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state) and network.training == training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(1e-5 <= rate <= 1.0 for rate in (found.steepest, found.valley, found.knee))


@pytest.mark.parametrize(("factor", "shown"), [(1e4, 21), (math.inf, 20), (math.nan, 20)])
def test_a_sweep_that_diverges_halfway_stops_there_and_leaves_no_trace(
    network: Network, objective: Objective, monkeypatch: pytest.MonkeyPatch, factor: float, shown: int
) -> None:
    update = optimizer(network.train(), AdamWConfig(), 0.01)
    objective(network, 0).backward()
    update.step()
    before = copy.deepcopy((network.state_dict(), update.state_dict(), [p.grad for p in network.parameters()]))
    drawn = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    steps: list[int] = []
    healthy = Objective.backward

    def diverging(self: Objective, trial: torch.nn.Module, step: int) -> torch.Tensor:
        steps.append(step)
        return healthy(self, trial, step) * (factor if step >= 20 else 1.0)

    monkeypatch.setattr(Objective, "backward", diverging)
    found = lr_range_test.run(network, objective, AdamWConfig(), FindLrConfig(end=0.01, steps=40), seed=1)
    assert steps == list(range(21))
    assert len(found.rates) == len(found.losses) == shown and np.isfinite(found.losses).all()
    assert max(found.steepest, found.valley, found.knee) <= found.rates[19]
    after = network.state_dict(), update.state_dict(), [p.grad for p in network.parameters()]
    torch.testing.assert_close(after, before, rtol=0.0, atol=0.0)
    assert network.training
    assert torch.equal(torch.get_rng_state(), drawn[0]) and random.getstate() == drawn[1]
    assert np.array_equal(np.random.get_state()[1], drawn[2])  # noqa: NPY002


def test_its_first_loss_is_the_training_loss_augmentation_included(network: Network, objective: Objective) -> None:
    found = lr_range_test.run(network, objective, AdamWConfig(), FindLrConfig(steps=10), seed=1)
    torch.manual_seed(1)
    assert found.losses[0] == objective(copy.deepcopy(network).train(), 0).item()


def test_it_is_repeatable(network: Network, objective: Objective) -> None:
    runs = [lr_range_test.run(network, objective, AdamWConfig(), FindLrConfig(steps=15), seed=1) for _ in range(2)]
    assert np.array_equal(runs[0].losses, runs[1].losses)


def test_suggestions_on_a_loss_worked_by_hand() -> None:
    rates = np.geomspace(1e-5, 1.0, 101)
    position = np.log10(rates)
    # Flat to 1e-4, down a smooth step centred at 1e-3, flat, and up steeply from 1e-1.
    loss = 2.0 - 1.5 / (1 + np.exp(-6 * (position + 3))) + np.maximum(0, position + 1) * 20
    steepest, valley, knee = lr_range_test.suggest(rates, loss)
    assert steepest == pytest.approx(1e-3, rel=0.15)
    assert 1e-3 < valley < 1e-1
    # Four fifths of the way from 2 down to a quarter of it, as ratios, and so much of a logistic step of slope 6.
    done = (2.0 - 0.5 * 4**0.2) / 1.5
    assert knee == pytest.approx(1e-3 * 10 ** (math.log(done / (1 - done)) / 6), rel=0.15)


def test_the_knee_is_looked_for_where_the_loss_falls() -> None:
    rates = np.geomspace(1e-5, 1.0, 101)
    position = np.log10(rates)
    loss = 2.0 - 0.35 * (position + 5) + np.maximum(0, position + 2) * 1.5
    _, _, knee = lr_range_test.suggest(rates, loss)
    lucky = np.append(0.5, loss[1:])
    assert lr_range_test.suggest(rates, lucky)[2] == knee  # the first tenth has not settled
    hump = np.interp(position, [-5, -4.2, -3.5, -2, 0], [1.6, 1.6, 2.5, 1.45, 4.0])
    # From 2.5 to 1.45 in a decade and a half.
    done = (2.5 - 1.45 * (2.5 / 1.45) ** 0.2) / 1.05
    assert lr_range_test.suggest(rates, hump)[2] == pytest.approx(10 ** (-3.5 + done * 1.5), rel=0.15)


def test_a_loss_that_starts_ten_times_too_high_must_come_near_its_lowest() -> None:
    rates = np.geomspace(1e-5, 1.0, 501)
    # From 40, by the power -0.4 of the rate, to an eighth of it at 8 ** 2.5 times 0.0001.
    loss = np.clip(40.0 * (rates / 1e-4) ** -0.4, 5.0, 40.0) + np.maximum(0, np.log10(rates) + 1)
    assert lr_range_test.suggest(rates, loss)[2] == pytest.approx(1e-4 * (8**0.8) ** 2.5, rel=0.03)


def test_a_loss_that_hardly_falls_is_told(
    network: Network, objective: Objective, caplog: pytest.LogCaptureFixture
) -> None:
    lr_range_test.run(network, objective, AdamWConfig(), FindLrConfig(start=1e-9, end=1e-8, steps=30), seed=1)
    assert "set train.lr to a number" in caplog.text
    caplog.clear()
    lr_range_test.run(network, objective, AdamWConfig(), FindLrConfig(steps=30), seed=1)
    assert "set train.lr" not in caplog.text


def test_a_slow_fall_from_the_first_rates_on_leaves_the_knee_where_it_is() -> None:
    """As networks with batch normalization do, that learn their biases at any rate."""
    rates = np.geomspace(1e-6, 1.0, 121)
    position = np.log10(rates)
    falling = 3.0 - 0.3 * np.maximum(position + 5, 0) + np.maximum(0, position + 2) * 3.0
    flat = 3.0 - 0.3 * np.maximum(position + 3, 0) + np.maximum(0, position + 2) * 3.0
    found = [lr_range_test.suggest(rates, loss) for loss in (falling, flat)]
    assert found[0][1] < found[1][1] / 5
    assert 1e-3 < found[0][2] < 1e-2 and 1e-3 < found[1][2] < 1e-2


@given(arrays(float, st.integers(1, 9), elements=st.integers(0, 5).map(float)))
def test_the_longest_descent_is_found(values: np.ndarray) -> None:
    found = lr_range_test.longest_descent(values)
    assert found == sorted(set(found)) and (np.diff(values[found]) < 0).all()
    positions = range(len(values))
    chosen = (some for size in positions for some in itertools.combinations(positions, size + 1))
    assert len(found) == max(len(some) for some in chosen if (np.diff(values[list(some)]) < 0).all())


@pytest.mark.parametrize("seed", range(20))
def test_noise_hardly_moves_valley_and_knee(seed: int) -> None:
    rates = np.geomspace(1e-5, 1.0, 100)
    position = np.log10(rates)
    # Down from the start to 1e-2, then up, as a sweep of 100 steps over batches that differ goes.
    loss = 2.0 - 0.35 * (position + 5) + np.maximum(0, position + 2) * 1.5
    _, *without = lr_range_test.suggest(rates, lr_range_test.smooth(loss, 0.9))
    noisy = loss + np.random.default_rng(seed).normal(0.0, 0.25, 100)
    _, *found = lr_range_test.suggest(rates, lr_range_test.smooth(noisy, 0.9))
    assert all(rate / 3 < moved < rate * 3 for rate, moved in zip(without, found, strict=True))


def test_smoothing_is_adams_corrected_average() -> None:
    assert np.allclose(lr_range_test.smooth(np.full(5, 3.0), 0.9), 3.0)
    assert lr_range_test.smooth(np.array([1.0, 2.0]), 0.5)[1] == pytest.approx((0.25 * 1 + 0.5 * 2) / 0.75)


def test_a_start_that_diverges_at_once_is_an_error(network: Network, objective: Objective) -> None:
    with pytest.raises(UserError, match=r"lower find_lr\.start"):
        lr_range_test.run(
            network, objective, AdamWConfig(clip_norm=1e6), FindLrConfig(start=0.9, end=99.0, diverged=1.01), seed=1
        )
