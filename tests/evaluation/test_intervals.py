"""Intervals against published tables, scipy's own, and their promised coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wakeword.evaluation.intervals import poisson_rate, proportion, zero_event_bound


@pytest.mark.parametrize(
    ("events", "low", "high"),
    [(0, 0.0, 3.6889), (1, 0.0253, 5.5716), (2, 0.2422, 7.2247), (5, 1.6235, 11.6683), (10, 4.7954, 18.3904)],
)
def test_garwood_is_that_of_the_tables(events: int, low: float, high: float) -> None:
    assert poisson_rate(events, 1.0) == pytest.approx((low, high), abs=1e-4)
    assert poisson_rate(events, 4.0) == pytest.approx((low / 4, high / 4), abs=1e-4)


@pytest.mark.parametrize("rate", [0.3, 1.0, 2.7, 8.0, 25.0])
def test_garwood_covers_the_truth_at_least_as_often_as_it_says(rate: float) -> None:
    events = np.arange(200)
    covered = [low <= rate <= high for low, high in (poisson_rate(int(k), 1.0) for k in events)]
    assert stats.poisson.pmf(events[covered], rate).sum() >= 0.95


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_is_that_of_the_paper(successes: int, trials: int, low: float, high: float) -> None:
    assert proportion(successes, trials) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95]))
def test_wilson_is_that_of_scipy(counts: tuple[int, int], confidence: float) -> None:
    truth = stats.binomtest(*counts).proportion_ci(confidence, method="wilson")
    interval = proportion(*counts, confidence)
    assert interval == pytest.approx((truth.low, truth.high), abs=1e-12)
    assert interval.low <= counts[0] / counts[1] <= interval.high


@given(st.integers(2, 300), st.integers(1, 4), st.data())
def test_wilson_of_a_fraction_lies_between_its_neighbours(trials: int, repeats: int, data: st.DataObject) -> None:
    found = data.draw(st.integers(1, trials * repeats - 1))
    low, high = proportion(found / repeats, trials)
    assert 0 < low < found / repeats / trials < high < 1
    below, above = proportion(found // repeats, trials), proportion(-(-found // repeats), trials)
    assert below.low <= low <= above.low and below.high <= high <= above.high


def test_three_over_t_is_what_no_event_rules_out() -> None:
    assert zero_event_bound(6.0) == 0.5
    assert stats.poisson.pmf(0, zero_event_bound(6.0) * 6.0) == pytest.approx(0.05, abs=0.001)


def test_nothing_measured_is_an_error() -> None:
    for call in (lambda: poisson_rate(0, 0.0), lambda: poisson_rate(-1, 1.0), lambda: proportion(0, 0)):
        with pytest.raises(ValueError):
            call()
    with pytest.raises(ValueError):
        proportion(3, 2)
    with pytest.raises(ValueError):
        zero_event_bound(0.0)
